//! Concurrency keys.

use super::world::World;
use serde_json::json;

const ALL: &str = "/workflows/concurrency";

#[tokio::test]
async fn made_shown_changed_and_deleted() {
    let world = World::new().await;
    let made = world
        .call("POST", ALL, r#"{"name":"payments-api","limit":3}"#)
        .await
        .result();
    assert_eq!(
        (&made["name"], &made["limit"]),
        (&json!("payments-api"), &json!(3))
    );
    let one = format!("{ALL}/{}", made["id"].as_str().unwrap());
    assert_eq!(world.get(&one).await.result(), made);
    let changed = world.call("PATCH", &one, r#"{"limit":9}"#).await.result();
    assert_eq!((&changed["limit"], &changed["id"]), (&json!(9), &made["id"]));
    let listed = world.get(ALL).await.json();
    assert_eq!(
        (&listed["result"], &listed["result_info"]["total_count"]),
        (&json!([changed]), &json!(1))
    );
    assert_eq!(world.call("DELETE", &one, "").await.result(), changed);
    assert_eq!(world.get(ALL).await.result(), json!([]));
    for (method, body) in [("GET", ""), ("PATCH", r#"{"limit":1}"#), ("DELETE", "")] {
        let gone = world.call(method, &one, body).await.failure();
        assert_eq!(
            gone,
            (404, 10480, "workflows.api.error.concurrency.not_found".into())
        );
    }
}

#[tokio::test]
async fn pages() {
    let world = World::new().await;
    for name in ["c", "a", "b"] {
        world
            .call("POST", ALL, &json!({ "name": name, "limit": 1 }).to_string())
            .await
            .result();
    }
    let names = async |query: &str| {
        let listed = world.get(&format!("{ALL}?{query}")).await.result();
        listed
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("per_page=2").await, ["a", "b"]);
    assert_eq!(names("per_page=2&page=2").await, ["c"]);
    assert_eq!(names("page=9").await, [] as [&str; 0]);
}

#[tokio::test]
async fn what_cannot_be() {
    let world = World::new().await;
    let make = async |body: &str| world.call("POST", ALL, body).await;
    for wrong in [
        "{}",
        "[]",
        "",
        r#"{"name":"a"}"#,
        r#"{"limit":1}"#,
        r#"{"name":"","limit":1}"#,
        r#"{"name":"a b","limit":1}"#,
        r#"{"name":"a","limit":0}"#,
        r#"{"name":"a","limit":-1}"#,
        r#"{"name":"a","limit":1.5}"#,
        r#"{"name":"a","limit":"1"}"#,
    ] {
        assert_eq!(make(wrong).await.failure().1, 10002, "{wrong}");
    }
    let made = make(r#"{"name":"a","limit":1}"#).await.result();
    let again = make(r#"{"name":"a","limit":2}"#).await.failure();
    assert_eq!(
        again,
        (
            409,
            10481,
            "workflows.api.error.concurrency.already_exists".into()
        )
    );
    let one = format!("{ALL}/{}", made["id"].as_str().unwrap());
    for wrong in [r#"{"limit":0}"#, "{}", ""] {
        assert_eq!(
            world.call("PATCH", &one, wrong).await.failure().1,
            10002,
            "{wrong}"
        );
    }
    assert_eq!(world.call("PUT", &one, "{}").await.failure().0, 405);
}
