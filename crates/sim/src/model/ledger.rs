//! The durable history of one instance, followed entry by entry: what must never be, whatever happened.

mod change;
mod config;
mod rest;

use super::attempt::{Failed, Verdict, Whose};
use super::causes::Causes;
use super::undo::UndoLedger;
use super::watch::Watched;
use super::{Clocks, Rules, Weather};
use crate::program::{Attempts, Program, Spec};
use bytes::Bytes;
use cairn_core::{Entry, ErrorInfo, Record, Status, StepKey, StepKind, StepNo};
use cairn_store::Lease;
use config::{is_config, is_filled};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
/// In calm weather what is due happens within this, milliseconds.
const PROMPT_MILLIS: i64 = 1_500;

/// What is wrong with an entry.
pub(super) type Judged = Result<(), String>;

/// `Err` with a text unless something holds.
macro_rules! must {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err(format!($($text)+));
        }
    };
}
pub(super) use must;

/// The durable history of one instance.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(crate) id: String,
    pub(crate) program: Arc<Program>,
    pub(crate) status: Status,
    pub(crate) error: Option<ErrorInfo>,
    pub(crate) output: Option<Bytes>,
    pub(crate) steps: Vec<StepFacts>,
    pub(crate) undo: Option<UndoLedger>,
    /// Entries so far.
    pub(crate) entries: u64,
    /// Restarts so far.
    pub(crate) epoch: u32,
    /// Numbers of events that were received, ever.
    pub(crate) received: BTreeSet<u64>,
    /// When it began to hold a slot (1) and when it ceased to (-1). A rollback takes one without asking.
    pub(super) turns: Vec<(i64, i32)>,
    /// Whether the entry before this one starts a `step.do`.
    starts_step: bool,
    takes_uncounted: bool,
    by_key: BTreeMap<StepKey, usize>,
    /// How steps ended, by epoch, and at which entry.
    ended: Vec<BTreeMap<StepKey, (u64, Kept)>>,
    /// Entries of which kind there were: positions of pauses, restarts and ends.
    marks: Vec<(u64, Mark)>,
    dos: u32,
    bytes: u64,
    events: BTreeMap<String, VecDeque<Event>>,
    payloads: BTreeMap<u64, Bytes>,
    at: i64,
    paused_at: Option<i64>,
    lease: Option<Lease>,
    newest_epoch: i64,
    /// Entries there were when it was claimed.
    claimed_at: u64,
    /// The entry with which it last ended.
    last_end: u64,
    /// Steps that ended since the instance waits.
    woken: Option<StepKey>,
    /// How long it is kept after success and after an error, milliseconds.
    retention: (u64, u64),
}

/// What a command leaves in a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Pause,
    Resume,
    Terminate,
    Restart,
}

/// A step as the journal has it.
#[derive(Debug, Clone)]
pub(crate) struct StepFacts {
    pub(crate) key: StepKey,
    pub(crate) state: State,
    pub(crate) has_handler: bool,
    bytes: u64,
}

/// Where a step stands.
#[derive(Debug, Clone)]
pub(crate) enum State {
    Executing {
        attempt: u32,
        since: i64,
    },
    Retrying {
        failed: u32,
        at: i64,
    },
    GivenUp(Vec<ErrorInfo>),
    Sleeping {
        until: i64,
    },
    Waiting {
        event_type: String,
        deadline: i64,
        timeout: u64,
    },
    Ended,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    Value(Bytes),
    Slept,
    Event(Bytes),
    Failed(ErrorInfo),
}

#[derive(Clone)]
struct Event {
    seq: u64,
    at: i64,
    bytes: u64,
    payload: Bytes,
}

/// What an entry is judged by.
pub(super) type Court<'a> = (&'a Causes, &'a Rules, Option<&'a Watched>);

impl Ledger {
    pub(super) fn new(id: &str, at: i64, program: Arc<Program>, lease: Option<Lease>) -> Self {
        Self {
            id: id.into(),
            program,
            status: Status::Queued,
            error: None,
            output: None,
            steps: Vec::new(),
            undo: None,
            entries: 1,
            epoch: 0,
            received: BTreeSet::new(),
            turns: Vec::new(),
            starts_step: false,
            takes_uncounted: false,
            by_key: BTreeMap::new(),
            ended: vec![BTreeMap::new()],
            marks: Vec::new(),
            dos: 0,
            bytes: 0,
            events: BTreeMap::new(),
            payloads: BTreeMap::new(),
            at,
            paused_at: None,
            lease,
            newest_epoch: lease.map_or(0, |lease| lease.epoch),
            claimed_at: 1,
            last_end: 0,
            woken: None,
            retention: (0, 0),
        }
    }

