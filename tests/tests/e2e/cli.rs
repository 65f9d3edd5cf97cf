//! The command as a client of a server, for people without wrangler: from deploying to deleting, and what it says when something is wrong.

use cairn_tests::{Cairn, Ended, Running, Scratch, TOKEN, cairn, example};
use serde_json::Value;
use std::net::SocketAddr;
use std::process::Command;

/// A server, and commands that talk to it.
struct Desk {
    cairn: Cairn,
    server: Running,
    address: SocketAddr,
    _data: Scratch,
}

impl Desk {
    async fn open() -> Self {
        let data = Scratch::new();
        let cairn = cairn!();
        let mut server = cairn.start_server(data.path());
        let address = server.address().await;
        Self {
            cairn,
            server,
            address,
            _data: data,
        }
    }

    fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.cairn.command(arguments);
        command
            .env("CAIRN_URL", format!("http://{}", self.address))
            .env("CAIRN_API_TOKEN", TOKEN);
        Running::watch(command)
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).end().await
    }

    /// The one line of JSON that a command prints.
    async fn json(&self, arguments: &[&str]) -> Value {
        let ended = self.run(&[arguments, &["--json"]].concat()).await.expect(0);
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stdout))
    }

    /// What a command prints that goes well.
    async fn out(&self, arguments: &[&str]) -> String {
        self.run(arguments).await.expect(0).stdout
    }

    /// What a command tells that cannot be carried out; it prints nothing.
    async fn refused(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments).await.expect(2);
        assert_eq!(ended.stdout, "", "nothing but a result goes there");
        ended.stderr
    }

    async fn deploy(&self, name: &str) {
        let project = example(name);
        self.run(&["deploy", project.to_str().unwrap()]).await.expect(0);
    }

    async fn close(self) {
        self.server.stop().await.expect(0);
    }
}

/// Panics unless `said` has all of these.
fn has(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
}

#[tokio::test]
async fn an_instance_from_deploying_to_deleting() {
    let desk = Desk::open().await;
    let project = example("approval");
    let path = project.to_str().unwrap();
    let plan = desk.json(&["deploy", path, "--dry-run"]).await;
    assert_eq!(plan["workflows"][0]["name"], "approval");
    assert_eq!(desk.out(&["workflows", "list", "--json"]).await, "");
    let deployed = desk.out(&["deploy", path]).await;
    let url = format!("http://approval.localhost:{}/", desk.address.port());
    has(&deployed, &["approval", "Approval", &url, "version"]);

    let triggered = [
        "workflows",
        "trigger",
        "approval",
        r#"{"request":"buy a boat"}"#,
        "--id",
        "boat",
    ];
    assert_eq!(desk.out(&triggered).await, "boat\n");
    let mut logs = desk.start(&["instances", "logs", "approval", "boat", "--follow"]);
    let so_far = [
        "instances",
        "logs",
        "approval",
        "boat",
        "--event",
        "wait_started",
        "--json",
    ];
    let waits = cairn_tests::until("the instance waits for its event", || async {
        let told = desk.out(&so_far).await;
        (!told.is_empty()).then_some(told)
    })
    .await;
    let waits: Value = serde_json::from_str(&waits).unwrap();
    assert_eq!(
        (&waits["stepName"], &waits["eventType"]),
        (&"decision-1".into(), &"decision".into())
    );

    let shown = desk.out(&["instances", "describe", "approval", "latest"]).await;
    has(
        &shown,
        &[
            "boat",
            "✓ ask-1",
            "… decision-1",
            "waits for event \"decision\", 2 d 23 h left",
        ],
    );
    assert_eq!(
        desk.json(&["instances", "describe", "approval", "boat"]).await["step_count"],
        2
    );
    assert!(logs.try_end().is_none(), "what is followed goes on");

    decide(&desk, logs).await;
    desk.close().await;
}

