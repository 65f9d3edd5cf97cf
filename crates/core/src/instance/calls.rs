//! Step calls and the attempts of `step.do` (behaviour §3.1, §3.3, §3.4).

use super::{Instance, Starts, Turn};
use crate::{
    Action, CallId, CallRequest, Callback, ConfigInput, DurationInput, ErrorInfo, FailedAttempt,
    InvalidConfig, NonRetryableMessage, Outcome, OutputKind, Record, Status, StepCall, StepConfig, StepKey,
    StepKind, StepNo, StepState, Timestamp, check_event_type, check_step_name, parse_duration,
};

const LOST_ATTEMPT: &str = "Attempt failed due to internal workflows error";
const EVENT_TIMEOUT_MILLIS: i64 = 86_400_000;

impl Instance {
    pub(super) fn called(&mut self, turn: &mut Turn<'_>, call: StepCall) {
        match self.durable.find(&call.key) {
            Some(step) => self.called_again(turn, step, &call),
            None if self.must_hold(&call) => {
                self.hold(call);
                if self.is_held_back() {
                    self.may_go_on(turn);
                }
            }
            None => {
                if let Err(error) = self.start_step(turn, &call) {
                    self.tell(
                        turn,
                        Action::Settle {
                            call: call.call,
                            outcome: Outcome::Refused(error),
                        },
                    );
                }
            }
        }
    }

    /// A call of a step that the journal knows: of an earlier run, or ended since this run began.
    fn called_again(&mut self, turn: &mut Turn<'_>, step: StepNo, again: &StepCall) {
        let (call, parent) = (again.call, again.parent);
        let Some(run) = &mut self.run else { return };
        let known_already = run.call_of.contains_key(&step);
        if known_already {
            let error = ErrorInfo::fatal("This step is being executed by another call of this run");
            return self.tell(
                turn,
                Action::Settle {
                    call,
                    outcome: Outcome::Failed(error),
                },
            );
        }
        run.know(step, (call, parent));
        if let Some(StepState::Ended(outcome)) = self.durable.step(step).map(|step| &step.state) {
            let outcome = outcome.clone();
            self.tell(turn, Action::Settle { call, outcome });
        }
    }

    /// While a pause or the end of the process is coming no step starts, but those that a running callback itself waits for; while a slot is missing no callback does.
    fn must_hold(&self, call: &StepCall) -> bool {
        let executing = matches!(
            call.request,
            CallRequest::Do {
                callback: Callback::Executing,
                ..
            }
        );
        let idle = matches!(call.request, CallRequest::Do { .. }) && !executing;
        let pauses = self.durable.status == Status::WaitingForPause || self.starts == Starts::Nested;
        (pauses && !executing && !self.is_executing(call.parent)) || (idle && self.is_held_back())
    }

    fn is_executing(&self, call: Option<CallId>) -> bool {
        let step = call
            .and_then(|call| self.run.as_ref()?.step_of.get(&call))
            .and_then(|step| self.durable.step(*step));
        step.is_some_and(|step| matches!(step.state, StepState::Executing { .. }))
    }

    /// Whether a callback that executes waits for this step.
    pub(super) fn is_nested(&self, step: StepNo) -> bool {
        let parent = self.run.as_ref().and_then(|run| run.parent_of.get(&step));
        parent.is_some_and(|parent| self.is_executing(Some(*parent)))
    }

    fn hold(&mut self, call: StepCall) {
        if let Some(run) = &mut self.run {
            run.held.push(call);
        }
    }

    pub(super) fn start_held_calls(&mut self, turn: &mut Turn<'_>) {
        let held = self
            .run
            .as_mut()
            .map(|run| std::mem::take(&mut run.held))
            .unwrap_or_default();
        for call in held {
            self.called(turn, call);
        }
    }

    fn start_step(&mut self, turn: &mut Turn<'_>, call: &StepCall) -> Result<(), ErrorInfo> {
        let step = StepNo(u32::try_from(self.durable.steps().len()).unwrap_or(u32::MAX));
        let record = self.first_entry(turn.now, step, call)?;
        self.push(turn, record);
        if let Some(run) = &mut self.run {
            run.know(step, (call.call, call.parent));
        }
        match call.request {
            CallRequest::Do {
                callback: Callback::Executing,
                ..
            } => self.wake_up(turn),
            CallRequest::Do {
                callback: Callback::Idle,
                ..
            } => {
                self.wake_up(turn);
                self.tell(
                    turn,
                    Action::RunAttempt {
                        call: call.call,
                        attempt: 1,
                    },
                );
            }
            CallRequest::Sleep { .. } | CallRequest::SleepUntil { .. } => {}
            CallRequest::WaitForEvent { .. } => self.deliver_events(turn),
        }
        Ok(())
    }

