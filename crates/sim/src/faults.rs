//! A store that is slow and fails: before a write (nothing happened), or after it (it happened, but nobody was told).

use crate::model::{Ledger, Model};
use crate::random::Random;
use async_trait::async_trait;
use bytes::Bytes;
use cairn_core::{Seq, Timestamp};
use cairn_runtime::Value;
use cairn_store::{
    Claim, Claimed, Commit, CommitError, CreateError, CronRow, CronStore, DeployedWorkflow, DeploymentRow,
    InboxMessage, InboxNo, InstanceFilter, InstanceNo, InstancePage, InstanceRow, JournalEntry, JournalPage,
    KeyRow, KeyStore, Lease, Load, NewDeployment, NewInstance, NewMessage, NewScriptVersion, NewWorkflow,
    NodeId, ScheduleRow, ScriptModules, ScriptRow, ScriptStore, ScriptVersionRow, SendError, StatusCounts,
    Store, StoreError, StreamNo, StreamWrite, SweptVersions, WorkflowPage, WorkflowRow, WorkflowVersionRow,
};
use std::time::Duration;

/// The faulty store.
pub(crate) struct Faulty<S> {
    inner: S,
    random: Random,
    /// Chance of a failure of a write, percent.
    percent: u64,
    /// Told of what is durable the moment it is.
    model: Model,
}

impl<S: Store> Faulty<S> {
    pub(crate) fn new(inner: S, random: Random, (percent, model): (u64, Model)) -> Self {
        Self {
            inner,
            random,
            percent,
            model,
        }
    }

    fn claimed<'a>(&self, claimed: impl IntoIterator<Item = &'a Claimed>) {
        for claimed in claimed {
            self.model.claimed(claimed.row.no, claimed.lease);
        }
    }

    /// A stream that a journal names is whole.
    async fn check_streams(&self, commit: &Commit) -> Result<(), StoreError> {
        let payloads = commit.entries.iter().filter_map(|(_, payload)| payload.as_ref());
        for payload in payloads.filter(|payload| Ledger::is_stream(payload)) {
            let value = Value::from_stored(payload.clone());
            let Some(stream) = value.ok().and_then(|value| value.as_stream()) else {
                continue;
            };
            let mut pieces = Vec::new();
            for index in 0..=stream.chunks {
                let number = StreamNo(stream.number);
                pieces.extend(self.inner.stream_chunk(commit.instance, number, index).await?);
            }
            self.model.names_stream(commit.instance, &pieces);
        }
        Ok(())
    }

    async fn delay(&self) {
        let millis = self.random.below(4);
        if millis > 0 {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
    }

    fn fails(&self) -> bool {
        self.random.chance(self.percent)
    }

    fn failure(when: &str) -> StoreError {
        StoreError::Unavailable(format!("injected {when} the write"))
    }

    /// A write that may fail before or after it happened.
    async fn write<T, F: Future<Output = Result<T, StoreError>>>(&self, write: F) -> Result<T, StoreError> {
        self.delay().await;
        if self.fails() {
            return Err(Self::failure("before"));
        }
        let written = write.await;
        self.delay().await;
        if self.fails() {
            Err(Self::failure("after"))
        } else {
            written
        }
    }
}

#[async_trait]
impl<S: Store> Store for Faulty<S> {
    async fn create(
        &self,
        instances: Vec<NewInstance>,
        claim: Option<NodeId>,
    ) -> Result<Vec<Result<(InstanceNo, Option<Lease>), CreateError>>, StoreError> {
        let create = async {
            let created = self.inner.create(instances.clone(), claim).await?;
            for (new, result) in instances.iter().zip(&created) {
                if let Ok((no, lease)) = result {
                    self.model.created(*no, new, *lease);
                }
            }
            Ok(created)
        };
        self.write(create).await
    }

