//! Whether what runs is behind: how long a commit takes from the turn that made it until its answer is taken up, through all queues on the way.
//!
//! A node that is behind takes up nothing new but a few: what was created meanwhile waits in the store, where it costs a row, instead of making all
//! that runs here slow. Commands to instances and their answers go through the same queues.

use crate::Shared;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// What takes longer is behind.
const BEHIND: Duration = Duration::from_millis(250);
/// Instances that a node holds however slow its disk is.
const LEAST: usize = 256;

/// What whoever creates instances has to know of it.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    is_behind: AtomicBool,
    /// Whether there was no room for a new instance, and those that are due in the store have not all been taken up since.
    has_backlog: AtomicBool,
}

impl Flow {
    pub(crate) fn note(&self, is_behind: bool) {
        self.is_behind.store(is_behind, Ordering::Relaxed);
    }

    /// Whether new instances go to the end of the queue in the store.
    pub(crate) fn has_backlog(&self) -> bool {
        self.has_backlog.load(Ordering::Relaxed)
    }

    /// There was no room for a new instance.
    pub(crate) fn overflow(&self) {
        self.has_backlog.store(true, Ordering::Relaxed);
    }

    /// What was due was taken up.
    pub(crate) fn claimed(&self, more_is_due: bool) {
        if !more_is_due {
            self.has_backlog.store(false, Ordering::Relaxed);
        }
    }
}

impl Shared {
    /// How many instances this node may hold now.
    pub(crate) fn most_held(&self) -> usize {
        let most = self.settings.instances_in_memory;
        if self.flow.is_behind.load(Ordering::Relaxed) {
            most.min(LEAST)
        } else {
            most
        }
    }
}

/// The commits that were handed over and not answered. They are answered in order.
#[derive(Debug, Default)]
pub(crate) struct Lag {
    handed_over: u64,
    answered: u64,
    /// How many had been handed over at the end of a turn.
    turns: VecDeque<(u64, Instant)>,
    /// How long the last one took that was answered.
    last: Duration,
}

impl Lag {
    /// A commit was handed over.
    pub(crate) fn handed_over(&mut self) {
        self.handed_over += 1;
    }

    /// So many were answered.
    pub(crate) fn answered(&mut self, count: usize, now: Instant) {
        self.answered += count as u64;
        while let Some((_, at)) = self.turns.pop_front_if(|(end, _)| *end <= self.answered) {
            self.last = now.duration_since(at);
        }
    }

    /// A turn ends.
    pub(crate) fn end_turn(&mut self, now: Instant) {
        if self.turns.back().map_or(self.answered, |(end, _)| *end) < self.handed_over {
            self.turns.push_back((self.handed_over, now));
        }
    }

    /// Whether what runs is behind.
    pub(crate) fn is_behind(&self, now: Instant) -> bool {
        let oldest = self.turns.front();
        oldest.is_some_and(|(_, at)| self.last.max(now.duration_since(*at)) > BEHIND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(begin: Instant, millis: u64) -> Instant {
        begin + Duration::from_millis(millis)
    }

    #[test]
    fn a_commit_that_takes_long_is_behind_until_one_that_does_not() {
        let (mut lag, begin) = (Lag::default(), Instant::now());
        lag.handed_over();
        lag.handed_over();
        lag.end_turn(begin);
        assert!(!lag.is_behind(at(begin, 250)));
        assert!(lag.is_behind(at(begin, 251)));
        lag.handed_over();
        lag.end_turn(at(begin, 251));
        lag.answered(1, at(begin, 300));
        assert!(lag.is_behind(at(begin, 300)));
        lag.answered(1, at(begin, 400));
        assert!(lag.is_behind(at(begin, 400)), "the one before took 400 ms");
        lag.handed_over();
        lag.end_turn(at(begin, 410));
        lag.answered(1, at(begin, 420));
        assert!(!lag.is_behind(at(begin, 430)));
    }

    #[test]
    fn who_waits_for_nothing_is_not_behind() {
        let (mut lag, begin) = (Lag::default(), Instant::now());
        lag.end_turn(begin);
        assert!(!lag.is_behind(at(begin, 10_000)));
        lag.handed_over();
        lag.end_turn(begin);
        lag.answered(1, at(begin, 9_000));
        assert!(!lag.is_behind(at(begin, 10_000)));
    }
}
