//! The audit log.

use super::world::{ACCOUNT, METADATA, TOKEN, World, form};
use crate::access::Peer;
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value as Json, json};

async fn entries(world: &World, token: &str, query: &str) -> Vec<Json> {
    let path = format!("/cairn/v1/audit{query}");
    let list = world.ask(token, ("GET", &path), "").await.result();
    list.as_array().unwrap().clone()
}

/// Method, last part of the route, and status, oldest first.
fn short(entries: &[Json]) -> Vec<(String, String, u64)> {
    let one = |entry: &Json| {
        let text = |name: &str| entry[name].as_str().unwrap().to_owned();
        let route = text("route");
        let last = route.rsplit('/').next().unwrap().to_owned();
        (text("method"), last, entry["status"].as_u64().unwrap())
    };
    entries.iter().rev().map(one).collect()
}

fn row(method: &str, last: &str, status: u64) -> (String, String, u64) {
    (method.into(), last.into(), status)
}

#[tokio::test]
async fn changes_are_told_and_the_traffic_of_instances_is_not() {
    let world = World::deployed().await;
    for (method, path, body) in [
        ("POST", "/workflows/w/instances", r#"{"instance_id":"i"}"#),
        ("POST", "/workflows/w/instances/batch", r#"[{"instance_id":"j"}]"#),
        ("POST", "/workflows/w/instances/i/events/go", "{}"),
        ("GET", "/workflows/w/instances/i", ""),
        (
            "PATCH",
            "/workflows/w/instances/i/status",
            r#"{"status":"pause"}"#,
        ),
        ("DELETE", "/workflows/w/instances/j", ""),
        (
            "POST",
            "/workflows/w/instances/batch/delete",
            r#"{"instances":["x","y"]}"#,
        ),
        ("DELETE", "/workflows/none", ""),
        ("DELETE", "/workflows/w", ""),
    ] {
        world.call(method, path, body).await;
    }
    let all = entries(&world, TOKEN, "").await;
    assert_eq!(
        short(&all),
        [
            row("PUT", ":script", 200),
            row("PUT", ":workflow", 200),
            row("PATCH", "status", 200),
            row("DELETE", ":instance", 200),
            row("POST", "delete", 200),
            row("DELETE", ":workflow", 404),
            row("DELETE", ":workflow", 200),
        ]
    );
    let (paused, removed) = (&all[4], &all[2]);
    assert_eq!(
        (&paused["detail"], &removed["detail"]),
        (&json!("pause"), &json!("x, y"))
    );
    assert_eq!(paused["actor"], json!({ "id": "root", "name": "root token" }));
    assert_eq!(
        (&paused["account"], &paused["workflow"], &paused["instance"]),
        (&json!("acc"), &json!("w"), &json!("i"))
    );
    assert_eq!(all[6]["script"], "s");
}

#[tokio::test]
async fn an_entry_says_who_and_from_where_and_no_secret() {
    let world = World::new().await;
    let (id, value) = world
        .token(r#"{"name":"ci","scope":"write","accounts":["acc"]}"#)
        .await;
    let request = Request::builder()
        .method("PUT")
        .uri(format!("{ACCOUNT}/workers/scripts/s?token=query-secret"))
        .header("authorization", format!("Bearer {value}"))
        .header("content-type", "multipart/form-data; boundary=----b")
        .extension(Peer("[::ffff:192.0.2.7]:1".parse().unwrap()))
        .body(Body::from(form(METADATA, "export {}")))
        .unwrap();
    world.send(request).await.result();
    world
        .ask(TOKEN, ("DELETE", &format!("/cairn/v1/tokens/{id}")), "")
        .await
        .result();
    let all = entries(&world, TOKEN, "?account=acc").await;
    assert_eq!(
        short(&all),
        [
            row("POST", "tokens", 200),
            row("PUT", ":script", 200),
            row("DELETE", ":token", 200)
        ]
    );
    assert_eq!((&all[2]["detail"], &all[0]["detail"]), (&json!(id), &json!(id)));
    assert_eq!(all[1]["actor"], json!({ "id": id, "name": "ci" }));
    assert_eq!(all[1]["address"], "192.0.2.7");
    let text = json!(all).to_string();
    for secret in [&value, TOKEN, "hidden", "query-secret"] {
        assert!(
            !text.contains(&format!("\"{secret}")) && !text.contains(&value),
            "{secret}: {text}"
        );
    }
}

#[tokio::test]
async fn refused_requests_change_nothing_and_are_not_told() {
    let world = World::new().await;
    let (_, reader) = world
        .token(r#"{"name":"r","scope":"read","accounts":["acc"]}"#)
        .await;
    let before = entries(&world, TOKEN, "").await.len();
    for token in [&reader, "wrong"] {
        let answered = world
            .ask(token, ("DELETE", &format!("{ACCOUNT}/workflows/w")), "")
            .await;
        assert!(answered.status == 403 || answered.status == 401);
    }
    assert_eq!(entries(&world, TOKEN, "").await.len(), before);
}

#[tokio::test]
async fn an_account_sees_its_own_entries_in_pages() {
    let world = World::new().await;
    for (account, name) in [("acc", "one"), ("other", "two"), ("acc", "three")] {
        let path = format!("/client/v4/accounts/{account}/workflows/{name}");
        world.ask(TOKEN, ("DELETE", &path), "").await;
    }
    let (_, admin) = world
        .token(r#"{"name":"boss","scope":"admin","accounts":["acc"]}"#)
        .await;
    let names = |entries: &[Json]| -> Vec<String> {
        let name = |entry: &Json| entry["workflow"].as_str().unwrap_or("-").to_owned();
        entries.iter().map(name).collect()
    };
    assert_eq!(
        names(&entries(&world, TOKEN, "").await),
        ["-", "three", "two", "one"]
    );
    for query in ["", "?account=acc"] {
        assert_eq!(
            names(&entries(&world, &admin, query).await),
            ["-", "three", "one"]
        );
    }
    let first = entries(&world, &admin, "?limit=2").await;
    let rest = entries(&world, &admin, &format!("?before={}", first[1]["id"])).await;
    assert_eq!(names(&rest), ["one"]);
    for (path, status) in [
        ("?account=other", 403),
        ("?limit=0", 400),
        ("?limit=1001", 400),
        ("?before=x", 400),
    ] {
        let answered = world
            .ask(&admin, ("GET", &format!("/cairn/v1/audit{path}")), "")
            .await;
        assert_eq!(answered.failure().0, status, "{path}");
    }
}
