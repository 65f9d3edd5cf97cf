//! What tests of users put in place of steps, sleeps, retries and events, and what they wait for (behaviour §9).

#![allow(clippy::unwrap_used, clippy::panic)] // helpers outside of #[test] functions

mod world;

use cairn_core::{
    CallId, CallRequest, ConfigInput, ErrorInfo, FailedAttempt, Origin, Raised, RollbackReport,
    RollbackResult, StepNo,
};
use cairn_engine::{
    Control, Double, EngineError, RestartFrom, Settings, Status, StepEnd, StepSelector, Value,
};
use cairn_runtime::{Command, FirstAttempts, Known, Outcome, ReportKind};
use std::time::Duration;
use world::{ACCOUNT, World, ask, execute, returned, sleep, wait_for};

const MONTH: f64 = 30.0 * 86_400_000.0;
const PATIENCE: Duration = Duration::from_secs(5);

fn step(name: &str) -> StepSelector {
    StepSelector {
        name: name.into(),
        index: 1,
    }
}

fn json(text: &str) -> Value {
    Value::from_json(text).unwrap()
}

fn result(name: &str, text: &str) -> Double {
    Double::StepResult {
        step: step(name),
        value: json(text),
    }
}

fn event(event_type: &str, text: &str) -> Double {
    Double::Event {
        event_type: event_type.into(),
        payload: json(text),
    }
}

fn failed(call: u32, attempt: u32) -> ReportKind {
    ReportKind::AttemptFailed(FailedAttempt {
        call: CallId(call),
        attempt,
        error: ErrorInfo::new("Error", "no"),
        dynamic_delay: None,
    })
}

fn succeeded(call: u32, text: &str) -> ReportKind {
    ReportKind::AttemptSucceeded {
        call: CallId(call),
        attempt: 1,
        output: json(text),
    }
}

/// An instance `one` that has these doubles from the beginning, and runs.
async fn doubled(doubles: &[Double]) -> World {
    let mut world = World::new(Settings::default()).await;
    double(&world, doubles).await.unwrap();
    world.create("flow", &["one"]).await;
    world.pass(10).await;
    world
}

async fn double(world: &World, doubles: &[Double]) -> Result<(), EngineError> {
    world.engine.double(ACCOUNT, "flow", ("one", doubles)).await
}

/// What user code was told about its calls, and which attempts it was asked for, in order.
async fn told(world: &mut World, kinds: Vec<ReportKind>) -> Vec<(u32, String)> {
    if !kinds.is_empty() {
        world.report("one", kinds);
    }
    world.pass(20).await;
    let told = std::mem::take(&mut world.commands).into_iter();
    told.filter_map(|command| match command {
        Command::Settle { call, outcome, .. } => Some((call.0, outcome_text(&outcome))),
        Command::Attempt { call, attempt, .. } => Some((call.0, format!("attempt {attempt}"))),
        _ => None,
    })
    .collect()
}

fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Stored => "stored".into(),
        Outcome::Slept => "slept".into(),
        Outcome::Value(value) => value.to_json_text(),
        Outcome::Event { payload, .. } => format!("event {}", payload.to_json_text()),
        Outcome::Failed(error) => format!("{}: {}", error.name, error.message),
        other => format!("{other:?}"),
    }
}

fn lines(told: &[(u32, String)]) -> Vec<(u32, &str)> {
    told.iter().map(|(call, text)| (*call, text.as_str())).collect()
}

