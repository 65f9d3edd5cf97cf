//! The journal: everything that ever happened to an instance, in order, in a compact form that can grow.
//!
//! Entries are CBOR with numbered fields (minicbor). Numbers are never reused: an entry of an older release decodes
//! in a newer one, and unknown entries of a newer one are an error, not a guess.

use crate::{ErrorInfo, StepConfig, StepKind, Timestamp};
use minicbor::{Decode, Encode};

/// Position of an entry in the journal of its instance, from 0. A value is named by the entry that carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Seq(#[n(0)] pub u64);

/// Number of a step within its instance, by order of first start, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct StepNo(#[n(0)] pub u32);

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Entry {
    /// When it happened.
    #[n(0)]
    pub at: Timestamp,
    /// What happened.
    #[n(1)]
    pub record: Record,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Record {
    /// The instance was created; carries its parameters.
    #[n(0)]
    Created,
    /// User code started for the first time since creation, restart or resume.
    #[n(1)]
    Started,
    /// First call of a `step.do`; its attempt 1 starts with it.
    #[n(2)]
    StepStarted {
        /// Its number from now on.
        #[n(0)]
        step: StepNo,
        /// Name as given.
        #[n(1)]
        name: String,
        /// How often the name was used.
        #[n(2)]
        count: u32,
        /// Resolved configuration; none for the defaults.
        #[n(3)]
        config: Option<StepConfig>,
        /// Resolved configuration of its rollback handler, when it has one.
        #[n(4)]
        rollback: Option<StepConfig>,
    },
    /// Attempt 2 or later starts.
    #[n(3)]
    AttemptStarted {
        /// The step.
        #[n(0)]
        step: StepNo,
        /// From 2.
        #[n(1)]
        attempt: u32,
    },
    /// An attempt failed.
    #[n(4)]
    AttemptFailed {
        /// The step.
        #[n(0)]
        step: StepNo,
        /// From 1.
        #[n(1)]
        attempt: u32,
        /// Why.
        #[n(2)]
        error: ErrorInfo,
        /// When the next attempt is due; none when the step gives up.
        #[n(3)]
        retry_at: Option<Timestamp>,
    },
    /// A `step.do` has its result; carries it.
    #[n(5)]
    StepCompleted {
        /// The step.
        #[n(0)]
        step: StepNo,
        /// The attempt that succeeded.
        #[n(1)]
        attempt: u32,
        /// Encoded size of the result.
        #[n(2)]
        bytes: u64,
    },
    /// A `step.do` has failed for good.
    #[n(6)]
    StepFailed {
        /// The step.
        #[n(0)]
        step: StepNo,
        /// What its caller sees.
        #[n(1)]
        error: ErrorInfo,
    },
    /// First call of a sleep.
    #[n(7)]
    SleepStarted {
        /// Its number from now on.
        #[n(0)]
        step: StepNo,
        /// Name as given.
        #[n(1)]
        name: String,
        /// How often the name was used.
        #[n(2)]
        count: u32,
        /// When it ends.
        #[n(3)]
        until: Timestamp,
    },
    /// A sleep is over.
    #[n(8)]
    SleepCompleted {
        /// The step.
        #[n(0)]
        step: StepNo,
    },
    /// First call of a `step.waitForEvent`.
    #[n(9)]
    WaitStarted {
        /// Its number from now on.
        #[n(0)]
        step: StepNo,
        /// Name as given.
        #[n(1)]
        name: String,
        /// How often the name was used.
        #[n(2)]
        count: u32,
        /// The type it waits for.
        #[n(3)]
        event_type: String,
        /// When it gives up.
        #[n(4)]
        deadline: Timestamp,
        /// Its timeout, milliseconds.
        #[n(5)]
        timeout_millis: u64,
    },
    /// A wait took an event.
    #[n(10)]
    WaitCompleted {
        /// The step.
        #[n(0)]
        step: StepNo,
        /// The [`Record::EventReceived`] it took.
        #[n(1)]
        event: Seq,
    },
    /// A wait gave up.
    #[n(11)]
    WaitTimedOut {
        /// The step.
        #[n(0)]
        step: StepNo,
        /// Its timeout, milliseconds, for the error message.
        #[n(1)]
        timeout_millis: u64,
    },
    /// An event came; carries its payload.
    #[n(12)]
    EventReceived {
        /// Its type.
        #[n(0)]
        event_type: String,
        /// Encoded size of the payload.
        #[n(1)]
        bytes: u64,
    },
    /// Nothing executes and at least one step waits.
    #[n(13)]
    Waiting,
    /// The wait is over.
    #[n(14)]
    Running,
    /// A pause was asked for while callbacks were executing.
    #[n(15)]
    PauseRequested,
    /// The instance is paused.
    #[n(16)]
    Paused,
    /// A paused instance goes on; unfinished deadlines move by the length of the pause.
    #[n(17)]
    Resumed {
        /// Length of the pause.
        #[n(0)]
        shift_millis: u64,
    },
    /// A requested pause was called off before it took effect.
    #[n(18)]
    PauseCancelled,
    /// Ended by command.
    #[n(19)]
    Terminated,
    /// Begun again: nothing before this entry counts, but the creation.
    #[n(20)]
    Restarted,
    /// `run()` returned; carries its output.
    #[n(21)]
    Completed,
    /// `run()` threw.
    #[n(22)]
    Errored {
        /// What it threw.
        #[n(0)]
        error: ErrorInfo,
    },
    /// What the steps have done is undone, newest first; the end follows.
    #[n(23)]
    RollbackStarted {
        /// What `run()` threw, and ends the instance with; none when it was terminated.
        #[n(0)]
        error: Option<ErrorInfo>,
    },
    /// The rollback handler of a step is called.
    #[n(24)]
    RollbackAttemptStarted {
        /// The step.
        #[n(0)]
        step: StepNo,
        /// From 1.
        #[n(1)]
        attempt: u32,
    },
    /// The rollback handler of a step threw.
    #[n(25)]
    RollbackAttemptFailed {
        /// The step.
        #[n(0)]
        step: StepNo,
        /// From 1.
        #[n(1)]
        attempt: u32,
        /// Why.
        #[n(2)]
        error: ErrorInfo,
        /// When it is called again; none when it is given up.
        #[n(3)]
        retry_at: Option<Timestamp>,
    },
    /// A step is rolled back.
    #[n(26)]
    RollbackStepCompleted {
        /// The step.
        #[n(0)]
        step: StepNo,
    },
    /// A step cannot be rolled back; those before it are not tried.
    #[n(27)]
    RollbackStepFailed {
        /// The step.
        #[n(0)]
        step: StepNo,
        /// Why.
        #[n(1)]
        error: ErrorInfo,
    },
    /// The rollback is over; the end of the instance is the next entry.
    #[n(28)]
    RollbackEnded {
        /// What it failed with.
        #[n(0)]
        error: Option<ErrorInfo>,
    },
    /// Begun again: this step and all that started after it do not count, nor do events.
    #[n(29)]
    RestartedFrom {
        /// The first step that does not count.
        #[n(0)]
        step: StepNo,
    },
}

impl Record {
    /// Whether a value is kept beside this entry, under its [`Seq`].
    pub fn carries_value(&self) -> bool {
        match self {
            Self::Created | Self::StepCompleted { .. } | Self::EventReceived { .. } | Self::Completed => true,
            Self::Started
            | Self::StepStarted { .. }
            | Self::AttemptStarted { .. }
            | Self::AttemptFailed { .. }
            | Self::StepFailed { .. }
            | Self::SleepStarted { .. }
            | Self::SleepCompleted { .. }
            | Self::WaitStarted { .. }
            | Self::WaitCompleted { .. }
            | Self::WaitTimedOut { .. }
            | Self::Waiting
            | Self::Running
            | Self::PauseRequested
            | Self::Paused
            | Self::Resumed { .. }
            | Self::PauseCancelled
            | Self::Terminated
            | Self::Restarted
            | Self::Errored { .. }
            | Self::RollbackStarted { .. }
            | Self::RollbackAttemptStarted { .. }
            | Self::RollbackAttemptFailed { .. }
            | Self::RollbackStepCompleted { .. }
            | Self::RollbackStepFailed { .. }
            | Self::RollbackEnded { .. }
            | Self::RestartedFrom { .. } => false,
        }
    }

    /// The step that starts with this entry: its number and key.
    pub(crate) fn started_step(&self) -> Option<(StepNo, StepKind, &str, u32)> {
        match self {
            Self::StepStarted {
                step, name, count, ..
            } => Some((*step, StepKind::Do, name, *count)),
            Self::SleepStarted {
                step, name, count, ..
            } => Some((*step, StepKind::Sleep, name, *count)),
            Self::WaitStarted {
                step, name, count, ..
            } => Some((*step, StepKind::WaitForEvent, name, *count)),
            _ => None,
        }
    }
}

/// Stored bytes that are not an entry: the database is damaged, or was written by a newer release.
#[derive(Debug, thiserror::Error)]
#[error("journal entry cannot be decoded ({0}); the database is damaged or was written by a newer cairn")]
pub struct EntryDecodeError(#[from] minicbor::decode::Error);

impl Entry {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        // Writing to a Vec cannot fail; minicbor's error type for it is uninhabited.
        minicbor::to_vec(self).unwrap_or_default()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`EntryDecodeError`] for anything [`Entry::encode`] did not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryDecodeError> {
        let mut decoder = minicbor::Decoder::new(bytes);
        let entry = decoder.decode()?;
        if decoder.position() != bytes.len() {
            return Err(minicbor::decode::Error::message("bytes after the entry").into());
        }
        Ok(entry)
    }
}
