//! What user code and clients have done: the causes that entries of a journal may have.

use bytes::Bytes;
use cairn_core::{ErrorInfo, Origin, RestartFrom, RollbackResult, StepKey, Undo};
use std::collections::{BTreeMap, BTreeSet};

/// What user code and clients have done to one instance.
#[derive(Default)]
pub(crate) struct Causes {
    /// Values that attempts have returned, by epoch, step and attempt.
    pub(super) returned: BTreeMap<(u32, StepKey, u32), Vec<Bytes>>,
    /// Streams that attempts have returned, likewise.
    pub(super) streamed: BTreeMap<(u32, StepKey, u32), Vec<Vec<Bytes>>>,
    /// What attempts have thrown, likewise.
    pub(super) thrown: BTreeMap<(u32, StepKey, u32), Vec<Threw>>,
    /// What handlers have done, likewise.
    pub(super) undone: BTreeMap<(u32, StepKey, u32), Vec<RollbackResult>>,
    /// How runs have ended, by epoch.
    pub(super) ends: Vec<(u32, End)>,
    /// Step calls that were made while their callback was executing already, or that of the step that called them.
    pub(super) calls: BTreeMap<(u32, StepKey), Vec<Called>>,
    /// Events by number, with their types.
    pub(super) events: BTreeMap<u64, String>,
    /// How often it was paused and resumed.
    pub(super) pauses: usize,
    pub(super) resumes: usize,
    /// How it was terminated.
    pub(super) terminations: Vec<Undo>,
    /// From where it was restarted.
    pub(super) restarts: BTreeSet<Option<StepKey>>,
}

/// A step call, as far as a pause that is coming cares.
#[derive(Debug, Clone)]
pub(super) struct Called {
    /// Whether its callback was executing already.
    pub(super) eager: bool,
    /// The step whose callback made it.
    pub(super) parent: Option<StepKey>,
}

/// An attempt threw.
#[derive(Debug, Clone)]
pub(super) struct Threw {
    pub(super) error: ErrorInfo,
    pub(super) delay: Option<Result<u64, ErrorInfo>>,
}

/// A run has ended by itself.
#[derive(Debug, Clone)]
pub(crate) enum End {
    /// `run()` has returned this.
    Returned(Bytes),
    /// `run()` has thrown this.
    Raised { error: ErrorInfo, origin: Origin },
}

/// What a client has sent.
#[derive(Debug, Clone)]
pub(crate) enum Sent {
    Event(u64, String),
    Pause,
    Resume,
    Terminate(Undo),
    Restart(RestartFrom),
}

impl Causes {
    /// What clients have sent, without what user code has done.
    pub(super) fn of_clients(&self) -> Self {
        Self {
            events: self.events.clone(),
            pauses: self.pauses,
            resumes: self.resumes,
            terminations: self.terminations.clone(),
            restarts: self.restarts.clone(),
            ..Self::default()
        }
    }

    pub(super) fn sent(&mut self, sent: &Sent) {
        match sent {
            Sent::Event(number, event_type) => {
                self.events.insert(*number, event_type.clone());
            }
            Sent::Pause => self.pauses += 1,
            Sent::Resume => self.resumes += 1,
            Sent::Terminate(undo) => self.terminations.push(*undo),
            Sent::Restart(from) => {
                self.restarts.insert(match from {
                    RestartFrom::Beginning => None,
                    RestartFrom::Step(key) => Some(key.clone()),
                });
            }
        }
    }
}
