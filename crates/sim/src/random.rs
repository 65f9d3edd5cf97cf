//! The only source of chance: SplitMix64 from a seed.

use parking_lot::Mutex;
use std::sync::Arc;

/// A shared stream of numbers.
#[derive(Clone)]
pub(crate) struct Random(Arc<Mutex<u64>>);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed)))
    }

    /// An independent stream, for something that must not change when other things draw more or fewer numbers.
    pub(crate) fn fork(&self, label: u64) -> Self {
        Self::new(self.next() ^ label.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn next(&self) -> u64 {
        let mut state = self.0.lock();
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 to `end`, exclusive.
    pub(crate) fn below(&self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.next() % end }
    }

    /// A number from `low` to `high`, inclusive.
    pub(crate) fn between(&self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// Whether something happens that has this chance, in percent.
    pub(crate) fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
