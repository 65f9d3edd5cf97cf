//! Commands as they lie in the inbox.

use cairn_core::{Command, RestartFrom, StepKey, StepKind, Undo};
use cairn_store::{NodeId, StoreError};
use minicbor::{Decode, Encode};

/// A command with the address of who waits for its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Message {
    /// What is asked.
    #[n(0)]
    pub(crate) request: Request,
    /// The node that asks.
    #[n(1)]
    pub(crate) node: i64,
    /// Whom to tell there.
    #[n(2)]
    pub(crate) token: u64,
}

/// The stored form of [`Command`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Request {
    #[n(0)]
    Event {
        #[n(0)]
        event_type: String,
    },
    #[n(1)]
    Pause,
    #[n(2)]
    Resume,
    #[n(3)]
    Terminate,
    /// After the rollback handlers have been called.
    #[n(5)]
    RollBack,
    /// With what the instance is pinned to from now on.
    #[n(4)]
    Restart {
        #[n(0)]
        version: String,
        #[n(1)]
        script_version: String,
        #[n(2)]
        class_name: String,
        /// The step to begin at; the beginning when absent.
        #[n(3)]
        from: Option<FromStep>,
    },
}

/// The stored form of a [`StepKey`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct FromStep {
    #[n(0)]
    pub(crate) kind: StepKind,
    #[n(1)]
    pub(crate) name: String,
    #[n(2)]
    pub(crate) count: u32,
}

impl From<StepKey> for FromStep {
    fn from(StepKey { kind, name, count }: StepKey) -> Self {
        Self { kind, name, count }
    }
}

impl From<FromStep> for StepKey {
    fn from(FromStep { kind, name, count }: FromStep) -> Self {
        Self { kind, name, count }
    }
}

impl Message {
    pub(crate) fn new(request: Request, node: NodeId, token: u64) -> Self {
        Self {
            request,
            node: node.0,
            token,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        // Writing to a Vec cannot fail.
        minicbor::to_vec(self).unwrap_or_default()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        minicbor::decode(bytes).map_err(|error| StoreError::Corrupt(format!("message in an inbox: {error}")))
    }
}

impl Request {
    /// What the rules are asked; `bytes` is the size of the payload.
    pub(crate) fn command(self, bytes: usize) -> Command {
        match self {
            Self::Event { event_type } => Command::Event { event_type, bytes },
            Self::Pause => Command::Pause,
            Self::Resume => Command::Resume,
            Self::Terminate => Command::Terminate(Undo::Nothing),
            Self::RollBack => Command::Terminate(Undo::Steps),
            Self::Restart { from, .. } => {
                Command::Restart(from.map_or(RestartFrom::Beginning, |step| RestartFrom::Step(step.into())))
            }
        }
    }
}
