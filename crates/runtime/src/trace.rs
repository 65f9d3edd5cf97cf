//! What Workers do, for whoever follows them (`wrangler tail`).

use cairn_core::ErrorInfo;
use serde_json::Value as Json;

/// Takes what Workers do. Called from where frames are read: it must not block.
pub trait TraceSink: Send + Sync + 'static {
    /// Whether anybody follows this Worker now.
    fn is_followed(&self, worker: &TracedWorker) -> bool;

    /// Takes what a Worker that is followed has done.
    fn take(&self, worker: &TracedWorker, trace: Trace);
}

/// Whose doing it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedWorker {
    /// The account.
    pub account: String,
    /// The script.
    pub script: String,
    /// The deployed version.
    pub version: String,
}

/// Something a Worker has done.
#[derive(Debug, Clone, PartialEq)]
pub enum Trace {
    /// A handler has been called and is done: a `TraceItem` of workerd, as JSON.
    Handler(Json),
    /// A run of an instance has logged something or failed.
    Run(RunTrace),
}

/// What a run has logged in one turn, or how it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunTrace {
    /// The class.
    pub class_name: String,
    /// The workflow.
    pub workflow: String,
    /// The instance.
    pub instance: String,
    /// Lines, in order.
    pub logs: Vec<TracedLine>,
    /// What `run()` threw.
    pub error: Option<ErrorInfo>,
}

/// A line that user code has logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedLine {
    /// `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
    /// Name and count of the step; empty outside of steps.
    pub step: String,
    /// The line.
    pub text: String,
}
