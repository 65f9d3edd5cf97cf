//! A runtime that interprets [`program`](crate::program)s as user code would run on a process: frames take time, callbacks take time, and the
//! process may die.

use crate::model::{Model, Seen};
use crate::program::{Op, Work, program};
use crate::random::Random;
use async_trait::async_trait;
use cairn_core::{
    CallId, CallRequest, Callback, ConfigInput, DelayInput, DurationInput, ErrorInfo, FailedAttempt,
    RetriesInput, StepCall, StepKey, StepKind,
};
use cairn_runtime::{
    Checked, Command, Known, Outcome, Report, ReportKind, Reports, RunId, Runtime, StartRun, Value,
    WorkerError, WorkerId, WorkerSpec,
};
use futures_util::future::{BoxFuture, FutureExt, join_all};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// The scripted runtime.
#[derive(Clone)]
pub(crate) struct SimRuntime(Arc<Process>);

struct Process {
    random: Random,
    programs: u64,
    model: Model,
    reports: Reports,
    runs: Mutex<BTreeMap<RunId, Arc<Run>>>,
    inbound: mpsc::UnboundedSender<Vec<Command>>,
    outbound: mpsc::UnboundedSender<Report>,
}

static NONCE: AtomicU64 = AtomicU64::new(1);

/// One run of user code.
struct Run {
    id: RunId,
    instance: String,
    process: Arc<Process>,
    history: BTreeMap<StepKey, Known>,
    state: Mutex<RunState>,
}

