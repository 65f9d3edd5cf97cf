//! Where instances, journals, inboxes and scripts are kept.
//!
//! [`Store`] is written so that a single file and a database shared by several nodes both fit behind it: leases with fencing,
//! a durable inbox, claims. [`memory`] and [`sqlite`] implement it and pass [`conformance`].

mod access;
mod catalog;
pub mod conformance;
mod cron;
mod error;
mod instance;
mod keys;
pub mod memory;
mod page;
mod scripts;
pub mod sqlite;
mod stream;

pub use access::{
    AccessStore, AuditEnd, AuditFilter, AuditNo, AuditRow, NewAudit, TOKEN_HASH_BYTES, TokenRow,
};
pub use catalog::{
    DeployedWorkflow, NewScriptVersion, NewWorkflow, ScheduleRow, ScriptModules, ScriptRow, ScriptVersionRow,
    SweptVersions, WorkflowRow, WorkflowVersionRow,
};
pub use cron::{CronRow, CronStore};
pub use error::{CommitError, CreateError, SendError, StoreError};
pub use instance::{
    Claim, Claimed, Commit, InboxMessage, InboxNo, InstanceNo, InstanceRow, JournalEntry, JournalPage, Lease,
    Load, NewInstance, NewMessage, NodeId, Payload, Release, Repin, Start, StatusCounts, Trigger,
};
pub use keys::{KeyRow, KeyStore};
pub use memory::MemoryStore;
pub use page::{InstanceFilter, InstancePage, SortOrder, WorkflowPage};
pub use scripts::{DeploymentRow, NewDeployment, ScriptStore};
pub use stream::{StreamNo, StreamWrite};

use async_trait::async_trait;
use bytes::Bytes;
use cairn_core::{Seq, Timestamp};

