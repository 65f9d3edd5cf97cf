//! What the engine tells a run.

use crate::{RunId, Value, WorkerId};
use bytes::Bytes;
use cairn_core::{CallId, ErrorInfo, Purpose, StepKey, StepNo, Timestamp};

/// What the engine tells a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Start a run.
    Start(Box<StartRun>),
    /// Execute the callback of a call.
    Attempt {
        /// The run.
        run: RunId,
        /// The call.
        call: CallId,
        /// The attempt, from 1.
        attempt: u32,
    },
    /// Call the rollback handler of a step.
    Rollback(Box<RunRollback>),
    /// A call has ended.
    Settle {
        /// The run.
        run: RunId,
        /// The call.
        call: CallId,
        /// How.
        outcome: Outcome,
    },
    /// Ask before the first attempt of each further step.
    Hold {
        /// The run.
        run: RunId,
    },
    /// Start first attempts at once again.
    Unhold {
        /// The run.
        run: RunId,
    },
    /// Pieces of streams that the run has sent are durable or void: it may send as many more.
    Kept {
        /// The run.
        run: RunId,
        /// How many.
        chunks: u32,
    },
    /// Stop reading the stream that an attempt has returned: nobody waits for it.
    Halt {
        /// The run.
        run: RunId,
        /// The call.
        call: CallId,
        /// The attempt, from 1.
        attempt: u32,
    },
    /// A piece of a stream that the run has asked for.
    Piece {
        /// The run.
        run: RunId,
        /// Names the request.
        pull: u32,
        /// The piece; none when the stream is incomplete or damaged.
        bytes: Option<Bytes>,
    },
    /// Forget the run. Nothing it still does is reported.
    Stop {
        /// The run.
        run: RunId,
    },
}

impl Command {
    /// The run it is for.
    pub fn run(&self) -> RunId {
        match self {
            Self::Start(start) => start.run,
            Self::Rollback(rollback) => rollback.run,
            Self::Attempt { run, .. }
            | Self::Settle { run, .. }
            | Self::Hold { run }
            | Self::Unhold { run }
            | Self::Kept { run, .. }
            | Self::Halt { run, .. }
            | Self::Piece { run, .. }
            | Self::Stop { run } => *run,
        }
    }
}

/// All that a run needs to begin, or to go on where an earlier one ended.
#[derive(Debug, Clone, PartialEq)]
pub struct StartRun {
    /// Its id.
    pub run: RunId,
    /// To go on, or to have its rollback handlers.
    pub purpose: Purpose,
    /// Whether it may start first attempts by itself.
    pub first_attempts: FirstAttempts,
    /// With whom it may share a process.
    pub company: Company,
    /// The Worker version whose code runs.
    pub worker: WorkerId,
    /// The class to instantiate.
    pub class_name: String,
    /// `event.workflowName`
    pub workflow_name: String,
    /// `event.instanceId`
    pub instance_id: String,
    /// `event.timestamp`
    pub created_at: Timestamp,
    /// `event.schedule`
    pub firing: Option<Firing>,
    /// `event.payload`
    pub params: Value,
    /// `step.do` calls allowed.
    pub step_limit: u32,
    /// Steps of earlier runs.
    pub history: Vec<KnownStep>,
}

/// With how many others a run may share its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Company {
    /// With all of its version.
    #[default]
    Any,
    /// With so many at most, itself included, which are under suspicion as well: one of them may have ended a process.
    AtMost(u32),
}

/// Whether a run may start the first attempt of a step that is new to it, until it is told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstAttempts {
    /// At once: a step costs one round trip.
    AtOnce,
    /// When it is told, as after [`Command::Hold`].
    OnRequest,
}

/// A call of a rollback handler.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRollback {
    /// The run.
    pub run: RunId,
    /// The step, for the report.
    pub step: StepNo,
    /// The step, as the run knows it.
    pub key: StepKey,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Why the instance is rolled back.
    pub error: ErrorInfo,
}

/// The firing of a schedule that an instance comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firing {
    /// The cron expression.
    pub cron: String,
    /// When it was to fire.
    pub scheduled_at: Timestamp,
}

/// A step that an earlier run has started.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownStep {
    /// Which.
    pub key: StepKey,
    /// What is known of it.
    pub known: Known,
}

/// What is known of a step of an earlier run.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// It has ended.
    Ended(Outcome),
    /// It has not: report the call and wait to be told.
    Open,
}

/// How a step call ended, with its values.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The result the run reported is durable: it may use its own copy.
    Stored,
    /// With this value.
    Value(Value),
    /// A sleep is over.
    Slept,
    /// An event came.
    Event {
        /// Its type.
        event_type: String,
        /// When it came.
        at: Timestamp,
        /// Its payload.
        payload: Value,
    },
    /// With this error, to be thrown.
    Failed(ErrorInfo),
    /// It did not start: with this error, to be thrown; the next call of this name takes its count.
    Refused(ErrorInfo),
}
