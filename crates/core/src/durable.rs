//! The durable state of an instance: the fold of its journal.

use crate::{
    Entry, ErrorInfo, Outcome, Record, Rollback, RollbackState, Seq, Status, StepConfig, StepKey, StepKind,
    StepNo, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// An entry that cannot follow those before it: the journal is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal is damaged: {0}")]
pub struct Corrupt(pub &'static str);

const ILLEGAL: Corrupt = Corrupt("a step changes in a way it cannot");

/// What the journal says. `replay(journal) == state`, always.
#[derive(Debug, Clone, PartialEq)]
pub struct Durable {
    /// Current state.
    pub status: Status,
    /// Creation.
    pub created_at: Timestamp,
    /// First start of user code since creation or restart.
    pub started_at: Option<Timestamp>,
    /// End.
    pub ended_at: Option<Timestamp>,
    /// Position of the next entry.
    pub next_seq: Seq,
    /// Bytes of all values kept.
    pub state_bytes: u64,
    pub(crate) steps: Vec<Step>,
    pub(crate) open: BTreeSet<StepNo>,
    pub(crate) dos: u32,
    pub(crate) events: BTreeMap<String, VecDeque<BufferedEvent>>,
    pub(crate) paused_at: Option<Timestamp>,
    pub(crate) rollback: Option<Rollback>,
    by_key: BTreeMap<StepKey, StepNo>,
}

/// A step that has started.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Which.
    pub key: StepKey,
    /// Configuration of a `step.do`, when it is not the default.
    pub config: Option<StepConfig>,
    /// Configuration of its rollback handler, when it has one.
    pub rollback: Option<StepConfig>,
    /// Bytes of the value it ended with.
    pub bytes: u64,
    /// Where it stands.
    pub state: StepState,
}

/// Where a step stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepState {
    /// An attempt is executing; without a run it is lost.
    Executing {
        /// The attempt, from 1.
        attempt: u32,
        /// Its start.
        since: Timestamp,
    },
    /// An attempt has failed, another one follows.
    Retrying {
        /// The attempt that failed.
        attempt: u32,
        /// When the next is due.
        retry_at: Timestamp,
    },
    /// A sleep.
    Sleeping {
        /// Its end.
        until: Timestamp,
    },
    /// A wait for an event.
    WaitingForEvent {
        /// The type.
        event_type: String,
        /// When it gives up.
        deadline: Timestamp,
        /// Its timeout, milliseconds.
        timeout_millis: u64,
    },
    /// The last attempt has failed; the end of the step is the next entry.
    Failing,
    /// It has ended.
    Ended(Outcome),
}

/// An event that no step has taken yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferedEvent {
    /// The entry that carries the payload.
    pub seq: Seq,
    /// When it came.
    pub at: Timestamp,
    /// Size of the payload.
    pub bytes: u64,
}

impl Durable {
    /// The state after the first entry, which is always [`Record::Created`].
    ///
    /// # Errors
    /// [`Corrupt`] when it is another one.
    pub fn begin(entry: &Entry) -> Result<Self, Corrupt> {
        if entry.record != Record::Created {
            return Err(Corrupt("it does not begin with the creation"));
        }
        Ok(Self::fresh(entry.at, Seq(1)))
    }

    pub(crate) fn fresh(created_at: Timestamp, next_seq: Seq) -> Self {
        Self {
            status: Status::Queued,
            created_at,
            started_at: None,
            ended_at: None,
            next_seq,
            state_bytes: 0,
            steps: Vec::new(),
            open: BTreeSet::new(),
            dos: 0,
            events: BTreeMap::new(),
            paused_at: None,
            rollback: None,
            by_key: BTreeMap::new(),
        }
    }

