//! Commands to one instance: status changes and events.

use super::words;
use crate::answer::{Answer, bad, done, engine};
use crate::app::Call;
use crate::body;
use axum::body::Body;
use cairn_api::{ApiError, EventSent, Failure, StatusChange, StatusChanged};
use cairn_engine::{Control, Value};

/// `PATCH …/status`
pub(super) async fn status(call: &Call, body: Body, (account, workflow, id): (&str, &str, &str)) -> Answer {
    let change: StatusChange = body::json(body, &call.app.limits).await?;
    let control = match change {
        StatusChange::Pause => Control::Pause,
        StatusChange::Resume => Control::Resume,
        StatusChange::Terminate {
            rollback: None | Some(false),
        } => Control::Terminate,
        StatusChange::Restart { from: None } => Control::Restart,
        StatusChange::Terminate { rollback: Some(true) } => {
            return Err(unsupported(
                "terminating with rollback is not available yet; terminate without rollback",
            ));
        }
        StatusChange::Restart { from: Some(_) } => {
            return Err(unsupported(
                "restarting from a step is not available yet; restart from the beginning",
            ));
        }
    };
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

fn unsupported(explanation: &str) -> Failure {
    Failure::new(ApiError::NotSupported, explanation)
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