/// The memory of Cairn. All methods are atomic and durable when they return `Ok`.
///
/// Invariants every implementation keeps:
/// - at most one node holds an instance; [`Store::commit`] with an old lease or a wrong position changes nothing;
/// - entries and messages are opaque bytes: the store never reads inside them;
/// - what was accepted ([`Store::create`], [`Store::send`]) is found by some [`Store::claim`] later, whatever crashes.
#[async_trait]
pub trait Store: ScriptStore + KeyStore + CronStore + Send + Sync + 'static {
    // Instances: the hot path.

    /// Creates instances, each with its first journal entry. One result per element, in order: an id that exists (or
    /// stands earlier in the same batch) fails alone. `claim` makes the caller their holder at once; without it they are due at once. Those that
    /// are to be parked are neither.
    async fn create(
        &self,
        instances: Vec<NewInstance>,
        claim: Option<NodeId>,
    ) -> Result<Vec<Result<(InstanceNo, Option<Lease>), CreateError>>, StoreError>;

    /// Appends to journals, updates the rows and removes consumed messages: each [`Commit`] wholly or not at all, independent of the
    /// others of the batch. One result per element, in order.
    async fn commit(&self, commits: Vec<Commit>) -> Result<Vec<Result<(), CommitError>>, StoreError>;

    /// Takes instances that nobody holds and that are due at `now` (earliest first), or all nodes' whose node lease ended before `now`.
    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>, StoreError>;

    /// Takes up to `limit` parked instances of a workflow: queued or waiting, held by nobody and not due at any time. Those that wait come
    /// before the queued ones, each in order of creation.
    async fn claim_parked(
        &self,
        node: NodeId,
        workflow: i64,
        limit: usize,
    ) -> Result<Vec<Claimed>, StoreError>;

    /// How many instances run, by workflow, for all workflows of all accounts.
    async fn loads(&self) -> Result<Vec<Load>, StoreError>;

    /// Takes this instance if nobody (else) holds it; `None` when it is held or gone. A holder that claims again gets a new epoch,
    /// so that after a failed commit it can begin anew.
    async fn claim_one(&self, node: NodeId, instance: InstanceNo) -> Result<Option<Claimed>, StoreError>;

    /// Takes this instance if nobody holds it, the caller included: what he holds already is on its way to him by another claim.
    async fn claim_free(&self, node: NodeId, instance: InstanceNo) -> Result<Option<Claimed>, StoreError>;

    /// The instances that a node holds. For a caller that does not know whether a claim or a creation of his came through.
    async fn held(&self, node: NodeId) -> Result<Vec<InstanceNo>, StoreError>;

    /// When the next unheld instance is due, if any; the store knows no clock, so "at once" is the beginning of time (0).
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Registers a node or extends its node lease until `until`. Instances of a node whose lease has ended may be claimed by others.
    async fn renew(&self, node: NodeId, until: Timestamp) -> Result<(), StoreError>;

    /// A new node id, different from all earlier ones.
    async fn register(&self, until: Timestamp) -> Result<NodeId, StoreError>;

    /// Puts a message into the inbox of an instance and makes the instance due now if nobody holds it.
    async fn send(&self, message: NewMessage) -> Result<InboxNo, SendError>;

    /// The messages of an instance in order of arrival, with numbers above `after`.
    async fn inbox(&self, instance: InstanceNo, after: InboxNo) -> Result<Vec<InboxMessage>, StoreError>;

    /// The whole journal of an instance, in order. Large payloads come as [`Payload::Apart`].
    async fn journal(&self, instance: InstanceNo) -> Result<Vec<JournalEntry>, StoreError>;

    /// The entries of a journal from `from` on, in order: about `max_bytes` of them, but at least one while there is one. `None` when the
    /// instance is gone. Costs what it reads, and a look at each chunk behind it.
    async fn journal_from(
        &self,
        instance: InstanceNo,
        from: Seq,
        max_bytes: usize,
    ) -> Result<Option<JournalPage>, StoreError>;

    /// The payload of an entry, kept apart or not; `None` when the instance or the payload is gone.
    async fn payload(&self, instance: InstanceNo, seq: Seq) -> Result<Option<Bytes>, StoreError>;

    // Streams that steps have returned.

    /// Writes pieces of streams and drops streams, in order: each wholly or not at all, independent of the others. One result per
    /// element. An instance takes its streams with it when it is removed.
    async fn write_streams(
        &self,
        writes: Vec<StreamWrite>,
    ) -> Result<Vec<Result<(), CommitError>>, StoreError>;

    /// A piece of a stream; `None` when there is no such piece, or it is gone.
    async fn stream_chunk(
        &self,
        instance: InstanceNo,
        stream: StreamNo,
        index: u32,
    ) -> Result<Option<Bytes>, StoreError>;

    // Instances: what clients ask.

    /// The row of an instance.
    async fn instance(&self, workflow: i64, id: &str) -> Result<Option<InstanceRow>, StoreError>;

    /// A page of rows of a workflow.
    async fn instances(&self, workflow: i64, filter: &InstanceFilter) -> Result<InstancePage, StoreError>;

    /// How many instances a workflow has in each status.
    async fn counts(&self, workflow: i64) -> Result<StatusCounts, StoreError>;

    /// How many instances of all workflows of an account are queued.
    async fn queued(&self, account: &str) -> Result<u64, StoreError>;

    /// Removes an instance with all it has; whether it existed. Commits by its holder fail from then on.
    async fn delete_instance(&self, instance: InstanceNo) -> Result<bool, StoreError>;

    /// Removes up to `limit` finished instances whose retention has passed since their end, oldest first; how many. One that is held or
    /// has unread mail stays until that is dealt with: it may be about to be restarted.
    async fn expire(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError>;

    // Scripts and workflows.

    /// Keeps a new version of a script; creates the script if needed. Not deployed yet.
    async fn add_script_version(&self, version: NewScriptVersion) -> Result<(), StoreError>;

    /// A script with its deployed version.
    async fn script(&self, account: &str, script: &str) -> Result<Option<ScriptRow>, StoreError>;

    /// The scripts of this name in any account (for requests by host name), in order of creation.
    async fn scripts_named(&self, script: &str) -> Result<Vec<ScriptRow>, StoreError>;

    /// Versions of a script, newest first.
    async fn script_versions(&self, account: &str, script: &str)
    -> Result<Vec<ScriptVersionRow>, StoreError>;

    /// The code of a version.
    async fn script_modules(&self, version: &str) -> Result<Option<ScriptModules>, StoreError>;

    /// Creates or changes a workflow; every call makes a new version of it. A schedule that it had before goes on where it is, a new one
    /// begins at [`NewWorkflow::at`], one that is not named any more is gone.
    async fn put_workflow(&self, workflow: NewWorkflow) -> Result<WorkflowRow, StoreError>;

    /// Removes versions that nothing needs, up to `limit` of scripts and as many of workflows: those that no instance which has not ended is
    /// pinned to, that are not deployed (the newest, of a workflow), and that have `keep` newer ones beside them or whose script was removed.
    async fn sweep_versions(&self, keep: usize, limit: usize) -> Result<SweptVersions, StoreError>;

    /// A workflow.
    async fn workflow(&self, account: &str, name: &str) -> Result<Option<WorkflowRow>, StoreError>;

    /// What a new instance of a workflow is pinned to; `None` when workflow, script or deployment is missing. When it was last triggered may be told as
    /// of an earlier moment.
    async fn deployed_workflow(
        &self,
        account: &str,
        name: &str,
    ) -> Result<Option<DeployedWorkflow>, StoreError>;

    /// Workflows of an account by name, newest first, from `offset`; `search` is a part of the name.
    async fn workflows(
        &self,
        account: &str,
        search: Option<&str>,
        page: WorkflowPage,
    ) -> Result<(Vec<WorkflowRow>, u64), StoreError>;

    /// Versions of a workflow, newest first, and how many there are.
    async fn workflow_versions(
        &self,
        workflow: i64,
        page: WorkflowPage,
    ) -> Result<(Vec<WorkflowVersionRow>, u64), StoreError>;

    /// Keeps whether there is a graph of a version of a workflow, in which version of its script; nothing when there is no such version any more.
    async fn note_graph(
        &self,
        version: &str,
        script_version: &str,
        has_graph: bool,
    ) -> Result<(), StoreError>;

    /// Removes a workflow and all its instances; the instances that were held, so that holders can stop. `None` when there is no such workflow.
    async fn delete_workflow(&self, account: &str, name: &str)
    -> Result<Option<Vec<InstanceNo>>, StoreError>;

    // Schedules.

    /// The schedules of all workflows, by workflow and expression.
    async fn schedules(&self) -> Result<Vec<ScheduleRow>, StoreError>;

    /// Keeps that the firings of a schedule up to and including `until` are dealt with; never goes back. A schedule that is gone stays gone.
    async fn schedule_done(&self, workflow: i64, cron: &str, until: Timestamp) -> Result<(), StoreError>;

    // Settings of the installation.

    /// A small named value, such as the hash of the root token.
    async fn setting(&self, key: &str) -> Result<Option<String>, StoreError>;

    /// Keeps a small named value.
    async fn put_setting(&self, key: &str, value: &str) -> Result<(), StoreError>;
}
