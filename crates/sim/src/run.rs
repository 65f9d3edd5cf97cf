//! A run of user code: what the shim does in a process (`crates/runtime/js`), for a [`Program`].

use crate::model::{End, Ledger, Model, RunKey};
use crate::program::{Attempts, Delay, Ending, Fate, Given, Handler, Memory, Op, Output, Program, Work};
use crate::runtime::Process;
use bytes::Bytes;
use cairn_core::{
    CallId, CallRequest, Callback, ConfigInput, DelayInput, DurationInput, ErrorInfo, FailedAttempt, Origin,
    Purpose, Raised, RetriesInput, RollbackReport, RollbackResult, StepCall, StepKey, StepKind,
};
use cairn_runtime::{FirstAttempts, Known, Outcome, Report, ReportKind, RunId, RunRollback, StartRun, Value};
use futures_util::future::{BoxFuture, FutureExt};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a run may take to have its rollback handlers.
const REBUILD_MILLIS: u64 = 30_000;

/// One run of user code.
pub(crate) struct Run {
    id: RunId,
    watch: RunKey,
    purpose: Purpose,
    step_limit: u32,
    process: Arc<Process>,
    program: Arc<Program>,
    history: BTreeMap<StepKey, Known>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: u32,
    dos: u32,
    counts: BTreeMap<(StepKind, String), u32>,
    open: BTreeMap<CallId, Open>,
    undos: BTreeMap<StepKey, Arc<Work>>,
    /// Streams that nobody reads any more.
    halted: BTreeSet<(CallId, u32)>,
    hold: Hold,
    phase: Phase,
}

/// A call that has not settled.
struct Open {
    key: StepKey,
    tell: mpsc::UnboundedSender<Told>,
    attempt: u32,
    /// What the newest attempt has returned.
    own: Option<Value>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    #[default]
    Off,
    On,
}

/// Where user code stands.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    #[default]
    Going,
    /// Only rollback handlers are called from now on.
    Over,
}

enum Told {
    Attempt(u32),
    /// How a call ended, and what its newest attempt has returned itself.
    Outcome(Outcome, Option<Value>),
}

/// What a step has thrown, or a callback.
struct Thrown {
    error: ErrorInfo,
    call: Option<CallId>,
}

/// A call as user code makes it.
struct Calling<'a> {
    kind: StepKind,
    name: &'a str,
    request: CallRequest,
    work: Option<&'a Arc<Work>>,
}

impl Run {
    pub(crate) fn new(start: StartRun, watch: RunKey, process: Arc<Process>) -> Arc<Self> {
        let program = process.model.program(&start.instance_id);
        let history = start.history.into_iter().map(|step| (step.key, step.known));
        Arc::new(Self {
            id: start.run,
            watch,
            purpose: start.purpose,
            step_limit: start.step_limit,
            program,
            history: history.collect(),
            state: Mutex::new(State {
                hold: match start.first_attempts {
                    FirstAttempts::AtOnce => Hold::Off,
                    FirstAttempts::OnRequest => Hold::On,
                },
                ..State::default()
            }),
            process,
        })
    }

    pub(crate) fn id(&self) -> RunId {
        self.id
    }

    /// Executes `run()`.
    pub(crate) fn begin(self: Arc<Self>) {
        if self.purpose == Purpose::Rollback {
            let run = Arc::clone(&self);
            tokio::spawn(async move {
                pause(REBUILD_MILLIS).await;
                run.rebuilt();
            });
        }
        tokio::spawn(async move {
            let ended = self.all(&self.program.ops, None).await;
            if self.purpose == Purpose::Rollback {
                return self.rebuilt();
            }
            match (ended, self.program.ending) {
                (Ok(sum), Ending::Returns) => self.returns(sum),
                (Ok(_), Ending::Throws) => {
                    let error = ErrorInfo::new("Error", "the program throws");
                    self.raises((error, None), Origin::Thrown);
                }
                (Ok(_), Ending::Dies) => {
                    let error = ErrorInfo::new("WorkflowFatalError", "the output cannot be kept");
                    self.raises((error, None), Origin::Fatal);
                }
                (Err(Thrown { error, call }), _) => self.raises((error, call), Origin::Thrown),
            }
        });
    }

    fn model(&self) -> &Model {
        &self.process.model
    }

