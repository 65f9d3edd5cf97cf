//! What goes into the rules and what comes out of them.
//!
//! Values (parameters, results, payloads) never pass through here: an input says how large its value is, the entry
//! that carries it is marked by [`Record::carries_value`](crate::Record::carries_value), and the caller keeps the two together.

use crate::{ConfigInput, DurationInput, Entry, ErrorInfo, Seq, StepKey, StepNo, Timestamp};

/// Number of a step call within one run, given by the run, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u32);

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// This node holds the instance now and no run of it exists: see whether one should.
    Claimed,
    /// User code called a step.
    Called(StepCall),
    /// A callback returned.
    AttemptSucceeded {
        /// The call.
        call: CallId,
        /// The attempt, from 1.
        attempt: u32,
        /// Size of the result.
        bytes: u64,
        /// What is measured.
        output: OutputKind,
    },
    /// A callback threw.
    AttemptFailed(FailedAttempt),
    /// `run()` returned.
    Returned {
        /// Encoded size of the output.
        bytes: usize,
    },
    /// `run()` threw.
    Raised(Raised),
    /// A run that was started for its rollback handlers has them.
    Rebuilt,
    /// A rollback handler returned, threw, or is not there.
    RolledBack(RollbackReport),
    /// The slot that was asked for with [`Action::WantSlot`] is there.
    SlotGranted,
    /// No slot is free: it is granted later, or with a later claim.
    SlotDenied,
    /// The run is gone with its process.
    RunLost,
    /// The run is gone: user code has ended its process.
    RunFaulted {
        /// What it did.
        error: ErrorInfo,
        /// How often in a row this run alone can have done it; 0 when it may have been another one.
        times: u32,
    },
    /// All that came in together has been handled, or a deadline may have passed.
    Tick,
    /// Someone outside wants something.
    Command(Command),
}

/// What a callback returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// A value, encoded.
    Value,
    /// A stream that is kept in pieces: no limit of its own, but it counts to what the instance keeps.
    Stream,
}

/// A call of one of the step functions.
#[derive(Debug, Clone, PartialEq)]
pub struct StepCall {
    /// Its number in this run.
    pub call: CallId,
    /// The call whose callback made this one, if any.
    pub parent: Option<CallId>,
    /// Which step.
    pub key: StepKey,
    /// With what arguments.
    pub request: CallRequest,
}

/// The arguments of a step call.
#[derive(Debug, Clone, PartialEq)]
pub enum CallRequest {
    /// `step.do`
    Do {
        /// Its configuration, or that it has not the documented keys.
        config: Result<ConfigInput, crate::InvalidConfig>,
        /// Whether attempt 1 is executing already.
        callback: Callback,
        /// The configuration of its rollback handler, when it has one.
        rollback: Option<Result<ConfigInput, crate::InvalidConfig>>,
    },
    /// `step.sleep`
    Sleep {
        /// How long.
        duration: DurationInput,
    },
    /// `step.sleepUntil`
    SleepUntil {
        /// Until when, milliseconds since the epoch; NaN when it was no date.
        millis: f64,
    },
    /// `step.waitForEvent`
    WaitForEvent {
        /// The type waited for.
        event_type: String,
        /// How long; 24 hours when not given.
        timeout: Option<DurationInput>,
    },
}

/// State of the callback when its step call is reported.
///
/// A run starts the first attempt of a step that is new to it without asking, which saves a round trip a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callback {
    /// Attempt 1 has been started by the run.
    Executing,
    /// The run waits to be told.
    Idle,
}

/// A callback threw.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedAttempt {
    /// The call.
    pub call: CallId,
    /// The attempt, from 1.
    pub attempt: u32,
    /// What it threw.
    pub error: ErrorInfo,
    /// What the step's delay function made of it, when it has one and was asked: milliseconds, or the error
    /// the step fails with.
    pub dynamic_delay: Option<Result<u64, ErrorInfo>>,
}

/// `run()` threw.
#[derive(Debug, Clone, PartialEq)]
pub struct Raised {
    /// What it threw.
    pub error: ErrorInfo,
    /// The step whose failure it is, when the error came from a step and was not handled.
    pub from_call: Option<CallId>,
    /// Whose error it is.
    pub origin: Origin,
}

/// Where the error that ended `run()` came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// User code: what its steps have done is rolled back.
    Thrown,
    /// A value that cannot be kept: nothing is rolled back (behaviour §3.5).
    Fatal,
}

/// What became of a call of a rollback handler.
#[derive(Debug, Clone, PartialEq)]
pub struct RollbackReport {
    /// Of which step.
    pub step: StepNo,
    /// The attempt, from 1.
    pub attempt: u32,
    /// How it went.
    pub result: RollbackResult,
}

/// How a call of a rollback handler went.
#[derive(Debug, Clone, PartialEq)]
pub enum RollbackResult {
    /// It returned.
    Returned,
    /// It threw.
    Threw {
        /// What.
        error: ErrorInfo,
        /// As in [`FailedAttempt::dynamic_delay`].
        dynamic_delay: Option<Result<u64, ErrorInfo>>,
    },
    /// User code did not register it again.
    Missing,
}

