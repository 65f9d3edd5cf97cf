//! Stopping in order: what is under way ends, what takes too long is attempted again, and the world is told.

use cairn_tests::{Cairn, Recorder, Reply, Rest, Running, Scratch, TOKEN, cairn, is_alive, until};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Two steps: the first takes as long as the recorder takes to answer.
const SOURCE: &str = r#"
import { WorkflowEntrypoint } from "cloudflare:workers";
export class Slow extends WorkflowEntrypoint {
  async run(event, step) {
    const first = await step.do("first", { retries: { limit: 3, delay: 0 } }, async ({ attempt }) => {
      const response = await fetch(event.payload.recorder + "first");
      return `${await response.text()} at attempt ${attempt}`;
    });
    const second = await step.do("second", async ({ attempt }) => {
      await fetch(event.payload.recorder + "second");
      return `at attempt ${attempt}`;
    });
    return [first, second];
  }
}
export default { async fetch() { await scheduler.wait(1500); return new Response("late"); } };"#;

const PATH: &str = "/workflows/slow/instances/one";

fn start(cairn: &Cairn, data: &Path, more: &[&str]) -> Running {
    let mut command = cairn.command(&["serve", "--listen", "127.0.0.1:0", "--egress", "any"]);
    command
        .args(["--data-dir", data.to_str().unwrap()])
        .args(more)
        .env("CAIRN_ROOT_TOKEN", TOKEN);
    Running::watch(command)
}

/// A recorder whose first answers take so long.
async fn slow(delay: Duration) -> Recorder {
    Recorder::start(move |_, request| {
        let delay = if request.path == "/first" {
            delay
        } else {
            Duration::ZERO
        };
        Reply::new(200, "answered").after(delay)
    })
    .await
}

/// Starts the instance and waits until its first step executes.
async fn begin(rest: &Rest, recorder: &Recorder) {
    rest.deploy("slow", "Slow", SOURCE).await;
    let create = json!({ "instance_id": "one", "params": { "recorder": recorder.url("/") } });
    rest.post("/workflows/slow/instances", &create).await.result();
    until("the step executes", || async {
        (!recorder.seen().is_empty()).then_some(())
    })
    .await;
}

/// The output, once complete, and the attempts of the steps.
async fn outcome(rest: &Rest) -> (Value, Vec<usize>) {
    let details = until("it completes", || async {
        let details = rest.get(PATH).await;
        (details.result()["status"] == "complete").then_some(details)
    })
    .await;
    let result = details.result();
    let output = serde_json::from_str(result["output"].as_str().unwrap()).unwrap();
    let steps = result["steps"].as_array().unwrap().iter();
    let attempts = steps.map(|step| step["attempts"].as_array().unwrap().len());
    (output, attempts.collect())
}

fn firsts(recorder: &Recorder) -> usize {
    recorder
        .seen()
        .iter()
        .filter(|seen| seen.path == "/first")
        .count()
}

/// Asks without a token: status and body.
async fn probe(address: SocketAddr, path: &str) -> (u16, Value) {
    let url = format!("http://{address}{path}");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = client.get(url).send().await.unwrap();
    let status = response.status().as_u16();
    (
        status,
        serde_json::from_str(&response.text().await.unwrap()).unwrap(),
    )
}

/// Follows the instance over a WebSocket.
async fn follow(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /client/v4/accounts/local{PATH}/subscribe HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(
        head.starts_with(b"HTTP/1.1 101"),
        "{}",
        String::from_utf8_lossy(&head)
    );
    stream
}

/// Reads frames to the end of the connection: the code and reason of the close frame.
async fn close_of(mut stream: TcpStream) -> (u16, String) {
    loop {
        let opcode = stream
            .read_u8()
            .await
            .expect("a close frame comes before the end")
            & 0x0f;
        let length = match stream.read_u8().await.unwrap() {
            126 => u64::from(stream.read_u16().await.unwrap()),
            127 => stream.read_u64().await.unwrap(),
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).await.unwrap();
        if opcode == 8 {
            let code = u16::from_be_bytes([payload[0], payload[1]]);
            return (code, String::from_utf8(payload[2..].to_vec()).unwrap());
        }
    }
}

#[tokio::test]
async fn a_step_under_way_ends_and_is_not_attempted_again() {
    let cairn = cairn!();
    let (data, recorder) = (Scratch::new(), slow(Duration::from_millis(1_500)).await);
    let mut server = start(&cairn, data.path(), &["--drain-delay", "1"]);
    let address = server.address().await;
    let rest = server.rest().await;
    begin(&rest, &recorder).await;
    let all_well = json!({ "status": "ok",
        "checks": { "database": "ok", "engine": "ok", "serving": "ok", "workerd": "ok" } });
    assert_eq!(probe(address, "/readyz").await, (200, all_well));
    let socket = follow(address).await;
    let children = server.children();
    assert!(!children.is_empty());
    let worker = tokio::spawn({
        let rest = rest.clone();
        async move { rest.worker("slow", "/").await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;

    server.signal(libc::SIGTERM);
    server.until_said("not ready any more").await;
    let (status, report) = probe(address, "/readyz").await;
    assert_eq!(
        (status, &report["status"], &report["checks"]["serving"]),
        (503, &json!("failing"), &json!("the server is stopping"))
    );
    assert_eq!(probe(address, "/healthz").await.0, 200);
    let (code, reason) = close_of(socket).await;
    assert_eq!(code, 1001, "{reason}");
    let ended = server.end().await.expect(0);
    assert!(ended.stderr.contains("no step is under way"), "{}", ended.stderr);
    // A request that was under way was answered, and nothing is left.
    assert_eq!(worker.await.unwrap(), (200, "late".into()));
    assert!(!children.iter().any(|pid| is_alive(*pid)));
    assert!(!data.path().join("cairn.db-wal").exists());

    let mut server = start(&cairn, data.path(), &[]);
    let (output, attempts) = outcome(&server.rest().await).await;
    assert_eq!(output, json!(["answered at attempt 1", "at attempt 1"]));
    assert_eq!((attempts, firsts(&recorder)), (vec![1, 1], 1));
    server.stop().await.expect(0);
}

#[tokio::test]
async fn a_step_that_takes_too_long_is_attempted_again() {
    let cairn = cairn!();
    let (data, recorder) = (Scratch::new(), slow(Duration::from_secs(4)).await);
    let mut server = start(&cairn, data.path(), &["--drain-timeout", "1"]);
    let rest = server.rest().await;
    begin(&rest, &recorder).await;
    let ended = server.stop().await.expect(0);
    assert!(
        ended
            .stderr
            .contains("they are attempted again after the next start"),
        "{}",
        ended.stderr
    );

    let mut server = start(&cairn, data.path(), &[]);
    let (output, attempts) = outcome(&server.rest().await).await;
    assert_eq!(output, json!(["answered at attempt 2", "at attempt 1"]));
    assert_eq!((attempts, firsts(&recorder)), (vec![2, 1], 2));
    server.stop().await.expect(0);
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let cairn = cairn!();
    let (data, recorder) = (Scratch::new(), slow(Duration::from_secs(60)).await);
    let mut server = start(&cairn, data.path(), &["--drain-timeout", "60"]);
    let rest = server.rest().await;
    begin(&rest, &recorder).await;
    server.signal(libc::SIGTERM);
    server.until_said("nobody new is let in").await;
    let begun = Instant::now();
    server.stop().await.expect(130);
    assert!(begun.elapsed() < Duration::from_secs(10));
}
