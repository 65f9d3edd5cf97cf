//! Who is let in.

use super::world::{ACCOUNT, World};
use axum::body::Body;
use axum::http::{Method, Request};

fn request(headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().uri(format!("{ACCOUNT}/workflows"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_token_is_wanted() {
    let world = World::new().await;
    for headers in [
        &[][..],
        &[("authorization", "Bearer nope")],
        &[("x-auth-email", "a@b.c")],
    ] {
        let answered = world.send(request(headers)).await;
        assert_eq!(answered.failure(), (401, 10000, "Authentication error".into()));
        assert!(!answered.explanation().is_empty());
        assert_eq!(answered.headers["www-authenticate"], "Bearer");
    }
    world
        .send(request(&[("x-auth-email", "a@b.c"), ("x-auth-key", "secret")]))
        .await
        .result();
}

#[tokio::test]
async fn nothing_is_told_without_a_token() {
    let world = World::deployed().await;
    for path in ["/client/v4/nope", "/nope", "/client/v4/accounts/acc/workflows/w"] {
        let request = Request::builder()
            .method(Method::PUT)
            .uri(path)
            .body(Body::from("{bad"))
            .unwrap();
        assert_eq!(world.send(request).await.failure().1, 10000, "{path}");
    }
}

#[tokio::test]
async fn open_mode_refuses_web_pages_of_others() {
    let world = World::open().await;
    world.send(request(&[("host", "localhost:8787")])).await.result();
    for headers in [
        &[("host", "evil.example")][..],
        &[("host", "localhost:8787"), ("origin", "https://evil.example")],
    ] {
        assert_eq!(
            world.send(request(headers)).await.failure(),
            (403, 10000, "Authentication error".into())
        );
    }
}

#[tokio::test]
async fn health_needs_no_token() {
    let world = World::new().await;
    for path in ["/healthz", "/readyz"] {
        let answered = world
            .send(Request::builder().uri(path).body(Body::empty()).unwrap())
            .await;
        assert_eq!(answered.status, 200, "{path}");
    }
}

#[tokio::test]
async fn the_user_and_the_account() {
    let world = World::new().await;
    let get = async |path: &str| {
        let request = Request::builder()
            .uri(path)
            .header("authorization", "Bearer secret")
            .body(Body::empty())
            .unwrap();
        world.send(request).await.result()
    };
    assert_eq!(get("/client/v4/user/tokens/verify").await["status"], "active");
    assert!(get("/client/v4/user").await["email"].is_string());
    assert_eq!(
        get("/client/v4/accounts?page=1").await.as_array().unwrap().len(),
        1
    );
    assert_eq!(
        get("/client/v4/accounts?page=2").await.as_array().unwrap().len(),
        0
    );
    assert!(get("/client/v4/memberships?page=1").await[0]["account"]["id"].is_string());
}
