//! `…/workflows/concurrency`: concurrency keys of an account.

use super::words;
use crate::answer::{Answer, bad, done, engine, page};
use crate::app::Call;
use crate::body;
use axum::body::Body;
use axum::http::Method;
use cairn_api::{ApiError, ConcurrencyKey, Failure, KeyCreate, KeyPatch};
use cairn_engine::{KeyRow, WorkflowPage, check_workflow_name};

const PER_PAGE: u64 = 50;

/// A request to all of them.
pub(super) async fn all(call: &Call, body: Body, account: &str) -> Answer {
    match call.method {
        Method::GET => list(call, account).await,
        Method::POST => create(call, body, account).await,
        _ => Err(call.wrong_method("GET, POST")),
    }
}

/// A request to one.
pub(super) async fn one(call: &Call, body: Body, (account, id): (&str, &str)) -> Answer {
    let cairn = call.engine();
    let found = match call.method {
        Method::GET => cairn.concurrency_key(account, id).await,
        Method::DELETE => cairn.remove_concurrency_key(account, id).await,
        Method::PATCH => {
            let asked: KeyPatch = body::json(body, &call.app.limits).await?;
            check_limit(asked.limit)?;
            cairn.limit_concurrency_key(account, (id, asked.limit)).await
        }
        _ => return Err(call.wrong_method("GET, PATCH, DELETE")),
    };
    match found.map_err(engine)? {
        Some(key) => done(shown(key)),
        None => Err(Failure::new(
            ApiError::KeyNotFound,
            format!("concurrency key \"{id}\" does not exist; the key's id is wanted, not its name"),
        )),
    }
}

async fn list(call: &Call, account: &str) -> Answer {
    let asked = call.query.offset_page(PER_PAGE)?;
    let wanted = WorkflowPage {
        offset: asked.offset(),
        limit: usize::try_from(asked.per_page).unwrap_or(usize::MAX),
    };
    let found = call.engine().concurrency_keys(account, wanted).await;
    let (keys, total) = found.map_err(engine)?;
    let info = asked.info(keys.len(), total);
    page(keys.into_iter().map(shown).collect::<Vec<_>>(), info)
}

async fn create(call: &Call, body: Body, account: &str) -> Answer {
    let KeyCreate { name, limit } = body::json(body, &call.app.limits).await?;
    check_workflow_name(&name)
        .map_err(|_| bad("name must have 1 to 64 letters, digits, '-' and '_' and not start with '-'"))?;
    check_limit(limit)?;
    let made = call
        .engine()
        .add_concurrency_key(account, (name.clone(), limit))
        .await;
    match made.map_err(engine)? {
        Some(key) => done(shown(key)),
        None => Err(Failure::new(
            ApiError::KeyExists,
            format!("a concurrency key \"{name}\" exists already; change its limit, or take another name"),
        )),
    }
}

fn check_limit(limit: u32) -> Result<(), Failure> {
    if limit == 0 {
        return Err(bad("limit is 0; it must be at least 1"));
    }
    Ok(())
}

fn shown(key: KeyRow) -> ConcurrencyKey {
    ConcurrencyKey {
        id: key.id,
        name: key.name,
        limit: key.limit,
        created_on: words::time(key.created_at),
        modified_on: words::time(key.modified_at),
    }
}
