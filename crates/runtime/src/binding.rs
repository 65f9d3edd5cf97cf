//! Calls on `env.MY_WORKFLOW` that leave the process: a closed list of methods (behaviour §5).

use crate::Value;
use async_trait::async_trait;
use cairn_core::{ErrorInfo, Status};

/// Serves the calls that user code makes on its workflow bindings.
#[async_trait]
pub trait BindingHost: Send + Sync + 'static {
    /// Serves one call.
    ///
    /// # Errors
    /// [`BindingError`], thrown to the caller as a `WorkflowError` with its message.
    async fn call(&self, call: BindingCall) -> Result<BindingReply, BindingError>;
}

/// One call. Account and workflow come from the binding's own configuration, not from user code.
#[derive(Debug, Clone, PartialEq)]
pub struct BindingCall {
    /// The account of the Worker that calls.
    pub account: String,
    /// The workflow its binding names.
    pub workflow: String,
    /// What it asks.
    pub method: BindingMethod,
}

/// The methods of `Workflow` and `WorkflowInstance`.
#[derive(Debug, Clone, PartialEq)]
pub enum BindingMethod {
    /// `get(id)`
    Get {
        /// The instance.
        id: String,
    },
    /// `create(options)`
    Create(CreateOptions),
    /// `createBatch([options, …])`
    CreateBatch(Vec<CreateOptions>),
    /// `status()`
    Status {
        /// The instance.
        id: String,
    },
    /// `pause()`
    Pause {
        /// The instance.
        id: String,
    },
    /// `resume()`
    Resume {
        /// The instance.
        id: String,
    },
    /// `terminate()`
    Terminate {
        /// The instance.
        id: String,
    },
    /// `restart()`
    Restart {
        /// The instance.
        id: String,
    },
    /// `delete()`
    Delete {
        /// The instance.
        id: String,
    },
    /// `sendEvent({ type, payload })`
    SendEvent {
        /// The instance.
        id: String,
        /// `type`
        event_type: String,
        /// `payload`
        payload: Value,
    },
}

/// Options of `create`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreateOptions {
    /// `id`; made up when not given.
    pub id: Option<String>,
    /// `params`; `{}` when not given.
    pub params: Option<Value>,
    /// `retention.successRetention`, milliseconds.
    pub success_retention_millis: Option<u64>,
    /// `retention.errorRetention`, milliseconds.
    pub error_retention_millis: Option<u64>,
}

/// What a call returns.
#[derive(Debug, Clone, PartialEq)]
pub enum BindingReply {
    /// Nothing.
    Done,
    /// Ids of instances: of the one that was got or created, or of those that a batch created.
    Ids(Vec<String>),
    /// `status()`
    Status {
        /// `status`
        status: Status,
        /// `error`
        error: Option<ErrorInfo>,
        /// `output`, once complete.
        output: Option<Value>,
    },
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BindingError {
    /// The message user code sees, such as `(instance.already_exists) Workflow instance with id "x" already exists`.
    pub message: String,
}