    pub(super) fn kept_for(self, success_millis: u64, error_millis: u64) -> Self {
        Self {
            retention: (success_millis, error_millis),
            ..self
        }
    }

    /// It is gone: was it time?
    pub(super) fn check_expiry(&self, now: i64) -> Judged {
        let id = &self.id;
        must!(self.status.is_final(), "{id} is gone, but has not ended");
        must!(self.lease.is_none(), "{id} is gone, but was held");
        let (success, error) = self.retention;
        let millis = if self.status == Status::Errored {
            error
        } else {
            success
        };
        must!(
            now >= self.at.saturating_add(as_i64(millis)),
            "{id} is gone before its time"
        );
        Ok(())
    }

    pub(super) fn claimed(&mut self, lease: Lease) -> Judged {
        let (id, newest) = (&self.id, self.newest_epoch);
        must!(
            lease.epoch > newest,
            "{id}: claimed with the lease {lease:?} after {newest}"
        );
        self.newest_epoch = lease.epoch;
        self.claimed_at = self.entries;
        self.lease = Some(lease);
        Ok(())
    }

    /// Who holds it, as far as entries and claims say.
    pub(super) fn lease(&self) -> Option<Lease> {
        self.lease
    }

    /// Position of the entry with which it last ended, or 0.
    pub(super) fn ended_at(&self) -> u64 {
        self.last_end
    }

    /// How a step ended, and at which entry, in an epoch.
    pub(crate) fn outcome(&self, epoch: u32, key: &StepKey) -> Option<&(u64, Kept)> {
        self.ended.get(epoch as usize)?.get(key)
    }

    pub(crate) fn step(&self, key: &StepKey) -> Option<&StepFacts> {
        self.steps.get(*self.by_key.get(key)?)
    }

    pub(crate) fn claimed_at(&self) -> u64 {
        self.claimed_at
    }

    pub(crate) fn lease_epoch(&self) -> i64 {
        self.newest_epoch
    }

    pub(crate) fn step_calls(&self) -> u32 {
        self.dos
    }

    /// Whether there is such an entry from a position on.
    pub(crate) fn has_since(&self, from: u64, mark: Mark) -> bool {
        self.marks.iter().any(|(at, kind)| *at >= from && *kind == mark)
    }

    /// Whether a value is a stream.
    pub(crate) fn is_stream(value: &Bytes) -> bool {
        value.starts_with(b"s")
    }

    /// The text of an event or result, as clients are shown it.
    pub(crate) fn text(value: &Bytes) -> String {
        String::from_utf8_lossy(value.get(1..).unwrap_or_default()).into_owned()
    }

    pub(super) fn follow(&mut self, entry: &Entry, payload: Option<&Bytes>, court: Court<'_>) -> Judged {
        let at = entry.at.0;
        must!(
            at >= self.at || court.1.clocks == Clocks::Set,
            "time goes back from {}",
            self.at
        );
        self.at = at;
        let held = self.counts();
        must!(
            payload.is_some() == entry.record.carries_value(),
            "its value is missing, or it has one it should not have"
        );
        must!(
            self.allows(&entry.record),
            "this cannot be while the instance is {}",
            self.status.as_str()
        );
        match &entry.record {
            Record::Created => return Err("created twice".into()),
            Record::StepStarted { .. }
            | Record::SleepStarted { .. }
            | Record::WaitStarted { .. }
            | Record::AttemptStarted { .. }
            | Record::AttemptFailed { .. }
            | Record::StepCompleted { .. }
            | Record::StepFailed { .. }
            | Record::SleepCompleted { .. }
            | Record::WaitCompleted { .. }
            | Record::WaitTimedOut { .. } => self.follow_step(entry, payload, court)?,
            Record::EventReceived { event_type, bytes } => {
                let payload = payload.cloned().unwrap_or_default();
                self.event_received(event_type, (*bytes, payload), court)?;
            }
            Record::RollbackStarted { .. }
            | Record::RollbackAttemptStarted { .. }
            | Record::RollbackAttemptFailed { .. }
            | Record::RollbackStepCompleted { .. }
            | Record::RollbackStepFailed { .. }
            | Record::RollbackEnded { .. } => self.roll_back(&entry.record, court)?,
            Record::Started
            | Record::Waiting
            | Record::Running
            | Record::PauseRequested
            | Record::Paused
            | Record::Resumed { .. }
            | Record::PauseCancelled => self.change(&entry.record, court)?,
            Record::Restarted => {
                must!(court.0.restarts.contains(&None), "nobody asked for it");
                self.restart(0);
            }
            Record::RestartedFrom { step } => {
                let key = self.at(*step)?.key.clone();
                must!(
                    court.0.restarts.contains(&Some(key)),
                    "nobody asked for this step"
                );
                self.restart(step.0 as usize);
            }
            Record::Terminated | Record::Completed | Record::Errored { .. } => {
                self.end(&entry.record, payload, court)?;
                self.last_end = self.entries;
            }
        }
        self.entries += 1;
        self.count_turn(held, &entry.record);
        Ok(())
    }

