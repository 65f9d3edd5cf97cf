//! Graphs of versions of workflows.

use super::world::{METADATA, World};
use serde_json::json;

/// A workflow of one step.
fn code(step: &str) -> String {
    format!(
        "import {{ WorkflowEntrypoint }} from \"cloudflare:workers\";
         export class MyWorkflow extends WorkflowEntrypoint {{
             async run(event, step) {{ await step.do(\"{step}\", {{ timeout: 1500 }}, async () => 1); }}
         }}"
    )
}

const BODY: &str = r#"{"script_name":"s","class_name":"MyWorkflow"}"#;

async fn deploy(world: &World, code: &str) {
    let path = ("PUT", "/workers/scripts/s");
    world.upload(path, (METADATA, code)).await.result();
}

#[tokio::test]
async fn of_the_code_that_was_deployed_when_the_version_was_made() {
    let world = World::new().await;
    deploy(&world, &code("first")).await;
    let first = world.call("PUT", "/workflows/w", BODY).await.result();
    deploy(&world, &code("second")).await;
    let second = world.call("PUT", "/workflows/w", BODY).await.result();
    let versions = world.get("/workflows/w/versions").await.result();
    assert_eq!(
        (&versions[0]["has_dag"], &versions[1]["has_dag"]),
        (&json!(true), &json!(true))
    );
    let config =
        json!({ "retries": { "limit": 5, "delay": 10_000, "backoff": "exponential" }, "timeout": 1500 });
    for (put, step) in [(first, "first"), (second, "second")] {
        let path = format!("/workflows/w/versions/{}", put["version_id"].as_str().unwrap());
        let version = world.get(&path).await.result();
        let expected = json!({
            "version": 1,
            "workflow": {
                "class_name": "MyWorkflow",
                "functions": {},
                "nodes": [{ "type": "step_do", "name": step, "config": config, "nodes": [] }],
                "payload": { "type": "unknown" },
            }
        });
        let graph = world.get(&format!("{path}/graph")).await.result();
        assert_eq!(graph["graph"], expected);
        for key in ["id", "workflow_id", "class_name", "created_on", "modified_on"] {
            assert_eq!(graph[key], version[key], "{key}");
        }
        let dag = world.get(&format!("{path}/dag")).await.result();
        assert_eq!((&dag["dag"], &dag["graph"]), (&expected, &json!(null)));
    }
}

#[tokio::test]
async fn null_where_it_cannot_be_known() {
    let world = World::new().await;
    let graph = async |put: &serde_json::Value| {
        let version = put["version_id"].as_str().unwrap();
        let path = format!("/workflows/w/versions/{version}");
        let has = world.get(&path).await.result()["has_dag"].clone();
        let graph = world.get(&format!("{path}/graph")).await.result();
        assert!(graph.as_object().unwrap().contains_key("graph"), "{graph}");
        assert_eq!(
            has,
            json!(!graph["graph"].is_null()),
            "has_dag says what is there"
        );
        graph["graph"].clone()
    };
    let put = world.call("PUT", "/workflows/w", BODY).await.result();
    assert!(graph(&put).await.is_null(), "there is no script");
    deploy(&world, &code("later")).await;
    assert_eq!(
        graph(&put).await["workflow"]["nodes"][0]["name"],
        "later",
        "the first that was deployed"
    );
    deploy(&world, &code("much later")).await;
    assert_eq!(
        graph(&put).await["workflow"]["nodes"][0]["name"],
        "later",
        "and it stays"
    );
    deploy(&world, "export const MyWorkflow = somethingElse;").await;
    let put = world.call("PUT", "/workflows/w", BODY).await.result();
    assert!(graph(&put).await.is_null(), "there is no class");
    let missing = world.get("/workflows/w/versions/none/graph").await.failure();
    assert_eq!((missing.0, missing.1), (404, 10300));
    assert_eq!(
        world.get("/workflows/none/versions/none/dag").await.failure().1,
        10200
    );
    let path = format!(
        "/workflows/w/versions/{}/graph",
        put["version_id"].as_str().unwrap()
    );
    assert_eq!(world.call("POST", &path, "{}").await.failure().0, 405);
}
