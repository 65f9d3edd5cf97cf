//! What subscribers see of an instance: the journal, told as events (behaviour §7).
//!
//! Every event follows from one entry and what came before it, so the events of a journal and their numbers are the same whenever they are
//! told. Numbers count on through restarts; what a restart wipes is forgotten, its numbers are not given again.

mod teller;

pub use teller::{EventTeller, Restart};

use crate::{ErrorInfo, Seq, StepConfig, StepKey, StepNo, Timestamp};

/// Something that happened to an instance, as subscribers are told.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceEvent {
    /// Its number within the instance, from 1.
    pub id: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
    /// The step it is about.
    step: Option<StepNo>,
}

/// What happened. Steps are named with their count; values by the entry that carries them.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// It waits for its turn.
    WorkflowQueued,
    /// User code starts for the first time since creation or restart.
    WorkflowStarted {
        /// The entry with the parameters.
        params: Seq,
    },
    /// User code is at work.
    WorkflowRunning,
    /// It is paused.
    WorkflowPaused,
    /// It will be paused when no callback executes.
    WorkflowWaitingForPause,
    /// Nothing executes and at least one step waits.
    WorkflowWaiting,
    /// `run()` returned.
    WorkflowCompleted {
        /// The entry with the output.
        output: Seq,
    },
    /// `run()` threw.
    WorkflowErrored {
        /// What it threw.
        error: ErrorInfo,
    },
    /// It was ended by command.
    WorkflowTerminated,
    /// A `step.do` starts.
    StepStarted {
        /// The step.
        step: StepKey,
        /// Its resolved configuration.
        config: StepConfig,
    },
    /// A `step.do` has its result.
    StepCompleted {
        /// The step.
        step: StepKey,
        /// The entry with the result.
        output: Seq,
        /// Whether the result may be shown.
        visibility: Visibility,
    },
    /// A `step.do` has failed for good.
    StepErrored {
        /// The step.
        step: StepKey,
    },
    /// An attempt starts.
    AttemptStarted {
        /// The step.
        step: StepKey,
        /// From 1.
        attempt: u32,
    },
    /// An attempt succeeded.
    AttemptCompleted {
        /// The step.
        step: StepKey,
        /// From 1.
        attempt: u32,
    },
    /// An attempt failed.
    AttemptErrored {
        /// The step.
        step: StepKey,
        /// From 1.
        attempt: u32,
        /// Milliseconds until the next attempt; none when there is none.
        retry_delay_millis: Option<u64>,
        /// Why.
        error: ErrorInfo,
    },
    /// A sleep starts.
    SleepStarted {
        /// The step.
        step: StepKey,
        /// How long it is, milliseconds.
        duration_millis: u64,
    },
    /// A sleep is over.
    SleepCompleted {
        /// The step.
        step: StepKey,
    },
    /// A wait for an event starts.
    WaitStarted {
        /// The step.
        step: StepKey,
        /// The type it waits for.
        event_type: String,
    },
    /// A wait took an event.
    WaitCompleted {
        /// The step.
        step: StepKey,
    },
    /// A wait gave up.
    WaitTimedOut {
        /// The step.
        step: StepKey,
    },
    /// What the steps have done is undone, newest first.
    RollbackStarted,
    /// The rollback of a step starts.
    RollbackStepStarted {
        /// The step.
        step: StepKey,
        /// Resolved configuration of its rollback handler.
        config: StepConfig,
    },
    /// A step is rolled back.
    RollbackStepCompleted {
        /// The step.
        step: StepKey,
    },
    /// A step cannot be rolled back.
    RollbackStepErrored {
        /// The step.
        step: StepKey,
        /// Why.
        error: ErrorInfo,
    },
    /// A rollback handler is called.
    RollbackAttemptStarted {
        /// The step.
        step: StepKey,
        /// From 1.
        attempt: u32,
    },
    /// A rollback handler returned.
    RollbackAttemptCompleted {
        /// The step.
        step: StepKey,
        /// From 1.
        attempt: u32,
    },
    /// A rollback handler threw.
    RollbackAttemptErrored {
        /// The step.
        step: StepKey,
        /// From 1.
        attempt: u32,
        /// Milliseconds until it is called again; none when it is not.
        retry_delay_millis: Option<u64>,
        /// Why.
        error: ErrorInfo,
    },
    /// All is undone.
    RollbackCompleted,
    /// Not all could be undone.
    RollbackErrored,
}

