//! Runs: steps, attempts, replay, errors.

use crate::harness::{World, flow, spec};
use cairn_core::{
    CallId, CallRequest, Callback, DurationInput, ErrorInfo, FailedAttempt, Raised, StepCall, StepKey,
    StepKind, Timestamp,
};
use cairn_runtime::{Command, Firing, Known, KnownStep, Outcome, Report, ReportKind, Value};

fn json(text: &str) -> Value {
    Value::from_json(text).unwrap()
}

fn known(kind: StepKind, name: &str, count: u32, known: Known) -> KnownStep {
    KnownStep {
        key: StepKey {
            kind,
            name: name.into(),
            count,
        },
        known,
    }
}

fn failed(report: ReportKind) -> FailedAttempt {
    match report {
        ReportKind::AttemptFailed(failed) => failed,
        other => panic!("expected a failed attempt: {other:?}"),
    }
}

fn raised(report: ReportKind) -> Raised {
    match report {
        ReportKind::Raised(raised) => raised,
        other => panic!("expected run() to throw: {other:?}"),
    }
}

#[tokio::test]
async fn hello() {
    let code = "const greeting = await step.do('greet', async (ctx) => `${this.env.GREETING}, ${event.payload.name}!`);
        return { greeting, event };";
    let Some(mut world) = World::with_flow(code) else {
        return;
    };
    let run = world.start(r#"{"name":"Ada"}"#);
    assert_eq!(
        world.output(run).await,
        "{\"greeting\":\"hello \\\"\\\\\\n\u{1F600}, Ada!\",\"event\":{\"payload\":{\"name\":\"Ada\"},\
         \"timestamp\":\"2023-11-14T22:13:20.000Z\",\"instanceId\":\"instance-1\",\"workflowName\":\"flow\"}}"
    );
}

#[tokio::test]
async fn a_firing_is_in_the_event() {
    let Some(mut world) = World::with_flow("return event.schedule;") else {
        return;
    };
    let run = world.start("{}");
    assert!(matches!(world.finish(run).await, ReportKind::Returned { output } if output.is_undefined()));
    world.firing = Some(Firing {
        cron: "*/30 * * * *".into(),
        scheduled_at: Timestamp(1_786_001_400_000),
    });
    let run = world.start("{}");
    assert_eq!(
        world.output(run).await,
        r#"{"cron":"*/30 * * * *","scheduledTime":1786001400000}"#
    );
}

#[tokio::test]
async fn a_step_and_its_result_travel_together() {
    let Some(mut world) = World::with_flow("return await step.do('one', async () => 1);") else {
        return;
    };
    let run = world.start("{}");
    let kinds: Vec<ReportKind> = world
        .batch()
        .await
        .into_iter()
        .map(|report| report.kind)
        .collect();
    assert!(
        matches!(
            kinds.as_slice(),
            [
                ReportKind::Called(_),
                ReportKind::AttemptSucceeded { attempt: 1, .. }
            ]
        ),
        "{kinds:?}"
    );
    world.settle(run, CallId(1), Outcome::Stored);
    assert_eq!(world.next().await, ReportKind::Returned { output: json("1") });
}

#[tokio::test]
async fn parallel_steps_share_a_frame() {
    let code = "const all = [];
        for (let i = 0; i < 50; i++) all.push(step.do(`part ${i}`, async () => i));
        return (await Promise.all(all)).length;";
    let Some(mut world) = World::with_flow(code) else {
        return;
    };
    let run = world.start("{}");
    let batch = world.batch().await;
    assert_eq!(batch.len(), 100);
    let settle = |call| Command::Settle {
        run,
        call: CallId(call),
        outcome: Outcome::Stored,
    };
    world.perform::<50>(std::array::from_fn(|at| settle(u32::try_from(at).unwrap() + 1)));
    assert_eq!(world.next().await, ReportKind::Returned { output: json("50") });
}

#[tokio::test]
async fn attempts_on_command() {
    let config = "{ retries: { limit: 3, delay: '5 seconds', backoff: 'linear' }, timeout: 1000 }";
    let code = format!(
        "return await step.do('flaky', {config}, async (ctx) => {{
            if (ctx.attempt < 3) throw new TypeError('attempt ' + ctx.attempt);
            return ctx;
        }});"
    );
    let Some(mut world) = World::with_flow(&code) else {
        return;
    };
    let run = world.start("{}");
    let call = world.called().await;
    let CallRequest::Do {
        config: Ok(config),
        callback: Callback::Executing,
        rollback: None,
    } = call.request
    else {
        panic!()
    };
    assert_eq!(config.timeout, Some(DurationInput::Millis(1000.0)));
    assert_eq!(config.retries.unwrap().limit, 3.0);
    for attempt in 1..3 {
        let failed = failed(world.next().await);
        assert_eq!(
            (failed.attempt, failed.error),
            (attempt, ErrorInfo::new("TypeError", format!("attempt {attempt}")))
        );
        world.perform([Command::Attempt {
            run,
            call: call.call,
            attempt: attempt + 1,
        }]);
    }
    let output = r#"{"step":{"name":"flaky","count":1},"attempt":3,"config":{"retries":{"limit":3,"delay":"5 seconds","backoff":"linear"},"timeout":1000}}"#;
    assert_eq!(
        world.next().await,
        ReportKind::AttemptSucceeded {
            call: CallId(1),
            attempt: 3,
            output: json(output)
        }
    );
    world.settle(run, call.call, Outcome::Stored);
    assert_eq!(world.next().await, ReportKind::Returned { output: json(output) });
}

