//! What tests ask (docs/testing.md): the clock, modifiers, sessions, waits.

use super::words;
use crate::answer::{Answer, bad, done, engine};
use crate::app::Call;
use crate::body;
use crate::route::{InWorkflow, TestRoute};
use crate::testing::Testing;
use axum::body::Body;
use axum::http::Method;
use cairn_api::{
    AdvanceClock, ApiError, Failure, Modifier, Modify, Span, StepName, TestClock, TestDone, TestError,
    TestInstance, TestInstances, TestSession, TestStatus, TestStep, TestValue,
};
use cairn_engine::{Clock, Double, DurationInput, ErrorInfo, StepEnd, StepSelector, Value, parse_duration};
use serde_json::value::RawValue;
use std::time::Duration;

/// How long a wait waits when it does not say.
const WAIT_MILLIS: u64 = 5_000;
/// The longest that one request waits; who wants to wait longer asks again.
const WAIT_MAX_MILLIS: u64 = 30_000;

/// A request of a test.
pub(crate) async fn handle(call: &Call, body: Body, route: TestRoute) -> Answer {
    match route {
        TestRoute::Clock => match call.method {
            Method::GET => show_clock(testing(call)?),
            Method::POST => advance(call, body).await,
            _ => Err(call.wrong_method("GET and POST")),
        },
        TestRoute::Sessions(workflow) => match call.method {
            Method::POST => begin(call, &workflow).await,
            _ => Err(call.wrong_method("POST")),
        },
        TestRoute::Session(workflow, session) => match call.method {
            Method::GET => instances(call, &workflow, &session).await,
            Method::DELETE => end(call, &workflow, &session).await,
            _ => Err(call.wrong_method("GET and DELETE")),
        },
        TestRoute::SessionModifiers(workflow, session) => match call.method {
            Method::POST => modify_all(call, body, (&workflow, &session)).await,
            _ => Err(call.wrong_method("POST")),
        },
        TestRoute::Instance(workflow, id) => match call.method {
            Method::GET => show(call, &workflow, &id).await,
            Method::DELETE => dispose(call, &workflow, &id).await,
            _ => Err(call.wrong_method("GET and DELETE")),
        },
        TestRoute::InstanceModifiers(workflow, id) => match call.method {
            Method::POST => modify(call, body, (&workflow, &id)).await,
            _ => Err(call.wrong_method("POST")),
        },
        TestRoute::InstanceStatus(workflow, id) => match call.method {
            Method::GET => status(call, &workflow, &id).await,
            _ => Err(call.wrong_method("GET")),
        },
        TestRoute::InstanceStep(workflow, id) => match call.method {
            Method::GET => step(call, &workflow, &id).await,
            _ => Err(call.wrong_method("GET")),
        },
    }
}

/// Routes of tests are looked for only where this is there.
fn testing(call: &Call) -> Result<&Testing, Failure> {
    let missing = || Failure::new(ApiError::NoRoute, "this server has no routes for tests");
    call.app.testing.as_ref().ok_or_else(missing)
}

fn show_clock(testing: &Testing) -> Answer {
    done(TestClock {
        now: words::time(testing.clock.now()),
        shift_ms: testing.clock.shift_millis(),
    })
}

async fn advance(call: &Call, body: Body) -> Answer {
    let AdvanceClock { advance } = body::json(body, &call.app.limits).await?;
    let input = match advance {
        Span::Millis(millis) => DurationInput::Millis(millis),
        Span::Text(text) => DurationInput::Text(text),
    };
    let millis = parse_duration(&input).map_err(|error| bad(format!("\"advance\": {error}")))?;
    let millis = u64::try_from(millis)
        .map_err(|_| bad("\"advance\" is less than 0, but a clock cannot be put back"))?;
    let testing = testing(call)?;
    if !testing.clock.advance(millis) {
        return Err(bad(
            "the clock would be more than a hundred years ahead; start the server again to begin anew",
        ));
    }
    call.engine().clock_was_set();
    show_clock(testing)
}

