//! The user, his accounts, and what his token is. Cairn has tokens and no users: a token is shown as one.

use crate::access::identity::Accounts;
use crate::answer::{Answer, done, page, store};
use crate::app::Call;
use crate::route::UserRoute;
use axum::http::Method;
use cairn_api::{Account, Failure, OffsetPage, TokenScope, TokenStatus, TokenVerified};
use serde_json::{Value as Json, json};

/// The account that is offered while there is none.
const DEFAULT_ACCOUNT: &str = "local";
const PER_PAGE: u64 = 20;

pub(crate) async fn handle(call: &Call, route: UserRoute) -> Answer {
    if call.method != Method::GET {
        return Err(call.wrong_method("GET"));
    }
    let who = &call.visitor.who;
    match route {
        UserRoute::User => {
            done(json!({ "id": who.id, "email": format!("{}@localhost", who.id), "username": who.name }))
        }
        UserRoute::VerifyToken => done(TokenVerified {
            id: who.id.clone(),
            status: if who.is_expired(call.visitor.at) {
                TokenStatus::Expired
            } else {
                TokenStatus::Active
            },
            expires_on: who.expires_at.map(super::words::time),
        }),
        UserRoute::Accounts => {
            let accounts = accounts(call).await?;
            list(call, accounts.into_iter().map(|account| json!(account)).collect())
        }
        UserRoute::Memberships => {
            let role = match who.scope {
                TokenScope::Read => "Administrator Read Only",
                TokenScope::Write | TokenScope::Admin => "Administrator",
            };
            let membership = |account: Account| json!({ "id": account.id, "status": "accepted", "account": account, "roles": [role] });
            list(call, accounts(call).await?.into_iter().map(membership).collect())
        }
    }
}

/// The accounts that a token is for; those that there are, when it is for all.
async fn accounts(call: &Call) -> Result<Vec<Account>, Failure> {
    let mut ids = match &call.visitor.who.accounts {
        Accounts::Some(accounts) => accounts.clone(),
        Accounts::All => {
            let mut ids = call.app.access.tokens.accounts();
            ids.extend(call.app.access.store.accounts().await.map_err(store)?);
            ids.into_iter().collect()
        }
    };
    if ids.is_empty() {
        ids.push(DEFAULT_ACCOUNT.into());
    }
    ids.sort();
    Ok(ids.into_iter().map(account).collect())
}

/// An account has no name of its own.
pub(super) fn account(id: String) -> Account {
    let name = if id == DEFAULT_ACCOUNT {
        "Cairn".into()
    } else {
        id.clone()
    };
    Account { id, name }
}

/// A page of a list that is at hand as a whole.
pub(super) fn list(call: &Call, elements: Vec<Json>) -> Answer {
    let asked: OffsetPage = call.query.offset_page(PER_PAGE)?;
    let total = elements.len() as u64;
    let skipped = usize::try_from(asked.offset()).unwrap_or(usize::MAX);
    let taken = usize::try_from(asked.per_page).unwrap_or(usize::MAX);
    let elements: Vec<Json> = elements.into_iter().skip(skipped).take(taken).collect();
    let info = asked.info(elements.len(), total);
    page(elements, info)
}
