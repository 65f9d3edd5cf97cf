//! Whether a configuration is kept as the program gave it.

use crate::program::{Attempts, Backoff, Delay, Given};
use cairn_core::{RetryDelay, StepConfig};

/// Whether a kept configuration is that of the program; none is kept for the defaults.
pub(super) fn is_config(kept: Option<&StepConfig>, attempts: &Attempts) -> bool {
    match (kept, attempts.config) {
        (None, Given::No) => true,
        (Some(kept), Given::Yes) => is_filled(kept, attempts),
        (None, Given::Yes) | (Some(_), Given::No) => false,
    }
}

pub(super) fn is_filled(kept: &StepConfig, attempts: &Attempts) -> bool {
    let delay = match (&kept.delay, attempts.delay) {
        (RetryDelay::Fixed { millis, .. }, Delay::Fixed(expected)) => *millis == expected,
        (RetryDelay::Dynamic, Delay::Asked { .. }) => true,
        (RetryDelay::Fixed { .. }, Delay::Asked { .. }) | (RetryDelay::Dynamic, Delay::Fixed(_)) => false,
    };
    let backoff = match attempts.backoff {
        Backoff::Constant => cairn_core::Backoff::Constant,
        Backoff::Linear => cairn_core::Backoff::Linear,
        Backoff::Exponential => cairn_core::Backoff::Exponential,
    };
    delay
        && kept.limit == attempts.limit
        && kept.timeout_millis == attempts.timeout_millis
        && kept.backoff == backoff
}
