//! A [`Runtime`] without processes, threads or a clock: the test is the user code.

use crate::{
    Checked, Command, Firing, Report, Reports, Runtime, Scheduled, WorkerError, WorkerId, WorkerSpec,
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// Keeps the commands it is given until the test takes them, and reports what the test says.
#[derive(Debug)]
pub struct Scripted {
    reports: Reports,
    answer: Mutex<Result<Checked, WorkerError>>,
    commands: Mutex<Vec<Command>>,
    retired: Mutex<Vec<WorkerId>>,
    fired: Mutex<Vec<(WorkerId, Firing)>>,
    firings: Mutex<VecDeque<Result<Scheduled, WorkerError>>>,
}

impl Scripted {
    /// A runtime that reports to `reports` and finds every version to be `checked`.
    pub fn new(reports: Reports, checked: Checked) -> Arc<Self> {
        let (commands, retired) = (Mutex::default(), Mutex::default());
        Arc::new(Self {
            reports,
            answer: Mutex::new(Ok(checked)),
            commands,
            retired,
            fired: Mutex::default(),
            firings: Mutex::default(),
        })
    }

    /// What [`Runtime::check`] says from now on.
    pub fn answer_checks(&self, answer: Result<Checked, WorkerError>) {
        *self.answer.lock() = answer;
    }

    /// The commands since the last call, in order.
    pub fn take(&self) -> Vec<Command> {
        std::mem::take(&mut *self.commands.lock())
    }

    /// The versions that were retired since the last call.
    pub fn take_retired(&self) -> Vec<WorkerId> {
        std::mem::take(&mut *self.retired.lock())
    }

    /// The schedules that were fired since the last call, with the versions they were fired on.
    pub fn take_fired(&self) -> Vec<(WorkerId, Firing)> {
        std::mem::take(&mut *self.fired.lock())
    }

    /// What comes of the next firing for which nothing was said yet; all others are done.
    pub fn answer_firing(&self, answer: Result<Scheduled, WorkerError>) {
        self.firings.lock().push_back(answer);
    }

    /// Reports, as if in one frame. Whether anyone still listens.
    pub fn report(&self, reports: Vec<Report>) -> bool {
        self.reports.send(reports).is_ok()
    }
}

#[async_trait]
impl Runtime for Scripted {
    fn perform(&self, commands: Vec<Command>) {
        self.commands.lock().extend(commands);
    }

    async fn check(&self, _worker: Arc<WorkerSpec>) -> Result<Checked, WorkerError> {
        self.answer.lock().clone()
    }

    async fn scheduled(&self, worker: &WorkerId, firing: &Firing) -> Result<Scheduled, WorkerError> {
        self.fired.lock().push((worker.clone(), firing.clone()));
        let answer = self.firings.lock().pop_front();
        answer.unwrap_or(Ok(Scheduled::Done))
    }

    fn retire(&self, worker: &WorkerId) {
        self.retired.lock().push(worker.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ReportKind, RunId, Value};

    #[test]
    fn commands_wait_to_be_taken() {
        let (reports, mut received) = tokio::sync::mpsc::unbounded_channel();
        let checked = Checked {
            workflow_classes: ["A".into()].into(),
            exports: ["A".into()].into(),
            startup_millis: 0,
        };
        let runtime = Scripted::new(reports, checked);
        let (hold, stop) = (Command::Hold { run: RunId(1) }, Command::Stop { run: RunId(1) });
        runtime.perform(vec![hold.clone()]);
        runtime.perform(vec![stop.clone()]);
        assert_eq!(runtime.take(), [hold, stop]);
        assert!(runtime.take().is_empty());
        runtime.retire(&WorkerId("w".into()));
        assert_eq!(runtime.take_retired(), [WorkerId("w".into())]);
        let report = Report {
            run: RunId(1),
            kind: ReportKind::Returned {
                output: Value::undefined(),
            },
        };
        assert!(runtime.report(vec![report.clone()]));
        assert_eq!(received.try_recv(), Ok(vec![report]));
        drop(received);
        assert!(!runtime.report(Vec::new()));
    }
}
