//! Frames from a process, read strictly: whatever is not exactly as PROTOCOL.md says is an error.

use super::CHUNK_BYTES;
use crate::value::Value;
use crate::{ReportKind, RunId};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cairn_core::{
    CallId, CallRequest, Callback, ConfigInput, DelayInput, DurationInput, ErrorInfo, FailedAttempt,
    InvalidConfig, Origin, Raised, RetriesInput, RollbackReport, RollbackResult, StepCall, StepKey, StepKind,
    StepNo,
};
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::fmt;

/// Characters of a full piece of a stream.
const LARGEST_CHUNK_TEXT: usize = CHUNK_BYTES.div_ceil(3) * 4;

/// A message from a process.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all messages are reports")]
pub(crate) enum Message {
    Hello(Hello),
    Report { run: RunId, kind: ReportKind },
    Log(Log),
    Pong(u64),
}

/// The first message of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hello {
    pub(crate) exports: BTreeSet<String>,
    pub(crate) workflows: BTreeSet<String>,
}

/// A line of the console of user code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) run: RunId,
    /// Name and count of the step; empty outside of steps.
    pub(crate) step: String,
    pub(crate) level: Level,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    /// As it is written.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// A frame that breaks the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ProtocolError(pub(crate) String);

/// Reads a frame and hands over its messages in order, until `take` refuses one.
///
/// # Errors
/// [`ProtocolError`] where the frame or a message has a wrong form, or `take` says so. What was handed over before counts.
pub(crate) fn decode<F>(frame: &str, mut take: F) -> Result<(), ProtocolError>
where
    F: FnMut(Message) -> Result<(), ProtocolError>,
{
    let mut deserializer = serde_json::Deserializer::from_str(frame);
    let read = deserializer
        .deserialize_seq(FrameVisitor(&mut take))
        .and_then(|()| deserializer.end());
    read.map_err(|error| ProtocolError(error.to_string()))
}

struct FrameVisitor<'f, F>(&'f mut F);

impl<'de, F: FnMut(Message) -> Result<(), ProtocolError>> Visitor<'de> for FrameVisitor<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(message) = seq.next_element_seed(MessageSeed)? {
            (self.0)(message).map_err(de::Error::custom)?;
        }
        Ok(())
    }
}

struct MessageSeed;

impl<'de> DeserializeSeed<'de> for MessageSeed {
    type Value = Message;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Message, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for MessageSeed {
    type Value = Message;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Message, A::Error> {
        let mut parts = Parts(seq, std::marker::PhantomData);
        let word: &str = parts.next()?;
        match word {
            "hello" => return Ok(Message::Hello(parts.next()?)),
            "pong" => return Ok(Message::Pong(parts.next()?)),
            _ => {}
        }
        let run = RunId(parts.next()?);
        let kind = match word {
            "do" | "sleep" | "until" | "wait" => ReportKind::Called(called(word, &mut parts)?),
            "done" => ReportKind::AttemptSucceeded {
                call: parts.call()?,
                attempt: parts.positive()?,
                output: parts.value()?,
            },
            "chunk" => ReportKind::Chunk {
                call: parts.call()?,
                attempt: parts.positive()?,
                index: parts.next()?,
                bytes: parts.chunk()?,
            },
            "streamed" => ReportKind::Streamed {
                call: parts.call()?,
                attempt: parts.positive()?,
                chunks: parts.next()?,
                bytes: parts.next()?,
            },
            "pull" => ReportKind::Pull {
                pull: parts.next()?,
                stream: parts.next()?,
                index: parts.next()?,
            },
            "threw" => ReportKind::AttemptFailed(threw(&mut parts)?),
            "returned" => ReportKind::Returned {
                output: parts.value()?,
            },
            "raised" => ReportKind::Raised(Raised {
                error: parts.error()?,
                from_call: parts.call_or_none()?,
                origin: match parts.next::<u8>()? {
                    0 => Origin::Thrown,
                    1 => Origin::Fatal,
                    _ => return Err(de::Error::custom("fatal is 0 or 1")),
                },
            }),
            "rebuilt" => ReportKind::Rebuilt,
            "undone" => ReportKind::RolledBack(undone(&mut parts)?),
            "log" => {
                let log = Log {
                    run,
                    step: parts.next()?,
                    level: parts.next()?,
                    text: parts.next()?,
                };
                return Ok(Message::Log(log));
            }
            _ => return Err(de::Error::custom(format_args!("there is no message {word:?}"))),
        };
        Ok(Message::Report { run, kind })
    }
}

/// The elements of a message.
struct Parts<'de, A>(A, std::marker::PhantomData<&'de ()>);

