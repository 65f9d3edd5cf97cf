//! What clients see of an instance: the journal, told as steps (behaviour §1.2).

use crate::{
    Corrupt, Entry, ErrorInfo, Limits, Record, RetryDelay, Seq, StepConfig, StepKey, StepKind, StepNo,
    Timestamp,
};

/// An instance as its journal tells it, since its last restart.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InstanceView {
    /// The entry with the parameters.
    pub params: Option<Seq>,
    /// The entry with the output, once complete.
    pub output: Option<Seq>,
    /// What `run()` threw.
    pub error: Option<ErrorInfo>,
    /// When it was terminated.
    pub terminated_at: Option<Timestamp>,
    /// The steps by order of their first start.
    pub steps: Vec<StepView>,
    /// The rollback, once it has begun.
    pub rollback: Option<RollbackView>,
}

/// A rollback.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RollbackView {
    /// Whether it has ended, and what it failed with.
    pub outcome: Option<Result<(), ErrorInfo>>,
    /// The steps that were rolled back, in that order.
    pub steps: Vec<RolledBackStep>,
}

/// A step whose rollback handler was called.
#[derive(Debug, Clone, PartialEq)]
pub struct RolledBackStep {
    /// The step.
    pub key: StepKey,
    /// Configuration of the handler.
    pub config: StepConfig,
    /// First call of the handler.
    pub started_at: Timestamp,
    /// End, if it has ended.
    pub ended_at: Option<Timestamp>,
    /// What it failed with.
    pub error: Option<ErrorInfo>,
    /// All calls of the handler.
    pub attempts: Vec<AttemptView>,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepView {
    /// Which.
    pub key: StepKey,
    /// First start.
    pub started_at: Timestamp,
    /// End, if it has ended.
    pub ended_at: Option<Timestamp>,
    /// What it threw, when it failed for good.
    pub error: Option<ErrorInfo>,
    /// What only its kind has.
    pub detail: StepDetail,
}

/// What only one kind of step has.
#[derive(Debug, Clone, PartialEq)]
pub enum StepDetail {
    /// `step.do`
    Do {
        /// Resolved configuration.
        config: StepConfig,
        /// All attempts, in order.
        attempts: Vec<AttemptView>,
        /// The entry with the result.
        output: Option<Seq>,
        /// When the next attempt is due, while it waits for that.
        retry_at: Option<Timestamp>,
        /// Configuration of its rollback handler, when it has one.
        rollback: Option<StepConfig>,
    },
    /// `step.sleep`, `step.sleepUntil`
    Sleep {
        /// When it ends.
        until: Timestamp,
    },
    /// `step.waitForEvent`
    Wait {
        /// The type it waits for.
        event_type: String,
        /// When it gives up.
        deadline: Timestamp,
        /// The entry with the payload of the event it took.
        event: Option<Seq>,
    },
}

/// One attempt of a `step.do`.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptView {
    /// Start.
    pub started_at: Timestamp,
    /// End, if it has ended.
    pub ended_at: Option<Timestamp>,
    /// What it threw, when it failed.
    pub error: Option<ErrorInfo>,
}

impl StepView {
    /// Whether it ended, and well.
    pub fn success(&self) -> Option<bool> {
        self.ended_at.map(|_| self.error.is_none())
    }

    /// The entry with the value it ended with.
    pub fn output(&self) -> Option<Seq> {
        match &self.detail {
            StepDetail::Do { output, .. } => *output,
            StepDetail::Wait { event, .. } => *event,
            StepDetail::Sleep { .. } => None,
        }
    }

    /// Whether its output must not be shown.
    pub fn is_redacted(&self) -> bool {
        match &self.detail {
            StepDetail::Do { config, .. } => config.redacted,
            StepDetail::Sleep { .. } | StepDetail::Wait { .. } => false,
        }
    }
}

