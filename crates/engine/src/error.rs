//! Errors of the engine, by what the caller tells its client.

use cairn_core::{InvalidName, Rejected};
use cairn_store::{SendError, StoreError};

/// Why the engine did not do what it was asked. Nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// No workflow of this name in the account.
    #[error("workflow \"{0}\" does not exist")]
    WorkflowNotFound(String),
    /// The workflow's script has no deployed version.
    #[error(
        "the script \"{script}\" of workflow \"{workflow}\" has no deployed version: it was deleted, or never deployed; deploy it first"
    )]
    NotDeployed {
        /// The workflow.
        workflow: String,
        /// Its script.
        script: String,
    },
    /// No version with this id.
    #[error("version \"{0}\" does not exist")]
    VersionNotFound(String),
    /// No instance with this id.
    #[error("instance \"{0}\" does not exist")]
    InstanceNotFound(String),
    /// No step of this name.
    #[error("step \"{0}\" does not exist in this instance")]
    StepNotFound(String),
    /// No script of this name in the account.
    #[error("script \"{0}\" does not exist")]
    ScriptNotFound(String),
    /// An instance with this id exists.
    #[error("Workflow instance with id \"{0}\" already exists")]
    InstanceExists(String),
    /// A name or id outside its character set.
    #[error("{what} \"{name}\" is invalid: {reason}")]
    InvalidName {
        /// What it names.
        what: &'static str,
        /// As given.
        name: String,
        /// What is allowed.
        reason: InvalidName,
    },
    /// A value outside its range or form.
    #[error("{0}")]
    InvalidInput(String),
    /// Something too large.
    #[error("{what} has {bytes} bytes; the limit is {limit} (setting {setting})")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
        /// Where to change it.
        setting: &'static str,
    },
    /// The uploaded code does not run: the message is the author's to read.
    #[error("{0}")]
    BadScript(String),
    /// The state of the instance does not allow the command.
    #[error(transparent)]
    Rejected(Rejected),
    /// What a test asked for contradicts what is there: text for its author.
    #[error("{0}")]
    TestConflict(String),
    /// The inbox of the instance is full.
    #[error(
        "instance \"{id}\" has {limit} unread messages; wait until it has read some (setting limits.inbox_messages)"
    )]
    InboxFull {
        /// The instance.
        id: String,
        /// The limit.
        limit: usize,
    },
    /// Too many instances were created in the last second.
    #[error(
        "{whose} creates at most {limit} instances a second (setting {setting}); try again in {retry_after_seconds} s"
    )]
    TooManyCreations {
        /// Whose limit it is.
        whose: &'static str,
        /// The limit.
        limit: u32,
        /// Where to change it.
        setting: &'static str,
        /// When it will go through, if nobody else is faster.
        retry_after_seconds: u32,
    },
    /// More is being created than can be written.
    #[error("{limit} {what} are being created already (setting {setting}); try again in a second")]
    Overloaded {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
        /// Where to change it.
        setting: &'static str,
    },
    /// More was created than can run.
    #[error(
        "the account has {limit} instances that are queued (setting limits.queued_instances); try again when some of them run"
    )]
    QueueFull {
        /// The limit.
        limit: u64,
    },
    /// The command was accepted, but whether it was carried out is not known: the store failed, or it takes too long.
    #[error(
        "the command was accepted, but its outcome is not known yet; look at the instance before sending it again"
    )]
    OutcomeUnknown,
    /// The runtime cannot start a process now.
    #[error("the runtime is unavailable: {0}")]
    Runtime(String),
    /// The store cannot do it now, or is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server is stopping.
    #[error("the server is shutting down; try again when it is back")]
    ShuttingDown,
}

impl EngineError {
    pub(crate) fn from_send(error: SendError, id: &str) -> Self {
        match error {
            SendError::NoInstance => Self::InstanceNotFound(id.into()),
            SendError::Full { limit } => Self::InboxFull { id: id.into(), limit },
            SendError::Store(error) => Self::Store(error),
        }
    }
}
