//! Cloudflare's Python SDK: every method of its workflows resources, in `tests/clients/workflows.py`.

use crate::sdk::World;
use cairn_tests::{clients, python_tool};
use tokio::process::Command;

#[tokio::test]
async fn every_method_of_the_python_sdk() {
    let Some(python) = python_tool("python") else {
        return;
    };
    let mut script = Command::new(python);
    // No __pycache__ in the sources.
    script.arg("-B").arg(clients().join("workflows.py"));
    World::start().await.passes(script).await;
}