/// Attempt 1 outlives its time and returns only after attempt 2 has: what is kept is attempt 2's.
#[tokio::test]
async fn a_late_result_does_not_replace_a_newer_one() {
    let code = "let release;
        const gate = new Promise((resolve) => { release = resolve; });
        const kept = step.do('slow', async (ctx) => {
            if (ctx.attempt === 1) { await gate; return 'late'; }
            return 'newer';
        });
        await step.do('gate', async () => null);
        release();
        return await kept;";
    let Some(mut world) = World::with_flow(code) else {
        return;
    };
    let run = world.start("{}");
    let _ = (world.called().await, world.called().await);
    assert!(matches!(
        world.next().await,
        ReportKind::AttemptSucceeded { call: CallId(2), .. }
    ));
    world.perform([Command::Attempt {
        run,
        call: CallId(1),
        attempt: 2,
    }]);
    let newer = ReportKind::AttemptSucceeded {
        call: CallId(1),
        attempt: 2,
        output: json("\"newer\""),
    };
    assert_eq!(world.next().await, newer);
    world.settle(run, CallId(2), Outcome::Stored);
    let late = ReportKind::AttemptSucceeded {
        call: CallId(1),
        attempt: 1,
        output: json("\"late\""),
    };
    assert_eq!(world.next().await, late);
    world.settle(run, CallId(1), Outcome::Stored);
    assert_eq!(
        world.next().await,
        ReportKind::Returned {
            output: json("\"newer\"")
        }
    );
}

#[tokio::test]
async fn replay_from_history() {
    let code = "const seen = [];
        const note = async (promise) => { try { seen.push(await promise); } catch (e) { seen.push(`${e.constructor.name}: ${e.message}`); } };
        const never = async () => { throw new Error('this has run before'); };
        await note(step.do('a', never));
        await note(step.do('a', never));
        await note(step.sleep('z', '1 hour'));
        await note(step.waitForEvent('w', { type: 'go' }));
        await note(step.do('open', async () => 'now'));
        await note(step.do('new', async () => 'fresh'));
        return seen;";
    let Some(mut world) = World::with_flow(code) else {
        return;
    };
    let event = Outcome::Event {
        event_type: "go".into(),
        at: Timestamp(0),
        payload: json("[1]"),
    };
    let run = world.start_with(
        "{}",
        vec![
            known(
                StepKind::Do,
                "a",
                1,
                Known::Ended(Outcome::Value(json("{\"x\":1}"))),
            ),
            known(
                StepKind::Do,
                "a",
                2,
                Known::Ended(Outcome::Failed(ErrorInfo::new("RangeError", "no"))),
            ),
            known(StepKind::Sleep, "z", 1, Known::Ended(Outcome::Slept)),
            known(StepKind::WaitForEvent, "w", 1, Known::Ended(event)),
            known(StepKind::Do, "open", 1, Known::Open),
        ],
    );
    let call = world.called().await;
    assert_eq!(call.key.to_string(), "open-1");
    assert!(matches!(
        call.request,
        CallRequest::Do {
            callback: Callback::Idle,
            ..
        }
    ));
    world.perform([Command::Attempt {
        run,
        call: call.call,
        attempt: 2,
    }]);
    assert!(matches!(
        world.next().await,
        ReportKind::AttemptSucceeded { attempt: 2, .. }
    ));
    world.settle(run, call.call, Outcome::Stored);
    assert_eq!(
        world.output(run).await,
        r#"[{"x":1},"RangeError: no",null,{"payload":[1],"timestamp":"1970-01-01T00:00:00.000Z","type":"go"},"now","fresh"]"#
    );
}

