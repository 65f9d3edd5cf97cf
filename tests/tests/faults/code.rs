//! User code that takes all memory, never yields, or leaves things behind: who does it fails with an error, the others finish.

use crate::watch::{create, ended, memory, serve};
use cairn_tests::{Rest, Scratch, cairn, within};
use serde_json::{Value, json};
use std::time::Duration;

/// Besides `good`, each does its worst, in a step or outside.
const FLOWS: &str = r#"
    import { WorkflowEntrypoint } from 'cloudflare:workers';
    const worst = {
        heap() { const all = []; for (let n = 0; ; n++) all.push('a text of its own ' + n + '.'.repeat(n % 50)); },
        async slowly() { const all = []; for (;;) { for (let n = 0; n < 100000; n++) all.push({ n, text: 'x' + n }); await scheduler.wait(1); } },
        buffers() { const all = []; for (;;) all.push(new Uint8Array(4 << 20).fill(all.length)); },
        loop() { for (;;) {} },
        async later() { await scheduler.wait(50); for (;;) {} },
    };
    export class Flow extends WorkflowEntrypoint {
        async run({ payload }, step) {
            const { does, where, limit = 0, rounds = 0 } = payload;
            if (where === 'run') await worst[does]();
            if (where === 'step') await step.do('the worst', { retries: { limit, delay: 100 } }, () => worst[does]());
            if (where === 'caught') {
                try { await step.do('the worst', { retries: { limit, delay: 100 } }, () => worst[does]()); }
                catch (error) { return error.name + ': ' + error.message; }
            }
            let sum = 0;
            for (let n = 0; n < rounds; n++) {
                sum += await step.do('round', { retries: { limit: 8, delay: 100 } }, async () => { await scheduler.wait(150); return n; });
                await step.sleep('nap', 30);
            }
            return sum;
        }
    }
    export default {};
"#;

const ROUNDS: u64 = 12;
const GOOD: usize = 24;

/// Starts those that do no harm, then one that does, and waits until all have ended: the end of the one.
async fn among_others(rest: &Rest, name: &str, params: Value) -> Value {
    for number in 0..GOOD {
        create(
            rest,
            "flow",
            &format!("{name}-good-{number}"),
            json!({ "rounds": ROUNDS }),
        )
        .await;
    }
    create(rest, "flow", name, params).await;
    let end = ended(rest, "flow", name).await;
    for number in 0..GOOD {
        let good = ended(rest, "flow", &format!("{name}-good-{number}")).await;
        assert_eq!(good["status"], "complete", "{good}");
        assert_eq!(good["output"], (ROUNDS * (ROUNDS - 1) / 2).to_string());
    }
    end
}

fn assert_error(instance: &Value, words: &str) {
    assert_eq!(instance["status"], "errored", "{instance}");
    let error = &instance["error"];
    let shown = format!(
        "{}: {}",
        error["name"].as_str().unwrap(),
        error["message"].as_str().unwrap()
    );
    assert!(
        shown.contains("WorkflowInternalError") && shown.contains(words),
        "{shown}"
    );
}

const MEMORY: &str = "Worker exceeded memory limit: ";
const TIME: &str = "Worker exceeded CPU time limit: ";

#[tokio::test]
async fn who_takes_all_memory_is_found_out_and_the_others_finish() {
    let data = Scratch::new();
    let (server, rest) = serve(&cairn!(), data.path(), &["limits.process_mebibytes=256"]).await;
    rest.deploy("flow", "Flow", FLOWS).await;

    let heap = among_others(&rest, "heap", json!({ "does": "heap", "where": "step" })).await;
    assert_error(&heap, MEMORY);
    let attempts = heap["steps"][0]["attempts"].as_array().unwrap();
    assert_eq!(
        heap["steps"][0]["name"], "the worst-1",
        "the step that does it is known: {heap}"
    );
    let last = attempts.last().unwrap()["error"]["message"].as_str().unwrap();
    assert!(last.contains(MEMORY), "{last}");

    // Outside of steps nothing can fail but the instance.
    let buffers = among_others(&rest, "buffers", json!({ "does": "buffers", "where": "run" })).await;
    assert_error(&buffers, MEMORY);
    assert!(
        server.said().contains("limits.process_mebibytes"),
        "{}",
        server.said()
    );
    server.stop().await.expect(0);
}

