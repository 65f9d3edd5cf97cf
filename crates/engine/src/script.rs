//! Scripts: what is kept of an upload, and how a version becomes something the runtime can start.

use crate::{EngineError, SecretText, Secrets};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use cairn_runtime::{
    Binding, Checked, Module, ModuleKind, WorkerError, WorkerId, WorkerSource, WorkerSpec, WorkflowExport,
};
use cairn_store::{ScriptModules, Store};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A script as it was uploaded, checked for form by the caller.
#[derive(Debug, Clone, PartialEq)]
pub struct Upload {
    /// Name of the module with the exports.
    pub main_module: String,
    /// All modules.
    pub modules: Vec<Module>,
    /// What `env` is to hold.
    pub bindings: Vec<ScriptBinding>,
    /// Classes that are declared as workflows, with the names of those.
    pub workflow_exports: Vec<(String, String)>,
    /// Whether secrets of the deployed version stay, as wrangler asks with `keep_bindings`.
    pub secrets: EarlierSecrets,
    /// Compatibility date, `YYYY-MM-DD`.
    pub compatibility_date: String,
    /// Compatibility flags.
    pub compatibility_flags: Vec<String>,
    /// Annotations such as `workers/message`, as JSON text of an object.
    pub annotations: Option<String>,
}

/// What becomes of the secrets of the version that is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlierSecrets {
    /// They are bound in the new version too, unless it names them anew.
    Keep,
    /// They are not.
    Drop,
}

/// One entry of `env`, as deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ScriptBinding {
    /// A string.
    PlainText {
        /// Its name in `env`.
        name: String,
        /// The string.
        text: String,
    },
    /// A string that is never shown.
    SecretText {
        /// Its name in `env`.
        name: String,
        /// The string.
        text: SecretText,
    },
    /// A parsed JSON value.
    Json {
        /// Its name in `env`.
        name: String,
        /// JSON text.
        json: String,
    },
    /// An `ArrayBuffer`.
    DataBlob {
        /// Its name in `env`.
        name: String,
        /// The bytes, base64.
        data: String,
    },
    /// A `WebAssembly.Module`.
    WasmModule {
        /// Its name in `env`.
        name: String,
        /// The bytes, base64.
        data: String,
    },
    /// A `Workflow`.
    Workflow {
        /// Its name in `env`.
        name: String,
        /// The workflow.
        workflow_name: String,
        /// Its class.
        class_name: Option<String>,
        /// The script that has the class; this one when absent.
        script_name: Option<String>,
    },
    /// Another Worker, or this one.
    Service {
        /// Its name in `env`.
        name: String,
        /// The script.
        service: String,
        /// The export; the default one when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        entrypoint: Option<String>,
        /// What the entrypoint finds in `ctx.props`, as JSON text of an object.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        props: Option<String>,
    },
}

impl ScriptBinding {
    /// Its name in `env`.
    pub fn name(&self) -> &str {
        match self {
            Self::PlainText { name, .. }
            | Self::SecretText { name, .. }
            | Self::Json { name, .. }
            | Self::DataBlob { name, .. }
            | Self::WasmModule { name, .. }
            | Self::Workflow { name, .. }
            | Self::Service { name, .. } => name,
        }
    }
}

/// What the store keeps of a script version beside the contents of its modules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptMetadata {
    /// Name of the module with the exports.
    pub main_module: String,
    /// Names and kinds of the modules.
    pub modules: Vec<(String, StoredKind)>,
    /// What `env` holds.
    pub bindings: Vec<ScriptBinding>,
    /// Classes that are declared as workflows, with the names of those.
    #[serde(default)]
    pub workflow_exports: Vec<(String, String)>,
    /// Compatibility date, `YYYY-MM-DD`.
    pub compatibility_date: String,
    /// Compatibility flags.
    pub compatibility_flags: Vec<String>,
    /// Exported classes that extend `WorkflowEntrypoint`.
    pub workflow_classes: Vec<String>,
    /// Names of all exports; `default` answers requests.
    #[serde(default)]
    pub exports: Vec<String>,
    /// Milliseconds its process took to answer when it was uploaded.
    #[serde(default)]
    pub startup_millis: u64,
    /// Annotations, as JSON text of an object.
    pub annotations: Option<String>,
    /// Who uploaded it, and with what.
    #[serde(default)]
    pub author: Author,
}

/// Who made something, and with what.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Author {
    /// The program: `wrangler`, `api`; empty where it is not known.
    pub source: String,
    /// Id of the author.
    pub id: String,
    /// Address of the author.
    pub email: String,
}

