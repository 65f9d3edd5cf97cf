//! Calls on `env.MY_WORKFLOW` that leave the process: a closed list of methods (behaviour §5).

use crate::{Value, WorkerId};
use async_trait::async_trait;
use bytes::Bytes;
use cairn_core::{ErrorInfo, RestartFrom, RollbackView, Status, Undo};

/// Serves the calls that user code makes on its workflow bindings.
#[async_trait]
pub trait BindingHost: Send + Sync + 'static {
    /// Serves one call.
    ///
    /// # Errors
    /// [`BindingError`], thrown to the caller as a `WorkflowError` with its message.
    async fn call(&self, call: BindingCall) -> Result<BindingReply, BindingError>;

    /// Serves `subscribe(options)`. Dropping what it gives ends the subscription.
    ///
    /// # Errors
    /// [`BindingError`]; [`BindingError::INVALID_SUBSCRIPTION`] where the options are not of the documented form.
    async fn subscribe(&self, call: SubscribeCall) -> Result<Box<dyn EventSource>, BindingError>;

    /// Reads a stream that an event told of.
    ///
    /// # Errors
    /// [`BindingError`]
    async fn stream(&self, call: StreamCall) -> Result<Box<dyn PieceSource>, BindingError>;

    /// The version of a script that is deployed now.
    ///
    /// # Errors
    /// [`BindingError`], told to the Worker that calls, where there is no such script or nothing of it is deployed.
    async fn service(&self, call: ServiceCall) -> Result<WorkerId, BindingError>;
}

/// One call on a service binding. Account and script come from the binding's own configuration, not from user code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCall {
    /// The account of the Worker that calls.
    pub account: String,
    /// The script its binding names.
    pub script: String,
}

/// One reading of a stream. Account and workflow come from the binding's own configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamCall {
    /// The account of the Worker that reads.
    pub account: String,
    /// The workflow its binding names.
    pub workflow: String,
    /// The instance.
    pub id: String,
    /// What the event said ([`BindingEvent::stream`]).
    pub entry: u64,
}

/// The pieces of a stream, one after the other.
#[async_trait]
pub trait PieceSource: Send {
    /// The next piece; none after the last.
    ///
    /// # Errors
    /// [`BindingError`] when it cannot be had; then it is over.
    async fn next(&mut self) -> Result<Option<Bytes>, BindingError>;
}

/// One call of `subscribe(options)`. Account and workflow come from the binding's own configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeCall {
    /// The account of the Worker that calls.
    pub account: String,
    /// The workflow its binding names.
    pub workflow: String,
    /// The instance.
    pub id: String,
    /// `cursor`: events with a number above it.
    pub cursor: u64,
    /// `filter`: types of events, unchecked; all when absent.
    pub filter: Option<Vec<String>>,
}

/// The events of an instance, one after the other.
#[async_trait]
pub trait EventSource: Send {
    /// The next event, once there is one; none after the last.
    ///
    /// # Errors
    /// [`BindingError`] when no more can be had; then it is over.
    async fn next(&mut self) -> Result<Option<BindingEvent>, BindingError>;
}

/// An event as user code sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingEvent {
    /// All its fields as a JSON object, but the value.
    pub fields: String,
    /// The field with a value of user code, and the value.
    pub value: Option<(&'static str, Value)>,
    /// The entry that carries the output, where that is a stream.
    pub stream: Option<u64>,
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
    /// `terminate({ rollback })`
    Terminate {
        /// The instance.
        id: String,
        /// Whether what its steps have done is undone first.
        undo: Undo,
    },
    /// `restart({ from })`
    Restart {
        /// The instance.
        id: String,
        /// From where.
        from: RestartFrom,
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
        /// `rollback`, once it has begun.
        rollback: Option<RollbackView>,
    },
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BindingError {
    /// The message user code sees, such as `(instance.already_exists) Workflow instance with id "x" already exists`.
    pub message: String,
}

impl BindingError {
    /// The message for options of `subscribe()` that are not of the documented form (behaviour §7).
    pub const INVALID_SUBSCRIPTION: &str = "Invalid Workflow subscription options";
}
