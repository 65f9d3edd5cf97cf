//! What time does to an instance: deadlines, pauses that take effect, waiting and rest.

use super::{Instance, Run, Starts, Turn};
use crate::{Action, ErrorInfo, Record, Seq, Status, Step, StepNo, StepState, Timestamp};

/// When what is skipped was due.
pub(super) const OVERDUE: Timestamp = Timestamp(0);

impl Instance {
    /// When [`Input::Tick`](crate::Input::Tick) is due next, if ever.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let run = self.run.as_ref()?;
        let quiet_at = match self.durable.status {
            Status::Waiting if self.wants_slot() || self.may_rest(run) => Some(self.quiet_at(run)),
            Status::Running if !self.executes_something() && self.waits_for_something() => run
                .told_at
                .map(|told_at| told_at.plus(self.limits.rest_quiet_millis)),
            Status::Waiting
            | Status::Running
            | Status::Queued
            | Status::Paused
            | Status::WaitingForPause
            | Status::RollingBack
            | Status::Errored
            | Status::Terminated
            | Status::Complete => None,
        };
        [
            self.next_timeout(),
            self.next_deadline_of_run(),
            quiet_at,
            self.next_rollback_wake(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub(super) fn tick(&mut self, turn: &mut Turn<'_>) {
        if self.run.is_none() {
            return;
        }
        if self.durable.status == Status::RollingBack {
            return self.tick_rollback(turn);
        }
        self.time_out_attempts(turn);
        match self.durable.status {
            Status::WaitingForPause if !self.executes_something() => self.pause_now(turn),
            Status::WaitingForPause => {
                self.deliver_events(turn);
                self.meet_deadlines(turn);
                self.start_due_retries(turn);
            }
            Status::Running | Status::Waiting => {
                self.deliver_events(turn);
                self.meet_deadlines(turn);
                self.start_due_retries(turn);
                if self.durable.status == Status::Running {
                    self.start_held_calls(turn);
                }
                self.begin_waiting(turn);
                self.rest(turn);
            }
            Status::RollingBack
            | Status::Queued
            | Status::Paused
            | Status::Errored
            | Status::Terminated
            | Status::Complete => {}
        }
    }

    pub(super) fn executes_something(&self) -> bool {
        self.durable
            .open
            .iter()
            .any(|step| matches!(self.state(*step), Some(StepState::Executing { .. })))
    }

    /// Whether a call of this run waits for a deadline or an event.
    fn waits_for_something(&self) -> bool {
        let Some(run) = &self.run else { return false };
        let waits = |step: &StepNo| {
            matches!(
                self.state(*step),
                Some(
                    StepState::Retrying { .. }
                        | StepState::Sleeping { .. }
                        | StepState::WaitingForEvent { .. }
                )
            )
        };
        self.durable
            .open
            .iter()
            .any(|step| waits(step) && run.call_of.contains_key(step))
    }

    fn state(&self, step: StepNo) -> Option<&StepState> {
        self.durable.step(step).map(|step| &step.state)
    }

    fn time_out_attempts(&mut self, turn: &mut Turn<'_>) {
        for step in self.open_steps() {
            let Some(StepState::Executing { since, .. }) = self.state(step) else {
                continue;
            };
            let timeout_millis = self.timeout_of(step);
            if since.plus(timeout_millis) <= turn.now {
                self.attempt_failed(turn, step, (ErrorInfo::timeout(timeout_millis), None));
                if let Some(run) = &mut self.run {
                    run.active_at = turn.now;
                }
            }
        }
    }

    fn next_timeout(&self) -> Option<Timestamp> {
        if self.durable.status == Status::RollingBack {
            return None;
        }
        let timeouts = self
            .durable
            .open
            .iter()
            .filter_map(|step| match self.state(*step)? {
                StepState::Executing { since, .. } => Some(since.plus(self.timeout_of(*step))),
                StepState::Retrying { .. }
                | StepState::Sleeping { .. }
                | StepState::WaitingForEvent { .. }
                | StepState::Failing
                | StepState::Ended(_) => None,
            });
        timeouts.min()
    }

    /// Ends the sleeps and waits whose time has come.
    pub(super) fn meet_deadlines(&mut self, turn: &mut Turn<'_>) {
        for step in self.open_steps() {
            if !self.is_due(step, turn.now) || self.is_held_for_pause(step) {
                continue;
            }
            let record = match self.state(step) {
                Some(StepState::Sleeping { .. }) => Record::SleepCompleted { step },
                Some(StepState::WaitingForEvent { timeout_millis, .. }) => Record::WaitTimedOut {
                    step,
                    timeout_millis: *timeout_millis,
                },
                _ => continue,
            };
            if !self.may_go_on(turn) {
                return;
            }
            self.settle(turn, step, record);
        }
    }

    /// Gives each buffered event to the oldest wait of its type that had time left when it came. Deadlines are met after this, so that an
    /// event that was in time wins, however long the instance waited for a slot.
    pub(super) fn deliver_events(&mut self, turn: &mut Turn<'_>) {
        match self.durable.status {
            Status::Queued | Status::Running | Status::Waiting | Status::WaitingForPause => {}
            Status::Paused
            | Status::RollingBack
            | Status::Errored
            | Status::Terminated
            | Status::Complete => return,
        }
        if self.durable.events.is_empty() {
            return;
        }
        for step in self.open_steps() {
            if self.is_held_for_pause(step) {
                continue;
            }
            let Some(event) = self.event_for(step) else {
                continue;
            };
            if !self.may_go_on(turn) {
                return;
            }
            self.settle(turn, step, Record::WaitCompleted { step, event });
        }
    }

    /// The event that a waiting step takes, if there is one.
    fn event_for(&self, step: StepNo) -> Option<Seq> {
        let Some(StepState::WaitingForEvent { event_type, .. }) = self.state(step) else {
            return None;
        };
        let event = self.durable.events.get(event_type)?.front()?;
        (!self.is_due(step, event.at)).then_some(event.seq)
    }

    /// While a pause is coming nothing goes on but what a callback that executes waits for.
    fn is_held_for_pause(&self, step: StepNo) -> bool {
        self.durable.status == Status::WaitingForPause && !self.is_nested(step)
    }

    /// The same while whoever drives this instance is about to leave.
    fn may_retry(&self, step: StepNo) -> bool {
        self.starts == Starts::Any || self.is_nested(step)
    }

    pub(super) fn start_due_retries(&mut self, turn: &mut Turn<'_>) {
        for step in self.open_steps() {
            if self.is_held_for_pause(step) || !self.may_retry(step) {
                continue;
            }
            let Some(StepState::Retrying { attempt, .. }) = self.state(step) else {
                continue;
            };
            let attempt = attempt + 1;
            let Some(call) = self.run.as_ref().and_then(|run| run.call_of.get(&step).copied()) else {
                continue;
            };
            if self.is_due(step, turn.now) {
                if !self.may_go_on(turn) {
                    return;
                }
                self.push(turn, Record::AttemptStarted { step, attempt });
                self.wake_up(turn);
                self.tell(turn, Action::RunAttempt { call, attempt });
            }
        }
    }

    pub(super) fn retry_is_due(&self, now: Timestamp) -> bool {
        let due = |step: &StepNo| {
            matches!(self.state(*step), Some(StepState::Retrying { .. })) && self.is_due(*step, now)
        };
        self.durable.open.iter().any(due)
    }

    /// `running` becomes `waiting` when nothing executes, something waits, and user code has nothing left to do: it has reported since it
    /// was last told something, or been quiet for a while.
    fn begin_waiting(&mut self, turn: &mut Turn<'_>) {
        let Some(run) = &self.run else { return };
        let at_work = run
            .told_at
            .is_some_and(|told_at| turn.now.millis_since(told_at) < self.limits.rest_quiet_millis);
        if self.durable.status == Status::Running
            && !at_work
            && !self.executes_something()
            && self.waits_for_something()
        {
            self.push(turn, Record::Waiting);
            if self.is_held_back() {
                turn.effects.actions.push(Action::Hold);
            }
        }
    }

    fn rest(&mut self, turn: &mut Turn<'_>) {
        let Some(run) = &self.run else { return };
        if self.durable.status != Status::Waiting || self.quiet_at(run) > turn.now {
            return;
        }
        if self.wants_slot() {
            self.leave(turn, None);
        } else if self.may_rest(run) {
            let wake_at = self.next_deadline();
            self.leave(turn, wake_at);
        }
    }

    /// When a run counts as quiet, if nothing comes up.
    fn quiet_at(&self, run: &Run) -> Timestamp {
        run.active_at.plus(self.limits.rest_quiet_millis)
    }

    /// Whether what it waits for is far enough away to leave memory once it is quiet.
    fn may_rest(&self, run: &Run) -> bool {
        let quiet_at = self.quiet_at(run);
        self.next_deadline()
            .is_some_and(|deadline| deadline.millis_since(quiet_at) > self.limits.rest_after_millis)
    }

    /// The next sleep, wait or retry that is due, whether a run knows of it or not.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.durable
            .open
            .iter()
            .filter_map(|step| self.deadline_of(*step))
            .min()
    }

    /// The same without retries that this run has not called yet: there is nothing to do about them.
    fn next_deadline_of_run(&self) -> Option<Timestamp> {
        let goes_on = matches!(
            self.durable.status,
            Status::Running | Status::Waiting | Status::WaitingForPause
        );
        if !goes_on {
            return None;
        }
        if self.wants_slot() {
            return None;
        }
        let run = self.run.as_ref()?;
        let actionable = |step: &&StepNo| {
            let is_retry = matches!(self.state(**step), Some(StepState::Retrying { .. }));
            !self.is_held_for_pause(**step)
                && (!is_retry || (run.call_of.contains_key(*step) && self.may_retry(**step)))
        };
        self.durable
            .open
            .iter()
            .filter(actionable)
            .filter_map(|step| self.deadline_of(*step))
            .min()
    }

    /// Whether what a step waits for is over.
    fn is_due(&self, step: StepNo, now: Timestamp) -> bool {
        self.deadline_of(step).is_some_and(|at| at <= now)
    }

    fn deadline_of(&self, step: StepNo) -> Option<Timestamp> {
        let Step { key, state, .. } = self.durable.step(step)?;
        match state {
            StepState::Retrying { .. } | StepState::Sleeping { .. } | StepState::WaitingForEvent { .. }
                if self.skips.has(key) =>
            {
                Some(OVERDUE)
            }
            StepState::Retrying { retry_at: at, .. }
            | StepState::Sleeping { until: at }
            | StepState::WaitingForEvent { deadline: at, .. } => Some(*at),
            StepState::Executing { .. } | StepState::Failing | StepState::Ended(_) => None,
        }
    }
}
