//! Graphs over REST, of bundles as `cairn` makes and deploys them.

use cairn_tests::{Scratch, cairn, example};
use serde_json::{Value, json};

/// Kinds and names of all nodes, in order.
fn told(nodes: &Value, into: &mut Vec<String>) {
    for node in nodes.as_array().unwrap() {
        let name = node["name"].as_str().map(|name| format!(" {name}"));
        into.push(format!(
            "{}{}",
            node["type"].as_str().unwrap(),
            name.unwrap_or_default()
        ));
        for inner in ["try_block", "catch_block", "finally_block"] {
            if !node[inner].is_null() {
                told(&node[inner]["nodes"], into);
            }
        }
        if !node["nodes"].is_null() {
            told(&node["nodes"], into);
        }
    }
}

#[tokio::test]
async fn examples_have_the_graphs_of_their_sources() {
    let expected = [
        (
            "approval",
            json!([
                "step_do ask",
                "try",
                "step_wait_for_event decision",
                "step_do give up",
                "break",
                "step_do conclude"
            ]),
        ),
        (
            "fan-out",
            json!(["parallel", "loop", "step_do part ${...}", "step_do sum"]),
        ),
    ];
    for (name, nodes) in expected {
        let data = Scratch::new();
        let project = example(name);
        let arguments = [
            "dev",
            project.to_str().unwrap(),
            "--port",
            "0",
            "--data-dir",
            data.text(),
        ];
        let mut server = cairn!().start(&arguments);
        let rest = server.rest().await;
        let versions = rest.get(&format!("/workflows/{name}/versions")).await;
        let version = versions.result()[0].clone();
        assert_eq!(version["has_dag"], true, "{version}");
        let path = format!("/workflows/{name}/versions/{}", version["id"].as_str().unwrap());
        let graph = rest.get(&format!("{path}/graph")).await.result()["graph"].clone();
        let mut found = Vec::new();
        told(&graph["workflow"]["nodes"], &mut found);
        assert_eq!(json!(found), nodes, "{graph}");
        assert_eq!(rest.get(&format!("{path}/dag")).await.result()["dag"], graph);
        server.stop().await.expect(0);
    }
}