    /// An entry about one step.
    fn follow_step(&mut self, entry: &Entry, payload: Option<&Bytes>, court: Court<'_>) -> Judged {
        match &entry.record {
            Record::StepStarted { .. } | Record::SleepStarted { .. } | Record::WaitStarted { .. } => {
                self.start(entry, court)?;
            }
            Record::AttemptStarted { step, attempt } => self.attempt_started(*step, *attempt, court)?,
            Record::AttemptFailed { .. } => self.attempt_failed(&entry.record, court)?,
            Record::StepCompleted { step, attempt, bytes } => {
                let payload = payload.cloned().unwrap_or_default();
                self.step_completed((*step, *attempt), (*bytes, payload), court)?;
            }
            Record::StepFailed { step, error } => {
                let State::GivenUp(shown) = &self.at(*step)?.state else {
                    return Err("the step was not given up".into());
                };
                must!(
                    shown.contains(error),
                    "it should have failed with one of {shown:?}"
                );
                self.end_step(*step, Kept::Failed(error.clone()))?;
            }
            Record::SleepCompleted { step } => {
                let State::Sleeping { until } = self.at(*step)?.state else {
                    return Err("the step does not sleep".into());
                };
                must!(self.at >= until, "it should sleep until {until}");
                self.prompt(until, court)?;
                self.end_step(*step, Kept::Slept)?;
            }
            Record::WaitCompleted { step, event } => self.wait_completed(*step, event.0)?,
            Record::WaitTimedOut { step, timeout_millis } => {
                self.wait_timed_out((*step, *timeout_millis), court)?;
            }
            _ => return Err("this is not about a step".into()),
        }
        Ok(())
    }

    /// A callback that was under way before the run could be told to ask takes a slot without one.
    fn count_turn(&mut self, held: bool, record: &Record) {
        let change = i32::from(self.counts()) - i32::from(held);
        let forced = *record == Record::Running && self.starts_step;
        self.starts_step = matches!(record, Record::StepStarted { .. });
        match change {
            0 => {}
            1 if forced => self.takes_uncounted = true,
            -1 if self.takes_uncounted => self.takes_uncounted = false,
            _ => self.turns.push((self.at, change)),
        }
    }

    fn counts(&self) -> bool {
        matches!(self.status, Status::Running | Status::WaitingForPause)
    }

    /// Whether an entry may come in the status as it is.
    fn allows(&self, record: &Record) -> bool {
        let restarts = matches!(record, Record::Restarted | Record::RestartedFrom { .. });
        let undoes = matches!(
            record,
            Record::RollbackAttemptStarted { .. }
                | Record::RollbackAttemptFailed { .. }
                | Record::RollbackStepCompleted { .. }
                | Record::RollbackStepFailed { .. }
                | Record::RollbackEnded { .. }
        );
        let ends = matches!(record, Record::Terminated | Record::RollbackStarted { .. });
        let comes = matches!(record, Record::EventReceived { .. });
        match self.status {
            _ if restarts => true,
            Status::Errored | Status::Terminated | Status::Complete => false,
            Status::RollingBack => {
                undoes || comes || matches!(record, Record::Terminated | Record::Errored { .. })
            }
            Status::Paused => ends || comes || matches!(record, Record::Resumed { .. }),
            Status::Queued | Status::Running | Status::Waiting | Status::WaitingForPause => {
                !undoes && !matches!(record, Record::Resumed { .. })
            }
        }
    }

    fn at(&self, step: StepNo) -> Result<&StepFacts, String> {
        let facts = self.steps.get(step.0 as usize);
        facts.ok_or_else(|| format!("there is no step {}", step.0))
    }

