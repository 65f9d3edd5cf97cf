//! What identifies a step, and the states of an instance.

use minicbor::{Decode, Encode};
use std::fmt;

/// The three kinds of step. `sleepUntil` is a sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum StepKind {
    /// `step.do`
    #[n(0)]
    Do,
    /// `step.sleep`, `step.sleepUntil`
    #[n(1)]
    Sleep,
    /// `step.waitForEvent`
    #[n(2)]
    WaitForEvent,
}

/// A step is known by its kind, its name and how often that name was used before in this run: not by position,
/// so parallel steps may come in any order (behaviour §3.1.5).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepKey {
    /// Which of the step functions was called.
    pub kind: StepKind,
    /// The name given by user code.
    pub name: String,
    /// 1 for the first call with this kind and name in a run.
    pub count: u32,
}

impl fmt::Display for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.name, self.count)
    }
}

/// The states of an instance (behaviour §2). The numbers are stored; never renumber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Status {
    /// Created, restarted or resumed; no run yet.
    Queued = 0,
    /// A run is executing user code.
    Running = 1,
    /// Stopped until resumed.
    Paused = 2,
    /// `run()` threw. Final.
    Errored = 3,
    /// Ended by command. Final.
    Terminated = 4,
    /// `run()` returned. Final.
    Complete = 5,
    /// A pause waits for callbacks that are executing.
    WaitingForPause = 6,
    /// No callback is executing and at least one step waits.
    Waiting = 7,
    /// Rollback handlers are being called.
    RollingBack = 8,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Running,
        Self::Paused,
        Self::Errored,
        Self::Terminated,
        Self::Complete,
        Self::WaitingForPause,
        Self::Waiting,
        Self::RollingBack,
    ];

    /// Whether the instance has ended (it can still be restarted or deleted).
    pub fn is_final(self) -> bool {
        match self {
            Self::Errored | Self::Terminated | Self::Complete => true,
            Self::Queued
            | Self::Running
            | Self::Paused
            | Self::WaitingForPause
            | Self::Waiting
            | Self::RollingBack => false,
        }
    }

    /// Whether an instance in this status counts where it is limited how many run at once (behaviour §2).
    pub fn holds_slot(self) -> bool {
        match self {
            Self::Running | Self::WaitingForPause | Self::RollingBack => true,
            Self::Queued
            | Self::Paused
            | Self::Errored
            | Self::Terminated
            | Self::Complete
            | Self::Waiting => false,
        }
    }

    /// The word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Errored => "errored",
            Self::Terminated => "terminated",
            Self::Complete => "complete",
            Self::WaitingForPause => "waitingForPause",
            Self::Waiting => "waiting",
            Self::RollingBack => "rollingBack",
        }
    }

    /// The status with this stored number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|status| *status as u8 == code)
    }

    /// The status with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}
