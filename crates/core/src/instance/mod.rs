//! The rules: what an instance makes of each input.
//!
//! This file has the state, the front door and the life of a run; `calls` has step calls and attempts, `commands` what clients ask
//! for, `progress` deadlines, pauses and rest, `rollback` what is undone in the end, `slot` the right to run where it is limited.

mod calls;
mod commands;
mod progress;
mod rollback;
mod slot;

pub use slot::Slot;

use crate::{
    Action, CallId, Corrupt, Durable, Effects, Entry, ErrorInfo, Input, Limits, NonRetryableMessage, Origin,
    Outcomes, Purpose, Raised, Record, Rejected, Seq, Skips, Status, Step, StepCall, StepKey, StepNo,
    StepState, Timestamp,
};
use std::collections::BTreeMap;

/// How often in a row user code may end its process while no attempt executes that could fail instead.
const FAULTS_MAX: u32 = 3;

/// An instance: its durable state and, while user code runs, what is known of the run.
#[derive(Debug, Clone)]
pub struct Instance {
    durable: Durable,
    limits: Limits,
    run: Option<Run>,
    /// Outcomes that no run has been told: the next one sees them in its history.
    untold: Outcomes,
    /// What a test does without.
    skips: Skips,
    /// Whether it may go on where it is limited how many run.
    slot: Slot,
    /// Whether new attempts may start.
    starts: Starts,
}

/// Whether new attempts may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Starts {
    /// As user code asks.
    Any,
    /// Only those that a callback which executes waits for.
    Nested,
}

/// A run of user code. Lost with its process; nothing in here needs to be kept.
#[derive(Debug, Clone)]
struct Run {
    /// What it is doing.
    phase: Phase,
    /// The calls that have not ended, by step, and back.
    call_of: BTreeMap<StepNo, CallId>,
    step_of: BTreeMap<CallId, StepNo>,
    /// The call whose callback has made the call of a step.
    parent_of: BTreeMap<StepNo, CallId>,
    /// Calls that wait for a pause to be called off.
    held: Vec<StepCall>,
    /// Since when user code may be at work without having reported anything; none when it has reported since.
    told_at: Option<Timestamp>,
    /// The last time anything passed between the run and the rules.
    active_at: Timestamp,
}

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// User code goes on.
    Forward,
    /// User code registers its rollback handlers again.
    Rebuilding,
    /// Rollback handlers are called.
    Rollback,
}

/// What the row of an instance shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// State.
    pub status: Status,
    /// First start of user code.
    pub started_at: Option<Timestamp>,
    /// End.
    pub ended_at: Option<Timestamp>,
}

impl Instance {
    /// A new instance and the entry that creates it. The entry carries the parameters.
    pub fn create(now: Timestamp, limits: Limits) -> (Self, Entry) {
        let entry = Entry {
            at: now,
            record: Record::Created,
        };
        (Self::of(Durable::fresh(now, Seq(1)), limits), entry)
    }

