//! The limits of one instance: the engine's, as its workflow and script versions change them.

use crate::catalog::read_settings;
use crate::{EngineError, ScriptMetadata, Shared, WorkflowSettings};
use cairn_core::{Limits, NonRetryableMessage};
use cairn_store::{DeployedWorkflow, InstanceRow, WorkflowPage};

/// From this date errors keep their own message (behaviour §3.1.9).
const PRESERVE_FROM: &str = "2026-05-14";
const PRESERVE_FLAG: &str = "workflows_preserve_non_retryable_error_message";
const WRAP_FLAG: &str = "workflows_replace_non_retryable_error_message";
const REMEMBERED: usize = 4_096;

impl Shared {
    /// The limits of new instances.
    pub(crate) async fn limits_of(&self, deployed: &DeployedWorkflow) -> Result<Limits, EngineError> {
        let key = (deployed.workflow.version.clone(), deployed.script_version.clone());
        if let Some(limits) = self.known_limits.lock().get(&key) {
            return Ok(limits.clone());
        }
        let settings = read_settings(&deployed.workflow.settings)?;
        self.learn_limits(key, &settings).await
    }

    /// The limits of an instance that was created earlier.
    pub(crate) async fn limits_of_row(&self, row: &InstanceRow) -> Result<Limits, EngineError> {
        let key = (row.version.clone(), row.script_version.clone());
        if let Some(limits) = self.known_limits.lock().get(&key) {
            return Ok(limits.clone());
        }
        let page = WorkflowPage {
            offset: 0,
            limit: usize::MAX,
        };
        let (versions, _) = self.store.workflow_versions(row.workflow, page).await?;
        let version = versions.iter().find(|version| version.id == row.version);
        let settings = version
            .map(|version| read_settings(&version.settings))
            .transpose()?
            .unwrap_or_default();
        self.learn_limits(key, &settings).await
    }

    async fn learn_limits(
        &self,
        key: (String, String),
        settings: &WorkflowSettings,
    ) -> Result<Limits, EngineError> {
        let mut limits = self.settings.limits.clone();
        if let Some(steps) = settings.steps {
            limits.steps = steps;
        }
        if let Some(modules) = self.store.script_modules(&key.1).await? {
            limits.non_retryable_message =
                non_retryable_message(&ScriptMetadata::from_stored(&modules.metadata)?);
        }
        let mut known = self.known_limits.lock();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, limits.clone());
        Ok(limits)
    }
}

fn non_retryable_message(script: &ScriptMetadata) -> NonRetryableMessage {
    let has = |flag: &str| script.compatibility_flags.iter().any(|known| known == flag);
    if has(PRESERVE_FLAG) || (script.compatibility_date.as_str() >= PRESERVE_FROM && !has(WRAP_FLAG)) {
        NonRetryableMessage::Preserved
    } else {
        NonRetryableMessage::Wrapped
    }
}
