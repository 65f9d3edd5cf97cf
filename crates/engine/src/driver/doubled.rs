//! Doubles at the edge of a driver: the rules and the journal see what user code would have reported.

use super::{Abandon, Driver, Out};
use crate::doubles::{Doubles, Ending, Failure};
use cairn_core::{
    CallId, CallRequest, Callback, ErrorInfo, FailedAttempt, Input, Outcome, OutputKind, Status, StepCall,
    StepConfig, StepState, Timestamp,
};
use cairn_runtime::{Command, Company, FirstAttempts, Value};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The doubles of an instance, and what has come of them in this run.
#[derive(Default)]
pub(super) struct Doubled {
    doubles: Option<Arc<Doubles>>,
    /// Attempts that user code is not asked for.
    attempts: VecDeque<(CallId, u32, Ending)>,
    /// Results that the run does not have, of calls that are to be confirmed.
    values: BTreeMap<CallId, Value>,
}

impl Doubled {
    fn has_steps(&self) -> bool {
        self.doubles.as_ref().is_some_and(|doubles| doubles.has_steps())
    }

    /// Forgets a run.
    pub(super) fn end_run(&mut self) {
        self.attempts.clear();
        self.values.clear();
    }

    /// What a run is told about a call whose result has been kept.
    pub(super) fn confirmation(&mut self, call: CallId) -> cairn_runtime::Outcome {
        match self.values.remove(&call) {
            Some(value) => cairn_runtime::Outcome::Value(value),
            None => cairn_runtime::Outcome::Stored,
        }
    }

    /// A call whose first attempt user code may have begun: what comes of that is not asked for.
    pub(super) fn call(&self, mut call: StepCall) -> StepCall {
        let Some(doubles) = &self.doubles else {
            return call;
        };
        if let CallRequest::Do { callback, .. } = &mut call.request
            && doubles.ending(&call.key, 1).is_some()
        {
            *callback = Callback::Idle;
        }
        call
    }

    /// Whether a real event is to be forgotten.
    pub(super) fn forgets(&self, event_type: &str) -> bool {
        self.doubles
            .as_ref()
            .is_some_and(|doubles| doubles.replaces_events(event_type))
    }
}

impl Driver {
    /// Takes the doubles of this instance; they may be new, or more than before.
    pub(crate) fn double(&mut self, doubles: Arc<Doubles>, out: &mut Out) {
        if let Some(run) = self.run
            && doubles.has_steps()
            && !self.doubled.has_steps()
        {
            out.commands.push(Command::Hold { run });
        }
        self.instance.skip(doubles.skips.clone());
        self.doubled.doubles = Some(doubles);
    }

    /// Whether an attempt is a double's: then it ends with the input that is being followed.
    pub(super) fn takes_attempt(&mut self, call: CallId, attempt: u32) -> bool {
        let Some(doubles) = &self.doubled.doubles else {
            return false;
        };
        let key = self.instance.step_of_call(call);
        let Some(ending) = key.and_then(|key| doubles.ending(key, attempt)) else {
            return false;
        };
        self.doubled.attempts.push_back((call, attempt, ending));
        true
    }

    /// How a run begins.
    pub(super) fn first_attempts(&self) -> FirstAttempts {
        if self.keeps_hold() {
            FirstAttempts::OnRequest
        } else {
            FirstAttempts::AtOnce
        }
    }

    /// Whether a run that may start first attempts again must go on asking: user code is not asked for all of them, or is under suspicion, and the
    /// journal is to say what it was doing when its process ends.
    pub(super) fn keeps_hold(&self) -> bool {
        self.company != Company::Any || self.doubled.has_steps()
    }

    /// Reports in place of user code.
    pub(super) fn report_doubled(&mut self, now: Timestamp, out: &mut Out) -> Result<(), Abandon> {
        while let Some((call, attempt, ending)) = self.doubled.attempts.pop_front() {
            let error = match ending {
                Ending::Result(value) => {
                    let bytes = value.as_bytes().clone();
                    self.doubled.values.insert(call, value);
                    let input = Input::AttemptSucceeded {
                        call,
                        attempt,
                        bytes: bytes.len() as u64,
                        output: OutputKind::Value,
                    };
                    self.handle(now, input, Some(bytes), out)?;
                    continue;
                }
                Ending::Failure(Failure::Error(error)) => error,
                Ending::Failure(Failure::Timeout) => ErrorInfo::timeout(self.timeout_of(call)),
            };
            let failed = FailedAttempt {
                call,
                attempt,
                error,
                dynamic_delay: None,
            };
            self.handle(now, Input::AttemptFailed(failed), None, out)?;
        }
        Ok(())
    }

    fn timeout_of(&self, call: CallId) -> u64 {
        let durable = self.instance.durable();
        let key = self.instance.step_of_call(call);
        let step = key.and_then(|key| durable.step(durable.find(key)?));
        let config = step.and_then(|step| step.config.as_ref());
        config.map_or_else(
            || StepConfig::defaults(self.instance.limits()).timeout_millis,
            |config| config.timeout_millis,
        )
    }

    /// Sends the events that steps wait for and a test has promised. How many were taken tells which is next, so none is lost with the driver.
    pub(super) fn send_doubled_events(&mut self, now: Timestamp, out: &mut Out) -> Result<(), Abandon> {
        let Some(doubles) = self.doubled.doubles.clone() else {
            return Ok(());
        };
        while let Some((event_type, payload)) = self.awaited(now, &doubles) {
            let command = cairn_core::Command::Event {
                event_type,
                bytes: payload.len(),
            };
            let bytes = payload.as_bytes().clone();
            if let Err(rejected) = self.command(now, command, bytes, out)? {
                tracing::warn!(instance = self.id(), %rejected, "a mocked event is not accepted");
                break;
            }
        }
        Ok(())
    }

    /// The event to send next.
    fn awaited(&self, now: Timestamp, doubles: &Doubles) -> Option<(String, Value)> {
        match self.instance.summary().status {
            Status::Queued | Status::Running | Status::Waiting => {}
            Status::Paused
            | Status::WaitingForPause
            | Status::RollingBack
            | Status::Errored
            | Status::Terminated
            | Status::Complete => return None,
        }
        let steps = self.instance.durable().steps();
        steps.iter().find_map(|step| {
            let StepState::WaitingForEvent {
                event_type, deadline, ..
            } = &step.state
            else {
                return None;
            };
            if *deadline <= now || doubles.skips.event_waits.has(&step.key) {
                return None;
            }
            let taken = steps.iter().filter(|step| {
                matches!(&step.state, StepState::Ended(Outcome::Event { event_type: taken, .. }) if taken == event_type)
            });
            let payload = doubles.event(event_type, taken.count())?;
            Some((event_type.clone(), payload.clone()))
        })
    }
}