impl<'de, A: SeqAccess<'de>> Parts<'de, A> {
    fn next<T: Deserialize<'de>>(&mut self) -> Result<T, A::Error> {
        self.0
            .next_element()?
            .ok_or_else(|| de::Error::custom("the message is too short"))
    }

    /// An element that may be missing.
    fn last<T: Deserialize<'de>>(&mut self) -> Result<Option<T>, A::Error> {
        self.0.next_element()
    }

    fn positive(&mut self) -> Result<u32, A::Error> {
        match self.next()? {
            0 => Err(de::Error::custom("a number must not be 0")),
            number => Ok(number),
        }
    }

    fn call(&mut self) -> Result<CallId, A::Error> {
        self.positive().map(CallId)
    }

    fn call_or_none(&mut self) -> Result<Option<CallId>, A::Error> {
        let number: u32 = self.next()?;
        Ok((number != 0).then_some(CallId(number)))
    }

    fn value(&mut self) -> Result<Value, A::Error> {
        let form: &str = self.next()?;
        let body: &RawValue = self.next()?;
        Value::from_frame(form, body).map_err(de::Error::custom)
    }

    /// A piece of a stream.
    fn chunk(&mut self) -> Result<Bytes, A::Error> {
        let text: &str = self.next()?;
        if text.is_empty() || text.len() > LARGEST_CHUNK_TEXT {
            return Err(de::Error::custom("a piece of a stream is empty or too large"));
        }
        let bytes = STANDARD.decode(text).map_err(de::Error::custom)?;
        if bytes.len() > CHUNK_BYTES {
            return Err(de::Error::custom("a piece of a stream is too large"));
        }
        Ok(bytes.into())
    }

    fn error(&mut self) -> Result<ErrorInfo, A::Error> {
        let (name, message): (String, String) = self.next()?;
        Ok(ErrorInfo { name, message })
    }
}

fn called<'de, A: SeqAccess<'de>>(word: &str, parts: &mut Parts<'de, A>) -> Result<StepCall, A::Error> {
    let call = parts.call()?;
    let parent = parts.call_or_none()?;
    let (name, count) = (parts.next()?, parts.positive()?);
    let (kind, request) = match word {
        "do" => {
            let config = parts.next::<ConfigWire>()?.0;
            let callback = match parts.next::<u8>()? {
                0 => Callback::Idle,
                1 => Callback::Executing,
                _ => return Err(de::Error::custom("executing is 0 or 1")),
            };
            let rollback = parts.last::<ConfigWire>()?.map(|wire| wire.0);
            let request = CallRequest::Do {
                config,
                callback,
                rollback,
            };
            (StepKind::Do, request)
        }
        "sleep" => (
            StepKind::Sleep,
            CallRequest::Sleep {
                duration: parts.next::<DurationWire>()?.0,
            },
        ),
        "until" => {
            let millis: Option<f64> = parts.next()?;
            (
                StepKind::Sleep,
                CallRequest::SleepUntil {
                    millis: millis.unwrap_or(f64::NAN),
                },
            )
        }
        _ => {
            let event_type = parts.next()?;
            let timeout = parts.next::<Option<DurationWire>>()?.map(|wire| wire.0);
            (
                StepKind::WaitForEvent,
                CallRequest::WaitForEvent { event_type, timeout },
            )
        }
    };
    Ok(StepCall {
        call,
        parent,
        key: StepKey { kind, name, count },
        request,
    })
}

fn threw<'de, A: SeqAccess<'de>>(parts: &mut Parts<'de, A>) -> Result<FailedAttempt, A::Error> {
    Ok(FailedAttempt {
        call: parts.call()?,
        attempt: parts.positive()?,
        error: parts.error()?,
        dynamic_delay: parts.next::<Option<AskedDelay>>()?.map(|delay| delay.0),
    })
}

fn undone<'de, A: SeqAccess<'de>>(parts: &mut Parts<'de, A>) -> Result<RollbackReport, A::Error> {
    Ok(RollbackReport {
        step: StepNo(parts.next()?),
        attempt: parts.positive()?,
        result: match parts.next::<&str>()? {
            "ok" => RollbackResult::Returned,
            "missing" => RollbackResult::Missing,
            "threw" => RollbackResult::Threw {
                error: parts.error()?,
                dynamic_delay: parts.next::<Option<AskedDelay>>()?.map(|delay| delay.0),
            },
            _ => return Err(de::Error::custom("a rollback is ok, missing or threw")),
        },
    })
}

