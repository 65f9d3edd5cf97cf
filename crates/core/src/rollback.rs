//! What the journal says of a rollback: the steps that are left, and where the current one stands (behaviour §3.5).

use crate::{Corrupt, ErrorInfo, Record, StepNo, Timestamp};

/// A rollback that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollback {
    /// What `run()` threw; none when the instance was terminated.
    pub error: Option<ErrorInfo>,
    /// Where it stands.
    pub state: RollbackState,
    /// The steps to roll back, oldest first; the last one is the current one.
    left: Vec<StepNo>,
}

/// Where a rollback stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RollbackState {
    /// The next step is due.
    Between,
    /// The handler of the current step is executing; without a run it is lost.
    Executing {
        /// The attempt, from 1.
        attempt: u32,
        /// Its start.
        since: Timestamp,
    },
    /// It has thrown and is called again.
    Retrying {
        /// The attempt that failed.
        attempt: u32,
        /// When the next is due.
        retry_at: Timestamp,
    },
    /// It has thrown for the last time; the failure of the step is the next entry.
    Failing,
    /// A step could not be rolled back; the end of the rollback is the next entry.
    Failed(ErrorInfo),
    /// It is over; the end of the instance is the next entry.
    Ended,
}

const ILLEGAL: Corrupt = Corrupt("a rollback changes in a way it cannot");

impl Rollback {
    pub(crate) fn begin(error: Option<ErrorInfo>, steps: Vec<StepNo>) -> Self {
        Self {
            error,
            state: RollbackState::Between,
            left: steps,
        }
    }

    /// The step that is being rolled back, or is next.
    pub fn current(&self) -> Option<StepNo> {
        self.left.last().copied()
    }

    /// Every legal transition of a rollback; all others are damage.
    pub(crate) fn evolve(&mut self, record: &Record, at: Timestamp) -> Result<(), Corrupt> {
        self.state = match (record, &self.state) {
            (Record::RollbackAttemptStarted { step, attempt: 1 }, RollbackState::Between)
                if self.current() == Some(*step) =>
            {
                RollbackState::Executing {
                    attempt: 1,
                    since: at,
                }
            }
            (
                Record::RollbackAttemptStarted { step, attempt },
                RollbackState::Retrying { attempt: failed, .. },
            ) if self.current() == Some(*step) && *attempt == failed + 1 => RollbackState::Executing {
                attempt: *attempt,
                since: at,
            },
            (
                Record::RollbackAttemptFailed {
                    step,
                    attempt,
                    retry_at,
                    ..
                },
                RollbackState::Executing { attempt: current, .. },
            ) if self.current() == Some(*step) && attempt == current => {
                retry_at.map_or(RollbackState::Failing, |retry_at| RollbackState::Retrying {
                    attempt: *attempt,
                    retry_at,
                })
            }
            (Record::RollbackStepCompleted { step }, RollbackState::Executing { .. })
                if self.current() == Some(*step) =>
            {
                self.left.pop();
                RollbackState::Between
            }
            (
                Record::RollbackStepFailed { step, error },
                RollbackState::Executing { .. } | RollbackState::Failing,
            ) if self.current() == Some(*step) => RollbackState::Failed(error.clone()),
            (Record::RollbackEnded { error: None }, RollbackState::Between) if self.left.is_empty() => {
                RollbackState::Ended
            }
            (Record::RollbackEnded { error: Some(error) }, RollbackState::Failed(failure))
                if error == failure =>
            {
                RollbackState::Ended
            }
            _ => return Err(ILLEGAL),
        };
        Ok(())
    }
}
