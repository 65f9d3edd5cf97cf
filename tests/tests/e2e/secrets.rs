//! The key of secrets: given, wrong, and missing.

use cairn_tests::{Running, Scratch, cairn};
use serde_json::json;

const ONE: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const TWO: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
const SOURCE: &str = "import { WorkflowEntrypoint } from \"cloudflare:workers\";
export class Flow extends WorkflowEntrypoint { async run() { return this.env.KEY; } }
export default { fetch: (_, env) => new Response(env.KEY) };";

/// A server with these keys: in the environment, and in a file.
fn serve(data: &Scratch, (key, file): (Option<&str>, Option<&str>)) -> Running {
    let data_dir = data.text().to_owned();
    let mut command = cairn!().command(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &data_dir]);
    command.env("CAIRN_ROOT_TOKEN", cairn_tests::TOKEN);
    if let Some(key) = key {
        command.env("CAIRN_SECRETS_KEY", key);
    }
    if let Some(file) = file {
        command.args(["--secrets-key-file", file]);
    }
    Running::watch(command)
}

#[tokio::test]
async fn a_database_is_served_with_its_own_key_alone() {
    let (data, keys) = (
        Scratch::new(),
        Scratch::with(&[("one", ONE), ("two", TWO), ("none", "short")]),
    );
    let file = |name: &str| keys.path().join(name).to_str().unwrap().to_owned();
    let mut server = serve(&data, (Some(ONE), None));
    let rest = server.rest().await;
    let bindings = json!([{ "type": "secret_text", "name": "KEY", "text": "unspeakable" }]);
    rest.deploy_bound("flow", "Flow", (SOURCE, &bindings)).await;
    assert_eq!(rest.worker("flow", "/").await, (200, "unspeakable".to_owned()));
    server.stop().await.expect(0);
    assert!(!data.path().join("secrets.key").exists(), "a key was given");

    for (given, expected) in [
        ((Some(TWO), None), "the key that was given is"),
        ((None, Some(file("two"))), "the key that was given is"),
        ((None, None), "no key was given"),
        ((Some("short"), None), "CAIRN_SECRETS_KEY is no key"),
        ((None, Some(file("none"))), "is no key"),
        ((None, Some(file("missing"))), "cannot be read"),
        ((Some(ONE), Some(file("one"))), "given twice"),
    ] {
        let (key, path) = &given;
        let ended = serve(&data, (*key, path.as_deref())).end().await.expect(2);
        assert!(ended.stderr.contains(expected), "{given:?}: {}", ended.stderr);
        assert!(
            !ended.stderr.contains(TWO) && !ended.stderr.contains("short\""),
            "{}",
            ended.stderr
        );
    }

    let mut server = serve(&data, (None, Some(&file("one"))));
    let rest = server.rest().await;
    assert_eq!(rest.worker("flow", "/").await, (200, "unspeakable".to_owned()));
    server.stop().await.expect(0);
}