#[tokio::test]
async fn a_step_that_takes_all_memory_is_tried_again_as_it_asks_and_can_be_caught() {
    let data = Scratch::new();
    let (server, rest) = serve(&cairn!(), data.path(), &["limits.process_mebibytes=256"]).await;
    rest.deploy("flow", "Flow", FLOWS).await;
    let params = json!({ "does": "slowly", "where": "caught", "limit": 5 });
    create(&rest, "flow", "slowly", params).await;
    let instance = ended(&rest, "flow", "slowly").await;
    assert_eq!(instance["status"], "complete", "{instance}");
    let caught = instance["output"].as_str().unwrap();
    assert!(
        caught.contains(&format!("WorkflowInternalError: {MEMORY}")),
        "{caught}"
    );
    assert_eq!(
        instance["steps"][0]["attempts"].as_array().unwrap().len(),
        6,
        "{instance}"
    );
    server.stop().await.expect(0);
}

#[tokio::test]
async fn who_never_yields_is_found_out_and_the_others_finish() {
    let data = Scratch::new();
    let (server, rest) = serve(&cairn!(), data.path(), &["limits.silence_millis=2000"]).await;
    rest.deploy("flow", "Flow", FLOWS).await;
    // Its first step is not even reported before it loops.
    let step = among_others(&rest, "step", json!({ "does": "loop", "where": "step" })).await;
    assert_error(&step, TIME);
    assert_eq!(step["steps"][0]["name"], "the worst-1", "{step}");
    let run = among_others(&rest, "run", json!({ "does": "later", "where": "run" })).await;
    assert_error(&run, TIME);
    assert!(
        server.said().contains("limits.silence_millis"),
        "{}",
        server.said()
    );
    server.stop().await.expect(0);
}

/// Two that never yield, among others, do not take each other for innocent.
#[tokio::test]
async fn several_that_never_yield_are_all_found_out() {
    let data = Scratch::new();
    let (server, rest) = serve(&cairn!(), data.path(), &["limits.silence_millis=1000"]).await;
    rest.deploy("flow", "Flow", FLOWS).await;
    for number in 0..2 {
        create(
            &rest,
            "flow",
            &format!("loop-{number}"),
            json!({ "does": "loop", "where": "step" }),
        )
        .await;
    }
    let last = among_others(&rest, "last", json!({ "does": "later", "where": "step" })).await;
    assert_error(&last, TIME);
    for number in 0..2 {
        assert_error(&ended(&rest, "flow", &format!("loop-{number}")).await, TIME);
    }
    server.stop().await.expect(0);
}

/// What runs leave behind when they have returned.
const LEAKS: &str = r#"
    import { WorkflowEntrypoint } from 'cloudflare:workers';
    const kept = [];
    export class Flow extends WorkflowEntrypoint {
        async run({ payload: { mebibytes, url } }, step) {
            await step.do('work', async () => 1);
            for (let n = 0; n < mebibytes; n++) kept.push(new Uint8Array(1 << 20).fill(n));
            for (let n = 0; n < 1000; n++) kept.push(new Promise(() => {}));
            for (let n = 0; n < 100; n++) step.do('nobody waits ' + n, async () => n).catch(() => {});
            for (let n = 0; n < 5; n++) fetch(url).catch(() => {});
            setInterval(() => { kept.length; }, 20);
            step.waitForEvent('never', { type: 'never' }).catch(() => {});
            return 'done';
        }
    }
    export default {};
"#;

#[tokio::test]
async fn what_runs_leave_behind_harms_nobody_and_goes_with_the_process() {
    let data = Scratch::new();
    let (server, rest) = serve(&cairn!(), data.path(), &["limits.process_mebibytes=384"]).await;
    rest.deploy("flow", "Flow", LEAKS).await;
    let outside =
        cairn_tests::Recorder::start(|_, _| cairn_tests::Reply::new(200, "").after(Duration::from_secs(60)))
            .await;
    let mut largest = 0;
    // Five times as much in all as a process may have.
    for number in 0..80 {
        let id = format!("leak-{number}");
        create(
            &rest,
            "flow",
            &id,
            json!({ "mebibytes": 24, "url": outside.url("/") }),
        )
        .await;
        let instance = ended(&rest, "flow", &id).await;
        assert_eq!(instance["status"], "complete", "{instance}");
        largest = largest.max(
            server
                .children()
                .into_iter()
                .map(|pid| memory(pid, "VmHWM"))
                .max()
                .unwrap_or(0),
        );
    }
    assert!(largest < 512, "{largest} MiB");
    // Who has much memory and nothing to do ends long before others would.
    within(
        Duration::from_secs(20),
        "a process with much memory is replaced",
        || async {
            let most = server
                .children()
                .into_iter()
                .map(|pid| memory(pid, "VmRSS"))
                .max();
            (most.unwrap_or(0) < 288).then_some(())
        },
    )
    .await;
    let said = server.said();
    assert!(!said.contains("a run was lost"), "{said}");
    server.stop().await.expect(0);
}
