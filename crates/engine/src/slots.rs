//! Slots: how many instances of a workflow, and of an account, run at once (behaviour §2, §6).
//!
//! Every instance that runs is counted. Only where a limit is set, or an account is at its own, do instances ask before they begin or go on:
//! first those in memory whose run waits for a slot, then those parked in the store, each in order. What is known here is derived: from the
//! store's counts at the start, then from what drivers do.

use crate::{Shared, WorkflowSettings};
use cairn_core::{Slot, Status};
use cairn_store::{InstanceNo, Load};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap, VecDeque};

/// Who runs, and who waits.
pub(crate) struct Slots(Mutex<Book>);

struct Book {
    account_limit: usize,
    accounts: HashMap<String, Account>,
    workflows: HashMap<i64, Workflow>,
    /// The instances that hold a slot, with their workflow.
    holders: HashMap<InstanceNo, i64>,
    /// Workflows with a queue where a slot may be free.
    to_serve: BTreeSet<i64>,
    /// Whether more instances must ask than before.
    more_ask: bool,
}

#[derive(Default)]
struct Account {
    used: usize,
    /// Whether it has been at its limit.
    is_tight: bool,
}

struct Workflow {
    account: String,
    limit: Option<u32>,
    used: usize,
    /// Of those used: instances in the store that nobody has taken up since the start.
    untaken: usize,
    /// Instances in memory whose run waits for a slot.
    waiting: VecDeque<InstanceNo>,
    /// Whether instances may be parked in the store.
    parked: bool,
    /// Whether some of them are being claimed.
    is_claiming: bool,
}

/// What can be done with a free slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Free {
    /// This instance in memory has it.
    For(InstanceNo),
    /// So many parked instances may be claimed; the slots are taken.
    Parked { workflow: i64, count: usize },
}

impl Slots {
    pub(crate) fn new(account_limit: usize, loads: Vec<(Load, WorkflowSettings)>) -> Self {
        let mut book = Book {
            account_limit,
            accounts: HashMap::new(),
            workflows: HashMap::new(),
            holders: HashMap::new(),
            to_serve: BTreeSet::new(),
            more_ask: false,
        };
        for (load, settings) in loads {
            book.know(load.workflow, &load.account, settings.concurrency);
            let running = usize::try_from(load.running).unwrap_or(usize::MAX);
            book.use_slots(load.workflow, running);
            if let Some(workflow) = book.workflows.get_mut(&load.workflow) {
                workflow.untaken = running;
                workflow.parked = load.parked;
            }
            book.to_serve.insert(load.workflow);
        }
        Self(Mutex::new(book))
    }

    /// Sets the limit of a workflow, which may be new; none for no limit.
    pub(crate) fn set_limit(&self, workflow: i64, account: &str, limit: Option<u32>) {
        let mut book = self.0.lock();
        book.know(workflow, account, limit);
        if let Some(known) = book.workflows.get_mut(&workflow) {
            known.limit = limit;
        }
        book.more_ask |= limit.is_some();
        book.to_serve.insert(workflow);
    }

    /// Takes slots for new instances, up to `count`: fewer when no more are free, none when others wait.
    pub(crate) fn reserve(
        &self,
        (workflow, account): (i64, &str),
        settings: &WorkflowSettings,
        count: usize,
    ) -> usize {
        let mut book = self.0.lock();
        book.know(workflow, account, settings.concurrency);
        if book.has_queue(workflow) {
            return 0;
        }
        let taken = book.free(workflow).min(count);
        book.use_slots(workflow, taken);
        taken
    }

    /// Gives back slots taken for new instances that do not use them.
    pub(crate) fn unreserve(&self, workflow: i64, count: usize) {
        let mut book = self.0.lock();
        book.free_slots(workflow, count);
    }

    /// A slot that was taken in advance belongs to this instance.
    pub(crate) fn assign(&self, workflow: i64, instance: InstanceNo) {
        let mut book = self.0.lock();
        if book.holders.insert(instance, workflow).is_some() {
            book.free_slots(workflow, 1);
        }
    }

