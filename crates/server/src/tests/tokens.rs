//! Tokens: made, used, limited, revoked.

use super::world::{ACCOUNT, Answered, TOKEN, World};
use crate::access::Peer;
use axum::body::Body;
use axum::http::Request;
use cairn_store::AccessStore;
use serde_json::{Value as Json, json};

const TOKENS: &str = "/cairn/v1/tokens";

async fn status(world: &World, token: &str, (method, path): (&str, &str)) -> u16 {
    world.ask(token, (method, path), "").await.status.as_u16()
}

fn workflows(account: &str) -> String {
    format!("/client/v4/accounts/{account}/workflows")
}

#[tokio::test]
async fn a_token_is_shown_once_and_kept_as_a_hash() {
    let world = World::new().await;
    let body =
        r#"{"name":"ci","scope":"write","accounts":["b","acc","b"],"expires_on":"2999-01-01T00:00:00Z"}"#;
    let made = world.ask(TOKEN, ("POST", TOKENS), body).await.result();
    let (id, value) = (made["id"].as_str().unwrap(), made["value"].as_str().unwrap());
    assert!(value.starts_with("cairn_") && value.len() == 49, "{value}");
    let mut expected = made.clone();
    expected.as_object_mut().unwrap().remove("value");
    assert_eq!(
        (
            &expected["accounts"],
            &expected["status"],
            &expected["last_used_on"]
        ),
        (&json!(["acc", "b"]), &json!("active"), &Json::Null)
    );
    assert_eq!(
        world
            .ask(TOKEN, ("GET", &format!("{TOKENS}/{id}")), "")
            .await
            .result(),
        expected
    );
    let list = world.ask(TOKEN, ("GET", TOKENS), "").await;
    assert_eq!(list.result(), json!([expected]));
    let kept = format!("{:?}", world.store.tokens().await.unwrap());
    assert!(!kept.contains(value) && kept.contains(id));
    let used = "/client/v4/accounts/acc/workflows/w";
    assert_eq!(status(&world, value, ("GET", used)).await, 404);
    let shown = world
        .ask(TOKEN, ("GET", &format!("{TOKENS}/{id}")), "")
        .await
        .result();
    assert!(shown["last_used_on"].is_string(), "{shown}");
}