#[derive(Default)]
struct RunState {
    calls: u32,
    counts: BTreeMap<(StepKind, String), u32>,
    open: BTreeMap<CallId, mpsc::UnboundedSender<Told>>,
    on_hold: Hold,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Hold {
    #[default]
    Off,
    On,
}

enum Told {
    Attempt(u32),
    Outcome(Outcome),
}

impl SimRuntime {
    pub(crate) fn new(random: &Random, programs: u64, model: Model, reports: Reports) -> Self {
        let (inbound, commands) = mpsc::unbounded_channel();
        let (outbound, out) = mpsc::unbounded_channel();
        let process = Arc::new(Process {
            random: random.fork(1),
            programs,
            model,
            reports: reports.clone(),
            runs: Mutex::default(),
            inbound,
            outbound,
        });
        tokio::spawn(deliver_commands(Arc::clone(&process), commands));
        tokio::spawn(deliver_reports(random.fork(2), out, reports));
        Self(process)
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
        // The engine is gone only with the world.
        let _ = self.0.reports.send(lost.keys().map(gone).collect());
    }
}

async fn deliver_commands(process: Arc<Process>, mut commands: mpsc::UnboundedReceiver<Vec<Command>>) {
    while let Some(batch) = commands.recv().await {
        pause(process.random.below(3)).await;
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

async fn pause(millis: u64) {
    if millis > 0 {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

#[async_trait]
impl Runtime for SimRuntime {
    fn perform(&self, commands: Vec<Command>) {
        // The receiver lives as long as the world.
        let _ = self.0.inbound.send(commands);
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
    fn take(self: &Arc<Self>, command: Command) {
        match command {
            Command::Start(start) => self.start(*start),
            // No program has handlers.
            Command::Rollback(_) => {}
            // No program has streams.
            Command::Kept { .. } | Command::Halt { .. } | Command::Piece { .. } => {}
            Command::Stop { run } => {
                self.runs.lock().remove(&run);
            }
            Command::Hold { run } => self.hold(run, Hold::On),
            Command::Unhold { run } => self.hold(run, Hold::Off),
            Command::Attempt { run, call, attempt } => self.tell(run, call, Told::Attempt(attempt)),
            Command::Settle { run, call, outcome } => self.tell(run, call, Told::Outcome(outcome)),
        }
    }

    fn hold(&self, run: RunId, hold: Hold) {
        if let Some(run) = self.runs.lock().get(&run) {
            run.state.lock().on_hold = hold;
        }
    }

    fn tell(&self, run: RunId, call: CallId, told: Told) {
        let run = self.runs.lock().get(&run).cloned();
        if let Some(told_to) = run.and_then(|run| run.state.lock().open.get(&call).cloned()) {
            // A call that has ended no longer listens.
            let _ = told_to.send(told);
        }
    }

    fn start(self: &Arc<Self>, start: StartRun) {
        let number: u64 = start
            .instance_id
            .trim_start_matches("instance-")
            .parse()
            .unwrap_or(0);
        let ops = program(&Random::new(self.programs ^ (number << 32)));
        let run = Arc::new(Run {
            id: start.run,
            instance: start.instance_id,
            process: Arc::clone(self),
            history: start
                .history
                .into_iter()
                .map(|step| (step.key, step.known))
                .collect(),
            state: Mutex::default(),
        });
        self.runs.lock().insert(run.id, Arc::clone(&run));
        tokio::spawn(async move {
            let sum = run.all(&ops, None).await;
            let output = Value::from_json(&sum.to_string()).unwrap_or_else(|_| Value::undefined());
            run.report(ReportKind::Returned { output });
        });
    }
}

impl Run {
    fn is_alive(&self) -> bool {
        self.process.runs.lock().contains_key(&self.id)
    }

    fn report(&self, kind: ReportKind) {
        if self.is_alive() {
            // The receiver lives as long as the world.
            let _ = self.process.outbound.send(Report { run: self.id, kind });
        }
    }

    /// Runs ops one after the other; the sum of what they gave is the output.
    fn all<'a>(self: &'a Arc<Self>, ops: &'a [Op], parent: Option<CallId>) -> BoxFuture<'a, u64> {
        async move {
            let mut sum = 0_u64;
            for op in ops {
                sum = sum.wrapping_add(self.one(op, parent).await);
            }
            sum % 1_000_000_007
        }
        .boxed()
    }

    async fn one(self: &Arc<Self>, op: &Op, parent: Option<CallId>) -> u64 {
        match op {
            Op::All(branches) => join_all(branches.iter().map(|ops| self.all(ops, parent)))
                .await
                .iter()
                .sum(),
            Op::Do(work) => {
                let retries = RetriesInput {
                    limit: f64::from(work.limit),
                    delay: DelayInput::Fixed(DurationInput::Millis(to_float(work.delay_millis))),
                    backoff: Some("linear".into()),
                };
                let timeout = Some(DurationInput::Millis(to_float(work.timeout_millis)));
                let config = ConfigInput {
                    retries: Some(retries),
                    timeout,
                    sensitive: None,
                };
                let request = CallRequest::Do {
                    config: Ok(config),
                    callback: Callback::Executing,
                    rollback: None,
                };
                self.call((StepKind::Do, &work.name), request, (parent, Some(work)))
                    .await
            }
            Op::Sleep { name, millis } => {
                let request = CallRequest::Sleep {
                    duration: DurationInput::Millis(to_float(*millis)),
                };
                self.call((StepKind::Sleep, name), request, (parent, None)).await
            }
            Op::Wait {
                name,
                event_type,
                timeout_millis,
            } => {
                let request = CallRequest::WaitForEvent {
                    event_type: event_type.clone(),
                    timeout: Some(DurationInput::Millis(to_float(*timeout_millis))),
                };
                self.call((StepKind::WaitForEvent, name), request, (parent, None))
                    .await
            }
        }
    }

    async fn call(
        self: &Arc<Self>,
        (kind, name): (StepKind, &str),
        request: CallRequest,
        (parent, work): (Option<CallId>, Option<&Work>),
    ) -> u64 {
        let (told, mut tells) = mpsc::unbounded_channel();
        let (call, key, hold) = self.register(kind, name, told);
        let known = self.history.get(&key);
        if let Some(Known::Ended(outcome)) = known {
            return self.see(&key, outcome);
        }
        let eager = known.is_none() && hold == Hold::Off && kind == StepKind::Do;
        let request = match request {
            CallRequest::Do { config, rollback, .. } if !eager => CallRequest::Do {
                config,
                callback: Callback::Idle,
                rollback,
            },
            request => request,
        };
        self.report(ReportKind::Called(StepCall {
            call,
            parent,
            key: key.clone(),
            request,
        }));
        let mut last = None;
        if eager {
            last = Some(self.attempt(&key, (call, 1), work));
        }
        loop {
            match tells.recv().await {
                Some(Told::Attempt(attempt)) => last = Some(self.attempt(&key, (call, attempt), work)),
                Some(Told::Outcome(Outcome::Stored)) => {
                    let nonce = last.map_or(0, |nonce: Arc<AtomicU64>| nonce.load(Ordering::Relaxed));
                    let value = Value::from_json(&nonce.to_string()).unwrap_or_else(|_| Value::undefined());
                    return self.see(&key, &Outcome::Value(value));
                }
                Some(Told::Outcome(outcome)) => return self.see(&key, &outcome),
                // The run was stopped: user code never goes on.
                None => std::future::pending().await,
            }
        }
    }

    fn register(
        &self,
        kind: StepKind,
        name: &str,
        told: mpsc::UnboundedSender<Told>,
    ) -> (CallId, StepKey, Hold) {
        let mut state = self.state.lock();
        state.calls += 1;
        let call = CallId(state.calls);
        let count = state.counts.entry((kind, name.to_owned())).or_insert(0);
        *count += 1;
        let key = StepKey {
            kind,
            name: name.to_owned(),
            count: *count,
        };
        state.open.insert(call, told);
        (call, key, state.on_hold)
    }

    /// Executes the callback, as a task of its own: nothing can cancel it but the end of its process.
    fn attempt(
        self: &Arc<Self>,
        key: &StepKey,
        (call, attempt): (CallId, u32),
        work: Option<&Work>,
    ) -> Arc<AtomicU64> {
        let nonce = NONCE.fetch_add(1, Ordering::Relaxed);
        let Some(work) = work.cloned() else {
            self.process
                .model
                .wrong(format!("{}: {key} was told to attempt something", self.instance));
            return Arc::new(AtomicU64::new(0));
        };
        self.process.model.executes(&self.instance, &step_name(key));
        let run = Arc::clone(self);
        tokio::spawn(async move {
            pause(work.work_millis).await;
            run.all(&work.inner, Some(call)).await;
            if attempt <= work.failures {
                let error = ErrorInfo::new("Error", format!("attempt {attempt} fails"));
                return run.report(ReportKind::AttemptFailed(FailedAttempt {
                    call,
                    attempt,
                    error,
                    dynamic_delay: None,
                }));
            }
            if let Ok(output) = Value::from_json(&nonce.to_string()) {
                run.report(ReportKind::AttemptSucceeded {
                    call,
                    attempt,
                    output,
                });
            }
        });
        Arc::new(AtomicU64::new(nonce))
    }

    /// User code learns how a step ended.
    fn see(&self, key: &StepKey, outcome: &Outcome) -> u64 {
        if !self.is_alive() {
            return 0;
        }
        let step = step_name(key);
        let seen = match outcome {
            Outcome::Stored | Outcome::Value(_) => {
                let nonce = if let Outcome::Value(value) = outcome {
                    number(value)
                } else {
                    0
                };
                Seen::Value(nonce)
            }
            Outcome::Slept => Seen::Slept,
            Outcome::Failed(_) | Outcome::Refused(_) => Seen::Failed,
            Outcome::Event { payload, .. } => {
                let event = number(payload);
                self.process.model.takes(&self.instance, &step, event);
                Seen::Event(event)
            }
        };
        self.process.model.sees(&self.instance, &step, &seen);
        match seen {
            Seen::Value(number) | Seen::Event(number) => number,
            Seen::Slept => 1,
            Seen::Failed => 2,
        }
    }
}

pub(crate) fn step_name(key: &StepKey) -> String {
    format!("{} {key}", key.kind.as_str())
}

fn number(value: &Value) -> u64 {
    value.to_json_text().parse().unwrap_or(0)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of a simulation are far below 2^53"
)]
fn to_float(millis: u64) -> f64 {
    millis as f64
}