    async fn commit(&self, commits: Vec<Commit>) -> Result<Vec<Result<(), CommitError>>, StoreError> {
        let commit = async {
            let results = self.inner.commit(commits.clone()).await?;
            for (commit, result) in commits.iter().zip(&results) {
                if result.is_ok() {
                    self.model.committed(commit);
                    self.check_streams(commit).await?;
                }
            }
            Ok(results)
        };
        self.write(commit).await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>, StoreError> {
        let claim = async {
            let claimed = self.inner.claim(claim).await?;
            self.claimed(&claimed);
            Ok(claimed)
        };
        self.write(claim).await
    }

    async fn claim_parked(
        &self,
        node: NodeId,
        workflow: i64,
        limit: usize,
    ) -> Result<Vec<Claimed>, StoreError> {
        let claim = async {
            let claimed = self.inner.claim_parked(node, workflow, limit).await?;
            self.claimed(&claimed);
            Ok(claimed)
        };
        self.write(claim).await
    }

    async fn loads(&self) -> Result<Vec<Load>, StoreError> {
        self.inner.loads().await
    }

    async fn claim_one(&self, node: NodeId, instance: InstanceNo) -> Result<Option<Claimed>, StoreError> {
        let claim = async {
            let claimed = self.inner.claim_one(node, instance).await?;
            self.claimed(&claimed);
            Ok(claimed)
        };
        self.write(claim).await
    }

    async fn held(&self, node: NodeId) -> Result<Vec<InstanceNo>, StoreError> {
        self.delay().await;
        if self.fails() {
            Err(Self::failure("instead of"))
        } else {
            self.inner.held(node).await
        }
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.delay().await;
        self.inner.next_due().await
    }

    async fn renew(&self, node: NodeId, until: Timestamp) -> Result<(), StoreError> {
        self.inner.renew(node, until).await
    }

    async fn register(&self, until: Timestamp) -> Result<NodeId, StoreError> {
        self.inner.register(until).await
    }

    async fn send(&self, message: NewMessage) -> Result<InboxNo, SendError> {
        self.delay().await;
        if self.fails() {
            return Err(SendError::Store(Self::failure("before")));
        }
        let sent = self.inner.send(message).await;
        self.delay().await;
        sent
    }

    async fn inbox(&self, instance: InstanceNo, after: InboxNo) -> Result<Vec<InboxMessage>, StoreError> {
        self.delay().await;
        if self.fails() {
            Err(Self::failure("instead of"))
        } else {
            self.inner.inbox(instance, after).await
        }
    }

    async fn journal(&self, instance: InstanceNo) -> Result<Vec<JournalEntry>, StoreError> {
        self.inner.journal(instance).await
    }

    async fn journal_from(
        &self,
        instance: InstanceNo,
        from: Seq,
        max_bytes: usize,
    ) -> Result<Option<JournalPage>, StoreError> {
        self.inner.journal_from(instance, from, max_bytes).await
    }

    async fn payload(&self, instance: InstanceNo, seq: Seq) -> Result<Option<Bytes>, StoreError> {
        self.inner.payload(instance, seq).await
    }

    async fn write_streams(
        &self,
        writes: Vec<StreamWrite>,
    ) -> Result<Vec<Result<(), CommitError>>, StoreError> {
        self.write(self.inner.write_streams(writes)).await
    }

    async fn stream_chunk(
        &self,
        instance: InstanceNo,
        stream: StreamNo,
        index: u32,
    ) -> Result<Option<Bytes>, StoreError> {
        self.inner.stream_chunk(instance, stream, index).await
    }

    async fn instance(&self, workflow: i64, id: &str) -> Result<Option<InstanceRow>, StoreError> {
        self.inner.instance(workflow, id).await
    }

    async fn instances(&self, workflow: i64, filter: &InstanceFilter) -> Result<InstancePage, StoreError> {
        self.inner.instances(workflow, filter).await
    }

    async fn counts(&self, workflow: i64) -> Result<StatusCounts, StoreError> {
        self.inner.counts(workflow).await
    }

    async fn delete_instance(&self, instance: InstanceNo) -> Result<bool, StoreError> {
        let deleted = self.inner.delete_instance(instance).await?;
        if deleted {
            self.model.removed(instance);
        }
        Ok(deleted)
    }

    async fn expire(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let expired = self.inner.expire(now, limit).await?;
        if expired > 0 {
            for (no, workflow, id) in self.model.numbers() {
                if self.inner.instance(workflow, &id).await?.is_none() {
                    self.model.expired(no, now);
                }
            }
        }
        Ok(expired)
    }

    async fn add_script_version(&self, version: NewScriptVersion) -> Result<(), StoreError> {
        self.inner.add_script_version(version).await
    }

    async fn script(&self, account: &str, script: &str) -> Result<Option<ScriptRow>, StoreError> {
        self.inner.script(account, script).await
    }

    async fn scripts_named(&self, script: &str) -> Result<Vec<ScriptRow>, StoreError> {
        self.inner.scripts_named(script).await
    }

    async fn script_versions(
        &self,
        account: &str,
        script: &str,
    ) -> Result<Vec<ScriptVersionRow>, StoreError> {
        self.inner.script_versions(account, script).await
    }

    async fn script_modules(&self, version: &str) -> Result<Option<ScriptModules>, StoreError> {
        self.inner.script_modules(version).await
    }

    async fn put_workflow(&self, workflow: NewWorkflow) -> Result<WorkflowRow, StoreError> {
        self.inner.put_workflow(workflow).await
    }

    async fn sweep_versions(&self, keep: usize, limit: usize) -> Result<SweptVersions, StoreError> {
        self.inner.sweep_versions(keep, limit).await
    }

    async fn workflow(&self, account: &str, name: &str) -> Result<Option<WorkflowRow>, StoreError> {
        self.inner.workflow(account, name).await
    }

    async fn deployed_workflow(
        &self,
        account: &str,
        name: &str,
    ) -> Result<Option<DeployedWorkflow>, StoreError> {
        self.inner.deployed_workflow(account, name).await
    }

    async fn workflows(
        &self,
        account: &str,
        search: Option<&str>,
        page: WorkflowPage,
    ) -> Result<(Vec<WorkflowRow>, u64), StoreError> {
        self.inner.workflows(account, search, page).await
    }

    async fn workflow_versions(
        &self,
        workflow: i64,
        page: WorkflowPage,
    ) -> Result<(Vec<WorkflowVersionRow>, u64), StoreError> {
        self.inner.workflow_versions(workflow, page).await
    }

    async fn note_graph(
        &self,
        version: &str,
        script_version: &str,
        has_graph: bool,
    ) -> Result<(), StoreError> {
        self.inner.note_graph(version, script_version, has_graph).await
    }

    async fn delete_workflow(
        &self,
        account: &str,
        name: &str,
    ) -> Result<Option<Vec<InstanceNo>>, StoreError> {
        self.inner.delete_workflow(account, name).await
    }

    async fn schedules(&self) -> Result<Vec<ScheduleRow>, StoreError> {
        self.inner.schedules().await
    }

    async fn schedule_done(&self, workflow: i64, cron: &str, until: Timestamp) -> Result<(), StoreError> {
        self.inner.schedule_done(workflow, cron, until).await
    }

    async fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.inner.setting(key).await
    }

