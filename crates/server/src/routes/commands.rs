//! Commands to one instance: status changes and events.

use super::words;
use crate::answer::{Answer, bad, done, engine};
use crate::app::Call;
use crate::body;
use axum::body::Body;
use cairn_api::{EventSent, Failure, StatusChange, StatusChanged};
use cairn_engine::{Control, RestartFrom, StepKey, StepKind, Undo, Value};

/// `PATCH …/status`
pub(super) async fn status(call: &Call, body: Body, (account, workflow, id): (&str, &str, &str)) -> Answer {
    let change: StatusChange = body::json(body, &call.app.limits).await?;
    let control = match change {
        StatusChange::Pause => Control::Pause,
        StatusChange::Resume => Control::Resume,
        StatusChange::Terminate {
            rollback: None | Some(false),
        } => Control::Terminate(Undo::Nothing),
        StatusChange::Terminate { rollback: Some(true) } => Control::Terminate(Undo::Steps),
        StatusChange::Restart { from: None } => Control::Restart(RestartFrom::Beginning),
        StatusChange::Restart { from: Some(from) } => Control::Restart(RestartFrom::Step(step_key(from)?)),
    };
    call.remarks.detail(match control {
        Control::Pause => "pause",
        Control::Resume => "resume",
        Control::Terminate(Undo::Nothing) => "terminate",
        Control::Terminate(Undo::Steps) => "terminate with rollback",
        Control::Restart(RestartFrom::Beginning) => "restart",
        Control::Restart(RestartFrom::Step(_)) => "restart from a step",
    });
    let finished = call
        .app
        .engine
        .control(account, workflow, (id, control))
        .await
        .map_err(engine)?;
    done(StatusChanged {
        status: words::status(finished.status),
        timestamp: words::time(finished.at),
    })
}

fn step_key(from: cairn_api::RestartFrom) -> Result<StepKey, Failure> {
    let kind = match from.kind.as_deref() {
        None | Some("do") => StepKind::Do,
        Some("sleep") => StepKind::Sleep,
        Some("waitForEvent") => StepKind::WaitForEvent,
        Some(other) => {
            return Err(bad(format!(
                "from.type is \"do\", \"sleep\" or \"waitForEvent\", not \"{other}\""
            )));
        }
    };
    let count = from.count.unwrap_or(1);
    if count == 0 {
        return Err(bad("from.count counts from 1"));
    }
    Ok(StepKey {
        kind,
        name: from.name,
        count,
    })
}

/// `POST …/events/:type`: the body is the payload, any JSON; without a body it is undefined.
pub(super) async fn event(
    call: &Call,
    body: Body,
    (account, workflow): (&str, &str),
    (id, event_type): (&str, &str),
) -> Answer {
    let bytes = body::bytes(body, &call.app.limits).await?;
    let text = std::str::from_utf8(&bytes).map_err(|error| bad(format!("the body is not UTF-8: {error}")))?;
    let payload = if text.trim().is_empty() {
        Value::undefined()
    } else {
        // Parsed once more for its place in the message; the value's own error has none to add.
        serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| bad(body::explain(&error)))?;
        Value::from_json(text).map_err(|error| bad(error.to_string()))?
    };
    let sent = call
        .app
        .engine
        .send_event(account, workflow, (id, event_type, payload))
        .await
        .map_err(engine)?;
    done(EventSent {
        instance_id: id.into(),
        timestamp: words::time(sent.at),
    })
}
