//! A process that runs programs: frames take time, and it may die at any moment.

use crate::model::Model;
use crate::random::Random;
use crate::run::{Hold, Run, pause};
use async_trait::async_trait;
use cairn_runtime::{
    Checked, Command, Report, ReportKind, Reports, RunId, Runtime, WorkerError, WorkerId, WorkerSpec,
};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

/// The simulated runtime.
#[derive(Clone)]
pub(crate) struct SimRuntime(Arc<Process>);

/// A process, with the runs on it.
pub(crate) struct Process {
    /// Number of this life of the node.
    life: u64,
    random: Random,
    pub(crate) model: Model,
    reports: Reports,
    runs: Mutex<BTreeMap<RunId, Arc<Run>>>,
    /// Whether its node is dead.
    dead: AtomicBool,
    inbound: mpsc::UnboundedSender<Vec<Command>>,
    outbound: mpsc::UnboundedSender<Report>,
}

impl SimRuntime {
    pub(crate) fn new(life: u64, random: &Random, (model, reports): (Model, Reports)) -> Self {
        let (inbound, commands) = mpsc::unbounded_channel();
        let (outbound, out) = mpsc::unbounded_channel();
        let process = Arc::new(Process {
            life,
            random: random.fork(1),
            model,
            reports: reports.clone(),
            runs: Mutex::default(),
            dead: AtomicBool::new(false),
            inbound,
            outbound,
        });
        tokio::spawn(deliver_commands(Arc::clone(&process), commands));
        tokio::spawn(deliver_reports(random.fork(2), out, reports));
        Self(process)
    }

    /// The node dies, and the process with it.
    pub(crate) fn die(&self) {
        self.0.dead.store(true, Ordering::Relaxed);
        self.kill_process();
    }

    /// The process dies; a new one is there at once.
    pub(crate) fn kill_process(&self) {
        let lost = std::mem::take(&mut *self.0.runs.lock());
        let gone = |run: &RunId| Report {
            run: *run,
            kind: ReportKind::Lost {
                reason: "killed".into(),
            },
        };
        for run in lost.keys() {
            self.0.model.lost((self.0.life, *run));
        }
        // The engine is gone only with the world.
        let _ = self.0.reports.send(lost.keys().map(gone).collect());
    }
}

async fn deliver_commands(process: Arc<Process>, mut commands: mpsc::UnboundedReceiver<Vec<Command>>) {
    while let Some(batch) = commands.recv().await {
        pause(process.random.below(3)).await;
        if process.dead.load(Ordering::Relaxed) {
            return;
        }
        for command in batch {
            process.take(command);
        }
    }
}

/// Frames: what is reported within a moment travels together.
async fn deliver_reports(random: Random, mut out: mpsc::UnboundedReceiver<Report>, reports: Reports) {
    while let Some(first) = out.recv().await {
        pause(random.below(3)).await;
        let mut frame = vec![first];
        while let Ok(next) = out.try_recv() {
            frame.push(next);
        }
        if reports.send(frame).is_err() {
            return;
        }
    }
}

#[async_trait]
impl Runtime for SimRuntime {
    fn perform(&self, commands: Vec<Command>) {
        let process = &self.0;
        if process.dead.load(Ordering::Relaxed) {
            return;
        }
        for command in &commands {
            match command {
                Command::Start(start) => process.model.begins((process.life, start.run), start),
                Command::Rollback(rollback) => {
                    process.model.wants_undone((process.life, rollback.run), rollback);
                }
                _ => {}
            }
        }
        // The receiver lives as long as the world.
        let _ = process.inbound.send(commands);
    }

    async fn check(&self, _worker: Arc<WorkerSpec>) -> Result<Checked, WorkerError> {
        Ok(Checked {
            workflow_classes: BTreeSet::from(["Program".to_owned()]),
            exports: BTreeSet::from(["Program".to_owned()]),
            startup_millis: 1,
        })
    }

    fn retire(&self, _worker: &WorkerId) {}
}

impl Process {
    /// Whether a run is on this process.
    pub(crate) fn has(&self, run: RunId) -> bool {
        self.runs.lock().contains_key(&run)
    }

    /// A run has ended.
    pub(crate) fn forget(&self, run: RunId) {
        self.runs.lock().remove(&run);
    }

    pub(crate) fn report(&self, report: Report) {
        // The receiver lives as long as the world.
        let _ = self.outbound.send(report);
    }

    fn take(self: &Arc<Self>, command: Command) {
        let find = |run: RunId| self.runs.lock().get(&run).cloned();
        match command {
            Command::Start(start) => {
                let watch = (self.life, start.run);
                let run = Run::new(*start, watch, Arc::clone(self));
                self.runs.lock().insert(run.id(), Arc::clone(&run));
                run.begin();
            }
            Command::Rollback(rollback) => {
                if let Some(run) = find(rollback.run) {
                    run.undo(*rollback);
                }
            }
            // Programs do not wait for room, and do not read their streams.
            Command::Kept { .. } | Command::Piece { .. } => {}
            Command::Halt { run, call, attempt } => {
                if let Some(run) = find(run) {
                    run.halt(call, attempt);
                }
            }
            Command::Stop { run } => self.forget(run),
            Command::Hold { run } => {
                if let Some(run) = find(run) {
                    run.hold(Hold::On);
                }
            }
            Command::Unhold { run } => {
                if let Some(run) = find(run) {
                    run.hold(Hold::Off);
                }
            }
            Command::Attempt { run, call, attempt } => {
                if let Some(run) = find(run) {
                    run.start_attempt(call, attempt);
                }
            }
            Command::Settle { run, call, outcome } => {
                if let Some(run) = find(run) {
                    run.settle(call, outcome);
                }
            }
        }
    }
}
