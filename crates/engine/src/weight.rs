//! How many bytes the instances in memory hold, here and in their processes: parameters, results and events (`limits.bytes_in_memory`).
//!
//! It is a bound on what is taken up, not on what an instance may keep: those that are in memory go on, and nothing else is taken up until some of them are done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What all of them weigh. Clones are the same scale.
#[derive(Clone, Default)]
pub(crate) struct Scale(Arc<Sum>);

#[derive(Default)]
struct Sum {
    bytes: AtomicU64,
    /// What one weighed of late when it was taken up.
    typical: AtomicU64,
}

/// What one instance weighs; weighs nothing any more when it is dropped.
pub(crate) struct Weight {
    scale: Scale,
    bytes: u64,
}

impl Scale {
    /// Puts an instance on the scale.
    pub(crate) fn put(&self, bytes: u64) -> Weight {
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        // Two at once may lose one of them, which matters little.
        let typical = self.0.typical.load(Ordering::Relaxed);
        let typical = typical - typical / 16 + bytes / 16;
        self.0.typical.store(typical, Ordering::Relaxed);
        Weight {
            scale: self.clone(),
            bytes,
        }
    }

    /// Whether nothing more may be taken up.
    pub(crate) fn is_full(&self, limit: u64) -> bool {
        self.0.bytes.load(Ordering::Relaxed) >= limit
    }

    /// How many more there is room for beside `held`, as heavy as they are and were of late. At least one while it is not full.
    pub(crate) fn room(&self, limit: u64, held: usize) -> usize {
        let bytes = self.0.bytes.load(Ordering::Relaxed);
        if bytes >= limit {
            return 0;
        }
        let mean = bytes / (held as u64).max(1);
        let each = mean.max(self.0.typical.load(Ordering::Relaxed)).max(1);
        usize::try_from((limit - bytes) / each).map_or(usize::MAX, |room| room.max(1))
    }
}

impl Weight {
    /// It weighs so much now.
    pub(crate) fn set(&mut self, bytes: u64) {
        let sum = &self.scale.0.bytes;
        match bytes.checked_sub(self.bytes) {
            Some(more) => sum.fetch_add(more, Ordering::Relaxed),
            None => sum.fetch_sub(self.bytes - bytes, Ordering::Relaxed),
        };
        self.bytes = bytes;
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_weighs_nothing() {
        let scale = Scale::default();
        let (mut one, two) = (scale.put(600), scale.put(300));
        assert!(!scale.is_full(1_000));
        one.set(700);
        assert!(scale.is_full(1_000));
        assert_eq!(scale.room(1_000, 2), 0);
        one.set(100);
        assert_eq!(scale.room(1_000, 2), 3);
        drop(two);
        assert_eq!(scale.room(1_000, 1), 9);
        drop(one);
        assert!(!scale.is_full(1));
    }

    #[test]
    fn after_heavy_ones_few_are_taken_at_once() {
        let scale = Scale::default();
        for _ in 0..100 {
            drop(scale.put(1_000));
        }
        let room = scale.room(10_000, 0);
        assert!((8..=12).contains(&room), "{room}");
        assert_eq!(scale.room(1, 0), 1);
    }
}
