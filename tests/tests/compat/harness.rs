//! wrangler as tests run it: a project, a home of its own, and a server it talks to.

use cairn_tests::{Rest, Running, Scratch, Wrangler as Installed, cairn, until};
use serde_json::Value;
use std::process::Stdio;
use tokio::process::Command;

/// A project with one workflow.
pub(crate) const CONFIGURATION: &str = r#"{
  // wrangler reads comments
  "name": "compat",
  "main": "src/index.ts",
  "compatibility_date": "2026-11-01",
  "vars": { "GREETING": "Hello" },
  "workflows": [{ "binding": "FLOW", "name": "compat-flow", "class_name": "CompatFlow" }],
}"#;

/// The module of the project; `mark` tells one deployment from another.
pub(crate) fn source(mark: &str) -> String {
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
pub(crate) struct Wrangler {
    installed: Installed,
    /// Where it works.
    pub(crate) project: Scratch,
    home: Scratch,
    base_url: String,
    /// What it shows to the server.
    pub(crate) token: String,
}

/// What wrangler printed.
pub(crate) struct Said(pub(crate) String);

impl Said {
    /// Panics unless it said all of these.
    pub(crate) fn has(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.0.contains(part), "no {part:?} in:\n{}", self.0);
        }
        self
    }

    /// Panics if it said this.
    pub(crate) fn lacks(self, part: &str) -> Self {
        assert!(!self.0.contains(part), "{part:?} in:\n{}", self.0);
        self
    }

    /// The rest of the line that begins so.
    pub(crate) fn after(&self, label: &str) -> String {
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
    /// A wrangler in a project of its own.
    pub(crate) fn new(installed: Installed, base_url: String, token: &str) -> Self {
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

    /// wrangler with these arguments, to be started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.installed.node);
        command
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
            .kill_on_drop(true);
        command
    }

    /// Runs wrangler with these arguments, which must end with this code.
    pub(crate) async fn ends(&self, code: i32, arguments: &[&str]) -> Said {
        let output = self.command(arguments).output().await.unwrap();
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
    pub(crate) async fn run(&self, arguments: &str) -> Said {
        let words: Vec<&str> = arguments.split(' ').collect();
        self.ends(0, &words).await
    }

    /// Starts an instance with a name to greet.
    pub(crate) async fn trigger(&self, id: &str, name: &str) {
        let params = format!("{{\"name\":\"{name}\"}}");
        let said = self
            .ends(0, &["workflows", "trigger", "compat-flow", &params, "--id", id])
            .await;
        said.has(&[&format!(
            "Workflow instance \"{id}\" has been queued successfully"
        )]);
    }
}

/// Waits for a status of an instance of the project; gives the instance.
pub(crate) async fn until_status(rest: &Rest, id: &str, status: &str) -> Value {
    until(&format!("{id} is {status}"), || async {
        let instance = rest.get(&format!("/workflows/compat-flow/instances/{id}")).await;
        (instance.result()["status"] == status).then(|| instance.result().clone())
    })
    .await
}

/// A server and a wrangler that talks to it; none, with a message, when wrangler is not installed.
pub(crate) async fn set_up(data: &Scratch) -> Option<(Running, Rest, Wrangler)> {
    let installed = Installed::installed()?;
    let (mut server, rest) = cairn!().serve(data.path()).await;
    let base_url = format!("http://{}/client/v4", server.address().await);
    let wrangler = Wrangler::new(installed, base_url, cairn_tests::TOKEN);
    Some((server, rest, wrangler))
}
