//! Scripts and workflows: upload, deploy, define, list, delete.

use crate::script::{entrypoints_of, metadata_of, spec_of};
use crate::signal::Signal;
use crate::{
    Author, EarlierSecrets, Engine, EngineError, Origin, ScriptBinding, ScriptMetadata, Upload,
    WorkflowSettings,
};
use cairn_core::{Cron, Timestamp, check_workflow_name};
use cairn_runtime::{Checked, WorkerError, WorkerId, WorkerSpec};
use cairn_store::{
    NewScriptVersion, NewWorkflow, ScriptRow, ScriptVersionRow, StatusCounts, WorkflowPage, WorkflowRow,
    WorkflowVersionRow,
};
use std::sync::Arc;

/// A script version that was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct UploadedScript {
    /// Its id.
    pub version: String,
    /// Milliseconds its process took to answer.
    pub startup_millis: u64,
    /// Exported classes that extend `WorkflowEntrypoint`.
    pub workflow_classes: Vec<String>,
    /// Whether it has a `fetch` handler or other default export.
    pub has_default_export: bool,
}

/// A workflow to define or change.
#[derive(Debug, Clone, PartialEq)]
pub struct PutWorkflow {
    /// Where the class is.
    pub script: String,
    /// The class.
    pub class_name: String,
    /// The rest.
    pub settings: WorkflowSettings,
}

/// A schedule of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleDetails {
    /// The cron expression.
    pub cron: String,
    /// When it fires next, if ever.
    pub next: Option<Timestamp>,
}

/// A workflow with what its instances do.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowDetails {
    /// Its row.
    pub row: WorkflowRow,
    /// Settings of its newest version.
    pub settings: WorkflowSettings,
    /// Its schedules, as put.
    pub schedules: Vec<ScheduleDetails>,
    /// Instances by status.
    pub counts: StatusCounts,
    /// Whether its script exists.
    pub script_exists: bool,
}

impl Engine {
    /// Checks that a script runs and keeps it as a new version. Nothing runs on it until [`Engine::deploy_version`].
    ///
    /// # Errors
    /// [`EngineError::BadScript`] with what is wrong with the code; nothing is kept then.
    pub async fn upload_script(
        &self,
        account: &str,
        script: &str,
        upload: Upload,
    ) -> Result<UploadedScript, EngineError> {
        self.upload_script_by((account, script), upload, Author::default())
            .await
    }

    /// The same, with its author.
    ///
    /// # Errors
    /// As [`Engine::upload_script`].
    pub async fn upload_script_by(
        &self,
        (account, script): (&str, &str),
        mut upload: Upload,
        author: Author,
    ) -> Result<UploadedScript, EngineError> {
        let shared = &self.shared;
        if upload.secrets == EarlierSecrets::Keep {
            self.keep_secrets(account, script, &mut upload).await?;
        }
        let id: Arc<str> = uuid::Uuid::new_v4().to_string().into();
        let worker = WorkerId(Arc::clone(&id));
        let spec = spec_of(worker.clone(), (account, script), &upload)
            .map_err(|error| EngineError::BadScript(error.to_string()))?;
        let checked = self.checked(spec, (script, &upload)).await?;
        let kept = self
            .keep_version((account, script), (&id, upload, author), &checked)
            .await;
        if kept.is_err() {
            shared.runtime.retire(&worker);
        }
        kept
    }

    /// Sees whether an upload runs. A class that is missing is told in our words, not in those of the runtime, which does not start then.
    async fn checked(
        &self,
        mut spec: WorkerSpec,
        (script, upload): (&str, &Upload),
    ) -> Result<Checked, EngineError> {
        let runtime = &self.shared.runtime;
        let error = match runtime.check(Arc::new(spec.clone())).await {
            Ok(checked) => {
                // The process was started without knowing them; the next one has sockets for them.
                let is_workflow = |name: &String| checked.workflow_classes.contains(name);
                if !entrypoints_of(&checked.exports, is_workflow).is_empty() {
                    runtime.retire(&spec.id);
                }
                return Ok(checked);
            }
            Err(error) => error,
        };
        runtime.retire(&spec.id);
        if !spec.exports.is_empty() {
            spec.exports.clear();
            spec.id = WorkerId(uuid::Uuid::new_v4().to_string().into());
            let checked = runtime.check(Arc::new(spec.clone())).await;
            runtime.retire(&spec.id);
            if let Ok(checked) = checked {
                refuse_missing_classes(script, upload, &checked)?;
            }
        }
        Err(deploy_error(error))
    }

    async fn keep_version(
        &self,
        (account, script): (&str, &str),
        (id, mut upload, author): (&str, Upload, Author),
        checked: &Checked,
    ) -> Result<UploadedScript, EngineError> {
        refuse_missing_classes(script, &upload, checked)?;
        let workflow_classes: Vec<String> = checked.workflow_classes.iter().cloned().collect();
        upload.bindings = self.shared.secrets.seal(id, upload.bindings).await?;
        let metadata = ScriptMetadata {
            author,
            ..metadata_of(&upload, checked)
        };
        let metadata = metadata.to_stored()?;
        let version = NewScriptVersion {
            id: id.into(),
            account: account.into(),
            script: script.into(),
            created_at: self.shared.clock.now(),
            metadata,
            modules: upload
                .modules
                .iter()
                .map(|module| (module.name.clone(), module.content.clone()))
                .collect(),
        };
        self.shared.store.add_script_version(version).await?;
        Ok(UploadedScript {
            version: id.into(),
            startup_millis: checked.startup_millis,
            workflow_classes,
            has_default_export: checked.exports.contains("default"),
        })
    }

