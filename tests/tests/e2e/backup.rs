//! Backups of a server under load, and what becomes of them: each goes on where it was, whole.

use cairn_tests::{Rest, Running, Scratch, cairn, within};
use reqwest::Method;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const STEPS: u64 = 12;
const BACKUPS: usize = 3;
/// Instances that are under way when the first backup is taken, and between two.
const BATCH: usize = 25;

/// Each step builds on the one before; some return more than fits into a row, one waits for the others, some fail first.
const SOURCE: &str = r#"
import { WorkflowEntrypoint } from "cloudflare:workers";

const RETRY = { retries: { limit: 3, delay: 5, backoff: "constant" } };

export class Chain extends WorkflowEntrypoint {
  async run(event, step) {
    let sum = event.payload.n;
    const seen = [];
    for (let i = 1; i <= 12; i += 1) {
      sum = await step.do(`add ${i}`, RETRY, async ({ attempt }) => {
        await scheduler.wait((event.payload.n * 7 + i * 13) % 30);
        if (i % 5 === 0 && attempt === 1) throw new Error("the first attempt fails");
        return sum + i;
      });
      seen.push(sum);
      if (i % 4 === 0) await step.sleep(`nap ${i}`, 40);
    }
    const large = await step.do("large", async () => "x".repeat(20_000 + event.payload.n));
    const pair = await Promise.all([1, 2].map((side) => step.do(`side ${side}`, async () => side * sum)));
    return { seen, pair, large: large.length, secret: this.env.KEY };
  }
}
export default {};"#;

fn expected(n: u64) -> Value {
    let seen: Vec<u64> = (1..=STEPS).map(|i| n + i * (i + 1) / 2).collect();
    let sum = seen[seen.len() - 1];
    json!({ "seen": seen, "pair": [sum, sum * 2], "large": 20_000 + n, "secret": "hidden" })
}

fn id(n: usize) -> String {
    format!("i{n:04}")
}

/// A server that makes its own token, or has one from before.
fn start(data: &Path) -> Running {
    let data = data.to_str().unwrap();
    cairn!().start(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data])
}

/// The token that a server shows at its first start.
fn token(server: &Running) -> String {
    let said = server.said();
    let word = said
        .split_whitespace()
        .find(|word| word.starts_with("cairn_") && !word.contains("::"));
    word.expect("the token is shown").to_owned()
}

