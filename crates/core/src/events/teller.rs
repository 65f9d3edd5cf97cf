//! Tells a journal as events, entry by entry.

use super::{EventKind, EventType, InstanceEvent, Visibility};
use crate::{Corrupt, Entry, Limits, Record, Seq, StepConfig, StepKey, StepNo, Timestamp};
use std::collections::VecDeque;

/// Tells a journal as events, from its first entry on. What it has been told so far is all that its next events depend on.
#[derive(Debug, Clone)]
pub struct EventTeller {
    /// What a step has that says nothing.
    defaults: StepConfig,
    next_seq: Seq,
    next_id: u64,
    /// Whether user code has started since creation or restart.
    started: bool,
    steps: Vec<KnownStep>,
    /// The attempt of the rollback handler that was called last.
    rollback_attempt: u32,
    /// Restarts that are known to come.
    restarts: VecDeque<Restart>,
}

/// A restart, as far as it wipes events of before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    at: Seq,
    /// The first step that does not count any more; none when nothing does.
    from: Option<StepNo>,
}

/// What later events need to know of a step.
#[derive(Debug, Clone)]
struct KnownStep {
    key: StepKey,
    visibility: Visibility,
    rollback: Option<StepConfig>,
}

impl Restart {
    /// The restart that an entry is, if it is one.
    pub fn of(at: Seq, entry: &Entry) -> Option<Self> {
        match &entry.record {
            Record::Restarted => Some(Self { at, from: None }),
            Record::RestartedFrom { step } => Some(Self {
                at,
                from: Some(*step),
            }),
            _ => None,
        }
    }

    /// Whether an event of before is kept: those of steps that count, and that it was queued and started (behaviour §2).
    fn spares(&self, event: &InstanceEvent) -> bool {
        let Some(from) = self.from else { return false };
        match event.step {
            Some(step) => step < from && !event.kind.event_type().is_of_rollback(),
            None => matches!(
                event.kind.event_type(),
                EventType::WorkflowQueued | EventType::WorkflowStarted
            ),
        }
    }
}

impl EventTeller {
    /// Before the first entry.
    pub fn new(limits: &Limits) -> Self {
        Self {
            defaults: StepConfig::defaults(limits),
            next_seq: Seq(0),
            next_id: 1,
            started: false,
            steps: Vec::new(),
            rollback_attempt: 0,
            restarts: VecDeque::new(),
        }
    }

    /// Position of the entry to be told next.
    pub fn next_seq(&self) -> Seq {
        self.next_seq
    }

    /// Says which restarts come, in order: events that one of them wipes are not told.
    pub fn expect(&mut self, restarts: impl IntoIterator<Item = Restart>) {
        self.restarts.extend(restarts);
    }

    /// Appends the events of the next entry to those that have not been handed on. A restart removes from them what it wipes.
    ///
    /// # Errors
    /// [`Corrupt`] where the entry does not fit those before it.
    pub fn tell(&mut self, entry: &Entry, pending: &mut VecDeque<InstanceEvent>) -> Result<(), Corrupt> {
        if let Some(restart) = Restart::of(self.next_seq, entry) {
            pending.retain(|event| restart.spares(event));
            self.restarts.retain(|known| known.at > restart.at);
        }
        let step = entry.record.step();
        for kind in self.kinds(entry)?.into_iter().flatten() {
            let event = InstanceEvent {
                id: self.next_id,
                at: entry.at,
                kind,
                step,
            };
            self.next_id += 1;
            if self.restarts.iter().all(|restart| restart.spares(&event)) {
                pending.push_back(event);
            }
        }
        self.next_seq.0 += 1;
        Ok(())
    }

