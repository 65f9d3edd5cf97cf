//! What user code and clients do, and what they are told: it must be in the ledger when they are told.

use super::causes::{Called, End, Sent, Threw};
use super::ledger::{Kept, Ledger, Mark, StepFacts};
use super::views::View;
use super::{Company, Instance, Model, State, Versions};
use crate::program::Spec;
use bytes::Bytes;
use cairn_core::{ErrorInfo, Purpose, RestartFrom, RollbackResult, StepCall, StepKey, Undo};
use cairn_engine::{CommandDone, EngineError, Status};
use cairn_runtime::{Known, Outcome, RunId, RunRollback, StartRun, Value};
use cairn_store::{InboxNo, InstanceNo, Lease};
use std::collections::{BTreeMap, BTreeSet};

/// A run, of one life of one process.
pub(crate) type RunKey = (u64, RunId);

/// A run of user code.
pub(crate) struct Watched {
    no: InstanceNo,
    epoch: u32,
    purpose: Purpose,
    /// Entries that were durable when it began.
    begun: u64,
    lease_epoch: i64,
    /// When it called steps.
    called: BTreeMap<StepKey, i64>,
    executed: BTreeSet<(StepKey, u32)>,
    undone: BTreeSet<(StepKey, u32)>,
    /// Steps that were rolled back when it began.
    undone_before: Vec<StepKey>,
    ended: bool,
    /// Its process has died.
    pub(super) lost: bool,
}

impl Watched {
    /// Whether the holder with this lease has this run, and it goes on.
    pub(super) fn is_of(&self, lease: Lease) -> bool {
        self.lease_epoch == lease.epoch && !self.ended && !self.lost
    }

    /// When it called a step, if it did.
    pub(super) fn called_at(&self, key: &StepKey) -> Option<i64> {
        self.called.get(key).copied()
    }

    pub(super) fn is_going_forward(&self) -> bool {
        self.purpose == Purpose::Progress
    }

    pub(super) fn executes(&self, key: &StepKey, attempt: u32) -> bool {
        self.executed.contains(&(key.clone(), attempt))
    }
}

/// A value as its bytes.
fn kept_of(outcome: &Outcome, own: Option<&Value>) -> Option<Kept> {
    Some(match outcome {
        Outcome::Stored => Kept::Value(own?.as_bytes().clone()),
        Outcome::Value(value) => Kept::Value(value.as_bytes().clone()),
        Outcome::Slept => Kept::Slept,
        Outcome::Event { payload, .. } => Kept::Event(payload.as_bytes().clone()),
        Outcome::Failed(error) | Outcome::Refused(error) => Kept::Failed(error.clone()),
    })
}

impl State {
    fn of_run(&mut self, run: RunKey) -> Option<(&mut Watched, &mut Instance)> {
        let watched = self.runs.get_mut(&run)?;
        let instance = self.instances.get_mut(&watched.no)?;
        Some((watched, instance))
    }

    fn judge(
        &mut self,
        run: RunKey,
        question: impl FnOnce(&mut Watched, &mut Instance) -> Result<(), String>,
    ) {
        let Some((watched, instance)) = self.of_run(run) else {
            return;
        };
        if let Err(fault) = question(watched, instance) {
            let id = instance.ledger.id.clone();
            self.wrong(format!("{id}: {fault}"));
        }
    }
}

impl Model {
    /// The engine starts a run.
    pub(crate) fn begins(&self, run: RunKey, start: &StartRun) {
        let mut state = self.state.lock();
        let id = &start.instance_id;
        state.log(format_args!(
            "{id}: run {}.{} {:?}",
            run.0, run.1.0, start.purpose
        ));
        let no = state.by_id.get(id).copied();
        let created_at = no.and_then(|no| Some(state.instances.get(&no)?.created_at));
        if created_at != Some(start.created_at) && state.deleted.contains_key(id) {
            // Whoever starts it has not heard of that.
            return;
        }
        let Some(no) = no else {
            return state.wrong(format!("a run of {id}, which there is not"));
        };
        let node = match state.rules.company {
            Company::Alone => None,
            Company::Neighbours => state.nodes.get(&run.0).copied(),
        };
        let Some(instance) = state.instances.get_mut(&no) else {
            return;
        };
        let (seen, fault) = match instance.views.of((&instance.ledger, node), start) {
            Ok(seen) => (seen, None),
            Err(fault) => (View::of(&instance.ledger), Some(fault)),
        };
        let view = seen.ledger;
        let of_version = *start.worker.0 == *instance.version;
        let is_current = seen.lease_epoch == instance.ledger.lease_epoch();
        let watched = Watched {
            no,
            epoch: view.epoch,
            purpose: start.purpose,
            begun: seen.begun,
            lease_epoch: seen.lease_epoch,
            called: BTreeMap::new(),
            executed: BTreeSet::new(),
            undone: BTreeSet::new(),
            undone_before: view.undo.as_ref().map_or_else(Vec::new, |undo| undo.done.clone()),
            ended: false,
            lost: false,
        };
        if is_current {
            instance.last_run = Some(run);
        }
        state.runs.insert(run, watched);
        if is_current && !of_version && state.rules.versions == Versions::Pinned {
            state.wrong(format!("{id}: a run on the version {:?}", start.worker));
        }
        if let Some(fault) = fault {
            state.wrong(fault);
        }
    }