    async fn put_setting(&self, key: &str, value: &str) -> Result<(), StoreError> {
        self.inner.put_setting(key, value).await
    }
}

#[async_trait]
impl<S: Store> CronStore for Faulty<S> {
    async fn crons(&self) -> Result<Vec<CronRow>, StoreError> {
        self.inner.crons().await
    }

    async fn script_crons(&self, account: &str, script: &str) -> Result<Vec<CronRow>, StoreError> {
        self.inner.script_crons(account, script).await
    }

    async fn put_script_crons(
        &self,
        account: &str,
        script: &str,
        crons: (Vec<String>, Timestamp),
    ) -> Result<bool, StoreError> {
        self.inner.put_script_crons(account, script, crons).await
    }

    async fn cron_done(&self, script: i64, cron: &str, until: Timestamp) -> Result<(), StoreError> {
        self.inner.cron_done(script, cron, until).await
    }
}

#[async_trait]
impl<S: Store> ScriptStore for Faulty<S> {
    async fn deploy(&self, deployment: NewDeployment) -> Result<bool, StoreError> {
        self.inner.deploy(deployment).await
    }

    async fn deployments(&self, account: &str, script: &str) -> Result<Vec<DeploymentRow>, StoreError> {
        self.inner.deployments(account, script).await
    }

    async fn forget_deployment(
        &self,
        account: &str,
        script: &str,
        deployment: &str,
    ) -> Result<bool, StoreError> {
        self.inner.forget_deployment(account, script, deployment).await
    }

    async fn scripts(&self, account: &str) -> Result<Vec<ScriptRow>, StoreError> {
        self.inner.scripts(account).await
    }

    async fn script_version(&self, version: &str) -> Result<Option<ScriptVersionRow>, StoreError> {
        self.inner.script_version(version).await
    }

    async fn put_script_settings(
        &self,
        account: &str,
        script: &str,
        settings: &str,
    ) -> Result<bool, StoreError> {
        self.inner.put_script_settings(account, script, settings).await
    }

    async fn delete_script(&self, account: &str, script: &str) -> Result<bool, StoreError> {
        self.inner.delete_script(account, script).await
    }

    async fn versions_after(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        self.inner.versions_after(after, limit).await
    }

    async fn replace_metadata(&self, versions: Vec<(String, String)>) -> Result<(), StoreError> {
        self.inner.replace_metadata(versions).await
    }
}

#[async_trait]
impl<S: Store> KeyStore for Faulty<S> {
    async fn add_key(&self, key: KeyRow) -> Result<bool, StoreError> {
        self.inner.add_key(key).await
    }

    async fn keys(&self, account: &str, page: WorkflowPage) -> Result<(Vec<KeyRow>, u64), StoreError> {
        self.inner.keys(account, page).await
    }

    async fn key(&self, account: &str, id: &str) -> Result<Option<KeyRow>, StoreError> {
        self.inner.key(account, id).await
    }

    async fn limit_key(
        &self,
        account: &str,
        id: &str,
        change: (u32, Timestamp),
    ) -> Result<Option<KeyRow>, StoreError> {
        self.inner.limit_key(account, id, change).await
    }

    async fn remove_key(&self, account: &str, id: &str) -> Result<Option<KeyRow>, StoreError> {
        self.inner.remove_key(account, id).await
    }
}
