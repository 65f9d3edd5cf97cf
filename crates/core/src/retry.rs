//! Step configuration: what user code gives, what is kept, and when the next attempt is due (behaviour §3.1.3 to §3.1.7).

use crate::{DurationInput, Limits, parse_duration};
use minicbor::{Decode, Encode};

/// How the delay grows from attempt to attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Backoff {
    /// Always the base delay.
    #[n(0)]
    Constant,
    /// Base · attempt.
    #[n(1)]
    Linear,
    /// Base · 2^(attempt − 1).
    #[n(2)]
    Exponential,
}

impl Backoff {
    /// The word used in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Linear => "linear",
            Self::Exponential => "exponential",
        }
    }
}

/// The base delay between attempts.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum RetryDelay {
    /// Milliseconds, with the text it was written as (shown to clients as given).
    #[n(0)]
    Fixed {
        /// Milliseconds.
        #[n(0)]
        millis: u64,
        /// What user code wrote, when it was text.
        #[n(1)]
        text: Option<String>,
    },
    /// A function of user code, asked after each failure; shown as `[dynamic]`.
    #[n(1)]
    Dynamic,
}

/// The resolved configuration of a `step.do`, frozen at its first execution.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StepConfig {
    /// Retries after the first attempt; a step has at most `limit + 1` attempts.
    #[n(0)]
    pub limit: u32,
    /// Base delay.
    #[n(1)]
    pub delay: RetryDelay,
    /// Growth of the delay.
    #[n(2)]
    pub backoff: Backoff,
    /// Time for one attempt, milliseconds.
    #[n(3)]
    pub timeout_millis: u64,
    /// The timeout as user code wrote it, when it was text.
    #[n(4)]
    pub timeout_text: Option<String>,
    /// `sensitive: "output"` was given: the output is never shown.
    #[n(5)]
    pub redacted: bool,
}

/// A configuration as it came over the wire: shape is known, values are not checked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConfigInput {
    /// `retries`
    pub retries: Option<RetriesInput>,
    /// `timeout`
    pub timeout: Option<DurationInput>,
    /// `sensitive`
    pub sensitive: Option<String>,
}

/// `retries` as it came over the wire. `limit` and `delay` are both required there.
#[derive(Debug, Clone, PartialEq)]
pub struct RetriesInput {
    /// `limit`, a JavaScript number.
    pub limit: f64,
    /// `delay`
    pub delay: DelayInput,
    /// `backoff`
    pub backoff: Option<String>,
}

/// `retries.delay` as it came over the wire.
#[derive(Debug, Clone, PartialEq)]
pub enum DelayInput {
    /// A number or text.
    Fixed(DurationInput),
    /// A function.
    Dynamic,
}

/// The configuration is not of the documented form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidConfig;

impl StepConfig {
    /// What a step gets that says nothing: 5 retries, 10 s, exponential, 10 minutes (behaviour §3.1.4).
    pub fn defaults(limits: &Limits) -> Self {
        Self {
            limit: 5,
            delay: RetryDelay::Fixed {
                millis: limits.default_delay_millis,
                text: None,
            },
            backoff: Backoff::Exponential,
            timeout_millis: 600_000,
            timeout_text: Some("10 minutes".into()),
            redacted: false,
        }
    }

    /// Checks a configuration and fills in the defaults, key by key.
    ///
    /// # Errors
    /// [`InvalidConfig`] where a value is out of its range.
    pub fn resolve(input: &ConfigInput, limits: &Limits) -> Result<Self, InvalidConfig> {
        let mut config = Self::defaults(limits);
        if let Some(retries) = &input.retries {
            config.limit = whole_number(retries.limit, limits.retries).ok_or(InvalidConfig)?;
            config.delay = match &retries.delay {
                DelayInput::Dynamic => RetryDelay::Dynamic,
                DelayInput::Fixed(duration) => RetryDelay::Fixed {
                    millis: non_negative(duration)?,
                    text: text_of(duration),
                },
            };
            if let Some(backoff) = &retries.backoff {
                config.backoff = parse_backoff(backoff).ok_or(InvalidConfig)?;
            }
        }
        if let Some(timeout) = &input.timeout {
            config.timeout_millis = Some(non_negative(timeout)?)
                .filter(|millis| *millis > 0)
                .ok_or(InvalidConfig)?;
            config.timeout_text = text_of(timeout);
        }
        if let Some(sensitive) = &input.sensitive {
            if sensitive != "output" {
                return Err(InvalidConfig);
            }
            config.redacted = true;
        }
        Ok(config)
    }