/// What clients ask for, by way of the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// An event with a payload.
    Event {
        /// Its type.
        event_type: String,
        /// Encoded size of the payload.
        bytes: usize,
    },
    /// Pause.
    Pause,
    /// Go on after a pause.
    Resume,
    /// End now.
    Terminate(Undo),
    /// Begin again.
    Restart(RestartFrom),
}

/// Whether a termination rolls back first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undo {
    /// It ends at once.
    Nothing,
    /// The rollback handlers are called first.
    Steps,
}

/// Where a restart begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestartFrom {
    /// At the beginning.
    Beginning,
    /// At this step: what started before it is kept.
    Step(StepKey),
}

/// A command that the state of the instance does not allow. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Terminate on a finished instance (behaviour §2).
    #[error("(instance.cannot_terminate) Cannot terminate instance since its on a finite state")]
    CannotTerminate,
    /// Resume on an instance that is not paused.
    #[error("(instance.cannot_resume) Cannot resume instance with status \"{0}\"")]
    CannotResume(&'static str),
    /// Restart from a step that the instance has not reached.
    #[error("(instance.cannot_restart) Step \"{0}\" not found in execution history")]
    CannotRestart(String),
    /// The payload is larger than the limit `event_bytes`.
    #[error("(body) the event payload has {bytes} bytes; the limit is {limit} (setting limits.event_bytes)")]
    EventTooLarge {
        /// Encoded size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The instance has no room for more values.
    #[error(
        "(instance.storage_limit) the instance would exceed {limit} bytes of state (setting limits.state_bytes)"
    )]
    StateTooLarge {
        /// The limit.
        limit: u64,
    },
}

/// What is to be done about an input: first keep the entries, then perform the actions.
#[derive(Debug, Default, PartialEq)]
pub struct Effects {
    /// To append to the journal, in order.
    pub entries: Vec<Entry>,
    /// To perform, in order; those of [`Action::needs_durable_entries`] only once the entries (and all before them) are durable: user code
    /// must not see an outcome that could be forgotten. The others are harmless to lose or to repeat.
    pub actions: Vec<Action>,
}

/// Something to do outside of the rules.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Start a run from the journal, whose history shows user code all outcomes so far.
    StartRun {
        /// Whether some of them are as new as the entries of this holding.
        outcomes: Outcomes,
        /// What for.
        purpose: Purpose,
    },
    /// Stop the run; what it still reports is void.
    StopRun,
    /// Let a run that waits to be told start an attempt.
    RunAttempt {
        /// The call.
        call: CallId,
        /// The attempt.
        attempt: u32,
    },
    /// Let the run call the rollback handler of a step.
    RunRollback {
        /// The step.
        step: StepNo,
        /// The attempt, from 1.
        attempt: u32,
        /// Why the instance is rolled back.
        error: ErrorInfo,
    },
    /// Tell the run that the result it reported for a call is durable.
    Confirm {
        /// The call.
        call: CallId,
    },
    /// Tell user code how its step call ended.
    Settle {
        /// The call.
        call: CallId,
        /// How.
        outcome: Outcome,
    },
    /// From now on the run must ask before it starts a first attempt: a pause is coming.
    Hold,
    /// A requested pause was called off: first attempts may start at once again.
    Unhold,
    /// Ask for a slot: the answer is [`Input::SlotGranted`] or [`Input::SlotDenied`].
    WantSlot,
    /// Leave memory and give up the lease; look again at the given time, if any. Without a time, an instance that is queued or waits is
    /// taken up when a slot is free.
    Release {
        /// When to claim the instance again.
        wake_at: Option<Timestamp>,
    },
}

impl Action {
    /// Whether the action may be performed only once the entries before it are durable.
    pub fn needs_durable_entries(&self) -> bool {
        match self {
            Self::Confirm { .. }
            | Self::Settle { .. }
            | Self::RunRollback { .. }
            | Self::StartRun {
                outcomes: Outcomes::New,
                ..
            } => true,
            Self::StartRun {
                outcomes: Outcomes::Old,
                ..
            }
            | Self::StopRun
            | Self::RunAttempt { .. }
            | Self::Hold
            | Self::Unhold
            | Self::WantSlot
            | Self::Release { .. } => false,
        }
    }
}

/// What a run is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To go on.
    Progress,
    /// To have its rollback handlers: it sees recorded outcomes only and starts nothing.
    Rollback,
}

/// What the history of a run that starts shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcomes {
    /// Only what was durable when the instance was taken up.
    Old,
    /// Outcomes decided since.
    New,
}

/// How a step call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The value carried by this entry.
    Value(Seq),
    /// A sleep is over.
    Slept,
    /// An event: its payload is the value carried by the entry.
    Event {
        /// Its type.
        event_type: String,
        /// When it came.
        at: Timestamp,
        /// The entry with the payload.
        payload: Seq,
    },
    /// An error to throw.
    Failed(ErrorInfo),
    /// An error to throw because the call itself was wrong: there is no such step, and its name can be used again.
    Refused(ErrorInfo),
}