/// `[1, millis]` or `[0, error]`.
struct AskedDelay(Result<u64, ErrorInfo>);

impl<'de> Deserialize<'de> for AskedDelay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Asked;
        impl<'de> Visitor<'de> for Asked {
            type Value = AskedDelay;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[1, millis] or [0, error]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<AskedDelay, A::Error> {
                let mut parts = Parts(seq, std::marker::PhantomData);
                match parts.next::<u8>()? {
                    0 => Ok(AskedDelay(Err(parts.error()?))),
                    1 => {
                        let millis: f64 = parts.next()?;
                        if millis < 0.0 {
                            return Err(de::Error::custom("a delay is not negative"));
                        }
                        // Saturates: a delay beyond the end of time is cut by the rules.
                        #[expect(
                            clippy::cast_possible_truncation,
                            clippy::cast_sign_loss,
                            reason = "saturating is meant"
                        )]
                        Ok(AskedDelay(Ok(millis as u64)))
                    }
                    _ => Err(de::Error::custom("a delay begins with 0 or 1")),
                }
            }
        }
        deserializer.deserialize_seq(Asked)
    }
}

/// A number or text.
struct DurationWire(DurationInput);

impl<'de> Deserialize<'de> for DurationWire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(DelayVisitor)? {
            DelayInput::Fixed(duration) => Ok(Self(duration)),
            DelayInput::Dynamic => Err(de::Error::custom("a duration is a number or text")),
        }
    }
}

struct DelayWire(DelayInput);

impl<'de> Deserialize<'de> for DelayWire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DelayVisitor).map(Self)
    }
}

struct DelayVisitor;

impl<'de> Visitor<'de> for DelayVisitor {
    type Value = DelayInput;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, text or {\"dynamic\":true}")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<DelayInput, E> {
        #[expect(clippy::cast_precision_loss, reason = "it comes from a JavaScript number")]
        self.visit_f64(number as f64)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<DelayInput, E> {
        #[expect(clippy::cast_precision_loss, reason = "it comes from a JavaScript number")]
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<DelayInput, E> {
        Ok(DelayInput::Fixed(DurationInput::Millis(number)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<DelayInput, E> {
        Ok(DelayInput::Fixed(DurationInput::Text(text.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DelayInput, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Dynamic {
            dynamic: bool,
        }
        let Dynamic { dynamic } = Deserialize::deserialize(de::value::MapAccessDeserializer::new(map))?;
        if dynamic {
            Ok(DelayInput::Dynamic)
        } else {
            Err(de::Error::custom("dynamic is true"))
        }
    }
}

/// A number; those that are not finite as text.
struct NumberWire(f64);

impl<'de> Deserialize<'de> for NumberWire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = match DurationWire::deserialize(deserializer)?.0 {
            DurationInput::Millis(number) => Some(number),
            DurationInput::Text(text) => match text.as_str() {
                "NaN" => Some(f64::NAN),
                "Infinity" => Some(f64::INFINITY),
                "-Infinity" => Some(f64::NEG_INFINITY),
                _ => None,
            },
        };
        number
            .map(Self)
            .ok_or_else(|| de::Error::custom("expected a number"))
    }
}

/// `null`, `"invalid"` or an object.
struct ConfigWire(Result<ConfigInput, InvalidConfig>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigObject {
    retries: Option<RetriesObject>,
    timeout: Option<DurationWire>,
    sensitive: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetriesObject {
    limit: NumberWire,
    delay: DelayWire,
    backoff: Option<String>,
}

impl<'de> Deserialize<'de> for ConfigWire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Config;
        impl<'de> Visitor<'de> for Config {
            type Value = ConfigWire;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("null, \"invalid\" or a configuration")
            }

            fn visit_unit<E: de::Error>(self) -> Result<ConfigWire, E> {
                Ok(ConfigWire(Ok(ConfigInput::default())))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ConfigWire, E> {
                match text {
                    "invalid" => Ok(ConfigWire(Err(InvalidConfig))),
                    _ => Err(de::Error::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ConfigWire, A::Error> {
                let object = ConfigObject::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(ConfigWire(Ok(ConfigInput {
                    retries: object.retries.map(|retries| RetriesInput {
                        limit: retries.limit.0,
                        delay: retries.delay.0,
                        backoff: retries.backoff,
                    }),
                    timeout: object.timeout.map(|wire| wire.0),
                    sensitive: object.sensitive,
                })))
            }
        }
        deserializer.deserialize_any(Config)
    }
}
