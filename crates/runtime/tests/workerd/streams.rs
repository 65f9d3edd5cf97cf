//! Streams that callbacks return: sent in pieces, given back in pieces, never whole in memory.

use crate::harness::World;
use bytes::Bytes;
use cairn_core::{CallId, Origin, StepKey, StepKind};
use cairn_runtime::{CHUNK_BYTES, Command, Known, KnownStep, Outcome, ReportKind, StoredStream, Value};

/// `numbers(count, size)` is a stream of `count` chunks of `size` bytes; `sum(stream)` reads one to its end.
const TOOLS: &str = "
    const numbers = (count, size, seen = {}) => {
        let at = 0;
        return new ReadableStream({
            pull(controller) {
                if (at === count) return controller.close();
                seen.pulled = at + 1;
                controller.enqueue(new Uint8Array(size).fill(at++ % 251));
            },
            cancel(reason) { seen.cancelled = true; },
        });
    };
    const sum = async (stream) => {
        let bytes = 0, sum = 0, chunks = 0;
        for await (const chunk of stream) { chunks++; bytes += chunk.byteLength; for (let i = 0; i < chunk.length; i += 97) sum += chunk[i]; }
        return [bytes, chunks, sum];
    };
    const rejected = async (promise) => { try { await promise; return 'nothing'; } catch (error) { return `${error.constructor.name}: ${error.message}`; } };
";

fn world_of(body: &str) -> Option<World> {
    World::with_flow(&format!("{TOOLS}\n{body}"))
}

#[tokio::test]
async fn a_stream_comes_back_as_a_fresh_one() {
    let code = "
        const sizes = [[0, 1], [1, 5], [3, 100000], [1, 256 * 1024], [40, 262145], [1, 16 * 1024 * 1024]];
        const out = [];
        for (const [count, size] of sizes) {
            const stream = await step.do('s', async () => numbers(count, size));
            out.push(stream instanceof ReadableStream, stream.locked);
            const text = JSON.stringify((await sum(stream)).filter((_, i) => i !== 1));
            const same = JSON.stringify((await sum(numbers(count, size))).filter((_, i) => i !== 1));
            const skew = count > 1; // chunk borders move, and with them what is summed
            out.push(skew ? JSON.parse(text)[0] === count * size : text === same);
        }
        return out;";
    let Some(mut world) = world_of(code) else { return };
    let run = world.start("{}");
    let expected = format!("[{}]", ["true,false,true"; 6].join(","));
    assert_eq!(world.output(run).await, expected);
    let pieces = &world.streams[&5];
    assert_eq!(pieces.len(), 41);
    assert!(pieces[..40].iter().all(|piece| piece.len() == CHUNK_BYTES));
    assert_eq!(pieces[40].len(), 40 * 262_145 - 40 * CHUNK_BYTES);
    assert!(!world.streams.contains_key(&1) || world.streams[&1].is_empty());
}

#[tokio::test]
async fn the_content_is_kept_whatever_the_chunks() {
    let code = "
        const bytes = new Uint8Array(1000000); for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 31 + (i >> 8)) & 255;
        const chunks = [bytes.buffer.slice(0, 8), new Uint16Array(bytes.buffer, 8, 100), new Float64Array(bytes.buffer, 208, 1000),
            new Uint8Array(0), Buffer.from(bytes.buffer, 8208, 300001), bytes.subarray(308209)];
        const stream = await step.do('s', async () => new ReadableStream({ start(c) { chunks.forEach((chunk) => c.enqueue(chunk)); c.close(); } }));
        const back = new Uint8Array(await new Response(stream).arrayBuffer());
        const again = await step.do('bytes', async () => new ReadableStream({ type: 'bytes', start(c) { c.enqueue(bytes.slice(0, 3)); c.close(); } }));
        const reader = again.getReader();
        const first = await reader.read(), second = await reader.read();
        const piped = await step.do('native', async () => new Response('h\u{e9}llo').body);
        const text = await new Response(piped).text();
        return [back.length === bytes.length && back.every((byte, i) => byte === bytes[i]), first.value.length, second.done, text];";
    let mut spec = crate::harness::spec(&crate::harness::flow(&format!("{TOOLS}\n{code}")));
    spec.compatibility_flags.push("nodejs_compat".into());
    let Some(mut world) = World::with_spec(spec, |_| {}) else {
        return;
    };
    let run = world.start("{}");
    assert_eq!(world.output(run).await, "[true,3,true,\"héllo\"]");
}