    /// An instance is taken up: how it stands. One that runs has a slot, whether it is free or not.
    pub(crate) fn take_up(&self, workflow: i64, instance: InstanceNo, status: Status) -> (Slot, bool) {
        let mut book = self.0.lock();
        if status.holds_slot() && !book.holders.contains_key(&instance) {
            let taken = book
                .workflows
                .get_mut(&workflow)
                .filter(|known| known.untaken > 0);
            match taken {
                Some(known) => known.untaken -= 1,
                None => book.use_slots(workflow, 1),
            }
            book.holders.insert(instance, workflow);
        }
        let holds = book.holders.contains_key(&instance);
        let slot = match (book.must_ask(workflow), holds) {
            (false, _) => Slot::Unlimited,
            (true, true) => Slot::Held,
            (true, false) => Slot::Missing,
        };
        (slot, holds)
    }

    /// Whether instances of this workflow must ask.
    pub(crate) fn must_ask(&self, workflow: i64) -> bool {
        self.0.lock().must_ask(workflow)
    }

    /// Whether more instances must ask than when this was last called.
    pub(crate) fn more_ask(&self) -> bool {
        std::mem::take(&mut self.0.lock().more_ask)
    }

    /// An instance has begun to hold a slot, or ceased to.
    pub(crate) fn note(&self, workflow: i64, instance: InstanceNo, holds: bool) {
        let mut book = self.0.lock();
        if holds {
            if book.holders.insert(instance, workflow).is_none() {
                book.use_slots(workflow, 1);
            }
        } else {
            book.release(instance);
        }
    }

    /// An instance has no slot any more, if it had one.
    pub(crate) fn release(&self, instance: InstanceNo) {
        self.0.lock().release(instance);
    }

    /// An instance asks for a slot; whether it has one. A queued one lets those parked before it go first.
    pub(crate) fn ask(&self, workflow: i64, instance: InstanceNo, status: Status) -> bool {
        let mut book = self.0.lock();
        if book.holders.contains_key(&instance) {
            return true;
        }
        let overtakes = status == Status::Queued && book.has_queue(workflow);
        if overtakes || book.free(workflow) == 0 {
            return false;
        }
        book.holders.insert(instance, workflow);
        book.use_slots(workflow, 1);
        true
    }

    /// An instance in memory waits for a slot.
    pub(crate) fn wait(&self, workflow: i64, instance: InstanceNo) {
        if let Some(known) = self.0.lock().workflows.get_mut(&workflow) {
            known.waiting.push_back(instance);
        }
    }

    /// Instances of a workflow have been parked in the store.
    pub(crate) fn parked(&self, workflow: i64) {
        let mut book = self.0.lock();
        if let Some(known) = book.workflows.get_mut(&workflow) {
            known.parked = true;
            book.to_serve.insert(workflow);
        }
    }

    /// What can be done with free slots now, one thing at a time; the slot is taken with the answer. `room` is for parked instances.
    pub(crate) fn next(&self, room: usize) -> Option<Free> {
        self.0.lock().next(room)
    }

    /// The claim of parked instances that [`Slots::next`] asked for is answered: whether the store gave any, and those that are here.
    pub(crate) fn claimed(&self, workflow: i64, (asked, gave_any): (usize, bool), taken: &[InstanceNo]) {
        let mut book = self.0.lock();
        for instance in taken {
            if book.holders.insert(*instance, workflow).is_some() {
                book.free_slots(workflow, 1);
            }
        }
        book.free_slots(workflow, asked.saturating_sub(taken.len()));
        if let Some(known) = book.workflows.get_mut(&workflow) {
            known.is_claiming = false;
            known.parked |= gave_any;
            book.to_serve.insert(workflow);
        }
    }

    /// An instance was deleted while it had this status.
    pub(crate) fn deleted(&self, workflow: i64, instance: InstanceNo, status: Status) {
        let mut book = self.0.lock();
        let was_taken = book.holders.contains_key(&instance);
        book.release(instance);
        let untaken = book.workflows.get(&workflow).map_or(0, |known| known.untaken);
        if !was_taken
            && status.holds_slot()
            && untaken > 0
            && let Some(known) = book.workflows.get_mut(&workflow)
        {
            known.untaken -= 1;
            book.free_slots(workflow, 1);
        }
    }

    /// A workflow was deleted with all its instances.
    pub(crate) fn forget(&self, workflow: i64) {
        let mut book = self.0.lock();
        book.holders.retain(|_, of| *of != workflow);
        let used = book.workflows.get(&workflow).map_or(0, |known| known.used);
        book.free_slots(workflow, used);
        book.workflows.remove(&workflow);
        book.to_serve.remove(&workflow);
    }
}