/// Whether a value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// It may.
    Shown,
    /// User code said `sensitive: "output"`.
    Redacted,
}

/// The type of an event: the word on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is described at the kind of the same name")]
pub enum EventType {
    WorkflowQueued,
    WorkflowStarted,
    WorkflowRunning,
    WorkflowPaused,
    WorkflowWaitingForPause,
    WorkflowWaiting,
    WorkflowCompleted,
    WorkflowErrored,
    WorkflowTerminated,
    StepStarted,
    StepCompleted,
    StepErrored,
    AttemptStarted,
    AttemptCompleted,
    AttemptErrored,
    SleepStarted,
    SleepCompleted,
    WaitStarted,
    WaitCompleted,
    WaitTimedOut,
    RollbackStarted,
    RollbackStepStarted,
    RollbackStepCompleted,
    RollbackStepErrored,
    RollbackAttemptStarted,
    RollbackAttemptCompleted,
    RollbackAttemptErrored,
    RollbackCompleted,
    RollbackErrored,
}

impl EventType {
    /// All of them.
    pub const ALL: [Self; 29] = [
        Self::WorkflowQueued,
        Self::WorkflowStarted,
        Self::WorkflowRunning,
        Self::WorkflowPaused,
        Self::WorkflowWaitingForPause,
        Self::WorkflowWaiting,
        Self::WorkflowCompleted,
        Self::WorkflowErrored,
        Self::WorkflowTerminated,
        Self::StepStarted,
        Self::StepCompleted,
        Self::StepErrored,
        Self::AttemptStarted,
        Self::AttemptCompleted,
        Self::AttemptErrored,
        Self::SleepStarted,
        Self::SleepCompleted,
        Self::WaitStarted,
        Self::WaitCompleted,
        Self::WaitTimedOut,
        Self::RollbackStarted,
        Self::RollbackStepStarted,
        Self::RollbackStepCompleted,
        Self::RollbackStepErrored,
        Self::RollbackAttemptStarted,
        Self::RollbackAttemptCompleted,
        Self::RollbackAttemptErrored,
        Self::RollbackCompleted,
        Self::RollbackErrored,
    ];

    /// The word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WorkflowQueued => "workflow_queued",
            Self::WorkflowStarted => "workflow_started",
            Self::WorkflowRunning => "workflow_running",
            Self::WorkflowPaused => "workflow_paused",
            Self::WorkflowWaitingForPause => "workflow_waiting_for_pause",
            Self::WorkflowWaiting => "workflow_waiting",
            Self::WorkflowCompleted => "workflow_completed",
            Self::WorkflowErrored => "workflow_errored",
            Self::WorkflowTerminated => "workflow_terminated",
            Self::StepStarted => "step_started",
            Self::StepCompleted => "step_completed",
            Self::StepErrored => "step_errored",
            Self::AttemptStarted => "attempt_started",
            Self::AttemptCompleted => "attempt_completed",
            Self::AttemptErrored => "attempt_errored",
            Self::SleepStarted => "sleep_started",
            Self::SleepCompleted => "sleep_completed",
            Self::WaitStarted => "wait_started",
            Self::WaitCompleted => "wait_completed",
            Self::WaitTimedOut => "wait_timed_out",
            Self::RollbackStarted => "rollback_started",
            Self::RollbackStepStarted => "rollback_step_started",
            Self::RollbackStepCompleted => "rollback_step_completed",
            Self::RollbackStepErrored => "rollback_step_errored",
            Self::RollbackAttemptStarted => "rollback_attempt_started",
            Self::RollbackAttemptCompleted => "rollback_attempt_completed",
            Self::RollbackAttemptErrored => "rollback_attempt_errored",
            Self::RollbackCompleted => "rollback_completed",
            Self::RollbackErrored => "rollback_errored",
        }
    }

    /// The type with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }

    /// Whether it is the last of its instance, unless that is restarted.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::WorkflowCompleted | Self::WorkflowErrored | Self::WorkflowTerminated
        )
    }
}

