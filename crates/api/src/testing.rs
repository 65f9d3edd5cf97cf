//! What tests say and hear below `/cairn/v1/test` (docs/testing.md). The words are Cairn's own, the names of modifiers Cloudflare's.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// `GET` and `POST …/clock`
#[derive(Debug, Clone, Serialize)]
pub struct TestClock {
    /// The time it shows.
    pub now: crate::Time,
    /// By how much it has been put forward, milliseconds.
    pub shift_ms: u64,
}

/// Puts the clock forward.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdvanceClock {
    /// By how much.
    pub advance: Span,
}

/// A span of time: milliseconds, or text such as `"1 hour"`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Span {
    /// Milliseconds.
    Millis(f64),
    /// A number and a unit.
    Text(String),
}

/// Puts something in place of what instances would do.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modify {
    /// What, in order.
    pub modifiers: Vec<Modifier>,
}

/// A step as tests name it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepName {
    /// Its name.
    pub name: String,
    /// 1 for the first of this name.
    #[serde(default = "first")]
    pub index: u32,
}

fn first() -> u32 {
    1
}

/// One modifier, such as `{"disableSleeps":{}}`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Modifier {
    /// Sleeps end at once.
    DisableSleeps {
        /// These; all when absent.
        steps: Option<Vec<StepName>>,
    },
    /// Retries are due at once.
    DisableRetryDelays {
        /// Of these; of all when absent.
        steps: Option<Vec<StepName>>,
    },
    /// A step has this result.
    MockStepResult {
        /// Which.
        step: StepName,
        /// Plain JSON.
        #[serde(default, deserialize_with = "present")]
        value: Option<Box<RawValue>>,
        /// Or any value, in the graph form.
        graph: Option<Box<RawValue>>,
    },
    /// Attempts of a step fail.
    MockStepError {
        /// Which.
        step: StepName,
        /// With what.
        error: TestError,
        /// How many; all when absent.
        times: Option<u32>,
    },
    /// Attempts of a step time out.
    ForceStepTimeout {
        /// Which.
        step: StepName,
        /// How many; all when absent.
        times: Option<u32>,
    },
    /// An event comes when it is waited for.
    MockEvent {
        /// Its type.
        #[serde(rename = "type")]
        event_type: String,
        /// Plain JSON.
        #[serde(default, deserialize_with = "present")]
        payload: Option<Box<RawValue>>,
        /// Or any value, in the graph form.
        graph: Option<Box<RawValue>>,
    },
    /// A wait for an event times out.
    ForceEventTimeout {
        /// Which.
        step: StepName,
    },
}

/// A field that is there, if only with null.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(from).map(Some)
}

/// An error, to be thrown or thrown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestError {
    /// Its `name`.
    #[serde(default = "plain_error")]
    pub name: String,
    /// Its `message`.
    pub message: String,
}

fn plain_error() -> String {
    "Error".into()
}

/// A value: one of the two, or none of them for undefined.
#[derive(Debug, Default, Serialize)]
pub struct TestValue {
    /// As plain JSON, when it is that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Box<RawValue>>,
    /// In the graph form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph: Option<Box<RawValue>>,
}

/// A session that has begun.
#[derive(Debug, Serialize)]
pub struct TestSession {
    /// Its id.
    pub session: String,
}

/// The instances of a session.
#[derive(Debug, Serialize)]
pub struct TestInstances {
    /// Their ids, in order of creation.
    pub instances: Vec<String>,
}

/// Where an instance stands.
#[derive(Debug, Serialize)]
pub struct TestInstance {
    /// Its state.
    pub status: &'static str,
    /// What it threw.
    pub error: Option<TestError>,
    /// What it returned.
    pub output: TestValue,
}

/// `GET …/status`
#[derive(Debug, Serialize)]
pub struct TestStatus {
    /// Whether the instance has the status now; else ask again.
    pub reached: bool,
}

/// `GET …/step`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub enum TestStep {
    /// It has not ended; ask again.
    Open,
    /// A result.
    Result {
        /// It.
        #[serde(flatten)]
        value: TestValue,
    },
    /// An event.
    Event {
        /// Its type.
        #[serde(rename = "type")]
        event_type: String,
        /// When it came.
        timestamp: crate::Time,
        /// Its payload.
        #[serde(flatten)]
        payload: TestValue,
    },
    /// A sleep that is over.
    Slept,
    /// An error.
    Failed {
        /// It.
        error: TestError,
    },
}

/// What was done has no result.
#[derive(Debug, Serialize)]
pub struct TestDone {}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Modifier, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn null_is_a_value_and_nothing_is_none() {
        let value = |text: &str| match one(text) {
            Ok(Modifier::MockStepResult { value, .. }) => value.map(|value| value.get().to_owned()),
            other => panic!("{other:?}"),
        };
        let step = r#""step":{"name":"a"}"#;
        assert_eq!(
            value(&format!(r#"{{"mockStepResult":{{{step},"value":null}}}}"#)),
            Some("null".into())
        );
        assert_eq!(value(&format!(r#"{{"mockStepResult":{{{step}}}}}"#)), None);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for wrong in [
            "{}",
            r#""disableSleeps""#,
            r#"{"disableSleep":{}}"#,
            r#"{"disableSleeps":{"step":[]}}"#,
            r#"{"disableSleeps":{"steps":["a"]}}"#,
            r#"{"disableSleeps":{"steps":[{"name":"a","count":1}]}}"#,
            r#"{"mockStepResult":{"value":1}}"#,
            r#"{"mockStepResult":{"step":{"name":"a","index":-1}}}"#,
            r#"{"mockStepError":{"step":{"name":"a"},"error":"boom"}}"#,
            r#"{"forceStepTimeout":{"step":{"name":"a"},"times":1.5}}"#,
        ] {
            assert!(one(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_travel_in_one_form() {
        let raw = |text: &str| RawValue::from_string(text.into()).ok();
        let step = TestStep::Result {
            value: TestValue {
                value: raw("[1.50]"),
                graph: None,
            },
        };
        assert_eq!(
            serde_json::to_string(&step).unwrap(),
            r#"{"is":"result","value":[1.50]}"#
        );
    }
}