#[tokio::test]
async fn what_cannot_be_read_ends_the_instance() {
    let locked =
        "is already locked or otherwise unreadable. Return a fresh, unlocked ReadableStream from step.do().";
    let unsupported = "Step returned a ReadableStream with unsupported chunk type. Only ArrayBuffer and TypedArray chunks are supported.";
    let cases = [
        ("const s = numbers(1, 1); s.getReader(); return s;", format!("Step returned a ReadableStream that {locked}")),
        (
            "return numbers(1, 16 * 1024 * 1024 + 1);",
            "Step returned a ReadableStream chunk larger than the maximum allowed size of 16777216 bytes. Return smaller chunks from step.do().".into(),
        ),
        ("return new ReadableStream({ start(c) { c.enqueue('text'); c.close(); } });", unsupported.into()),
        ("return new ReadableStream({ start(c) { c.enqueue(new DataView(new ArrayBuffer(8))); } });", unsupported.into()),
        ("return new ReadableStream({ start(c) { c.enqueue(1); } });", unsupported.into()),
        (
            "let n = 0; return new ReadableStream({ pull(c) { if (n++ < 3) c.enqueue(new Uint8Array(300000)); else c.error(new Error('broke')); } });",
            "Failed to read from step ReadableStream output. broke".into(),
        ),
    ];
    for (code, reason) in cases {
        let Some(mut world) = world_of(&format!("return await step.do('s', async () => {{ {code} }});"))
        else {
            return;
        };
        let run = world.start("{}");
        let ReportKind::Raised(raised) = world.finish(run).await else {
            panic!("{code}")
        };
        assert_eq!(raised.origin, Origin::Fatal);
        assert_eq!(
            (raised.error.name.as_str(), raised.error.message),
            (
                "WorkflowFatalError",
                format!(
                    "The execution of the Workflow instance was terminated, as the step \"s\" returned an invalid ReadableStream output. {reason}"
                )
            )
        );
    }
}

