//! `cairn instances logs`: the events of an instance, a line each.

use super::events::{Ask, Events, Heard, Reach};
use crate::Exit;
use crate::args::LogsArguments;
use crate::client::{RequestError, instance_path};
use crate::failure::Failure;
use crate::follow::is_passing;
use crate::output::{Form, Look, Style};
use crate::remote::Remote;
use crate::signals::stop_wanted;
use crate::steps::{plain, span};
use cairn_api::{InstanceDetails, InstanceStatus};
use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::{Duration, Instant};

/// How long a server may be away.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time before a lost connection is made again.
const PAUSE: Duration = Duration::from_millis(500);
/// Characters of a value that are shown.
const VALUE_CHARS: usize = 200;

/// An event, as far as a line says it. All fields but the first three depend on the type.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    event_id: u64,
    timestamp: i64,
    step_name: Option<String>,
    attempt: Option<u32>,
    event_type: Option<String>,
    duration_ms: Option<i64>,
    retry_delay_ms: Option<i64>,
    error: Option<EventError>,
    params: Option<Box<RawValue>>,
    output: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
struct EventError {
    name: String,
    message: String,
}

pub(super) async fn logs(remote: &Remote, arguments: &LogsArguments) -> Result<Exit, Failure> {
    let workflow = &arguments.instance.workflow;
    let id = remote.id(workflow, &arguments.instance.id).await?;
    let reach = if arguments.follow { Reach::End } else { Reach::Now };
    let ask = Ask {
        workflow,
        id: &id,
        cursor: arguments.after,
        types: &arguments.events,
        reach,
    };
    let told = tokio::select! {
        told = tell(remote, ask) => told?,
        () = stop_wanted() => return Ok(Exit::Stopped),
    };
    match (reach, told) {
        (Reach::Now, Told::Over) => Ok(Exit::Complete),
        (Reach::End, Told::Over) => outcome(remote, (workflow, &id)).await,
        (_, Told::Deleted) => {
            remote.terminal.line("The instance was deleted.");
            Ok(Exit::Errored)
        }
    }
}

/// How the telling ended.
enum Told {
    Over,
    Deleted,
}

