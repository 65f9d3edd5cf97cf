//! `wrangler tail`: what a Worker logs, as it happens.

use crate::harness::{Wrangler, set_up};
use cairn_tests::Scratch;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

const SOURCE: &str = r#"import { WorkflowEntrypoint } from "cloudflare:workers";
export class CompatFlow extends WorkflowEntrypoint {
  async run(event, step) {
    await step.do("greet", async () => console.log("greeting", event.payload.name));
    throw new RangeError("enough");
  }
}
export default {
  fetch(request) {
    console.warn("asked for", new URL(request.url).pathname);
    if (request.url.endsWith("/boom")) throw new TypeError("no such thing");
    return new Response("here");
  },
};
"#;

/// `wrangler tail`, reading on.
struct Tail {
    lines: Lines<BufReader<ChildStdout>>,
    seen: String,
    _process: Child,
}

impl Tail {
    /// Starts it and waits until it listens.
    async fn start(wrangler: &Wrangler, options: &[&str]) -> Self {
        let arguments = [&["tail", "compat", "--format", "pretty"], options].concat();
        let mut process = wrangler
            .command(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut tail = Self {
            lines,
            seen: String::new(),
            _process: process,
        };
        tail.until("Connected to compat, waiting for logs...").await;
        tail
    }

    /// Waits for a line that has this part.
    async fn until(&mut self, part: &str) -> String {
        let found = tokio::time::timeout(Duration::from_secs(60), async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.seen.push_str(&line);
                self.seen.push('\n');
                if line.contains(part) {
                    return Some(line);
                }
            }
            None
        });
        match found.await {
            Ok(Some(line)) => line,
            Ok(None) => panic!("it ended without {part:?}:\n{}", self.seen),
            Err(_) => panic!("no {part:?} in:\n{}", self.seen),
        }
    }
}

#[tokio::test]
async fn a_tail_shows_requests_and_runs_as_they_happen() {
    let data = Scratch::new();
    let Some((server, rest, wrangler)) = set_up(&data).await else {
        return;
    };
    wrangler.project.write("src/index.ts", SOURCE);
    wrangler.run("deploy").await;
    // Its process has been told that nobody follows.
    assert_eq!(rest.worker("compat", "/before").await.0, 200);

    let mut all = Tail::start(&wrangler, &[]).await;
    let mut failures = Tail::start(&wrangler, &["--status", "error"]).await;
    assert_eq!(rest.worker("compat", "/first").await, (200, "here".to_owned()));
    let line = all.until("/first").await;
    assert!(line.contains("GET http://compat.localhost"), "{line}");
    assert!(line.contains(" - Ok @ "), "{line}");
    all.until("(warn) asked for /first").await;
    rest.worker("compat", "/boom").await;
    all.until("/boom - Exception Thrown").await;
    let line = failures.until("GET").await;
    assert!(line.contains("/boom - Exception Thrown"), "{line}");

    wrangler.trigger("one", "Ada").await;
    all.until("CompatFlow.run - Ok").await;
    all.until("(info) greeting Ada").await;
    all.until("CompatFlow.run - Exception Thrown").await;
    failures.until("CompatFlow.run - Exception Thrown").await;
    assert!(!all.seen.contains("/before"), "{}", all.seen);
    server.stop().await.expect(0);
}

#[tokio::test]
async fn a_tail_of_no_worker_says_so() {
    let data = Scratch::new();
    let Some((server, _rest, wrangler)) = set_up(&data).await else {
        return;
    };
    wrangler
        .ends(1, &["tail", "compat"])
        .await
        .has(&["This Worker does not exist on your account"]);
    server.stop().await.expect(0);
}