    /// Milliseconds to wait after attempt `attempt` (1-based) failed; `dynamic` is what a delay function returned.
    pub fn delay_after(&self, attempt: u32, dynamic: Option<u64>) -> u64 {
        let base = match &self.delay {
            RetryDelay::Dynamic => return dynamic.unwrap_or(0),
            RetryDelay::Fixed { millis, .. } => *millis,
        };
        let factor = match self.backoff {
            Backoff::Constant => 1,
            Backoff::Linear => u64::from(attempt),
            Backoff::Exponential => 1_u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX),
        };
        base.saturating_mul(factor)
    }
}

fn whole_number(number: f64, max: u32) -> Option<u32> {
    let fits = number.fract() == 0.0 && number >= 0.0 && number <= f64::from(max);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked just above"
    )]
    fits.then_some(number as u32)
}

fn non_negative(duration: &DurationInput) -> Result<u64, InvalidConfig> {
    let millis = parse_duration(duration).map_err(|_| InvalidConfig)?;
    u64::try_from(millis).map_err(|_| InvalidConfig)
}

fn text_of(duration: &DurationInput) -> Option<String> {
    match duration {
        DurationInput::Text(text) => Some(text.clone()),
        DurationInput::Millis(_) => None,
    }
}

fn parse_backoff(word: &str) -> Option<Backoff> {
    [Backoff::Constant, Backoff::Linear, Backoff::Exponential]
        .into_iter()
        .find(|backoff| backoff.as_str() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retries(limit: f64, delay: f64, backoff: Option<&str>) -> ConfigInput {
        ConfigInput {
            retries: Some(RetriesInput {
                limit,
                delay: DelayInput::Fixed(DurationInput::Millis(delay)),
                backoff: backoff.map(Into::into),
            }),
            ..ConfigInput::default()
        }
    }

    fn resolve(input: &ConfigInput) -> Result<StepConfig, InvalidConfig> {
        StepConfig::resolve(input, &Limits::default())
    }

    #[test]
    fn delays_by_backoff() {
        let delays = |backoff| {
            let config = resolve(&retries(5.0, 100.0, Some(backoff))).unwrap();
            (1..=4)
                .map(|attempt| config.delay_after(attempt, None))
                .collect::<Vec<_>>()
        };
        assert_eq!(delays("constant"), [100, 100, 100, 100]);
        assert_eq!(delays("linear"), [100, 200, 300, 400]);
        assert_eq!(delays("exponential"), [100, 200, 400, 800]);
    }

    #[test]
    fn a_long_exponential_delay_saturates() {
        let config = resolve(&retries(10_000.0, 10_000.0, None)).unwrap();
        assert_eq!(config.delay_after(9_999, None), u64::MAX);
    }

    #[test]
    fn out_of_range() {
        for bad in [-1.0, 1.5, f64::INFINITY, f64::NAN, 10_001.0] {
            assert_eq!(
                resolve(&retries(bad, 0.0, None)),
                Err(InvalidConfig),
                "limit {bad}"
            );
        }
        assert_eq!(resolve(&retries(1.0, -1.0, None)), Err(InvalidConfig));
        assert_eq!(resolve(&retries(1.0, 1.0, Some("cubic"))), Err(InvalidConfig));
        let timeout = ConfigInput {
            timeout: Some(DurationInput::Millis(0.0)),
            ..ConfigInput::default()
        };
        assert_eq!(resolve(&timeout), Err(InvalidConfig));
    }

    #[test]
    fn retries_without_backoff_stay_exponential() {
        assert_eq!(
            resolve(&retries(1.0, 1.0, None)).unwrap().backoff,
            Backoff::Exponential
        );
    }
}
