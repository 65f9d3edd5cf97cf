//! Rollback handlers: asked in a live run, or in a run that was started for them.

use crate::harness::World;
use cairn_core::{
    CallId, CallRequest, Callback, ErrorInfo, FailedAttempt, Origin, Purpose, RollbackReport, RollbackResult,
    StepKey, StepKind, StepNo,
};
use cairn_runtime::{Command, Known, KnownStep, Outcome, ReportKind, RunId, RunRollback, Value};

fn json(text: &str) -> Value {
    Value::from_json(text).unwrap()
}

fn key(name: &str, count: u32) -> StepKey {
    StepKey {
        kind: StepKind::Do,
        name: name.into(),
        count,
    }
}

fn known(name: &str, count: u32, known: Known) -> KnownStep {
    KnownStep {
        key: key(name, count),
        known,
    }
}

fn boom() -> ErrorInfo {
    ErrorInfo::new("TypeError", "boom")
}

/// Has the handler of a step called; what it reports.
async fn undo(
    world: &mut World,
    run: RunId,
    (step, name, count, attempt): (u32, &str, u32, u32),
) -> RollbackResult {
    undo_for(world, run, (step, name, count, attempt), boom()).await
}

async fn undo_for(
    world: &mut World,
    run: RunId,
    (step, name, count, attempt): (u32, &str, u32, u32),
    error: ErrorInfo,
) -> RollbackResult {
    world.perform([Command::Rollback(Box::new(RunRollback {
        run,
        step: StepNo(step),
        key: key(name, count),
        attempt,
        error,
    }))]);
    match world.next().await {
        ReportKind::RolledBack(RollbackReport {
            step: of,
            attempt: nth,
            result,
        }) => {
            assert_eq!((of, nth), (StepNo(step), attempt));
            result
        }
        other => panic!("expected the end of a handler: {other:?}"),
    }
}

/// What a handler of [`SEEN`] throws: what it was told.
fn told(result: RollbackResult) -> String {
    match result {
        RollbackResult::Threw {
            error,
            dynamic_delay: None,
        } => error.message,
        other => panic!("expected a handler that tells: {other:?}"),
    }
}

/// A handler that throws what it was told.
const SEEN: &str = "const seen = async (...all) => {
          const [{ ctx, error, output, stepName, ...rest }] = all;
          const shown = output === undefined ? 'undefined' : output instanceof Map ? `Map ${[...output]}` : JSON.stringify(output);
          throw new Error([stepName, JSON.stringify(ctx), `${error.constructor.name}(${error.message})`, shown, all.length, Object.keys(rest)].join(' | '));
        };";

