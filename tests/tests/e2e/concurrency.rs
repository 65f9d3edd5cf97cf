//! `concurrency.limit` with real processes: whoever runs is counted from outside.

use cairn_tests::{Rest, Scratch, cairn, until};
use reqwest::Method;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SOURCE: &str = r#"
import { WorkflowEntrypoint } from "cloudflare:workers";
export class Crowd extends WorkflowEntrypoint {
  async run(event, step) {
    const visit = (name) => step.do(name, async () => (await fetch(event.payload.door)).text());
    await visit("before");
    await step.sleep("nap", 300);
    return await visit("after");
  }
}
export default {};
"#;

/// A place that counts who is inside.
#[derive(Default)]
struct Place {
    inside: AtomicUsize,
    most: AtomicUsize,
    visits: AtomicUsize,
}

impl Place {
    async fn open() -> (Arc<Self>, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let place = Arc::new(Self::default());
        let host = Arc::clone(&place);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let host = Arc::clone(&host);
                tokio::spawn(async move { host.visit(stream).await });
            }
        });
        (place, address)
    }

    async fn visit(&self, mut stream: TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(inside, Ordering::SeqCst);
        self.visits.fetch_add(1, Ordering::SeqCst);
        // Long enough that any other that may run comes in meanwhile.
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.inside.fetch_sub(1, Ordering::SeqCst);
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        // The run may be gone.
        let _ = stream.write_all(answer).await;
    }
}

async fn limit(rest: &Rest, limit: u32) {
    let put = json!({ "script_name": "crowd", "class_name": "Crowd", "concurrency": { "limit": limit } });
    let put = rest.send(Method::PUT, "/workflows/crowd", Some(&put)).await;
    put.unwrap().result();
}

#[tokio::test]
async fn ten_instances_go_through_two_at_a_time() {
    let data = Scratch::new();
    let (server, rest) = cairn!().serve(data.path()).await;
    rest.deploy("crowd", "Crowd", SOURCE).await;
    limit(&rest, 2).await;
    let (place, address) = Place::open().await;
    let batch: Vec<Value> = (0..10)
        .map(
            |n| json!({ "instance_id": format!("i{n}"), "params": { "door": format!("http://{address}/") } }),
        )
        .collect();
    rest.post("/workflows/crowd/instances/batch", &json!(batch))
        .await
        .result();
    until("all ten are complete", || async {
        let counts = rest.get("/workflows/crowd").await.result()["instances"].clone();
        (counts["complete"] == 10).then_some(())
    })
    .await;
    assert_eq!(place.visits.load(Ordering::SeqCst), 20);
    assert_eq!(place.most.load(Ordering::SeqCst), 2);
    server.stop().await.expect(0);
}

#[tokio::test]
async fn a_killed_server_keeps_the_limit() {
    let data = Scratch::new();
    let (server, rest) = cairn!().serve(data.path()).await;
    rest.deploy("crowd", "Crowd", SOURCE).await;
    limit(&rest, 2).await;
    let (place, address) = Place::open().await;
    let batch: Vec<Value> = (0..6)
        .map(
            |n| json!({ "instance_id": format!("i{n}"), "params": { "door": format!("http://{address}/") } }),
        )
        .collect();
    rest.post("/workflows/crowd/instances/batch", &json!(batch))
        .await
        .result();
    until("some have begun", || async {
        (place.visits.load(Ordering::SeqCst) >= 3).then_some(())
    })
    .await;
    server.kill().await;
    until("nobody is inside", || async {
        (place.inside.load(Ordering::SeqCst) == 0).then_some(())
    })
    .await;
    let (server, rest) = cairn!().serve(data.path()).await;
    until("all six are complete", || async {
        let counts = rest.get("/workflows/crowd").await.result()["instances"].clone();
        (counts["complete"] == 6).then_some(())
    })
    .await;
    assert_eq!(place.most.load(Ordering::SeqCst), 2);
    server.stop().await.expect(0);
}
