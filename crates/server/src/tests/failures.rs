//! Bad input: each gets its envelope.

use super::world::{ACCOUNT, World};
use crate::answer::{engine, failed};
use crate::body::BodyLimits;
use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use cairn_engine::{EngineError, Rejected, StoreError};
use futures_util::stream;
use std::time::Duration;

#[tokio::test]
async fn unknown_routes_and_methods() {
    let world = World::deployed().await;
    for path in ["/d1/database", "/workflows/w/nope", "/workers/scripts/s/nope"] {
        let (status, code, message) = world.get(path).await.failure();
        assert_eq!((status, code), (404, 7003), "{path}");
        assert!(
            message.starts_with("No route for the URI GET /accounts/acc/"),
            "{message}"
        );
    }
    for (method, path) in [
        ("DELETE", "/workflows"),
        ("POST", "/workflows/w"),
        ("PUT", "/workflows/w/instances"),
        ("GET", "/workflows/w/instances/batch"),
        ("GET", "/workflows/w/instances/x/status"),
        ("PATCH", "/workflows/w/instances/x"),
        ("POST", "/workers/scripts/s"),
    ] {
        let (status, code, message) = world.call(method, path, "").await.failure();
        assert_eq!((status, code), (405, 7001), "{method} {path}");
        assert!(message.contains(method), "{message}");
    }
}

#[tokio::test]
async fn bodies_that_are_no_json() {
    let world = World::deployed().await;
    for (method, path) in [
        ("POST", "/workflows/w/instances"),
        ("POST", "/workflows/w/instances/batch"),
        ("POST", "/workflows/w/instances/batch/delete"),
        ("POST", "/workflows/w/instances/batch/terminate"),
        ("PATCH", "/workflows/w/instances/x/status"),
        ("POST", "/workflows/w/instances/x/events/go"),
        ("PUT", "/workflows/w"),
        ("POST", "/workers/scripts/s/deployments"),
        ("PUT", "/triggers/s"),
    ] {
        let answered = world.call(method, path, "{\"a\":").await;
        assert_eq!(
            answered.failure(),
            (400, 10002, "workflows.api.error.body".into()),
            "{method} {path}"
        );
        assert!(
            answered.explanation().contains("line 1 column"),
            "{}",
            answered.explanation()
        );
    }
}

#[tokio::test]
async fn bodies_over_the_limit() {
    let limits = BodyLimits {
        json_bytes: 100,
        script_bytes: 1_000,
        ..BodyLimits::default()
    };
    let world = World::limited(limits).await;
    let body = format!("{{\"params\":\"{}\"}}", "x".repeat(100));
    let answered = world.call("POST", "/workflows/w/instances", &body).await;
    assert_eq!(
        answered.failure(),
        (413, 10002, "workflows.api.error.body".into())
    );
    assert!(answered.explanation().contains("limits.json_bytes"));
    let answered = world
        .upload(
            ("PUT", "/workers/scripts/s"),
            (super::world::METADATA, &"x".repeat(1_000)),
        )
        .await;
    assert_eq!(answered.failure().0, 413);
    assert!(answered.explanation().contains("limits.script_bytes"));
}

#[tokio::test]
async fn bodies_that_never_arrive() {
    let world = World::limited(BodyLimits {
        arrival: Duration::ZERO,
        ..BodyLimits::default()
    })
    .await;
    let request = Request::builder()
        .method("POST")
        .uri(format!("{ACCOUNT}/workflows/w/instances"))
        .header("authorization", "Bearer secret")
        .body(Body::from_stream(
            stream::pending::<Result<Bytes, std::io::Error>>(),
        ))
        .unwrap();
    assert_eq!(world.send(request).await.failure().0, 408);
}

#[tokio::test]
async fn params_over_their_own_limit() {
    let world = World::deployed().await;
    let body = format!("{{\"params\":\"{}\"}}", "x".repeat(1 << 20));
    let answered = world.call("POST", "/workflows/w/instances", &body).await;
    assert_eq!(answered.failure().0, 413);
    assert!(answered.explanation().contains("limits.params_bytes"));
}