    fn set(&mut self, step: StepNo, state: State) {
        if let Some(facts) = self.steps.get_mut(step.0 as usize) {
            facts.state = state;
        }
    }

    fn spec(&self, key: &StepKey) -> Result<Spec, String> {
        let spec = self.program.spec(key).cloned();
        spec.ok_or_else(|| format!("the program has no step {key}"))
    }

    fn attempts(&self, step: StepNo) -> Result<Attempts, String> {
        match self.spec(&self.at(step)?.key)? {
            Spec::Do(work) => Ok(work.callback.clone()),
            Spec::Sleep(_) | Spec::Wait(..) => Err("this step has no attempts".into()),
        }
    }

    /// In calm weather, what was due happens at once.
    pub(super) fn prompt(&self, due: i64, (_, rules, _): Court<'_>) -> Judged {
        must!(
            rules.weather == Weather::Stormy || self.at <= due + PROMPT_MILLIS,
            "it was due at {due} and nothing was in its way"
        );
        Ok(())
    }

    fn start(&mut self, entry: &Entry, court: Court<'_>) -> Judged {
        let (step, kind, name, count) = match &entry.record {
            Record::StepStarted {
                step, name, count, ..
            } => (step, StepKind::Do, name, count),
            Record::SleepStarted {
                step, name, count, ..
            } => (step, StepKind::Sleep, name, count),
            Record::WaitStarted {
                step, name, count, ..
            } => (step, StepKind::WaitForEvent, name, count),
            _ => return Err("no step starts here".into()),
        };
        let key = StepKey {
            kind,
            name: name.clone(),
            count: *count,
        };
        must!(
            step.0 as usize == self.steps.len(),
            "its number should be {}",
            self.steps.len()
        );
        must!(!self.by_key.contains_key(&key), "the step has started before");
        self.check_hold(&key, court.0)?;
        let spec = self.spec(&key)?;
        let (state, has_handler) = self.first_state(entry, spec, court)?;
        self.by_key.insert(key.clone(), self.steps.len());
        self.steps.push(StepFacts {
            key,
            state,
            has_handler,
            bytes: 0,
        });
        Ok(())
    }

    /// Where a step begins, and whether it has a rollback handler.
    fn first_state(&mut self, entry: &Entry, spec: Spec, court: Court<'_>) -> Result<(State, bool), String> {
        let at = entry.at.0;
        Ok(match (&entry.record, spec) {
            (Record::StepStarted { config, rollback, .. }, Spec::Do(work)) => {
                self.dos += 1;
                must!(self.dos <= court.1.limits.steps, "more steps than allowed");
                must!(
                    is_config(config.as_ref(), &work.callback),
                    "its configuration should be {:?}",
                    work.callback
                );
                if let (Some(kept), Some(handler)) = (rollback, &work.handler) {
                    must!(
                        is_filled(kept, &handler.function),
                        "its handler should be {:?}",
                        handler.function
                    );
                }
                (
                    State::Executing {
                        attempt: 1,
                        since: at,
                    },
                    rollback.is_some(),
                )
            }
            (Record::SleepStarted { until, .. }, Spec::Sleep(millis)) => {
                let expected = at + as_i64(millis);
                must!(until.0 == expected, "it should sleep until {expected}");
                (State::Sleeping { until: until.0 }, false)
            }
            (
                Record::WaitStarted {
                    event_type,
                    deadline,
                    timeout_millis,
                    ..
                },
                Spec::Wait(expected_type, timeout),
            ) => {
                let expected = at + as_i64(timeout);
                must!(deadline.0 == expected, "it should wait until {expected}");
                must!(
                    *event_type == expected_type && *timeout_millis == timeout,
                    "type or timeout is wrong"
                );
                let state = State::Waiting {
                    event_type: expected_type,
                    deadline: expected,
                    timeout,
                };
                (state, false)
            }
            _ => return Err("the step is of another kind".into()),
        })
    }

    /// While a pause is coming only those steps start that were under way, or that a callback waits for that is executing.
    fn check_hold(&self, key: &StepKey, causes: &Causes) -> Judged {
        if self.status != Status::WaitingForPause {
            return Ok(());
        }
        let calls = causes.calls.get(&(self.epoch, key.clone()));
        let may = calls.into_iter().flatten().any(|call| {
            let parent = call.parent.as_ref().and_then(|parent| self.step(parent));
            call.eager || parent.is_some_and(|parent| matches!(parent.state, State::Executing { .. }))
        });
        must!(may, "a pause is coming: it should not start");
        Ok(())
    }