/// [`ModuleKind`] in its stored form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredKind {
    /// An ECMAScript module.
    EsModule,
    /// A CommonJS module.
    CommonJs,
    /// Text.
    Text,
    /// Bytes.
    Data,
    /// WebAssembly.
    Wasm,
    /// JSON.
    Json,
}

impl From<ModuleKind> for StoredKind {
    fn from(kind: ModuleKind) -> Self {
        match kind {
            ModuleKind::EsModule => Self::EsModule,
            ModuleKind::CommonJs => Self::CommonJs,
            ModuleKind::Text => Self::Text,
            ModuleKind::Data => Self::Data,
            ModuleKind::Wasm => Self::Wasm,
            ModuleKind::Json => Self::Json,
        }
    }
}

impl From<StoredKind> for ModuleKind {
    fn from(kind: StoredKind) -> Self {
        match kind {
            StoredKind::EsModule => Self::EsModule,
            StoredKind::CommonJs => Self::CommonJs,
            StoredKind::Text => Self::Text,
            StoredKind::Data => Self::Data,
            StoredKind::Wasm => Self::Wasm,
            StoredKind::Json => Self::Json,
        }
    }
}

impl ScriptMetadata {
    /// Reads the stored form.
    ///
    /// # Errors
    /// What is wrong with it, when the database is damaged.
    pub fn from_stored(text: &str) -> Result<Self, EngineError> {
        serde_json::from_str(text).map_err(|error| {
            EngineError::Store(cairn_store::StoreError::Corrupt(format!(
                "metadata of a script version: {error}"
            )))
        })
    }

    /// Its stored form. Secrets must be encrypted.
    ///
    /// # Errors
    /// When one is not.
    pub(crate) fn to_stored(&self) -> Result<String, EngineError> {
        serde_json::to_string(self).map_err(|error| EngineError::InvalidInput(error.to_string()))
    }

    /// Whether a secret is stored as an older release did: unencrypted.
    pub(crate) fn has_plain_secrets(&self) -> bool {
        let is_plain = |binding: &ScriptBinding| {
            matches!(
                binding,
                ScriptBinding::SecretText {
                    text: SecretText::Plain(_),
                    ..
                }
            )
        };
        self.bindings.iter().any(is_plain)
    }
}

/// The runtime's view of the scripts in a store.
pub struct StoredWorkers {
    store: Arc<dyn Store>,
    secrets: Arc<Secrets>,
}

impl StoredWorkers {
    /// The scripts of this store, whose secrets these open.
    pub fn new(store: Arc<dyn Store>, secrets: Arc<Secrets>) -> Self {
        Self { store, secrets }
    }
}

#[async_trait]
impl WorkerSource for StoredWorkers {
    async fn worker(&self, id: &WorkerId) -> Result<Arc<WorkerSpec>, WorkerError> {
        let stored = self
            .store
            .script_modules(&id.0)
            .await
            .map_err(|error| WorkerError::Process(error.to_string()))?;
        let stored = stored.ok_or_else(|| WorkerError::Unknown(id.clone()))?;
        let mut metadata = ScriptMetadata::from_stored(&stored.metadata)
            .map_err(|error| WorkerError::Process(error.to_string()))?;
        metadata.bindings = self
            .secrets
            .unseal(&id.0, metadata.bindings)
            .await
            .map_err(|error| WorkerError::Process(error.to_string()))?;
        worker_spec(id.clone(), stored, metadata).map(Arc::new)
    }
}

fn worker_spec(
    id: WorkerId,
    stored: ScriptModules,
    metadata: ScriptMetadata,
) -> Result<WorkerSpec, WorkerError> {
    let modules = stored.modules.into_iter().map(|(name, content)| {
        let kind = metadata
            .modules
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, kind)| ModuleKind::from(*kind));
        let kind = kind.ok_or_else(|| {
            WorkerError::Process(format!("module \"{name}\" is not in the stored metadata"))
        })?;
        Ok(Module { name, kind, content })
    });
    let exports = exports_of(&stored.script, &metadata.workflow_exports, &metadata.bindings);
    Ok(WorkerSpec {
        id,
        exports,
        entrypoints: entrypoints_of(&metadata.exports, |name| metadata.workflow_classes.contains(name)),
        account: stored.account,
        script: stored.script,
        main_module: metadata.main_module,
        modules: modules.collect::<Result<_, WorkerError>>()?,
        bindings: metadata
            .bindings
            .into_iter()
            .map(runtime_binding)
            .collect::<Result<_, _>>()?,
        compatibility_date: metadata.compatibility_date,
        compatibility_flags: metadata.compatibility_flags,
    })
}

