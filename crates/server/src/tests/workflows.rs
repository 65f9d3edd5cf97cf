//! Definitions of workflows and their versions.

use super::world::World;
use serde_json::json;

const FULL: &str = r#"{"script_name":"s","class_name":"MyWorkflow","limits":{"steps":20000},"concurrency":{"limit":7},
    "default_retention":{"success_retention":"3 days","error_retention":604800000},"jurisdiction":"eu"}"#;

#[tokio::test]
async fn put_shown_and_listed() {
    let world = World::deployed().await;
    let put = world.call("PUT", "/workflows/full", FULL).await.result();
    assert_eq!(
        (&put["name"], &put["triggered_on"], &put["is_deleted"]),
        (&json!("full"), &json!(null), &json!(0))
    );
    let shown = world.get("/workflows/full").await.result();
    assert_eq!((&shown["id"], &shown["jurisdiction"]), (&put["id"], &json!("eu")));
    assert_eq!(
        (&shown["instances"]["running"], &shown["script_deleted"]),
        (&json!(0), &json!(null))
    );
    let listed = world.get("/workflows?page=1&per_page=1").await.json();
    assert_eq!(
        (
            &listed["result"][0]["name"],
            &listed["result_info"]["total_count"]
        ),
        (&json!("full"), &json!(2))
    );
    assert_eq!(
        world.get("/workflows?page=3&per_page=1").await.result(),
        json!([])
    );
    assert_eq!(
        world
            .get("/workflows?search=ul")
            .await
            .result()
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn each_put_that_changes_something_is_a_version() {
    let world = World::deployed().await;
    let first = world.call("PUT", "/workflows/full", FULL).await.result();
    let same = world.call("PUT", "/workflows/full", FULL).await.result();
    assert_eq!(first, same);
    let changed = FULL.replace("20000", "20001");
    assert_ne!(changed, FULL);
    let second = world.call("PUT", "/workflows/full", &changed).await.result();
    assert_eq!(first["id"], second["id"]);
    let versions = world.get("/workflows/full/versions").await.result();
    assert_eq!(
        (&versions[0]["id"], &versions[1]["id"]),
        (&second["version_id"], &first["version_id"])
    );
    let path = format!(
        "/workflows/full/versions/{}",
        first["version_id"].as_str().unwrap()
    );
    let version = world.get(&path).await.result();
    assert_eq!(version["limits"], json!({ "steps": 20000 }));
    let retention = json!({ "success_retention": 259_200_000, "error_retention": 604_800_000 });
    assert_eq!(version["default_retention"], retention);
    let missing = world.get("/workflows/full/versions/nope").await.failure();
    assert_eq!(
        missing,
        (404, 10300, "workflows.api.error.version.not_found".into())
    );
}

#[tokio::test]
async fn what_cannot_be_put() {
    let world = World::deployed().await;
    let put = async |body: &str| world.call("PUT", "/workflows/x", body).await;
    for (bad, word) in [
        (r#"{"class_name":"C"}"#, "script_name"),
        (r#"{"script_name":"","class_name":"C"}"#, "script_name"),
        (
            r#"{"script_name":"s","class_name":"C","limits":{"steps":0}}"#,
            "limits.steps",
        ),
        (
            r#"{"script_name":"s","class_name":"C","default_retention":{"success_retention":"3d"}}"#,
            "3 days",
        ),
        (
            r#"{"script_name":"s","class_name":"C","jurisdiction":"moon"}"#,
            "eu",
        ),
    ] {
        let answered = put(bad).await;
        assert_eq!(answered.failure().1, 10002, "{bad}");
        assert!(
            answered.explanation().contains(word),
            "{bad}: {}",
            answered.explanation()
        );
    }
    assert_eq!(
        world.get("/workflows/x").await.failure().1,
        10200,
        "nothing is half-written"
    );
    world.call("PUT", "/workflows/full", FULL).await.result();
    let moved = world
        .call("PUT", "/workflows/full", &FULL.replace("\"eu\"", "\"us\""))
        .await;
    assert_eq!(moved.failure().1, 10209);
}

#[tokio::test]
async fn a_workflow_without_its_script() {
    let world = World::new().await;
    world
        .call(
            "PUT",
            "/workflows/w",
            r#"{"script_name":"s","class_name":"MyWorkflow"}"#,
        )
        .await
        .result();
    assert_eq!(world.get("/workflows/w").await.result()["script_deleted"], true);
    let answered = world.call("POST", "/workflows/w/instances", "{}").await;
    assert_eq!(
        answered.failure(),
        (400, 10210, "workflows.api.error.workflow.not_deployed".into())
    );
    assert!(answered.explanation().contains("\"s\""));
}

#[tokio::test]
async fn deleted_with_all_it_has() {
    let world = World::deployed().await;
    world
        .call("POST", "/workflows/w/instances", r#"{"instance_id":"one"}"#)
        .await
        .result();
    assert_eq!(
        world.call("DELETE", "/workflows/w", "").await.result(),
        json!({ "status": "ok", "success": true })
    );
    assert_eq!(world.get("/workflows/w").await.failure().1, 10200);
    assert_eq!(world.call("DELETE", "/workflows/w", "").await.failure().1, 10200);
}

#[tokio::test]
async fn accounts_do_not_see_each_other() {
    let world = World::deployed().await;
    let request = axum::http::Request::builder()
        .uri("/client/v4/accounts/other/workflows/w")
        .header("authorization", "Bearer secret")
        .body(axum::body::Body::empty())
        .unwrap();
    assert_eq!(world.send(request).await.failure().1, 10200);
}

#[tokio::test]
async fn settings_of_the_account() {
    let world = World::new().await;
    let shown = world.get("/workflows/settings").await.result();
    assert_eq!(shown["default_retention"]["success_retention"], 604_800_000);
    let patch = async |body: &str| world.call("PATCH", "/workflows/settings", body).await;
    assert_eq!(patch("{}").await.result(), shown);
    let success = patch(r#"{"default_retention":{"success_retention":"2 days"}}"#).await;
    let expected = json!({ "success_retention": 172_800_000, "error_retention": 604_800_000 });
    assert_eq!(success.result()["default_retention"], expected);
    let error = patch(r#"{"default_retention":{"error_retention":1000}}"#).await;
    let expected = json!({ "success_retention": 172_800_000, "error_retention": 1_000 });
    assert_eq!(error.result()["default_retention"], expected);
    assert_eq!(
        world.get("/workflows/settings").await.result()["default_retention"],
        expected
    );
    for wrong in [r#"{"default_retention":{"error_retention":0}}"#, "7"] {
        assert_eq!(patch(wrong).await.failure().0, 400, "{wrong}");
    }
    assert_eq!(
        world.call("PUT", "/workflows/settings", "{}").await.failure().0,
        405
    );
}