/// Sends the event that the instance waits for, looks at its result, and deletes it.
async fn decide(desk: &Desk, logs: Running) {
    let payload = Scratch::with(&[("decision.json", r#"{"approved":true,"by":"Grace"}"#)]);
    let payload = format!("@{}/decision.json", payload.text());
    let sent = [
        "instances",
        "send-event",
        "approval",
        "boat",
        "decision",
        &payload,
    ];
    has(&desk.out(&sent).await, &["Sent event \"decision\" to boat."]);
    let told = logs.end().await.expect(0).stdout;
    has(
        &told,
        &[
            "started {\"request\":\"buy a boat\"}",
            "decision-1  got its event",
            "✓ completed {\"question\"",
        ],
    );
    let output = desk.out(&["instances", "output", "approval", "boat"]).await;
    let output: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(output["by"], "Grace");
    let step = ["instances", "output", "approval", "boat", "--step", "ask"];
    assert_eq!(desk.out(&step).await, "\"May we buy a boat?\"\n");
    let listed = desk
        .json(&[
            "instances",
            "list",
            "approval",
            "--status",
            "complete",
            "--since",
            "1h",
        ])
        .await;
    assert_eq!(listed["id"], "boat");

    let delete = ["instances", "delete", "approval", "--all-finished"];
    has(
        &desk.refused(&delete).await,
        &["Delete instance \"boat\"", "--yes"],
    );
    has(
        &desk.out(&[&delete[..], &["--yes"]].concat()).await,
        &["Deleted boat."],
    );
}

const FLOW: &str = r#"
    import { WorkflowEntrypoint } from "cloudflare:workers";
    export class Flow extends WorkflowEntrypoint {
      async run(event, step) {
        const given = event.payload;
        if (given === "fail") throw new RangeError("too much");
        await step.do("first", async () => 1);
        if (given === "stay") await step.waitForEvent("go on", { type: "go" });
        return { given, secret: this.env.WORD ?? null };
      }
    }
    export default {};"#;

async fn flow(desk: &Desk, more: &[&str]) {
    let project = Scratch::project("flow", "Flow", FLOW);
    desk.run(&[&["deploy", project.text()], more].concat())
        .await
        .expect(0);
}

#[tokio::test]
async fn the_end_of_an_instance_is_the_end_of_the_command() {
    let desk = Desk::open().await;
    let secrets = Scratch::with(&[("secrets.env", "WORD=hush\n")]);
    let file = format!("{}/secrets.env", secrets.text());
    flow(&desk, &["--secrets-file", &file, "--message", "one"]).await;
    // A secret stays when it is not given again.
    flow(&desk, &[]).await;
    let done = desk
        .run(&["workflows", "trigger", "flow", "[1.50,\"a\"]", "--wait"])
        .await
        .expect(0);
    assert_eq!(done.stdout, "{\"given\":[1.5,\"a\"],\"secret\":\"hush\"}\n");
    has(&done.stderr, &["✓ first-1 done"]);
    let failed = desk
        .run(&["workflows", "trigger", "flow", "\"fail\"", "--id", "f", "--wait"])
        .await
        .expect(1);
    assert_eq!(failed.stdout, "");
    has(&failed.stderr, &["RangeError: too much"]);
    has(
        &desk
            .run(&["instances", "logs", "flow", "f", "--follow"])
            .await
            .expect(1)
            .stdout,
        &["✗ failed: RangeError: too much"],
    );
    has(
        &desk
            .run(&["instances", "output", "flow", "f"])
            .await
            .expect(1)
            .stderr,
        &["RangeError: too much"],
    );
    let versions = desk.out(&["workflows", "versions", "flow", "--json"]).await;
    assert!(
        !versions.is_empty() && versions.lines().all(|line| line.starts_with("{\"id\":")),
        "{versions}"
    );
    desk.close().await;
}

#[tokio::test]
async fn instances_are_steered() {
    let desk = Desk::open().await;
    flow(&desk, &[]).await;
    for id in ["a", "b"] {
        desk.run(&["workflows", "trigger", "flow", "--params", "\"stay\"", "--id", id])
            .await
            .expect(0);
    }
    let waits = ["instances", "list", "flow", "--status", "waiting", "--json"];
    cairn_tests::until("both wait", || async {
        (desk.out(&waits).await.lines().count() == 2).then_some(())
    })
    .await;
    let paused = desk.out(&["instances", "pause", "flow", "a", "b"]).await;
    has(&paused, &["Paused a: ", "Paused b: "]);
    let resumed = desk
        .run(&["instances", "resume", "flow", "a", "nobody", "b", "--json"])
        .await
        .expect(1);
    let lines: Vec<Value> = resumed
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3, "{resumed:?}");
    assert_eq!(
        (&lines[1]["id"], &lines[1]["error"]["code"]),
        (&"nobody".into(), &10400.into())
    );
    let restarted = [
        "instances",
        "restart",
        "flow",
        "a",
        "--from-step",
        "go on",
        "--from-type",
        "waitForEvent",
    ];
    has(&desk.out(&restarted).await, &["Restarted a: "]);
    let ended = desk.out(&["instances", "terminate", "flow", "a"]).await;
    has(&ended, &["Terminated a: terminated."]);
    has(
        &desk.refused(&["instances", "terminate", "flow", "a"]).await,
        &["Terminating \"a\" was refused", "cairn instances describe"],
    );
    has(
        &desk
            .out(&["instances", "terminate", "flow", "--all", "--yes"])
            .await,
        &["that have not ended, in the background"],
    );
    has(
        &desk.out(&["workflows", "describe", "flow"]).await,
        &["flow", "Flow", "instances"],
    );
    let delete = ["workflows", "delete", "flow"];
    has(
        &desk.refused(&delete).await,
        &["Delete workflow \"flow\" with", "--yes"],
    );
    desk.run(&[&delete[..], &["--yes"]].concat()).await.expect(0);
    has(
        &desk.run(&["workflows", "list"]).await.expect(0).stderr,
        &["There are no workflows"],
    );
    desk.close().await;
}

#[tokio::test]
async fn what_is_wrong_is_told_with_what_to_do() {
    let desk = Desk::open().await;
    desk.deploy("hello").await;
    let said = async |arguments: &[&str]| desk.refused(arguments).await;
    has(
        &said(&["instances", "list", "helo"]).await,
        &[
            "There is no workflow \"helo\" in account \"local\"",
            "Did you mean hello?",
        ],
    );
    has(
        &said(&["instances", "describe", "hello", "nobody"]).await,
        &["nobody", "cairn instances list hello"],
    );
    has(
        &said(&["workflows", "trigger", "hello", "{name:Ada}"]).await,
        &["PARAMS is not JSON", "'{\"name\":\"Ada\"}'"],
    );
    has(
        &said(&["workflows", "trigger", "hello", "@/no/such/file"]).await,
        &["/no/such/file"],
    );
    has(
        &said(&["instances", "list", "hello", "--since", "soon"]).await,
        &["--since is \"soon\"", "24h"],
    );
    has(
        &said(&["instances", "logs", "hello", "latest"]).await,
        &["has no instances", "cairn workflows trigger hello"],
    );
    has(
        &said(&["instances", "delete", "hello"]).await,
        &["--all-finished"],
    );
    has(
        &said(&["workflows", "list", "--url", "cairn.example"]).await,
        &["no address of a server", "https://"],
    );
    has(
        &said(&["workflows", "list", "--url", "http://127.0.0.1:1"]).await,
        &["There is no server at http://127.0.0.1:1", "cairn serve"],
    );

    let with_token = async |token: Option<&str>| {
        let mut command = desk.cairn.command(&["workflows", "list"]);
        command.env("CAIRN_URL", format!("http://{}/client/v4", desk.address));
        command.env_remove("CLOUDFLARE_API_TOKEN");
        if let Some(token) = token {
            command.env("CAIRN_API_TOKEN", token);
        }
        Running::watch(command).end().await.expect(2).stderr
    };
    has(&with_token(None).await, &["wants a token", "Set CAIRN_API_TOKEN"]);
    has(
        &with_token(Some("wrong")).await,
        &["does not take the token of CAIRN_API_TOKEN"],
    );
    desk.close().await;
}

#[tokio::test]
async fn a_server_with_a_certificate_of_its_own_making_is_reached() {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
    let data = Scratch::with(&[
        ("cert.pem", &cert.pem()),
        ("key.pem", &signing_key.serialize_pem()),
    ]);
    let file = |name: &str| format!("{}/{name}", data.text());
    let (cert, key) = (file("cert.pem"), file("key.pem"));
    let mut serve = cairn!().command(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &file("data")]);
    serve
        .args(["--tls-cert", &cert, "--tls-key", &key])
        .env("CAIRN_ROOT_TOKEN", TOKEN);
    let mut server = Running::watch(serve);
    let said = server.until_said("/client/v4").await;
    let (_, address) = said.rsplit_once("https://").unwrap();
    let (address, _) = address.split_once("/client/v4").unwrap();
    let url = format!("https://{address}");
    let run = async |arguments: &[&str]| {
        let mut command = cairn!().command(arguments);
        command.env("CAIRN_API_TOKEN", TOKEN).env("CAIRN_URL", &url);
        Running::watch(command).end().await
    };
    has(
        &run(&["workflows", "list"]).await.expect(2).stderr,
        &["is not trusted", "--ca-file"],
    );
    let project = example("hello");
    let trusted = ["--ca-file", &cert];
    let project = ["deploy", project.to_str().unwrap()];
    run(&[&project[..], &trusted].concat()).await.expect(0);
    let trigger = ["workflows", "trigger", "hello", "{\"name\":\"Ada\"}"];
    run(&[&trigger[..], &trusted].concat()).await.expect(0);
    let logs = ["instances", "logs", "hello", "latest", "--follow"];
    has(
        &run(&[&logs[..], &trusted].concat()).await.expect(0).stdout,
        &["✓ completed"],
    );
    server.stop().await.expect(0);
}

#[tokio::test]
async fn the_doctor_finds_what_is_well_and_what_is_not() {
    let desk = Desk::open().await;
    let data = desk._data.text();
    let ended = desk
        .run(&["doctor", "--data-dir", data, "--json"])
        .await
        .expect(0);
    let states: Vec<(String, String)> = ended
        .stdout
        .lines()
        .map(|line| {
            let finding: Value = serde_json::from_str(line).unwrap();
            let text = |field: &str| finding[field].as_str().unwrap().to_owned();
            (text("check"), text("state"))
        })
        .collect();
    for check in ["workerd", "esbuild", "database", "server", "token"] {
        assert!(
            states.contains(&(check.into(), "ok".into())),
            "{check}: {}",
            ended.stdout
        );
    }
    for check in ["disk", "files", "memory", "clock"] {
        assert!(
            states.iter().any(|(name, _)| name == check),
            "{check}: {}",
            ended.stdout
        );
    }
    has(&ended.stdout, &["a server uses it; sound"]);

    let broken = Scratch::with(&[("cairn.db", &"no database ".repeat(1000))]);
    let ended = desk
        .run(&["doctor", "--data-dir", broken.text(), "--offline"])
        .await
        .expect(1);
    has(
        &ended.stdout,
        &["PROBLEM  database", "not an SQLite database", "--data-dir"],
    );
    let ended = desk
        .run(&["doctor", "--url", "http://127.0.0.1:1", "--data-dir", data])
        .await
        .expect(1);
    has(
        &ended.stdout,
        &["PROBLEM  server", "There is no server at", "cairn serve"],
    );
    desk.close().await;
}

#[tokio::test]
async fn completions_and_pages_of_the_manual_are_well_formed() {
    let folder = Scratch::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = cairn!().run(&["completions", shell]).await.expect(0).stdout;
        has(&script, &["send-event", "doctor"]);
        folder.write(shell, &script);
    }
    let bash = Command::new("bash")
        .arg("-n")
        .arg(folder.path().join("bash"))
        .status()
        .unwrap();
    assert!(bash.success());

    let dir = folder.path().join("man");
    cairn!()
        .run(&["man", "--dir", dir.to_str().unwrap()])
        .await
        .expect(0);
    for page in ["cairn.1", "cairn-deploy.1", "cairn-instances-send-event.1"] {
        let text = std::fs::read_to_string(dir.join(page)).unwrap();
        has(&text, &[".TH", ".SH NAME", ".SH SYNOPSIS"]);
    }
    has(&cairn!().run(&["man"]).await.expect(0).stdout, &[".TH cairn 1"]);
}