    fn is_going(&self) -> bool {
        self.state.lock().phase == Phase::Going && self.process.has(self.id)
    }

    fn returns(&self, sum: u64) {
        if !self.is_going() {
            return;
        }
        let output = Value::from_json(&sum.to_string()).unwrap_or_else(|_| Value::undefined());
        self.model()
            .ends(self.watch, End::Returned(output.as_bytes().clone()));
        self.report(ReportKind::Returned { output });
        self.process.forget(self.id);
    }

    fn raises(&self, (error, from_call): (ErrorInfo, Option<CallId>), origin: Origin) {
        if !self.is_going() {
            return;
        }
        let end = End::Raised {
            error: error.clone(),
            origin,
        };
        self.model().ends(self.watch, end);
        self.report(ReportKind::Raised(Raised {
            error,
            from_call,
            origin,
        }));
        match origin {
            Origin::Thrown => self.end_going(),
            Origin::Fatal => self.process.forget(self.id),
        }
    }

    fn end_going(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Over;
        state.open.clear();
    }

    /// The run has its handlers.
    fn rebuilt(&self) {
        if self.is_going() {
            self.end_going();
            self.report(ReportKind::Rebuilt);
        }
    }

    fn report(&self, kind: ReportKind) {
        if self.process.has(self.id) {
            self.process.report(Report { run: self.id, kind });
        }
    }

