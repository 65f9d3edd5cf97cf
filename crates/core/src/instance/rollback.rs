//! Rollbacks: what steps have done is undone, newest first, one handler at a time (behaviour §3.5).
//!
//! Handlers are functions in a run. A run that is there when `run()` throws is asked; without one, or after a termination, a run is
//! started that sees recorded outcomes only, to have them registered again.

use super::progress::OVERDUE;
use super::{Instance, Phase, Starts, Turn};
use crate::{
    Action, ErrorInfo, Record, RollbackReport, RollbackResult, RollbackState, Status, StepConfig, StepNo,
    Timestamp,
};

/// When a handler that threw is called again.
enum Again {
    /// As its configuration says.
    AsConfigured,
    /// As its delay function says.
    AsAsked(Result<u64, ErrorInfo>),
    /// At once.
    AtOnce,
}

const LOST_ATTEMPT: &str = "Attempt failed due to internal workflows error";

impl Instance {
    /// Begins to roll back; `error` is what `run()` threw. `false` when no step has a handler.
    pub(super) fn begin_rollback(&mut self, turn: &mut Turn<'_>, error: Option<ErrorInfo>) -> bool {
        if self.durable.steps_to_roll_back().is_empty() {
            return false;
        }
        self.push(turn, Record::RollbackStarted { error });
        true
    }

    /// The run has its handlers.
    pub(super) fn rebuilt(&mut self, turn: &mut Turn<'_>) {
        if let Some(run) = &mut self.run
            && run.phase == Phase::Rebuilding
        {
            run.phase = Phase::Rollback;
            self.roll_on(turn);
        }
    }

    /// Takes the next step of a rollback that is due.
    pub(super) fn roll_on(&mut self, turn: &mut Turn<'_>) {
        if !self.run.as_ref().is_some_and(|run| run.phase == Phase::Rollback) {
            return;
        }
        if self.starts == Starts::Nested && !self.rollback_is_over() {
            return;
        }
        let Some(rollback) = &self.durable.rollback else {
            return;
        };
        match (&rollback.state, rollback.current()) {
            (RollbackState::Between, Some(step)) => self.start_rollback_attempt(turn, step, 1),
            (RollbackState::Retrying { attempt, .. }, Some(step))
                if self.rollback_retry().is_some_and(|at| at <= turn.now) =>
            {
                let attempt = attempt + 1;
                self.start_rollback_attempt(turn, step, attempt);
            }
            (RollbackState::Between | RollbackState::Failed(_) | RollbackState::Ended, _) => {
                self.end_rolled_back(turn);
            }
            (
                RollbackState::Executing { .. } | RollbackState::Retrying { .. } | RollbackState::Failing,
                _,
            ) => {}
        }
    }

    fn start_rollback_attempt(&mut self, turn: &mut Turn<'_>, step: StepNo, attempt: u32) {
        self.push(turn, Record::RollbackAttemptStarted { step, attempt });
        let error = self.rollback_error();
        self.tell(turn, Action::RunRollback { step, attempt, error });
    }

    /// What handlers are told.
    fn rollback_error(&self) -> ErrorInfo {
        let thrown = self
            .durable
            .rollback
            .as_ref()
            .and_then(|rollback| rollback.error.clone());
        thrown.unwrap_or_else(|| ErrorInfo::new("Terminated", "Instance terminated during rollback"))
    }

    /// Whether nothing is left to do but to end.
    pub(super) fn rollback_is_over(&self) -> bool {
        let Some(rollback) = &self.durable.rollback else {
            return false;
        };
        match rollback.state {
            RollbackState::Between => rollback.current().is_none(),
            RollbackState::Failed(_) | RollbackState::Ended => true,
            RollbackState::Executing { .. } | RollbackState::Retrying { .. } | RollbackState::Failing => {
                false
            }
        }
    }

    /// Ends the instance the way it would have ended without a rollback.
    pub(super) fn end_rolled_back(&mut self, turn: &mut Turn<'_>) {
        let Some(rollback) = self.durable.rollback.clone() else {
            return;
        };
        match rollback.state {
            RollbackState::Failed(error) => self.push(turn, Record::RollbackEnded { error: Some(error) }),
            RollbackState::Between => self.push(turn, Record::RollbackEnded { error: None }),
            RollbackState::Executing { .. }
            | RollbackState::Retrying { .. }
            | RollbackState::Failing
            | RollbackState::Ended => {}
        }
        match rollback.error {
            Some(error) => self.push(turn, Record::Errored { error }),
            None => self.push(turn, Record::Terminated),
        }
        self.leave(turn, None);
    }

    pub(super) fn rolled_back(&mut self, turn: &mut Turn<'_>, report: RollbackReport) {
        if self.executing_rollback() != Some((report.step, report.attempt)) {
            return;
        }
        let step = report.step;
        match report.result {
            RollbackResult::Returned => self.push(turn, Record::RollbackStepCompleted { step }),
            RollbackResult::Missing => {
                let error = ErrorInfo::new("RollbackMissing", "Rollback function not available in registry");
                self.push(turn, Record::RollbackStepFailed { step, error });
            }
            RollbackResult::Threw { error, dynamic_delay } => {
                let again = dynamic_delay.map_or(Again::AsConfigured, Again::AsAsked);
                self.rollback_attempt_failed(turn, error, again);
            }
        }
        self.roll_on(turn);
    }

    pub(super) fn executing_rollback(&self) -> Option<(StepNo, u32)> {
        let rollback = self.durable.rollback.as_ref()?;
        match rollback.state {
            RollbackState::Executing { attempt, .. } => Some((rollback.current()?, attempt)),
            RollbackState::Between
            | RollbackState::Retrying { .. }
            | RollbackState::Failing
            | RollbackState::Failed(_)
            | RollbackState::Ended => None,
        }
    }

