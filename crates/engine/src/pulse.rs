//! Whether the heartbeat beats and the store writes, noted as it happens: whoever asks costs nothing.

use parking_lot::Mutex;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// What was seen last.
#[derive(Debug)]
pub(crate) struct Pulse {
    seen: Mutex<Seen>,
    failed: Notify,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    beat_at: Instant,
    written_at: Instant,
    last_write: Written,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Kept,
    Failed,
}

/// How an engine does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineHealth {
    /// How long ago the heartbeat went round last. It does at least every third of the node's lease.
    pub beat_ago: Duration,
    /// Whether the last write was kept.
    pub writes: bool,
    /// How long ago a write was kept last; there is one at least every third of the node's lease.
    pub written_ago: Duration,
    /// The node's lease, by which all that should have happened.
    pub lease: Duration,
}

impl EngineHealth {
    /// Whether the heartbeat beats.
    pub fn beats(&self) -> bool {
        self.beat_ago <= self.lease
    }

    /// Whether what is written is kept.
    pub fn stores(&self) -> bool {
        self.writes && self.written_ago <= self.lease
    }
}

impl Pulse {
    /// Of an engine that has just registered its node.
    pub(crate) fn begun() -> Self {
        let now = Instant::now();
        Self {
            seen: Mutex::new(Seen {
                beat_at: now,
                written_at: now,
                last_write: Written::Kept,
            }),
            failed: Notify::new(),
        }
    }

    /// The heartbeat has gone round.
    pub(crate) fn beat(&self) {
        self.seen.lock().beat_at = Instant::now();
    }

    /// A write of several parts has been answered. If none of them was done there was nothing to keep, which says nothing of the store.
    pub(crate) fn wrote_some<T, F, E>(&self, outcome: &Result<Vec<Result<T, F>>, E>) {
        let was_empty = outcome
            .as_ref()
            .is_ok_and(|parts| parts.iter().all(Result::is_err));
        if !was_empty {
            self.wrote(outcome);
        }
    }

    /// A write has been answered.
    pub(crate) fn wrote<T, E>(&self, outcome: &Result<T, E>) {
        let mut seen = self.seen.lock();
        if outcome.is_ok() {
            seen.written_at = Instant::now();
            seen.last_write = Written::Kept;
        } else {
            seen.last_write = Written::Failed;
            self.failed.notify_one();
        }
    }

    /// Waits for a write that fails.
    pub(crate) async fn failed(&self) {
        self.failed.notified().await;
    }

    pub(crate) fn health(&self, lease_millis: u64) -> EngineHealth {
        let seen = *self.seen.lock();
        EngineHealth {
            beat_ago: seen.beat_at.elapsed(),
            writes: seen.last_write == Written::Kept,
            written_ago: seen.written_at.elapsed(),
            lease: Duration::from_millis(lease_millis),
        }
    }
}