impl Book {
    fn know(&mut self, workflow: i64, account: &str, limit: Option<u32>) {
        self.workflows.entry(workflow).or_insert_with(|| Workflow {
            account: account.into(),
            limit,
            used: 0,
            untaken: 0,
            waiting: VecDeque::new(),
            parked: false,
            is_claiming: false,
        });
        if !self.accounts.contains_key(account) {
            self.accounts.insert(account.into(), Account::default());
        }
    }

    fn account_of(&mut self, workflow: i64) -> Option<&mut Account> {
        self.accounts.get_mut(&self.workflows.get(&workflow)?.account)
    }

    fn must_ask(&self, workflow: i64) -> bool {
        self.workflows.get(&workflow).is_some_and(|known| {
            let account = self.accounts.get(&known.account);
            known.limit.is_some() || account.is_some_and(|account| account.is_tight)
        })
    }

    fn has_queue(&self, workflow: i64) -> bool {
        self.workflows
            .get(&workflow)
            .is_some_and(|known| known.parked || known.is_claiming || !known.waiting.is_empty())
    }

    /// Slots that are free for a workflow. Marks an account that is at its limit.
    fn free(&mut self, workflow: i64) -> usize {
        let Some(known) = self.workflows.get(&workflow) else {
            return usize::MAX;
        };
        let own = known.limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit)
                .unwrap_or(usize::MAX)
                .saturating_sub(known.used)
        });
        let account_limit = self.account_limit;
        let Some(account) = self.account_of(workflow) else {
            return own;
        };
        let of_account = account_limit.saturating_sub(account.used);
        if of_account == 0 && !account.is_tight {
            account.is_tight = true;
            self.more_ask = true;
        }
        own.min(of_account)
    }

    fn use_slots(&mut self, workflow: i64, count: usize) {
        if let Some(known) = self.workflows.get_mut(&workflow) {
            known.used += count;
        }
        if let Some(account) = self.account_of(workflow) {
            account.used += count;
        }
    }

    fn free_slots(&mut self, workflow: i64, count: usize) {
        let Some(known) = self.workflows.get_mut(&workflow) else {
            return;
        };
        let count = count.min(known.used);
        known.used -= count;
        if count == 0 {
            return;
        }
        let Some(account) = self.account_of(workflow) else {
            return;
        };
        account.used = account.used.saturating_sub(count);
        if account.is_tight {
            let account = self.workflows.get(&workflow).map(|known| known.account.clone());
            let others = self
                .workflows
                .iter()
                .filter(|(_, known)| Some(&known.account) == account.as_ref());
            self.to_serve.extend(others.map(|(no, _)| *no));
        }
        self.to_serve.insert(workflow);
    }

    fn release(&mut self, instance: InstanceNo) {
        if let Some(workflow) = self.holders.remove(&instance) {
            self.free_slots(workflow, 1);
        }
    }

    fn next(&mut self, room: usize) -> Option<Free> {
        let mut left_for_want_of_room = None;
        let found = loop {
            let Some(workflow) = self.to_serve.pop_first() else {
                break None;
            };
            let free = self.free(workflow);
            let Some(known) = self.workflows.get_mut(&workflow).filter(|_| free > 0) else {
                continue;
            };
            if let Some(instance) = known.waiting.pop_front() {
                self.holders.insert(instance, workflow);
                self.use_slots(workflow, 1);
                self.to_serve.insert(workflow);
                break Some(Free::For(instance));
            }
            if !known.parked || known.is_claiming {
                continue;
            }
            let count = free.min(room);
            if count == 0 {
                left_for_want_of_room.get_or_insert_with(Vec::new).push(workflow);
                continue;
            }
            (known.parked, known.is_claiming) = (false, true);
            self.use_slots(workflow, count);
            break Some(Free::Parked { workflow, count });
        };
        self.to_serve.extend(left_for_want_of_room.into_iter().flatten());
        found
    }
}

impl Shared {
    /// How many of these new instances may begin at once.
    pub(crate) fn reserve_slots(
        &self,
        workflow: &cairn_store::WorkflowRow,
        count: usize,
    ) -> Result<usize, crate::EngineError> {
        let settings = crate::catalog::read_settings(&workflow.settings)?;
        Ok(self
            .slots
            .reserve((workflow.no, &workflow.account), &settings, count))
    }
}