#[tokio::test]
async fn a_run_that_threw_is_asked_for_its_handlers() {
    let body = format!(
        "{SEEN}
        await step.do('a', async () => new Map([[1, 2]]), {{ rollback: seen }});
        const quick = {{ retries: {{ limit: 1, delay: 10 }}, timeout: '5 seconds' }};
        const other = {{ rollback: seen, rollbackConfig: {{ retries: {{ limit: 7, delay: 1 }} }} }};
        await step.do('same', quick, async () => 1, other);
        await step.do('same', {{ retries: {{ limit: 3, delay: () => 5 }} }}, async () => undefined, other);
        await step.do('fails', quick, async () => {{ throw new TypeError('boom'); }}, {{ rollback: seen }});"
    );
    let Some(mut world) = World::with_flow(&body) else {
        return;
    };
    let run = world.start("{}");
    let ReportKind::Raised(raised) = world.finish(run).await else {
        panic!("run() throws");
    };
    assert_eq!((raised.error, raised.from_call), (boom(), Some(CallId(4))));
    assert_eq!(raised.origin, Origin::Thrown);
    let mut all = Vec::new();
    for step in [(3, "fails", 1), (2, "same", 2), (1, "same", 1), (0, "a", 1)] {
        all.push(told(undo(&mut world, run, (step.0, step.1, step.2, 1)).await));
    }
    expect_test::expect![[r#"
        fails-1 | {"step":{"name":"fails","count":1},"attempt":1,"config":{"retries":{"limit":1,"delay":10,"backoff":"exponential"},"timeout":"5 seconds"}} | TypeError(boom) | undefined | 1 | 
        same-2 | {"step":{"name":"same","count":2},"attempt":1,"config":{"retries":{"limit":3,"backoff":"exponential"},"timeout":"10 minutes"}} | TypeError(boom) | undefined | 1 | 
        same-1 | {"step":{"name":"same","count":1},"attempt":1,"config":{"retries":{"limit":1,"delay":10,"backoff":"exponential"},"timeout":"5 seconds"}} | TypeError(boom) | 1 | 1 | 
        a-1 | {"step":{"name":"a","count":1},"attempt":1,"config":{"retries":{"limit":5,"delay":10000,"backoff":"exponential"},"timeout":"10 minutes"}} | TypeError(boom) | Map 1,2 | 1 | "#]]
    .assert_eq(&all.join("\n"));
    // After a termination; its name is not part of the message, as it is for what `run()` throws.
    let terminated = ErrorInfo::new("Terminated", "Instance terminated during rollback");
    let text = told(undo_for(&mut world, run, (0, "a", 1, 2), terminated).await);
    assert!(
        text.contains("| Error(Instance terminated during rollback) |"),
        "{text}"
    );
}

#[tokio::test]
async fn the_configuration_of_a_handler_travels_with_the_call() {
    let body = "for (const options of [{ rollback: async () => {} }, { rollback: async () => {}, rollbackConfig: { retries: { limit: 7, delay: '1 second' } } },
          { rollback: async () => {}, rollbackConfig: 1 }, {}, undefined, 1, null, { rollback: 1 }]) {
          try { await step.do('a', async () => 1, options); } catch (error) { await step.do(error.message, async () => 1); }
        }";
    let Some(mut world) = World::with_flow(body) else {
        return;
    };
    let run = world.start("{}");
    let mut seen = Vec::new();
    loop {
        match world.next().await {
            ReportKind::Called(call) => {
                let CallRequest::Do {
                    rollback, callback, ..
                } = call.request
                else {
                    panic!("a step.do");
                };
                seen.push((call.key.name, rollback, callback));
                if callback == Callback::Idle {
                    world.settle(run, call.call, Outcome::Failed(boom()));
                }
            }
            ReportKind::AttemptSucceeded { call, .. } => world.settle(run, call, Outcome::Stored),
            ReportKind::Returned { .. } => break,
            other => panic!("{other:?}"),
        }
    }
    let given: Vec<String> = seen
        .iter()
        .map(|(name, rollback, callback)| format!("{name} {callback:?} {rollback:?}"))
        .collect();
    expect_test::expect![[r#"
        a Executing Some(Ok(ConfigInput { retries: None, timeout: None, sensitive: None }))
        a Executing Some(Ok(ConfigInput { retries: Some(RetriesInput { limit: 7.0, delay: Fixed(Text("1 second")), backoff: None }), timeout: None, sensitive: None }))
        a Idle Some(Err(InvalidConfig))
        boom Executing None
        WorkflowFatalError: Rollback for "a" must be a function Executing None
        a Executing None
        WorkflowFatalError: Rollback options for "a" must be an object Executing None
        WorkflowFatalError: Rollback options for "a" must be an object Executing None
        WorkflowFatalError: Rollback for "a" must be a function Executing None"#]].assert_eq(&given.join("\n"));
}

/// What is known settles; what is open or unknown does not, and nothing is started.
#[tokio::test]
async fn a_run_for_the_handlers_of_an_earlier_one() {
    let body = format!(
        "{SEEN}
        const a = await step.do('a', async () => {{ throw new Error('executed again'); }}, {{ rollback: seen }});
        try {{ await step.do('b', async () => 1, {{ rollback: seen }}); }} catch (error) {{ if (error.message !== 'no') throw error; }}
        await step.sleep('nap', 5);
        const both = [
          step.do('open', async () => {{ throw new Error('executed again'); }}, {{ rollback: seen }}),
          step.do('new', async () => {{ throw new Error('executed'); }}, {{ rollback: seen }}),
        ];
        await Promise.race(both);
        await step.do('after', async () => 1, {{ rollback: seen }});"
    );
    let Some(mut world) = World::with_flow(&body) else {
        return;
    };
    world.purpose = Purpose::Rollback;
    let sleep = KnownStep {
        key: StepKey {
            kind: StepKind::Sleep,
            name: "nap".into(),
            count: 1,
        },
        known: Known::Ended(Outcome::Slept),
    };
    let history = vec![
        known("a", 1, Known::Ended(Outcome::Value(json(r#"{"id":5}"#)))),
        known(
            "b",
            1,
            Known::Ended(Outcome::Failed(ErrorInfo::new("Error", "no"))),
        ),
        sleep,
        known("open", 1, Known::Open),
    ];
    let run = world.start_with("{}", history);
    assert_eq!(world.next().await, ReportKind::Rebuilt);
    let open = told(undo(&mut world, run, (3, "open", 1, 1)).await);
    assert!(
        open.starts_with("open-1 | ") && open.contains(" | undefined | 1"),
        "{open}"
    );
    let b = told(undo(&mut world, run, (1, "b", 1, 1)).await);
    assert!(b.starts_with("b-1 | ") && b.contains(" | undefined | 1"), "{b}");
    let a = told(undo(&mut world, run, (0, "a", 1, 2)).await);
    assert!(a.starts_with("a-1 | ") && a.contains(r#" | {"id":5} | 1"#), "{a}");
    assert_eq!(
        undo(&mut world, run, (4, "after", 1, 1)).await,
        RollbackResult::Missing
    );
}

/// However `run()` ends when it is only there for its handlers, they are there then, and its end is not reported.
#[tokio::test]
async fn a_rebuilding_run_that_ends() {
    for end in ["return 5;", "throw new Error('again');", "return () => 1;"] {
        let body =
            format!("{SEEN}\nawait step.do('a', async () => 1, {{ rollback: async () => {{}} }});\n{end}");
        let Some(mut world) = World::with_flow(&body) else {
            return;
        };
        world.purpose = Purpose::Rollback;
        let run = world.start_with("{}", vec![known("a", 1, Known::Ended(Outcome::Value(json("1"))))]);
        assert_eq!(world.next().await, ReportKind::Rebuilt, "{end}");
        assert_eq!(
            undo(&mut world, run, (0, "a", 1, 1)).await,
            RollbackResult::Returned,
            "{end}"
        );
    }
}

#[tokio::test]
async fn handlers_that_throw() {
    let body = "const delays = [() => 70, async () => '2 seconds', () => { throw new Error('no idea'); }, () => -1];
        const fails = (error) => async () => { throw error; };
        for (const delay of delays) await step.do('asks', async () => 1, { rollback: fails(new RangeError('bad')), rollbackConfig: { retries: { limit: 1, delay } } });
        await step.do('final', async () => 1, { rollback: fails(new NonRetryableError('never')), rollbackConfig: { retries: { limit: 1, delay: () => 5 } } });
        await step.do('plain', async () => 1, { rollback: () => { throw 'text'; } });
        throw new Error('end');";
    let Some(mut world) = World::with_flow(body) else {
        return;
    };
    let run = world.start("{}");
    assert!(matches!(world.finish(run).await, ReportKind::Raised(_)));
    let mut results = Vec::new();
    for count in 1..=4 {
        results.push(undo(&mut world, run, (count - 1, "asks", count, 1)).await);
    }
    results.push(undo(&mut world, run, (4, "final", 1, 1)).await);
    results.push(undo(&mut world, run, (5, "plain", 1, 1)).await);
    // The last attempt does not ask how long to wait.
    results.push(undo(&mut world, run, (0, "asks", 1, 2)).await);
    let threw = |name: &str, message: &str, dynamic_delay| RollbackResult::Threw {
        error: ErrorInfo::new(name, message),
        dynamic_delay,
    };
    let asked = |step: &str, what: &str| {
        let message = format!("The delay function for step \"{step}\" {what}");
        Some(Err(ErrorInfo::new("NonRetryableDelayError", &message)))
    };
    let bad = |delay| threw("RangeError", "bad", delay);
    assert_eq!(
        results,
        [
            bad(Some(Ok(70))),
            bad(Some(Ok(2_000))),
            bad(asked("asks-3", "threw an error: no idea")),
            bad(asked(
                "asks-4",
                "returned an invalid delay value (expected a number of ms or a duration string like \"30 seconds\")"
            )),
            threw("NonRetryableError", "never", None),
            threw("Error", "text", None),
            bad(None),
        ]
    );
}

#[tokio::test]
async fn handlers_execute_no_steps_and_late_callbacks_tell_nothing() {
    let body = "let release;
        const gate = new Promise((resolve) => { release = resolve; });
        step.do('late', async () => { await gate; return 'late'; });
        const calls = [() => step.do('x', async () => 1), () => step.sleep('x', 1), () => step.sleepUntil('x', 1), () => step.waitForEvent('x', { type: 'x' })];
        for (const call of calls) {
          await step.do('a', async () => 1, { rollback: async () => {
            release();
            await scheduler.wait(1);
            try { await call(); } catch (error) { throw new Error(`${error.constructor.name} ${error.message}`); }
          } });
        }
        throw new Error('end');";
    let Some(mut world) = World::with_flow(body) else {
        return;
    };
    let run = world.start("{}");
    assert!(matches!(world.finish(run).await, ReportKind::Raised(_)));
    for count in 1..=4 {
        let text = told(undo(&mut world, run, (count, "a", count, 1)).await);
        assert_eq!(
            text,
            "Error WorkflowFatalError: Cannot execute steps during rollback phase"
        );
    }
}

/// A value that cannot be kept is nothing that is rolled back for.
#[tokio::test]
async fn what_cannot_be_kept_is_told_apart() {
    let body = "await step.do('a', async () => 1, { rollback: async () => {} }); return () => 1;";
    let Some(mut world) = World::with_flow(body) else {
        return;
    };
    let run = world.start("{}");
    let ReportKind::Raised(raised) = world.finish(run).await else {
        panic!("run() cannot return a function");
    };
    assert_ne!(raised.origin, Origin::Thrown);
    assert_eq!(raised.error.name, "WorkflowFatalError");
}

/// A handler gets the result the step reported, though the callback was retried.
#[tokio::test]
async fn the_output_of_a_retried_step() {
    let body = format!(
        "{SEEN}
        await step.do('a', {{ retries: {{ limit: 2, delay: 1 }} }}, async (ctx) => {{ if (ctx.attempt < 2) throw new Error('again'); return ctx.attempt; }}, {{ rollback: seen }});
        throw new Error('end');"
    );
    let Some(mut world) = World::with_flow(&body) else {
        return;
    };
    let run = world.start("{}");
    let call = world.called().await.call;
    assert!(matches!(
        world.next().await,
        ReportKind::AttemptFailed(FailedAttempt { attempt: 1, .. })
    ));
    world.perform([Command::Attempt {
        run,
        call,
        attempt: 2,
    }]);
    assert!(matches!(world.finish(run).await, ReportKind::Raised(_)));
    let text = told(undo(&mut world, run, (0, "a", 1, 1)).await);
    assert!(
        text.contains("\"attempt\":2") && text.contains(" | 2 | 1"),
        "{text}"
    );
}
