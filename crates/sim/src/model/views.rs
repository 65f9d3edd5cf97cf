//! What nodes that have lost an instance still believe of it.
//!
//! A node whose lease has ended does not know. It goes on with what was durable when another one took over: it may start runs and callbacks,
//! but nothing that it decides is ever kept, and it tells nobody what was not durable before.

use super::Ledger;
use super::watch::check_history;
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
    ) -> Result<&'a Ledger, String> {
        let Some(node) = node else {
            return check(ledger, start).map(|()| ledger);
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
                    return Ok(view);
                }
                Err(text) => fault = text,
            }
        }
        Err(fault)
    }
}

fn check(ledger: &Ledger, start: &StartRun) -> Result<(), String> {
    let undoes = ledger.status == Status::RollingBack;
    if undoes != (start.purpose == Purpose::Rollback) {
        return Err(format!("{}: a run for {:?}", ledger.id, start.purpose));
    }
    check_history(ledger, start)
}