async fn begin(call: &Call, workflow: &InWorkflow) -> Answer {
    let session = call
        .engine()
        .introspect(&workflow.account, &workflow.workflow)
        .await;
    done(TestSession {
        session: session.map_err(engine)?,
    })
}

async fn instances(call: &Call, workflow: &InWorkflow, session: &str) -> Answer {
    let InWorkflow { account, workflow } = workflow;
    let instances = call.engine().introspected(account, workflow, session).await;
    done(TestInstances {
        instances: instances.map_err(engine)?,
    })
}

async fn end(call: &Call, workflow: &InWorkflow, session: &str) -> Answer {
    let InWorkflow { account, workflow } = workflow;
    let ended = call.engine().end_introspection(account, workflow, session).await;
    ended.map_err(engine)?;
    done(TestDone {})
}

async fn modify_all(call: &Call, body: Body, (workflow, session): (&InWorkflow, &str)) -> Answer {
    let doubles = doubles(call, body).await?;
    let InWorkflow { account, workflow } = workflow;
    let modified = call
        .engine()
        .double_all(account, workflow, (session, &doubles))
        .await;
    modified.map_err(engine)?;
    done(TestDone {})
}

async fn modify(call: &Call, body: Body, (workflow, id): (&InWorkflow, &str)) -> Answer {
    let doubles = doubles(call, body).await?;
    let InWorkflow { account, workflow } = workflow;
    let modified = call.engine().double(account, workflow, (id, &doubles)).await;
    modified.map_err(engine)?;
    done(TestDone {})
}

async fn doubles(call: &Call, body: Body) -> Result<Vec<Double>, Failure> {
    let Modify { modifiers } = body::json(body, &call.app.limits).await?;
    modifiers.into_iter().map(double).collect()
}

fn double(modifier: Modifier) -> Result<Double, Failure> {
    Ok(match modifier {
        Modifier::DisableSleeps { steps } => Double::NoSleeps(selectors(steps)?),
        Modifier::DisableRetryDelays { steps } => Double::NoRetryDelays(selectors(steps)?),
        Modifier::MockStepResult { step, value, graph } => Double::StepResult {
            step: selector(step)?,
            value: read_value("value", value, graph)?,
        },
        Modifier::MockStepError { step, error, times } => Double::StepError {
            step: selector(step)?,
            error: ErrorInfo::new(error.name, error.message),
            times: some_times(times)?,
        },
        Modifier::ForceStepTimeout { step, times } => Double::StepTimeout {
            step: selector(step)?,
            times: some_times(times)?,
        },
        Modifier::MockEvent {
            event_type,
            payload,
            graph,
        } => Double::Event {
            event_type,
            payload: read_value("payload", payload, graph)?,
        },
        Modifier::ForceEventTimeout { step } => Double::EventTimeout {
            step: selector(step)?,
        },
    })
}

fn selectors(steps: Option<Vec<StepName>>) -> Result<Option<Vec<StepSelector>>, Failure> {
    steps
        .map(|steps| steps.into_iter().map(selector).collect())
        .transpose()
}

fn selector(StepName { name, index }: StepName) -> Result<StepSelector, Failure> {
    if index == 0 {
        return Err(bad(format!(
            "the index of step \"{name}\" is 0; it counts from 1"
        )));
    }
    Ok(StepSelector { name, index })
}

fn some_times(times: Option<u32>) -> Result<Option<u32>, Failure> {
    if times == Some(0) {
        return Err(bad(
            "\"times\" is 0; it is at least 1, or left out for all attempts",
        ));
    }
    Ok(times)
}

fn read_value(
    name: &str,
    json: Option<Box<RawValue>>,
    graph: Option<Box<RawValue>>,
) -> Result<Value, Failure> {
    let read = match (json, graph) {
        (None, None) => Ok(Value::undefined()),
        (Some(json), None) => Value::from_json(json.get()),
        (None, Some(graph)) => Value::from_stored(format!("g{}", graph.get()).into()),
        (Some(_), Some(_)) => return Err(bad(format!("\"{name}\" and \"graph\" are given; one is enough"))),
    };
    read.map_err(|error| bad(error.to_string()))
}

