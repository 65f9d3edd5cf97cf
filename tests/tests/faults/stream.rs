//! A stream as large as an instance may keep.
//!
//! `CAIRN_TEST_STREAM_MEBIBYTES=1000` is the full form.

use crate::watch::{create, ended, memory, path, serve, size};
use cairn_tests::{Scratch, cairn};
use serde_json::json;
use std::time::Instant;

const FLOWS: &str = r#"
    import { WorkflowEntrypoint } from 'cloudflare:workers';
    const stream = (mebibytes) => {
        let at = 0;
        return new ReadableStream({ pull(c) { if (at === mebibytes) c.close(); else c.enqueue(new Uint8Array(1 << 20).fill(at++ % 251)); } });
    };
    export class Flow extends WorkflowEntrypoint {
        async run({ payload: { mebibytes } }, step) {
            const made = await step.do('make', { retries: { limit: 0, delay: 0 } }, async () => stream(mebibytes));
            return await step.do('read', { retries: { limit: 0, delay: 0 } }, async () => {
                let bytes = 0, sum = 0;
                for await (const chunk of made) { bytes += chunk.length; sum += chunk[0] + chunk[chunk.length - 1]; }
                return { bytes, isSummed: sum > 0 };
            });
        }
    }
    export default {};
"#;

#[tokio::test]
async fn a_very_large_stream_costs_little_memory_and_one_too_large_is_an_error() {
    let mebibytes = size("CAIRN_TEST_STREAM_MEBIBYTES", 48);
    let data = Scratch::new();
    let limit = format!("limits.state_bytes={}", (mebibytes + 24) << 20);
    let (server, rest) = serve(&cairn!(), data.path(), &[&limit]).await;
    rest.deploy("flow", "Flow", FLOWS).await;
    let begun = Instant::now();
    create(&rest, "flow", "large", json!({ "mebibytes": mebibytes })).await;
    let large = ended(&rest, "flow", "large").await;
    assert_eq!(large["status"], "complete", "{large}");
    let output = json!({ "bytes": mebibytes << 20, "isSummed": true });
    assert_eq!(large["output"], output.to_string());
    println!("{mebibytes} MiB written and read in {:?}", begun.elapsed());

    // By HTTP, from outside.
    let begun = Instant::now();
    let raw = rest
        .raw(&format!("{}/step?name=make-1&type=step", path("flow", "large")))
        .await;
    assert_eq!(raw.status, 200);
    assert_eq!(raw.body.len() as u64, mebibytes << 20);
    let piece = |at: usize| raw.body.get(at << 20).copied();
    assert!((0..usize::try_from(mebibytes).unwrap()).all(|at| piece(at) == Some((at % 251) as u8)));
    println!("downloaded in {:?}", begun.elapsed());

    let ours = memory(server.pid(), "VmHWM");
    let theirs = server
        .children()
        .into_iter()
        .map(|pid| memory(pid, "VmHWM"))
        .max()
        .unwrap_or(0);
    println!("the most memory: cairn {ours} MiB, workerd {theirs} MiB");
    assert!(ours < 300, "cairn has had {ours} MiB");
    assert!(theirs < 600, "workerd has had {theirs} MiB");

    create(&rest, "flow", "more", json!({ "mebibytes": mebibytes + 32 })).await;
    let more = ended(&rest, "flow", "more").await;
    assert_eq!(more["status"], "errored", "{more}");
    let message = more["error"]["message"].as_str().unwrap();
    assert!(message.contains("storage limit"), "{message}");
    server.stop().await.expect(0);
}