fn runtime_binding(binding: ScriptBinding) -> Result<Binding, WorkerError> {
    Ok(match binding {
        ScriptBinding::PlainText { name, text }
        | ScriptBinding::SecretText {
            name,
            text: SecretText::Plain(text),
        } => Binding::Text { name, text },
        ScriptBinding::SecretText {
            name,
            text: SecretText::Sealed(_),
        } => {
            return Err(WorkerError::Process(format!(
                "the secret \"{name}\" was not opened"
            )));
        }
        ScriptBinding::Json { name, json } => Binding::Json { name, json },
        ScriptBinding::DataBlob { name, data } => Binding::Data {
            content: blob(&name, &data)?,
            name,
        },
        ScriptBinding::WasmModule { name, data } => Binding::Wasm {
            content: blob(&name, &data)?,
            name,
        },
        ScriptBinding::Workflow {
            name, workflow_name, ..
        } => Binding::Workflow { name, workflow_name },
        ScriptBinding::Service {
            name,
            service,
            entrypoint,
            props,
        } => Binding::Service {
            name,
            service,
            entrypoint,
            props,
        },
    })
}

/// What `ctx.exports` holds: the workflows that are declared, then those that are bound and have their class in this script. A class and
/// a workflow stand there once.
fn exports_of(
    script: &str,
    declared: &[(String, String)],
    bindings: &[ScriptBinding],
) -> Vec<WorkflowExport> {
    let bound = bindings.iter().filter_map(|binding| match binding {
        ScriptBinding::Workflow {
            workflow_name,
            class_name: Some(class),
            script_name,
            ..
        } if script_name.as_deref().is_none_or(|of| of == script) => Some((class, workflow_name)),
        _ => None,
    });
    let declared = declared.iter().map(|(class, workflow)| (class, workflow));
    let mut exports: Vec<WorkflowExport> = Vec::new();
    for (class, workflow) in declared.chain(bound) {
        if exports
            .iter()
            .all(|known| known.class_name != *class && known.workflow_name != *workflow)
        {
            exports.push(WorkflowExport {
                class_name: class.clone(),
                workflow_name: workflow.clone(),
            });
        }
    }
    exports
}

/// The exports that service bindings may name: all but workflows and the default one, which is always there.
pub(crate) fn entrypoints_of<'e>(
    exports: impl IntoIterator<Item = &'e String>,
    mut is_workflow: impl FnMut(&String) -> bool,
) -> Vec<String> {
    let named = exports.into_iter().filter(|name| *name != "default");
    named.filter(|name| !is_workflow(name)).cloned().collect()
}

fn blob(name: &str, data: &str) -> Result<Bytes, WorkerError> {
    let bytes = BASE64.decode(data);
    bytes
        .map(Bytes::from)
        .map_err(|error| WorkerError::Process(format!("binding \"{name}\" is damaged: {error}")))
}

/// The part of an upload that the store keeps as metadata.
pub(crate) fn metadata_of(upload: &Upload, checked: &Checked) -> ScriptMetadata {
    ScriptMetadata {
        main_module: upload.main_module.clone(),
        modules: upload
            .modules
            .iter()
            .map(|module| (module.name.clone(), module.kind.into()))
            .collect(),
        bindings: upload.bindings.clone(),
        workflow_exports: upload.workflow_exports.clone(),
        compatibility_date: upload.compatibility_date.clone(),
        compatibility_flags: upload.compatibility_flags.clone(),
        workflow_classes: checked.workflow_classes.iter().cloned().collect(),
        exports: checked.exports.iter().cloned().collect(),
        startup_millis: checked.startup_millis,
        annotations: upload.annotations.clone(),
        author: Author::default(),
    }
}

/// What the runtime starts to see whether an upload runs.
pub(crate) fn spec_of(id: WorkerId, owner: (&str, &str), upload: &Upload) -> Result<WorkerSpec, WorkerError> {
    let (account, script) = owner;
    Ok(WorkerSpec {
        id,
        exports: exports_of(script, &upload.workflow_exports, &upload.bindings),
        // Known once it has started.
        entrypoints: Vec::new(),
        account: account.into(),
        script: script.into(),
        main_module: upload.main_module.clone(),
        modules: upload.modules.clone(),
        bindings: upload
            .bindings
            .iter()
            .cloned()
            .map(runtime_binding)
            .collect::<Result<_, _>>()?,
        compatibility_date: upload.compatibility_date.clone(),
        compatibility_flags: upload.compatibility_flags.clone(),
    })
}
