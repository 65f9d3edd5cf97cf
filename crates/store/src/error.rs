//! Errors of the store, by what the caller does next.

/// The store could not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Trying again may help: the disk is full, the database is busy or out of reach. Nothing was changed.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// Whether it was done is not known: it was written, and the disk did not confirm it. The next start may find it done.
    #[error("it is not known whether the database has kept it: {0}")]
    Unknown(String),
    /// The bytes are not what this release wrote. Restore a backup.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// The file is of another release, in use, or no database: the operator decides.
    #[error("{0}")]
    Refused(String),
}

/// Why one instance of a batch was not created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// The workflow has an instance with this id.
    #[error("an instance with this id exists already")]
    Exists,
    /// The workflow is gone.
    #[error("the workflow does not exist")]
    NoWorkflow,
}

/// Why a commit changed nothing. The caller drops the instance from memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The lease is not the current one, the position is not the journal's end, or the instance is gone.
    #[error("another holder has the instance, or it is gone")]
    Fenced,
}

/// Why a message was not accepted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SendError {
    /// The instance is gone.
    #[error("the instance does not exist")]
    NoInstance,
    /// The inbox has as many messages as it may have.
    #[error("the inbox of the instance is full ({limit} messages)")]
    Full {
        /// The limit.
        limit: usize,
    },
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}
