//! A rollback, as the journal tells it: newest step first, one handler at a time, until one fails.

use super::attempt::{Failed, Whose};
use super::causes::Threw;
use super::ledger::{Court, Judged, Ledger, State, must};
use crate::program::{Attempts, Spec};
use cairn_core::{ErrorInfo, Record, RollbackResult, StepKey};
use std::collections::BTreeSet;

/// A rollback that has begun.
#[derive(Debug, Clone)]
pub(crate) struct UndoLedger {
    /// What `run()` threw; none after a termination.
    pub(crate) error: Option<ErrorInfo>,
    /// What the rollback failed with, or that it did not.
    pub(crate) outcome: Option<Result<(), ErrorInfo>>,
    /// Steps with handlers that are left, oldest first.
    pub(crate) left: Vec<StepKey>,
    /// The steps that were rolled back, in that order.
    pub(crate) done: Vec<StepKey>,
    /// Calls of handlers that may have been made.
    pub(super) started: BTreeSet<(StepKey, u32)>,
    current: Current,
}

/// Where the newest of the steps that are left stands.
#[derive(Debug, Clone)]
enum Current {
    Untouched,
    Executing { attempt: u32, since: i64 },
    Retrying { failed: u32, at: i64 },
    GivenUp(Vec<ErrorInfo>),
    Failed(ErrorInfo),
}

impl UndoLedger {
    pub(super) fn new(error: Option<ErrorInfo>, left: Vec<StepKey>) -> Self {
        Self {
            error,
            outcome: None,
            left,
            done: Vec::new(),
            started: BTreeSet::new(),
            current: Current::Untouched,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.outcome.is_some()
    }

    pub(super) fn follow(&mut self, record: &Record, ledger: &Ledger, court: Court<'_>) -> Judged {
        must!(!self.is_over(), "the rollback is over");
        if let Record::RollbackEnded { error } = record {
            self.outcome = Some(match (error, &self.current) {
                (None, Current::Untouched) if self.left.is_empty() => Ok(()),
                (Some(error), Current::Failed(failure)) if error == failure => Err(error.clone()),
                _ => return Err(format!("it should go on: {:?} {:?}", self.left, self.current)),
            });
            return Ok(());
        }
        let newest = self.left.last().ok_or("nothing is left to roll back")?.clone();
        let step = match record {
            Record::RollbackAttemptStarted { step, .. }
            | Record::RollbackAttemptFailed { step, .. }
            | Record::RollbackStepCompleted { step }
            | Record::RollbackStepFailed { step, .. } => *step,
            _ => return Err("this is not of a rollback".into()),
        };
        must!(*ledger.key_of(step)? == newest, "it is the turn of {newest}");
        if let Record::RollbackAttemptStarted { attempt, .. } = record {
            self.started.insert((newest.clone(), *attempt));
        }
        self.follow_handler(record, &newest, (ledger, court))
    }

    /// An entry about the handler of the newest step.
    fn follow_handler(
        &mut self,
        record: &Record,
        newest: &StepKey,
        (ledger, court): (&Ledger, Court<'_>),
    ) -> Judged {
        let now = ledger.last_at();
        let did = |attempt: u32| {
            let cause = (ledger.epoch, newest.clone(), attempt);
            court.0.undone.get(&cause).map_or(&[][..], Vec::as_slice)
        };
        match (record, self.current.clone()) {
            (Record::RollbackAttemptStarted { attempt: 1, .. }, Current::Untouched) => {
                self.current = Current::Executing {
                    attempt: 1,
                    since: now,
                };
            }
            (Record::RollbackAttemptStarted { attempt, .. }, Current::Retrying { failed, at }) => {
                must!(*attempt == failed + 1, "it should be attempt {}", failed + 1);
                check_retry((*attempt, at), &handler_of(ledger, newest)?, (ledger, court))?;
                self.current = Current::Executing {
                    attempt: *attempt,
                    since: now,
                };
            }
            (
                Record::RollbackAttemptFailed {
                    attempt,
                    error,
                    retry_at,
                    ..
                },
                Current::Executing {
                    attempt: current,
                    since,
                },
            ) => {
                must!(*attempt == current, "attempt {current} executes");
                let failed = Failed {
                    attempt: *attempt,
                    since,
                    at: now,
                    error,
                    returned: 0,
                    whose: Whose::Handler,
                    name: "",
                };
                let threw: Vec<Threw> = did(current).iter().filter_map(threw).collect();
                let verdicts = failed.verdicts(&handler_of(ledger, newest)?, &threw, court.1);
                must!(!verdicts.is_empty(), "nothing of the kind has happened");
                let next = ledger.next_of_attempt((current, retry_at.map(|at| at.0)), verdicts)?;
                self.current = Current::after(next)?;
            }
            (Record::RollbackStepCompleted { .. }, Current::Executing { attempt, .. }) => {
                must!(
                    did(attempt).contains(&RollbackResult::Returned),
                    "the handler has not returned"
                );
                self.left.pop();
                self.done.push(newest.clone());
                self.current = Current::Untouched;
            }
            (Record::RollbackStepFailed { error, .. }, Current::Executing { attempt, .. }) => {
                let missing = did(attempt).contains(&RollbackResult::Missing);
                must!(missing && error.name == "RollbackMissing", "the handler is there");
                self.current = Current::Failed(error.clone());
            }
            (Record::RollbackStepFailed { error, .. }, Current::GivenUp(shown)) => {
                must!(shown.contains(error), "it failed with one of {shown:?}");
                self.current = Current::Failed(error.clone());
            }
            (_, current) => return Err(format!("this cannot be: {current:?}")),
        }
        Ok(())
    }
}

impl Current {
    fn after(next: State) -> Result<Self, String> {
        match next {
            State::Retrying { failed, at } => Ok(Self::Retrying { failed, at }),
            State::GivenUp(shown) => Ok(Self::GivenUp(shown)),
            _ => Err("a handler ends otherwise".into()),
        }
    }
}

/// A handler is called again: it may be, and it is time.
fn check_retry(
    (attempt, at): (u32, i64),
    attempts: &Attempts,
    (ledger, court): (&Ledger, Court<'_>),
) -> Judged {
    must!(
        attempt <= attempts.limit + 1,
        "only {} retries are allowed",
        attempts.limit
    );
    must!(ledger.last_at() >= at, "it is not due before {at}");
    if court.2.is_some_and(super::watch::Watched::is_going_forward) {
        ledger.prompt(at, court)?;
    }
    Ok(())
}

fn threw(result: &RollbackResult) -> Option<Threw> {
    match result {
        RollbackResult::Threw { error, dynamic_delay } => Some(Threw {
            error: error.clone(),
            delay: dynamic_delay.clone(),
        }),
        RollbackResult::Returned | RollbackResult::Missing => None,
    }
}

fn handler_of(ledger: &Ledger, key: &StepKey) -> Result<Attempts, String> {
    match ledger.program.spec(key) {
        Some(Spec::Do(work)) => {
            let handler = work
                .handler
                .as_ref()
                .ok_or_else(|| format!("{key} has no handler"))?;
            Ok(handler.function.clone())
        }
        Some(Spec::Sleep(_) | Spec::Wait(..)) | None => Err(format!("{key} has no handler")),
    }
}
