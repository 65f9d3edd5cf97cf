//! Very many events for one instance.
//!
//! `CAIRN_TEST_EVENTS=100000` is the full form.

use crate::watch::{create, ended, memory, path, serve, size};
use cairn_tests::{Rest, Scratch, cairn};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// One waits for events, one at a time, until it has seen `count`; one for none until the end.
const FLOWS: &str = r#"
    import { WorkflowEntrypoint } from 'cloudflare:workers';
    export class Flow extends WorkflowEntrypoint {
        async run({ payload: { count } }, step) {
            let sum = 0;
            for (let n = 0; n < count; n++) {
                const { payload } = await step.waitForEvent('one ' + n, { type: 'one', timeout: '1 hour' });
                if (payload.n !== n) throw new Error(`event ${payload.n} came as number ${n}`);
                sum += payload.n;
            }
            await step.waitForEvent('the end', { type: 'end', timeout: '1 hour' });
            return sum;
        }
    }
    export default {};
"#;

/// Sends events one after the other; how long the first and the last tenth took.
async fn send(rest: &Rest, id: &str, count: u64) -> (Duration, Duration) {
    let (path, tenth) = (format!("{}/events/one", path("flow", id)), count / 10);
    let (mut begun, mut first) = (Instant::now(), Duration::ZERO);
    for n in 0..count {
        if n == tenth {
            first = begun.elapsed();
        }
        if n == count - tenth {
            begun = Instant::now();
        }
        loop {
            let answer = rest.post(&path, &json!({ "n": n })).await;
            // Back-pressure says when to come again.
            if answer.status != 429 {
                answer.result();
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    (first, begun.elapsed())
}

async fn command(rest: &Rest, id: &str, status: &str) -> Value {
    let command = json!({ "status": status });
    let path = format!("{}/status", path("flow", id));
    let answer = rest.send(reqwest::Method::PATCH, &path, Some(&command)).await;
    answer.expect("the server answers").result().clone()
}

#[tokio::test]
async fn very_many_events_for_one_instance_cost_no_more_each_than_few() {
    let count = size("CAIRN_TEST_EVENTS", 3_000);
    let data = Scratch::new();
    let (server, rest) = serve(&cairn!(), data.path(), &["limits.steps=200000"]).await;
    rest.deploy("flow", "Flow", FLOWS).await;

    // One that wants none of them.
    create(&rest, "flow", "deaf", json!({ "count": 0 })).await;
    let (first, last) = send(&rest, "deaf", count).await;
    println!(
        "for one that wants none of {count}: first tenth {first:?}, last {last:?}, {} MiB",
        memory(server.pid(), "VmHWM")
    );
    assert!(
        last < first * 4 + Duration::from_secs(1),
        "first {first:?}, last {last:?}"
    );
    command(&rest, "deaf", "pause").await;
    // A power cut with all of them kept: they are still there.
    server.kill().await;
    let (server, rest) = serve(&cairn!(), data.path(), &["limits.steps=200000"]).await;
    let begun = Instant::now();
    command(&rest, "deaf", "resume").await;
    rest.post(&format!("{}/events/end", path("flow", "deaf")), &json!({}))
        .await
        .result();
    assert_eq!(ended(&rest, "flow", "deaf").await["status"], "complete");
    println!("taken up and ended in {:?}", begun.elapsed());

    // One that takes one after the other.
    create(&rest, "flow", "eager", json!({ "count": count })).await;
    let (first, last) = send(&rest, "eager", count).await;
    println!(
        "for one that takes {count}: first tenth {first:?}, last {last:?}, {} MiB",
        memory(server.pid(), "VmHWM")
    );
    rest.post(&format!("{}/events/end", path("flow", "eager")), &json!({}))
        .await
        .result();
    let eager = ended(&rest, "flow", "eager").await;
    assert_eq!(
        (&eager["status"], &eager["output"]),
        (&json!("complete"), &json!((count * (count - 1) / 2).to_string()))
    );
    assert!(
        last < first * 4 + Duration::from_secs(2),
        "first {first:?}, last {last:?}"
    );
    assert!(memory(server.pid(), "VmHWM") < 512);
    server.stop().await.expect(0);
}

#[tokio::test]
async fn more_than_an_instance_may_leave_unread_are_refused_and_none_accepted_is_lost() {
    let data = Scratch::new();
    // It is read again and again, but not as often as events come.
    let settings = ["limits.inbox_messages=5"];
    let (server, rest) = serve(&cairn!(), data.path(), &settings).await;
    rest.deploy("flow", "Flow", FLOWS).await;
    create(&rest, "flow", "full", json!({ "count": 0 })).await;
    let sent: Vec<_> = (0..400)
        .map(|n| {
            let (rest, path) = (rest.clone(), format!("{}/events/one", path("flow", "full")));
            tokio::spawn(async move { rest.post(&path, &json!({ "n": n })).await })
        })
        .collect();
    let mut refused = Vec::new();
    for sent in sent {
        let answer = sent.await.unwrap();
        if answer.status == 429 {
            refused.push(answer);
        } else {
            answer.result();
        }
    }
    assert!(!refused.is_empty(), "more came than the inbox holds");
    let told = refused[0].body.to_string();
    assert!(told.contains("limits.inbox_messages"), "{told}");
    // What was accepted is there, and there is room again.
    rest.post(&format!("{}/events/end", path("flow", "full")), &json!({}))
        .await
        .result();
    assert_eq!(ended(&rest, "flow", "full").await["status"], "complete");
    server.stop().await.expect(0);
}
