//! Instances as the store sees them: rows, leases, journal entries and messages of opaque bytes.

use bytes::Bytes;
use cairn_core::{Seq, Status, Timestamp};

/// Number of an instance in the whole store. Grows with creation; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceNo(pub i64);

/// Number of a message; grows with arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct InboxNo(pub i64);

/// One start of one server; see [`Store::register`](crate::Store::register).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub i64);

/// The right to commit to an instance. Each claim makes a new epoch; older ones are fenced off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The holder.
    pub node: NodeId,
    /// Number of the claim.
    pub epoch: i64,
}

/// What made an instance come to be. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Trigger {
    /// REST.
    Api = 1,
    /// A workflow binding.
    Binding = 2,
    /// An event trigger.
    Event = 3,
    /// A schedule.
    Cron = 4,
}

impl Trigger {
    /// The word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Binding => "binding",
            Self::Event => "event",
            Self::Cron => "cron",
        }
    }

    /// The trigger with this stored number.
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Api, Self::Binding, Self::Event, Self::Cron]
            .into_iter()
            .find(|trigger| *trigger as u8 == code)
    }
}

/// An instance to create.
#[derive(Debug, Clone, PartialEq)]
pub struct NewInstance {
    /// The workflow's number ([`WorkflowRow::no`](crate::WorkflowRow::no)).
    pub workflow: i64,
    /// Its id, unique in the workflow.
    pub id: String,
    /// The workflow version it is pinned to.
    pub version: String,
    /// The script version it is pinned to.
    pub script_version: String,
    /// The class it runs.
    pub class_name: String,
    /// What made it.
    pub trigger: Trigger,
    /// Now.
    pub created_at: Timestamp,
    /// How long it is kept after success or termination, milliseconds.
    pub success_retention_millis: u64,
    /// How long it is kept after an error, milliseconds.
    pub error_retention_millis: u64,
    /// The first journal entry, [`Seq`] 0.
    pub entry: Vec<u8>,
    /// Its payload: the parameters.
    pub params: Bytes,
    /// Whether it may begin.
    pub start: Start,
}

/// Whether a new instance may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// It may: it is held by its creator, or due.
    #[default]
    Now,
    /// It waits for a slot: nobody holds it, and it is not due. See [`Store::claim_parked`](crate::Store::claim_parked).
    Parked,
}

/// How many instances of a workflow run, for whom limits how many do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// The workflow's number.
    pub workflow: i64,
    /// Its account.
    pub account: String,
    /// Settings of its newest version.
    pub settings: String,
    /// Instances in a status that holds a slot.
    pub running: u64,
    /// Whether instances are parked.
    pub parked: bool,
}

/// The row of an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceRow {
    /// Its number.
    pub no: InstanceNo,
    /// The workflow's number.
    pub workflow: i64,
    /// Its id.
    pub id: String,
    /// The workflow version it is pinned to.
    pub version: String,
    /// The script version it is pinned to.
    pub script_version: String,
    /// The class it runs.
    pub class_name: String,
    /// What made it.
    pub trigger: Trigger,
    /// As of the last commit.
    pub status: Status,
    /// Creation.
    pub created_at: Timestamp,
    /// Last change of status.
    pub modified_at: Timestamp,
    /// First start of user code.
    pub started_at: Option<Timestamp>,
    /// End.
    pub ended_at: Option<Timestamp>,
    /// Kept after success, milliseconds.
    pub success_retention_millis: u64,
    /// Kept after an error, milliseconds.
    pub error_retention_millis: u64,
}

/// Payloads with more bytes than this are kept apart from the journal.
pub(crate) const INLINE_PAYLOAD_BYTES: usize = 8 * 1024;

/// `wake_at` of an instance that is due at once. The store has no clock; the beginning of time is never in the future.
pub(crate) const DUE_AT_ONCE: Timestamp = Timestamp(0);