#[tokio::test(start_paused = true)]
async fn sleeps_that_are_disabled_end_at_once() {
    let mut world = doubled(&[Double::NoSleeps(None)]).await;
    let heard = told(&mut world, vec![sleep(1, "long", MONTH)]).await;
    assert_eq!(lines(&heard), [(1, "slept")]);
    assert_eq!(
        world.runs["one"].first_attempts,
        FirstAttempts::AtOnce,
        "steps cost no more than before"
    );
    // The journal tells what was asked for.
    let details = world.engine.instance(ACCOUNT, "flow", ("one", 10)).await.unwrap();
    let cairn_engine::StepDetail::Sleep { until } = details.view.steps[0].detail else {
        panic!("{details:?}");
    };
    assert_eq!(
        until,
        details.view.steps[0].started_at.plus(30 * 86_400_000),
        "{details:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_disabled_sleep_until_a_time_in_the_past_is_no_mistake() {
    let mut world = doubled(&[Double::NoSleeps(Some(vec![step("a")]))]).await;
    let until = |call, name, millis| {
        let mut report = sleep(call, name, 0.0);
        if let ReportKind::Called(call) = &mut report {
            call.request = CallRequest::SleepUntil { millis };
        }
        report
    };
    let calls = vec![until(1, "a", 5.0), until(2, "b", 5.0)];
    let heard = told(&mut world, calls).await;
    assert!(heard[0].1.contains("in the past") && heard[0].0 == 2, "{heard:?}");
    assert_eq!(lines(&heard[1..]), [(1, "slept")]);
}

#[tokio::test(start_paused = true)]
async fn only_the_sleeps_that_are_named() {
    let mut world = doubled(&[Double::NoSleeps(Some(vec![step("a")]))]).await;
    let heard = told(&mut world, vec![sleep(1, "a", MONTH), sleep(2, "b", MONTH)]).await;
    assert_eq!(lines(&heard), [(1, "slept")]);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_rests_is_woken() {
    let mut world = World::new(Settings::default()).await;
    world.create("flow", &["one"]).await;
    world.pass(10).await;
    let heard = told(&mut world, vec![sleep(1, "long", MONTH)]).await;
    assert!(heard.is_empty());
    world.pass(5_000).await;
    assert!(world.running().is_empty(), "it has left memory");
    double(&world, &[Double::NoSleeps(None)]).await.unwrap();
    world.pass(10).await;
    assert_eq!(world.runs["one"].history[0].known, Known::Ended(Outcome::Slept));
}

#[tokio::test(start_paused = true)]
async fn retries_without_delays() {
    let mut world = doubled(&[Double::NoRetryDelays(Some(vec![step("a")]))]).await;
    let calls = vec![execute(1, "a"), failed(1, 1), execute(2, "b"), failed(2, 1)];
    let heard = told(&mut world, calls).await;
    assert_eq!(lines(&heard), [(1, "attempt 2")], "the other one waits for 10 s");
    world.pass(10_000).await;
    let heard = told(&mut world, Vec::new()).await;
    assert_eq!(lines(&heard), [(2, "attempt 2")]);
}

#[tokio::test(start_paused = true)]
async fn rollbacks_are_retried_without_delays() {
    let mut world = doubled(&[Double::NoRetryDelays(None)]).await;
    let mut call = execute(1, "a");
    if let ReportKind::Called(call) = &mut call
        && let CallRequest::Do { rollback, .. } = &mut call.request
    {
        *rollback = Some(Ok(ConfigInput::default()));
    }
    let raised = ReportKind::Raised(Raised {
        error: ErrorInfo::new("Error", "over"),
        from_call: None,
        origin: Origin::Thrown,
    });
    world.report("one", vec![call, succeeded(1, "1"), raised]);
    world.pass(20).await;
    let rollbacks = |world: &World| -> Vec<(StepNo, u32)> {
        let commands = world.commands.iter();
        commands
            .filter_map(|command| match command {
                Command::Rollback(rollback) => Some((rollback.step, rollback.attempt)),
                _ => None,
            })
            .collect()
    };
    let begun = rollbacks(&world);
    assert_eq!(begun, [(begun[0].0, 1)]);
    let threw = ReportKind::RolledBack(RollbackReport {
        step: begun[0].0,
        attempt: 1,
        result: RollbackResult::Threw {
            error: ErrorInfo::new("Error", "no"),
            dynamic_delay: None,
        },
    });
    world.report("one", vec![threw]);
    world.pass(20).await;
    assert_eq!(rollbacks(&world), [(begun[0].0, 1), (begun[0].0, 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_mocked_result_needs_no_callback() {
    let mut world = doubled(&[result("a", "[1]")]).await;
    assert_eq!(world.runs["one"].first_attempts, FirstAttempts::OnRequest);
    let heard = told(&mut world, vec![ask(1, "a"), ask(2, "b")]).await;
    assert_eq!(lines(&heard), [(2, "attempt 1"), (1, "[1]")]);
    let end = world
        .engine
        .wait_for_step(ACCOUNT, "flow", ("one", &step("a"), PATIENCE))
        .await;
    assert_eq!(end.unwrap(), Some(StepEnd::Result(json("[1]"))));
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_began_before_the_mock_came_is_not_asked() {
    let mut world = World::new(Settings::default()).await;
    world.create("flow", &["one"]).await;
    world.pass(10).await;
    double(&world, &[result("a", "1")]).await.unwrap();
    world.pass(10).await;
    let run = world.run("one");
    assert!(world.commands.contains(&Command::Hold { run }));
    let heard = told(&mut world, vec![execute(1, "a"), succeeded(1, "2")]).await;
    assert_eq!(lines(&heard), [(1, "1")]);
}

#[tokio::test(start_paused = true)]
async fn mocked_errors_are_used_up() {
    let error = Double::StepError {
        step: step("a"),
        error: ErrorInfo::new("TypeError", "mocked"),
        times: Some(2),
    };
    let mut world = doubled(&[error, Double::NoRetryDelays(None)]).await;
    let heard = told(&mut world, vec![ask(1, "a")]).await;
    assert_eq!(lines(&heard), [(1, "attempt 3")]);
    let details = world.engine.instance(ACCOUNT, "flow", ("one", 10)).await.unwrap();
    let cairn_engine::StepDetail::Do { attempts, .. } = &details.view.steps[0].detail else {
        panic!("{details:?}");
    };
    let names: Vec<_> = attempts
        .iter()
        .map(|attempt| attempt.error.as_ref().map(|error| error.name.as_str()))
        .collect();
    assert_eq!(names, [Some("TypeError"), Some("TypeError"), None]);
}

#[tokio::test(start_paused = true)]
async fn a_non_retryable_error_is_that() {
    let error = Double::StepError {
        step: step("a"),
        error: ErrorInfo::new("NonRetryableError", "never"),
        times: None,
    };
    let mut world = doubled(&[error]).await;
    let heard = told(&mut world, vec![ask(1, "a")]).await;
    assert_eq!(lines(&heard), [(1, "NonRetryableError: never")]);
}

#[tokio::test(start_paused = true)]
async fn forced_timeouts_read_like_real_ones() {
    let timeout = Double::StepTimeout {
        step: step("a"),
        times: None,
    };
    let mut world = doubled(&[timeout, Double::NoRetryDelays(None)]).await;
    let heard = told(&mut world, vec![ask(1, "a")]).await;
    assert_eq!(
        lines(&heard),
        [(1, "WorkflowTimeoutError: Execution timed out after 600000ms")],
        "all six attempts"
    );
}

#[tokio::test(start_paused = true)]
async fn mocked_events_come_in_order_and_real_ones_are_forgotten() {
    let mut world = doubled(&[event("go", "1"), event("go", "2")]).await;
    let real = world
        .engine
        .send_event(ACCOUNT, "flow", ("one", "go", json("9")))
        .await;
    assert!(real.is_ok(), "{real:?}");
    let other = world
        .engine
        .send_event(ACCOUNT, "flow", ("one", "other", json("8")))
        .await;
    assert!(other.is_ok(), "{other:?}");
    let heard = told(
        &mut world,
        vec![wait_for(1, "go", 1e6), wait_for(2, "other", 1e6)],
    )
    .await;
    assert_eq!(lines(&heard), [(2, "event 8"), (1, "event 1")]);
    let second = {
        let mut call = wait_for(3, "go", 1e6);
        if let ReportKind::Called(call) = &mut call {
            call.key.count = 2;
        }
        call
    };
    let heard = told(&mut world, vec![second]).await;
    assert_eq!(lines(&heard), [(3, "event 2")]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_mocked_later_ends_a_wait() {
    let mut world = World::new(Settings::default()).await;
    world.create("flow", &["one"]).await;
    world.pass(10).await;
    assert!(told(&mut world, vec![wait_for(1, "go", MONTH)]).await.is_empty());
    world.pass(5_000).await;
    assert!(world.running().is_empty(), "it has left memory");
    double(&world, &[event("go", "1")]).await.unwrap();
    world.pass(10).await;
    let Known::Ended(outcome) = &world.runs["one"].history[0].known else {
        panic!("{:?}", world.runs["one"].history);
    };
    assert_eq!(outcome_text(outcome), "event 1");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_to_time_out_does_whatever_comes() {
    let doubles = [event("go", "1"), Double::EventTimeout { step: step("go") }];
    let mut world = doubled(&doubles).await;
    let heard = told(&mut world, vec![wait_for(1, "go", 60_000.0)]).await;
    assert_eq!(
        lines(&heard),
        [(1, "WorkflowTimeoutError: Execution timed out after 60000ms")]
    );
}

#[tokio::test(start_paused = true)]
async fn doubles_outlive_restarts_pauses_and_lost_runs() {
    let mut world = doubled(&[result("a", "1"), event("go", "2")]).await;
    let heard = told(&mut world, vec![ask(1, "a"), wait_for(2, "go", 1e6)]).await;
    assert_eq!(lines(&heard), [(1, "1"), (2, "event 2")]);
    let restart = (Control::Restart(RestartFrom::Beginning), "restart");
    let pause = (Control::Pause, "pause");
    for (control, what) in [restart, pause] {
        let done = world
            .engine
            .control(ACCOUNT, "flow", ("one", control.clone()))
            .await;
        assert!(done.is_ok(), "{what}: {done:?}");
        if control == Control::Pause {
            let resumed = world
                .engine
                .control(ACCOUNT, "flow", ("one", Control::Resume))
                .await;
            assert!(resumed.is_ok(), "{resumed:?}");
        }
        world.pass(10).await;
        assert_eq!(
            world.runs["one"].first_attempts,
            FirstAttempts::OnRequest,
            "{what}"
        );
    }
    world.commands.clear();
    let lost = ReportKind::Lost {
        reason: "killed".into(),
    };
    let heard = told(&mut world, vec![lost]).await;
    assert!(heard.is_empty(), "{heard:?}");
    // A run that was lost before it said anything is not tried again at once.
    world.pass(200).await;
    let heard = told(&mut world, vec![ask(1, "a"), wait_for(2, "go", 1e6)]).await;
    assert_eq!(lines(&heard), [(1, "1"), (2, "event 2")]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_is_called_off_keeps_the_hold() {
    let mut world = doubled(&[result("a", "1")]).await;
    told(&mut world, vec![ask(1, "b")]).await;
    let run = world.run("one");
    for control in [Control::Pause, Control::Resume] {
        let done = world.engine.control(ACCOUNT, "flow", ("one", control)).await;
        assert!(done.is_ok(), "{done:?}");
    }
    world.pass(10).await;
    assert!(world.commands.contains(&Command::Hold { run }));
    assert!(!world.commands.contains(&Command::Unhold { run }));
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let world = World::new(Settings::default()).await;
    let twice = [result("b", "0"), result("a", "1"), result("a", "2")];
    assert!(matches!(
        double(&world, &twice).await,
        Err(EngineError::InvalidInput(_))
    ));
    assert!(
        double(&world, &[result("b", "3")]).await.is_ok(),
        "none of the first was kept"
    );
    let engine = &world.engine;
    let missing = engine.double(ACCOUNT, "nope", ("one", &[])).await;
    assert!(matches!(missing, Err(EngineError::WorkflowNotFound(_))));
    let name = engine.double(ACCOUNT, "flow", ("a b", &[])).await;
    assert!(matches!(name, Err(EngineError::InvalidName { .. })));
    let event_type = double(&world, &[event("a b", "1")]).await;
    assert!(matches!(event_type, Err(EngineError::InvalidName { .. })));
    let large = event("go", &format!("\"{}\"", "x".repeat(2 << 20)));
    assert!(matches!(
        double(&world, &[large]).await,
        Err(EngineError::TooLarge { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_session_collects_what_is_created_and_deletes_it() {
    let mut world = World::new(Settings::default()).await;
    world.create("flow", &["before"]).await;
    let session = world.engine.introspect(ACCOUNT, "flow").await.unwrap();
    let second = world.engine.introspect(ACCOUNT, "flow").await;
    assert!(
        matches!(&second, Err(EngineError::TestConflict(text)) if text.contains("already has an active introspection session")),
        "{second:?}"
    );
    let engine = world.engine.clone();
    engine
        .double_all(ACCOUNT, "flow", (&session, &[result("a", "1")]))
        .await
        .unwrap();
    world.create("flow", &["one", "two"]).await;
    world.pass(10).await;
    let ids = engine.introspected(ACCOUNT, "flow", &session).await.unwrap();
    assert_eq!(ids, ["one", "two"]);
    let first_attempts = |id: &str| world.runs[id].first_attempts;
    assert_eq!(first_attempts("before"), FirstAttempts::AtOnce);
    assert_eq!(first_attempts("two"), FirstAttempts::OnRequest);
    // Those that are there have it, too.
    engine
        .double_all(ACCOUNT, "flow", (&session, &[Double::NoSleeps(None)]))
        .await
        .unwrap();
    let heard = told(&mut world, vec![sleep(1, "long", MONTH), ask(2, "a")]).await;
    assert_eq!(lines(&heard), [(2, "1"), (1, "slept")]);
    engine.end_introspection(ACCOUNT, "flow", &session).await.unwrap();
    let gone = engine.instance_row(ACCOUNT, "flow", "two").await;
    assert!(matches!(gone, Err(EngineError::InstanceNotFound(_))));
    assert_eq!(world.status("before").await, Status::Running);
    let over = engine.introspected(ACCOUNT, "flow", &session).await;
    assert!(matches!(over, Err(EngineError::TestConflict(_))));
    assert!(engine.introspect(ACCOUNT, "flow").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_status_is_waited_for_from_before_the_creation_on() {
    let mut world = World::new(Settings::default()).await;
    let engine = world.engine.clone();
    let wait = |status| {
        let engine = engine.clone();
        tokio::spawn(async move {
            engine
                .wait_for_status(ACCOUNT, "flow", ("one", status, PATIENCE))
                .await
        })
    };
    assert!(
        !wait(Status::Complete).await.unwrap().unwrap(),
        "patience is over"
    );
    let (running, complete, errored) = (
        wait(Status::Running),
        wait(Status::Complete),
        wait(Status::Errored),
    );
    world.create("flow", &["one"]).await;
    world.pass(10).await;
    assert!(running.await.unwrap().unwrap());
    world.report("one", vec![returned("{\"a\":1}")]);
    assert!(complete.await.unwrap().unwrap());
    let Err(EngineError::TestConflict(text)) = errored.await.unwrap() else {
        panic!("it cannot come any more");
    };
    assert_eq!(
        text,
        "[WorkflowIntrospector] The Workflow instance one has reached status 'complete'. This is a finite status that prevents it from ever reaching the expected status of 'errored'."
    );
    let outcome = engine.instance_outcome(ACCOUNT, "flow", "one").await.unwrap();
    assert_eq!(
        (outcome.status, outcome.output),
        (Status::Complete, Some(json("{\"a\":1}")))
    );
    let never = engine
        .wait_for_step(ACCOUNT, "flow", ("one", &step("a"), PATIENCE))
        .await;
    assert!(matches!(never, Err(EngineError::TestConflict(_))), "{never:?}");
}

#[tokio::test(start_paused = true)]
async fn steps_of_all_kinds_are_waited_for() {
    let doubles = [
        event("go", "1"),
        Double::NoSleeps(None),
        Double::StepError {
            step: step("bad"),
            error: ErrorInfo::new("NonRetryableError", "never"),
            times: None,
        },
    ];
    let mut world = doubled(&doubles).await;
    let engine = world.engine.clone();
    let waiting = tokio::spawn({
        let engine = engine.clone();
        async move {
            engine
                .wait_for_step(ACCOUNT, "flow", ("one", &step("go"), PATIENCE))
                .await
        }
    });
    let calls = vec![wait_for(1, "go", 1e6), sleep(2, "long", MONTH), ask(3, "bad")];
    assert_eq!(told(&mut world, calls).await.len(), 3);
    let Some(StepEnd::Event {
        event_type, payload, ..
    }) = waiting.await.unwrap().unwrap()
    else {
        panic!("an event");
    };
    assert_eq!((event_type.as_str(), payload), ("go", json("1")));
    let end = async |name| {
        let step = step(name);
        let wait = engine.wait_for_step(ACCOUNT, "flow", ("one", &step, PATIENCE));
        wait.await.unwrap()
    };
    assert_eq!(end("long").await, Some(StepEnd::Slept));
    let never = ErrorInfo::new("NonRetryableError", "never");
    assert_eq!(end("bad").await, Some(StepEnd::Failed(never)));
    assert_eq!(end("unknown").await, None);
}

#[tokio::test(start_paused = true)]
async fn disposal_forgets_the_doubles_and_the_instance() {
    let mut world = doubled(&[result("a", "1")]).await;
    for _ in 0..2 {
        world.engine.dispose(ACCOUNT, "flow", "one").await.unwrap();
    }
    world.pass(10).await;
    assert!(world.running().is_empty());
    world.create("flow", &["one"]).await;
    world.pass(10).await;
    assert_eq!(world.runs["one"].first_attempts, FirstAttempts::AtOnce);
}

#[tokio::test(start_paused = true)]
async fn what_a_clock_makes_due_happens_at_once() {
    let mut world = World::new(Settings::default()).await;
    world.create("flow", &["one", "two"]).await;
    world.pass(10).await;
    world.report("two", vec![sleep(1, "long", MONTH)]);
    world.pass(5_000).await;
    assert_eq!(world.running(), ["one"], "the other one has left memory");
    let calls = vec![sleep(1, "short", 5_000.0), execute(2, "a"), failed(2, 1)];
    assert!(told(&mut world, calls).await.is_empty());
    assert!(world.clock.advance(9_000));
    world.engine.clock_was_set();
    let heard = told(&mut world, Vec::new()).await;
    assert_eq!(lines(&heard), [(1, "slept")]);
    assert!(world.clock.advance(30 * 86_400_000));
    world.engine.clock_was_set();
    let heard = told(&mut world, Vec::new()).await;
    assert_eq!(lines(&heard), [(2, "attempt 2")]);
    assert_eq!(world.running(), ["one", "two"]);
    assert_eq!(world.runs["two"].history[0].known, Known::Ended(Outcome::Slept));
}