    fn attempt_started(&mut self, step: StepNo, attempt: u32, court: Court<'_>) -> Judged {
        let State::Retrying { failed, at } = self.at(step)?.state else {
            return Err("the step does not wait for another attempt".into());
        };
        let attempts = self.attempts(step)?;
        must!(attempt == failed + 1, "it should be attempt {}", failed + 1);
        must!(
            attempt <= attempts.limit + 1,
            "only {} retries are allowed",
            attempts.limit
        );
        must!(self.at >= at, "the attempt is not due before {at}");
        // Not before user code has called the step.
        if let Some(called_at) = court
            .2
            .and_then(|run| run.called_at(&self.steps[step.0 as usize].key))
        {
            self.prompt(at.max(called_at), court)?;
        }
        let since = self.at;
        self.set(step, State::Executing { attempt, since });
        Ok(())
    }

    fn attempt_failed(&mut self, record: &Record, (causes, rules, live): Court<'_>) -> Judged {
        let Record::AttemptFailed {
            step,
            attempt,
            error,
            retry_at,
        } = record
        else {
            return Ok(());
        };
        let key = self.at(*step)?.key.clone();
        let State::Executing {
            attempt: current,
            since,
        } = self.at(*step)?.state
        else {
            return Err("the step does not execute".into());
        };
        must!(current == *attempt, "attempt {current} executes");
        let cause = (self.epoch, key.clone(), *attempt);
        let returned = causes.returned.get(&cause).into_iter().flatten();
        let failed = Failed {
            attempt: *attempt,
            since,
            at: self.at,
            error,
            returned: returned.map(Bytes::len).max().unwrap_or(0),
            whose: Whose::Step,
            name: &key.name,
        };
        let threw = causes.thrown.get(&cause).map_or(&[][..], Vec::as_slice);
        let verdicts = failed.verdicts(&self.attempts(*step)?, threw, rules);
        must!(!verdicts.is_empty(), "nothing of the kind has happened");
        if error.message == super::attempt::LOST && rules.weather == Weather::Calm {
            must!(live.is_none(), "no attempt is lost in calm weather");
        }
        let state = self.next_of_attempt((*attempt, retry_at.map(|at| at.0)), verdicts)?;
        self.set(*step, state);
        Ok(())
    }

    pub(super) fn next_of_attempt(
        &self,
        (attempt, retry_at): (u32, Option<i64>),
        verdicts: Vec<Verdict>,
    ) -> Result<State, String> {
        let at_of = |verdict: &Verdict| verdict.delay.map(|delay| self.at.saturating_add(as_i64(delay)));
        let expected: Vec<Option<i64>> = verdicts.iter().map(at_of).collect();
        must!(
            expected.contains(&retry_at),
            "the next attempt should be due at one of {expected:?}"
        );
        Ok(match retry_at {
            Some(at) => State::Retrying { failed: attempt, at },
            None => {
                let given_up = verdicts.into_iter().filter(|verdict| verdict.delay.is_none());
                State::GivenUp(given_up.map(|verdict| verdict.shown).collect())
            }
        })
    }

    fn step_completed(
        &mut self,
        (step, attempt): (StepNo, u32),
        (bytes, payload): (u64, Bytes),
        (causes, rules, _): Court<'_>,
    ) -> Judged {
        let key = self.at(step)?.key.clone();
        let State::Executing { attempt: current, .. } = self.at(step)?.state else {
            return Err("the step does not execute".into());
        };
        must!(current == attempt, "attempt {current} executes");
        let cause = (self.epoch, key, attempt);
        let returned = causes.returned.get(&cause).into_iter().flatten();
        let is_value = { returned }.any(|value| *value == payload);
        if is_value {
            must!(bytes == payload.len() as u64, "it has {} bytes", payload.len());
            must!(payload.len() <= rules.limits.result_bytes, "it is too large");
        } else {
            must!(Self::is_stream(&payload), "the attempt has not returned this");
            let size = |stream: &Vec<Bytes>| stream.iter().map(|piece| piece.len() as u64).sum::<u64>();
            let mut streams = causes.streamed.get(&cause).into_iter().flatten();
            must!(
                streams.any(|stream| size(stream) == bytes),
                "no stream of this size was returned"
            );
        }
        self.keep_bytes(bytes, rules)?;
        if let Some(facts) = self.steps.get_mut(step.0 as usize) {
            facts.bytes = bytes;
        }
        self.end_step(step, Kept::Value(payload))
    }

