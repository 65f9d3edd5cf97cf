//! Events as JSON text (behaviour §7).

use crate::follow::{Told, ToldValue};
use cairn_core::{ErrorInfo, EventKind, RetryDelay, StepConfig, StepKey};
use cairn_runtime::BindingEvent;
use serde::Serialize;
use serde_json::value::RawValue;

const REDACTED: &str = "[REDACTED]";

/// An event on the wire. Every field but the first four belongs to some types only.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Text<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    instance_id: &'a str,
    event_id: u64,
    timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    step_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Config<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_delay_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Box<RawValue>>,
}

#[derive(Debug, Serialize)]
struct Error<'a> {
    name: &'a str,
    message: &'a str,
}

#[derive(Debug, Serialize)]
struct Config<'a> {
    retries: Retries<'a>,
    timeout: Duration<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sensitive: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Retries<'a> {
    limit: u32,
    delay: Duration<'a>,
    backoff: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Duration<'a> {
    Millis(u64),
    Text(&'a str),
}

impl Told {
    /// The event as JSON text, with its value as far as JSON holds it.
    pub fn to_json_text(&self, instance_id: &str) -> String {
        let mut text = self.fields(instance_id);
        if let Some(ToldValue::Shown(value)) = &self.value {
            // What the value gives is JSON.
            let value = RawValue::from_string(value.to_json_text()).ok();
            match self.value_name() {
                ValueName::Params => text.params = value,
                ValueName::Output => text.output = value,
            }
        }
        written(&text)
    }

    /// The event for user code: without its value, and that value beside it.
    pub(crate) fn parts(&self, instance_id: &str) -> BindingEvent {
        let (value, stream) = match (&self.value, &self.event.kind) {
            (Some(ToldValue::Shown(value)), _) => (Some((self.value_name().as_str(), value.clone())), None),
            (Some(ToldValue::Stream { .. }), EventKind::StepCompleted { output, .. }) => {
                (None, Some(output.0))
            }
            (Some(ToldValue::Stream { .. } | ToldValue::Redacted) | None, _) => (None, None),
        };
        BindingEvent {
            fields: written(&self.fields(instance_id)),
            value,
            stream,
        }
    }

    fn value_name(&self) -> ValueName {
        match self.event.kind {
            EventKind::WorkflowStarted { .. } => ValueName::Params,
            _ => ValueName::Output,
        }
    }

    fn fields<'a>(&'a self, instance_id: &'a str) -> Text<'a> {
        let event = &self.event;
        let text = Text {
            kind: event.kind.event_type().as_str(),
            instance_id,
            event_id: event.id,
            timestamp: event.at.0,
            step_name: event.kind.step().map(StepKey::to_string),
            attempt: event.kind.attempt(),
            error: event.kind.error().map(Error::from),
            ..Text::default()
        };
        match &event.kind {
            EventKind::StepStarted { config, .. } | EventKind::RollbackStepStarted { config, .. } => Text {
                config: Some(Config::from(config)),
                ..text
            },
            EventKind::SleepStarted { duration_millis, .. } => Text {
                duration_ms: Some(*duration_millis),
                ..text
            },
            EventKind::WaitStarted { event_type, .. } => Text {
                event_type: Some(event_type),
                ..text
            },
            EventKind::AttemptErrored {
                retry_delay_millis, ..
            }
            | EventKind::RollbackAttemptErrored {
                retry_delay_millis, ..
            } => Text {
                retry_delay_ms: *retry_delay_millis,
                ..text
            },
            EventKind::StepCompleted { .. } => Text {
                output: self.text_shown(),
                ..text
            },
            _ => text,
        }
    }
}

impl Told {
    /// What is shown in place of a value.
    fn text_shown(&self) -> Option<Box<RawValue>> {
        match &self.value {
            Some(ToldValue::Stream { preview }) => serde_json::value::to_raw_value(preview).ok(),
            Some(ToldValue::Redacted) => serde_json::value::to_raw_value(REDACTED).ok(),
            Some(ToldValue::Shown(_)) | None => None,
        }
    }
}

/// The field a value stands in.
#[derive(Debug, Clone, Copy)]
enum ValueName {
    Params,
    Output,
}

impl ValueName {
    fn as_str(self) -> &'static str {
        match self {
            Self::Params => "params",
            Self::Output => "output",
        }
    }
}

fn written(text: &Text<'_>) -> String {
    // Strings and numbers can always be written.
    serde_json::to_string(text).unwrap_or_default()
}

impl<'a> From<&'a ErrorInfo> for Error<'a> {
    fn from(error: &'a ErrorInfo) -> Self {
        Self {
            name: &error.name,
            message: &error.message,
        }
    }
}

impl<'a> From<&'a StepConfig> for Config<'a> {
    fn from(config: &'a StepConfig) -> Self {
        let delay = match &config.delay {
            RetryDelay::Dynamic => Duration::Text("[dynamic]"),
            RetryDelay::Fixed { text: Some(text), .. } => Duration::Text(text),
            RetryDelay::Fixed { millis, text: None } => Duration::Millis(*millis),
        };
        Self {
            retries: Retries {
                limit: config.limit,
                delay,
                backoff: config.backoff.as_str(),
            },
            timeout: match &config.timeout_text {
                Some(text) => Duration::Text(text),
                None => Duration::Millis(config.timeout_millis),
            },
            sensitive: config.redacted.then_some("output"),
        }
    }
}