    /// The process of a run has died.
    pub(crate) fn lost(&self, run: RunKey) {
        let mut state = self.state.lock();
        if let Some(watched) = state.runs.get_mut(&run) {
            watched.lost = true;
        }
    }

    /// User code has called a step.
    pub(crate) fn called(&self, run: RunKey, call: &StepCall, (eager, parent): (bool, Option<StepKey>)) {
        let mut state = self.state.lock();
        let now = state.now();
        state.judge(run, |watched, instance| {
            watched.called.insert(call.key.clone(), now);
            let calls = instance
                .causes
                .calls
                .entry((watched.epoch, call.key.clone()))
                .or_default();
            calls.push(Called { eager, parent });
            Ok(())
        });
    }

    /// A callback begins.
    pub(crate) fn executes(&self, run: RunKey, key: &StepKey, attempt: u32) {
        let mut state = self.state.lock();
        state.executions += 1;
        state.log(format_args!("run {}.{} executes {key} {attempt}", run.0, run.1.0));
        state.judge(run, |watched, instance| {
            let ledger = &instance.ledger;
            if watched.purpose == Purpose::Rollback {
                return Err(format!("{key} executes in a run that is there to roll back"));
            }
            if !watched.executed.insert((key.clone(), attempt)) {
                return Err(format!("attempt {attempt} of {key} executes twice in one run"));
            }
            if let Some(Spec::Do(work)) = ledger.program.spec(key)
                && attempt > work.callback.limit + 1
            {
                return Err(format!("{key} is tried {attempt} times"));
            }
            match ledger.outcome(watched.epoch, key) {
                Some((at, kept)) if *at < watched.begun => Err(format!(
                    "{key} runs again, although {kept:?} was kept when the run began"
                )),
                Some(_) | None => Ok(()),
            }
        });
    }

    /// A callback returns.
    pub(crate) fn returned(&self, run: RunKey, (key, attempt): (&StepKey, u32), output: &Value) {
        self.state.lock().judge(run, |watched, instance| {
            let cause = (watched.epoch, key.clone(), attempt);
            let returned = instance.causes.returned.entry(cause).or_default();
            returned.push(output.as_bytes().clone());
            Ok(())
        });
    }

    /// A callback returns a stream of these pieces.
    pub(crate) fn streams(&self, run: RunKey, (key, attempt): (&StepKey, u32), pieces: &[Bytes]) {
        self.state.lock().judge(run, |watched, instance| {
            let cause = (watched.epoch, key.clone(), attempt);
            let streamed = instance.causes.streamed.entry(cause).or_default();
            streamed.push(pieces.to_vec());
            Ok(())
        });
    }

    /// The journal names a stream, whose pieces in the store are these.
    pub(crate) fn names_stream(&self, no: InstanceNo, pieces: &[Bytes]) {
        let mut state = self.state.lock();
        let Some(instance) = state.instances.get(&no) else {
            return;
        };
        let mut streamed = instance.causes.streamed.values().flatten();
        if !streamed.any(|stream| stream == pieces) {
            let id = instance.ledger.id.clone();
            state.wrong(format!(
                "{id}: a stream of {pieces:?} is kept, which nobody has returned"
            ));
        }
    }

    /// A callback throws.
    pub(crate) fn threw(
        &self,
        run: RunKey,
        (key, attempt): (&StepKey, u32),
        (error, delay): (ErrorInfo, Option<Result<u64, ErrorInfo>>),
    ) {
        self.state.lock().judge(run, |watched, instance| {
            let cause = (watched.epoch, key.clone(), attempt);
            instance
                .causes
                .thrown
                .entry(cause)
                .or_default()
                .push(Threw { error, delay });
            Ok(())
        });
    }

