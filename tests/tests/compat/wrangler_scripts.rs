//! wrangler, unmodified: every command it has for versions, deployments, secrets and the end of a Worker.

use crate::harness::{CONFIGURATION, Said, Wrangler, set_up, source, until_status};
use cairn_tests::{Rest, Scratch};
use serde_json::Value;
use std::fs::File;
use std::process::Stdio;

const MODULE: &str = r#"import { WorkflowEntrypoint } from "cloudflare:workers";
export class CompatFlow extends WorkflowEntrypoint {
  async run(event, step) { await step.waitForEvent("answer", { type: "answer", timeout: "1 hour" }); return this.env.KEY ?? "none"; }
}
export default { fetch: (_, env) => new Response([env.KEY, env.SECOND, env.GREETING].map((it) => it ?? "-").join(" ")) };
"#;

/// Runs wrangler with this on its standard input, as scripts do.
async fn fed(wrangler: &Wrangler, input: &str, arguments: &str) -> Said {
    wrangler.project.write("input.txt", input);
    let words: Vec<&str> = arguments.split(' ').collect();
    let file = File::open(wrangler.project.path().join("input.txt")).unwrap();
    let output = wrangler
        .command(&words)
        .stdin(Stdio::from(file))
        .output()
        .await
        .unwrap();
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "wrangler {arguments}:\n{said}");
    Said(said)
}

