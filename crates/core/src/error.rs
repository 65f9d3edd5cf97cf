//! An error of user code or of the engine, as it is kept in the journal and shown to clients.

use minicbor::{Decode, Encode};

/// Name and message of a thrown error. Stacks are not kept (behaviour §3.1.10).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ErrorInfo {
    /// The error's `name`, such as `TypeError` or `WorkflowTimeoutError`.
    #[n(0)]
    pub name: String,
    /// The error's `message`.
    #[n(1)]
    pub message: String,
}

const NON_RETRYABLE: &str = "NonRetryableError";

impl ErrorInfo {
    /// An error with this name and message.
    pub fn new(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            message: message.into(),
        }
    }

    /// Not retryable, catchable by user code: the call itself was wrong (behaviour §3.1.2).
    pub fn fatal(message: impl Into<String>) -> Self {
        Self::new("WorkflowFatalError", message)
    }

    /// An attempt or a wait that took too long (behaviour §3.1.8, §3.4).
    pub fn timeout(millis: u64) -> Self {
        Self::new(
            "WorkflowTimeoutError",
            format!("Execution timed out after {millis}ms"),
        )
    }

    /// The engine's own fault: the process was lost, a result did not fit (behaviour §3.1.11, §3.2).
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new("WorkflowInternalError", message)
    }

    /// Whether a step that threw this must not be tried again (behaviour §3.1.9).
    pub fn is_non_retryable(&self) -> bool {
        self.name == NON_RETRYABLE || self.message.starts_with(NON_RETRYABLE)
    }

    /// The message of an error that must not be tried again. Its name is in front of it where it has crossed a boundary.
    pub(crate) fn non_retryable_message(&self) -> &str {
        let bare = self.message.strip_prefix(NON_RETRYABLE);
        bare.map_or(&self.message, |rest| {
            rest.strip_prefix(':').unwrap_or(rest).trim_start()
        })
    }
}