#[tokio::test]
async fn reading_waits_for_what_was_sent_to_be_kept() {
    let code = "
        const seen = {};
        const stream = step.do('s', async () => numbers(200, 256 * 1024, seen));
        await step.do('look', async () => { for (let i = 0; i < 50; i++) await scheduler.wait(1); return seen.pulled; });
        return await sum(await stream);";
    let Some(mut world) = world_of(code) else { return };
    let run = world.start("{}");
    // Nothing is kept: no more than a window comes.
    let (mut chunks, mut held) = (0, Vec::new());
    let pulled = loop {
        match world.next().await {
            ReportKind::Chunk { bytes, .. } => {
                chunks += 1;
                held.push(bytes);
            }
            ReportKind::AttemptSucceeded { output, .. } => break output.to_json_text(),
            ReportKind::Called(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(chunks, 16);
    assert!(pulled.parse::<u32>().unwrap() <= 19, "{pulled} chunks were read");
    world.streams.insert(1, held);
    world.perform([
        Command::Kept { run, chunks },
        Command::Settle {
            run,
            call: CallId(2),
            outcome: Outcome::Stored,
        },
    ]);
    let output = world.output(run).await;
    assert!(output.starts_with("[52428800,200,"), "{output}");
}

#[tokio::test]
async fn an_attempt_nobody_waits_for_stops_reading() {
    let code = "
        const seen = {};
        let attempt = 0;
        const stream = await step.do('s', async () => ++attempt === 1 ? numbers(1e9, 1000, seen) : numbers(2, 10));
        return [await sum(stream), seen.cancelled];";
    let Some(mut world) = world_of(code) else { return };
    let run = world.start("{}");
    loop {
        match world.next().await {
            ReportKind::Chunk { call, .. } => {
                world.perform([
                    Command::Halt {
                        run,
                        call,
                        attempt: 1,
                    },
                    Command::Kept { run, chunks: 1 },
                ]);
                break;
            }
            ReportKind::Called(_) => {}
            other => panic!("{other:?}"),
        }
    }
    world.perform([Command::Attempt {
        run,
        call: CallId(1),
        attempt: 2,
    }]);
    // What was under way when it was told comes still; then the second attempt begins anew.
    let output = loop {
        match world.next().await {
            ReportKind::Chunk { attempt: 1, .. } => world.perform([Command::Kept { run, chunks: 1 }]),
            ReportKind::Chunk {
                attempt: 2, bytes, ..
            } => {
                world.streams.insert(1, vec![bytes]);
                world.perform([Command::Kept { run, chunks: 1 }]);
                break world.output(run).await;
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(output, "[[20,1,0],true]");
}

/// A stream of an earlier run, and one that is damaged.
#[tokio::test]
async fn a_stored_stream_is_read_again() {
    let code = "
        const stream = await step.do('s', async () => { throw new Error('not again'); });
        const [one, other] = (await step.do('s', () => {})).tee();
        const both = await Promise.all([sum(one), sum(other)]);
        await (await step.do('s', () => {})).cancel();
        const missing = await step.do('s', () => {}), short = await step.do('s', () => {});
        return [await sum(stream), both, await rejected(sum(missing)), await rejected(sum(short))];";
    let Some(mut world) = world_of(code) else { return };
    let known = |count, number, chunks, bytes| KnownStep {
        key: StepKey {
            kind: StepKind::Do,
            name: "s".into(),
            count,
        },
        known: Known::Ended(Outcome::Value(Value::stream(&StoredStream::new(
            number,
            (chunks, bytes),
            b"",
        )))),
    };
    world
        .streams
        .insert(7, (0..20).map(|_| Bytes::from(vec![1; CHUNK_BYTES])).collect());
    let all = 20 * CHUNK_BYTES as u64;
    let history = vec![
        known(1, 7, 20, all),
        known(2, 7, 20, all),
        known(3, 7, 20, all),
        known(4, 7, 21, all + 5),
        known(5, 7, 20, all + 5),
    ];
    let run = world.start_with("{}", history);
    let read = "[5242880,20,54060]";
    let broken = |count| {
        format!("\"Error: WorkflowInternalError: Stored output for s-{count} is corrupt or incomplete.\"")
    };
    assert_eq!(
        world.output(run).await,
        format!("[{read},[{read},{read}],{},{}]", broken(4), broken(5))
    );
}

/// More streams at once than pieces may be under way.
#[tokio::test]
async fn many_streams_share_the_window() {
    let code = "
        const all = await Promise.all(Array.from({ length: 60 }, (_, i) => step.do('s' + i, async () => numbers(7, 200000))));
        const sums = await Promise.all(all.map(sum));
        return [sums.length, sums.every(([bytes, chunks]) => bytes === 1400000 && chunks === 6)];";
    let Some(mut world) = world_of(code) else { return };
    let run = world.start("{}");
    assert_eq!(world.output(run).await, "[60,true]");
}

#[tokio::test]
async fn streams_elsewhere_are_no_values() {
    let Some(mut world) = world_of("return await step.do('s', async () => ({ s: numbers(1, 1) }));") else {
        return;
    };
    let run = world.start("{}");
    let ReportKind::Raised(raised) = world.finish(run).await else {
        panic!()
    };
    assert_eq!(
        (raised.origin, raised.error.message.as_str()),
        (
            Origin::Fatal,
            "The execution of the Workflow instance was terminated, as the step \"s\" returned a value which is not serialisable"
        )
    );
    let mut world = world_of("return numbers(1, 1);").unwrap();
    let run = world.start("{}");
    let ReportKind::Raised(raised) = world.finish(run).await else {
        panic!()
    };
    assert_eq!(
        (raised.origin, raised.error.message.as_str()),
        (
            Origin::Fatal,
            "The execution of the Workflow instance was terminated, as run() returned a value which is not serialisable"
        )
    );
}