fn show_value(value: &Value) -> Result<TestValue, Failure> {
    let broken = |text: &str| Failure::new(ApiError::Internal, format!("a value cannot be shown: {text}"));
    if value.is_undefined() {
        return Ok(TestValue::default());
    }
    let (form, body) = value
        .as_bytes()
        .split_first()
        .ok_or_else(|| broken("it is empty"))?;
    let text = String::from_utf8(body.to_vec()).map_err(|error| broken(&error.to_string()))?;
    let raw = RawValue::from_string(text).map_err(|error| broken(&error.to_string()))?;
    Ok(match form {
        b'j' => TestValue {
            value: Some(raw),
            graph: None,
        },
        _ => TestValue {
            value: None,
            graph: Some(raw),
        },
    })
}

fn show_error(error: ErrorInfo) -> TestError {
    TestError {
        name: error.name,
        message: error.message,
    }
}

async fn show(call: &Call, workflow: &InWorkflow, id: &str) -> Answer {
    let InWorkflow { account, workflow } = workflow;
    let outcome = call.engine().instance_outcome(account, workflow, id).await;
    let outcome = outcome.map_err(engine)?;
    done(TestInstance {
        status: outcome.status.as_str(),
        error: outcome.error.map(show_error),
        output: outcome
            .output
            .as_ref()
            .map(show_value)
            .transpose()?
            .unwrap_or_default(),
    })
}

async fn dispose(call: &Call, workflow: &InWorkflow, id: &str) -> Answer {
    let InWorkflow { account, workflow } = workflow;
    call.engine()
        .dispose(account, workflow, id)
        .await
        .map_err(engine)?;
    done(TestDone {})
}

/// How long a request waits.
fn patience(call: &Call) -> Result<Duration, Failure> {
    let millis: u64 = call.query.value("wait_ms")?.unwrap_or(WAIT_MILLIS);
    if millis > WAIT_MAX_MILLIS {
        return Err(bad(format!(
            "the query parameter \"wait_ms\" is {millis}; it is at most {WAIT_MAX_MILLIS}: ask again to wait longer"
        )));
    }
    Ok(Duration::from_millis(millis))
}

async fn status(call: &Call, workflow: &InWorkflow, id: &str) -> Answer {
    let wanted = call.query.word("is", &words::STATUSES)?;
    let wanted =
        wanted.ok_or_else(|| bad("the query parameter \"is\" is missing: the status to wait for"))?;
    let patience = patience(call)?;
    let InWorkflow { account, workflow } = workflow;
    let waited = call
        .engine()
        .wait_for_status(account, workflow, (id, wanted, patience))
        .await;
    done(TestStatus {
        reached: waited.map_err(engine)?,
    })
}

async fn step(call: &Call, workflow: &InWorkflow, id: &str) -> Answer {
    // An empty name is a name.
    let name = call.query.texts("name").next();
    let name = name.ok_or_else(|| bad("the query parameter \"name\" is missing: the name of the step"))?;
    let step = selector(StepName {
        name: name.into(),
        index: call.query.value("index")?.unwrap_or(1),
    })?;
    let patience = patience(call)?;
    let InWorkflow { account, workflow } = workflow;
    let waited = call
        .engine()
        .wait_for_step(account, workflow, (id, &step, patience))
        .await;
    done(match waited.map_err(engine)? {
        None => TestStep::Open,
        Some(StepEnd::Slept) => TestStep::Slept,
        Some(StepEnd::Failed(error)) => TestStep::Failed {
            error: show_error(error),
        },
        Some(StepEnd::Result(value)) => TestStep::Result {
            value: show_value(&value)?,
        },
        Some(StepEnd::Event {
            event_type,
            at,
            payload,
        }) => TestStep::Event {
            event_type,
            timestamp: words::time(at),
            payload: show_value(&payload)?,
        },
    })
}
