//! Scripts: uploads, versions, deployments, and what wrangler asks around them.

use super::world::{METADATA, World};
use serde_json::json;

#[tokio::test]
async fn a_first_deploy() {
    let world = World::new().await;
    assert_eq!(
        world.get("/workers/services/s").await.failure(),
        (404, 10090, "workers.api.error.service_not_found".into())
    );
    for path in [
        "/workers/scripts/s/secrets",
        "/workers/scripts/s/deployments",
        "/workers/scripts/s/settings",
        "/workers/workers/s",
    ] {
        let failure = world.get(path).await.failure();
        assert_eq!((failure.0, failure.1), (404, 10007), "{path}");
    }
    assert!(world.get("/workers/subdomain").await.result()["subdomain"].is_string());
    let uploaded = world.upload(
        (
            "PUT",
            "/workers/scripts/s?excludeScript=true&bindings_inherit=strict",
        ),
        (METADATA, "export {}"),
    );
    let uploaded = uploaded.await.result();
    assert_eq!(
        (
            &uploaded["id"],
            &uploaded["startup_time_ms"],
            &uploaded["handlers"]
        ),
        (&json!("s"), &json!(7), &json!(["fetch"]))
    );
    let worker = world.get("/workers/workers/s").await.result();
    assert_eq!(
        worker["subdomain"],
        json!({ "enabled": true, "previews_enabled": false, "url": "http://s.localhost:8787/" })
    );
    let deployments = world.get("/workers/scripts/s/deployments").await.result();
    let deployed = json!([{ "version_id": uploaded["deployment_id"], "percentage": 100.0 }]);
    assert_eq!(deployments["deployments"][0]["versions"], deployed);
    assert_eq!(
        world.get("/workers/scripts/s/secrets").await.result(),
        json!([{ "name": "KEY", "type": "secret_text" }])
    );
    assert_eq!(
        world.get("/workers/services/s").await.result()["default_environment"]["script"]["last_deployed_from"],
        "api"
    );
}

#[tokio::test]
async fn secrets_are_never_shown() {
    let world = World::deployed().await;
    for path in [
        "/workers/scripts/s/settings",
        "/workers/scripts/s/versions",
        "/workers/scripts/s/secrets",
    ] {
        let answered = world.get(path).await;
        assert!(
            answered.text.contains("KEY") && !answered.text.contains("hidden"),
            "{}",
            answered.text
        );
    }
}

