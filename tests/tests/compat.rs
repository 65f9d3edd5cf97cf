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

use cairn_tests::{Rest, Running, Scratch, Wrangler as Installed, cairn, until};
use serde_json::Value;
use std::process::Stdio;
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
    installed: Installed,
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

impl Wrangler {
    fn new(installed: Installed, base_url: String, token: &str) -> Self {
        let project = Scratch::with(&[
            ("wrangler.jsonc", CONFIGURATION),
            ("src/index.ts", &source("one")),
        ]);
        Self {
            installed,
            project,
            home: Scratch::new(),
            base_url,
            token: token.to_owned(),
        }
    }

    /// Runs wrangler with these arguments, which must end with this code.
    async fn ends(&self, code: i32, arguments: &[&str]) -> Said {
        let output = Command::new(&self.installed.node)
            .arg(&self.installed.script)
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
    let installed = Installed::installed()?;
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
async fn wrangler_rolls_back_and_restarts_from_a_step() {
    let data = Scratch::new();
    let Some((server, rest, wrangler)) = set_up(&data).await else {
        return;
    };
    let undone = source("one").replace("(one)`);", "(one)`, { rollback: async () => {} });");
    wrangler.project.write("src/index.ts", &undone);
    wrangler.run("deploy").await;
    wrangler.trigger("first", "Ada").await;
    let waiting = until_status(&rest, "first", "waiting").await;
    wrangler
        .run("workflows instances terminate compat-flow first --rollback")
        .await
        .has(&["first"]);
    let ended = until_status(&rest, "first", "terminated").await;
    assert_eq!(ended["rollback"]["outcome"], "complete", "{ended}");
    wrangler
        .run("workflows instances describe compat-flow first")
        .await
        .has(&["Terminated", "greet-1", "Hello, Ada (one)"]);

    let nowhere = "workflows instances restart compat-flow first --from-step-name nope";
    let words: Vec<&str> = nowhere.split(' ').collect();
    wrangler
        .ends(1, &words)
        .await
        .has(&["not found in execution history"]);
    wrangler
        .run("workflows instances restart compat-flow first --from-step-name nap --from-step-count 1 --from-step-type sleep")
        .await
        .has(&["was restarted"]);
    let again = until_status(&rest, "first", "waiting").await;
    assert_eq!(again["rollback"], Value::Null);
    assert_eq!(again["steps"][0]["start"], waiting["steps"][0]["start"]);
    assert_ne!(again["steps"][1]["start"], waiting["steps"][1]["start"]);
    server.stop().await.expect(0);
}

#[tokio::test]
async fn wrangler_deploys_workflows_that_are_exports() {
    let data = Scratch::new();
    let Some((server, rest, wrangler)) = set_up(&data).await else {
        return;
    };
    let configuration = CONFIGURATION.replace(
        r#""workflows": [{ "binding": "FLOW", "name": "compat-flow", "class_name": "CompatFlow" }]"#,
        r#""exports": { "CompatFlow": { "type": "workflow", "name": "compat-flow", "limits": { "steps": 50 } } }"#,
    );
    wrangler.project.write("wrangler.jsonc", &configuration);
    let fetch = "export default { fetch: async (_: Request, _env: Env, ctx: any) => new Response((await ctx.exports.CompatFlow.create({ id: \"first\", params: { name: \"Ada\" } })).id) };\n";
    let text = source("one");
    let begin = text.find("export default").unwrap();
    wrangler
        .project
        .write("src/index.ts", &format!("{}{fetch}", &text[..begin]));
    wrangler.run("deploy").await.has(&["Uploaded compat"]);
    assert_eq!(rest.worker("compat", "/").await, (200, "first".to_owned()));
    until_status(&rest, "first", "waiting").await;
    let versions = rest.get("/workflows/compat-flow/versions").await;
    assert_eq!(versions.result()[0]["limits"]["steps"], 50);
    wrangler.run("deploy").await.has(&["Uploaded compat"]);
    wrangler
        .run("workflows describe compat-flow")
        .await
        .has(&["CompatFlow"]);
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

#[tokio::test]
async fn wrangler_deploys_schedules() {
    let data = Scratch::new();
    let Some((server, rest, wrangler)) = set_up(&data).await else {
        return;
    };
    let deploy = async |schedules: &str, code| {
        let class = "\"class_name\": \"CompatFlow\"";
        let scheduled = CONFIGURATION.replace(class, &format!("{class}, \"schedules\": {schedules}"));
        wrangler.project.write("wrangler.jsonc", &scheduled);
        wrangler.ends(code, &["deploy"]).await
    };
    let crons = async || {
        let workflow = rest.get("/workflows/compat-flow").await;
        let schedules = workflow.result()["schedules"].as_array().unwrap().clone();
        schedules.into_iter().map(|schedule| schedule["cron"].clone())
    };
    deploy("\"0 7 * * MON-FRI\"", 0).await;
    assert!(crons().await.eq(["0 7 * * MON-FRI"]));
    deploy(r#"["*/30 9-17 L * *", "0 7 * * 2#1"]"#, 0).await;
    assert!(crons().await.eq(["*/30 9-17 L * *", "0 7 * * 2#1"]));
    let refused = deploy("\"0 7 * * 0\"", 1).await;
    refused.has(&["schedules[0].cron is \"0 7 * * 0\"", "1 (Sunday) to 7 (Saturday)"]);
    assert!(crons().await.eq(["*/30 9-17 L * *", "0 7 * * 2#1"]));
    server.stop().await.expect(0);
}