#[tokio::test]
async fn nested_steps_know_their_parent() {
    let code = "return await step.do('outer', async () => {
            await Promise.resolve();
            return await step.do('inner', async () => 'in') + await step.do('inner', async () => 'side');
        });";
    let Some(mut world) = World::with_flow(code) else {
        return;
    };
    let run = world.start("{}");
    let outer = world.called().await;
    let inner = world.called().await;
    assert_eq!((outer.parent, inner.parent), (None, Some(outer.call)));
    let ReportKind::AttemptSucceeded { call, .. } = world.next().await else {
        panic!()
    };
    assert_eq!(call, inner.call);
    world.settle(run, call, Outcome::Stored);
    let second = world.called().await;
    assert_eq!((second.parent, second.key.count), (Some(outer.call), 2));
    assert_eq!(world.output(run).await, "\"inside\"");
}

/// What callbacks throw is reported, and thrown into `run()`, as it would be across an RPC boundary.
#[tokio::test]
async fn errors_are_folded() {
    let code = "class Declined extends Error { name = 'Declined' }
        class Odd extends RangeError {}
        const throws = {
            plain: () => { throw new Error('p'); }, type: () => { throw new TypeError('t'); },
            custom: () => { throw new Declined('no money'); }, empty: () => { throw new Declined(''); },
            sub: () => { throw new Odd('o'); }, text: () => { throw 'a string'; }, nothing: () => { throw undefined; },
            final: () => { throw new NonRetryableError('stop'); }, renamed: () => { throw new NonRetryableError('stop', 'Mine'); },
            dom: () => { structuredClone(() => {}); }, hostile: () => { throw { toString() { throw 1; } }; },
            symbol: () => Symbol('s'), foo: () => ({ x: new (class Foo {})() }), weak: () => new WeakMap(),
        };
        const seen = [];
        for (const [name, callback] of Object.entries(throws)) {
            try { await step.do(name, async () => callback()); } catch (e) {
                seen.push([e.constructor.name, e.name, e.message, e instanceof Error, e.stack.includes('__cairn')].join('|'));
            }
        }
        return seen.join('\\n');";
    let Some(mut world) = World::with_flow(code) else {
        return;
    };
    let run = world.start("{}");
    let mut reported = String::new();
    let output = loop {
        match world.next().await {
            ReportKind::Called(_) => {}
            ReportKind::AttemptFailed(failed) => {
                reported.push_str(&format!("{}: {}\n", failed.error.name, failed.error.message));
                world.settle(run, failed.call, Outcome::Failed(failed.error));
            }
            ReportKind::Returned { output } => break output,
            other => panic!("{other:?}"),
        }
    };
    expect_test::expect![[r#"
        Error: p
        TypeError: t
        Error: Declined: no money
        Error: Declined
        RangeError: o
        Error: a string
        Error: undefined
        NonRetryableError: stop
        Error: Mine: stop
        DataCloneError: () => {} could not be cloned.
        Error: #<Object>
        DataCloneError: Symbol(s) could not be cloned.
        DataCloneError: Could not serialize object of type "Foo". This type does not support serialization.
        DataCloneError: #<WeakMap> could not be cloned.
    "#]]
    .assert_eq(&reported);
    expect_test::expect![[r#"
        Error|Error|p|true|false
        TypeError|TypeError|t|true|false
        Error|Error|Declined: no money|true|false
        Error|Error|Declined|true|false
        RangeError|RangeError|o|true|false
        Error|Error|a string|true|false
        Error|Error|undefined|true|false
        Error|Error|NonRetryableError: stop|true|false
        Error|Error|Mine: stop|true|false
        DOMException|DataCloneError|() => {} could not be cloned.|true|false
        Error|Error|#<Object>|true|false
        DOMException|DataCloneError|Symbol(s) could not be cloned.|true|false
        DOMException|DataCloneError|Could not serialize object of type "Foo". This type does not support serialization.|true|false
        DOMException|DataCloneError|#<WeakMap> could not be cloned.|true|false"#]]
    .assert_eq(&serde_json::from_str::<String>(&output.to_json_text()).unwrap());
}

#[tokio::test]
async fn what_run_throws_names_its_step() {
    let code = "if (event.payload === 1) throw new TypeError('mine');
        try { await step.do('fails', async () => { throw new Error('x'); }); } catch (error) {
            if (event.payload === 2) throw error;
            throw new Error('other');
        }";
    let Some(mut world) = World::with_flow(code) else {
        return;
    };
    let run = world.start("1");
    let expected = Raised {
        origin: cairn_core::Origin::Thrown,
        error: ErrorInfo::new("TypeError", "mine"),
        from_call: None,
    };
    assert_eq!(raised(world.finish(run).await), expected);
    let run = world.start("2");
    let expected = Raised {
        origin: cairn_core::Origin::Thrown,
        error: ErrorInfo::new("Error", "x"),
        from_call: Some(CallId(1)),
    };
    assert_eq!(raised(world.finish(run).await), expected);
    let run = world.start("3");
    let expected = Raised {
        origin: cairn_core::Origin::Thrown,
        error: ErrorInfo::new("Error", "other"),
        from_call: None,
    };
    assert_eq!(raised(world.finish(run).await), expected);
}

#[tokio::test]
async fn results_that_end_the_instance() {
    let code =
        "const results = [() => {}, { deep: [() => {}] }, new Response('x'), new Map([[1, class {}]])];
        if (event.payload === 9) return () => {};
        return await step.do('bad', async () => results[event.payload]);";
    let Some(mut world) = World::with_flow(code) else {
        return;
    };
    let reason = "The execution of the Workflow instance was terminated, as the step \"bad\" returned a value which is not serialisable";
    for payload in ["0", "1", "2", "3"] {
        let run = world.start(payload);
        let raised = raised(world.finish(run).await);
        assert_eq!(
            raised,
            Raised {
                origin: cairn_core::Origin::Fatal,
                error: ErrorInfo::fatal(reason),
                from_call: Some(CallId(1))
            },
            "{payload}"
        );
    }
    let run = world.start("9");
    let ReportKind::Raised(raised) = world.finish(run).await else {
        panic!()
    };
    assert!(
        raised
            .error
            .message
            .ends_with("as run() returned a value which is not serialisable"),
        "{raised:?}"
    );
}

#[tokio::test]
async fn results_are_copies() {
    let code = "const mine = { list: [1] };
        const promise = step.do('copy', async () => mine);
        const theirs = await promise;
        mine.list.push(2);
        theirs.list.push(3);
        return [mine, theirs];";
    let Some(mut world) = World::with_flow(code) else {
        return;
    };
    let run = world.start("{}");
    assert_eq!(world.output(run).await, r#"[{"list":[1,2]},{"list":[1,3]}]"#);
}

#[tokio::test]
async fn what_is_not_ordinary_waits_to_be_told() {
    let code = r#"const names = ['x'.repeat(257), 'a\nb'];
        const configs = [{ retries: { limit: 1 } }, { unknown: 1 }, 'text', { timeout: 0 }, { timeout: '5 lightyears' }, { retries: { limit: Infinity, delay: 1 } },
            { sensitive: 'input' }, { retries: { limit: 1, delay: 1, backoff: 'quadratic' } }, { retries: { limit: 1, delay: -1 } }, new (class Config {})()];
        const all = [...names.map((name) => step.do(name, async () => 0)), ...configs.map((config) => step.do('c', config, async () => 0))];
        return await Promise.allSettled(all);"#;
    let Some(mut world) = World::with_flow(code) else {
        return;
    };
    world.start("{}");
    let mut invalid = Vec::new();
    for at in 0..12 {
        let call = world.called().await;
        let CallRequest::Do {
            config,
            callback: Callback::Idle,
            rollback: None,
        } = call.request
        else {
            panic!("{at}: {call:?}")
        };
        if config.is_err() {
            invalid.push(at);
        }
    }
    assert_eq!(invalid, [2, 3, 4, 11]);
}

#[tokio::test]
async fn a_run_on_hold_asks_first() {
    let code = "await step.do('first', async () => 1);
        await step.do('second', async () => 2);
        return await step.do('third', async () => 3);";
    let Some(mut world) = World::with_flow(code) else {
        return;
    };
    let run = world.start("{}");
    let _ = (world.called().await, world.next().await);
    world.perform([
        Command::Hold { run },
        Command::Settle {
            run,
            call: CallId(1),
            outcome: Outcome::Stored,
        },
    ]);
    let second = world.called().await;
    assert!(matches!(
        second.request,
        CallRequest::Do {
            callback: Callback::Idle,
            ..
        }
    ));
    world.perform([
        Command::Unhold { run },
        Command::Attempt {
            run,
            call: second.call,
            attempt: 1,
        },
    ]);
    assert!(matches!(world.next().await, ReportKind::AttemptSucceeded { .. }));
    world.settle(run, second.call, Outcome::Stored);
    assert!(matches!(
        world.called().await.request,
        CallRequest::Do {
            callback: Callback::Executing,
            ..
        }
    ));
    assert_eq!(world.output(run).await, "3");
}

/// What a run is told while its process starts holds from its first line on.
#[tokio::test]
async fn a_run_that_is_held_or_stopped_before_it_begins_executes_nothing() {
    let Some(mut world) = World::with_flow("return await step.do('only', async () => 1);") else {
        return;
    };
    let (stopped, held) = (world.start("{}"), world.start("{}"));
    world.perform([Command::Stop { run: stopped }]);
    world.perform([Command::Hold { run: held }]);
    let reports = world.batch().await;
    assert_eq!(reports.len(), 1, "{reports:?}");
    let is_idle = |call: &StepCall| {
        matches!(
            call.request,
            CallRequest::Do {
                callback: Callback::Idle,
                ..
            }
        )
    };
    assert!(
        matches!(&reports[0].kind, ReportKind::Called(call) if reports[0].run == held && is_idle(call)),
        "{reports:?}"
    );
}

#[tokio::test]
async fn steps_beyond_the_limit_wait_to_be_told() {
    let code = "for (let i = 0; ; i++) await step.do('s', async () => i);";
    let Some(mut world) = World::with_flow(code) else {
        return;
    };
    world.step_limit = 2;
    let run = world.start("{}");
    for _ in 0..2 {
        let call = world.called().await;
        assert!(matches!(
            call.request,
            CallRequest::Do {
                callback: Callback::Executing,
                ..
            }
        ));
        let _ = world.next().await;
        world.settle(run, call.call, Outcome::Stored);
    }
    assert!(matches!(
        world.called().await.request,
        CallRequest::Do {
            callback: Callback::Idle,
            ..
        }
    ));
}

#[tokio::test]
async fn sleeps_and_waits() {
    let code = "await step.sleep('a', '5 minutes');
        await step.sleep('a', NaN);
        await step.sleepUntil('a', new Date(1234));
        await step.sleepUntil('b', 99);
        await step.sleepUntil('b', 'tomorrow');
        const { payload, type, timestamp } = await step.waitForEvent('w', { type: 'go', timeout: 5000 });
        return [payload.get('k'), type, timestamp instanceof Date];";
    let Some(mut world) = World::with_flow(code) else {
        return;
    };
    let run = world.start("{}");
    let mut seen = Vec::new();
    for _ in 0..5 {
        let call = world.called().await;
        seen.push(format!("{} {:?}", call.key, call.request));
        world.settle(run, call.call, Outcome::Slept);
    }
    let wait = world.called().await;
    seen.push(format!("{} {:?}", wait.key, wait.request));
    expect_test::expect![[r#"
        a-1 Sleep { duration: Text("5 minutes") }
        a-2 Sleep { duration: Text("NaN") }
        a-3 SleepUntil { millis: 1234.0 }
        b-1 SleepUntil { millis: 99.0 }
        b-2 SleepUntil { millis: NaN }
        w-1 WaitForEvent { event_type: "go", timeout: Some(Millis(5000.0)) }"#]]
    .assert_eq(&seen.join("\n"));
    let payload = Value::from_stored("g[[\"m\",1,2],\"k\",\"v\"]".into()).unwrap();
    world.settle(
        run,
        wait.call,
        Outcome::Event {
            event_type: "go".into(),
            at: Timestamp(7),
            payload,
        },
    );
    assert_eq!(world.output(run).await, r#"["v","go",true]"#);
}

#[tokio::test]
async fn delay_functions() {
    let code = "const delays = {
            number: ({ ctx, error }) => ctx.attempt * 10 + error.message.length, text: async () => '2 minutes',
            throws: () => { throw new Error('oops'); }, invalid: () => 'soon', slow: () => new Promise(() => {}),
        };
        const { name } = event.payload;
        try {
            await step.do(name, { retries: { limit: 1, delay: delays[name] } }, async () => { throw new Error('boom'); });
        } catch {}";
    let Some(mut world) = World::with_flow(code) else {
        return;
    };
    let mut delays = String::new();
    for name in ["number", "text", "throws", "invalid", "slow"] {
        world.start(&format!("{{\"name\":\"{name}\"}}"));
        let _ = world.called().await;
        match failed(world.next().await).dynamic_delay {
            Some(Ok(millis)) => delays.push_str(&format!("{millis}\n")),
            Some(Err(error)) => delays.push_str(&format!("{}: {}\n", error.name, error.message)),
            None => delays.push_str("none\n"),
        }
    }
    expect_test::expect![[r#"
        14
        120000
        NonRetryableDelayError: The delay function for step "throws-1" threw an error: oops
        NonRetryableDelayError: The delay function for step "invalid-1" returned an invalid delay value (expected a number of ms or a duration string like "30 seconds")
        NonRetryableDelayError: The delay function for step "slow-1" did not return within 5 seconds
    "#]]
    .assert_eq(&delays);
}

#[tokio::test]
async fn misuse_is_an_error_of_the_call() {
    let code = "const seen = [];
        const { do: unbound } = step;
        for (const call of [() => step.do('x'), () => step.do('x', {}), () => step.do('x', async () => 1, 5), () => step.do('x', async () => 1, { rollback: 5 }),
            () => step.waitForEvent('w'), () => step.anything(1), () => step.do(Symbol('s')), () => unbound('y', async () => 'fine')]) {
            try { seen.push(await call()); } catch (e) { seen.push(`${e.name}: ${e.message}`); }
        }
        seen.push(typeof step.anything, typeof step.then);
        return seen.join('\\n');";
    let Some(mut world) = World::with_flow(code) else {
        return;
    };
    let run = world.start("{}");
    let output: String = serde_json::from_str(&world.output(run).await).unwrap();
    expect_test::expect![[r#"
        Error: WorkflowFatalError: Step "x" requires a callback function
        Error: WorkflowFatalError: Step "x" requires a callback function
        Error: WorkflowFatalError: Rollback options for "x" must be an object
        Error: WorkflowFatalError: Rollback for "x" must be a function
        TypeError: step.waitForEvent("w") needs an object with the type of the event, a text
        TypeError: The RPC receiver does not implement the method "anything".
        Error: WorkflowFatalError: Step name "Symbol(s)" exceeds max length (256 chars) or invalid characters found
        fine
        function
        undefined"#]]
    .assert_eq(&output);
}

#[tokio::test]
async fn a_stopped_run_is_silent() {
    let code = "for (;;) { try { await step.do('s', async () => 1); } catch {} }";
    let Some(mut world) = World::with_flow(code) else {
        return;
    };
    let run = world.start("{}");
    let _ = (world.called().await, world.next().await);
    world.perform([
        Command::Settle {
            run,
            call: CallId(1),
            outcome: Outcome::Stored,
        },
        Command::Stop { run },
    ]);
    // The other run is reported after all that the stopped one could have said.
    let other = world.start("{}");
    assert!(world.batch().await.iter().all(|Report { run, .. }| *run == other));
}

/// Code that changes the language under the shim's feet still runs.
#[tokio::test]
async fn user_code_cannot_break_the_protocol_by_accident() {
    let vandal = "const broken = () => { throw new Error('broken'); };
        JSON.stringify = JSON.parse = broken;
        Map.prototype.get = Set.prototype.has = WeakMap.prototype.get = broken;
        WebSocket.prototype.send = broken; Object.keys = broken; Array.isArray = () => true;
        globalThis.Promise = class {}; globalThis.queueMicrotask = globalThis.setTimeout = broken;
        Array.prototype.push = Array.prototype.join = String.prototype.charCodeAt = broken;
        Object.prototype.polluted = 'yes';\n";
    let code = flow(
        "return await step.do('s', { timeout: '1 minute' }, async () => ({ deep: new Map([[{ a: 1 }, [undefined]]]) }));",
    );
    let Some(mut world) = World::with_spec(spec(&(code + vandal)), |_| {}) else {
        return;
    };
    let run = world.start("{}");
    assert_eq!(world.output(run).await, r#"{"deep":{}}"#);
}
