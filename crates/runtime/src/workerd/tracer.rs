//! What the runs of one process log: to cairn's own log, and to whoever follows the Worker.

use super::connection::RunName;
use crate::frame::{Level, Log};
use crate::{RunId, RunTrace, Trace, TraceSink, TracedLine, TracedWorker};
use cairn_core::ErrorInfo;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Who takes traces, once somebody does.
pub(super) type Sink = Arc<OnceLock<Arc<dyn TraceSink>>>;

/// Tells what one process does.
#[derive(Clone)]
pub(super) struct Tracer {
    worker: Arc<TracedWorker>,
    sink: Sink,
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer")
            .field("worker", &self.worker)
            .finish_non_exhaustive()
    }
}

/// What the runs of one frame did.
pub(super) struct Turn<'t> {
    tracer: &'t Tracer,
    /// None while nobody follows.
    follower: Option<&'t Arc<dyn TraceSink>>,
    gathered: Option<(RunId, RunTrace)>,
}

impl Tracer {
    pub(super) fn new(worker: TracedWorker, sink: Sink) -> Self {
        Self {
            worker: Arc::new(worker),
            sink,
        }
    }

    /// Begins a frame.
    pub(super) fn turn(&self) -> Turn<'_> {
        Turn {
            tracer: self,
            follower: self.follower(),
            gathered: None,
        }
    }

    fn follower(&self) -> Option<&Arc<dyn TraceSink>> {
        self.sink.get().filter(|sink| sink.is_followed(&self.worker))
    }

    /// Takes what handlers did, as workerd tells it. Whether anybody follows.
    pub(super) fn handlers(&self, items: Vec<serde_json::Value>) -> bool {
        let Some(follower) = self.follower() else {
            return false;
        };
        for item in items {
            follower.take(&self.worker, Trace::Handler(item));
        }
        true
    }
}

impl Turn<'_> {
    /// A run has logged a line; it has no name when it was stopped a moment ago.
    pub(super) fn log(&mut self, name: Option<&RunName>, log: Log) {
        write_log(&self.tracer.worker.script, name, &log);
        if let Some(gathered) = self.gathered(log.run, name) {
            gathered.logs.push(TracedLine {
                level: log.level.as_str(),
                step: log.step,
                text: log.text,
            });
        }
    }

    /// `run()` has thrown.
    pub(super) fn raised(&mut self, run: RunId, name: Option<&RunName>, error: &ErrorInfo) {
        if let Some(gathered) = self.gathered(run, name) {
            gathered.error = Some(error.clone());
        }
    }

    /// Where to gather what a run did; lines of one run that follow each other stay together.
    fn gathered(&mut self, run: RunId, name: Option<&RunName>) -> Option<&mut RunTrace> {
        self.follower?;
        let name = name?;
        if self.gathered.as_ref().is_none_or(|(of, _)| *of != run) {
            self.flush();
            let trace = RunTrace {
                class_name: name.class_name.clone(),
                workflow: name.workflow.clone(),
                instance: name.instance.clone(),
                logs: Vec::new(),
                error: None,
            };
            self.gathered = Some((run, trace));
        }
        self.gathered.as_mut().map(|(_, trace)| trace)
    }

    /// Hands over what was gathered.
    fn flush(&mut self) {
        if let (Some(follower), Some((_, trace))) = (self.follower, self.gathered.take()) {
            follower.take(&self.tracer.worker, Trace::Run(trace));
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}

fn write_log(script: &str, name: Option<&RunName>, log: &Log) {
    let (workflow, instance) = name.map_or(("", ""), |name| (name.workflow.as_str(), name.instance.as_str()));
    let (step, text) = (log.step.as_str(), log.text.as_str());
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(target: "cairn::user", script, workflow, instance, step, "{text}")
        };
    }
    match log.level {
        Level::Debug => line!(debug),
        Level::Info => line!(info),
        Level::Warn => line!(warn),
        Level::Error => line!(error),
    }
}
