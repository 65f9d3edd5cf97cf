//! What wakes the dispatcher, beside the runtime's reports and its own timers.

use crate::claims::ClaimNo;
use crate::passed::Ticket;
use crate::streams::{Kept, Pull};
use crate::versions::Latest;
use crate::weight::Weight;
use bytes::Bytes;
use cairn_core::{Entry, Limits, Seq, Timestamp};
use cairn_store::{CommitError, InboxMessage, InstanceNo, InstanceRow, Lease, Repin, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// What wakes the dispatcher.
pub(crate) enum Signal {
    /// An instance was created and is held by this node.
    Created(Box<Loaded>),
    /// Something has become due in the store.
    Due,
    /// There is a message for an instance.
    Mail(InstanceNo),
    /// An instance has doubles, or more than before.
    Doubled(InstanceNo),
    /// An instance was deleted.
    Deleted(InstanceNo),
    /// Due instances were claimed.
    Claimed(ClaimAnswer),
    /// One instance was claimed; none when somebody holds it, or it is gone.
    ClaimedOne(InstanceNo, Result<Option<Box<Loaded>>, StoreError>),
    /// A claim or a creation may have come through although it failed: see what this node holds.
    LostTrack,
    /// What this node holds, as the store knows.
    Held(Result<Vec<InstanceNo>, StoreError>),
    /// The inbox of a held instance was read.
    Inbox(InstanceNo, Lease, Result<Vec<InboxMessage>, StoreError>),
    /// Commits were answered, in the order they were handed over.
    Committed(Vec<Committed>),
    /// Pieces of streams were answered, in the order they were handed over.
    StreamsKept(Vec<Kept>),
    /// A piece of a stream was read.
    Pulled(Pull, Result<Option<Bytes>, StoreError>),
    /// Workflows have a new version that their instances follow.
    Deployed(Vec<Latest>),
    /// More slots may be free, or more instances must ask for one.
    Slots,
    /// Parked instances of a workflow were claimed, up to so many.
    ClaimedParked {
        workflow: i64,
        asked: usize,
        result: Result<ParkedAnswer, StoreError>,
    },
    /// Let what executes end, and start nothing.
    Drain(oneshot::Sender<()>),
    /// Stop.
    Shutdown(oneshot::Sender<()>),
}

/// The answer to a claim of what is due.
pub(crate) struct ClaimAnswer {
    pub(crate) claim: ClaimNo,
    /// What was claimed.
    pub(crate) result: Result<Vec<Loaded>, StoreError>,
    /// How many the store gave.
    pub(crate) taken: usize,
    /// When the next is due, as of after the claim.
    pub(crate) next_due: Option<Timestamp>,
}

/// The answer to a claim of parked instances.
pub(crate) struct ParkedAnswer {
    /// What can be driven.
    pub(crate) loaded: Vec<Loaded>,
    /// Whether the store gave any, readable or not.
    pub(crate) gave_any: bool,
}

/// What became of a commit.
pub(crate) struct Committed {
    pub(crate) instance: InstanceNo,
    pub(crate) lease: Lease,
    /// The end of the journal after it.
    pub(crate) end: Seq,
    pub(crate) result: Result<(), CommitFailure>,
}

/// Why a commit was not kept.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum CommitFailure {
    /// Fenced: somebody else goes on.
    #[error(transparent)]
    Fenced(#[from] CommitError),
    /// The store failed: this node claims the instance again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An instance in this node's hands, with all a driver needs.
pub(crate) struct Loaded {
    pub(crate) row: InstanceRow,
    pub(crate) workflow_name: String,
    pub(crate) limits: Limits,
    pub(crate) lease: Lease,
    pub(crate) journal: Vec<Entry>,
    /// The values the journal carries.
    pub(crate) values: BTreeMap<Seq, Bytes>,
    pub(crate) inbox: Vec<InboxMessage>,
    /// The claim or creation that this is the answer to.
    pub(crate) _begun: Arc<Ticket>,
    /// What the row says of versions is new, and to be written.
    pub(crate) repin: Option<Repin>,
    /// What its values weigh.
    pub(crate) weight: Weight,
}