impl EventKind {
    /// Its type.
    pub fn event_type(&self) -> EventType {
        match self {
            Self::WorkflowQueued => EventType::WorkflowQueued,
            Self::WorkflowStarted { .. } => EventType::WorkflowStarted,
            Self::WorkflowRunning => EventType::WorkflowRunning,
            Self::WorkflowPaused => EventType::WorkflowPaused,
            Self::WorkflowWaitingForPause => EventType::WorkflowWaitingForPause,
            Self::WorkflowWaiting => EventType::WorkflowWaiting,
            Self::WorkflowCompleted { .. } => EventType::WorkflowCompleted,
            Self::WorkflowErrored { .. } => EventType::WorkflowErrored,
            Self::WorkflowTerminated => EventType::WorkflowTerminated,
            Self::StepStarted { .. } => EventType::StepStarted,
            Self::StepCompleted { .. } => EventType::StepCompleted,
            Self::StepErrored { .. } => EventType::StepErrored,
            Self::AttemptStarted { .. } => EventType::AttemptStarted,
            Self::AttemptCompleted { .. } => EventType::AttemptCompleted,
            Self::AttemptErrored { .. } => EventType::AttemptErrored,
            Self::SleepStarted { .. } => EventType::SleepStarted,
            Self::SleepCompleted { .. } => EventType::SleepCompleted,
            Self::WaitStarted { .. } => EventType::WaitStarted,
            Self::WaitCompleted { .. } => EventType::WaitCompleted,
            Self::WaitTimedOut { .. } => EventType::WaitTimedOut,
            Self::RollbackStarted => EventType::RollbackStarted,
            Self::RollbackStepStarted { .. } => EventType::RollbackStepStarted,
            Self::RollbackStepCompleted { .. } => EventType::RollbackStepCompleted,
            Self::RollbackStepErrored { .. } => EventType::RollbackStepErrored,
            Self::RollbackAttemptStarted { .. } => EventType::RollbackAttemptStarted,
            Self::RollbackAttemptCompleted { .. } => EventType::RollbackAttemptCompleted,
            Self::RollbackAttemptErrored { .. } => EventType::RollbackAttemptErrored,
            Self::RollbackCompleted => EventType::RollbackCompleted,
            Self::RollbackErrored => EventType::RollbackErrored,
        }
    }

    /// The step it is about.
    pub fn step(&self) -> Option<&StepKey> {
        match self {
            Self::StepStarted { step, .. }
            | Self::StepCompleted { step, .. }
            | Self::StepErrored { step }
            | Self::AttemptStarted { step, .. }
            | Self::AttemptCompleted { step, .. }
            | Self::AttemptErrored { step, .. }
            | Self::SleepStarted { step, .. }
            | Self::SleepCompleted { step }
            | Self::WaitStarted { step, .. }
            | Self::WaitCompleted { step }
            | Self::WaitTimedOut { step }
            | Self::RollbackStepStarted { step, .. }
            | Self::RollbackStepCompleted { step }
            | Self::RollbackStepErrored { step, .. }
            | Self::RollbackAttemptStarted { step, .. }
            | Self::RollbackAttemptCompleted { step, .. }
            | Self::RollbackAttemptErrored { step, .. } => Some(step),
            Self::WorkflowQueued
            | Self::WorkflowStarted { .. }
            | Self::WorkflowRunning
            | Self::WorkflowPaused
            | Self::WorkflowWaitingForPause
            | Self::WorkflowWaiting
            | Self::WorkflowCompleted { .. }
            | Self::WorkflowErrored { .. }
            | Self::WorkflowTerminated
            | Self::RollbackStarted
            | Self::RollbackCompleted
            | Self::RollbackErrored => None,
        }
    }

    /// The attempt it is about, from 1.
    pub fn attempt(&self) -> Option<u32> {
        match self {
            Self::AttemptStarted { attempt, .. }
            | Self::AttemptCompleted { attempt, .. }
            | Self::AttemptErrored { attempt, .. }
            | Self::RollbackAttemptStarted { attempt, .. }
            | Self::RollbackAttemptCompleted { attempt, .. }
            | Self::RollbackAttemptErrored { attempt, .. } => Some(*attempt),
            _ => None,
        }
    }

    /// The error it tells of.
    pub fn error(&self) -> Option<&ErrorInfo> {
        match self {
            Self::WorkflowErrored { error }
            | Self::AttemptErrored { error, .. }
            | Self::RollbackStepErrored { error, .. }
            | Self::RollbackAttemptErrored { error, .. } => Some(error),
            _ => None,
        }
    }
}
