//! What wakes the dispatcher, beside the runtime's reports and its own timers.

use bytes::Bytes;
use cairn_store::{Claimed, CommitError, InstanceNo, InstanceRow, Lease, StoreError};
use tokio::sync::oneshot;

/// What wakes the dispatcher.
pub(crate) enum Signal {
    /// An instance was created and is held by this node.
    Created(Box<CreatedHeld>),
    /// Something is due in the store, or has become due earlier than known.
    Due,
    /// There is a message for an instance.
    Mail(InstanceNo),
    /// An instance was deleted.
    Deleted(InstanceNo),
    /// Claims were answered.
    Claimed(ClaimAnswer),
    /// The inbox of a held instance was read.
    Inbox(InstanceNo, Result<Vec<cairn_store::InboxMessage>, StoreError>),
    /// The values that a run needs to start were read.
    Values(InstanceNo, Result<Vec<(cairn_core::Seq, Bytes)>, StoreError>),
    /// Commits were answered, in the order they were handed over.
    Committed(Vec<(InstanceNo, Lease, Result<(), CommitFailure>)>),
    /// Stop.
    Shutdown(oneshot::Sender<()>),
}

/// The answer to a claim.
pub(crate) struct ClaimAnswer {
    /// What was claimed.
    pub(crate) result: Result<Vec<Claimed>, StoreError>,
    /// When the next is due.
    pub(crate) next_due: Option<cairn_core::Timestamp>,
    /// What kind of claim it answers.
    pub(crate) kind: ClaimKind,
}

/// What kind of claim is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClaimKind {
    /// Whatever is due, up to this many.
    Due(usize),
    /// One instance, for its mail.
    One(InstanceNo),
}

/// Why a commit was not kept.
#[derive(Debug)]
pub(crate) enum CommitFailure {
    /// Fenced: somebody else goes on.
    Commit(CommitError),
    /// The store failed: this node claims the instance again.
    Store(StoreError),
}

/// A new instance in this node's hands.
pub(crate) struct CreatedHeld {
    pub(crate) row: InstanceRow,
    pub(crate) account: String,
    pub(crate) workflow_name: String,
    pub(crate) steps: Option<u32>,
    pub(crate) lease: Lease,
    pub(crate) entry: cairn_core::Entry,
    pub(crate) params: Bytes,
}