    /// The state a whole journal leads to.
    ///
    /// # Errors
    /// [`Corrupt`] where an entry does not fit those before it.
    pub fn replay<'a>(journal: impl IntoIterator<Item = &'a Entry>) -> Result<Self, Corrupt> {
        let mut entries = journal.into_iter();
        let mut state = Self::begin(entries.next().ok_or(Corrupt("it is empty"))?)?;
        for entry in entries {
            state.evolve(entry)?;
        }
        Ok(state)
    }

    /// The steps, by [`StepNo`].
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The step with this number.
    pub fn step(&self, step: StepNo) -> Option<&Step> {
        self.steps.get(step.0 as usize)
    }

    /// The entries of events that no step has taken.
    pub fn buffered_events(&self) -> BTreeSet<Seq> {
        self.events.values().flatten().map(|event| event.seq).collect()
    }

    /// The number of the step with this key.
    pub fn find(&self, key: &StepKey) -> Option<StepNo> {
        self.by_key.get(key).copied()
    }

    /// Follows one entry.
    ///
    /// # Errors
    /// [`Corrupt`] when it cannot follow; the state is then undefined and must be dropped.
    pub fn evolve(&mut self, entry: &Entry) -> Result<(), Corrupt> {
        self.check_order(&entry.record)?;
        let at = entry.at;
        match &entry.record {
            Record::Created => return Err(Corrupt("created twice")),
            Record::Started => {
                self.status = Status::Running;
                self.started_at.get_or_insert(at);
            }
            Record::StepStarted { .. } | Record::SleepStarted { .. } | Record::WaitStarted { .. } => {
                self.start_step(entry)?;
            }
            Record::AttemptStarted { .. }
            | Record::AttemptFailed { .. }
            | Record::StepCompleted { .. }
            | Record::StepFailed { .. }
            | Record::SleepCompleted { .. }
            | Record::WaitCompleted { .. }
            | Record::WaitTimedOut { .. } => self.evolve_step(entry)?,
            Record::EventReceived { event_type, bytes } => self.receive(event_type, *bytes, at),
            Record::Waiting => self.status = Status::Waiting,
            Record::Running | Record::PauseCancelled => self.status = Status::Running,
            Record::PauseRequested => self.status = Status::WaitingForPause,
            Record::Paused => {
                self.status = Status::Paused;
                self.paused_at = Some(at);
            }
            Record::Resumed { shift_millis } => self.resume(*shift_millis)?,
            Record::Terminated => self.end(Status::Terminated, at),
            Record::Restarted => *self = Self::fresh(self.created_at, self.next_seq),
            Record::RestartedFrom { step } => self.restart_from(*step)?,
            Record::RollbackStarted { error } => {
                self.status = Status::RollingBack;
                self.rollback = Some(Rollback::begin(error.clone(), self.steps_to_roll_back()));
            }
            Record::RollbackAttemptStarted { .. }
            | Record::RollbackAttemptFailed { .. }
            | Record::RollbackStepCompleted { .. }
            | Record::RollbackStepFailed { .. }
            | Record::RollbackEnded { .. } => match &mut self.rollback {
                Some(rollback) => rollback.evolve(&entry.record, at)?,
                None => return Err(Corrupt("a rollback goes on that has not begun")),
            },
            Record::Completed => self.end(Status::Complete, at),
            Record::Errored { .. } => self.end(Status::Errored, at),
        }
        self.next_seq.0 += 1;
        Ok(())
    }

    /// What may follow the end, and a rollback.
    fn check_order(&self, record: &Record) -> Result<(), Corrupt> {
        let restarts = matches!(record, Record::Restarted | Record::RestartedFrom { .. });
        if self.status.is_final() && !restarts {
            return Err(Corrupt("something follows the end"));
        }
        let Some(rollback) = self.rollback.as_ref().filter(|_| !restarts) else {
            return Ok(());
        };
        match record {
            Record::RollbackAttemptStarted { .. }
            | Record::RollbackAttemptFailed { .. }
            | Record::RollbackStepCompleted { .. }
            | Record::RollbackStepFailed { .. }
            | Record::RollbackEnded { .. }
            | Record::EventReceived { .. }
            | Record::Terminated => Ok(()),
            Record::Errored { .. } if rollback.state == RollbackState::Ended => Ok(()),
            _ => Err(Corrupt("something happens in a rollback that cannot")),
        }
    }

    /// The steps that have a rollback handler, oldest first.
    pub(crate) fn steps_to_roll_back(&self) -> Vec<StepNo> {
        let numbered = self.steps.iter().zip(0..);
        numbered
            .filter(|(step, _)| step.rollback.is_some())
            .map(|(_, number)| StepNo(number))
            .collect()
    }

    /// Keeps what started before a step.
    fn restart_from(&mut self, step: StepNo) -> Result<(), Corrupt> {
        if step.0 as usize >= self.steps.len() {
            return Err(Corrupt("restarted from a step that has not started"));
        }
        let mut kept = Self::fresh(self.created_at, self.next_seq);
        kept.started_at = self.started_at;
        self.steps.truncate(step.0 as usize);
        for (known, number) in self.steps.drain(..).zip(0..) {
            let number = StepNo(number);
            kept.by_key.insert(known.key.clone(), number);
            kept.dos += u32::from(known.key.kind == StepKind::Do);
            kept.state_bytes += known.bytes;
            if !matches!(known.state, StepState::Ended(_)) {
                kept.open.insert(number);
            }
            kept.steps.push(known);
        }
        *self = kept;
        Ok(())
    }

    fn end(&mut self, status: Status, at: Timestamp) {
        self.status = status;
        self.ended_at = Some(at);
    }

    /// The state that a step starts in.
    fn first_state(entry: &Entry) -> Option<StepState> {
        match &entry.record {
            Record::StepStarted { .. } => Some(StepState::Executing {
                attempt: 1,
                since: entry.at,
            }),
            Record::SleepStarted { until, .. } => Some(StepState::Sleeping { until: *until }),
            Record::WaitStarted {
                event_type,
                deadline,
                timeout_millis,
                ..
            } => Some(StepState::WaitingForEvent {
                event_type: event_type.clone(),
                deadline: *deadline,
                timeout_millis: *timeout_millis,
            }),
            _ => None,
        }
    }

    fn start_step(&mut self, entry: &Entry) -> Result<(), Corrupt> {
        let record = &entry.record;
        let (config, rollback) = match record {
            Record::StepStarted { config, rollback, .. } => (config.clone(), rollback.clone()),
            _ => (None, None),
        };
        let started = record.started_step().zip(Self::first_state(entry));
        let ((step, kind, name, count), state) = started.ok_or(Corrupt("no step starts here"))?;
        if step.0 as usize != self.steps.len() {
            return Err(Corrupt("steps are not numbered in order"));
        }
        let key = StepKey {
            kind,
            name: name.into(),
            count,
        };
        if self.by_key.insert(key.clone(), step).is_some() {
            return Err(Corrupt("a step has started twice"));
        }
        self.dos += u32::from(kind == StepKind::Do);
        self.open.insert(step);
        self.steps.push(Step {
            key,
            config,
            rollback,
            bytes: 0,
            state,
        });
        Ok(())
    }

    fn receive(&mut self, event_type: &str, bytes: u64, at: Timestamp) {
        self.state_bytes += bytes;
        let event = BufferedEvent {
            seq: self.next_seq,
            at,
            bytes,
        };
        self.events
            .entry(event_type.to_owned())
            .or_default()
            .push_back(event);
    }

    fn evolve_step(&mut self, entry: &Entry) -> Result<(), Corrupt> {
        let bytes = self.bytes_kept_by(&entry.record);
        let (step, next) = self.next_state(entry)?;
        if matches!(next, StepState::Ended(_)) {
            self.open.remove(&step);
        }
        if let Record::StepCompleted { bytes, .. } = &entry.record {
            self.state_bytes += bytes;
        }
        match self.steps.get_mut(step.0 as usize) {
            Some(known) => {
                known.state = next;
                known.bytes = bytes;
            }
            None => return Err(Corrupt("an entry names a step that has not started")),
        }
        Ok(())
    }

    /// Size of the value that a step ends with.
    fn bytes_kept_by(&self, record: &Record) -> u64 {
        match record {
            Record::StepCompleted { bytes, .. } => *bytes,
            Record::WaitCompleted { event, .. } => {
                let mut oldest = self.events.values().filter_map(VecDeque::front);
                oldest
                    .find(|buffered| buffered.seq == *event)
                    .map_or(0, |event| event.bytes)
            }
            _ => 0,
        }
    }

    /// Every legal transition of a step; all others are damage.
    fn next_state(&mut self, entry: &Entry) -> Result<(StepNo, StepState), Corrupt> {
        match &entry.record {
            Record::AttemptStarted { step, attempt } => match self.state_of(*step)? {
                StepState::Retrying { attempt: failed, .. } if *attempt == failed + 1 => Ok((
                    *step,
                    StepState::Executing {
                        attempt: *attempt,
                        since: entry.at,
                    },
                )),
                _ => Err(ILLEGAL),
            },
            Record::AttemptFailed {
                step,
                attempt,
                retry_at,
                ..
            } if self.executes(*step, *attempt) => {
                let retrying = |retry_at: &Timestamp| StepState::Retrying {
                    attempt: *attempt,
                    retry_at: *retry_at,
                };
                Ok((*step, retry_at.as_ref().map_or(StepState::Failing, retrying)))
            }
            Record::StepCompleted { step, attempt, .. } if self.executes(*step, *attempt) => {
                Ok((*step, StepState::Ended(Outcome::Value(self.next_seq))))
            }
            Record::StepFailed { step, error } => match self.state_of(*step)? {
                StepState::Failing => Ok((*step, StepState::Ended(Outcome::Failed(error.clone())))),
                _ => Err(ILLEGAL),
            },
            Record::SleepCompleted { step } => match self.state_of(*step)? {
                StepState::Sleeping { .. } => Ok((*step, StepState::Ended(Outcome::Slept))),
                _ => Err(ILLEGAL),
            },
            Record::WaitTimedOut { step, timeout_millis } => {
                self.awaited_type(*step)?;
                Ok((
                    *step,
                    StepState::Ended(Outcome::Failed(ErrorInfo::timeout(*timeout_millis))),
                ))
            }
            Record::WaitCompleted { step, event } => {
                let event_type = self.awaited_type(*step)?;
                let taken = self.take_event(&event_type, *event)?;
                Ok((
                    *step,
                    StepState::Ended(Outcome::Event {
                        event_type,
                        at: taken.at,
                        payload: taken.seq,
                    }),
                ))
            }
            _ => Err(ILLEGAL),
        }
    }

    fn state_of(&self, step: StepNo) -> Result<&StepState, Corrupt> {
        self.step(step)
            .map(|known| &known.state)
            .ok_or(Corrupt("an entry names a step that has not started"))
    }

    fn executes(&self, step: StepNo, attempt: u32) -> bool {
        matches!(self.state_of(step), Ok(StepState::Executing { attempt: current, .. }) if *current == attempt)
    }

    fn awaited_type(&self, step: StepNo) -> Result<String, Corrupt> {
        match self.state_of(step)? {
            StepState::WaitingForEvent { event_type, .. } => Ok(event_type.clone()),
            _ => Err(ILLEGAL),
        }
    }

    fn take_event(&mut self, event_type: &str, seq: Seq) -> Result<BufferedEvent, Corrupt> {
        let missing = Corrupt("a wait took an event that was not there");
        let queue = self.events.get_mut(event_type).ok_or(missing)?;
        let taken = queue
            .pop_front()
            .filter(|event| event.seq == seq)
            .ok_or(missing)?;
        if queue.is_empty() {
            self.events.remove(event_type);
        }
        Ok(taken)
    }

    fn resume(&mut self, shift_millis: u64) -> Result<(), Corrupt> {
        if self.status != Status::Paused {
            return Err(Corrupt("resumed without a pause"));
        }
        self.status = Status::Queued;
        self.paused_at = None;
        for step in &self.open {
            let Some(known) = self.steps.get_mut(step.0 as usize) else {
                continue;
            };
            match &mut known.state {
                StepState::Retrying { retry_at: at, .. }
                | StepState::Sleeping { until: at }
                | StepState::WaitingForEvent { deadline: at, .. } => *at = at.plus(shift_millis),
                StepState::Executing { .. } | StepState::Failing | StepState::Ended(_) => {}
            }
        }
        Ok(())
    }
}
