//! Cloudflare's TypeScript SDK: every method of its workflows resources, in `tests/clients/workflows.mjs`.

use crate::sdk::World;
use cairn_tests::Wrangler as Installed;
use tokio::process::Command;

#[tokio::test]
async fn every_method_of_the_typescript_sdk() {
    let Some(installed) = Installed::typescript_sdk("workflows.mjs") else {
        return;
    };
    let mut script = Command::new(installed.node);
    script.args(["--test-reporter", "spec"]).arg(installed.script);
    World::start().await.passes(script).await;
}
