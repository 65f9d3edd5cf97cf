//! One instance with its steps, and the output of one step.

use super::words;
use crate::answer::{Answer, bad, done, engine};
use crate::app::Call;
use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use cairn_api::{
    ApiError, Attempt, Failure, Firing, InstanceDetails, InstanceStatus, Retries, RetryDelay, Rollback,
    RollbackOutcome, Step, StepConfig, StepOutput, TriggerInfo, TriggerSource,
};
use cairn_engine::{
    AttemptView, EngineError, Preview, RolledBackStep, Seq, StepDetail, StepKind, StepStream, StepView,
};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Characters of a step's output that are shown (behaviour §1.2).
const PREVIEW_CHARS: usize = 1_024;
const CUT_MARK: &str = "[truncated output]";
const REDACTED: &str = "[REDACTED]";

/// `GET …/instances/:id`
pub(super) async fn one(call: &Call, (account, workflow): (&str, &str), id: &str) -> Answer {
    let flags = [("true", true), ("false", false)];
    let is_simple = call.query.word("simple", &flags)?.unwrap_or(false);
    let is_descending = call
        .query
        .word("order", &[("asc", false), ("desc", true)])?
        .unwrap_or(false);
    let found = call
        .engine()
        .instance(account, workflow, (id, PREVIEW_CHARS))
        .await
        .map_err(engine)?;
    let (row, view) = (found.row, found.view);
    let step_count = view.steps.len() as u64;
    let mut steps: Vec<Step> = view
        .steps
        .into_iter()
        .map(|step| shown(step, &found.previews))
        .collect();
    let rollback = view.rollback.unwrap_or_default();
    steps.extend(rollback.steps.into_iter().map(shown_rollback));
    let rollback = rollback.outcome.map(|outcome| match outcome {
        Ok(()) => Rollback {
            outcome: RollbackOutcome::Complete,
            error: None,
        },
        Err(error) => Rollback {
            outcome: RollbackOutcome::Failed,
            error: Some(words::error(error)),
        },
    });
    if view.terminated_at.is_some() {
        steps.push(Step::Termination {
            trigger: TriggerInfo {
                source: TriggerSource::Api,
            },
        });
    }
    if is_descending {
        steps.reverse();
    }
    let status = words::status(row.status);
    done(InstanceDetails {
        id: Some(row.id),
        status,
        params: raw(found.params)?,
        trigger: TriggerInfo {
            source: words::trigger(row.trigger),
        },
        version_id: row.version,
        queued: words::time(row.created_at),
        start: row.started_at.map(words::time),
        end: row.ended_at.map(words::time),
        success: status.is_final().then_some(status == InstanceStatus::Complete),
        error: view.error.map(words::error),
        output: found.output,
        rollback,
        step_count,
        schedule: found.firing.map(|firing| Firing {
            cron: firing.cron,
            scheduled_time: firing.scheduled_at.0,
        }),
        steps: if is_simple { Vec::new() } else { steps },
    })
}

fn raw(text: String) -> Result<Box<RawValue>, Failure> {
    RawValue::from_string(text)
        .map_err(|error| Failure::new(ApiError::Internal, format!("a stored value is no JSON: {error}")))
}

fn shown(step: StepView, previews: &BTreeMap<Seq, Preview>) -> Step {
    let success = step.success();
    let output = preview(&step, previews);
    let name = step.key.to_string();
    let start = words::time(step.started_at);
    let end = step.ended_at.map(words::time);
    let error = step.error.map(words::error);
    match step.detail {
        StepDetail::Do { config, attempts, .. } => Step::Step {
            name,
            start,
            end,
            success,
            output,
            config: shown_config(&config),
            attempts: attempts.into_iter().map(shown_attempt).collect(),
        },
        StepDetail::Sleep { until } => Step::Sleep {
            name,
            start,
            end: end.unwrap_or(words::time(until)),
            finished: success.is_some(),
            error,
        },
        StepDetail::Wait {
            event_type, deadline, ..
        } => Step::WaitForEvent {
            name,
            start,
            end: end.unwrap_or(words::time(deadline)),
            finished: success.is_some(),
            error,
            output,
            event_type: Some(event_type),
        },
    }
}

fn shown_attempt(attempt: AttemptView) -> Attempt {
    Attempt {
        start: words::time(attempt.started_at),
        end: attempt.ended_at.map(words::time),
        success: attempt.ended_at.map(|_| attempt.error.is_none()),
        error: attempt.error.map(words::error),
    }
}

