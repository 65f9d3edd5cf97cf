//! What a run tells the engine.

use crate::{RunId, Value};
use cairn_core::{CallId, FailedAttempt, Raised, RollbackReport, StepCall};
use tokio::sync::mpsc;

/// Where reports go: all of one frame together, in order.
pub type Reports = mpsc::UnboundedSender<Vec<Report>>;

/// What a run tells the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The run.
    pub run: RunId,
    /// What happened in it.
    pub kind: ReportKind,
}

/// What happened in a run.
#[derive(Debug, Clone, PartialEq)]
pub enum ReportKind {
    /// User code called a step.
    Called(StepCall),
    /// A callback returned.
    AttemptSucceeded {
        /// The call.
        call: CallId,
        /// The attempt, from 1.
        attempt: u32,
        /// The result.
        output: Value,
    },
    /// A callback threw.
    AttemptFailed(FailedAttempt),
    /// `run()` returned.
    Returned {
        /// Its output.
        output: Value,
    },
    /// `run()` threw. The run stays, for its rollback handlers, until it is stopped.
    Raised(Raised),
    /// A run that was started for its rollback handlers has them.
    Rebuilt,
    /// A rollback handler returned, threw, or is not there.
    RolledBack(RollbackReport),
    /// The run is gone: its process ended, could not be started, or broke the protocol.
    Lost {
        /// Why, for the log.
        reason: String,
    },
}
