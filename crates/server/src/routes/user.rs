//! Users and accounts. Cairn has one user, who holds the token; accounts come to be when they are used.

use crate::answer::{Answer, done, page};
use crate::app::Call;
use crate::route::UserRoute;
use axum::http::Method;
use cairn_api::{Account, OffsetPage};
use serde_json::json;

/// The account that is offered to clients that ask which there are.
const DEFAULT_ACCOUNT: &str = "local";

pub(crate) fn handle(call: &Call, route: UserRoute) -> Answer {
    if call.method != Method::GET {
        return Err(call.wrong_method("GET"));
    }
    match route {
        UserRoute::User => done(json!({ "id": "root", "email": "root@localhost", "username": "root" })),
        UserRoute::VerifyToken => done(json!({ "id": "root", "status": "active" })),
        UserRoute::Accounts => one_of(call, account()),
        UserRoute::Memberships => one_of(
            call,
            json!({ "id": "root", "status": "accepted", "account": account(), "roles": ["Administrator"] }),
        ),
    }
}

fn account() -> serde_json::Value {
    json!(Account {
        id: DEFAULT_ACCOUNT.into(),
        name: "Cairn".into()
    })
}

/// A list of one, in pages: clients ask until a page is empty.
fn one_of(call: &Call, element: serde_json::Value) -> Answer {
    let asked: OffsetPage = call.query.offset_page(20)?;
    let elements = if asked.page == 1 {
        vec![element]
    } else {
        Vec::new()
    };
    let info = asked.info(elements.len(), 1);
    page(elements, info)
}