fn shown_rollback(step: RolledBackStep) -> Step {
    Step::Rollback {
        name: step.key.to_string(),
        start: words::time(step.started_at),
        end: step.ended_at.map(words::time),
        success: step.ended_at.map(|_| step.error.is_none()),
        output: None,
        config: shown_config(&step.config),
        attempts: step.attempts.into_iter().map(shown_attempt).collect(),
    }
}

fn preview(step: &StepView, previews: &BTreeMap<Seq, Preview>) -> Option<String> {
    let output = step.output()?;
    if step.is_redacted() {
        return Some(REDACTED.into());
    }
    let Preview { text, is_cut } = previews.get(&output)?;
    Some(if *is_cut {
        format!("{text}{CUT_MARK}")
    } else {
        text.clone()
    })
}

fn shown_config(config: &cairn_engine::StepConfig) -> StepConfig {
    StepConfig {
        retries: Retries {
            limit: config.limit,
            delay: match config.shown_delay() {
                Ok(millis) => RetryDelay::Millis(millis),
                Err(text) => RetryDelay::Text(text),
            },
            backoff: Some(config.backoff.as_str().into()),
        },
        timeout: match &config.timeout_text {
            Some(text) => RetryDelay::Text(text.clone()),
            None => RetryDelay::Millis(config.timeout_millis),
        },
        sensitive: config.redacted.then(|| "output".into()),
    }
}

/// `GET …/step?name=charge-1&type=step[&attempt=2]`
pub(super) async fn step(call: &Call, (account, workflow): (&str, &str), id: &str) -> Answer {
    let query = &call.query;
    let name = query.text("name")?.ok_or_else(|| {
        bad("the query parameter \"name\" is missing; it is the step's name with its count, such as \"charge-1\"")
    })?;
    // `sleep` is not in the public schema; it answers with the status alone.
    let kinds = [
        ("step", StepKind::Do),
        ("waitForEvent", StepKind::WaitForEvent),
        ("sleep", StepKind::Sleep),
    ];
    let kind = query
        .word("type", &kinds)?
        .ok_or_else(|| bad("the query parameter \"type\" is missing; it is \"step\" or \"waitForEvent\""))?;
    let attempt = query.value("attempt")?;
    let found = call
        .engine()
        .step_output(account, workflow, (id, name, kind, attempt))
        .await
        .map_err(engine)?;
    if let Some(stream) = found.stream
        && !found.step.is_redacted()
    {
        return Ok(raw_stream(stream));
    }
    let status = match (found.step.success(), &found.step.detail) {
        (Some(true), _) => InstanceStatus::Complete,
        (Some(false), _) => InstanceStatus::Errored,
        (None, StepDetail::Do { .. }) => InstanceStatus::Running,
        (None, StepDetail::Sleep { .. } | StepDetail::Wait { .. }) => InstanceStatus::Waiting,
    };
    let output = match found.output {
        Some(_) if found.step.is_redacted() => Some(raw(format!("\"{REDACTED}\""))?),
        Some(text) => Some(raw(text)?),
        None => None,
    };
    let event_type = match found.step.detail {
        StepDetail::Wait { event_type, .. } => Some(event_type),
        StepDetail::Do { .. } | StepDetail::Sleep { .. } => None,
    };
    done(StepOutput {
        status,
        error: found.error.map(words::error),
        output,
        event_type,
    })
}

