//! What a run tells the engine.

use crate::{Company, RunId, Value};
use bytes::Bytes;
use cairn_core::{CallId, ErrorInfo, FailedAttempt, Raised, RollbackReport, StepCall};
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
    /// A callback has returned a stream, and this is the next piece of it. Answered by
    /// [`Command::Kept`](crate::Command::Kept).
    Chunk {
        /// The call.
        call: CallId,
        /// The attempt, from 1.
        attempt: u32,
        /// The piece, from 0.
        index: u32,
        /// What it holds: at most [`CHUNK_BYTES`](crate::CHUNK_BYTES), and not nothing.
        bytes: Bytes,
    },
    /// All of a stream that a callback has returned was sent.
    Streamed {
        /// The call.
        call: CallId,
        /// The attempt, from 1.
        attempt: u32,
        /// How many pieces there were.
        chunks: u32,
        /// Their bytes.
        bytes: u64,
    },
    /// The run wants a piece of a stream. Answered by [`Command::Piece`](crate::Command::Piece).
    Pull {
        /// Names the request.
        pull: u32,
        /// The stream.
        stream: u64,
        /// The piece, from 0.
        index: u32,
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
    /// The run is gone: its process could not be started, was stopped, or was killed from outside.
    Lost {
        /// Why, for the log.
        reason: String,
    },
    /// The run is gone: user code has ended its process, by what it did or what it took. It may have been this run.
    Faulted(Fault),
}

/// How user code has ended a process.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What the run is told that has done it.
    pub error: ErrorInfo,
    /// How many other runs were on the process.
    pub others: usize,
    /// Whom the process was for.
    pub company: Company,
}

impl Fault {
    /// Whether it can have been this run only.
    pub fn is_its_own(&self) -> bool {
        self.others == 0 && self.company == Company::AtMost(1)
    }
}
