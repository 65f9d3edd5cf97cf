//! Every kind of error is produced by an HTTP request, and goes out with its own status, number and name (behaviour §1.4).
//!
//! A kind that is added does not compile here until it is said how it comes about.

use super::world::{Answered, METADATA, TOKEN, World};
use crate::access::Peer;
use crate::body::BodyLimits;
use axum::body::Body;
use axum::http::{Request, header};
use bytes::Bytes;
use cairn_api::ApiError;
use futures_util::stream;
use std::collections::BTreeMap;
use std::time::Duration;

/// How a kind comes about.
enum Came {
    /// As the answer to a request.
    Answered(Answered),
    /// Not by a request that a test could send; the test that covers it instead, and why.
    Otherwise(&'static str),
    /// Not at all, short of a defect; why.
    Never(&'static str),
}

impl From<Answered> for Came {
    fn from(answered: Answered) -> Self {
        Self::Answered(answered)
    }
}

/// Codes of behaviour §1.4 that cairn never answers with, and why.
const NEVER: [(u32, &str); 2] = [
    (10201, "the same as 10400, which is what is answered"),
    (10208, "schedules need no paid plan here"),
];

/// All codes of behaviour §1.4 with the statuses they may have.
const REFERENCE: [(u32, &[u16]); 15] = [
    (10001, &[500, 503, 504]),
    (10002, &[400, 408, 413]),
    (10200, &[404]),
    (10201, &[404]),
    (10208, &[403]),
    (10209, &[409]),
    (10300, &[404]),
    (10400, &[404]),
    (10401, &[409]),
    (10405, &[400]),
    (10415, &[400]),
    (7003, &[404]),
    (10000, &[401, 403]),
    (10090, &[404]),
    (10210, &[400]),
];

#[tokio::test]
async fn every_kind_of_error_comes_of_a_request() {
    let mut seen: BTreeMap<u32, Vec<u16>> = BTreeMap::new();
    for error in ApiError::ALL {
        match Box::pin(produce(error)).await {
            Came::Answered(answered) => {
                let (status, code, message) = answered.failure();
                assert_eq!(
                    (status, code),
                    (error.status(), u64::from(error.code())),
                    "{error:?}: {}",
                    answered.text
                );
                match error.name() {
                    Some(name) => {
                        assert_eq!(message, name, "{error:?}");
                        assert!(!answered.explanation().is_empty(), "{error:?} is not explained");
                    }
                    None => assert!(!message.is_empty(), "{error:?} says nothing"),
                }
                seen.entry(error.code()).or_default().push(status);
            }
            Came::Otherwise(how) => assert!(how.contains("::"), "{error:?}: {how:?} names no test"),
            Came::Never(why) => assert!(!why.is_empty(), "{error:?}"),
        }
    }
    for (code, statuses) in REFERENCE {
        let never = NEVER.iter().any(|(known, _)| *known == code);
        let produced = seen.get(&code).map(Vec::as_slice).unwrap_or_default();
        assert_eq!(never, produced.is_empty(), "{code}");
        assert!(
            produced.iter().all(|status| statuses.contains(status)),
            "{code}: {produced:?}"
        );
    }
}

async fn produce(error: ApiError) -> Came {
    match error {
        ApiError::NoRoute => get("/d1/database").await,
        ApiError::MethodNotAllowed => call("DELETE", "/workflows", "").await,
        ApiError::Authentication => ask("wrong", "/client/v4/user").await,
        ApiError::NotAllowed => not_allowed().await,
        ApiError::TokenNotFound => ask(TOKEN, "/cairn/v1/tokens/nope").await,
        ApiError::TooManyFailures => too_many_failures().await,
        ApiError::ForeignOrigin => foreign_origin().await,
        ApiError::Internal => internal().await,
        ApiError::Unavailable => uploaded(METADATA, "unavailable").await,
        ApiError::OutcomeUnknown => Came::Otherwise(UNREAD),
        ApiError::Body => call("PUT", "/workflows/w", "{").await,
        ApiError::BodyTooLarge => body_too_large().await,
        ApiError::BodyTimeout => body_timeout().await,
        ApiError::ScriptNotFound => get("/workers/scripts/nope/versions").await,
        ApiError::ServiceNotFound => get("/workers/services/nope").await,
        ApiError::ScriptInvalid => uploaded(METADATA, "throw 1").await,
        ApiError::InheritInvalid => inherit_invalid().await,
        ApiError::ScriptInUse => script_in_use().await,
        ApiError::SecretNotFound => get_deployed("/workers/scripts/s/secrets/nope").await,
        ApiError::SettingsNotDeployed => settings_not_deployed().await,
        ApiError::LatestNotDeployed => latest_not_deployed().await,
        ApiError::SecretsChanged => secrets_changed().await,
        ApiError::NoVersions => Came::Never("a script comes with its first version, and its newest stays"),
        ApiError::WorkflowNotFound => get("/workflows/nope").await,
        ApiError::WorkflowNotDeployed => workflow_not_deployed().await,
        ApiError::JurisdictionImmutable => jurisdiction_immutable().await,
        ApiError::VersionNotFound => get_deployed("/workflows/w/versions/nope").await,
        ApiError::InstanceNotFound => get_deployed("/workflows/w/instances/nope").await,
        ApiError::StepNotFound => step_not_found().await,
        ApiError::CannotTerminate => changed(&[TERMINATE, TERMINATE]).await,
        ApiError::CannotResume => changed(&[r#"{"status":"resume"}"#]).await,
        ApiError::CannotRestart => changed(&[r#"{"status":"restart","from":{"name":"nope"}}"#]).await,
        ApiError::InstanceExists => created(World::deployed().await, 2).await,
        ApiError::DuplicateInBatch => duplicate_in_batch().await,
        ApiError::InboxFull => inbox_full().await,
        ApiError::CreationRate => creation_rate().await,
        ApiError::Overloaded => Came::Otherwise(OVERLOADED),
        ApiError::QueueFull => queue_full().await,
        ApiError::StorageLimit => storage_limit().await,
        ApiError::TestConflict => test_conflict().await,
        ApiError::KeyNotFound => get("/workflows/concurrency/nope").await,
        ApiError::KeyExists => key_exists().await,
        ApiError::NotSupported => not_supported().await,
    }
}

const UNREAD: &str = "failures::every_engine_error_has_its_place: an inbox that is not read for a minute";
const OVERLOADED: &str =
    "failures::every_engine_error_has_its_place: more on its way into the store than may be";
const TERMINATE: &str = r#"{"status":"terminate"}"#;

async fn get(path: &str) -> Came {
    World::new().await.get(path).await.into()
}

async fn get_deployed(path: &str) -> Came {
    World::deployed().await.get(path).await.into()
}

async fn call(method: &str, path: &str, body: &str) -> Came {
    World::deployed().await.call(method, path, body).await.into()
}

async fn ask(token: &str, path: &str) -> Came {
    World::new().await.ask(token, ("GET", path), "").await.into()
}

/// An upload, as the answer says it.
async fn uploaded(metadata: &str, code: &str) -> Came {
    let world = World::new().await;
    let script = ("PUT", "/workers/scripts/s");
    world.upload(script, (metadata, code)).await.into()
}

async fn not_allowed() -> Came {
    let world = World::deployed().await;
    let (_, reader) = world
        .token(r#"{"name":"r","scope":"read","accounts":["acc"]}"#)
        .await;
    let delete = ("DELETE", "/client/v4/accounts/acc/workflows/w");
    world.ask(&reader, delete, "").await.into()
}

async fn too_many_failures() -> Came {
    let world = World::new().await;
    for _ in 0..10_000 {
        let request = Request::builder()
            .uri("/client/v4/user")
            .header(header::AUTHORIZATION, "Bearer wrong")
            .extension(Peer("192.0.2.1:4711".parse().unwrap()))
            .body(Body::empty())
            .unwrap();
        let answered = world.send(request).await;
        if answered.status != 401 {
            return answered.into();
        }
    }
    panic!("10,000 wrong tokens were answered");
}

async fn foreign_origin() -> Came {
    let request = Request::builder()
        .uri("/client/v4/user")
        .header(header::HOST, "evil.example")
        .body(Body::empty())
        .unwrap();
    World::open().await.send(request).await.into()
}

/// A defect, in the middle of a request to a Worker.
async fn internal() -> Came {
    let world = World::panicking().await;
    let script = ("PUT", "/workers/scripts/s");
    world.upload(script, (METADATA, "export {}")).await.result();
    let request = Request::builder()
        .uri("/")
        .header(header::HOST, "s.localhost")
        .body(Body::empty())
        .unwrap();
    world.send(request).await.into()
}

async fn body_too_large() -> Came {
    let world = World::limited(BodyLimits {
        json_bytes: 10,
        ..BodyLimits::default()
    })
    .await;
    let body = format!("{{\"params\":\"{}\"}}", "x".repeat(100));
    world.call("POST", "/workflows/w/instances", &body).await.into()
}

async fn body_timeout() -> Came {
    let world = World::limited(BodyLimits {
        arrival: Duration::ZERO,
        ..BodyLimits::default()
    })
    .await;
    let never = stream::pending::<Result<Bytes, std::io::Error>>();
    let request = Request::builder()
        .method("POST")
        .uri("/client/v4/accounts/acc/workflows/w/instances")
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .body(Body::from_stream(never))
        .unwrap();
    world.send(request).await.into()
}

async fn inherit_invalid() -> Came {
    let metadata = r#"{"main_module":"index.js","compatibility_date":"2026-08-01",
        "bindings":[{"type":"inherit","name":"NOPE"}]}"#;
    uploaded(metadata, "export {}").await
}

/// Another script is bound to a workflow of this one.
async fn script_in_use() -> Came {
    let world = World::deployed().await;
    let metadata = r#"{"main_module":"index.js","compatibility_date":"2026-08-01",
        "bindings":[{"type":"workflow","name":"W","workflow_name":"w","class_name":"MyWorkflow","script_name":"s"}]}"#;
    let other = ("PUT", "/workers/scripts/other");
    world.upload(other, (metadata, "export {}")).await.result();
    world.call("DELETE", "/workers/scripts/s", "").await.into()
}

/// A world whose script has a newer version that is not deployed.
async fn undeployed() -> World {
    let world = World::deployed().await;
    let versions = ("POST", "/workers/scripts/s/versions");
    world.upload(versions, (METADATA, "export { a }")).await.result();
    world
}

async fn settings_not_deployed() -> Came {
    let world = undeployed().await;
    let form = "------b\r\nContent-Disposition: form-data; name=\"settings\"\r\n\r\n{\"compatibility_date\":\"2026-09-01\"}\r\n------b--\r\n";
    let request = Request::builder()
        .method("PATCH")
        .uri("/client/v4/accounts/acc/workers/scripts/s/settings")
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=----b")
        .body(Body::from(form))
        .unwrap();
    world.send(request).await.into()
}

const SECRET: &str = r#"{"name":"KEY","text":"other","type":"secret_text"}"#;

async fn latest_not_deployed() -> Came {
    let world = undeployed().await;
    world
        .call("PUT", "/workers/scripts/s/secrets", SECRET)
        .await
        .into()
}

/// Back to a version from before a secret was changed.
async fn secrets_changed() -> Came {
    let world = World::deployed().await;
    let deployments = "/workers/scripts/s/deployments";
    let deployed = world.get(deployments).await.result();
    let first = &deployed["deployments"][0]["versions"][0]["version_id"];
    let put = world.call("PUT", "/workers/scripts/s/secrets", SECRET).await;
    put.result();
    let back = serde_json::json!({ "strategy": "percentage", "versions": [{ "version_id": first, "percentage": 100 }] });
    world.call("POST", deployments, &back.to_string()).await.into()
}

async fn workflow_not_deployed() -> Came {
    let world = World::new().await;
    let put = r#"{"script_name":"nope","class_name":"C"}"#;
    world.call("PUT", "/workflows/w", put).await.result();
    world.call("POST", "/workflows/w/instances", "{}").await.into()
}

async fn jurisdiction_immutable() -> Came {
    let world = World::new().await;
    let put = |place: &str| format!(r#"{{"script_name":"s","class_name":"C","jurisdiction":"{place}"}}"#);
    world.call("PUT", "/workflows/w", &put("eu")).await.result();
    world.call("PUT", "/workflows/w", &put("us")).await.into()
}

/// Creates the instance `one` so many times; the last answer.
async fn created(world: World, times: usize) -> Came {
    let create = async || {
        world
            .call("POST", "/workflows/w/instances", r#"{"instance_id":"one"}"#)
            .await
    };
    for _ in 1..times {
        create().await.result();
    }
    create().await.into()
}

async fn one() -> World {
    let world = World::deployed().await;
    world
        .call("POST", "/workflows/w/instances", r#"{"instance_id":"one"}"#)
        .await
        .result();
    world
}

async fn step_not_found() -> Came {
    let step = "/workflows/w/instances/one/step?name=nope-1&type=step";
    one().await.get(step).await.into()
}

/// Changes the status of an instance; all but the last must be done.
async fn changed(changes: &[&str]) -> Came {
    let world = one().await;
    let (last, before) = changes.split_last().unwrap();
    let path = "/workflows/w/instances/one/status";
    for change in before {
        world.call("PATCH", path, change).await.result();
    }
    world.call("PATCH", path, last).await.into()
}

async fn duplicate_in_batch() -> Came {
    let twice = r#"[{"instance_id":"x"},{"instance_id":"x"}]"#;
    World::deployed()
        .await
        .call("POST", "/workflows/w/instances/batch", twice)
        .await
        .into()
}

/// An event to an instance in whose inbox nothing has room.
async fn inbox_full() -> Came {
    let world = World::tuned(|settings| settings.inbox_messages = 0).await;
    world
        .call("POST", "/workflows/w/instances", r#"{"instance_id":"one"}"#)
        .await
        .result();
    world
        .call("POST", "/workflows/w/instances/one/events/go", "1")
        .await
        .into()
}

async fn creation_rate() -> Came {
    let world = World::tuned(|settings| settings.creations_per_second_workflow = 1).await;
    for _ in 0..1_000 {
        let answered = world.call("POST", "/workflows/w/instances", "{}").await;
        if answered.status != 200 {
            assert!(answered.headers.contains_key(header::RETRY_AFTER));
            return answered.into();
        }
    }
    panic!("1,000 instances were created, though one a second is the limit");
}

async fn queue_full() -> Came {
    let world = World::tuned(|settings| settings.queued_instances = 1).await;
    let batch = world
        .call("POST", "/workflows/w/instances/batch", "[{},{}]")
        .await;
    assert_eq!(batch.headers.get(header::RETRY_AFTER).unwrap(), "5");
    batch.into()
}

async fn storage_limit() -> Came {
    let world = World::tuned(|settings| settings.limits.state_bytes = 40).await;
    world
        .call("POST", "/workflows/w/instances", r#"{"instance_id":"one"}"#)
        .await
        .result();
    let event = format!("\"{}\"", "x".repeat(100));
    world
        .call("POST", "/workflows/w/instances/one/events/go", &event)
        .await
        .into()
}

/// Two sessions of one workflow.
async fn test_conflict() -> Came {
    let world = World::for_tests().await;
    let script = ("PUT", "/workers/scripts/s");
    world.upload(script, (METADATA, "export {}")).await.result();
    let put = r#"{"script_name":"s","class_name":"MyWorkflow"}"#;
    world.call("PUT", "/workflows/w", put).await.result();
    let sessions = ("POST", "/cairn/v1/test/accounts/acc/workflows/w/sessions");
    world.ask(TOKEN, sessions, "").await.result();
    world.ask(TOKEN, sessions, "").await.into()
}

const KEY: &str = r#"{"name":"payments","limit":2}"#;

async fn key_exists() -> Came {
    let world = World::new().await;
    world.call("POST", "/workflows/concurrency", KEY).await.result();
    world.call("POST", "/workflows/concurrency", KEY).await.into()
}

async fn not_supported() -> Came {
    let trigger = r#"[{"type":"r2.object.created","targets":[{"type":"workflow","workflow_name":"w","script_name":"s"}]}]"#;
    World::deployed()
        .await
        .call("PUT", "/triggers/s", trigger)
        .await
        .into()
}