    fn keep_bytes(&mut self, bytes: u64, rules: &Rules) -> Judged {
        self.bytes += bytes;
        must!(
            self.bytes <= rules.limits.state_bytes,
            "{} bytes are more than allowed",
            self.bytes
        );
        Ok(())
    }

    fn end_step(&mut self, step: StepNo, kept: Kept) -> Judged {
        let key = self.at(step)?.key.clone();
        if self.status == Status::Waiting {
            self.woken = Some(key.clone());
        }
        let position = self.entries;
        if let Some(ended) = self.ended.last_mut() {
            ended.insert(key, (position, kept));
        }
        self.set(step, State::Ended);
        Ok(())
    }

    fn wait_completed(&mut self, step: StepNo, event: u64) -> Judged {
        let State::Waiting {
            event_type, deadline, ..
        } = self.at(step)?.state.clone()
        else {
            return Err("the step does not wait".into());
        };
        let queue = self.events.get_mut(&event_type);
        let taken = queue
            .and_then(VecDeque::pop_front)
            .ok_or("no event of its type has come")?;
        must!(
            taken.seq == event,
            "the oldest event of its type is at {}",
            taken.seq
        );
        must!(
            taken.at < deadline,
            "the event came at {}, when its time was over",
            taken.at
        );
        let is_older = |facts: &StepFacts| {
            matches!(&facts.state, State::Waiting { event_type: other, deadline, .. }
                if *other == event_type && *deadline > taken.at)
        };
        let older = self
            .steps
            .iter()
            .take(step.0 as usize)
            .find(|facts| is_older(facts));
        // A pause that is coming holds what no callback waits for.
        if let Some(older) = older.filter(|_| self.status != Status::WaitingForPause) {
            return Err(format!("{} has waited longer", older.key));
        }
        if let Some(facts) = self.steps.get_mut(step.0 as usize) {
            facts.bytes = taken.bytes;
        }
        self.end_step(step, Kept::Event(taken.payload))
    }

    fn wait_timed_out(&mut self, (step, timeout_millis): (StepNo, u64), court: Court<'_>) -> Judged {
        let State::Waiting {
            event_type,
            deadline,
            timeout,
        } = self.at(step)?.state.clone()
        else {
            return Err("the step does not wait".into());
        };
        must!(timeout == timeout_millis, "its timeout is {timeout}");
        must!(self.at >= deadline, "it waits until {deadline}");
        let missed = self.events.get(&event_type).and_then(VecDeque::front);
        must!(
            missed.is_none_or(|event| event.at >= deadline),
            "an event had come in time"
        );
        self.prompt(deadline, court)?;
        let error = ErrorInfo::new(
            "WorkflowTimeoutError",
            format!("Execution timed out after {timeout}ms"),
        );
        self.end_step(step, Kept::Failed(error))
    }

    fn event_received(
        &mut self,
        event_type: &str,
        (bytes, payload): (u64, Bytes),
        (causes, rules, _): Court<'_>,
    ) -> Judged {
        let number: u64 = Self::text(&payload)
            .parse()
            .map_err(|_| "its payload is no number")?;
        let sent = causes.events.get(&number);
        must!(
            sent.is_some_and(|sent| sent == event_type),
            "nobody sent {number}"
        );
        must!(self.received.insert(number), "event {number} has come before");
        must!(bytes == payload.len() as u64, "it has {} bytes", payload.len());
        self.keep_bytes(bytes, rules)?;
        self.payloads.insert(self.entries, payload.clone());
        let event = Event {
            seq: self.entries,
            at: self.at,
            bytes,
            payload,
        };
        self.events.entry(event_type.into()).or_default().push_back(event);
        Ok(())
    }

    fn executing(&self) -> impl Iterator<Item = (&StepKey, u32)> {
        self.steps.iter().filter_map(|facts| match facts.state {
            State::Executing { attempt, .. } => Some((&facts.key, attempt)),
            _ => None,
        })
    }

    pub(super) fn last_at(&self) -> i64 {
        self.at
    }

    pub(super) fn key_of(&self, step: StepNo) -> Result<&StepKey, String> {
        self.at(step).map(|facts| &facts.key)
    }
}

pub(super) fn as_i64(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}