/// Creates instances one after the other until it is told to end; how many are there.
fn create_on(rest: Rest, created: Arc<AtomicUsize>, ends: Arc<AtomicBool>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        while !ends.load(Ordering::SeqCst) {
            let n = created.load(Ordering::SeqCst);
            let body = json!({ "instance_id": id(n), "params": { "n": n } });
            rest.post("/workflows/chain/instances", &body).await.result();
            created.store(n + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
}

/// Ids of all instances.
async fn ids(rest: &Rest) -> Vec<String> {
    let mut ids = Vec::new();
    for page in 1.. {
        let answer = rest
            .get(&format!("/workflows/chain/instances?per_page=100&page={page}"))
            .await;
        let rows = answer.result().as_array().unwrap().clone();
        if rows.is_empty() {
            break;
        }
        ids.extend(rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
    }
    ids.sort();
    ids
}

/// Waits until an instance is complete; how many attempts its steps took, where each is to have its right result.
async fn complete(rest: &Rest, n: usize) -> usize {
    let path = format!("/workflows/chain/instances/{}", id(n));
    let details = within(Duration::from_secs(90), &format!("{path} completes"), || async {
        let details = rest.get(&path).await;
        let status = details.result()["status"].as_str().unwrap().to_owned();
        assert!(
            ["queued", "running", "waiting", "complete"].contains(&status.as_str()),
            "{}",
            details.body
        );
        (status == "complete").then_some(details)
    })
    .await;
    let details = details.result();
    let output: Value = serde_json::from_str(details["output"].as_str().unwrap()).unwrap();
    let expected = expected(n as u64);
    assert_eq!(output, expected, "{path}");
    let steps = details["steps"].as_array().unwrap();
    let mut attempts = 0;
    for step in steps.iter().filter(|step| step["type"] == "step") {
        assert_eq!(step["success"], true, "{step}");
        attempts += step["attempts"].as_array().unwrap().len();
        let name = step["name"].as_str().unwrap();
        if let Some(i) = name.strip_prefix("add ").and_then(|name| name.strip_suffix("-1")) {
            let i: usize = i.parse().unwrap();
            let shown = step["output"].as_str().map(str::to_owned);
            let shown = shown.unwrap_or_else(|| step["output"].to_string());
            assert_eq!(shown, expected["seen"][i - 1].to_string(), "{path} {name}");
        }
    }
    // Each step is there once.
    let mut names: Vec<&str> = steps.iter().filter_map(|step| step["name"].as_str()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!((names.len(), count), (18, 18), "{path}");
    attempts
}

async fn deploy(rest: &Rest) {
    let bindings = json!([{ "type": "secret_text", "name": "KEY", "text": "hidden" }]);
    rest.deploy_bound("chain", "Chain", (SOURCE, &bindings)).await;
}

/// Restores a backup into a new place, with the key of the secrets, and starts a server there.
async fn restore(backup: &Path, key: &Path, (data, token): (&Path, &str)) -> (Running, Rest) {
    let arguments = [
        "restore",
        backup.to_str().unwrap(),
        "--data-dir",
        data.to_str().unwrap(),
    ];
    let restored = cairn!().run(&arguments).await.expect(0);
    assert!(restored.stderr.contains("checked"), "{}", restored.stderr);
    // Without the key the server says what is missing.
    let refused = start(data).end().await.expect(2);
    assert!(refused.stderr.contains("secrets.key"), "{}", refused.stderr);
    fs::copy(key, data.join("secrets.key")).unwrap();
    let mut server = start(data);
    let rest = Rest::new(server.address().await, token);
    (server, rest)
}

#[tokio::test]
async fn backups_under_load_go_on_whole() {
    let (data, place) = (Scratch::new(), Scratch::new());
    let mut server = start(data.path());
    let address = server.address().await;
    let token = token(&server);
    let rest = Rest::new(address, &token);
    deploy(&rest).await;
    let (created, ends) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let creating = create_on(rest.clone(), Arc::clone(&created), Arc::clone(&ends));

    let mut taken = Vec::new();
    for number in 0..BACKUPS {
        let target = BATCH * (number + 1);
        within(Duration::from_secs(60), "instances are there", || async {
            (created.load(Ordering::SeqCst) >= target).then_some(())
        })
        .await;
        let folder = place.path().join(format!("backup {number}"));
        let before = created.load(Ordering::SeqCst);
        let arguments = ["backup", "--data-dir", data.text(), folder.to_str().unwrap()];
        cairn!().run(&arguments).await.expect(0);
        // One more may have been on its way.
        taken.push((folder, before, created.load(Ordering::SeqCst) + 1));
    }
    ends.store(true, Ordering::SeqCst);
    creating.await.unwrap();
    // The server that was backed up is ended as by a power cut, in the middle of its work.
    server.kill().await;

    let key = data.path().join("secrets.key");
    for (number, (folder, before, after)) in taken.iter().enumerate() {
        let new = place.path().join(format!("data{number}"));
        let (server, rest) = restore(folder, &key, (&new, &token)).await;
        let there = ids(&rest).await;
        assert!(
            (*before..=*after).contains(&there.len()),
            "{before} {after} {}",
            there.len()
        );
        // Whatever was confirmed before the backup began is in it, and nothing has holes.
        assert_eq!(there, (0..there.len()).map(id).collect::<Vec<_>>());
        let mut attempts = 0;
        for n in 0..there.len() {
            attempts += complete(&rest, n).await;
        }
        println!("backup {number}: {} instances, {attempts} attempts", there.len());
        // The restored server is like any other.
        let late = json!({ "instance_id": "late", "params": { "n": 3 } });
        rest.post("/workflows/chain/instances", &late).await.result();
        server.stop().await.expect(0);
    }

    // What was killed goes on as well.
    let mut server = start(data.path());
    let rest = Rest::new(server.address().await, &token);
    for n in 0..created.load(Ordering::SeqCst) {
        complete(&rest, n).await;
    }
    server.stop().await.expect(0);
}

#[tokio::test]
async fn restoring_over_a_database_wants_to_be_meant() {
    let (data, place) = (Scratch::new(), Scratch::new());
    let (server, rest) = cairn!().serve(data.path()).await;
    let folder = place.path().join("backup");
    let folder = folder.to_str().unwrap();
    cairn!()
        .run(&["backup", "--data-dir", data.text(), folder])
        .await
        .expect(0);
    let again = cairn!()
        .run(&["backup", "--data-dir", data.text(), folder])
        .await
        .expect(2);
    assert!(again.stderr.contains("exists already"), "{}", again.stderr);

    rest.deploy("chain", "Chain", SOURCE).await;
    let restore = ["restore", folder, "--data-dir", data.text(), "--force"];
    let refused = cairn!().run(&restore).await.expect(2);
    assert!(
        refused.stderr.contains("in use by another cairn"),
        "{}",
        refused.stderr
    );
    server.stop().await.expect(0);
    let refused = cairn!().run(&restore[..4]).await.expect(2);
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    let done = cairn!().run(&restore).await.expect(0);
    assert!(done.stderr.contains("cairn.db.before-20"), "{}", done.stderr);

    let (server, rest) = cairn!().serve(data.path()).await;
    assert_eq!(
        rest.send(Method::GET, "/workflows/chain", None)
            .await
            .unwrap()
            .status,
        404
    );
    server.stop().await.expect(0);
}