    /// The entry a new step starts with, or what is wrong with the call.
    fn first_entry(&self, now: Timestamp, step: StepNo, call: &StepCall) -> Result<Record, ErrorInfo> {
        check_key(call)?;
        let (name, count) = (call.key.name.clone(), call.key.count);
        Ok(match &call.request {
            CallRequest::Do { config, rollback, .. } => {
                let config = self.resolve(("Step", &name), config.as_ref())?;
                self.check_step_limit()?;
                let rollback = match rollback {
                    None => None,
                    Some(input) => {
                        let resolved = self.resolve(("Rollback", &name), input.as_ref())?;
                        Some(resolved.unwrap_or_else(|| StepConfig::defaults(&self.limits)))
                    }
                };
                Record::StepStarted {
                    step,
                    name,
                    count,
                    config,
                    rollback,
                }
            }
            CallRequest::Sleep { duration } => Record::SleepStarted {
                step,
                name,
                count,
                until: self.sleep_end(now, duration)?,
            },
            CallRequest::SleepUntil { millis } => Record::SleepStarted {
                step,
                name,
                count,
                until: self.sleep_until(now, self.unless_skipped(now, (&call.key, *millis)))?,
            },
            CallRequest::WaitForEvent { event_type, timeout } => {
                let timeout_millis = self.wait_timeout(event_type, timeout.as_ref())?;
                let deadline = now.plus(timeout_millis);
                Record::WaitStarted {
                    step,
                    name,
                    count,
                    event_type: event_type.clone(),
                    deadline,
                    timeout_millis,
                }
            }
        })
    }

    /// The configuration to keep: none for the defaults.
    fn resolve(
        &self,
        (whose, name): (&str, &str),
        input: Result<&ConfigInput, &InvalidConfig>,
    ) -> Result<Option<StepConfig>, ErrorInfo> {
        let resolved = input.map_err(|_| InvalidConfig).and_then(|input| {
            if *input == ConfigInput::default() {
                Ok(None)
            } else {
                StepConfig::resolve(input, &self.limits).map(Some)
            }
        });
        resolved.map_err(|InvalidConfig| {
            ErrorInfo::fatal(format!(
                "{whose} config for \"{name}\" is in a invalid format. See https://developers.cloudflare.com/workflows/build/sleeping-and-retrying/"
            ))
        })
    }

    fn check_step_limit(&self) -> Result<(), ErrorInfo> {
        let limit = self.limits.steps;
        if self.durable.dos >= limit {
            return Err(ErrorInfo::fatal(format!(
                "The limit of {limit} steps has been reached. This limit can be changed in your worker configuration."
            )));
        }
        Ok(())
    }

    fn sleep_end(&self, now: Timestamp, duration: &DurationInput) -> Result<Timestamp, ErrorInfo> {
        let millis =
            parse_duration(duration).map_err(|error| ErrorInfo::new("TypeError", error.to_string()))?;
        self.until(now, now.0.saturating_add(millis))
    }