#[tokio::test]
async fn a_redeploy() {
    let world = World::deployed().await;
    let version = world
        .upload(
            ("POST", "/workers/scripts/s/versions?bindings_inherit=strict"),
            (METADATA, "export {}"),
        )
        .await
        .result();
    assert_eq!(
        (&version["number"], &version["startup_time_ms"]),
        (&json!(2), &json!(7))
    );
    assert!(version["resources"]["script"]["etag"].is_string());
    let before = world.get("/workers/scripts/s/deployments").await.result();
    assert_ne!(
        before["deployments"][0]["versions"][0]["version_id"], version["id"],
        "not deployed yet"
    );
    let deploy = json!({ "strategy": "percentage", "versions": [{ "version_id": version["id"], "percentage": 100 }], "annotations": {} });
    let deployed = world
        .call("POST", "/workers/scripts/s/deployments", &deploy.to_string())
        .await
        .result();
    assert_eq!(deployed["versions"][0]["version_id"], version["id"]);
    let path = format!("/workers/scripts/s/versions/{}", version["id"].as_str().unwrap());
    assert_eq!(world.get(&path).await.result()["number"], 2);
    world
        .call(
            "PATCH",
            "/workers/scripts/s/script-settings",
            r#"{"observability":{"enabled":false},"tags":[]}"#,
        )
        .await
        .result();
    assert_eq!(
        world
            .call("POST", "/workers/scripts/s/subdomain", r#"{"enabled":true}"#)
            .await
            .result()["enabled"],
        true
    );
}

#[tokio::test]
async fn deployments_that_cannot_be() {
    let world = World::deployed().await;
    let deploy = async |body: serde_json::Value| {
        world
            .call("POST", "/workers/scripts/s/deployments", &body.to_string())
            .await
    };
    let half = json!({ "version_id": "a", "percentage": 50 });
    assert_eq!(deploy(json!({ "versions": [half, half] })).await.failure().0, 400);
    assert_eq!(deploy(json!({ "versions": [half] })).await.failure().1, 10002);
    assert_eq!(deploy(json!({ "versions": [] })).await.failure().1, 10002);
    assert_eq!(
        deploy(json!({ "versions": [{ "version_id": "nope", "percentage": 100 }] }))
            .await
            .failure()
            .1,
        10300
    );
}

#[tokio::test]
async fn scripts_that_do_not_run_are_not_kept() {
    let world = World::new().await;
    let upload = async |metadata: &str, code: &str| {
        world
            .upload(("PUT", "/workers/scripts/s"), (metadata, code))
            .await
            .failure()
    };
    let (status, code, message) = upload(METADATA, "throw 1").await;
    assert_eq!((status, code), (400, 10021));
    assert!(message.starts_with("Uncaught Error: at start"), "{message}");
    let (_, code, message) = upload(&METADATA.replace("MyWorkflow", "Other"), "export {}").await;
    assert_eq!(code, 10021);
    assert!(
        message.contains("\"Other\"") && message.contains("MyWorkflow"),
        "{message}"
    );
    let (_, code, message) = upload(
        &METADATA.replace("secret_text\",\"name\":\"KEY", "d1\",\"name\":\"DB"),
        "export {}",
    )
    .await;
    assert_eq!(code, 10021);
    assert!(
        message.contains("\"DB\"") && message.contains("\"d1\""),
        "{message}"
    );
    assert_eq!(upload(METADATA, "unavailable").await.0, 503);
    assert_eq!(
        world.get("/workers/services/s").await.failure().1,
        10090,
        "nothing is half-written"
    );
}

#[tokio::test]
async fn uploads_that_are_none() {
    let world = World::new().await;
    assert_eq!(
        world.call("PUT", "/workers/scripts/s", "{}").await.failure().1,
        10002
    );
    let no_metadata = world.upload(("PUT", "/workers/scripts/s"), ("{}", "")).await;
    assert!(no_metadata.failure().2.contains("main_module"));
    let broken = world.upload(("PUT", "/workers/scripts/s"), ("{bad", "")).await;
    assert!(broken.failure().2.contains("\"metadata\""));
    let (_, code, message) = world
        .upload(("PUT", "/workers/scripts/a%20b"), (METADATA, ""))
        .await
        .failure();
    assert_eq!(code, 10021);
    assert!(message.contains("\"a b\""), "{message}");
}

#[tokio::test]
async fn workflows_declared_by_exports() {
    let world = World::new().await;
    let metadata = r#"{"main_module":"index.js","compatibility_date":"2026-08-01",
        "exports":{"MyWorkflow":{"type":"workflow","name":"declared","limits":{"steps":100}}}}"#;
    world
        .upload(("PUT", "/workers/scripts/s"), (metadata, "export {}"))
        .await
        .result();
    assert_eq!(
        world.get("/workflows/declared").await.result()["class_name"],
        "MyWorkflow"
    );
    let again = r#"{"script_name":"s","class_name":"MyWorkflow","limits":{"steps":100}}"#;
    world.call("PUT", "/workflows/declared", again).await.result();
    let missing = metadata.replace("MyWorkflow", "Missing");
    let (_, code, message) = world
        .upload(("PUT", "/workers/scripts/s"), (&missing, "export {}"))
        .await
        .failure();
    assert_eq!(code, 10021);
    assert!(message.contains("Missing"), "{message}");
}

#[tokio::test]
async fn triggers() {
    let world = World::deployed().await;
    assert_eq!(
        world.call("PUT", "/triggers/s", "[]").await.result(),
        json!({ "script_name": "s", "triggers": [] })
    );
    let event = r#"[{"type":"cf.artifacts.repo.created","targets":[]}]"#;
    let refused = world.call("PUT", "/triggers/s", event).await;
    assert_eq!(refused.failure().0, 400);
    assert!(refused.explanation().contains("cf.artifacts.repo.created"));
    world
        .call("PUT", "/workers/scripts/s/schedules", "[]")
        .await
        .result();
    let put = world
        .call("PUT", "/workers/scripts/s/schedules", r#"[{"cron":"* * * * *"}]"#)
        .await;
    assert_eq!(put.result()["schedules"][0]["cron"], "* * * * *");
    assert_eq!(
        world
            .call("PUT", "/workers/scripts/s/schedules", "1")
            .await
            .failure()
            .1,
        10002
    );
}
