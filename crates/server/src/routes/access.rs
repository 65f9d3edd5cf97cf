//! `/cairn/v1/tokens` and `/cairn/v1/audit`: for tokens with the scope `admin`, which see what their accounts have.

use super::words;
use crate::access::audit;
use crate::access::identity::{Accounts, Identity, check_account};
use crate::access::tokens::{AddError, Token};
use crate::answer::{Answer, bad, done, store};
use crate::app::Call;
use crate::auth;
use crate::body;
use crate::route::AccessRoute;
use axum::body::Body;
use axum::http::Method;
use cairn_api::{
    ALL_ACCOUNTS, ApiError, AuditEntry, Failure, TokenCreate, TokenInfo, TokenRevoked, TokenScope,
    TokenStatus,
};
use cairn_engine::{Timestamp, check_workflow_name};
use cairn_store::{AuditFilter, AuditNo};
use serde_json::json;

/// Characters of a token's name.
const NAME_MAX: usize = 100;
/// Accounts, and workflows, of one token.
const PARTS_MAX: usize = 100;
/// Entries of the audit log in one answer.
const ENTRIES_MAX: usize = 1_000;
const ENTRIES: usize = 100;

pub(crate) async fn handle(call: &Call, body: Body, route: AccessRoute) -> Answer {
    match (route, &call.method) {
        (AccessRoute::Tokens, &Method::GET) => list(call),
        (AccessRoute::Tokens, &Method::POST) => create(call, body).await,
        (AccessRoute::Tokens, _) => Err(call.wrong_method("GET, POST")),
        (AccessRoute::Token(id), &Method::GET) => done(shown(&*seen(call, &id)?, call.visitor.at)),
        (AccessRoute::Token(id), &Method::DELETE) => revoke(call, &id).await,
        (AccessRoute::Token(_), _) => Err(call.wrong_method("GET, DELETE")),
        (AccessRoute::Audit, &Method::GET) => entries(call).await,
        (AccessRoute::Audit, _) => Err(call.wrong_method("GET")),
    }
}

fn list(call: &Call) -> Answer {
    let all = call.app.access.tokens.all();
    let seen = all.iter().filter(|token| call.visitor.who.covers(&token.who));
    let shown = seen.map(|token| json!(shown(token, call.visitor.at)));
    super::user::list(call, shown.collect())
}

/// A token that the asker may see. For all others it does not exist.
fn seen(call: &Call, id: &str) -> Result<std::sync::Arc<Token>, Failure> {
    let token = call.app.access.tokens.get(id);
    token
        .filter(|token| call.visitor.who.covers(&token.who))
        .ok_or_else(|| {
            Failure::new(
                ApiError::TokenNotFound,
                format!("there is no token with the id \"{id}\""),
            )
        })
}

async fn create(call: &Call, body: Body) -> Answer {
    let asked: TokenCreate = body::json(body, &call.app.limits).await?;
    let who = identity(asked, call.visitor.at)?;
    let maker = &call.visitor.who;
    if !maker.covers(&who) {
        return Err(Failure::new(
            ApiError::NotAllowed,
            "a token makes none that may more than itself: neither in other accounts nor with a larger scope",
        ));
    }
    if let Some(until) = maker.expires_at
        && who.expires_at.is_none_or(|asked| asked > until)
    {
        return Err(Failure::new(
            ApiError::NotAllowed,
            format!(
                "a token makes none that outlives it; expires_on must not be after {}",
                words::time(until)
            ),
        ));
    }
    call.remarks.detail(&who.id);
    if let Accounts::Some(accounts) = &who.accounts
        && let [account] = accounts.as_slice()
    {
        call.remarks.account(account);
    }
    let value = auth::make_token().map_err(store)?;
    let added = call
        .app
        .access
        .tokens
        .add(who, auth::hash(&value), call.visitor.at)
        .await;
    let token = added.map_err(|error| match error {
        AddError::Full => bad(error.to_string()),
        AddError::Store(error) => store(error),
    })?;
    done(TokenInfo {
        value: Some(value),
        ..shown(&token, call.visitor.at)
    })
}

