//! A store in memory, for tests and simulations: simple, deterministic, nothing survives the process.
//!
//! Clones share the data, so a simulated restart keeps a clone and starts a new server on it.

mod access;
mod catalog;
mod cron;
mod instances;
mod keys;
mod scripts;

use crate::{
    Claim, Claimed, Commit, CommitError, CreateError, DeployedWorkflow, InboxMessage, InboxNo,
    InstanceFilter, InstanceNo, InstancePage, InstanceRow, JournalEntry, JournalPage, Lease, Load,
    NewInstance, NewMessage, NewScriptVersion, NewWorkflow, NodeId, Payload, ScheduleRow, ScriptModules,
    ScriptRow, ScriptVersionRow, SendError, StatusCounts, Store, StoreError, StreamNo, StreamWrite,
    SweptVersions, WorkflowPage, WorkflowRow, WorkflowVersionRow,
};
use async_trait::async_trait;
use bytes::Bytes;
use cairn_core::{Seq, Status, Timestamp};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A [`Store`] that forgets everything with its last clone. Any number of nodes may share it.
#[derive(Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    instances: instances::Instances,
    catalog: catalog::Catalog,
    settings: BTreeMap<String, String>,
    access: access::Access,
    /// Concurrency keys by account and name.
    keys: BTreeMap<(String, String), crate::KeyRow>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn create(
        &self,
        instances: Vec<NewInstance>,
        claim: Option<NodeId>,
    ) -> Result<Vec<Result<(InstanceNo, Option<Lease>), CreateError>>, StoreError> {
        let mut state = self.state.lock();
        let State {
            instances: kept,
            catalog,
            ..
        } = &mut *state;
        Ok(instances
            .into_iter()
            .map(|new| {
                let (workflow, created_at) = (new.workflow, new.created_at);
                let Some(row) = catalog.workflow_mut(workflow) else {
                    return Err(CreateError::NoWorkflow);
                };
                let created = kept.create(new, claim)?;
                row.triggered_at = row.triggered_at.max(Some(created_at));
                Ok(created)
            })
            .collect())
    }

    async fn commit(&self, commits: Vec<Commit>) -> Result<Vec<Result<(), CommitError>>, StoreError> {
        let mut state = self.state.lock();
        Ok(commits
            .into_iter()
            .map(|commit| state.instances.commit(commit))
            .collect())
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>, StoreError> {
        let mut state = self.state.lock();
        let State {
            instances, catalog, ..
        } = &mut *state;
        Ok(instances
            .claim(claim)
            .into_iter()
            .filter_map(|(no, lease)| claimed(instances, catalog, no, lease))
            .collect())
    }

    async fn claim_parked(
        &self,
        node: NodeId,
        workflow: i64,
        limit: usize,
    ) -> Result<Vec<Claimed>, StoreError> {
        let mut state = self.state.lock();
        let State {
            instances, catalog, ..
        } = &mut *state;
        Ok(instances
            .claim_parked(node, workflow, limit)
            .into_iter()
            .filter_map(|(no, lease)| claimed(instances, catalog, no, lease))
            .collect())
    }

    async fn loads(&self) -> Result<Vec<Load>, StoreError> {
        let state = self.state.lock();
        let load = |row: &WorkflowRow| Load {
            workflow: row.no,
            account: row.account.clone(),
            settings: row.settings.clone(),
            running: state.instances.running(row.no),
            parked: state.instances.parked(row.no).next().is_some(),
        };
        Ok(state.catalog.all_workflows().map(load).collect())
    }

    async fn claim_one(&self, node: NodeId, instance: InstanceNo) -> Result<Option<Claimed>, StoreError> {
        let mut state = self.state.lock();
        let State {
            instances, catalog, ..
        } = &mut *state;
        let lease = instances.claim_one(node, instance);
        Ok(lease.and_then(|lease| claimed(instances, catalog, instance, lease)))
    }

    async fn claim_free(&self, node: NodeId, instance: InstanceNo) -> Result<Option<Claimed>, StoreError> {
        let mut state = self.state.lock();
        let State {
            instances, catalog, ..
        } = &mut *state;
        if instances.is_held(instance) {
            return Ok(None);
        }
        let lease = instances.claim_one(node, instance);
        Ok(lease.and_then(|lease| claimed(instances, catalog, instance, lease)))
    }

    async fn held(&self, node: NodeId) -> Result<Vec<InstanceNo>, StoreError> {
        Ok(self.state.lock().instances.held(node))
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.state.lock().instances.next_due())
    }

    async fn renew(&self, node: NodeId, until: Timestamp) -> Result<(), StoreError> {
        self.state.lock().instances.renew(node, until);
        Ok(())
    }

    async fn register(&self, until: Timestamp) -> Result<NodeId, StoreError> {
        Ok(self.state.lock().instances.register(until))
    }

    async fn send(&self, message: NewMessage) -> Result<InboxNo, SendError> {
        self.state.lock().instances.send(message)
    }

    async fn inbox(&self, instance: InstanceNo, after: InboxNo) -> Result<Vec<InboxMessage>, StoreError> {
        Ok(self.state.lock().instances.inbox(instance, after))
    }

    async fn journal(&self, instance: InstanceNo) -> Result<Vec<JournalEntry>, StoreError> {
        Ok(self.state.lock().instances.journal(instance))
    }

    async fn journal_from(
        &self,
        instance: InstanceNo,
        from: Seq,
        max_bytes: usize,
    ) -> Result<Option<JournalPage>, StoreError> {
        Ok(self
            .state
            .lock()
            .instances
            .journal_from(instance, from, max_bytes))
    }

    async fn payload(&self, instance: InstanceNo, seq: Seq) -> Result<Option<Bytes>, StoreError> {
        Ok(self.state.lock().instances.payload(instance, seq))
    }

    async fn write_streams(
        &self,
        writes: Vec<StreamWrite>,
    ) -> Result<Vec<Result<(), CommitError>>, StoreError> {
        let mut state = self.state.lock();
        Ok(writes
            .into_iter()
            .map(|write| state.instances.write_stream(write))
            .collect())
    }

    async fn stream_chunk(
        &self,
        instance: InstanceNo,
        stream: StreamNo,
        index: u32,
    ) -> Result<Option<Bytes>, StoreError> {
        Ok(self.state.lock().instances.stream_chunk(instance, stream, index))
    }

    async fn instance(&self, workflow: i64, id: &str) -> Result<Option<InstanceRow>, StoreError> {
        Ok(self.state.lock().instances.find(workflow, id))
    }

    async fn instances(&self, workflow: i64, filter: &InstanceFilter) -> Result<InstancePage, StoreError> {
        Ok(self.state.lock().instances.list(workflow, filter))
    }

    async fn counts(&self, workflow: i64) -> Result<StatusCounts, StoreError> {
        Ok(self.state.lock().instances.counts(workflow))
    }

    async fn queued(&self, account: &str) -> Result<u64, StoreError> {
        let state = self.state.lock();
        let workflows = state.catalog.all_workflows().filter(|row| row.account == account);
        let queued = workflows.map(|row| state.instances.counts(row.no).of(Status::Queued));
        Ok(queued.sum())
    }

    async fn delete_instance(&self, instance: InstanceNo) -> Result<bool, StoreError> {
        Ok(self.state.lock().instances.delete(instance).is_some())
    }

    async fn expire(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        Ok(self.state.lock().instances.expire(now, limit))
    }

    async fn add_script_version(&self, version: NewScriptVersion) -> Result<(), StoreError> {
        self.state.lock().catalog.add_script_version(version)
    }

    async fn script(&self, account: &str, script: &str) -> Result<Option<ScriptRow>, StoreError> {
        Ok(self.state.lock().catalog.script(account, script))
    }

    async fn scripts_named(&self, script: &str) -> Result<Vec<ScriptRow>, StoreError> {
        Ok(self.state.lock().catalog.scripts_named(script))
    }

    async fn script_versions(
        &self,
        account: &str,
        script: &str,
    ) -> Result<Vec<ScriptVersionRow>, StoreError> {
        Ok(self.state.lock().catalog.script_versions(account, script))
    }

    async fn script_modules(&self, version: &str) -> Result<Option<ScriptModules>, StoreError> {
        Ok(self.state.lock().catalog.script_modules(version))
    }

    async fn put_workflow(&self, workflow: NewWorkflow) -> Result<WorkflowRow, StoreError> {
        Ok(self.state.lock().catalog.put_workflow(workflow))
    }

    async fn sweep_versions(&self, keep: usize, limit: usize) -> Result<SweptVersions, StoreError> {
        let mut state = self.state.lock();
        let State {
            instances, catalog, ..
        } = &mut *state;
        Ok(catalog.sweep(&instances.pinned(), keep, limit))
    }

    async fn workflow(&self, account: &str, name: &str) -> Result<Option<WorkflowRow>, StoreError> {
        Ok(self.state.lock().catalog.workflow(account, name))
    }

    async fn deployed_workflow(
        &self,
        account: &str,
        name: &str,
    ) -> Result<Option<DeployedWorkflow>, StoreError> {
        Ok(self.state.lock().catalog.deployed_workflow(account, name))
    }

    async fn workflows(
        &self,
        account: &str,
        search: Option<&str>,
        page: WorkflowPage,
    ) -> Result<(Vec<WorkflowRow>, u64), StoreError> {
        Ok(self.state.lock().catalog.workflows(account, search, page))
    }

    async fn workflow_versions(
        &self,
        workflow: i64,
        page: WorkflowPage,
    ) -> Result<(Vec<WorkflowVersionRow>, u64), StoreError> {
        Ok(self.state.lock().catalog.workflow_versions(workflow, page))
    }

    async fn note_graph(
        &self,
        version: &str,
        script_version: &str,
        has_graph: bool,
    ) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        state.catalog.note_graph(version, script_version, has_graph);
        Ok(())
    }

    async fn delete_workflow(
        &self,
        account: &str,
        name: &str,
    ) -> Result<Option<Vec<InstanceNo>>, StoreError> {
        let mut state = self.state.lock();
        let removed = state.catalog.delete_workflow(account, name);
        Ok(removed.map(|workflow| state.instances.delete_all(workflow)))
    }

    async fn schedules(&self) -> Result<Vec<ScheduleRow>, StoreError> {
        Ok(self.state.lock().catalog.schedules())
    }

    async fn schedule_done(&self, workflow: i64, cron: &str, until: Timestamp) -> Result<(), StoreError> {
        self.state.lock().catalog.schedule_done(workflow, cron, until);
        Ok(())
    }

    async fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        Ok(self.state.lock().settings.get(key).cloned())
    }

    async fn put_setting(&self, key: &str, value: &str) -> Result<(), StoreError> {
        self.state
            .lock()
            .settings
            .insert(key.to_owned(), value.to_owned());
        Ok(())
    }
}

fn claimed(
    instances: &instances::Instances,
    catalog: &catalog::Catalog,
    no: InstanceNo,
    lease: Lease,
) -> Option<Claimed> {
    let row = instances.row(no)?;
    let workflow = catalog.workflow_by_no(row.workflow)?;
    Some(Claimed {
        lease,
        row,
        account: workflow.account.clone(),
        workflow_name: workflow.name.clone(),
        journal: instances.journal(no),
        inbox: instances.inbox(no, InboxNo::default()),
    })
}

/// How a reader sees a payload.
fn as_read(payload: &Bytes) -> Payload {
    if payload.len() > crate::instance::INLINE_PAYLOAD_BYTES {
        Payload::Apart {
            bytes: payload.len() as u64,
        }
    } else {
        Payload::Inline(payload.clone())
    }
}
