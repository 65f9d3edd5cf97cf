//! The server is what its OpenAPI description says: schemathesis makes requests of it, good and bad ones, and looks at the answers.
//!
//! With the other tests it makes the same few for each operation every time. For a long look:
//! `CAIRN_SCHEMATHESIS_SECONDS=600 cargo test -p cairn-cli --test compat openapi -- --nocapture`.

use crate::sdk::World;
use cairn_tests::{TOKEN, clients, python_tool, until};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::process::Command;

/// What must hold of every answer.
const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

/// Instances to be found, by what the Worker of `tests/clients` is to do.
const INSTANCES: [(&str, &str); 6] = [
    ("greeted", "greet"),
    ("asking", "ask"),
    ("failing", "fail"),
    ("sleeping", "nap"),
    ("outputs", "outputs"),
    ("other", "ask"),
];

/// Makes what requests are to find; the ids of instances and versions.
async fn prepare(world: &World) -> (Vec<String>, Vec<String>) {
    let rest = &world.rest;
    let expendable = json!({ "script_name": "clients", "class_name": "Orders" });
    let put = rest
        .send(reqwest::Method::PUT, "/workflows/expendable", Some(&expendable))
        .await;
    put.unwrap().result();
    for (id, mode) in INSTANCES {
        let create = json!({ "instance_id": id, "params": { "mode": mode } });
        rest.post("/workflows/clients-orders/instances", &create)
            .await
            .result();
    }
    until("the instances have come as far as they come", || async {
        let workflow = rest.get("/workflows/clients-orders").await;
        let counts = workflow.result()["instances"].clone();
        let is_so = |status: &str, count: u64| counts[status].as_u64() == Some(count);
        (is_so("waiting", 3) && is_so("complete", 2) && is_so("errored", 1)).then_some(())
    })
    .await;
    let mut ids: Vec<String> = INSTANCES.iter().map(|(id, _)| (*id).to_owned()).collect();
    ids.push(world.scheduled_id.clone());
    let versions = rest.get("/workflows/clients-orders/versions").await;
    let versions = versions.result().as_array().unwrap();
    let id = |version: &Value| version["id"].as_str().unwrap().to_owned();
    (ids, versions.iter().map(id).collect())
}

#[tokio::test]
async fn the_server_is_what_its_description_says() {
    let Some(schemathesis) = python_tool("schemathesis") else {
        return;
    };
    let world = World::start().await;
    let (instances, versions) = prepare(&world).await;
    let mut script = Command::new(schemathesis);
    script
        .current_dir(clients())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CAIRN_INSTANCE_IDS", instances.join("\n"))
        .env("CAIRN_VERSION_IDS", versions.join("\n"))
        .args(["--config-file", "schemathesis.toml", "run"])
        .arg(format!("{}/openapi.json", world.origin))
        .args(["--header", &format!("authorization: Bearer {TOKEN}")])
        .args(["--checks", CHECKS, "--continue-on-failure"]);
    match std::env::var("CAIRN_SCHEMATHESIS_SECONDS") {
        Ok(seconds) => {
            script.args(["--max-time", &seconds]);
            let seconds: u64 = seconds.parse().unwrap();
            let patience = Duration::from_secs(seconds * 2 + 60);
            println!("{}", world.passes_within(patience, script).await);
        }
        Err(_) => {
            // Without the tests that build on one another, which take as long as they are given.
            script.args([
                "--seed",
                "1",
                "--max-examples",
                "6",
                "--phases",
                "examples,coverage,fuzzing",
            ]);
            world.passes(script).await;
        }
    }
}
