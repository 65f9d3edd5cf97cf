//! A store that is slow and fails: before a write (nothing happened), or after it (it happened, but nobody was told).

use crate::link::{Link, Reads};
use crate::model::{Ledger, Model};
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
use std::sync::Arc;

/// The faulty store, as a node sees it.
pub(crate) struct Faulty<S> {
    inner: S,
    link: Arc<Link>,
    /// Told of what is durable the moment it is.
    model: Model,
    /// Which life of a node this is.
    life: u64,
}

impl<S: Store> Faulty<S> {
    pub(crate) fn new(inner: S, link: Arc<Link>, (model, life): (Model, u64)) -> Self {
        Self {
            inner,
            link,
            model,
            life,
        }
    }

    fn claimed<'a>(&self, claimed: impl IntoIterator<Item = &'a Claimed>) {
        for claimed in claimed {
            self.model.claimed(claimed.row.no, claimed.lease);
        }
    }

    /// What was claimed is read after the claim, of one moment, as it is then.
    async fn load(&self, claimed: Vec<Claimed>) -> Result<Vec<Claimed>, StoreError> {
        if self.link.reads() == Reads::Prompt {
            return Ok(claimed);
        }
        self.link.back().await?;
        let mut loaded = Vec::new();
        for mut claimed in claimed {
            let no = claimed.row.no;
            // One that is gone is left out.
            if let Some(row) = self.inner.instance(claimed.row.workflow, &claimed.row.id).await?
                && row.no == no
            {
                claimed.row = row;
                claimed.journal = self.inner.journal(no).await?;
                claimed.inbox = self.inner.inbox(no, InboxNo::default()).await?;
                loaded.push(claimed);
            }
        }
        Ok(loaded)
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

    /// A write that may fail before or after it happened.
    async fn write<T, F: Future<Output = Result<T, StoreError>>>(&self, write: F) -> Result<T, StoreError> {
        let _turn = self.link.turn().await;
        self.link.there().await?;
        let written = write.await;
        self.link.back().await?;
        written
    }

    /// A write that neither waits nor fails where reads do not.
    async fn lesser_write<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        write: F,
    ) -> Result<T, StoreError> {
        match self.link.reads() {
            Reads::Prompt => {
                self.link.pass("before").await?;
                write.await
            }
            Reads::Late => self.write(write).await,
        }
    }

    /// An answer that may come late.
    async fn late(&self) -> Result<(), StoreError> {
        match self.link.reads() {
            Reads::Prompt => Ok(()),
            Reads::Late => self.link.back().await,
        }
    }

    /// A read that may fail, or be answered late.
    async fn read<T, F: Future<Output = Result<T, StoreError>>>(&self, read: F) -> Result<T, StoreError> {
        match self.link.reads() {
            Reads::Prompt => {
                self.link.pass("before").await?;
                read.await
            }
            Reads::Late => {
                self.link.there().await?;
                let read = read.await;
                self.link.back().await?;
                read
            }
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
            self.model.frees(claim.node, claim.now);
            let claimed = self.inner.claim(claim).await?;
            self.claimed(&claimed);
            self.load(claimed).await
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
            self.load(claimed).await
        };
        self.write(claim).await
    }

    async fn loads(&self) -> Result<Vec<Load>, StoreError> {
        self.read(self.inner.loads()).await
    }

    async fn claim_one(&self, node: NodeId, instance: InstanceNo) -> Result<Option<Claimed>, StoreError> {
        let claim = async {
            let claimed = self.inner.claim_one(node, instance).await?;
            self.claimed(&claimed);
            Ok(self.load(claimed.into_iter().collect()).await?.pop())
        };
        self.write(claim).await
    }

    async fn claim_free(&self, node: NodeId, instance: InstanceNo) -> Result<Option<Claimed>, StoreError> {
        let claim = async {
            let claimed = self.inner.claim_free(node, instance).await?;
            self.claimed(&claimed);
            Ok(self.load(claimed.into_iter().collect()).await?.pop())
        };
        self.write(claim).await
    }

    async fn held(&self, node: NodeId) -> Result<Vec<InstanceNo>, StoreError> {
        self.link.there().await?;
        let held = self.inner.held(node).await;
        self.late().await?;
        held
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        if self.link.reads() == Reads::Prompt {
            self.link.dawdle().await;
        }
        self.read(self.inner.next_due()).await
    }

    async fn renew(&self, node: NodeId, until: Timestamp) -> Result<(), StoreError> {
        let renew = async {
            self.inner.renew(node, until).await?;
            self.model.renewed(node, until);
            Ok(())
        };
        self.lesser_write(renew).await
    }

    async fn register(&self, until: Timestamp) -> Result<NodeId, StoreError> {
        let register = async {
            let node = self.inner.register(until).await?;
            self.model.registered(self.life, node);
            self.model.renewed(node, until);
            Ok(node)
        };
        self.lesser_write(register).await
    }

    async fn send(&self, message: NewMessage) -> Result<InboxNo, SendError> {
        let _turn = self.link.turn().await;
        self.link.there().await?;
        let (instance, payload) = (message.instance, message.payload.clone());
        let sent = self.inner.send(message).await;
        if let (Ok(no), Some(payload)) = (&sent, payload) {
            self.model.posted(instance, *no, &payload);
        }
        match self.link.reads() {
            Reads::Prompt => self.link.dawdle().await,
            Reads::Late => self.link.back().await?,
        }
        sent
    }

    async fn inbox(&self, instance: InstanceNo, after: InboxNo) -> Result<Vec<InboxMessage>, StoreError> {
        self.link.there().await?;
        let messages = self.inner.inbox(instance, after).await;
        self.late().await?;
        messages
    }

    async fn journal(&self, instance: InstanceNo) -> Result<Vec<JournalEntry>, StoreError> {
        self.read(self.inner.journal(instance)).await
    }

    async fn journal_from(
        &self,
        instance: InstanceNo,
        from: Seq,
        max_bytes: usize,
    ) -> Result<Option<JournalPage>, StoreError> {
        self.read(self.inner.journal_from(instance, from, max_bytes))
            .await
    }

    async fn payload(&self, instance: InstanceNo, seq: Seq) -> Result<Option<Bytes>, StoreError> {
        self.read(self.inner.payload(instance, seq)).await
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
        self.read(self.inner.stream_chunk(instance, stream, index)).await
    }

    async fn instance(&self, workflow: i64, id: &str) -> Result<Option<InstanceRow>, StoreError> {
        self.read(self.inner.instance(workflow, id)).await
    }

    async fn instances(&self, workflow: i64, filter: &InstanceFilter) -> Result<InstancePage, StoreError> {
        self.read(self.inner.instances(workflow, filter)).await
    }

    async fn counts(&self, workflow: i64) -> Result<StatusCounts, StoreError> {
        self.read(self.inner.counts(workflow)).await
    }

    async fn queued(&self, account: &str) -> Result<u64, StoreError> {
        self.read(self.inner.queued(account)).await
    }

    async fn delete_instance(&self, instance: InstanceNo) -> Result<bool, StoreError> {
        let delete = async {
            let deleted = self.inner.delete_instance(instance).await?;
            if deleted {
                self.model.removed(instance);
            }
            Ok(deleted)
        };
        self.lesser_write(delete).await
    }

    async fn expire(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let expire = async {
            let expired = self.inner.expire(now, limit).await?;
            if expired > 0 {
                for (no, workflow, id) in self.model.numbers() {
                    if self.inner.instance(workflow, &id).await?.is_none() {
                        self.model.expired(no, now);
                    }
                }
            }
            Ok(expired)
        };
        self.lesser_write(expire).await
    }

    async fn add_script_version(&self, version: NewScriptVersion) -> Result<(), StoreError> {
        self.lesser_write(self.inner.add_script_version(version)).await
    }

    async fn script(&self, account: &str, script: &str) -> Result<Option<ScriptRow>, StoreError> {
        self.read(self.inner.script(account, script)).await
    }

    async fn scripts_named(&self, script: &str) -> Result<Vec<ScriptRow>, StoreError> {
        self.read(self.inner.scripts_named(script)).await
    }

    async fn script_versions(
        &self,
        account: &str,
        script: &str,
    ) -> Result<Vec<ScriptVersionRow>, StoreError> {
        self.read(self.inner.script_versions(account, script)).await
    }

    async fn script_modules(&self, version: &str) -> Result<Option<ScriptModules>, StoreError> {
        self.read(self.inner.script_modules(version)).await
    }

    async fn put_workflow(&self, workflow: NewWorkflow) -> Result<WorkflowRow, StoreError> {
        self.lesser_write(self.inner.put_workflow(workflow)).await
    }

    async fn sweep_versions(&self, keep: usize, limit: usize) -> Result<SweptVersions, StoreError> {
        self.lesser_write(self.inner.sweep_versions(keep, limit)).await
    }

    async fn workflow(&self, account: &str, name: &str) -> Result<Option<WorkflowRow>, StoreError> {
        self.read(self.inner.workflow(account, name)).await
    }

    async fn deployed_workflow(
        &self,
        account: &str,
        name: &str,
    ) -> Result<Option<DeployedWorkflow>, StoreError> {
        self.read(self.inner.deployed_workflow(account, name)).await
    }

    async fn workflows(
        &self,
        account: &str,
        search: Option<&str>,
        page: WorkflowPage,
    ) -> Result<(Vec<WorkflowRow>, u64), StoreError> {
        self.read(self.inner.workflows(account, search, page)).await
    }

    async fn workflow_versions(
        &self,
        workflow: i64,
        page: WorkflowPage,
    ) -> Result<(Vec<WorkflowVersionRow>, u64), StoreError> {
        self.read(self.inner.workflow_versions(workflow, page)).await
    }

    async fn note_graph(
        &self,
        version: &str,
        script_version: &str,
        has_graph: bool,
    ) -> Result<(), StoreError> {
        self.lesser_write(self.inner.note_graph(version, script_version, has_graph))
            .await
    }

    async fn delete_workflow(
        &self,
        account: &str,
        name: &str,
    ) -> Result<Option<Vec<InstanceNo>>, StoreError> {
        self.lesser_write(self.inner.delete_workflow(account, name)).await
    }

    async fn schedules(&self) -> Result<Vec<ScheduleRow>, StoreError> {
        self.read(self.inner.schedules()).await
    }

    async fn schedule_done(&self, workflow: i64, cron: &str, until: Timestamp) -> Result<(), StoreError> {
        self.lesser_write(self.inner.schedule_done(workflow, cron, until))
            .await
    }

    async fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.read(self.inner.setting(key)).await
    }

    async fn put_setting(&self, key: &str, value: &str) -> Result<(), StoreError> {
        self.lesser_write(self.inner.put_setting(key, value)).await
    }
}

