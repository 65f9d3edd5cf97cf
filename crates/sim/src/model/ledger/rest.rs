//! What must hold between commits.

use super::{Judged, Ledger, State, must};
use crate::model::Rules;
use cairn_core::Status;
use cairn_store::Commit;
use std::collections::VecDeque;

impl Ledger {
    /// What must hold between commits.
    pub(in crate::model) fn check_commit(&mut self, commit: &Commit, (now, rules): (i64, &Rules)) -> Judged {
        let lease = self.lease;
        must!(
            lease == Some(commit.lease),
            "a commit with {:?}, but {lease:?} holds it",
            commit.lease
        );
        if commit.release.is_some() {
            self.lease = None;
        }
        must!(self.at <= now, "entries of the future");
        must!(
            commit.next_seq.0 + commit.entries.len() as u64 == self.entries,
            "the journal has {} entries",
            self.entries
        );
        must!(
            commit.status == self.status,
            "the row says {} for {}",
            commit.status.as_str(),
            self.status.as_str()
        );
        must!(
            commit.ended_at.is_some() == self.status.is_final(),
            "the row has an end, or none, but it is {}",
            self.status.as_str()
        );
        if self.status == Status::Waiting {
            must!(
                self.executing().next().is_none(),
                "it waits, but something executes"
            );
            if let Some(key) = &self.woken {
                return Err(format!("it waits, but {key} has ended"));
            }
        }
        let given_up = self
            .steps
            .iter()
            .find(|facts| matches!(facts.state, State::GivenUp(_)));
        if let Some(facts) = given_up {
            return Err(format!("{} was given up, but has not ended", facts.key));
        }
        let delivers =
            self.status == Status::Running || (self.status == Status::Waiting && rules.slots.is_none());
        if delivers {
            self.check_delivery()?;
        }
        Ok(())
    }

    /// No event lies there that a step waits for.
    fn check_delivery(&self) -> Judged {
        for facts in &self.steps {
            let State::Waiting {
                event_type, deadline, ..
            } = &facts.state
            else {
                continue;
            };
            let event = self.events.get(event_type).and_then(VecDeque::front);
            must!(
                event.is_none_or(|event| event.at >= *deadline),
                "{} waits for an event that is there",
                facts.key
            );
        }
        Ok(())
    }
}