    /// User code learns how a step ended; `own` is what it has returned itself.
    pub(crate) fn sees(&self, run: RunKey, key: &StepKey, (outcome, own): (&Outcome, Option<&Value>)) {
        let mut state = self.state.lock();
        let seen = kept_of(outcome, own);
        state.log(format_args!("run {}.{} sees {key} {seen:?}", run.0, run.1.0));
        let limit = state.rules.limits.steps;
        state.judge(run, |watched, instance| {
            let ledger = &instance.ledger;
            let seen = seen.ok_or_else(|| format!("{key} is said to be kept, but nothing was returned"))?;
            if let Some((_, kept)) = ledger.outcome(watched.epoch, key) {
                return if *kept == seen {
                    Ok(())
                } else {
                    Err(format!("{key} is {kept:?}, and is seen as {seen:?}"))
                };
            }
            match seen {
                Kept::Failed(error)
                    if error.message.starts_with("The limit of")
                        && (ledger.step_calls() >= limit || watched.lease_epoch < ledger.lease_epoch()) =>
                {
                    // It has not started: the next call of this name is this step.
                    watched.executed.retain(|(executed, _)| executed != key);
                    Ok(())
                }
                seen => Err(format!("{key} is seen as {seen:?}, which is not durable")),
            }
        });
    }

    /// The engine wants a handler to be called.
    pub(crate) fn wants_undone(&self, run: RunKey, rollback: &RunRollback) {
        let (key, attempt) = (&rollback.key, rollback.attempt);
        self.state.lock().judge(run, |watched, instance| {
            let ledger = &instance.ledger;
            if ledger.epoch != watched.epoch {
                return Ok(());
            }
            let undo = ledger
                .undo
                .as_ref()
                .ok_or_else(|| format!("{key} is rolled back, but no rollback has begun"))?;
            if !undo.started.contains(&(key.clone(), attempt)) {
                return Err(format!("the handler of {key} is called before that is durable"));
            }
            if watched.undone_before.contains(key) {
                return Err(format!("{key} is rolled back again"));
            }
            let told = match &undo.error {
                Some(error) => error.clone(),
                None => ErrorInfo::new("Terminated", "Instance terminated during rollback"),
            };
            if rollback.error != told {
                return Err(format!(
                    "the handler of {key} is told {:?} instead of {told:?}",
                    rollback.error
                ));
            }
            Ok(())
        });
    }

    /// A handler is called.
    pub(crate) fn undoes(&self, run: RunKey, key: &StepKey, attempt: u32) {
        let mut state = self.state.lock();
        state.undone += 1;
        state.log(format_args!(
            "run {}.{} rolls back {key} {attempt}",
            run.0, run.1.0
        ));
        state.judge(run, |watched, instance| {
            if let Some(Spec::Do(work)) = instance.ledger.program.spec(key)
                && work
                    .handler
                    .as_ref()
                    .is_none_or(|handler| attempt > handler.function.limit + 1)
            {
                return Err(format!("the handler of {key} is called {attempt} times"));
            }
            if watched.undone.insert((key.clone(), attempt)) {
                Ok(())
            } else {
                Err(format!(
                    "the handler of {key} is called twice in attempt {attempt}"
                ))
            }
        });
    }

    /// A handler has ended, or is not there.
    pub(crate) fn undone(&self, run: RunKey, (key, attempt): (&StepKey, u32), result: &RollbackResult) {
        self.state.lock().judge(run, |watched, instance| {
            let cause = (watched.epoch, key.clone(), attempt);
            instance
                .causes
                .undone
                .entry(cause)
                .or_default()
                .push(result.clone());
            Ok(())
        });
    }

    /// `run()` has ended.
    pub(crate) fn ends(&self, run: RunKey, end: End) {
        let mut state = self.state.lock();
        state.log(format_args!("run {}.{} ends {end:?}", run.0, run.1.0));
        state.judge(run, |watched, instance| {
            watched.ended = true;
            instance.causes.ends.push((watched.epoch, end));
            Ok(())
        });
    }

    /// The store has put an event into an inbox.
    pub(crate) fn posted(&self, no: InstanceNo, message: InboxNo, payload: &Bytes) {
        let mut state = self.state.lock();
        state.log(format_args!("message {} for {}", message.0, no.0));
        if let Some(instance) = state.instances.get_mut(&no) {
            instance.post.add(message, payload);
        }
    }