#[tokio::test]
async fn names_and_ids_outside_their_characters() {
    let world = World::deployed().await;
    let create = |id: &str| format!("{{\"instance_id\":{}}}", serde_json::to_string(id).unwrap());
    for id in ["", "a b", "-x", "batch", "ä", &"x".repeat(101)] {
        let answered = world.call("POST", "/workflows/w/instances", &create(id)).await;
        assert_eq!(
            answered.failure(),
            (400, 10002, "workflows.api.error.body".into()),
            "{id}"
        );
    }
    for path in ["/workflows/w/instances/a%3Fb", "/workflows/w/instances/%E2%82%AC"] {
        assert_eq!(world.get(path).await.failure().0, 400, "{path}");
    }
    let put = r#"{"script_name":"s","class_name":"MyWorkflow"}"#;
    assert_eq!(
        world.call("PUT", "/workflows/a%20b", put).await.failure().1,
        10002
    );
    assert_eq!(
        world
            .call("POST", "/workflows/w/instances/x/events/a%20b", "1")
            .await
            .failure()
            .1,
        10002
    );
    for (query, word) in [
        ("per_page=0", "per_page"),
        ("per_page=x", "per_page"),
        ("page=0", "page"),
        ("status=nope", "waiting"),
        ("date_start=yesterday", "2026-01-31T09:30:00.000Z"),
        ("direction=up", "asc"),
        ("cursor=!!", "cursor"),
        ("page=1&cursor=YWZ0ZXI6MQ", "together"),
    ] {
        let answered = world.get(&format!("/workflows/w/instances?{query}")).await;
        assert_eq!(answered.failure().1, 10002, "{query}");
        assert!(
            answered.explanation().contains(word),
            "{query}: {}",
            answered.explanation()
        );
    }
}

#[tokio::test]
async fn a_defect_is_answered_too() {
    let world = World::panicking().await;
    world
        .upload(
            ("PUT", "/workers/scripts/s"),
            (super::world::METADATA, "export {}"),
        )
        .await
        .result();
    let request = Request::builder()
        .uri("/")
        .header("host", "s.localhost")
        .body(Body::empty())
        .unwrap();
    assert_eq!(
        world.send(request).await.failure(),
        (500, 10001, "workflows.api.error.internal_server".into())
    );
    world.get("/workflows").await.result();
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_engine_error_has_its_place() {
    let s = || "x".to_owned();
    for (error, status, code) in [
        (EngineError::WorkflowNotFound(s()), 404, 10200),
        (
            EngineError::NotDeployed {
                workflow: s(),
                script: s(),
            },
            400,
            10210,
        ),
        (EngineError::VersionNotFound(s()), 404, 10300),
        (EngineError::InstanceNotFound(s()), 404, 10400),
        (EngineError::StepNotFound(s()), 404, 10490),
        (EngineError::ScriptNotFound(s()), 404, 10007),
        (EngineError::InstanceExists(s()), 400, 10405),
        (EngineError::InvalidInput(s()), 400, 10002),
        (EngineError::BadScript(s()), 400, 10021),
        (EngineError::Rejected(Rejected::CannotTerminate), 409, 10401),
        (
            EngineError::Rejected(Rejected::CannotResume("running")),
            409,
            10491,
        ),
        (
            EngineError::Rejected(Rejected::EventTooLarge { bytes: 2, limit: 1 }),
            413,
            10002,
        ),
        (
            EngineError::Rejected(Rejected::StateTooLarge { limit: 1 }),
            400,
            10493,
        ),
        (EngineError::TestConflict(s()), 409, 10498),
        (EngineError::InboxFull { id: s(), limit: 1 }, 429, 10492),
        (
            EngineError::TooManyCreations {
                whose: "an account",
                limit: 1,
                setting: "s",
                retry_after_seconds: 3,
            },
            429,
            10497,
        ),
        (
            EngineError::Overloaded {
                what: "w",
                limit: 1,
                setting: "s",
            },
            429,
            10489,
        ),
        (EngineError::QueueFull { limit: 1 }, 429, 10496),
        (EngineError::Runtime(s()), 503, 10001),
        (EngineError::ShuttingDown, 503, 10001),
        (EngineError::OutcomeUnknown, 504, 10001),
        (EngineError::Store(StoreError::Unavailable(s())), 503, 10001),
        (EngineError::Store(StoreError::Corrupt(s())), 500, 10001),
    ] {
        let failure = engine(error);
        assert_eq!(
            (failure.error.status(), failure.error.code()),
            (status, code),
            "{failure:?}"
        );
        let response = failed(&failure);
        assert_eq!(
            response.headers().contains_key("retry-after"),
            status == 429 || status == 503,
            "{failure:?}"
        );
    }
}
