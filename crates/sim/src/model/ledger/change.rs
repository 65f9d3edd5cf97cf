//! Changes of status: pauses, restarts, rollbacks and ends, each with its cause.

use super::{Court, Judged, Ledger, Mark, State, StepFacts, as_i64, must};
use crate::model::undo::UndoLedger;
use crate::model::{End, Messages, Rules, attempt};
use bytes::Bytes;
use cairn_core::{ErrorInfo, Origin, Record, Status, StepKey, StepKind, Undo};
use std::collections::BTreeMap;

impl Ledger {
    /// A change of status that is no end.
    pub(super) fn change(&mut self, record: &Record, (causes, _, live): Court<'_>) -> Judged {
        let pauses = |ledger: &Self| {
            ledger
                .marks
                .iter()
                .filter(|(_, mark)| *mark == Mark::Pause)
                .count()
        };
        let (before, after, mark) = match record {
            Record::Started => (&[Status::Queued][..], Status::Running, None),
            Record::Waiting => {
                must!(self.executing().next().is_none(), "something executes");
                let waits = |facts: &StepFacts| {
                    matches!(
                        facts.state,
                        State::Retrying { .. } | State::Sleeping { .. } | State::Waiting { .. }
                    )
                };
                must!(self.steps.iter().any(waits), "nothing waits");
                (&[Status::Running][..], Status::Waiting, None)
            }
            Record::Running => (&[Status::Waiting][..], Status::Running, None),
            Record::PauseRequested => {
                must!(self.executing().next().is_some(), "nothing executes");
                let from = &[Status::Queued, Status::Running, Status::Waiting][..];
                (from, Status::WaitingForPause, Some(Mark::Pause))
            }
            Record::Paused => {
                let left = self
                    .executing()
                    .find(|(key, attempt)| live.is_some_and(|run| run.executes(key, *attempt)));
                if let Some((key, _)) = left {
                    return Err(format!("{key} executes"));
                }
                self.paused_at = Some(self.at);
                let from = &[
                    Status::Queued,
                    Status::Running,
                    Status::Waiting,
                    Status::WaitingForPause,
                ][..];
                let mark = (self.status != Status::WaitingForPause).then_some(Mark::Pause);
                (from, Status::Paused, mark)
            }
            Record::Resumed { shift_millis } => {
                let shift = (self.at - self.paused_at.take().ok_or("it was not paused")?).max(0);
                must!(as_i64(*shift_millis) == shift, "the pause took {shift}");
                self.shift(shift);
                (&[Status::Paused][..], Status::Queued, Some(Mark::Resume))
            }
            Record::PauseCancelled => (
                &[Status::WaitingForPause][..],
                Status::Running,
                Some(Mark::Resume),
            ),
            _ => return Ok(()),
        };
        must!(before.contains(&self.status), "it is {}", self.status.as_str());
        self.status = after;
        self.woken = None;
        self.marks.extend(mark.map(|mark| (self.entries, mark)));
        must!(pauses(self) <= causes.pauses, "nobody asked for this pause");
        let resumed = self
            .marks
            .iter()
            .filter(|(_, mark)| *mark == Mark::Resume)
            .count();
        must!(resumed <= causes.resumes, "nobody asked to go on");
        Ok(())
    }

    pub(super) fn shift(&mut self, millis: i64) {
        for facts in &mut self.steps {
            match &mut facts.state {
                State::Retrying { at, .. }
                | State::Sleeping { until: at }
                | State::Waiting { deadline: at, .. } => *at += millis,
                State::Executing { .. } | State::GivenUp(_) | State::Ended => {}
            }
        }
    }

    pub(super) fn restart(&mut self, keep: usize) {
        self.marks.push((self.entries, Mark::Restart));
        self.epoch += 1;
        self.status = Status::Queued;
        (self.error, self.output, self.undo) = (None, None, None);
        (self.paused_at, self.woken) = (None, None);
        self.events.clear();
        self.steps.truncate(keep);
        let mut ended = BTreeMap::new();
        for facts in &self.steps {
            if let Some(known) = self.ended.last().and_then(|ended| ended.get(&facts.key)) {
                ended.insert(facts.key.clone(), known.clone());
            }
        }
        self.ended.push(ended);
        self.by_key = self
            .steps
            .iter()
            .zip(0..)
            .map(|(facts, number)| (facts.key.clone(), number))
            .collect();
        let dos = self
            .steps
            .iter()
            .filter(|facts| facts.key.kind == StepKind::Do)
            .count();
        self.dos = u32::try_from(dos).unwrap_or(u32::MAX);
        self.bytes = self.steps.iter().map(|facts| facts.bytes).sum();
    }

