//! Steps that return streams: stored, read again, sent raw.

use cairn_tests::{Rest, Scratch, cairn, example, until, within};
use serde_json::{Value, json};
use std::time::Duration;

async fn finished(rest: &Rest, workflow: &str, id: &str) -> Value {
    let path = format!("/workflows/{workflow}/instances/{id}");
    within(Duration::from_secs(150), "the instance ends", || async {
        let instance = rest.get(&path).await.result().clone();
        ["complete", "errored"]
            .contains(&instance["status"].as_str().unwrap())
            .then_some(instance)
    })
    .await
}

async fn create(rest: &Rest, workflow: &str, id: &str, params: Value) {
    let create = json!({ "instance_id": id, "params": params });
    rest.post(&format!("/workflows/{workflow}/instances"), &create)
        .await
        .result();
}

#[tokio::test]
async fn a_table_is_made_counted_and_downloaded() {
    let data = Scratch::new();
    let arguments = ["--id", "one", "--params", r#"{"rows":100000}"#];
    let ended = cairn!()
        .run_project(&example("stream"), data.path(), &arguments)
        .await
        .expect(0);
    assert_eq!(ended.stdout, "{\"bytes\":1642655,\"lines\":100001}\n");

    let (server, rest) = cairn!().serve(data.path()).await;
    let instance = "/workflows/export/instances/one";
    let raw = rest
        .raw(&format!("{instance}/step?name=make%20the%20table-1&type=step"))
        .await;
    assert_eq!(
        (raw.status, raw.content_type.as_deref()),
        (200, Some("application/octet-stream"))
    );
    let mut expected = "number,square\n".to_owned();
    for n in 0..100_000_u64 {
        expected.push_str(&format!("{n},{}\n", n * n));
    }
    assert!(raw.body == expected.as_bytes(), "{} bytes", raw.body.len());
    let shown = rest.get(instance).await.result()["steps"][0]["output"].clone();
    assert_eq!(
        shown.as_str().unwrap(),
        format!("{}[truncated output]", &expected[..1_024])
    );
    server.stop().await.expect(0);
}

const FLOWS: &str = r#"
    import { WorkflowEntrypoint } from 'cloudflare:workers';
    const bytes = (count) => {
        let at = 0;
        return new ReadableStream({ pull(c) { if (at === count) c.close(); else c.enqueue(new Uint8Array(100000).fill(at++ % 251 | 128)); } });
    };
    const sum = async (stream) => {
        let length = 0, sum = 0;
        for await (const chunk of stream) { length += chunk.length; for (let i = 0; i < chunk.length; i++) sum += chunk[i]; }
        return [length, sum];
    };
    export class Flow extends WorkflowEntrypoint {
        async run({ payload }, step) {
            const config = payload.sensitive ? { sensitive: 'output' } : {};
            const undo = { rollback: async ({ output }) => { await fetch(payload.url, { method: 'POST', body: JSON.stringify(await sum(output)) }); } };
            const made = await step.do('make', config, async () => bytes(payload.count), payload.url ? undo : undefined);
            if (payload.wait) await step.waitForEvent('go', { type: 'go', timeout: '1 hour' });
            if (payload.url) throw new Error('undo it');
            return await sum(made);
        }
    }
    export default {};
"#;

/// The sum of a stream of `FLOWS`.
fn expected(count: u64) -> String {
    let sum: u64 = (0..count).map(|at| ((at % 251) | 128) * 100_000).sum();
    format!("[{},{sum}]", count * 100_000)
}

#[tokio::test]
async fn a_stream_outlasts_a_server_that_is_killed() {
    let data = Scratch::new();
    let (server, rest) = cairn!().serve(data.path()).await;
    rest.deploy("flow", "Flow", FLOWS).await;
    create(&rest, "flow", "one", json!({ "count": 60, "wait": true })).await;
    let instance = "/workflows/flow/instances/one";
    until("the stream is made", || async {
        (rest.get(instance).await.result()["steps"][0]["success"] == true).then_some(())
    })
    .await;
    server.kill().await;

    let (server, rest) = cairn!().serve(data.path()).await;
    rest.post(&format!("{instance}/events/go"), &json!({}))
        .await
        .result();
    let done = finished(&rest, "flow", "one").await;
    assert_eq!(done["output"], expected(60));
    assert_eq!(
        done["steps"][0]["output"],
        "[ReadableStream (binary): 6000000 bytes]"
    );
    let deleted = rest
        .send(reqwest::Method::DELETE, instance, None)
        .await
        .expect("the server answers");
    deleted.result();
    let gone = rest.get(&format!("{instance}/step?name=make-1&type=step")).await;
    assert_eq!(gone.status, 404);
    server.stop().await.expect(0);
}

#[tokio::test]
async fn a_sensitive_stream_is_shown_nowhere() {
    let data = Scratch::new();
    let (server, rest) = cairn!().serve(data.path()).await;
    rest.deploy("flow", "Flow", FLOWS).await;
    create(&rest, "flow", "one", json!({ "count": 2, "sensitive": true })).await;
    let done = finished(&rest, "flow", "one").await;
    assert_eq!(done["output"], expected(2));
    assert_eq!(done["steps"][0]["output"], "[REDACTED]");
    let step = rest
        .get("/workflows/flow/instances/one/step?name=make-1&type=step")
        .await;
    assert_eq!(step.result()["output"], "[REDACTED]");
    server.stop().await.expect(0);
}

#[tokio::test]
async fn a_rollback_handler_reads_the_stream_of_its_step() {
    let data = Scratch::new();
    let undone = cairn_tests::Recorder::start(|_, _| cairn_tests::Reply::new(200, "")).await;
    let (server, rest) = cairn!().serve(data.path()).await;
    rest.deploy("flow", "Flow", FLOWS).await;
    create(
        &rest,
        "flow",
        "one",
        json!({ "count": 9, "url": undone.url("/undo") }),
    )
    .await;
    let done = finished(&rest, "flow", "one").await;
    assert_eq!(done["error"]["message"], "undo it");
    assert_eq!(done["rollback"]["outcome"], "complete");
    let bodies: Vec<String> = undone.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies, [expected(9)]);
    server.stop().await.expect(0);
}

/// Peak memory of a process, bytes.
#[cfg(target_os = "linux")]
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
}

/// How much larger a stream is makes no difference to what it costs in memory.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_large_stream_is_never_whole_in_memory() {
    const SMALL: u64 = 600;
    const LARGE: u64 = 2_400;
    let data = Scratch::new();
    let (server, rest) = cairn!().serve(data.path()).await;
    rest.deploy("flow", "Flow", FLOWS).await;
    create(&rest, "flow", "small", json!({ "count": SMALL })).await;
    assert_eq!(finished(&rest, "flow", "small").await["output"], expected(SMALL));
    let pids: Vec<u32> = server.children().into_iter().chain([server.pid()]).collect();
    let before: Vec<u64> = pids.iter().map(|pid| peak(*pid)).collect();
    create(&rest, "flow", "large", json!({ "count": LARGE })).await;
    assert_eq!(finished(&rest, "flow", "large").await["output"], expected(LARGE));
    let path = "/workflows/flow/instances/large/step?name=make-1&type=step";
    assert_eq!(rest.raw(path).await.body.len() as u64, LARGE * 100_000);
    let grown: Vec<u64> = pids
        .iter()
        .zip(before)
        .map(|(pid, before)| (peak(*pid) - before) >> 20)
        .collect();
    println!("grown by {grown:?} MiB");
    assert!(grown.iter().all(|mib| *mib < 90), "grown by {grown:?} MiB");
    server.stop().await.expect(0);
}
