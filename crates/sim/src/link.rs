//! The way between a node and the store: how long a call takes, and whether it comes through at all.
//!
//! A read shows the store as it is at one moment between question and answer; the answer may be old when it arrives. A write may wait,
//! with all that stand behind it, and be done long after it was asked for.

use crate::random::Random;
use cairn_store::StoreError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard, Notify};

/// A call that is slow takes up to this, milliseconds.
const SLOWEST_MILLIS: u64 = 180_000;

/// How the store is reached from a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// As ever.
    Open,
    /// Every call fails at once. One that is under way fails too, done or not.
    Refusing,
    /// Calls and answers wait until it is open again.
    Hanging,
    /// The node is dead: none of its calls is answered, ever.
    Gone,
}

/// What may become of the calls of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Manners {
    /// Chance of a failure, percent.
    pub(crate) faults: u64,
    pub(crate) reads: Reads,
    pub(crate) writers: Writers,
    /// Chance of a call that takes seconds or minutes, per thousand.
    pub(crate) slow: u64,
}

/// Whether reads take time and fail, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    Prompt,
    Late,
}

/// Whether writes stand in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writers {
    Many,
    One,
}

/// The way between a node and the store.
pub(crate) struct Link {
    random: Random,
    manners: Manners,
    faults: AtomicU64,
    slow: AtomicU64,
    gate: parking_lot::Mutex<Gate>,
    changed: Notify,
    /// Whether nothing goes wrong any more.
    ends: AtomicBool,
    writer: Mutex<()>,
}

impl Link {
    pub(crate) fn new(random: Random, manners: Manners) -> Self {
        Self {
            random,
            manners,
            faults: AtomicU64::new(manners.faults),
            slow: AtomicU64::new(manners.slow),
            gate: parking_lot::Mutex::new(Gate::Open),
            changed: Notify::new(),
            ends: AtomicBool::new(false),
            writer: Mutex::new(()),
        }
    }

    /// The dead stay dead, and what is healed stays whole.
    pub(crate) fn set(&self, gate: Gate) {
        let mut current = self.gate.lock();
        if self.ends.load(Ordering::Relaxed) || *current == Gate::Gone {
            return;
        }
        *current = gate;
        self.changed.notify_waiters();
    }

    /// From now on nothing fails and nothing is slow.
    pub(crate) fn heal(&self) {
        self.faults.store(0, Ordering::Relaxed);
        self.slow.store(0, Ordering::Relaxed);
        self.set(Gate::Open);
        self.ends.store(true, Ordering::Relaxed);
    }

    pub(crate) fn reads(&self) -> Reads {
        self.manners.reads
    }

    /// The turn of a write, where they stand in a queue.
    pub(crate) async fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        match self.manners.writers {
            Writers::Many => None,
            Writers::One => Some(self.writer.lock().await),
        }
    }

    /// A call on its way to the store.
    pub(crate) async fn there(&self) -> Result<(), StoreError> {
        self.pass("before").await?;
        self.delay().await;
        if self.fails() {
            return Err(failure("before"));
        }
        Ok(())
    }

    /// An answer on its way back. An error says that it was lost.
    pub(crate) async fn back(&self) -> Result<(), StoreError> {
        self.delay().await;
        self.pass("after").await?;
        if self.fails() {
            return Err(failure("after"));
        }
        Ok(())
    }

    /// Waits until the gate is open.
    pub(crate) async fn pass(&self, when: &str) -> Result<(), StoreError> {
        loop {
            // Those that wait are woken in the order in which they came.
            let changed = self.changed.notified();
            let gate = *self.gate.lock();
            match gate {
                Gate::Open => return Ok(()),
                Gate::Refusing => return Err(failure(when)),
                Gate::Hanging | Gate::Gone => changed.await,
            }
        }
    }

    /// Takes the time of a call.
    pub(crate) async fn dawdle(&self) {
        self.delay().await;
    }

    async fn delay(&self) {
        let mut millis = self.random.below(4);
        let slow = self.slow.load(Ordering::Relaxed);
        if slow > 0 && self.random.below(1_000) < slow {
            millis = self.random.between(1_000, SLOWEST_MILLIS);
        }
        if millis > 0 {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
    }

    pub(crate) fn fails(&self) -> bool {
        self.random.chance(self.faults.load(Ordering::Relaxed))
    }
}

fn failure(when: &str) -> StoreError {
    StoreError::Unavailable(format!("injected {when} the call"))
}
