//! A failure as a user reads it: what happened, and what to do next.

use std::fmt;

/// What went wrong and what to do about it. Shown as two lines; the process then exits with 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    what: String,
    next: String,
}

impl Failure {
    /// `what` happened; the user should do `next`.
    pub(crate) fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            next: next.into(),
        }
    }

    /// What happened, without the advice.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// The advice.
    pub(crate) fn next(&self) -> &str {
        &self.next
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n\n{}", self.what, self.next)
    }
}

impl std::error::Error for Failure {}