    /// The events of an entry: two at most.
    fn kinds(&mut self, entry: &Entry) -> Result<[Option<EventKind>; 2], Corrupt> {
        match &entry.record {
            Record::Created => Ok(one(EventKind::WorkflowQueued)),
            Record::Started => {
                let first = !std::mem::replace(&mut self.started, true);
                let started = first.then_some(EventKind::WorkflowStarted { params: Seq(0) });
                Ok([started, Some(EventKind::WorkflowRunning)])
            }
            Record::Waiting => Ok(one(EventKind::WorkflowWaiting)),
            Record::Running | Record::PauseCancelled => Ok(one(EventKind::WorkflowRunning)),
            Record::PauseRequested => Ok(one(EventKind::WorkflowWaitingForPause)),
            Record::Paused => Ok(one(EventKind::WorkflowPaused)),
            // Later, that it runs again says enough.
            Record::Resumed { .. } if self.started => Ok([None, None]),
            Record::Resumed { .. } => Ok(one(EventKind::WorkflowQueued)),
            Record::Terminated => Ok(one(EventKind::WorkflowTerminated)),
            Record::Completed => Ok(one(EventKind::WorkflowCompleted {
                output: self.next_seq,
            })),
            Record::Errored { error } => Ok(one(EventKind::WorkflowErrored { error: error.clone() })),
            Record::Restarted => {
                self.started = false;
                self.steps.clear();
                Ok(one(EventKind::WorkflowQueued))
            }
            Record::RestartedFrom { step } => {
                self.steps.truncate(step.0 as usize);
                Ok([None, None])
            }
            Record::EventReceived { .. } => Ok([None, None]),
            Record::StepStarted { .. } | Record::SleepStarted { .. } | Record::WaitStarted { .. } => {
                self.start(entry)
            }
            Record::AttemptStarted { .. }
            | Record::AttemptFailed { .. }
            | Record::StepCompleted { .. }
            | Record::StepFailed { .. }
            | Record::SleepCompleted { .. }
            | Record::WaitCompleted { .. }
            | Record::WaitTimedOut { .. } => self.follow(entry),
            Record::RollbackStarted { .. }
            | Record::RollbackAttemptStarted { .. }
            | Record::RollbackAttemptFailed { .. }
            | Record::RollbackStepCompleted { .. }
            | Record::RollbackStepFailed { .. }
            | Record::RollbackEnded { .. } => self.roll_back(entry),
        }
    }

    /// A step starts.
    fn start(&mut self, entry: &Entry) -> Result<[Option<EventKind>; 2], Corrupt> {
        let (number, kind, name, count) = entry
            .record
            .started_step()
            .ok_or(Corrupt("no step starts here"))?;
        if number.0 as usize != self.steps.len() {
            return Err(Corrupt("steps are not numbered in order"));
        }
        let key = StepKey {
            kind,
            name: name.into(),
            count,
        };
        let step = key.clone();
        let mut known = KnownStep {
            key,
            visibility: Visibility::Shown,
            rollback: None,
        };
        let kinds = match &entry.record {
            Record::StepStarted { config, rollback, .. } => {
                let config = config.clone().unwrap_or_else(|| self.defaults.clone());
                if config.redacted {
                    known.visibility = Visibility::Redacted;
                }
                known.rollback.clone_from(rollback);
                let attempt = EventKind::AttemptStarted {
                    step: step.clone(),
                    attempt: 1,
                };
                [Some(EventKind::StepStarted { step, config }), Some(attempt)]
            }
            Record::SleepStarted { until, .. } => one(EventKind::SleepStarted {
                step,
                duration_millis: until.millis_since(entry.at),
            }),
            Record::WaitStarted { event_type, .. } => one(EventKind::WaitStarted {
                step,
                event_type: event_type.clone(),
            }),
            _ => [None, None],
        };
        self.steps.push(known);
        Ok(kinds)
    }

    /// A step goes on, or ends.
    fn follow(&self, entry: &Entry) -> Result<[Option<EventKind>; 2], Corrupt> {
        let known = self.known(entry)?;
        let step = known.key.clone();
        Ok(match &entry.record {
            Record::AttemptStarted { attempt, .. } => one(EventKind::AttemptStarted {
                step,
                attempt: *attempt,
            }),
            Record::AttemptFailed {
                attempt,
                error,
                retry_at,
                ..
            } => one(EventKind::AttemptErrored {
                step,
                attempt: *attempt,
                retry_delay_millis: delay(entry.at, *retry_at),
                error: error.clone(),
            }),
            Record::StepCompleted { attempt, .. } => [
                Some(EventKind::AttemptCompleted {
                    step: step.clone(),
                    attempt: *attempt,
                }),
                Some(EventKind::StepCompleted {
                    step,
                    output: self.next_seq,
                    visibility: known.visibility,
                }),
            ],
            Record::StepFailed { .. } => one(EventKind::StepErrored { step }),
            Record::SleepCompleted { .. } => one(EventKind::SleepCompleted { step }),
            Record::WaitCompleted { .. } => one(EventKind::WaitCompleted { step }),
            Record::WaitTimedOut { .. } => one(EventKind::WaitTimedOut { step }),
            _ => [None, None],
        })
    }