    /// The instance that wrote this journal, without a run.
    ///
    /// # Errors
    /// [`Corrupt`] where an entry does not fit those before it.
    pub fn replay<'a>(journal: impl IntoIterator<Item = &'a Entry>, limits: Limits) -> Result<Self, Corrupt> {
        Ok(Self::of(Durable::replay(journal)?, limits))
    }

    fn of(durable: Durable, limits: Limits) -> Self {
        Self {
            durable,
            limits,
            run: None,
            untold: Outcomes::Old,
            skips: Skips::default(),
            slot: Slot::Unlimited,
            starts: Starts::Any,
        }
    }

    /// What the journal says.
    pub fn durable(&self) -> &Durable {
        &self.durable
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether user code is running, as far as the rules know.
    pub fn has_run(&self) -> bool {
        self.run.is_some()
    }

    /// From now on nothing starts but what a callback that executes itself waits for: whoever drives this instance is about to leave. Nothing of
    /// this is in the journal, and it ends with this value.
    pub fn start_no_more(&mut self) {
        self.starts = Starts::Nested;
    }

    /// Whether a callback or a rollback handler of this run executes.
    pub fn executes(&self) -> bool {
        self.run.is_some()
            && if self.durable.status == Status::RollingBack {
                self.executing_rollback().is_some()
            } else {
                self.executes_something()
            }
    }

    /// From now on these waits are over as soon as the rules look.
    pub fn skip(&mut self, skips: Skips) {
        self.skips = skips;
    }

    /// The step of a call of the current run, once it has started.
    pub fn step_of_call(&self, call: CallId) -> Option<&StepKey> {
        let step = *self.run.as_ref()?.step_of.get(&call)?;
        self.durable.step(step).map(|step| &step.key)
    }

    /// What the row shows.
    pub fn summary(&self) -> Summary {
        let durable = &self.durable;
        Summary {
            status: durable.status,
            started_at: durable.started_at,
            ended_at: durable.ended_at,
        }
    }

    /// Decides. The entries of the result are part of the state already; if they cannot be kept, the instance must be dropped
    /// and replayed.
    ///
    /// # Errors
    /// [`Rejected`], for commands only: nothing has changed.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Result<Effects, Rejected> {
        let mut effects = Effects::default();
        let turn = &mut Turn {
            now,
            effects: &mut effects,
        };
        match input {
            Input::Command(command) => self.command(turn, command)?,
            Input::Claimed => self.claimed(turn),
            Input::SlotGranted => self.slot_granted(turn),
            Input::SlotDenied => self.slot_denied(turn),
            Input::RunLost => self.run_lost(turn),
            Input::RunFaulted { error, times } => self.run_faulted(turn, error, times),
            Input::Tick => self.tick(turn),
            Input::Rebuilt => {
                if self.hears_run(turn) {
                    self.rebuilt(turn);
                }
            }
            Input::RolledBack(report) => {
                if self.hears_run(turn) {
                    self.rolled_back(turn, report);
                }
            }
            Input::Called(call) => {
                if self.goes_forward(turn) {
                    self.called(turn, call);
                }
            }
            Input::AttemptSucceeded {
                call,
                attempt,
                bytes,
                output,
            } => {
                if self.goes_forward(turn) {
                    self.attempt_succeeded(turn, (call, attempt), (bytes, output));
                }
            }
            Input::AttemptFailed(failed) => {
                if self.goes_forward(turn) {
                    self.attempt_threw(turn, failed);
                }
            }
            Input::Returned { bytes } => {
                if self.goes_forward(turn) {
                    self.returned(turn, bytes);
                }
            }
            Input::Raised(raised) => {
                if self.goes_forward(turn) {
                    self.raised(turn, raised);
                }
            }
        }
        Ok(effects)
    }

    /// Notes that the run has reported something; `false` when there is no run and the report is void.
    fn hears_run(&mut self, turn: &Turn<'_>) -> bool {
        match &mut self.run {
            Some(run) => {
                run.told_at = None;
                run.active_at = turn.now;
                true
            }
            None => false,
        }
    }

    /// The same for what only user code that goes on reports: in a rollback it comes too late.
    fn goes_forward(&mut self, turn: &Turn<'_>) -> bool {
        self.hears_run(turn) && self.run.as_ref().is_some_and(|run| run.phase == Phase::Forward)
    }

    fn claimed(&mut self, turn: &mut Turn<'_>) {
        if self.run.is_some() {
            return;
        }
        match self.durable.status {
            Status::Complete | Status::Errored | Status::Terminated | Status::Paused => {
                return self.leave(turn, None);
            }
            Status::WaitingForPause => {
                self.fail_lost_attempts(turn, None);
                return self.pause_now(turn);
            }
            Status::RollingBack => return self.claimed_in_rollback(turn),
            Status::Queued | Status::Running | Status::Waiting => {}
        }
        self.fail_lost_attempts(turn, None);
        if self.durable.status == Status::Queued && !self.may_go_on(turn) {
            return;
        }
        self.deliver_events(turn);
        self.meet_deadlines(turn);
        match self.durable.status {
            Status::Queued => {
                self.push(turn, Record::Started);
                self.start_run(turn, Purpose::Progress);
            }
            Status::Running => self.start_run(turn, Purpose::Progress),
            Status::Waiting if self.retry_is_due(turn.now) => {
                if self.may_go_on(turn) {
                    self.push(turn, Record::Running);
                    self.start_run(turn, Purpose::Progress);
                }
            }
            Status::Waiting
            | Status::RollingBack
            | Status::WaitingForPause
            | Status::Paused
            | Status::Errored
            | Status::Terminated
            | Status::Complete => {
                // One that wants a slot goes on, or leaves, with the answer.
                if !self.wants_slot() {
                    let wake_at = self.next_deadline();
                    self.leave(turn, wake_at);
                }
            }
        }
    }

    fn claimed_in_rollback(&mut self, turn: &mut Turn<'_>) {
        self.fail_lost_rollback(turn);
        if self.rollback_is_over() {
            return self.end_rolled_back(turn);
        }
        match self.rollback_retry() {
            Some(retry_at) if retry_at.millis_since(turn.now) > self.limits.rest_after_millis => {
                self.leave(turn, Some(retry_at));
            }
            Some(_) | None => self.start_run(turn, Purpose::Rollback),
        }
    }

    fn start_run(&mut self, turn: &mut Turn<'_>, purpose: Purpose) {
        self.run = Some(Run {
            phase: match purpose {
                Purpose::Progress => Phase::Forward,
                Purpose::Rollback => Phase::Rebuilding,
            },
            call_of: BTreeMap::new(),
            step_of: BTreeMap::new(),
            parent_of: BTreeMap::new(),
            held: Vec::new(),
            told_at: Some(turn.now),
            active_at: turn.now,
        });
        let outcomes = std::mem::replace(&mut self.untold, Outcomes::Old);
        turn.effects.actions.push(Action::StartRun { outcomes, purpose });
    }

    fn run_lost(&mut self, turn: &mut Turn<'_>) {
        if self.run.take().is_some() {
            self.go_on_without_run(turn, None);
        }
    }

    /// The run was lost; `cause` is what has ended its process, where that is known.
    fn go_on_without_run(&mut self, turn: &mut Turn<'_>, cause: Option<&ErrorInfo>) {
        if self.durable.status == Status::RollingBack {
            self.fail_lost_rollback(turn);
            let wake_at = self.rollback_retry().map_or(turn.now, |at| at.max(turn.now));
            return self.leave(turn, Some(wake_at));
        }
        self.fail_lost_attempts(turn, cause);
        self.leave_without_run(turn);
    }

    /// What executes has done it, and fails as if it had thrown. Where nothing executes it is `run()` itself, which is started again a few times.
    fn run_faulted(&mut self, turn: &mut Turn<'_>, error: ErrorInfo, times: u32) {
        if self.run.take().is_none() {
            return;
        }
        if times == 0 {
            return self.go_on_without_run(turn, Some(&error));
        }
        let is_last = times >= FAULTS_MAX;
        if self.durable.status == Status::RollingBack {
            self.fail_faulted_rollback(turn, error, is_last);
            let wake_at = self.rollback_retry().map_or(turn.now, |at| at.max(turn.now));
            return self.leave(turn, Some(wake_at));
        }
        if is_last && !self.executes_something() && self.durable.status != Status::WaitingForPause {
            if self.begin_rollback(turn, Some(error.clone())) {
                return self.leave(turn, Some(turn.now));
            }
            self.push(turn, Record::Errored { error });
            return self.leave(turn, None);
        }
        self.fail_attempts(turn, &error);
        self.fail_lost_attempts(turn, None);
        self.leave_without_run(turn);
    }

    /// Leaves after the run is gone, to be taken up when there is something to do.
    fn leave_without_run(&mut self, turn: &mut Turn<'_>) {
        if self.durable.status == Status::WaitingForPause {
            return self.pause_now(turn);
        }
        let wake_at = if self.wants_slot() {
            None
        } else if self.durable.status == Status::Waiting {
            self.next_deadline()
        } else {
            Some(turn.now)
        };
        self.leave(turn, wake_at);
    }

    fn returned(&mut self, turn: &mut Turn<'_>, bytes: usize) {
        // A pause that came before the end wins; the end comes again after the resume (behaviour §2).
        if self.durable.status == Status::WaitingForPause {
            return self.pause_now(turn);
        }
        let limit = self.limits.result_bytes;
        if bytes > limit {
            let text = format!(
                "The output of run() has {bytes} bytes; the limit is {limit} (setting limits.result_bytes)."
            );
            self.push(
                turn,
                Record::Errored {
                    error: ErrorInfo::internal(text),
                },
            );
        } else {
            self.push(turn, Record::Completed);
        }
        self.leave(turn, None);
    }

    fn raised(&mut self, turn: &mut Turn<'_>, raised: Raised) {
        if self.durable.status == Status::WaitingForPause {
            return self.pause_now(turn);
        }
        let origin = raised.origin;
        let error = self.final_error(raised);
        if origin == Origin::Thrown && self.begin_rollback(turn, Some(error.clone())) {
            if let Some(run) = &mut self.run {
                run.phase = Phase::Rollback;
            }
            return self.roll_on(turn);
        }
        self.push(turn, Record::Errored { error });
        self.leave(turn, None);
    }

    /// An unhandled error that must not be retried is told as such (behaviour §3.1.9).
    fn final_error(&self, raised: Raised) -> ErrorInfo {
        let error = raised.error;
        if !error.is_non_retryable() {
            return error;
        }
        match self.limits.non_retryable_message {
            NonRetryableMessage::Preserved => {
                ErrorInfo::new("NonRetryableError", error.non_retryable_message())
            }
            NonRetryableMessage::Wrapped => ErrorInfo::fatal(
                "The execution of the Workflow instance was terminated, as a step threw an NonRetryableError and it was not handled",
            ),
        }
    }

    /// Gives up the run, if there is one, and the lease.
    fn leave(&mut self, turn: &mut Turn<'_>, wake_at: Option<Timestamp>) {
        if self.run.take().is_some() {
            turn.effects.actions.push(Action::StopRun);
        }
        turn.effects.actions.push(Action::Release { wake_at });
    }

    /// Appends an entry and follows it.
    fn push(&mut self, turn: &mut Turn<'_>, record: Record) {
        let entry = Entry { at: turn.now, record };
        let before = self.durable.status;
        let followed = self.durable.evolve(&entry);
        debug_assert!(followed.is_ok(), "{entry:?}: {followed:?}");
        self.follow_slot(before);
        turn.effects.entries.push(entry);
    }

    /// Ends a step: the entry first, then what user code is told.
    fn settle(&mut self, turn: &mut Turn<'_>, step: StepNo, record: Record) {
        self.push(turn, record);
        self.wake_up(turn);
        if self.run.is_none() {
            self.untold = Outcomes::New;
        }
        let Some(call) = self.run.as_ref().and_then(|run| run.call_of.get(&step).copied()) else {
            return;
        };
        if let Some(Step {
            state: StepState::Ended(outcome),
            ..
        }) = self.durable.step(step)
        {
            let outcome = outcome.clone();
            self.tell(turn, Action::Settle { call, outcome });
        }
    }

    /// User code goes on, or will when it is started: nothing that has happened since may be waited for again.
    fn wake_up(&mut self, turn: &mut Turn<'_>) {
        if self.durable.status == Status::Waiting {
            self.push(turn, Record::Running);
            if self.slot != Slot::Unlimited && self.run.is_some() {
                turn.effects.actions.push(Action::Unhold);
            }
        }
    }

    fn tell(&mut self, turn: &mut Turn<'_>, action: Action) {
        if let Some(run) = &mut self.run {
            run.told_at = Some(turn.now);
            run.active_at = turn.now;
        }
        turn.effects.actions.push(action);
    }
}

/// One input being handled.
struct Turn<'a> {
    now: Timestamp,
    effects: &'a mut Effects,
}

impl Run {
    fn know(&mut self, step: StepNo, (call, parent): (CallId, Option<CallId>)) {
        self.call_of.insert(step, call);
        self.step_of.insert(call, step);
        if let Some(parent) = parent {
            self.parent_of.insert(step, parent);
        }
    }
}
