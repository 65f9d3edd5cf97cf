//! `…/triggers/:script`: event triggers of a script. The events they wait for come from products that Cairn does not have, so what is put is checked and then
//! refused: a trigger that never fires would be worse.

use super::scripts::existing;
use crate::answer::{Answer, done};
use crate::app::Call;
use crate::body;
use axum::body::Body;
use axum::http::Method;
use cairn_api::{ApiError, EventTrigger, Failure, ScriptTriggers, TriggersDeleted};

/// A request to the triggers of a script.
pub(super) async fn handle(call: &Call, body: Body, (account, script): (&str, &str)) -> Answer {
    let put = match call.method {
        Method::GET | Method::DELETE => Vec::new(),
        Method::PUT | Method::PATCH => read(call, body).await?,
        _ => return Err(call.wrong_method("GET, PUT, PATCH, DELETE")),
    };
    existing(call, account, script).await?;
    if let Some(trigger) = put.first() {
        return Err(Failure::new(
            ApiError::NotSupported,
            format!(
                "the event trigger \"{}\" is not available: no such events happen here; remove triggers.events",
                trigger.event_type
            ),
        ));
    }
    if call.method == Method::DELETE {
        return done(TriggersDeleted { deleted: 0 });
    }
    done(ScriptTriggers {
        script_name: script.into(),
        triggers: Vec::new(),
    })
}

async fn read(call: &Call, body: Body) -> Result<Vec<EventTrigger>, Failure> {
    let triggers: Vec<EventTrigger> = body::json(body, &call.app.limits).await?;
    for (index, trigger) in triggers.iter().enumerate() {
        trigger
            .check()
            .map_err(|reason| crate::answer::bad(format!("[{index}].{reason}")))?;
    }
    Ok(triggers)
}
