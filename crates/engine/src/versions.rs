//! Versions: which instances follow the latest one, what an unchanged upload is, and what nothing needs any more.

use crate::script::metadata_of;
use crate::signal::Signal;
use crate::{EarlierSecrets, Engine, EngineError, ScriptMetadata, Shared, Upload, UploadedScript};
use bytes::Bytes;
use cairn_runtime::{Checked, WorkerId};
use cairn_store::{Claimed, Repin, WorkflowPage, WorkflowRow};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Versions removed by one write: their code may be large.
const SWEEP_BATCH: usize = 10;
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Which workflows' instances follow the latest version.
pub(crate) struct Following {
    by_default: bool,
    /// Workflows that say so themselves.
    workflows: Mutex<HashMap<i64, bool>>,
}

/// What instances of a workflow run on from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Latest {
    pub(crate) workflow: i64,
    pub(crate) script_version: String,
    pub(crate) class_name: String,
}

impl Following {
    pub(crate) fn new(by_default: bool, workflows: HashMap<i64, bool>) -> Self {
        Self {
            by_default,
            workflows: Mutex::new(workflows),
        }
    }

    pub(crate) fn set(&self, workflow: i64, follows: Option<bool>) {
        let mut workflows = self.workflows.lock();
        match follows {
            Some(follows) => workflows.insert(workflow, follows),
            None => workflows.remove(&workflow),
        };
    }

    fn has(&self, workflow: i64) -> bool {
        self.workflows
            .lock()
            .get(&workflow)
            .copied()
            .unwrap_or(self.by_default)
    }

    fn has_any(&self) -> bool {
        self.by_default || self.workflows.lock().values().any(|follows| *follows)
    }
}

impl Shared {
    /// Moves an instance that was claimed to the latest version, if it follows that and nothing of it executes.
    pub(crate) async fn follow_latest(&self, claimed: &mut Claimed) -> Result<Option<Repin>, EngineError> {
        let row = &mut claimed.row;
        if row.status.holds_slot() || row.status.is_final() || !self.following.has(row.workflow) {
            return Ok(None);
        }
        let deployed = self
            .store
            .deployed_workflow(&claimed.account, &claimed.workflow_name);
        let Some(deployed) = deployed.await? else {
            return Ok(None);
        };
        let latest = Repin {
            version: deployed.workflow.version,
            script_version: deployed.script_version,
            class_name: deployed.workflow.class_name,
        };
        if (&row.version, &row.script_version, &row.class_name)
            == (&latest.version, &latest.script_version, &latest.class_name)
        {
            return Ok(None);
        }
        row.version.clone_from(&latest.version);
        row.script_version.clone_from(&latest.script_version);
        row.class_name.clone_from(&latest.class_name);
        Ok(Some(latest))
    }
}

impl Engine {
    /// Tells instances in memory that wait what there is to follow, after a deployment.
    pub(crate) async fn move_on(&self, account: &str, script: &str) -> Result<(), EngineError> {
        let shared = &self.shared;
        if !shared.following.has_any() {
            return Ok(());
        }
        let all = WorkflowPage {
            offset: 0,
            limit: usize::MAX,
        };
        let (rows, _) = shared.store.workflows(account, None, all).await?;
        let Some((script_version, _)) = shared
            .store
            .script(account, script)
            .await?
            .and_then(|row| row.deployed)
        else {
            return Ok(());
        };
        let follows = |row: &WorkflowRow| row.script == script && shared.following.has(row.no);
        let latest = rows.into_iter().filter(follows).map(|row| Latest {
            workflow: row.no,
            script_version: script_version.clone(),
            class_name: row.class_name,
        });
        shared.signal(Signal::Deployed(latest.collect()));
        Ok(())
    }

    /// The version that is deployed, when it is the same as this upload: nothing needs to be kept, checked or deployed then.
    ///
    /// # Errors
    /// [`EngineError::Store`]
    pub async fn unchanged(
        &self,
        account: &str,
        script: &str,
        upload: &Upload,
    ) -> Result<Option<UploadedScript>, EngineError> {
        let Some((version, _)) = self.script(account, script).await?.and_then(|row| row.deployed) else {
            return Ok(None);
        };
        let Some(stored) = self.shared.store.script_modules(&version).await? else {
            return Ok(None);
        };
        let mut metadata = ScriptMetadata::from_stored(&stored.metadata)?;
        metadata.bindings = self.shared.secrets.unseal(&version, metadata.bindings).await?;
        let mut upload = upload.clone();
        if upload.secrets == EarlierSecrets::Keep {
            self.keep_secrets(account, script, &mut upload).await?;
        }
        let checked = Checked {
            workflow_classes: metadata.workflow_classes.iter().cloned().collect(),
            exports: metadata.exports.iter().cloned().collect(),
            startup_millis: metadata.startup_millis,
        };
        let kept: BTreeMap<&str, &Bytes> = stored
            .modules
            .iter()
            .map(|(name, content)| (name.as_str(), content))
            .collect();
        let new: BTreeMap<&str, &Bytes> = upload
            .modules
            .iter()
            .map(|module| (module.name.as_str(), &module.content))
            .collect();
        let asked = ScriptMetadata {
            author: metadata.author.clone(),
            ..metadata_of(&upload, &checked)
        };
        if kept != new || asked != metadata {
            return Ok(None);
        }
        Ok(Some(UploadedScript {
            version,
            startup_millis: metadata.startup_millis,
            has_default_export: metadata.exports.iter().any(|export| export == "default"),
            workflow_classes: metadata.workflow_classes,
        }))
    }

    /// The row of a workflow, when putting it anew would change nothing and its script was not deployed since.
    pub(crate) async fn unchanged_workflow(
        &self,
        account: &str,
        name: &str,
        (script, class_name, settings): (&str, &str, &str),
    ) -> Result<Option<WorkflowRow>, EngineError> {
        let Some(row) = self.shared.store.workflow(account, name).await? else {
            return Ok(None);
        };
        if (
            row.script.as_str(),
            row.class_name.as_str(),
            row.settings.as_str(),
        ) != (script, class_name, settings)
        {
            return Ok(None);
        }
        let deployed = self.script(account, script).await?.and_then(|row| row.deployed);
        let is_older = deployed.is_none_or(|(_, deployed_at)| row.modified_at < deployed_at);
        Ok((!is_older).then_some(row))
    }
}

/// Removes versions that nothing needs, for ever.
pub(crate) async fn sweep(shared: Arc<Shared>) {
    let mut interval = tokio::time::interval(SWEEP_EVERY);
    loop {
        interval.tick().await;
        loop {
            let swept = shared
                .store
                .sweep_versions(shared.settings.versions_kept, SWEEP_BATCH);
            match swept.await {
                Ok(swept) => {
                    for version in &swept.scripts {
                        shared.runtime.retire(&WorkerId(version.as_str().into()));
                    }
                    if swept.scripts.len() < SWEEP_BATCH && swept.workflows.len() < SWEEP_BATCH {
                        break;
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "versions that nothing needs could not be removed; trying again");
                    break;
                }
            }
        }
    }
}
