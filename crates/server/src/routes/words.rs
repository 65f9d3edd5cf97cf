//! The engine's words as the API's: statuses, times, durations.

use crate::answer::bad;
use cairn_api::{DurationValue, Failure, InstanceStatus, NamedError, Retention, Time, TriggerSource};
use cairn_engine::{DurationInput, ErrorInfo, Status, Timestamp, Trigger, parse_duration};

/// The statuses that lists can be filtered by.
pub(super) const STATUSES: [(&str, Status); 9] = [
    ("queued", Status::Queued),
    ("running", Status::Running),
    ("paused", Status::Paused),
    ("errored", Status::Errored),
    ("terminated", Status::Terminated),
    ("complete", Status::Complete),
    ("waitingForPause", Status::WaitingForPause),
    ("waiting", Status::Waiting),
    ("rollingBack", Status::RollingBack),
];

pub(super) fn status(status: Status) -> InstanceStatus {
    match status {
        Status::Queued => InstanceStatus::Queued,
        Status::Running => InstanceStatus::Running,
        Status::Paused => InstanceStatus::Paused,
        Status::Errored => InstanceStatus::Errored,
        Status::Terminated => InstanceStatus::Terminated,
        Status::Complete => InstanceStatus::Complete,
        Status::WaitingForPause => InstanceStatus::WaitingForPause,
        Status::Waiting => InstanceStatus::Waiting,
        Status::RollingBack => InstanceStatus::RollingBack,
    }
}

pub(super) fn trigger(trigger: Trigger) -> TriggerSource {
    match trigger {
        Trigger::Api => TriggerSource::Api,
        Trigger::Binding => TriggerSource::Binding,
        Trigger::Event => TriggerSource::Event,
        Trigger::Cron => TriggerSource::Cron,
    }
}

pub(super) fn time(at: Timestamp) -> Time {
    Time(at.0)
}

pub(super) fn error(error: ErrorInfo) -> NamedError {
    NamedError {
        name: error.name,
        message: error.message,
    }
}

/// Milliseconds of a retention, success first.
pub(super) fn retention(retention: Option<Retention>) -> Result<(Option<u64>, Option<u64>), Failure> {
    let retention = retention.unwrap_or_default();
    let success = retention
        .success_retention
        .map(|value| millis("success_retention", value))
        .transpose()?;
    let error = retention
        .error_retention
        .map(|value| millis("error_retention", value))
        .transpose()?;
    Ok((success, error))
}

fn millis(field: &str, value: DurationValue) -> Result<u64, Failure> {
    let shown = match &value {
        DurationValue::Millis(number) => number.to_string(),
        DurationValue::Text(text) => format!("\"{text}\""),
    };
    let input = match value {
        DurationValue::Millis(number) => DurationInput::Millis(number.as_f64().unwrap_or(f64::NAN)),
        DurationValue::Text(text) => DurationInput::Text(text),
    };
    let millis = parse_duration(&input)
        .ok()
        .and_then(|millis| u64::try_from(millis).ok())
        .filter(|millis| *millis > 0);
    millis.ok_or_else(|| {
        bad(format!(
            "{field} is {shown}; a duration must be a positive number of milliseconds or a string such as \"3 days\" \
             (second, minute, hour, day, week, month, year)"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_in_both_forms() {
        let read = |text| retention(serde_json::from_str(text).unwrap());
        let both = r#"{"success_retention":"3 days","error_retention":604800000}"#;
        assert_eq!(read(both), Ok((Some(259_200_000), Some(604_800_000))));
        assert_eq!(read("{}"), Ok((None, None)));
        for bad in [
            r#"{"success_retention":"3d"}"#,
            r#"{"error_retention":0}"#,
            r#"{"error_retention":-5}"#,
        ] {
            assert!(read(bad).unwrap_err().explanation.contains("3 days"), "{bad}");
        }
    }
}