    /// A client sends something; the length of the journal by then.
    pub(crate) fn sends(&self, id: &str, sent: &Sent) -> (Option<InstanceNo>, u64) {
        let mut state = self.state.lock();
        state.log(format_args!("{id}: a client sends {sent:?}"));
        if let Some(causes) = state.deleted.get_mut(id) {
            causes.sent(sent);
        }
        let no = state.by_id.get(id).copied();
        let Some(instance) = state.instance(id) else {
            return (None, 0);
        };
        instance.causes.sent(sent);
        (no, instance.ledger.entries)
    }

    /// A client is told what became of what he sent.
    pub(crate) fn answered(
        &self,
        id: &str,
        (sent, (no, from)): (&Sent, (Option<InstanceNo>, u64)),
        answer: &Result<CommandDone, EngineError>,
    ) {
        let mut state = self.state.lock();
        let said = match answer {
            Ok(done) => done.status.as_str().to_owned(),
            Err(error) => error.to_string(),
        };
        state.log(format_args!("{id}: the answer to {sent:?} is {said}"));
        if state.by_id.get(id).copied() != no {
            // It was deleted meanwhile.
            return;
        }
        let Some(instance) = state.instance(id) else {
            return;
        };
        let fault = match answer {
            Ok(done) => check_answer(&instance.ledger, (sent, from), done.status),
            Err(EngineError::Rejected(_)) => check_rejection(&instance.ledger, (sent, from)),
            Err(_) => Ok(()),
        };
        if let Err(fault) = fault {
            state.wrong(format!("{id}: {sent:?} was answered with {said}, but {fault}"));
        }
    }
}

/// A run is shown all steps that have started, and how they ended: nothing that is not durable, and all that was when the instance was taken up.
pub(super) fn check_history(ledger: &Ledger, start: &StartRun) -> Result<(), String> {
    let id = &ledger.id;
    let keys = |step: &StepFacts| step.key.clone();
    if !start.history.iter().map(|step| &step.key).eq(ledger
        .steps
        .iter()
        .map(keys)
        .collect::<Vec<_>>()
        .iter())
    {
        return Err(format!("{id}: a run is shown the steps {:?}", start.history));
    }
    for step in &start.history {
        let kept = ledger.outcome(ledger.epoch, &step.key);
        let is_right = match (history_of(&step.known), kept) {
            (Some(shown), Some((_, kept))) => shown == *kept,
            (None, Some((at, _))) => *at >= ledger.claimed_at(),
            (None, None) => true,
            (Some(_), None) => false,
        };
        if !is_right {
            return Err(format!(
                "{id}: a run is shown {:?} as {:?}, but {kept:?} is kept",
                step.key, step.known
            ));
        }
    }
    Ok(())
}

pub(super) fn history_of(known: &Known) -> Option<Kept> {
    match known {
        Known::Ended(outcome) => kept_of(outcome, None),
        Known::Open => None,
    }
}

/// What a client is told is durable.
fn check_answer(ledger: &Ledger, (sent, from): (&Sent, u64), status: Status) -> Result<(), &'static str> {
    let done = match sent {
        Sent::Event(number, _) => status.is_final() || ledger.received.contains(number),
        // Nothing happens to one that is paused already, or has ended.
        Sent::Pause => match status {
            Status::Paused | Status::WaitingForPause => ledger.has_since(0, Mark::Pause),
            Status::RollingBack | Status::Errored | Status::Terminated | Status::Complete => true,
            Status::Queued | Status::Running | Status::Waiting => false,
        },
        Sent::Resume => ledger.has_since(from, Mark::Resume),
        Sent::Terminate(_) => ledger.has_since(from, Mark::Terminate),
        Sent::Restart(_) => ledger.has_since(from, Mark::Restart),
    };
    if done {
        Ok(())
    } else {
        Err("the journal does not say so")
    }
}

/// What a client is refused cannot be done.
fn check_rejection(ledger: &Ledger, (sent, from): (&Sent, u64)) -> Result<(), &'static str> {
    if ledger.entries != from {
        // Something else has happened meanwhile.
        return Ok(());
    }
    let possible = match sent {
        Sent::Event(..) | Sent::Pause => false,
        Sent::Resume => matches!(ledger.status, Status::Paused | Status::WaitingForPause),
        Sent::Terminate(Undo::Nothing | Undo::Steps) => !ledger.status.is_final(),
        Sent::Restart(RestartFrom::Beginning) => true,
        Sent::Restart(RestartFrom::Step(key)) => ledger.step(key).is_some(),
    };
    if possible { Err("it can be done") } else { Ok(()) }
}
