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

/// The longest duration there is, some 285,000 years.
const LONGEST_MILLIS: u64 = 9_000_000_000_000_000;
const UNITS: [&str; 7] = ["second", "minute", "hour", "day", "week", "month", "year"];

/// A number that is whole, however it is written.
fn whole(number: &serde_json::Number) -> Option<u64> {
    let written = number
        .as_f64()
        .filter(|value| value.fract() == 0.0 && *value >= 0.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and not negative; what is too large becomes the largest"
    )]
    number.as_u64().or(written.map(|value| value as u64))
}

/// Digits, spaces, a unit: stricter than durations in user code.
fn is_number_and_unit(text: &str) -> bool {
    let after = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let unit = after.trim_start_matches(' ');
    let has_both = after.len() < text.len() && unit.len() < after.len();
    has_both && UNITS.contains(&unit.strip_suffix('s').unwrap_or(unit))
}

fn millis(field: &str, value: DurationValue) -> Result<u64, Failure> {
    let shown = match &value {
        DurationValue::Millis(number) => number.to_string(),
        DurationValue::Text(text) => format!("\"{text}\""),
    };
    let millis = match value {
        DurationValue::Millis(number) => whole(&number),
        DurationValue::Text(text) if is_number_and_unit(&text) => {
            let parsed = parse_duration(&DurationInput::Text(text));
            // Of this form only what is too long is none.
            Some(
                parsed
                    .ok()
                    .and_then(|millis| u64::try_from(millis).ok())
                    .unwrap_or(LONGEST_MILLIS),
            )
        }
        DurationValue::Text(_) => None,
    };
    millis.filter(|millis| (1..=LONGEST_MILLIS).contains(millis)).ok_or_else(|| {
        bad(format!(
            "{field} is {shown}; a duration must be a whole, positive number of milliseconds or a string such as \"3 days\" \
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
        let long = r#"{"success_retention":"99999999999999999999 years","error_retention":1e3}"#;
        assert_eq!(read(long), Ok((Some(LONGEST_MILLIS), Some(1_000))));
        for bad in [
            r#"{"success_retention":"3d"}"#,
            r#"{"success_retention":"1.5 days"}"#,
            r#"{"success_retention":"3days"}"#,
            r#"{"success_retention":"0 days"}"#,
            r#"{"success_retention":"days"}"#,
            r#"{"success_retention":1.5}"#,
            r#"{"success_retention":9000000000000001}"#,
            r#"{"error_retention":0}"#,
            r#"{"error_retention":-5}"#,
        ] {
            assert!(read(bad).unwrap_err().explanation.contains("3 days"), "{bad}");
        }
    }
}
