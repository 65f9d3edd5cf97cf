//! Events on their way: what the store has accepted reaches the journal, or an instance that has ended.

use super::{Ledger, Rules};
use bytes::Bytes;
use cairn_store::{Commit, InboxNo};
use std::collections::BTreeMap;

/// More bytes than events of a world have.
const ROOMY: u64 = 100_000;

/// Events that the store has accepted and that lie in the inbox, by number.
#[derive(Default)]
pub(super) struct Post(BTreeMap<InboxNo, u64>);

impl Post {
    pub(super) fn add(&mut self, no: InboxNo, payload: &Bytes) {
        if let Ok(number) = Ledger::text(payload).parse() {
            self.0.insert(no, number);
        }
    }

    /// An event that nobody has taken.
    pub(super) fn left(&self) -> Option<u64> {
        self.0.values().next().copied()
    }

    /// What leaves the inbox is in the journal, unless the instance had ended.
    pub(super) fn consumed(
        &mut self,
        commit: &Commit,
        (ledger, was_final, rules): (&Ledger, bool, &Rules),
    ) -> Result<(), String> {
        let Some(until) = commit.consumed else {
            return Ok(());
        };
        let left = self.0.split_off(&InboxNo(until.0 + 1));
        let taken = std::mem::replace(&mut self.0, left);
        let may_drop = was_final
            || ledger.status.is_final()
            || ledger.ended_at() >= commit.next_seq.0
            || rules.limits.state_bytes < ROOMY;
        let lost = taken.values().find(|number| !ledger.received.contains(number));
        match lost {
            Some(number) if !may_drop => Err(format!(
                "event {number} has left the inbox and is not in the journal"
            )),
            Some(_) | None => Ok(()),
        }
    }
}