#[async_trait]
impl<S: Store> CronStore for Faulty<S> {
    async fn crons(&self) -> Result<Vec<CronRow>, StoreError> {
        self.read(self.inner.crons()).await
    }

    async fn script_crons(&self, account: &str, script: &str) -> Result<Vec<CronRow>, StoreError> {
        self.read(self.inner.script_crons(account, script)).await
    }

    async fn put_script_crons(
        &self,
        account: &str,
        script: &str,
        crons: (Vec<String>, Timestamp),
    ) -> Result<bool, StoreError> {
        self.lesser_write(self.inner.put_script_crons(account, script, crons))
            .await
    }

    async fn cron_done(&self, script: i64, cron: &str, until: Timestamp) -> Result<(), StoreError> {
        self.lesser_write(self.inner.cron_done(script, cron, until)).await
    }
}

#[async_trait]
impl<S: Store> ScriptStore for Faulty<S> {
    async fn deploy(&self, deployment: NewDeployment) -> Result<bool, StoreError> {
        self.lesser_write(self.inner.deploy(deployment)).await
    }

    async fn deployments(&self, account: &str, script: &str) -> Result<Vec<DeploymentRow>, StoreError> {
        self.read(self.inner.deployments(account, script)).await
    }

    async fn forget_deployment(
        &self,
        account: &str,
        script: &str,
        deployment: &str,
    ) -> Result<bool, StoreError> {
        self.lesser_write(self.inner.forget_deployment(account, script, deployment))
            .await
    }