/// A stream as it is, piece by piece: as fast as the client reads.
fn raw_stream(stream: StepStream) -> Response<Body> {
    let bytes = stream.bytes();
    let pieces = futures_util::stream::try_unfold(stream, |mut stream| async {
        let piece = stream.next().await;
        let piece =
            piece.inspect_err(|error| tracing::error!(%error, "a stream broke off on its way to a client"));
        Ok::<_, EngineError>(piece?.map(|piece| (piece, stream)))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_engine::{ErrorInfo, StepKey, Timestamp};
    use serde_json::{Value as Json, json};

    fn step(kind: StepKind, detail: StepDetail, ended: Option<i64>) -> StepView {
        StepView {
            key: StepKey {
                kind,
                name: "nap".into(),
                count: 2,
            },
            started_at: Timestamp(0),
            ended_at: ended.map(Timestamp),
            error: None,
            detail,
        }
    }

    fn done_step(redacted: bool, output: Option<Seq>) -> StepView {
        let mut config = cairn_engine::StepConfig::defaults(&cairn_engine::Limits::default());
        config.redacted = redacted;
        let failed = AttemptView {
            started_at: Timestamp(0),
            ended_at: Some(Timestamp(1)),
            error: Some(ErrorInfo {
                name: "Error".into(),
                message: "no luck".into(),
            }),
        };
        let running = AttemptView {
            started_at: Timestamp(2),
            ended_at: None,
            error: None,
        };
        let detail = StepDetail::Do {
            config,
            attempts: vec![failed, running],
            output,
            retry_at: None,
            rollback: None,
        };
        step(StepKind::Do, detail, output.map(|_| 3))
    }

    fn json(step: StepView, previews: &BTreeMap<Seq, Preview>) -> Json {
        serde_json::to_value(shown(step, previews)).unwrap()
    }

    #[test]
    fn a_rolled_back_step_shows_the_calls_of_its_handler() {
        let failed = AttemptView {
            started_at: Timestamp(0),
            ended_at: Some(Timestamp(1)),
            error: Some(ErrorInfo::new("Error", "no")),
        };
        let mut rolled_back = RolledBackStep {
            key: StepKey {
                kind: StepKind::Do,
                name: "charge".into(),
                count: 2,
            },
            config: cairn_engine::StepConfig::defaults(&cairn_engine::Limits::default()),
            started_at: Timestamp(0),
            ended_at: None,
            error: None,
            attempts: vec![failed],
        };
        let running = serde_json::to_value(shown_rollback(rolled_back.clone())).unwrap();
        assert_eq!(
            running,
            json!({
                "type": "rollback", "name": "charge-2", "start": "1970-01-01T00:00:00.000Z", "end": null, "success": null, "output": null,
                "config": { "retries": { "limit": 5, "delay": 10000, "backoff": "exponential" }, "timeout": "10 minutes" },
                "attempts": [{
                    "start": "1970-01-01T00:00:00.000Z", "end": "1970-01-01T00:00:00.001Z", "success": false, "error": { "name": "Error", "message": "no" },
                }],
            })
        );
        rolled_back.ended_at = Some(Timestamp(1));
        rolled_back.error = Some(ErrorInfo::new("Error", "no"));
        let given_up = serde_json::to_value(shown_rollback(rolled_back)).unwrap();
        assert_eq!(
            (&given_up["success"], &given_up["end"]),
            (&json!(false), &json!("1970-01-01T00:00:00.001Z"))
        );
    }

    #[test]
    fn waits_show_when_they_will_end() {
        let sleeping = json(
            step(
                StepKind::Sleep,
                StepDetail::Sleep {
                    until: Timestamp(60_000),
                },
                None,
            ),
            &BTreeMap::new(),
        );
        let expected = json!({ "type": "sleep", "name": "nap-2", "start": "1970-01-01T00:00:00.000Z",
            "end": "1970-01-01T00:01:00.000Z", "finished": false, "error": null });
        assert_eq!(sleeping, expected);
        let detail = StepDetail::Wait {
            event_type: "go".into(),
            deadline: Timestamp(60_000),
            event: Some(Seq(7)),
        };
        let previews = BTreeMap::from([(
            Seq(7),
            Preview {
                text: "{\"k\":1}".into(),
                is_cut: false,
            },
        )]);
        let waited = json(step(StepKind::WaitForEvent, detail, Some(5)), &previews);
        assert_eq!(
            (&waited["output"], &waited["event_type"]),
            (&json!("{\"k\":1}"), &json!("go"))
        );
        assert_eq!(
            (&waited["end"], &waited["finished"]),
            (&json!("1970-01-01T00:00:00.005Z"), &json!(true))
        );
    }

    #[test]
    fn steps_show_their_attempts() {
        let running = json(done_step(false, None), &BTreeMap::new());
        assert_eq!(
            (&running["type"], &running["success"], &running["output"]),
            (&json!("step"), &json!(null), &json!(null))
        );
        assert_eq!(
            running["config"]["retries"],
            json!({ "limit": 5, "delay": 10_000, "backoff": "exponential" })
        );
        assert_eq!(
            running["attempts"][0]["error"],
            json!({ "name": "Error", "message": "no luck" })
        );
        assert_eq!(
            (
                &running["attempts"][0]["success"],
                &running["attempts"][1]["success"]
            ),
            (&json!(false), &json!(null))
        );
    }

    #[test]
    fn outputs_are_cut_and_hidden() {
        let previews = BTreeMap::from([(
            Seq(7),
            Preview {
                text: "\"xxx".into(),
                is_cut: true,
            },
        )]);
        assert_eq!(
            json(done_step(false, Some(Seq(7))), &previews)["output"],
            "\"xxx[truncated output]"
        );
        let hidden = json(done_step(true, Some(Seq(7))), &previews);
        assert_eq!(
            (&hidden["output"], &hidden["config"]["sensitive"]),
            (&json!("[REDACTED]"), &json!("output"))
        );
    }
}