    pub(super) fn end(
        &mut self,
        record: &Record,
        payload: Option<&Bytes>,
        (causes, rules, _): Court<'_>,
    ) -> Judged {
        let undo = self.undo.as_ref();
        let ends = causes
            .ends
            .iter()
            .filter(|(epoch, _)| *epoch == self.epoch)
            .map(|(_, end)| end);
        self.status = match record {
            Record::Completed => {
                let returned = |end: &End| matches!(end, End::Returned(value) if Some(value) == payload);
                must!({ ends }.any(returned), "run() has not returned this");
                must!(self.status != Status::WaitingForPause, "the pause comes first");
                self.output = payload.cloned();
                Status::Complete
            }
            Record::Errored { error } => {
                match undo {
                    Some(undo) => must!(
                        undo.is_over() && undo.error.as_ref() == Some(error),
                        "it was to be rolled back"
                    ),
                    None if error.message.ends_with("storage limit") => {
                        must!(rules.limits.state_bytes < 100_000, "there is room enough");
                    }
                    None => {
                        let undone = self.steps.iter().any(|facts| facts.has_handler);
                        let raised = |end: &End| match end {
                            End::Raised { origin, .. } => {
                                final_error(end, rules).as_ref() == Some(error)
                                    && (!undone || *origin == Origin::Fatal)
                            }
                            End::Returned(_) => false,
                        };
                        must!(
                            { ends }.any(raised),
                            "run() has not ended this way, or steps are to be rolled back"
                        );
                    }
                }
                self.error = Some(error.clone());
                Status::Errored
            }
            Record::Terminated => {
                let over = undo.is_some_and(|undo| undo.is_over() && undo.error.is_none());
                if !over {
                    must!(!causes.terminations.is_empty(), "nobody asked for it");
                    let gently = causes.terminations.iter().all(|undo| *undo == Undo::Steps);
                    let skipped =
                        undo.is_none() && gently && self.steps.iter().any(|facts| facts.has_handler);
                    must!(!skipped, "its steps are to be rolled back");
                }
                self.marks.push((self.entries, Mark::Terminate));
                Status::Terminated
            }
            _ => return Ok(()),
        };
        Ok(())
    }

    pub(super) fn roll_back(&mut self, record: &Record, court: Court<'_>) -> Judged {
        if let Record::RollbackStarted { error } = record {
            let ends = court.0.ends.iter().filter(|(epoch, _)| *epoch == self.epoch);
            match error {
                Some(_) => {
                    let raised = |end: &End| {
                        matches!(
                            end,
                            End::Raised {
                                origin: Origin::Thrown,
                                ..
                            }
                        ) && final_error(end, court.1) == *error
                    };
                    must!(ends.map(|(_, end)| end).any(raised), "run() has not thrown this");
                    must!(self.status != Status::WaitingForPause, "the pause comes first");
                }
                None => must!(court.0.terminations.contains(&Undo::Steps), "nobody asked for it"),
            }
            let handlers = self.steps.iter().filter(|facts| facts.has_handler);
            let steps: Vec<StepKey> = handlers.map(|facts| facts.key.clone()).collect();
            must!(!steps.is_empty(), "there is nothing to roll back");
            self.status = Status::RollingBack;
            if error.is_none() {
                self.marks.push((self.entries, Mark::Terminate));
            }
            self.undo = Some(UndoLedger::new(error.clone(), steps));
            return Ok(());
        }
        let mut undo = self.undo.take().ok_or("no rollback has begun")?;
        let followed = undo.follow(record, self, court);
        self.undo = Some(undo);
        followed
    }
}

/// What an instance ends with when `run()` has thrown.
fn final_error(end: &End, rules: &Rules) -> Option<ErrorInfo> {
    let End::Raised { error, .. } = end else {
        return None;
    };
    Some(match rules.messages {
        Messages::Wrapped if attempt::is_final(error) => ErrorInfo::new(
            "WorkflowFatalError",
            "The execution of the Workflow instance was terminated, as a step threw an NonRetryableError and it was not handled",
        ),
        Messages::Own | Messages::Wrapped => error.clone(),
    })
}