    pub(crate) async fn keep_secrets(
        &self,
        account: &str,
        script: &str,
        upload: &mut Upload,
    ) -> Result<(), EngineError> {
        for binding in self.latest_bindings(account, script).await? {
            let is_secret = matches!(binding, ScriptBinding::SecretText { .. });
            if is_secret && upload.bindings.iter().all(|new| new.name() != binding.name()) {
                upload.bindings.push(binding);
            }
        }
        Ok(())
    }

    /// Makes a version the one that new instances and requests use, and those that follow the latest.
    ///
    /// # Errors
    /// [`EngineError::VersionNotFound`]
    pub async fn deploy_version(
        &self,
        account: &str,
        script: &str,
        version: &str,
    ) -> Result<(), EngineError> {
        let known = self.script(account, script).await?.and_then(|row| row.deployed);
        if known.is_some_and(|(deployed, _)| deployed == version) {
            return Ok(());
        }
        let origin = Origin::default();
        self.deploy(account, script, (version, &origin)).await.map(|_| ())
    }

    /// A script.
    ///
    /// # Errors
    /// [`EngineError::Store`]
    pub async fn script(&self, account: &str, script: &str) -> Result<Option<ScriptRow>, EngineError> {
        Ok(self.shared.store.script(account, script).await?)
    }

    /// The scripts of this name in any account, for requests by host name.
    ///
    /// # Errors
    /// [`EngineError::Store`]
    pub async fn scripts_named(&self, script: &str) -> Result<Vec<ScriptRow>, EngineError> {
        Ok(self.shared.store.scripts_named(script).await?)
    }

    /// Versions of a script, newest first.
    ///
    /// # Errors
    /// [`EngineError::Store`]
    pub async fn script_versions(
        &self,
        account: &str,
        script: &str,
    ) -> Result<Vec<ScriptVersionRow>, EngineError> {
        Ok(self.shared.store.script_versions(account, script).await?)
    }

    /// Bindings and compatibility of a script version.
    ///
    /// # Errors
    /// [`EngineError::VersionNotFound`]
    pub async fn script_metadata(&self, version: &str) -> Result<ScriptMetadata, EngineError> {
        let row = self.shared.store.script_version(version).await?;
        let row = row.ok_or_else(|| EngineError::VersionNotFound(version.into()))?;
        ScriptMetadata::from_stored(&row.metadata)
    }

    /// Defines a workflow or changes it; each call makes a new version, unless nothing has changed since the last, the script included. Its schedules fire from now on; those it had before go on.
    ///
    /// # Errors
    /// [`EngineError::InvalidName`], and [`EngineError::InvalidInput`] when the account has too many schedules.
    pub async fn put_workflow(
        &self,
        account: &str,
        name: &str,
        put: PutWorkflow,
    ) -> Result<WorkflowRow, EngineError> {
        check_workflow_name(name).map_err(|reason| EngineError::InvalidName {
            what: "workflow name",
            name: name.into(),
            reason,
        })?;
        let _one_at_a_time = self.shared.schedule_puts.lock().await;
        let schedules = put.settings.schedules.clone();
        let concurrency = put.settings.concurrency;
        if !schedules.is_empty() {
            self.check_schedules(account, (name, &schedules)).await?;
        }
        let settings = serde_json::to_string(&put.settings)
            .map_err(|error| EngineError::InvalidInput(error.to_string()))?;
        let asked = (put.script.as_str(), put.class_name.as_str(), settings.as_str());
        if let Some(row) = self.unchanged_workflow(account, name, asked).await? {
            return Ok(row);
        }
        let follow_latest = put.settings.follow_latest;
        let workflow = NewWorkflow {
            account: account.into(),
            name: name.into(),
            id: uuid::Uuid::new_v4().to_string(),
            version: uuid::Uuid::new_v4().to_string(),
            script: put.script,
            class_name: put.class_name,
            at: self.shared.clock.now(),
            settings,
            schedules,
        };
        let row = self.shared.store.put_workflow(workflow).await?;
        self.shared.schedules_changed.notify_one();
        self.shared.slots.set_limit(row.no, account, concurrency);
        self.shared.following.set(row.no, follow_latest);
        self.move_on(account, &row.script).await?;
        self.shared.signal(Signal::Slots);
        Ok(row)
    }

    /// The row of a workflow.
    ///
    /// # Errors
    /// [`EngineError::WorkflowNotFound`]
    pub async fn workflow_row(&self, account: &str, name: &str) -> Result<WorkflowRow, EngineError> {
        let row = self.shared.store.workflow(account, name).await?;
        row.ok_or_else(|| EngineError::WorkflowNotFound(name.into()))
    }