async fn tell(remote: &Remote, mut ask: Ask<'_>) -> Result<Told, Failure> {
    let mut first_at = None;
    let mut lost_at: Option<Instant> = None;
    loop {
        let lost = match Events::connect(&remote.api, &ask).await {
            Ok(mut events) => loop {
                match events.next().await {
                    Heard::Event(text) => {
                        lost_at = None;
                        ask.cursor = print(remote, &text, &mut first_at)?;
                    }
                    Heard::Over => return Ok(Told::Over),
                    Heard::Deleted => return Ok(Told::Deleted),
                    Heard::Lost(reason) => break RequestError::Unreachable(reason),
                    Heard::Broken(reason) => {
                        return Err(remote.failure(RequestError::Broken(reason), "Following the instance"));
                    }
                }
            },
            // A first connection that fails is told at once: perhaps there is no server at all.
            Err(error) if lost_at.is_some() && is_passing(&error) => error,
            Err(error) => {
                return Err(remote
                    .about_workflow(error, "Following the instance", ask.workflow)
                    .await);
            }
        };
        let since = *lost_at.get_or_insert_with(|| {
            remote.terminal.line("The connection is lost; trying again.");
            Instant::now()
        });
        if since.elapsed() > PATIENCE {
            return Err(remote.failure(lost, "Following the instance"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Prints an event; its number.
fn print(remote: &Remote, text: &str, first_at: &mut Option<i64>) -> Result<u64, Failure> {
    let event: Event = serde_json::from_str(text).map_err(|error| {
        let reason = format!("an event cannot be read: {error}: {text}");
        remote.failure(RequestError::Broken(reason), "Following the instance")
    })?;
    match remote.output.form() {
        Form::Json => remote.output.text(text)?,
        Form::Text => {
            let first = *first_at.get_or_insert(event.timestamp);
            remote.output.text(&line(remote.output.style(), &event, first))?;
        }
    }
    Ok(event.event_id)
}

/// An event in a line: its number, the time since the first line, what happened.
fn line(style: Style, event: &Event, first: i64) -> String {
    let (look, what) = told(event);
    let offset = format!("+{}", span(event.timestamp - first));
    let lead = style.paint(Look::Faint, &format!("{:>4} {offset:>12}", event.event_id));
    format!("{lead}  {}", style.paint(look, &what))
}

fn told(event: &Event) -> (Look, String) {
    let step = event.step_name.as_deref().map(plain).unwrap_or_default();
    let attempt = event.attempt.unwrap_or(1);
    let error = event.error.as_ref();
    let error = error.map(|error| plain(&format!(": {}: {}", error.name, error.message)));
    let error = error.unwrap_or_default();
    let again = match event.retry_delay_ms {
        Some(delay) => format!(", the next one in {}", span(delay)),
        None => ", for good".to_owned(),
    };
    let value = |value: &Option<Box<RawValue>>| value.as_deref().map(shown).unwrap_or_default();
    match event.kind.as_str() {
        "workflow_queued" => (Look::Strong, "queued".into()),
        "workflow_started" => (Look::Strong, format!("started{}", value(&event.params))),
        "workflow_running" => (Look::Faint, "running".into()),
        "workflow_waiting" => (Look::Faint, "waiting".into()),
        "workflow_waiting_for_pause" => (Look::Warning, "waiting for its pause".into()),
        "workflow_paused" => (Look::Warning, "paused".into()),
        "workflow_completed" => (Look::Good, format!("✓ completed{}", value(&event.output))),
        "workflow_errored" => (Look::Bad, format!("✗ failed{error}")),
        "workflow_terminated" => (Look::Bad, "✗ terminated".into()),
        "step_started" => (Look::Plain, format!("{step}  begins")),
        "step_completed" => (Look::Good, format!("{step}  ✓ done{}", value(&event.output))),
        "step_errored" => (Look::Bad, format!("{step}  ✗ failed for good")),
        "attempt_started" => (Look::Faint, format!("{step}  attempt {attempt}")),
        "attempt_completed" => (Look::Faint, format!("{step}  attempt {attempt} done")),
        "attempt_errored" => (
            Look::Warning,
            format!("{step}  ! attempt {attempt} failed{error}{again}"),
        ),
        "sleep_started" => {
            let sleep = event.duration_ms.map(|millis| format!(" for {}", span(millis)));
            (
                Look::Plain,
                format!("{step}  sleeps{}", sleep.unwrap_or_default()),
            )
        }
        "sleep_completed" => (Look::Plain, format!("{step}  slept")),
        "wait_started" => {
            let kind = plain(event.event_type.as_deref().unwrap_or("?"));
            (Look::Plain, format!("{step}  waits for event \"{kind}\""))
        }
        "wait_completed" => (Look::Plain, format!("{step}  got its event")),
        "wait_timed_out" => (Look::Warning, format!("{step}  ! no event came in time")),
        "rollback_started" => (Look::Warning, "rolling back".into()),
        "rollback_step_started" => (Look::Plain, format!("{step}  rollback begins")),
        "rollback_attempt_started" => (Look::Faint, format!("{step}  rollback attempt {attempt}")),
        "rollback_attempt_completed" => (Look::Faint, format!("{step}  rollback attempt {attempt} done")),
        "rollback_attempt_errored" => (
            Look::Warning,
            format!("{step}  ! rollback attempt {attempt} failed{error}{again}"),
        ),
        "rollback_step_completed" => (Look::Good, format!("{step}  ✓ rolled back")),
        "rollback_step_errored" => (Look::Bad, format!("{step}  ✗ rollback failed{error}")),
        "rollback_completed" => (Look::Good, "✓ all is rolled back".into()),
        "rollback_errored" => (Look::Bad, "✗ not all could be rolled back".into()),
        // A newer server may tell what this command does not know.
        other => (Look::Plain, plain(&format!("{other} {step}{error}"))),
    }
}

/// A value after a blank, cut to what fits a line.
fn shown(value: &RawValue) -> String {
    let mut text: String = plain(value.get()).chars().take(VALUE_CHARS + 1).collect();
    if text.chars().count() > VALUE_CHARS {
        text.pop();
        text.push('…');
    }
    format!(" {text}")
}

/// How an instance that was followed to its end has ended.
async fn outcome(remote: &Remote, (workflow, id): (&str, &str)) -> Result<Exit, Failure> {
    let request = remote
        .api
        .request(Method::GET, &instance_path(workflow, id))
        .query(&[("simple", "true")]);
    let details: InstanceDetails = match remote.api.send(request).await {
        Ok(details) => details,
        Err(error) => {
            return Err(remote
                .about_workflow(error, "Reading the instance", workflow)
                .await);
        }
    };
    Ok(match details.status {
        InstanceStatus::Errored | InstanceStatus::Terminated => Exit::Errored,
        // Whatever else it is: somebody has restarted it since.
        InstanceStatus::Complete
        | InstanceStatus::Queued
        | InstanceStatus::Running
        | InstanceStatus::Paused
        | InstanceStatus::WaitingForPause
        | InstanceStatus::Waiting
        | InstanceStatus::RollingBack => Exit::Complete,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[expect(clippy::needless_pass_by_value, reason = "json! makes values")]
    fn shows(fields: Value) -> String {
        let mut event = json!({ "instanceId": "a", "eventId": 7, "timestamp": 2_500 });
        let all = event.as_object_mut().unwrap();
        all.extend(fields.as_object().unwrap().clone());
        let event: Event = serde_json::from_str(&event.to_string()).unwrap();
        line(Style::PLAIN, &event, 1_000)
    }

    #[test]
    fn an_event_is_a_line() {
        assert_eq!(
            shows(json!({ "type": "workflow_started", "params": { "item": "boat" } })),
            "   7       +1.5 s  started {\"item\":\"boat\"}"
        );
        assert_eq!(
            shows(
                json!({ "type": "attempt_errored", "stepName": "charge-1", "attempt": 2,
                "error": { "name": "Error", "message": "503\nstack" }, "retryDelayMs": 4000 })
            ),
            "   7       +1.5 s  charge-1  ! attempt 2 failed: Error: 503, the next one in 4.0 s"
        );
        assert_eq!(
            shows(json!({ "type": "wait_started", "stepName": "decision-1", "eventType": "decision" })),
            "   7       +1.5 s  decision-1  waits for event \"decision\""
        );
    }

    #[test]
    fn long_values_and_unknown_events_fit_a_line() {
        let long = shows(json!({ "type": "step_completed", "stepName": "a-1", "output": "x".repeat(500) }));
        assert_eq!(
            long.chars().count(),
            "   7       +1.5 s  a-1  ✓ done ".chars().count() + 201
        );
        assert!(shows(json!({ "type": "moon_rose\u{1b}[2J" })).ends_with("moon_rose [2J "));
    }
}
