//! Waits that a test does without.
//!
//! A skipped wait stands in the journal as it was asked for, with its deadline; only the rules take it for over as soon as they look. Nothing
//! of this is durable: who holds an instance says it again each time.

use crate::{StepKey, StepKind};
use std::collections::BTreeSet;

/// Waits that a test does without.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skips {
    /// Sleeps that end at once.
    pub sleeps: Selection,
    /// Steps whose next attempt, or next call of their rollback handler, is due at once.
    pub retry_delays: Selection,
    /// Waits for an event that time out at once, whatever comes.
    pub event_waits: Selection,
}

/// Some of the steps of a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Selection {
    /// None of them.
    #[default]
    None,
    /// These: name, and count from 1.
    Of(BTreeSet<(String, u32)>),
    /// All of them.
    All,
}

impl Selection {
    /// Whether a step is among them.
    pub fn has(&self, key: &StepKey) -> bool {
        match self {
            Self::None => false,
            Self::Of(steps) => steps
                .iter()
                .any(|(name, count)| *name == key.name && *count == key.count),
            Self::All => true,
        }
    }

    /// Takes one more.
    pub fn add(&mut self, step: (String, u32)) {
        match self {
            Self::None => *self = Self::Of([step].into()),
            Self::Of(steps) => {
                steps.insert(step);
            }
            Self::All => {}
        }
    }
}

impl Skips {
    /// Whether what this step waits for is over.
    pub(crate) fn has(&self, key: &StepKey) -> bool {
        match key.kind {
            StepKind::Do => self.retry_delays.has(key),
            StepKind::Sleep => self.sleeps.has(key),
            StepKind::WaitForEvent => self.event_waits.has(key),
        }
    }
}
