//! Requests by the host name of a Worker.

use super::world::{METADATA, World};
use axum::body::Body;
use axum::http::Request;

fn to(host: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder()
        .uri("/client/v4/accounts?x=1")
        .header("host", host);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn any_path_reaches_the_worker_and_no_token_is_wanted() {
    let world = World::deployed().await;
    let answered = world
        .send(to(
            "s.localhost:8787",
            &[("connection", "x-hop"), ("x-hop", "1"), ("x-kept", "2")],
        ))
        .await;
    assert_eq!(answered.status, 200);
    assert!(
        answered.text.starts_with("get /client/v4/accounts?x=1 http/1.1"),
        "{}",
        answered.text
    );
    assert!(
        answered.text.contains("host: s.localhost:8787") && answered.text.contains("x-kept: 2"),
        "{}",
        answered.text
    );
    assert!(!answered.text.contains("x-hop"), "{}", answered.text);
    assert!(!answered.headers.contains_key("keep-alive"));
}

#[tokio::test]
async fn names_that_nobody_has() {
    let world = World::deployed().await;
    let answered = world.send(to("nope.localhost", &[])).await;
    assert_eq!(answered.status, 404);
    assert!(
        answered.text.contains("\"nope\"") && !answered.text.contains("\"s\""),
        "{}",
        answered.text
    );
    let uploaded = world
        .upload(
            ("POST", "/workers/scripts/waiting/versions"),
            (METADATA, "export {}"),
        )
        .await;
    uploaded.result();
    let answered = world.send(to("waiting.localhost", &[])).await;
    assert_eq!(answered.status, 404);
    let nobody = world.send(to("nowhere.localhost", &[])).await;
    assert_eq!(
        answered.text.replace("waiting", "nowhere"),
        nobody.text,
        "who passes by learns nothing"
    );
}

#[tokio::test]
async fn a_worker_that_answers_no_requests() {
    let world = World::new().await;
    let uploaded = world
        .upload(("PUT", "/workers/scripts/s"), (METADATA, "no default"))
        .await;
    assert_eq!(uploaded.result()["handlers"], serde_json::json!([]));
    let answered = world.send(to("s.localhost", &[])).await;
    assert_eq!(answered.status, 404);
    assert!(answered.text.contains("default export"), "{}", answered.text);
    let nobody = world.send(to("x.localhost", &[])).await;
    assert_eq!(
        answered.text.replace("\"s\"", "\"x\""),
        nobody.text,
        "who passes by learns nothing"
    );
}

#[tokio::test]
async fn names_that_several_have() {
    let world = World::deployed().await;
    let request = Request::builder()
        .method("PUT")
        .uri("/client/v4/accounts/second/workers/scripts/s")
        .header("authorization", "Bearer secret")
        .header("content-type", "multipart/form-data; boundary=----b")
        .body(Body::from(super::world::form(METADATA, "export {}")))
        .unwrap();
    world.send(request).await.result();
    // The name alone is the older one's, as before.
    assert_eq!(world.send(to("s.localhost", &[])).await.status, 200);
    assert_eq!(world.send(to("s.second.localhost", &[])).await.status, 200);
    assert_eq!(world.send(to("s.acc.localhost", &[])).await.status, 200);
    assert_eq!(world.send(to("s.third.localhost", &[])).await.status, 404);
}

#[tokio::test]
async fn an_upgrade_is_passed_on() {
    let world = World::deployed().await;
    let answered = world
        .send(to(
            "s.localhost",
            &[("connection", "Upgrade"), ("upgrade", "websocket")],
        ))
        .await;
    assert_eq!(answered.status, 101);
    assert_eq!(answered.headers["upgrade"], "websocket");
}