    /// A workflow with counts of its instances.
    ///
    /// # Errors
    /// [`EngineError::WorkflowNotFound`]
    pub async fn workflow(&self, account: &str, name: &str) -> Result<WorkflowDetails, EngineError> {
        let row = self.workflow_row(account, name).await?;
        self.workflow_details(row).await
    }

    async fn workflow_details(&self, row: WorkflowRow) -> Result<WorkflowDetails, EngineError> {
        let counts = self.shared.store.counts(row.no).await?;
        let script_exists = self.script(&row.account, &row.script).await?.is_some();
        let settings = read_settings(&row.settings)?;
        let now = self.shared.clock.now();
        let schedules = settings.schedules.iter().map(|cron| ScheduleDetails {
            cron: cron.clone(),
            next: Cron::parse(cron).ok().and_then(|cron| cron.next_after(now)),
        });
        Ok(WorkflowDetails {
            row,
            schedules: schedules.collect(),
            settings,
            counts,
            script_exists,
        })
    }

    /// Workflows of an account, newest first, and how many match.
    ///
    /// # Errors
    /// [`EngineError::Store`]
    pub async fn workflows(
        &self,
        account: &str,
        search: Option<&str>,
        page: WorkflowPage,
    ) -> Result<(Vec<WorkflowDetails>, u64), EngineError> {
        let (rows, total) = self.shared.store.workflows(account, search, page).await?;
        let mut details = Vec::with_capacity(rows.len());
        for row in rows {
            details.push(self.workflow_details(row).await?);
        }
        Ok((details, total))
    }

    /// Versions of a workflow with their settings, newest first, and how many there are.
    ///
    /// # Errors
    /// [`EngineError::WorkflowNotFound`]
    pub async fn workflow_versions(
        &self,
        account: &str,
        name: &str,
        page: WorkflowPage,
    ) -> Result<(Vec<(WorkflowVersionRow, WorkflowSettings)>, u64), EngineError> {
        let workflow = self.workflow_row(account, name).await?;
        let (rows, total) = self.shared.store.workflow_versions(workflow.no, page).await?;
        let with_settings = rows
            .into_iter()
            .map(|row| read_settings(&row.settings).map(|settings| (row, settings)));
        Ok((with_settings.collect::<Result<_, _>>()?, total))
    }

    /// Removes a workflow with all its instances; its script stays.
    ///
    /// # Errors
    /// [`EngineError::WorkflowNotFound`]
    pub async fn delete_workflow(&self, account: &str, name: &str) -> Result<(), EngineError> {
        let workflow = self.workflow_row(account, name).await?.no;
        let held = self.shared.store.delete_workflow(account, name).await?;
        self.shared.slots.forget(workflow);
        for instance in held.ok_or_else(|| EngineError::WorkflowNotFound(name.into()))? {
            self.shared.signal(Signal::Deleted(instance));
        }
        self.shared.followers.call_all();
        self.shared.schedules_changed.notify_one();
        Ok(())
    }
}

pub(crate) fn read_settings(text: &str) -> Result<WorkflowSettings, EngineError> {
    serde_json::from_str(text).map_err(|error| {
        EngineError::Store(cairn_store::StoreError::Corrupt(format!(
            "settings of a workflow version: {error}"
        )))
    })
}

/// A workflow binding to a class of the script itself promises that the class is there.
fn refuse_missing_classes(script: &str, upload: &Upload, checked: &Checked) -> Result<(), EngineError> {
    for binding in &upload.bindings {
        let ScriptBinding::Workflow {
            name,
            class_name: Some(class_name),
            script_name,
            ..
        } = binding
        else {
            continue;
        };
        let own = script_name.as_ref().is_none_or(|other| other == script);
        if own && !checked.workflow_classes.contains(class_name) {
            let known = if checked.workflow_classes.is_empty() {
                "it exports no class that extends WorkflowEntrypoint".into()
            } else {
                let names: Vec<&str> = checked.workflow_classes.iter().map(String::as_str).collect();
                format!("its workflow classes are: {}", names.join(", "))
            };
            return Err(EngineError::BadScript(format!(
                "binding \"{name}\" names the workflow class \"{class_name}\", which script \"{script}\" does not export; {known}. \
                 Export it as `export class {class_name} extends WorkflowEntrypoint`."
            )));
        }
    }
    let missing = |(class, _): &&(String, String)| !checked.workflow_classes.contains(class);
    if let Some((class, workflow)) = upload.workflow_exports.iter().find(missing) {
        return Err(EngineError::BadScript(format!(
            "exports.{class} declares the workflow \"{workflow}\", but script \"{script}\" exports no class {class} that extends WorkflowEntrypoint"
        )));
    }
    Ok(())
}

fn deploy_error(error: WorkerError) -> EngineError {
    match error {
        WorkerError::Code(message) => EngineError::BadScript(message),
        error @ (WorkerError::Process(_) | WorkerError::Unknown(_) | WorkerError::NoEntrypoint(_)) => {
            EngineError::Runtime(error.to_string())
        }
    }
}
