//! How entries and actions are written in scripts.

use cairn_core::{
    Action, Entry, ErrorInfo, Outcome, Outcomes, Purpose, Record, RetryDelay, StepConfig, Timestamp,
};

pub(crate) fn entry(entry: &Entry, now: Timestamp) -> String {
    assert_eq!(entry.at, now, "an entry bears the time of its input");
    format!("+ {}", record(&entry.record))
}

fn record(record: &Record) -> String {
    match record {
        Record::Created => "created".into(),
        Record::Started => "started".into(),
        Record::StepStarted {
            step,
            name,
            count,
            config,
            rollback,
        } => {
            let own = config.as_ref().map_or(String::new(), configuration);
            let rollback = rollback.as_ref().map_or(String::new(), |config| {
                format!(" rollback{}", configuration(config))
            });
            format!("step-started #{} {name}-{count}{own}{rollback}", step.0)
        }
        Record::AttemptStarted { step, attempt } => format!("attempt-started #{} {attempt}", step.0),
        Record::AttemptFailed {
            step,
            attempt,
            error: thrown,
            retry_at,
        } => {
            let next = retry_at.map_or("gives up".into(), |at| format!("retry at {}", at.0));
            format!("attempt-failed #{} {attempt} {} -> {next}", step.0, error(thrown))
        }
        Record::StepCompleted { step, attempt, bytes } => {
            format!("step-completed #{} {attempt} {bytes}B", step.0)
        }
        Record::StepFailed { step, error: thrown } => format!("step-failed #{} {}", step.0, error(thrown)),
        Record::SleepStarted {
            step,
            name,
            count,
            until,
        } => {
            format!("sleep-started #{} {name}-{count} until {}", step.0, until.0)
        }
        Record::SleepCompleted { step } => format!("sleep-completed #{}", step.0),
        Record::WaitStarted {
            step,
            name,
            count,
            event_type,
            deadline,
            ..
        } => {
            format!(
                "wait-started #{} {name}-{count} for {event_type} until {}",
                step.0, deadline.0
            )
        }
        Record::WaitCompleted { step, event } => format!("wait-completed #{} with @{}", step.0, event.0),
        Record::WaitTimedOut { step, timeout_millis } => {
            format!("wait-timed-out #{} {timeout_millis}", step.0)
        }
        Record::EventReceived { event_type, bytes } => format!("event-received {event_type} {bytes}B"),
        Record::Waiting => "waiting".into(),
        Record::Running => "running".into(),
        Record::PauseRequested => "pause-requested".into(),
        Record::Paused => "paused".into(),
        Record::Resumed { shift_millis } => format!("resumed shift {shift_millis}"),
        Record::PauseCancelled => "pause-cancelled".into(),
        Record::Terminated => "terminated".into(),
        Record::Restarted => "restarted".into(),
        Record::Completed => "completed".into(),
        Record::Errored { error: thrown } => format!("errored {}", error(thrown)),
        Record::RestartedFrom { step } => format!("restarted-from #{}", step.0),
        _ => rollback(record),
    }
}

fn rollback(record: &Record) -> String {
    match record {
        Record::RollbackStarted { error: thrown } => {
            format!("rollback-started {}", thrown.as_ref().map_or("-".into(), error))
        }
        Record::RollbackAttemptStarted { step, attempt } => {
            format!("rollback-attempt-started #{} {attempt}", step.0)
        }
        Record::RollbackAttemptFailed {
            step,
            attempt,
            error: thrown,
            retry_at,
        } => {
            let next = retry_at.map_or("gives up".into(), |at| format!("retry at {}", at.0));
            format!(
                "rollback-attempt-failed #{} {attempt} {} -> {next}",
                step.0,
                error(thrown)
            )
        }
        Record::RollbackStepCompleted { step } => format!("rollback-step-completed #{}", step.0),
        Record::RollbackStepFailed { step, error: thrown } => {
            format!("rollback-step-failed #{} {}", step.0, error(thrown))
        }
        Record::RollbackEnded { error: thrown } => {
            format!("rollback-ended {}", thrown.as_ref().map_or("-".into(), error))
        }
        other => panic!("how is this written: {other:?}"),
    }
}

fn configuration(config: &StepConfig) -> String {
    let delay = match &config.delay {
        RetryDelay::Dynamic => "dynamic".into(),
        RetryDelay::Fixed { millis, .. } => millis.to_string(),
    };
    let redacted = if config.redacted { " redacted" } else { "" };
    format!(
        " limit {} delay {delay} {} timeout {}{redacted}",
        config.limit,
        config.backoff.as_str(),
        config.timeout_millis
    )
}

pub(crate) fn action(action: &Action) -> String {
    match action {
        Action::StartRun { outcomes, purpose } => {
            let what = match purpose {
                Purpose::Progress => "start-run",
                Purpose::Rollback => "start-rollback-run",
            };
            match outcomes {
                Outcomes::Old => format!("! {what}"),
                Outcomes::New => format!("! {what} once durable"),
            }
        }
        Action::RunRollback {
            step,
            attempt,
            error: thrown,
        } => format!("! run-rollback #{} {attempt} {}", step.0, error(thrown)),
        Action::StopRun => "! stop-run".into(),
        Action::RunAttempt { call, attempt } => format!("! run-attempt {} {attempt}", call.0),
        Action::Confirm { call } => format!("! confirm {}", call.0),
        Action::Settle { call, outcome: how } => format!("! settle {} {}", call.0, outcome(how)),
        Action::Hold => "! hold".into(),
        Action::Unhold => "! unhold".into(),
        Action::WantSlot => "! want-slot".into(),
        Action::Release { wake_at } => {
            format!("! release {}", wake_at.map_or("-".into(), |at| at.0.to_string()))
        }
    }
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Value(seq) => format!("value @{}", seq.0),
        Outcome::Slept => "slept".into(),
        Outcome::Event {
            event_type,
            at,
            payload,
        } => format!("event {event_type} of {} @{}", at.0, payload.0),
        Outcome::Failed(thrown) => format!("failed {}", error(thrown)),
        Outcome::Refused(thrown) => format!("refused {}", error(thrown)),
    }
}

fn error(error: &ErrorInfo) -> String {
    format!("{}: {}", error.name, error.message)
}