    /// Runs ops one after the other; the sum of what they gave is the output.
    fn all<'a>(
        self: &'a Arc<Self>,
        ops: &'a [Op],
        parent: Option<CallId>,
    ) -> BoxFuture<'a, Result<u64, Thrown>> {
        async move {
            let mut sum = 0_u64;
            for op in ops {
                sum = sum.wrapping_add(self.one(op, parent).await?);
            }
            Ok(sum % 1_000_000_007)
        }
        .boxed()
    }

    async fn one(self: &Arc<Self>, op: &Op, parent: Option<CallId>) -> Result<u64, Thrown> {
        match op {
            Op::All(branches) => {
                let (mut ends, mut sum) = (self.branch_out(branches, parent), 0_u64);
                for _ in branches {
                    sum = sum.wrapping_add(next(&mut ends).await?);
                }
                Ok(sum)
            }
            Op::Race(branches) => next(&mut self.branch_out(branches, parent)).await,
            Op::Apart(ops) => {
                self.branch_out(std::slice::from_ref(ops), parent);
                Ok(0)
            }
            Op::Outside(millis) => {
                pause(*millis).await;
                Ok(0)
            }
            Op::Do(work) => self.do_one(work, parent).await,
            Op::Sleep { name, millis } => {
                let duration = DurationInput::Millis(to_float(*millis));
                let request = CallRequest::Sleep { duration };
                self.call(
                    Calling {
                        kind: StepKind::Sleep,
                        name,
                        request,
                        work: None,
                    },
                    parent,
                )
                .await
            }
            Op::Wait {
                name,
                event_type,
                timeout_millis,
                fate,
            } => {
                let request = CallRequest::WaitForEvent {
                    event_type: event_type.clone(),
                    timeout: Some(DurationInput::Millis(to_float(*timeout_millis))),
                };
                let kind = StepKind::WaitForEvent;
                let ended = self
                    .call(
                        Calling {
                            kind,
                            name,
                            request,
                            work: None,
                        },
                        parent,
                    )
                    .await;
                caught(ended, *fate)
            }
        }
    }

    async fn do_one(self: &Arc<Self>, work: &Arc<Work>, parent: Option<CallId>) -> Result<u64, Thrown> {
        let request = CallRequest::Do {
            config: Ok(config_of(&work.callback)),
            callback: Callback::Executing,
            rollback: work
                .handler
                .as_ref()
                .map(|handler| Ok(config_of(&handler.function))),
        };
        let calling = Calling {
            kind: StepKind::Do,
            name: &work.name,
            request,
            work: Some(work),
        };
        let ended = self.call(calling, parent).await;
        caught(ended, work.fate)
    }

    /// Starts branches that go on by themselves; how they end comes in the order in which they do.
    fn branch_out(
        self: &Arc<Self>,
        branches: &[Arc<Vec<Op>>],
        parent: Option<CallId>,
    ) -> mpsc::UnboundedReceiver<Result<u64, Thrown>> {
        let (sender, ends) = mpsc::unbounded_channel();
        for ops in branches {
            let (run, ops, sender) = (Arc::clone(self), Arc::clone(ops), sender.clone());
            tokio::spawn(async move {
                let ended = run.all(&ops, parent).await;
                // Nobody waits for the losers of a race.
                let _ = sender.send(ended);
            });
        }
        ends
    }

    async fn call(self: &Arc<Self>, calling: Calling<'_>, parent: Option<CallId>) -> Result<u64, Thrown> {
        if !self.is_going() {
            return std::future::pending().await;
        }
        let (tell, mut tells) = mpsc::unbounded_channel();
        let (call, key, may_start) = self.register(&calling, tell);
        let known = self.history.get(&key);
        if let Some(Known::Ended(outcome)) = known {
            self.state.lock().open.remove(&call);
            return self.see(&key, call, (outcome, None));
        }
        if self.purpose == Purpose::Rollback {
            // It has come as far as it did before; others may come further in the same turn.
            pause(1).await;
            self.rebuilt();
            return std::future::pending().await;
        }
        let eager = known.is_none() && may_start && calling.kind == StepKind::Do;
        let request = match calling.request {
            CallRequest::Do { config, rollback, .. } if !eager => CallRequest::Do {
                config,
                callback: Callback::Idle,
                rollback,
            },
            request => request,
        };
        let of_parent =
            parent.and_then(|parent| self.state.lock().open.get(&parent).map(|open| open.key.clone()));
        let called = StepCall {
            call,
            parent,
            key: key.clone(),
            request,
        };
        self.model().called(self.watch, &called, (eager, of_parent));
        self.report(ReportKind::Called(called));
        if eager && let Some(work) = calling.work {
            self.attempt((call, 1), (&key, work));
        }
        loop {
            match (tells.recv().await, calling.work) {
                (Some(Told::Attempt(attempt)), Some(work)) => self.attempt((call, attempt), (&key, work)),
                (Some(Told::Attempt(_)), None) => {
                    self.model().wrong(format!("{key} was told to attempt something"));
                }
                (Some(Told::Outcome(outcome, own)), _) => {
                    return self.see(&key, call, (&outcome, own.as_ref()));
                }
                // The run was stopped, or is over: user code never goes on.
                (None, _) => std::future::pending().await,
            }
        }
    }

    /// A number and a key for a call, and whether its first attempt may start at once.
    fn register(&self, calling: &Calling<'_>, tell: mpsc::UnboundedSender<Told>) -> (CallId, StepKey, bool) {
        let mut state = self.state.lock();
        state.calls += 1;
        let call = CallId(state.calls);
        let count = state
            .counts
            .entry((calling.kind, calling.name.to_owned()))
            .or_insert(0);
        *count += 1;
        let key = StepKey {
            kind: calling.kind,
            name: calling.name.to_owned(),
            count: *count,
        };
        let open = Open {
            key: key.clone(),
            tell,
            attempt: 0,
            own: None,
        };
        state.open.insert(call, open);
        state.dos += u32::from(calling.kind == StepKind::Do);
        if let Some(work) = calling.work
            && let Some(Handler { memory, .. }) = &work.handler
            && (self.purpose == Purpose::Progress || *memory == Memory::Faithful)
        {
            state.undos.insert(key.clone(), Arc::clone(work));
        }
        let may_start = state.hold == Hold::Off && state.dos <= self.step_limit;
        (call, key, may_start)
    }

    pub(crate) fn hold(&self, hold: Hold) {
        self.state.lock().hold = hold;
    }

    pub(crate) fn start_attempt(&self, call: CallId, attempt: u32) {
        if let Some(open) = self.state.lock().open.get(&call) {
            // A call that has ended no longer listens.
            let _ = open.tell.send(Told::Attempt(attempt));
        }
    }

    pub(crate) fn settle(&self, call: CallId, outcome: Outcome) {
        if let Some(open) = self.state.lock().open.remove(&call) {
            // A call that has ended no longer listens.
            let _ = open.tell.send(Told::Outcome(outcome, open.own));
        }
    }

    /// Executes the callback, as a task of its own: nothing can cancel it but the end of its process.
    fn attempt(self: &Arc<Self>, (call, attempt): (CallId, u32), (key, work): (&StepKey, &Arc<Work>)) {
        if let Some(open) = self.state.lock().open.get_mut(&call) {
            open.attempt = attempt;
            open.own = None;
        }
        self.model().executes(self.watch, key, attempt);
        let (run, key, work) = (Arc::clone(self), key.clone(), Arc::clone(work));
        tokio::spawn(async move {
            pause(work.callback.work_millis).await;
            let inner = run.all(&work.inner, Some(call)).await;
            let error = match inner {
                Err(Thrown { error, .. }) => Some(error),
                Ok(_) => thrown(&work.callback, attempt),
            };
            match error {
                Some(error) => {
                    let dynamic_delay = run.ask_delay(&work.callback, (attempt, &key), &error).await;
                    run.threw((call, attempt), &key, (error, dynamic_delay));
                }
                None => run.succeeded((call, attempt), &key, work.output).await,
            }
        });
    }

    /// Whether what an attempt does still matters.
    fn listens(&self, call: CallId) -> bool {
        self.is_going() && self.state.lock().open.contains_key(&call)
    }

    fn threw(
        &self,
        (call, attempt): (CallId, u32),
        key: &StepKey,
        (error, dynamic_delay): (ErrorInfo, Option<Result<u64, ErrorInfo>>),
    ) {
        if !self.listens(call) {
            return;
        }
        let threw = (error.clone(), dynamic_delay.clone());
        self.model().threw(self.watch, (key, attempt), threw);
        self.report(ReportKind::AttemptFailed(FailedAttempt {
            call,
            attempt,
            error,
            dynamic_delay,
        }));
    }

    async fn succeeded(&self, (call, attempt): (CallId, u32), key: &StepKey, output: Output) {
        if !self.listens(call) {
            return;
        }
        let nonce = self.model().nonce();
        let text = match output {
            Output::Small => nonce.to_string(),
            Output::Large => format!("\"{nonce}{}\"", " ".repeat(300)),
            Output::Stream(chunks) => return self.streams((call, attempt), key, (nonce, chunks)).await,
        };
        let Ok(value) = Value::from_json(&text) else {
            return;
        };
        if let Some(open) = self.state.lock().open.get_mut(&call)
            && open.attempt == attempt
        {
            open.own = Some(value.clone());
        }
        self.model().returned(self.watch, (key, attempt), &value);
        self.report(ReportKind::AttemptSucceeded {
            call,
            attempt,
            output: value,
        });
    }

    /// Sends a stream, piece by piece, as long as somebody reads it.
    async fn streams(&self, (call, attempt): (CallId, u32), key: &StepKey, (nonce, chunks): (u64, u32)) {
        let pieces: Vec<Bytes> = (0..chunks)
            .map(|index| Bytes::from(format!("{nonce}.{index};")))
            .collect();
        self.model().streams(self.watch, (key, attempt), &pieces);
        let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        for (piece, index) in pieces.into_iter().zip(0..) {
            self.report(ReportKind::Chunk {
                call,
                attempt,
                index,
                bytes: piece,
            });
            pause(u64::from(index)).await;
            if !self.listens(call) || self.state.lock().halted.contains(&(call, attempt)) {
                return;
            }
        }
        self.report(ReportKind::Streamed {
            call,
            attempt,
            chunks,
            bytes,
        });
    }

    /// Nobody reads this stream any more.
    pub(crate) fn halt(&self, call: CallId, attempt: u32) {
        self.state.lock().halted.insert((call, attempt));
    }

    /// Asks the delay function, which takes a while.
    async fn ask_delay(
        &self,
        attempts: &Attempts,
        (attempt, key): (u32, &StepKey),
        error: &ErrorInfo,
    ) -> Option<Result<u64, ErrorInfo>> {
        if error.is_non_retryable() {
            return None;
        }
        let asked = attempts.asked(attempt)?;
        pause(u64::from(attempt) * 3).await;
        Some(asked.map_err(|()| {
            let text = format!("The delay function for step \"{key}\" threw an error: no");
            ErrorInfo::new("NonRetryableDelayError", text)
        }))
    }

    /// User code learns how a step ended.
    fn see(
        &self,
        key: &StepKey,
        call: CallId,
        (outcome, own): (&Outcome, Option<&Value>),
    ) -> Result<u64, Thrown> {
        self.model().sees(self.watch, key, (outcome, own));
        if let Outcome::Refused(_) = outcome {
            // The next call of this name takes its count.
            let mut state = self.state.lock();
            if let Some(count) = state.counts.get_mut(&(key.kind, key.name.clone())) {
                *count -= 1;
            }
        }
        match outcome {
            Outcome::Stored => Ok(own.map_or(0, number)),
            Outcome::Value(value) => Ok(number(value)),
            Outcome::Event { payload, .. } => Ok(number(payload)),
            Outcome::Slept => Ok(1),
            Outcome::Failed(error) | Outcome::Refused(error) => Err(Thrown {
                error: error.clone(),
                call: Some(call),
            }),
        }
    }

    /// Calls a rollback handler.
    pub(crate) fn undo(self: &Arc<Self>, rollback: RunRollback) {
        let work = self.state.lock().undos.get(&rollback.key).cloned();
        let handler = work.as_ref().and_then(|work| work.handler.as_ref());
        let Some(function) = handler.map(|handler| handler.function.clone()) else {
            return self.undone(&rollback, RollbackResult::Missing);
        };
        self.model().undoes(self.watch, &rollback.key, rollback.attempt);
        let run = Arc::clone(self);
        tokio::spawn(async move {
            pause(function.work_millis).await;
            let result = match thrown(&function, rollback.attempt) {
                None => RollbackResult::Returned,
                Some(error) => {
                    let asked = run
                        .ask_delay(&function, (rollback.attempt, &rollback.key), &error)
                        .await;
                    RollbackResult::Threw {
                        error,
                        dynamic_delay: asked,
                    }
                }
            };
            run.undone(&rollback, result);
        });
    }

    fn undone(&self, rollback: &RunRollback, result: RollbackResult) {
        if !self.process.has(self.id) {
            return;
        }
        self.model()
            .undone(self.watch, (&rollback.key, rollback.attempt), &result);
        self.report(ReportKind::RolledBack(RollbackReport {
            step: rollback.step,
            attempt: rollback.attempt,
            result,
        }));
    }
}