impl InstanceView {
    /// Tells a journal, given in order from [`Seq`] 0.
    ///
    /// # Errors
    /// [`Corrupt`] where an entry does not fit those before it.
    pub fn of<'a>(entries: impl IntoIterator<Item = &'a Entry>, limits: &Limits) -> Result<Self, Corrupt> {
        let mut view = Self::default();
        for (seq, entry) in entries.into_iter().enumerate() {
            view.tell(Seq(seq as u64), entry, limits)?;
        }
        Ok(view)
    }

    fn tell(&mut self, seq: Seq, entry: &Entry, limits: &Limits) -> Result<(), Corrupt> {
        match &entry.record {
            Record::Created => self.params = Some(seq),
            Record::StepStarted { .. } | Record::SleepStarted { .. } | Record::WaitStarted { .. } => {
                self.start(entry, limits)?;
            }
            Record::AttemptStarted { .. }
            | Record::AttemptFailed { .. }
            | Record::StepCompleted { .. }
            | Record::StepFailed { .. }
            | Record::SleepCompleted { .. }
            | Record::WaitCompleted { .. }
            | Record::WaitTimedOut { .. } => self.follow(seq, entry)?,
            Record::Resumed { shift_millis } => self.shift(*shift_millis),
            Record::Terminated => self.terminated_at = Some(entry.at),
            Record::Restarted => {
                *self = Self {
                    params: self.params,
                    ..Self::default()
                }
            }
            Record::RestartedFrom { step } => {
                let mut steps = std::mem::take(&mut self.steps);
                steps.truncate(step.0 as usize);
                *self = Self {
                    params: self.params,
                    steps,
                    ..Self::default()
                }
            }
            Record::RollbackStarted { .. } => self.rollback = Some(RollbackView::default()),
            Record::RollbackAttemptStarted { .. }
            | Record::RollbackAttemptFailed { .. }
            | Record::RollbackStepCompleted { .. }
            | Record::RollbackStepFailed { .. } => self.roll_back(entry)?,
            Record::RollbackEnded { error } => {
                let rollback = self.rollback.get_or_insert_default();
                rollback.outcome = Some(error.clone().map_or(Ok(()), Err));
            }
            Record::Completed => self.output = Some(seq),
            Record::Errored { error } => self.error = Some(error.clone()),
            Record::Started
            | Record::EventReceived { .. }
            | Record::Waiting
            | Record::Running
            | Record::PauseRequested
            | Record::Paused
            | Record::PauseCancelled => {}
        }
        Ok(())
    }

    /// A step starts.
    fn start(&mut self, entry: &Entry, limits: &Limits) -> Result<(), Corrupt> {
        let detail = match &entry.record {
            Record::StepStarted { config, rollback, .. } => StepDetail::Do {
                rollback: rollback.clone(),
                config: config.clone().unwrap_or_else(|| StepConfig::defaults(limits)),
                attempts: vec![AttemptView {
                    started_at: entry.at,
                    ended_at: None,
                    error: None,
                }],
                output: None,
                retry_at: None,
            },
            Record::SleepStarted { until, .. } => StepDetail::Sleep { until: *until },
            Record::WaitStarted {
                event_type, deadline, ..
            } => StepDetail::Wait {
                event_type: event_type.clone(),
                deadline: *deadline,
                event: None,
            },
            _ => return Ok(()),
        };
        self.add(entry, detail)
    }

    /// A step goes on, or ends.
    fn follow(&mut self, seq: Seq, entry: &Entry) -> Result<(), Corrupt> {
        let at = entry.at;
        match &entry.record {
            Record::AttemptStarted { step, .. } => self.start_attempt(*step, at),
            Record::AttemptFailed {
                step,
                error,
                retry_at,
                ..
            } => self.fail_attempt(*step, at, (error, *retry_at)),
            Record::StepCompleted { step, .. } => {
                self.end_attempt(*step, at, None)?;
                if let StepDetail::Do { output, .. } = &mut self.step(*step)?.detail {
                    *output = Some(seq);
                }
                self.end(*step, at, None)
            }
            Record::StepFailed { step, error } => self.end(*step, at, Some(error.clone())),
            Record::SleepCompleted { step } => self.end(*step, at, None),
            Record::WaitCompleted { step, event } => {
                if let StepDetail::Wait { event: taken, .. } = &mut self.step(*step)?.detail {
                    *taken = Some(*event);
                }
                self.end(*step, at, None)
            }
            Record::WaitTimedOut { step, timeout_millis } => {
                self.end(*step, at, Some(ErrorInfo::timeout(*timeout_millis)))
            }
            _ => Ok(()),
        }
    }

    /// A rollback goes on.
    fn roll_back(&mut self, entry: &Entry) -> Result<(), Corrupt> {
        let at = entry.at;
        if let Record::RollbackAttemptStarted { step, attempt: 1 } = &entry.record {
            let step = self.step(*step)?;
            let (key, config) = match &step.detail {
                StepDetail::Do {
                    rollback: Some(config),
                    ..
                } => (step.key.clone(), config.clone()),
                StepDetail::Do { .. } | StepDetail::Sleep { .. } | StepDetail::Wait { .. } => {
                    return Err(Corrupt("a step without a rollback handler is rolled back"));
                }
            };
            let rolled_back = RolledBackStep {
                key,
                config,
                started_at: at,
                ended_at: None,
                error: None,
                attempts: Vec::new(),
            };
            self.rollback.get_or_insert_default().steps.push(rolled_back);
        }
        let current = self
            .rollback
            .as_mut()
            .and_then(|rollback| rollback.steps.last_mut());
        let current = current.ok_or(Corrupt("a rollback goes on that has not begun"))?;
        match &entry.record {
            Record::RollbackAttemptStarted { .. } => current.attempts.push(AttemptView {
                started_at: at,
                ended_at: None,
                error: None,
            }),
            Record::RollbackAttemptFailed { error, .. } => current.end_attempt(at, Some(error)),
            Record::RollbackStepCompleted { .. } => {
                current.end_attempt(at, None);
                current.ended_at = Some(at);
            }
            Record::RollbackStepFailed { error, .. } => {
                current.end_attempt(at, Some(error));
                current.ended_at = Some(at);
                current.error = Some(error.clone());
            }
            _ => {}
        }
        Ok(())
    }

    fn add(&mut self, entry: &Entry, detail: StepDetail) -> Result<(), Corrupt> {
        let (step, kind, name, count) = entry
            .record
            .started_step()
            .ok_or(Corrupt("no step starts here"))?;
        if step.0 as usize != self.steps.len() {
            return Err(Corrupt("steps are not numbered in order"));
        }
        let key = StepKey {
            kind,
            name: name.into(),
            count,
        };
        self.steps.push(StepView {
            key,
            started_at: entry.at,
            ended_at: None,
            error: None,
            detail,
        });
        Ok(())
    }

    fn step(&mut self, step: StepNo) -> Result<&mut StepView, Corrupt> {
        self.steps
            .get_mut(step.0 as usize)
            .ok_or(Corrupt("an entry names a step that has not started"))
    }

    fn end(&mut self, step: StepNo, at: Timestamp, error: Option<ErrorInfo>) -> Result<(), Corrupt> {
        let step = self.step(step)?;
        step.ended_at = Some(at);
        step.error = error;
        Ok(())
    }

    fn start_attempt(&mut self, step: StepNo, at: Timestamp) -> Result<(), Corrupt> {
        if let StepDetail::Do {
            attempts, retry_at, ..
        } = &mut self.step(step)?.detail
        {
            attempts.push(AttemptView {
                started_at: at,
                ended_at: None,
                error: None,
            });
            *retry_at = None;
        }
        Ok(())
    }

    fn end_attempt(&mut self, step: StepNo, at: Timestamp, error: Option<ErrorInfo>) -> Result<(), Corrupt> {
        if let StepDetail::Do { attempts, .. } = &mut self.step(step)?.detail
            && let Some(attempt) = attempts.last_mut()
        {
            attempt.ended_at = Some(at);
            attempt.error = error;
        }
        Ok(())
    }

    fn fail_attempt(
        &mut self,
        step: StepNo,
        at: Timestamp,
        (error, next): (&ErrorInfo, Option<Timestamp>),
    ) -> Result<(), Corrupt> {
        self.end_attempt(step, at, Some(error.clone()))?;
        if let StepDetail::Do { retry_at, .. } = &mut self.step(step)?.detail {
            *retry_at = next;
        }
        Ok(())
    }

    fn shift(&mut self, millis: u64) {
        for step in self.steps.iter_mut().filter(|step| step.ended_at.is_none()) {
            match &mut step.detail {
                StepDetail::Do { retry_at, .. } => *retry_at = retry_at.map(|at| at.plus(millis)),
                StepDetail::Sleep { until } => *until = until.plus(millis),
                StepDetail::Wait { deadline, .. } => *deadline = deadline.plus(millis),
            }
        }
    }
}

impl RolledBackStep {
    fn end_attempt(&mut self, at: Timestamp, error: Option<&ErrorInfo>) {
        if let Some(attempt) = self.attempts.last_mut()
            && attempt.ended_at.is_none()
        {
            attempt.ended_at = Some(at);
            attempt.error = error.cloned();
        }
    }
}

impl StepConfig {
    /// The delay as clients see it: as written, or `[dynamic]`.
    pub fn shown_delay(&self) -> Result<u64, String> {
        match &self.delay {
            RetryDelay::Dynamic => Err("[dynamic]".into()),
            RetryDelay::Fixed { text: Some(text), .. } => Err(text.clone()),
            RetryDelay::Fixed { millis, text: None } => Ok(*millis),
        }
    }
}

impl StepKind {
    /// The word of the `type` parameter of `…/step` and of `restart` (behaviour §1.1, §1.2).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Do => "do",
            Self::Sleep => "sleep",
            Self::WaitForEvent => "waitForEvent",
        }
    }
}