    fn sleep_until(&self, now: Timestamp, millis: f64) -> Result<Timestamp, ErrorInfo> {
        if !millis.is_finite() {
            return Err(ErrorInfo::new(
                "TypeError",
                "sleepUntil needs a valid Date or a number of milliseconds",
            ));
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "saturates, and the range is checked next"
        )]
        self.until(now, millis as i64)
    }

    /// A time in the past is no mistake where the sleep is skipped: a test may have put the clock forward, unknown to user code.
    fn unless_skipped(&self, now: Timestamp, (key, millis): (&StepKey, f64)) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "exact to a millisecond for 280,000 years"
        )]
        let now = now.0 as f64;
        if millis.is_finite() && self.skips.has(key) {
            millis.max(now)
        } else {
            millis
        }
    }

    fn until(&self, now: Timestamp, millis: i64) -> Result<Timestamp, ErrorInfo> {
        if millis < now.0 {
            return Err(ErrorInfo::new(
                "Error",
                "You can't sleep until a time in the past, time-traveler",
            ));
        }
        self.within_wait_limit(Timestamp(millis).millis_since(now))?;
        Ok(Timestamp(millis))
    }

    fn wait_timeout(&self, event_type: &str, timeout: Option<&DurationInput>) -> Result<u64, ErrorInfo> {
        check_event_type(event_type).map_err(|reason| {
            ErrorInfo::fatal(format!("Event type \"{event_type}\" is invalid: {reason}"))
        })?;
        let millis = timeout.map_or(Ok(EVENT_TIMEOUT_MILLIS), parse_duration);
        let millis = millis.map_err(|error| ErrorInfo::new("TypeError", error.to_string()))?;
        let millis = u64::try_from(millis).ok().filter(|millis| *millis > 0);
        let millis = millis.ok_or_else(|| {
            ErrorInfo::new("TypeError", "the timeout of waitForEvent must be longer than 0")
        })?;
        self.within_wait_limit(millis)?;
        Ok(millis)
    }

    fn within_wait_limit(&self, millis: u64) -> Result<(), ErrorInfo> {
        let limit = self.limits.wait_millis;
        if millis <= limit {
            return Ok(());
        }
        Err(ErrorInfo::fatal(format!(
            "A wait of {millis}ms is longer than the limit of {limit}ms (setting limits.wait_millis)"
        )))
    }

    pub(super) fn attempt_succeeded(
        &mut self,
        turn: &mut Turn<'_>,
        (call, attempt): (CallId, u32),
        (bytes, output): (u64, OutputKind),
    ) {
        let Some(step) = self.current_attempt(call, attempt) else {
            return;
        };
        let limit = self.limits.result_bytes;
        if output == OutputKind::Value && bytes > limit as u64 {
            let error = ErrorInfo::internal(format!(
                "Step {} output is too large. Maximum allowed size is {}.",
                self.durable.steps[step.0 as usize].key,
                size_text(limit)
            ));
            return self.attempt_failed(turn, step, (error, None));
        }
        if self.durable.state_bytes.saturating_add(bytes) > self.limits.state_bytes {
            let limit = size_text(usize::try_from(self.limits.state_bytes).unwrap_or(usize::MAX));
            let error = ErrorInfo::fatal(format!("The instance has exceeded the {limit} storage limit"));
            self.push(turn, Record::Errored { error });
            return self.leave(turn, None);
        }
        self.push(turn, Record::StepCompleted { step, attempt, bytes });
        self.tell(turn, Action::Confirm { call });
    }

    pub(super) fn attempt_threw(&mut self, turn: &mut Turn<'_>, failed: FailedAttempt) {
        if let Some(step) = self.current_attempt(failed.call, failed.attempt) {
            self.attempt_failed(turn, step, (failed.error, failed.dynamic_delay));
        }
    }

    /// Whether this attempt of a call is executing: what else it reports comes too late.
    pub fn is_current(&self, call: CallId, attempt: u32) -> bool {
        let is_forward = |run: &super::Run| run.phase == super::Phase::Forward;
        self.run.as_ref().is_some_and(is_forward) && self.current_attempt(call, attempt).is_some()
    }

    /// The step of a call, if this attempt of it is the one executing; results of earlier attempts come too late.
    fn current_attempt(&self, call: CallId, attempt: u32) -> Option<StepNo> {
        let step = *self.run.as_ref()?.step_of.get(&call)?;
        match self.durable.step(step)?.state {
            StepState::Executing { attempt: current, .. } if current == attempt => Some(step),
            StepState::Executing { .. }
            | StepState::Retrying { .. }
            | StepState::Sleeping { .. }
            | StepState::WaitingForEvent { .. }
            | StepState::Failing
            | StepState::Ended(_) => None,
        }
    }

    pub(super) fn attempt_failed(
        &mut self,
        turn: &mut Turn<'_>,
        step: StepNo,
        (error, dynamic): (ErrorInfo, Option<Result<u64, ErrorInfo>>),
    ) {
        let StepState::Executing { attempt, .. } = self.durable.steps[step.0 as usize].state else {
            return;
        };
        if error.is_non_retryable() {
            return self.give_up(turn, (step, attempt), (self.recorded(&error), error));
        }
        let config = self.config_of(step);
        match dynamic {
            _ if attempt > config.limit => self.give_up(turn, (step, attempt), (error.clone(), error)),
            Some(Err(delay_error)) => self.give_up(turn, (step, attempt), (error, delay_error)),
            Some(Ok(millis)) => self.retry(
                turn,
                (step, attempt),
                error,
                config.delay_after(attempt, Some(millis)),
            ),
            None => self.retry(turn, (step, attempt), error, config.delay_after(attempt, None)),
        }
    }

    /// An error that must not be tried again, as its attempt shows it. The step fails with the error itself.
    fn recorded(&self, error: &ErrorInfo) -> ErrorInfo {
        let message = error.non_retryable_message();
        match self.limits.non_retryable_message {
            NonRetryableMessage::Preserved => ErrorInfo::new("NonRetryableError", message),
            NonRetryableMessage::Wrapped => ErrorInfo::fatal(format!(
                "Step threw a NonRetryableError with message \"{message}\""
            )),
        }
    }

    fn config_of(&self, step: StepNo) -> StepConfig {
        let kept = self.durable.step(step).and_then(|step| step.config.clone());
        kept.unwrap_or_else(|| StepConfig::defaults(&self.limits))
    }

    fn retry(
        &mut self,
        turn: &mut Turn<'_>,
        (step, attempt): (StepNo, u32),
        error: ErrorInfo,
        delay_millis: u64,
    ) {
        let retry_at = Some(turn.now.plus(delay_millis.min(self.limits.wait_millis)));
        self.push(
            turn,
            Record::AttemptFailed {
                step,
                attempt,
                error,
                retry_at,
            },
        );
    }

    fn give_up(
        &mut self,
        turn: &mut Turn<'_>,
        (step, attempt): (StepNo, u32),
        (error, shown): (ErrorInfo, ErrorInfo),
    ) {
        self.push(
            turn,
            Record::AttemptFailed {
                step,
                attempt,
                error,
                retry_at: None,
            },
        );
        self.settle(turn, step, Record::StepFailed { step, error: shown });
    }

    /// Attempts without a run have been lost with their process: each counts, and the next is due at once (behaviour §3.1.11). `cause` is what
    /// has ended the process, where that is known.
    pub(super) fn fail_lost_attempts(&mut self, turn: &mut Turn<'_>, cause: Option<&ErrorInfo>) {
        let cause = cause.map_or_else(String::new, |cause| format!(": {}", cause.message));
        for step in self.open_steps() {
            match self.durable.steps[step.0 as usize].state {
                StepState::Executing { attempt, .. } => {
                    let error = ErrorInfo::internal(format!("{LOST_ATTEMPT}{cause}"));
                    if attempt > self.config_of(step).limit {
                        let name = &self.durable.steps[step.0 as usize].key.name;
                        let text = format!("Attempt {attempt} of step \"{name}\" did not finish{cause}");
                        self.give_up(turn, (step, attempt), (error, ErrorInfo::internal(text)));
                    } else {
                        self.retry(turn, (step, attempt), error, 0);
                    }
                }
                // A journal that ends between the two entries of a failure.
                StepState::Failing => self.settle(
                    turn,
                    step,
                    Record::StepFailed {
                        step,
                        error: ErrorInfo::internal(LOST_ATTEMPT),
                    },
                ),
                StepState::Retrying { .. }
                | StepState::Sleeping { .. }
                | StepState::WaitingForEvent { .. }
                | StepState::Ended(_) => {}
            }
        }
    }

    /// All attempts that execute have failed.
    pub(super) fn fail_attempts(&mut self, turn: &mut Turn<'_>, error: &ErrorInfo) {
        for step in self.open_steps() {
            self.attempt_failed(turn, step, (error.clone(), None));
        }
    }

    pub(super) fn timeout_of(&self, step: StepNo) -> u64 {
        let kept = self.durable.step(step).and_then(|step| step.config.as_ref());
        kept.map_or_else(
            || StepConfig::defaults(&self.limits).timeout_millis,
            |config| config.timeout_millis,
        )
    }

    pub(super) fn open_steps(&self) -> Vec<StepNo> {
        self.durable.open.iter().copied().collect()
    }
}

fn check_key(call: &StepCall) -> Result<(), ErrorInfo> {
    let name = &call.key.name;
    if check_step_name(name).is_err() {
        let text = format!("Step name \"{name}\" exceeds max length (256 chars) or invalid characters found");
        return Err(ErrorInfo::fatal(text));
    }
    let kind = match &call.request {
        CallRequest::Do { .. } => StepKind::Do,
        CallRequest::Sleep { .. } | CallRequest::SleepUntil { .. } => StepKind::Sleep,
        CallRequest::WaitForEvent { .. } => StepKind::WaitForEvent,
    };
    if kind != call.key.kind {
        return Err(ErrorInfo::internal(
            "the kind of this step call is not that of its key",
        ));
    }
    Ok(())
}

fn size_text(bytes: usize) -> String {
    for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= size && bytes.is_multiple_of(size) {
            return format!("{}{unit}", bytes / size);
        }
    }
    format!("{bytes} bytes")
}
