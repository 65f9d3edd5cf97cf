//! What nodes that have lost an instance still believe of it.
//!
//! A node whose lease has ended does not know. It goes on with what was durable when another one took over: it may start runs and callbacks,
//! but nothing that it decides is ever kept, and it tells nobody what was not durable before.

use super::Ledger;
use super::watch::{check_history, history_of};
use cairn_core::{Purpose, Status};
use cairn_runtime::StartRun;
use cairn_store::{Lease, NodeId};
use std::collections::BTreeMap;

/// The journal of an instance as those have it who have lost it.
#[derive(Default)]
pub(super) struct Views {
    lost: Vec<(Lease, Ledger)>,
    /// The newest lease with which each node has started a run.
    seen: BTreeMap<NodeId, i64>,
}

/// What a node knows that starts a run.
pub(super) struct View<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) lease_epoch: i64,
    /// Entries that it knows of.
    pub(super) begun: u64,
}

impl<'a> View<'a> {
    pub(super) fn of(ledger: &'a Ledger) -> Self {
        Self {
            ledger,
            lease_epoch: ledger.lease_epoch(),
            begun: ledger.entries,
        }
    }
}

impl Views {
    /// Another node takes the instance, or the same one again.
    pub(super) fn taken_away(&mut self, ledger: &Ledger, lease: Lease) {
        if let Some(lost) = ledger.lease()
            && lost.node != lease.node
        {
            self.lost.push((lost, ledger.clone()));
        }
    }

    /// What a node knows that starts a run: the journal as it is, or as it was when the node lost it. It never knows less than before.
    pub(super) fn of<'a>(
        &'a mut self,
        (ledger, node): (&'a Ledger, Option<NodeId>),
        start: &StartRun,
    ) -> Result<View<'a>, String> {
        let Some(node) = node else {
            return check(ledger, start).map(|()| View::of(ledger));
        };
        let seen = self.seen.get(&node).copied().unwrap_or(0);
        let of_node = |lease: &Lease| lease.node == node && lease.epoch >= seen;
        let mut fault = format!("{}: node {} starts a run, which never held it", ledger.id, node.0);
        let held = ledger.lease().is_some_and(|lease| lease.node == node) || self.lost.is_empty();
        let current = held.then_some((ledger.lease_epoch(), ledger));
        let lost = self.lost.iter().rev().filter(|(lease, _)| of_node(lease));
        for (epoch, view) in current
            .into_iter()
            .chain(lost.map(|(lease, view)| (lease.epoch, view)))
        {
            match check(view, start) {
                Ok(()) => {
                    self.seen.insert(node, epoch);
                    return Ok(View::of(view));
                }
                Err(text) => fault = text,
            }
        }
        // It may have read the journal only after it had lost the instance, as it was at some moment since.
        let lost = self.lost.iter().rev().find(|(lease, _)| of_node(lease));
        match lost {
            Some((lease, _)) if is_beginning(ledger, start) => Ok(View {
                ledger,
                lease_epoch: lease.epoch,
                begun: 0,
            }),
            Some(_) | None => Err(fault),
        }
    }
}

/// What is shown is what was kept at some moment.
fn is_beginning(ledger: &Ledger, start: &StartRun) -> bool {
    let mut kept = ledger.steps.iter();
    start.history.iter().all(|shown| {
        let is_next = kept.next().is_some_and(|kept| kept.key == shown.key);
        let ended = ledger.outcome(ledger.epoch, &shown.key).map(|(_, kept)| kept);
        is_next && history_of(&shown.known).is_none_or(|shown| ended == Some(&shown))
    })
}

fn check(ledger: &Ledger, start: &StartRun) -> Result<(), String> {
    let undoes = ledger.status == Status::RollingBack;
    if undoes != (start.purpose == Purpose::Rollback) {
        return Err(format!("{}: a run for {:?}", ledger.id, start.purpose));
    }
    check_history(ledger, start)
}
