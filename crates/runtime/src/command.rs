//! What the engine tells a run.

use crate::{RunId, Value, WorkerId};
use cairn_core::{CallId, ErrorInfo, StepKey, Timestamp};

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
            Self::Attempt { run, .. }
            | Self::Settle { run, .. }
            | Self::Hold { run }
            | Self::Unhold { run }
            | Self::Stop { run } => *run,
        }
    }
}

/// All that a run needs to begin, or to go on where an earlier one ended.
#[derive(Debug, Clone, PartialEq)]
pub struct StartRun {
    /// Its id.
    pub run: RunId,
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
    /// `event.payload`
    pub params: Value,
    /// `step.do` calls allowed.
    pub step_limit: u32,
    /// Steps of earlier runs.
    pub history: Vec<KnownStep>,
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
}