    async fn scripts(&self, account: &str) -> Result<Vec<ScriptRow>, StoreError> {
        self.read(self.inner.scripts(account)).await
    }

    async fn script_version(&self, version: &str) -> Result<Option<ScriptVersionRow>, StoreError> {
        self.read(self.inner.script_version(version)).await
    }

    async fn put_script_settings(
        &self,
        account: &str,
        script: &str,
        settings: &str,
    ) -> Result<bool, StoreError> {
        self.lesser_write(self.inner.put_script_settings(account, script, settings))
            .await
    }

    async fn delete_script(&self, account: &str, script: &str) -> Result<bool, StoreError> {
        self.lesser_write(self.inner.delete_script(account, script)).await
    }

    async fn versions_after(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        self.read(self.inner.versions_after(after, limit)).await
    }

    async fn replace_metadata(&self, versions: Vec<(String, String)>) -> Result<(), StoreError> {
        self.lesser_write(self.inner.replace_metadata(versions)).await
    }
}

#[async_trait]
impl<S: Store> KeyStore for Faulty<S> {
    async fn add_key(&self, key: KeyRow) -> Result<bool, StoreError> {
        self.lesser_write(self.inner.add_key(key)).await
    }

    async fn keys(&self, account: &str, page: WorkflowPage) -> Result<(Vec<KeyRow>, u64), StoreError> {
        self.read(self.inner.keys(account, page)).await
    }

    async fn key(&self, account: &str, id: &str) -> Result<Option<KeyRow>, StoreError> {
        self.read(self.inner.key(account, id)).await
    }

    async fn limit_key(
        &self,
        account: &str,
        id: &str,
        change: (u32, Timestamp),
    ) -> Result<Option<KeyRow>, StoreError> {
        self.lesser_write(self.inner.limit_key(account, id, change)).await
    }

    async fn remove_key(&self, account: &str, id: &str) -> Result<Option<KeyRow>, StoreError> {
        self.lesser_write(self.inner.remove_key(account, id)).await
    }
}
