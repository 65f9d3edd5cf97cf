//! A deployed Worker version: its code and its environment.

use async_trait::async_trait;
use bytes::Bytes;
use cairn_core::ErrorInfo;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Id of a deployed Worker version (a UUID).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub Arc<str>);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything a process needs to run a Worker version.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerSpec {
    /// Its id.
    pub id: WorkerId,
    /// The account it belongs to.
    pub account: String,
    /// The script's name.
    pub script: String,
    /// Name of the module with the exports.
    pub main_module: String,
    /// All modules, the main one among them.
    pub modules: Vec<Module>,
    /// What `env` holds.
    pub bindings: Vec<Binding>,
    /// What `ctx.exports` holds beside the entrypoints of the module: one workflow for a class at most.
    pub exports: Vec<WorkflowExport>,
    /// Names of exports that other Workers may bind beside the default one. Empty until the module has been started once.
    pub entrypoints: Vec<String>,
    /// Compatibility date, `YYYY-MM-DD`.
    pub compatibility_date: String,
    /// Compatibility flags.
    pub compatibility_flags: Vec<String>,
}

/// A workflow that user code finds as `ctx.exports.<Class>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowExport {
    /// The class.
    pub class_name: String,
    /// The workflow, in the same account.
    pub workflow_name: String,
}

/// One module of a Worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The name other modules import it by.
    pub name: String,
    /// How it is read.
    pub kind: ModuleKind,
    /// Its content.
    pub content: Bytes,
}

/// How a module is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModuleKind {
    /// An ECMAScript module.
    EsModule,
    /// A CommonJS module.
    CommonJs,
    /// Text.
    Text,
    /// An `ArrayBuffer`.
    Data,
    /// A `WebAssembly.Module`.
    Wasm,
    /// Parsed JSON.
    Json,
}

/// One entry of `env`.
#[derive(Clone, PartialEq, Eq)]
pub enum Binding {
    /// A string.
    Text {
        /// Its name in `env`.
        name: String,
        /// The string.
        text: String,
    },
    /// A parsed JSON value.
    Json {
        /// Its name in `env`.
        name: String,
        /// JSON text.
        json: String,
    },
    /// An `ArrayBuffer`.
    Data {
        /// Its name in `env`.
        name: String,
        /// The bytes.
        content: Bytes,
    },
    /// A `WebAssembly.Module`.
    Wasm {
        /// Its name in `env`.
        name: String,
        /// The module.
        content: Bytes,
    },
    /// A `Workflow`.
    Workflow {
        /// Its name in `env`.
        name: String,
        /// The workflow it creates instances of, in the same account.
        workflow_name: String,
    },
    /// Another Worker, or this one.
    Service {
        /// Its name in `env`.
        name: String,
        /// The script, in the same account. What is deployed at the time of a call is called.
        service: String,
        /// The export; the default one when absent.
        entrypoint: Option<String>,
        /// What the entrypoint finds in `ctx.props`, as JSON text of an object.
        props: Option<String>,
    },
}

/// Kind and name: the rest may be secret.
impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = match self {
            Self::Text { name, .. } => ("Text", name),
            Self::Json { name, .. } => ("Json", name),
            Self::Data { name, .. } => ("Data", name),
            Self::Wasm { name, .. } => ("Wasm", name),
            Self::Workflow { name, .. } => ("Workflow", name),
            Self::Service { name, .. } => ("Service", name),
        };
        f.debug_struct(kind).field("name", name).finish_non_exhaustive()
    }
}

/// What is known of a Worker version once it has started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Names of the exported classes that extend `WorkflowEntrypoint`.
    pub workflow_classes: BTreeSet<String>,
    /// Names of all exports.
    pub exports: BTreeSet<String>,
    /// Milliseconds from process start to the first answer.
    pub startup_millis: u64,
}

/// What came of the call of a `scheduled` handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheduled {
    /// It is done, and so is all it handed to `ctx.waitUntil()`.
    Done,
    /// It threw, or something it waited for was rejected.
    Failed(ErrorInfo),
    /// The Worker has no such handler.
    Unhandled,
}

/// Why a Worker version does not run.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WorkerError {
    /// The code does not parse, throws at start, or exports nothing usable: the author mends it.
    #[error("{0}")]
    Code(String),
    /// The process could not be started or did not answer: the operator mends it.
    #[error("{0}")]
    Process(String),
    /// No such version.
    #[error("Worker version {0} does not exist")]
    Unknown(WorkerId),
    /// It does not export what is asked for: the caller's author mends it.
    #[error("{0}")]
    NoEntrypoint(String),
}

/// Where a [`Runtime`](crate::Runtime) finds the code of a version when it starts a process for it.
#[async_trait]
pub trait WorkerSource: Send + Sync + 'static {
    /// The version with this id.
    ///
    /// # Errors
    /// [`WorkerError::Unknown`] where there is none, [`WorkerError::Process`] where it cannot be read now.
    async fn worker(&self, id: &WorkerId) -> Result<Arc<WorkerSpec>, WorkerError>;
}
