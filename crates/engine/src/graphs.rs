//! Which code a version of a workflow is about, for those who read graphs from it.

use crate::script::StoredKind;
use crate::{Engine, EngineError, ScriptMetadata};
use cairn_store::WorkflowVersionRow;

/// The code of a version of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowCode {
    /// The version of the script it is.
    pub script_version: String,
    /// Name of the module with the exports.
    pub main_module: String,
    /// Names and sources of the ECMAScript modules.
    pub modules: Vec<(String, String)>,
}

impl Engine {
    /// The code that a version of a workflow was made for: the version of the script that was deployed then. Where no script was deployed
    /// yet, it is the one that is deployed now; none when there is none, or when it was removed because nothing runs on it any more.
    ///
    /// # Errors
    /// [`EngineError::WorkflowNotFound`]
    pub async fn workflow_code(
        &self,
        account: &str,
        name: &str,
        version: &WorkflowVersionRow,
    ) -> Result<Option<WorkflowCode>, EngineError> {
        let script_version = match &version.script_version {
            Some(known) => known.clone(),
            None => {
                let script = self.workflow_row(account, name).await?.script;
                let deployed = self.script(account, &script).await?.and_then(|row| row.deployed);
                let Some((deployed, _)) = deployed else {
                    return Ok(None);
                };
                deployed
            }
        };
        let Some(stored) = self.shared.store.script_modules(&script_version).await? else {
            return Ok(None);
        };
        let metadata = ScriptMetadata::from_stored(&stored.metadata)?;
        let is_code = |name: &str| {
            let kind = metadata.modules.iter().find(|(known, _)| known == name);
            kind.is_some_and(|(_, kind)| *kind == StoredKind::EsModule)
        };
        let modules = stored.modules.into_iter().filter_map(|(name, content)| {
            let source = String::from_utf8(content.into()).ok()?;
            is_code(&name).then_some((name, source))
        });
        Ok(Some(WorkflowCode {
            script_version,
            main_module: metadata.main_module.clone(),
            modules: modules.collect(),
        }))
    }

    /// Keeps whether there is a graph of a version, so that lists can say so.
    ///
    /// # Errors
    /// [`EngineError::Store`]
    pub async fn note_graph(
        &self,
        version: &str,
        code: &WorkflowCode,
        has_graph: bool,
    ) -> Result<(), EngineError> {
        let store = &self.shared.store;
        Ok(store.note_graph(version, &code.script_version, has_graph).await?)
    }
}