    /// A rollback begins, goes on, or ends.
    fn roll_back(&mut self, entry: &Entry) -> Result<[Option<EventKind>; 2], Corrupt> {
        match &entry.record {
            Record::RollbackStarted { .. } => return Ok(one(EventKind::RollbackStarted)),
            Record::RollbackEnded { error: None } => return Ok(one(EventKind::RollbackCompleted)),
            Record::RollbackEnded { error: Some(_) } => return Ok(one(EventKind::RollbackErrored)),
            Record::RollbackAttemptStarted { attempt, .. } => self.rollback_attempt = *attempt,
            _ => {}
        }
        let known = self.known(entry)?;
        let (step, current) = (known.key.clone(), self.rollback_attempt);
        Ok(match &entry.record {
            Record::RollbackAttemptStarted { attempt, .. } => {
                let config = known.rollback.clone().unwrap_or_else(|| self.defaults.clone());
                let begun = EventKind::RollbackStepStarted {
                    step: step.clone(),
                    config,
                };
                let called = EventKind::RollbackAttemptStarted {
                    step,
                    attempt: *attempt,
                };
                [(*attempt == 1).then_some(begun), Some(called)]
            }
            Record::RollbackAttemptFailed {
                attempt,
                error,
                retry_at,
                ..
            } => one(EventKind::RollbackAttemptErrored {
                step,
                attempt: *attempt,
                retry_delay_millis: delay(entry.at, *retry_at),
                error: error.clone(),
            }),
            Record::RollbackStepCompleted { .. } => [
                Some(EventKind::RollbackAttemptCompleted {
                    step: step.clone(),
                    attempt: current,
                }),
                Some(EventKind::RollbackStepCompleted { step }),
            ],
            Record::RollbackStepFailed { error, .. } => one(EventKind::RollbackStepErrored {
                step,
                error: error.clone(),
            }),
            _ => [None, None],
        })
    }

    fn known(&self, entry: &Entry) -> Result<&KnownStep, Corrupt> {
        let number = entry.record.step();
        number
            .and_then(|number| self.steps.get(number.0 as usize))
            .ok_or(Corrupt("an entry names a step that has not started"))
    }
}

fn one(kind: EventKind) -> [Option<EventKind>; 2] {
    [Some(kind), None]
}

fn delay(at: Timestamp, retry_at: Option<Timestamp>) -> Option<u64> {
    retry_at.map(|retry_at| retry_at.millis_since(at))
}

impl EventType {
    fn is_of_rollback(self) -> bool {
        self.as_str().starts_with("rollback_")
    }
}

impl Record {
    /// The step that the entry is about.
    fn step(&self) -> Option<StepNo> {
        match self {
            Self::StepStarted { step, .. }
            | Self::AttemptStarted { step, .. }
            | Self::AttemptFailed { step, .. }
            | Self::StepCompleted { step, .. }
            | Self::StepFailed { step, .. }
            | Self::SleepStarted { step, .. }
            | Self::SleepCompleted { step }
            | Self::WaitStarted { step, .. }
            | Self::WaitCompleted { step, .. }
            | Self::WaitTimedOut { step, .. }
            | Self::RollbackAttemptStarted { step, .. }
            | Self::RollbackAttemptFailed { step, .. }
            | Self::RollbackStepCompleted { step }
            | Self::RollbackStepFailed { step, .. } => Some(*step),
            Self::Created
            | Self::Started
            | Self::EventReceived { .. }
            | Self::Waiting
            | Self::Running
            | Self::PauseRequested
            | Self::Paused
            | Self::Resumed { .. }
            | Self::PauseCancelled
            | Self::Terminated
            | Self::Restarted
            | Self::RestartedFrom { .. }
            | Self::Completed
            | Self::Errored { .. }
            | Self::RollbackStarted { .. }
            | Self::RollbackEnded { .. } => None,
        }
    }
}