/// Checks what was asked for.
fn identity(asked: TokenCreate, now: Timestamp) -> Result<Identity, Failure> {
    let TokenCreate {
        name,
        scope,
        accounts,
        workflows,
        expires_on,
    } = asked;
    if name.trim().is_empty() || name.chars().count() > NAME_MAX || name.chars().any(char::is_control) {
        return Err(bad(format!(
            "name must have 1 to {NAME_MAX} characters, and say who or what uses the token"
        )));
    }
    let accounts = read_accounts(accounts)?;
    if let Some(names) = &workflows {
        read_workflows(names)?;
        if !matches!(&accounts, Accounts::Some(accounts) if accounts.len() == 1) {
            return Err(bad(
                "workflows are of one account: give exactly one account beside them",
            ));
        }
        if scope == TokenScope::Admin {
            return Err(bad(
                "scope is \"admin\", which is for whole accounts; leave out workflows, or take \"write\"",
            ));
        }
    }
    let expires_at = expires_on.map(|time| Timestamp(time.0));
    if expires_at.is_some_and(|until| until <= now) {
        return Err(bad("expires_on is in the past"));
    }
    Ok(Identity {
        id: uuid::Uuid::new_v4().simple().to_string(),
        name,
        scope,
        accounts,
        workflows,
        expires_at,
    })
}

fn read_accounts(mut accounts: Vec<String>) -> Result<Accounts, Failure> {
    if accounts == [ALL_ACCOUNTS] {
        return Ok(Accounts::All);
    }
    if accounts.is_empty() || accounts.len() > PARTS_MAX {
        return Err(bad(format!(
            "accounts has {} ids; it must have 1 to {PARTS_MAX}, or be [\"{ALL_ACCOUNTS}\"] for every account",
            accounts.len()
        )));
    }
    for account in &accounts {
        check_account(account)?;
    }
    accounts.sort();
    accounts.dedup();
    Ok(Accounts::Some(accounts))
}

fn read_workflows(names: &[String]) -> Result<(), Failure> {
    if names.is_empty() || names.len() > PARTS_MAX {
        return Err(bad(format!(
            "workflows has {} names; it must have 1 to {PARTS_MAX}, or be left out for all",
            names.len()
        )));
    }
    for name in names {
        check_workflow_name(name).map_err(|reason| {
            bad(format!(
                "workflows has \"{name}\", which no workflow can be named: {reason}"
            ))
        })?;
    }
    Ok(())
}

async fn revoke(call: &Call, id: &str) -> Answer {
    let token = seen(call, id)?;
    if let Accounts::Some(accounts) = &token.who.accounts
        && let [account] = accounts.as_slice()
    {
        call.remarks.account(account);
    }
    call.app.access.tokens.remove(id).await.map_err(store)?;
    done(TokenRevoked { id: id.into() })
}

fn shown(token: &Token, now: Timestamp) -> TokenInfo {
    let who = &token.who;
    TokenInfo {
        id: who.id.clone(),
        name: who.name.clone(),
        scope: who.scope,
        accounts: match &who.accounts {
            Accounts::All => vec![ALL_ACCOUNTS.into()],
            Accounts::Some(accounts) => accounts.clone(),
        },
        workflows: who.workflows.clone(),
        status: if who.is_expired(now) {
            TokenStatus::Expired
        } else {
            TokenStatus::Active
        },
        created_on: words::time(token.created_at),
        expires_on: who.expires_at.map(words::time),
        last_used_on: token.used_at().map(words::time),
        value: None,
    }
}

/// `GET /cairn/v1/audit`
async fn entries(call: &Call) -> Answer {
    let who = &call.visitor.who;
    let accounts = match (call.query.text("account")?, &who.accounts) {
        (Some(account), _) => {
            check_account(account)?;
            if !who.sees_account(account) {
                return Err(Failure::new(
                    ApiError::NotAllowed,
                    format!("this token is not for the account \"{account}\""),
                ));
            }
            Some(vec![account.to_owned()])
        }
        (None, Accounts::All) => None,
        (None, Accounts::Some(accounts)) => Some(accounts.clone()),
    };
    let limit: usize = call.query.value("limit")?.unwrap_or(ENTRIES);
    if !(1..=ENTRIES_MAX).contains(&limit) {
        return Err(bad(format!(
            "the query parameter \"limit\" is {limit}; it must be from 1 to {ENTRIES_MAX}"
        )));
    }
    let filter = AuditFilter {
        accounts,
        before: call.query.value("before")?.map(AuditNo),
        limit,
    };
    let rows = call.app.access.store.audit(&filter).await.map_err(store)?;
    let entries: Result<Vec<AuditEntry>, _> = rows.into_iter().map(audit::shown).collect();
    done(entries.map_err(store)?)
}
