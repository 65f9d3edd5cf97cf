//! The routes of tests: there only where they are wanted, and strict about what they are told.

use super::world::{Answered, METADATA, World};
use axum::body::Body;
use axum::http::Request;

const CLOCK: &str = "/cairn/v1/test/clock";
const W: &str = "/cairn/v1/test/accounts/acc/workflows/w";

async fn send(world: &World, (method, path): (&str, &str), body: &str) -> Answered {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", "Bearer secret")
        .body(Body::from(body.to_owned()))
        .unwrap();
    world.send(request).await
}

/// A world with these routes, and the workflow `w`.
async fn with_tests() -> World {
    let world = World::for_tests().await;
    let script = ("PUT", "/workers/scripts/s");
    world.upload(script, (METADATA, "export {}")).await.result();
    let workflow = r#"{"script_name":"s","class_name":"MyWorkflow"}"#;
    world.call("PUT", "/workflows/w", workflow).await.result();
    world
}

async fn create(world: &World, id: &str) {
    let body = format!(r#"{{"instance_id":"{id}"}}"#);
    world.call("POST", "/workflows/w/instances", &body).await.result();
}

#[tokio::test]
async fn elsewhere_they_are_unknown() {
    let world = World::deployed().await;
    for path in [CLOCK, &format!("{W}/instances/one"), &format!("{W}/sessions")] {
        for method in ["GET", "POST", "DELETE"] {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("authorization", "Bearer secret");
            let answered = world.send(request.body(Body::empty()).unwrap()).await;
            let (status, code, message) = answered.failure();
            assert_eq!((status, code), (404, 7003), "{method} {path}");
            assert_eq!(message, format!("No route for the URI {method} {path}"));
        }
    }
}

#[tokio::test]
async fn web_pages_of_others_are_refused_here_too() {
    let world = World::open().await;
    let request = Request::builder()
        .method("POST")
        .uri(CLOCK)
        .header("host", "localhost:8787")
        .header("origin", "https://evil.example");
    let answered = world
        .send(request.body(Body::from(r#"{"advance":1}"#)).unwrap())
        .await;
    assert_eq!(answered.failure().0, 403);
}

#[tokio::test]
async fn a_clock_goes_forward() {
    let world = with_tests().await;
    let shown = send(&world, ("GET", CLOCK), "").await.result();
    assert_eq!(shown["shift_ms"], 0);
    let shown = send(&world, ("POST", CLOCK), r#"{"advance":"1 hour"}"#)
        .await
        .result();
    assert_eq!(shown["shift_ms"], 3_600_000);
    let shown = send(&world, ("POST", CLOCK), r#"{"advance":1000}"#)
        .await
        .result();
    assert_eq!(shown["shift_ms"], 3_601_000);
    for wrong in [
        "",
        "{}",
        "[]",
        r#"{"advance":-1}"#,
        r#"{"advance":"1h"}"#,
        r#"{"advance":null}"#,
        r#"{"advance":true}"#,
        r#"{"advance":1e300}"#,
        r#"{"advance":"101 years"}"#,
        r#"{"advance":1,"to":2}"#,
    ] {
        let (status, code, _) = send(&world, ("POST", CLOCK), wrong).await.failure();
        assert_eq!((status, code), (400, 10002), "{wrong}");
    }
    let shown = send(&world, ("GET", CLOCK), "").await.result();
    assert_eq!(shown["shift_ms"], 3_601_000);
    // What is created has the time of the clock.
    create(&world, "one").await;
    let created = world.get("/workflows/w/instances/one").await.result()["queued"].clone();
    let now = shown["now"].as_str().unwrap();
    assert!(created.as_str().unwrap() >= now, "{created} {now}");
}

#[tokio::test]
async fn modifiers_are_read_strictly() {
    let world = with_tests().await;
    let path = format!("{W}/instances/one/modifiers");
    let modify = async |modifier: &str| {
        let body = format!(r#"{{"modifiers":[{modifier}]}}"#);
        send(&world, ("POST", &path), &body).await
    };
    for fine in [
        r#"{"disableSleeps":{}}"#,
        r#"{"disableSleeps":{"steps":[{"name":"a","index":2}]}}"#,
        r#"{"disableRetryDelays":{"steps":[]}}"#,
        r#"{"mockStepResult":{"step":{"name":"a"},"value":null}}"#,
        r#"{"mockStepResult":{"step":{"name":"b"},"graph":[["m",1,2],"k",["u"]]}}"#,
        r#"{"mockStepResult":{"step":{"name":"c"}}}"#,
        r#"{"mockStepError":{"step":{"name":"d"},"error":{"message":"boom"},"times":2}}"#,
        r#"{"forceStepTimeout":{"step":{"name":"e"}}}"#,
        r#"{"mockEvent":{"type":"go","payload":[1]}}"#,
        r#"{"forceEventTimeout":{"step":{"name":"f"}}}"#,
    ] {
        let answered = modify(fine).await;
        assert_eq!(answered.status, 200, "{fine} {}", answered.text);
    }
    for wrong in [
        "{}",
        r#"{"disableSleep":{}}"#,
        r#"{"disableSleeps":{"step":"a"}}"#,
        r#"{"disableSleeps":{"steps":[{"name":"a","index":0}]}}"#,
        r#"{"mockStepResult":{"step":{"name":"a"},"value":2}}"#,
        r#"{"mockStepResult":{"step":{"name":"z"},"value":1,"graph":[1]}}"#,
        r#"{"mockStepResult":{"step":{"name":"z"},"graph":[["o","k",7]]}}"#,
        r#"{"mockStepResult":{"step":{"name":"z"},"graph":1}}"#,
        r#"{"mockStepResult":{"step":"z"}}"#,
        r#"{"mockStepError":{"step":{"name":"z"}}}"#,
        r#"{"mockStepError":{"step":{"name":"z"},"error":{"message":"m"},"times":0}}"#,
        r#"{"mockStepError":{"step":{"name":"z"},"error":{"message":"m"},"times":-1}}"#,
        r#"{"forceStepTimeout":{"step":{"name":"z"},"times":4000000000}}"#,
        r#"{"mockEvent":{"type":"a b"}}"#,
        r#"{"mockEvent":{"payload":1}}"#,
    ] {
        let (status, code, _) = modify(wrong).await.failure();
        assert_eq!((status, code), (400, 10002), "{wrong}");
    }
    let elsewhere = format!("{}/instances/one/modifiers", W.replace("/w", "/nope"));
    let missing = send(&world, ("POST", &elsewhere), r#"{"modifiers":[]}"#).await;
    assert_eq!(missing.failure().0, 404);
    for wrong in ["", "{}", "[]", r#"{"modifiers":{}}"#] {
        let answered = send(&world, ("POST", &path), wrong).await;
        assert_eq!(answered.failure().0, 400, "{wrong}");
    }
}

#[tokio::test]
async fn waits_say_what_they_want() {
    let world = with_tests().await;
    let wait = async |tail: &str| send(&world, ("GET", &format!("{W}/instances/one/{tail}")), "").await;
    // No instance yet: that is no error.
    assert_eq!(
        wait("status?is=complete&wait_ms=0").await.result()["reached"],
        false
    );
    assert_eq!(wait("step?name=&wait_ms=0").await.result()["is"], "open");
    create(&world, "one").await;
    assert_eq!(wait("status?is=running").await.result()["reached"], true);
    for wrong in [
        "status",
        "status?is=done",
        "status?is=complete&wait_ms=30001",
        "status?is=complete&wait_ms=x",
        "step",
        "step?name=a&index=0",
        "step?name=a&index=x",
    ] {
        let (status, code, _) = wait(wrong).await.failure();
        assert_eq!((status, code), (400, 10002), "{wrong}");
    }
    world
        .call(
            "PATCH",
            "/workflows/w/instances/one/status",
            r#"{"status":"terminate"}"#,
        )
        .await
        .result();
    for (never, text) in [
        ("status?is=complete", "reached status 'terminated'"),
        ("step?name=a", "without a result of step 'a'"),
    ] {
        let answered = wait(never).await;
        let (status, code, message) = answered.failure();
        assert_eq!(
            (status, code, message.as_str()),
            (409, 10498, "workflows.api.error.test.conflict")
        );
        assert!(
            answered.explanation().contains(text),
            "{}",
            answered.explanation()
        );
    }
    let shown = send(&world, ("GET", &format!("{W}/instances/one")), "")
        .await
        .result();
    assert_eq!(
        (&shown["status"], &shown["error"]),
        (&"terminated".into(), &serde_json::Value::Null)
    );
}

#[tokio::test]
async fn a_session_is_the_only_one() {
    let world = with_tests().await;
    let sessions = format!("{W}/sessions");
    let begun = send(&world, ("POST", &sessions), "").await.result();
    let session = format!("{sessions}/{}", begun["session"].as_str().unwrap());
    assert_eq!(send(&world, ("POST", &sessions), "").await.failure().0, 409);
    create(&world, "one").await;
    let shown = send(&world, ("GET", &session), "").await.result();
    assert_eq!(shown["instances"], serde_json::json!(["one"]));
    let modify = r#"{"modifiers":[{"disableSleeps":{}}]}"#;
    send(&world, ("POST", &format!("{session}/modifiers")), modify)
        .await
        .result();
    send(&world, ("DELETE", &session), "").await.result();
    for method in ["GET", "DELETE"] {
        assert_eq!(
            send(&world, (method, &session), "").await.failure().0,
            409,
            "{method}"
        );
    }
    let gone = send(&world, ("GET", &format!("{W}/instances/one")), "").await;
    assert_eq!(gone.failure().1, 10400);
    send(&world, ("POST", &sessions), "").await.result();
}

#[tokio::test]
async fn other_methods_and_paths_are_told_apart() {
    let world = with_tests().await;
    for (method, path) in [
        ("PUT", CLOCK.to_owned()),
        ("GET", format!("{W}/sessions")),
        ("POST", format!("{W}/sessions/x")),
        ("GET", format!("{W}/sessions/x/modifiers")),
        ("POST", format!("{W}/instances/x")),
        ("GET", format!("{W}/instances/x/modifiers")),
        ("POST", format!("{W}/instances/x/status")),
        ("DELETE", format!("{W}/instances/x/step")),
    ] {
        assert_eq!(
            send(&world, (method, &path), "").await.failure().0,
            405,
            "{method} {path}"
        );
    }
    for path in [
        "/cairn/v1/test".to_owned(),
        "/cairn/v1/test/".to_owned(),
        "/cairn/v1/test/clock/x".to_owned(),
        W.to_owned(),
        format!("{W}/instances"),
        format!("{W}/instances/%zz"),
        format!("{W}/instances/a/nope"),
        "/cairn/v1/test/accounts//workflows/w/sessions".to_owned(),
    ] {
        assert_eq!(send(&world, ("GET", &path), "").await.failure().0, 404, "{path}");
    }
    // Disposal of what is not there is fine.
    send(&world, ("DELETE", &format!("{W}/instances/x")), "")
        .await
        .result();
}