async fn json(wrangler: &Wrangler, arguments: &str) -> Value {
    let said = wrangler.run(arguments).await.0;
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

async fn answers(rest: &Rest, expected: &str) {
    assert_eq!(rest.worker("compat", "/").await, (200, expected.to_owned()));
}

#[tokio::test]
async fn wrangler_puts_lists_and_deletes_secrets() {
    let data = Scratch::new();
    let Some((server, rest, wrangler)) = set_up(&data).await else {
        return;
    };
    wrangler.project.write("src/index.ts", MODULE);
    let missing = wrangler.ends(1, &["secret", "list"]).await;
    missing.has(&["Worker \"compat\" not found"]);
    fed(&wrangler, "unspeakable-one", "secret put KEY")
        .await
        .has(&["Creating new Worker \"compat\"", "Success! Uploaded secret KEY"])
        .lacks("unspeakable");
    wrangler.run("deploy").await.has(&["Uploaded compat"]);
    answers(&rest, "unspeakable-one - Hello").await;
    wrangler.project.write(
        "bulk.json",
        r#"{ "KEY": "unspeakable-two", "SECOND": "unspeakable-three" }"#,
    );
    wrangler
        .run("secret bulk bulk.json")
        .await
        .has(&["2 secrets successfully created"]);
    answers(&rest, "unspeakable-two unspeakable-three Hello").await;
    assert_eq!(
        json(&wrangler, "secret list").await,
        serde_json::json!([{ "name": "KEY", "type": "secret_text" }, { "name": "SECOND", "type": "secret_text" }])
    );
    wrangler
        .run("secret delete KEY")
        .await
        .has(&["Success! Deleted secret KEY"]);
    answers(&rest, "- unspeakable-three Hello").await;
    wrangler.project.write("secrets.env", "KEY=unspeakable-four\n");
    wrangler.run("deploy --secrets-file secrets.env").await;
    answers(&rest, "unspeakable-four unspeakable-three Hello").await;
    assert!(!server.said().contains("unspeakable"), "{}", server.said());
    for file in std::fs::read_dir(data.path()).unwrap() {
        let file = file.unwrap().path();
        let bytes = std::fs::read(&file).unwrap();
        let found = bytes.windows(11).any(|window| window == b"unspeakable");
        assert!(!found, "{} has a secret in it", file.display());
    }
    server.stop().await.expect(0);
}

#[tokio::test]
async fn wrangler_shows_versions_and_goes_back() {
    let data = Scratch::new();
    let Some((server, rest, wrangler)) = set_up(&data).await else {
        return;
    };
    wrangler.run("whoami").await.has(&["root@localhost", "local"]);
    wrangler.run("deploy --message first-message --tag v1").await;
    wrangler.project.write("src/index.ts", &source("two"));
    let second = wrangler.run("deploy --message second-message").await;
    let second = second.after("Current Version ID:");
    let versions = json(&wrangler, "versions list --json").await;
    let versions = versions.as_array().unwrap();
    assert_eq!(versions.len(), 2);
    let first = versions
        .iter()
        .find(|version| version["id"] != second.as_str())
        .unwrap();
    let first = first["id"].as_str().unwrap();
    wrangler.run("versions list").await.has(&[
        first,
        &second,
        "Author:      root@localhost",
        "Tag:         v1",
        "Message:     first-message",
        "Source:      Upload",
    ]);
    wrangler.run(&format!("versions view {first}")).await.has(&[
        first,
        "Handlers:             fetch",
        "Compatibility Date:   2026-11-01",
        "env.GREETING (\"Hello\")",
        "env.FLOW (CompatFlow)",
    ]);
    let status = wrangler.run("deployments status").await;
    status.has(&[
        &format!("(100%) {second}"),
        "Message:     second-message",
        "Wrangler",
    ]);
    wrangler
        .run("rollback --message back-again --yes")
        .await
        .has(&[&format!(
            "Worker Version {first} has been deployed to 100% of traffic"
        )]);
    answers(&rest, "one").await;
    wrangler.run("deployments list").await.has(&[
        "Message:     second-message",
        "Source:      Rollback",
        "Message:     back-again",
    ]);
    wrangler
        .run(&format!("rollback {second} --message forth"))
        .await
        .has(&["Performing rollback"]);
    answers(&rest, "two").await;
    assert_eq!(
        json(&wrangler, "deployments list --json")
            .await
            .as_array()
            .unwrap()
            .len(),
        4
    );
    wrangler
        .ends(1, &["deployments", "view"])
        .await
        .has(&["has been renamed `wrangler deployments status`"]);
    server.stop().await.expect(0);
}

#[tokio::test]
async fn wrangler_deploys_versions_by_hand() {
    let data = Scratch::new();
    let Some((server, rest, wrangler)) = set_up(&data).await else {
        return;
    };
    wrangler.project.write("src/index.ts", MODULE);
    wrangler.run("deploy").await;
    wrangler
        .run("versions upload --tag next --message to-come --var GREETING:Servus")
        .await
        .has(&["Worker Version ID:"]);
    answers(&rest, "- - Hello").await;
    let refused = wrangler
        .command(&["secret", "put", "KEY"])
        .output()
        .await
        .unwrap();
    let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        refused.contains("the latest version of your Worker isn't currently deployed"),
        "{refused}"
    );
    wrangler
        .run("versions deploy --version-tag next --message by-hand --yes")
        .await
        .has(&["Deployed compat version", "at 100%"]);
    answers(&rest, "- - Servus").await;
    fed(&wrangler, "hidden", "versions secret put KEY")
        .await
        .has(&["with secret KEY"]);
    answers(&rest, "- - Servus").await;
    wrangler
        .run("versions secret list --latest-version")
        .await
        .has(&["(0%)", "Secret Name: KEY"]);
    wrangler
        .project
        .write("bulk.json", r#"{ "SECOND": "too", "KEY": null }"#);
    wrangler
        .run("versions secret bulk bulk.json")
        .await
        .has(&["with 1 secret created and 1 secret deleted"]);
    let deleted = wrangler.run("versions secret delete SECOND").await;
    deleted.has(&["with deleted secret SECOND"]);
    let configuration = CONFIGURATION.replace(r#""vars": { "GREETING": "Hello" },"#, "");
    wrangler.project.write("wrangler.jsonc", &configuration);
    wrangler.run("deploy --keep-vars").await;
    answers(&rest, "- - Servus").await;
    wrangler
        .run("triggers deploy")
        .await
        .has(&["Deployed compat triggers", "workflow: compat-flow"]);
    server.stop().await.expect(0);
}

#[tokio::test]
async fn wrangler_deletes_a_worker_and_its_workflows_wait_for_it() {
    let data = Scratch::new();
    let Some((server, rest, wrangler)) = set_up(&data).await else {
        return;
    };
    wrangler.project.write("src/index.ts", MODULE);
    wrangler.project.write("secrets.env", "KEY=kept-to-the-end\n");
    wrangler.run("deploy --secrets-file secrets.env").await;
    wrangler.trigger("live", "Ada").await;
    until_status(&rest, "live", "waiting").await;
    wrangler
        .run("delete")
        .await
        .has(&["Successfully deleted compat"])
        .lacks("Could not check");
    assert_eq!(rest.worker("compat", "/").await.0, 404);
    let shown = rest.get("/workflows/compat-flow").await;
    assert_eq!(shown.result()["script_deleted"], true);
    let refused = wrangler.ends(1, &["workflows", "trigger", "compat-flow"]).await;
    refused.has(&["not_deployed", "it was deleted"]);
    wrangler
        .run("workflows instances send-event compat-flow live --type answer --payload 1")
        .await;
    let live = until_status(&rest, "live", "complete").await;
    assert_eq!(
        live["output"], "\"kept-to-the-end\"",
        "it went on with what it was started with"
    );
    wrangler.run("deploy").await;
    let shown = rest.get("/workflows/compat-flow").await;
    assert_eq!(shown.result()["script_deleted"], Value::Null);
    wrangler.trigger("new", "Ada").await;
    until_status(&rest, "new", "waiting").await;
    let other = CONFIGURATION
        .replace("\"name\": \"compat\"", "\"name\": \"other\"")
        .replace(
            "\"class_name\": \"CompatFlow\"",
            "\"class_name\": \"CompatFlow\", \"script_name\": \"compat\"",
        );
    wrangler.project.write("wrangler.other.jsonc", &other);
    wrangler.run("deploy --config wrangler.other.jsonc").await;
    let needed = wrangler.ends(1, &["delete"]).await;
    needed.has(&["\"other\" has a workflow binding \"FLOW\""]);
    wrangler
        .run("delete --force")
        .await
        .has(&["Successfully deleted compat"]);
    server.stop().await.expect(0);
}