/// When an instance in this status may be removed: after its retention, counted from its end; never while it has not ended.
pub(crate) fn expires_at(
    status: Status,
    ended_at: Timestamp,
    success_retention_millis: u64,
    error_retention_millis: u64,
) -> Option<Timestamp> {
    match status {
        Status::Complete | Status::Terminated => Some(ended_at.plus(success_retention_millis)),
        Status::Errored => Some(ended_at.plus(error_retention_millis)),
        Status::Queued
        | Status::Running
        | Status::Paused
        | Status::WaitingForPause
        | Status::Waiting
        | Status::RollingBack => None,
    }
}

/// A line of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// Its position.
    pub seq: Seq,
    /// The entry, encoded.
    pub entry: Vec<u8>,
    /// The value it carries, if any.
    pub payload: Option<Payload>,
}

/// Entries of a journal, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalPage {
    /// The entries.
    pub entries: Vec<JournalEntry>,
    /// The end of the whole journal: the position of its next entry.
    pub end: Seq,
}

/// A value beside a journal entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Its bytes.
    Inline(Bytes),
    /// Kept apart: ask [`Store::payload`](crate::Store::payload).
    Apart {
        /// How many bytes it has.
        bytes: u64,
    },
}

/// A change of one instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// The instance.
    pub instance: InstanceNo,
    /// The right to change it.
    pub lease: Lease,
    /// Position of the first entry below: must be the end of the journal. (With no entries: the end as well.)
    pub next_seq: Seq,
    /// Entries with the payloads they carry, in order; payloads are always [`Payload::Inline`] here.
    pub entries: Vec<(Vec<u8>, Option<Bytes>)>,
    /// Status after it.
    pub status: Status,
    /// First start of user code, as of now.
    pub started_at: Option<Timestamp>,
    /// End, as of now.
    pub ended_at: Option<Timestamp>,
    /// Now; kept as `modified_at` when the status changes.
    pub at: Timestamp,
    /// Messages up to and including this one are consumed, and removed.
    pub consumed: Option<InboxNo>,
    /// When set, the lease ends with this commit.
    pub release: Option<Release>,
    /// A restart pins the instance to these versions.
    pub repin: Option<Repin>,
}

/// The end of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// When the instance is due again, if ever; a queued or waiting one that is not is parked. If its inbox still holds messages it is
    /// due at once all the same.
    pub wake_at: Option<Timestamp>,
}

/// New versions for a restarted instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repin {
    /// The workflow version.
    pub version: String,
    /// The script version.
    pub script_version: String,
    /// The class.
    pub class_name: String,
}

/// What to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// For whom.
    pub node: NodeId,
    /// Due by now.
    pub now: Timestamp,
    /// At most so many.
    pub limit: usize,
}

/// An instance that the caller holds now, with all that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The right to change it.
    pub lease: Lease,
    /// Its row.
    pub row: InstanceRow,
    /// Its workflow's account.
    pub account: String,
    /// Its workflow's name.
    pub workflow_name: String,
    /// Its journal.
    pub journal: Vec<JournalEntry>,
    /// Its messages.
    pub inbox: Vec<InboxMessage>,
}

/// A message to an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// To whom.
    pub instance: InstanceNo,
    /// The command, encoded by the engine.
    pub command: Vec<u8>,
    /// The value it carries.
    pub payload: Option<Bytes>,
    /// Messages an inbox may hold.
    pub limit: usize,
}

/// A message in an inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxMessage {
    /// Its number.
    pub no: InboxNo,
    /// The command, encoded by the engine.
    pub command: Vec<u8>,
    /// The value it carries.
    pub payload: Option<Bytes>,
}

/// Number of instances in each status, by status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatusCounts(pub [u64; 9]);

impl StatusCounts {
    /// Instances in this status.
    pub fn of(&self, status: Status) -> u64 {
        self.0[status as usize]
    }

    /// All instances.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}