#[tokio::test]
async fn a_revoked_token_is_good_for_nothing_at_once() {
    let world = World::new().await;
    let (id, value) = world
        .token(r#"{"name":"ci","scope":"read","accounts":["acc"]}"#)
        .await;
    assert_eq!(status(&world, &value, ("GET", &workflows("acc"))).await, 200);
    let revoked = world.ask(TOKEN, ("DELETE", &format!("{TOKENS}/{id}")), "").await;
    assert_eq!(revoked.result(), json!({ "id": id }));
    assert_eq!(status(&world, &value, ("GET", &workflows("acc"))).await, 401);
    let gone = world.ask(TOKEN, ("DELETE", &format!("{TOKENS}/{id}")), "").await;
    assert_eq!(gone.failure().0, 404);
}

#[tokio::test]
async fn what_verify_says_is_true() {
    let world = World::new().await;
    let until = world.clock_millis() + 60_000;
    let until = cairn_api::Time(until).to_string();
    let (id, value) = world
        .token(&format!(
            r#"{{"name":"ci","scope":"read","accounts":["acc"],"expires_on":"{until}"}}"#
        ))
        .await;
    let verify = async |token: &str| {
        world
            .ask(token, ("GET", "/client/v4/user/tokens/verify"), "")
            .await
    };
    assert_eq!(
        verify(TOKEN).await.result(),
        json!({ "id": "root", "status": "active" })
    );
    assert_eq!(
        verify(&value).await.result(),
        json!({ "id": id, "status": "active", "expires_on": until })
    );
    world.clock.advance(60);
    assert_eq!(
        verify(&value).await.result(),
        json!({ "id": id, "status": "expired", "expires_on": until })
    );
    assert_eq!(verify("cairn_wrong").await.failure().0, 401);
    let late = world.ask(&value, ("GET", &workflows("acc")), "").await;
    assert_eq!(late.failure(), (401, 10000, "Authentication error".into()));
    assert!(late.explanation().contains("expired"), "{}", late.text);
}

#[tokio::test]
async fn a_scope_and_an_account_are_all_a_token_has() {
    let world = World::deployed().await;
    let (_, reader) = world
        .token(r#"{"name":"r","scope":"read","accounts":["acc"]}"#)
        .await;
    let (_, writer) = world
        .token(r#"{"name":"w","scope":"write","accounts":["acc"]}"#)
        .await;
    let (_, all) = world
        .token(r#"{"name":"a","scope":"write","accounts":["*"]}"#)
        .await;
    let w = format!("{ACCOUNT}/workflows/w");
    assert_eq!(status(&world, &reader, ("GET", &w)).await, 200);
    let refused = world.ask(&reader, ("DELETE", &w), "").await;
    assert_eq!(refused.failure(), (403, 10000, "Authentication error".into()));
    assert!(refused.explanation().contains("\"write\""), "{}", refused.text);
    assert_eq!(status(&world, &writer, ("GET", &workflows("other"))).await, 403);
    assert_eq!(status(&world, &all, ("GET", &workflows("other"))).await, 200);
    for token in [&reader, &writer, &all] {
        assert_eq!(status(&world, token, ("GET", TOKENS)).await, 403);
        assert_eq!(status(&world, token, ("GET", "/cairn/v1/audit")).await, 403);
    }
    assert_eq!(status(&world, &writer, ("DELETE", &w)).await, 200);
    assert_eq!(
        status(&world, TOKEN, ("GET", &workflows("no.account"))).await,
        400
    );
}

#[tokio::test]
async fn accounts_are_those_a_token_may_see() {
    let world = World::deployed().await;
    let ids = async |token: &str, path: &str| -> Vec<String> {
        let list = world.ask(token, ("GET", path), "").await.result();
        let id = |row: &Json| {
            row.get("account").unwrap_or(row)["id"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        list.as_array().unwrap().iter().map(id).collect()
    };
    world
        .token(r#"{"name":"x","scope":"read","accounts":["zoo"]}"#)
        .await;
    let (id, own) = world
        .token(r#"{"name":"mine","scope":"read","accounts":["b","a"]}"#)
        .await;
    for path in ["/client/v4/accounts", "/client/v4/memberships"] {
        assert_eq!(ids(TOKEN, path).await, ["a", "acc", "b", "zoo"]);
        assert_eq!(ids(&own, path).await, ["a", "b"]);
    }
    assert_eq!(ids(TOKEN, "/client/v4/accounts?page=2&per_page=3").await, ["zoo"]);
    let user = world.ask(&own, ("GET", "/client/v4/user"), "").await.result();
    assert_eq!((&user["id"], &user["username"]), (&json!(id), &json!("mine")));
}

#[tokio::test]
async fn an_admin_of_an_account_rules_there_and_nowhere_else() {
    let world = World::new().await;
    let until = cairn_api::Time(world.clock_millis() + 3_600_000).to_string();
    let (admin_id, admin) = world
        .token(&format!(
            r#"{{"name":"boss","scope":"admin","accounts":["acc"],"expires_on":"{until}"}}"#
        ))
        .await;
    let (elsewhere, _) = world
        .token(r#"{"name":"x","scope":"read","accounts":["other"]}"#)
        .await;
    let make = async |body: &str| world.ask(&admin, ("POST", TOKENS), body).await;
    let with_end = |body: &str| body.replace('}', &format!(r#","expires_on":"{until}"}}"#));
    let made = make(&with_end(r#"{"name":"ci","scope":"write","accounts":["acc"]}"#))
        .await
        .result();
    for wrong in [
        with_end(r#"{"name":"ci","scope":"write","accounts":["other"]}"#),
        with_end(r#"{"name":"ci","scope":"write","accounts":["acc","other"]}"#),
        with_end(r#"{"name":"ci","scope":"write","accounts":["*"]}"#),
        r#"{"name":"ci","scope":"write","accounts":["acc"]}"#.to_owned(),
        r#"{"name":"ci","scope":"write","accounts":["acc"],"expires_on":"2999-01-01T00:00:00Z"}"#.to_owned(),
    ] {
        assert_eq!(make(&wrong).await.failure().0, 403, "{wrong}");
    }
    let list = world.ask(&admin, ("GET", TOKENS), "").await.result();
    let mut ids: Vec<&str> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_str().unwrap())
        .collect();
    let mut expected = [made["id"].as_str().unwrap(), &admin_id];
    expected.sort_unstable();
    ids.sort_unstable();
    assert_eq!(ids, expected);
    let hidden = world
        .ask(&admin, ("DELETE", &format!("{TOKENS}/{elsewhere}")), "")
        .await;
    let missing = world
        .ask(
            &admin,
            (
                "DELETE",
                &format!("{TOKENS}/{}", elsewhere.replace(['0', '1'], "2")),
            ),
            "",
        )
        .await;
    assert_eq!(hidden.failure(), missing.failure());
    assert_eq!(hidden.failure().0, 404);
}

#[tokio::test]
async fn what_cannot_be_a_token_is_refused() {
    let world = World::new().await;
    for (wrong, part) in [
        ("{}", "name"),
        (r#"{"name":" ","scope":"read","accounts":["a"]}"#, "name"),
        (r#"{"name":"x","scope":"all","accounts":["a"]}"#, "all"),
        (r#"{"name":"x","scope":"read","accounts":[]}"#, "accounts"),
        (r#"{"name":"x","scope":"read","accounts":["a","*"]}"#, "*"),
        (r#"{"name":"x","scope":"read","accounts":["a b"]}"#, "a b"),
        (
            r#"{"name":"x","scope":"read","accounts":["a"],"workflow":["w"]}"#,
            "workflow",
        ),
        (
            r#"{"name":"x","scope":"read","accounts":["a"],"workflows":[]}"#,
            "workflows",
        ),
        (
            r#"{"name":"x","scope":"read","accounts":["a","b"],"workflows":["w"]}"#,
            "one account",
        ),
        (
            r#"{"name":"x","scope":"admin","accounts":["a"],"workflows":["w"]}"#,
            "admin",
        ),
        (
            r#"{"name":"x","scope":"read","accounts":["a"],"expires_on":"2020-01-01T00:00:00Z"}"#,
            "past",
        ),
    ] {
        let answered = world.ask(TOKEN, ("POST", TOKENS), wrong).await;
        assert_eq!(answered.failure().0, 400, "{wrong}");
        assert!(
            answered.explanation().contains(part),
            "{wrong}: {}",
            answered.text
        );
    }
    assert_eq!(world.ask(TOKEN, ("GET", TOKENS), "").await.result(), json!([]));
}

/// A request from an address, with a token or without one.
async fn from(world: &World, address: &str, token: Option<&str>) -> Answered {
    let mut request = Request::builder().uri(format!("{ACCOUNT}/workflows"));
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let peer = Peer(format!("{address}:4711").parse().unwrap());
    world
        .send(request.extension(peer).body(Body::empty()).unwrap())
        .await
}

#[tokio::test]
async fn who_guesses_has_to_wait_and_who_knows_has_not() {
    let world = World::new().await;
    let (_, value) = world
        .token(r#"{"name":"ci","scope":"read","accounts":["acc"]}"#)
        .await;
    for _ in 0..20 {
        assert_eq!(
            from(&world, "192.0.2.1", None).await.status,
            401,
            "no token is no guess"
        );
    }
    for _ in 0..10 {
        assert_eq!(from(&world, "192.0.2.1", Some("wrong")).await.status, 401);
    }
    let refused = from(&world, "192.0.2.1", Some("wrong")).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.headers["retry-after"], "6");
    assert_eq!(
        from(&world, "192.0.2.2", Some("wrong")).await.status,
        401,
        "another address"
    );
    assert_eq!(
        from(&world, "192.0.2.1", Some(&value)).await.status,
        200,
        "a made token cannot be guessed"
    );
    // The root token of these tests is short: there it has to wait, too.
    assert_eq!(from(&world, "192.0.2.1", Some(TOKEN)).await.status, 429);
    assert_eq!(from(&world, "192.0.2.3", Some(TOKEN)).await.status, 200);
    world.clock.advance(6);
    assert_eq!(from(&world, "192.0.2.1", Some(TOKEN)).await.status, 200);
    assert_eq!(from(&world, "192.0.2.1", Some("wrong")).await.status, 401);
    assert_eq!(from(&world, "192.0.2.1", Some("wrong")).await.status, 429);
}