    fn rollback_config(&self, step: StepNo) -> StepConfig {
        let kept = self.durable.step(step).and_then(|step| step.rollback.clone());
        kept.unwrap_or_else(|| StepConfig::defaults(&self.limits))
    }

    fn rollback_attempt_failed(&mut self, turn: &mut Turn<'_>, error: ErrorInfo, again: Again) {
        let Some((step, attempt)) = self.executing_rollback() else {
            return;
        };
        let config = self.rollback_config(step);
        let (retry_at, shown) = match again {
            _ if error.is_non_retryable() || attempt > config.limit => (None, error.clone()),
            Again::AsAsked(Err(delay_error)) => (None, delay_error),
            Again::AsAsked(Ok(millis)) => (Some(config.delay_after(attempt, Some(millis))), error.clone()),
            Again::AsConfigured => (Some(config.delay_after(attempt, None)), error.clone()),
            Again::AtOnce => (Some(0), error.clone()),
        };
        let retry_at = retry_at.map(|millis| turn.now.plus(millis.min(self.limits.wait_millis)));
        self.push(
            turn,
            Record::RollbackAttemptFailed {
                step,
                attempt,
                error,
                retry_at,
            },
        );
        if retry_at.is_none() {
            self.push(turn, Record::RollbackStepFailed { step, error: shown });
        }
    }

    /// A handler without a run has been lost with its process: the attempt counts, and the next is due at once.
    pub(super) fn fail_lost_rollback(&mut self, turn: &mut Turn<'_>) {
        if self.executing_rollback().is_some() {
            self.rollback_attempt_failed(turn, ErrorInfo::internal(LOST_ATTEMPT), Again::AtOnce);
        }
        // A journal that ends between the two entries of a failure.
        if let Some(rollback) = &self.durable.rollback
            && rollback.state == RollbackState::Failing
            && let Some(step) = rollback.current()
        {
            let error = ErrorInfo::internal(LOST_ATTEMPT);
            self.push(turn, Record::RollbackStepFailed { step, error });
        }
    }

    /// The handler that executes has ended its process. Where none does it is user code that was to register them: it is started again, until `is_last`.
    pub(super) fn fail_faulted_rollback(&mut self, turn: &mut Turn<'_>, error: ErrorInfo, is_last: bool) {
        let current = self
            .durable
            .rollback
            .as_ref()
            .and_then(|rollback| Some((rollback.current()?, rollback.state.clone())));
        let attempt = match current {
            Some((step, RollbackState::Between)) => Some((step, 1)),
            Some((step, RollbackState::Retrying { attempt, .. })) => Some((step, attempt + 1)),
            Some((
                _,
                RollbackState::Executing { .. }
                | RollbackState::Failing
                | RollbackState::Failed(_)
                | RollbackState::Ended,
            ))
            | None => None,
        };
        if let Some((step, attempt)) = attempt.filter(|_| is_last) {
            self.push(turn, Record::RollbackAttemptStarted { step, attempt });
            let (retry_at, shown) = (None, error.clone());
            let failed = Record::RollbackAttemptFailed {
                step,
                attempt,
                error,
                retry_at,
            };
            self.push(turn, failed);
            return self.push(turn, Record::RollbackStepFailed { step, error: shown });
        }
        self.rollback_attempt_failed(turn, error, Again::AsConfigured);
        self.fail_lost_rollback(turn);
    }

    /// Time passes: a handler may take too long, a retry become due or be far away.
    pub(super) fn tick_rollback(&mut self, turn: &mut Turn<'_>) {
        if self.rollback_timeout().is_some_and(|at| at <= turn.now)
            && let Some((step, _)) = self.executing_rollback()
        {
            let error = ErrorInfo::timeout(self.rollback_config(step).timeout_millis);
            self.rollback_attempt_failed(turn, error, Again::AsConfigured);
        }
        self.roll_on(turn);
        if let Some(retry_at) = self.rollback_retry()
            && retry_at.millis_since(turn.now) > self.limits.rest_after_millis
        {
            self.leave(turn, Some(retry_at));
        }
    }

    /// When a rollback goes on by itself.
    pub(super) fn next_rollback_wake(&self) -> Option<Timestamp> {
        if self.durable.status != Status::RollingBack {
            return None;
        }
        let rolling = self.run.as_ref().is_some_and(|run| run.phase == Phase::Rollback);
        self.rollback_timeout()
            .or_else(|| self.rollback_retry().filter(|_| rolling))
    }

    fn rollback_timeout(&self) -> Option<Timestamp> {
        let rollback = self.durable.rollback.as_ref()?;
        let RollbackState::Executing { since, .. } = rollback.state else {
            return None;
        };
        Some(since.plus(self.rollback_config(rollback.current()?).timeout_millis))
    }

    pub(super) fn rollback_retry(&self) -> Option<Timestamp> {
        let rollback = self.durable.rollback.as_ref()?;
        let key = rollback
            .current()
            .and_then(|step| self.durable.step(step))
            .map(|step| &step.key);
        match rollback.state {
            RollbackState::Retrying { .. } if key.is_some_and(|key| self.skips.retry_delays.has(key)) => {
                Some(OVERDUE)
            }
            RollbackState::Retrying { retry_at, .. } => Some(retry_at),
            RollbackState::Between
            | RollbackState::Executing { .. }
            | RollbackState::Failing
            | RollbackState::Failed(_)
            | RollbackState::Ended => None,
        }
    }
}