/// What an attempt throws, if it does.
fn thrown(attempts: &Attempts, attempt: u32) -> Option<ErrorInfo> {
    if !attempts.throws(attempt) {
        return None;
    }
    Some(if attempts.never_again == Some(attempt) {
        ErrorInfo::new("NonRetryableError", format!("attempt {attempt} is the last"))
    } else {
        ErrorInfo::new("Error", format!("attempt {attempt} fails"))
    })
}

fn caught(ended: Result<u64, Thrown>, fate: Fate) -> Result<u64, Thrown> {
    match (ended, fate) {
        (Err(_), Fate::Caught) => Ok(2),
        (ended, Fate::Caught | Fate::Thrown) => ended,
    }
}

async fn next(ends: &mut mpsc::UnboundedReceiver<Result<u64, Thrown>>) -> Result<u64, Thrown> {
    match ends.recv().await {
        Some(ended) => ended,
        // Branches never go away without an end.
        None => std::future::pending().await,
    }
}

fn config_of(attempts: &Attempts) -> ConfigInput {
    if attempts.config == Given::No {
        return ConfigInput::default();
    }
    let backoff = match attempts.backoff {
        crate::program::Backoff::Constant => "constant",
        crate::program::Backoff::Linear => "linear",
        crate::program::Backoff::Exponential => "exponential",
    };
    ConfigInput {
        retries: Some(RetriesInput {
            limit: f64::from(attempts.limit),
            delay: match attempts.delay {
                Delay::Fixed(millis) => DelayInput::Fixed(DurationInput::Millis(to_float(millis))),
                Delay::Asked { .. } => DelayInput::Dynamic,
            },
            backoff: Some(backoff.into()),
        }),
        timeout: Some(DurationInput::Millis(to_float(attempts.timeout_millis))),
        sensitive: None,
    }
}

pub(crate) async fn pause(millis: u64) {
    if millis > 0 {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

fn number(value: &Value) -> u64 {
    Ledger::text(value.as_bytes())
        .trim_matches(['"', ' '])
        .parse()
        .unwrap_or(0)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of a simulation are far below 2^53"
)]
fn to_float(millis: u64) -> f64 {
    millis as f64
}
