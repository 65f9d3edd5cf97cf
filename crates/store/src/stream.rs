//! Streams that steps have returned: kept in pieces beside the journal, which only names them.

use crate::{InstanceNo, Lease};
use bytes::Bytes;

/// Names a stream within its instance; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StreamNo(pub u64);

/// A change of the streams of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamWrite {
    /// The next piece of a stream.
    Append {
        /// The instance.
        instance: InstanceNo,
        /// Its holder's lease; a piece with an old one is not kept.
        lease: Lease,
        /// The stream.
        stream: StreamNo,
        /// The piece, from 0.
        index: u32,
        /// What it holds.
        bytes: Bytes,
    },
    /// Streams that nothing names any more. Needs no lease: what is not named is never named again.
    Drop {
        /// The instance.
        instance: InstanceNo,
        /// The first of them.
        from: StreamNo,
        /// The first behind them.
        until: StreamNo,
        /// Those between that stay, in order.
        keep: Vec<StreamNo>,
    },
}

/// The ranges (first and last number, both included) that a [`StreamWrite::Drop`] drops.
pub(crate) fn ranges(from: StreamNo, until: StreamNo, keep: &[StreamNo]) -> Vec<(u64, u64)> {
    let mut ranges = Vec::new();
    let mut next = from.0;
    for kept in keep.iter().filter(|kept| (from..until).contains(kept)) {
        if kept.0 > next {
            ranges.push((next, kept.0 - 1));
        }
        next = next.max(kept.0 + 1);
    }
    if until.0 > next {
        ranges.push((next, until.0 - 1));
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_cuts_the_range() {
        let of = |from, until, keep: &[u64]| {
            let keep: Vec<_> = keep.iter().copied().map(StreamNo).collect();
            ranges(StreamNo(from), StreamNo(until), &keep)
        };
        assert_eq!(of(0, 10, &[]), [(0, 9)]);
        assert_eq!(of(0, 10, &[0, 4, 9, 12]), [(1, 3), (5, 8)]);
        assert_eq!(of(5, 6, &[5]), []);
        assert_eq!(of(5, 5, &[]), []);
        assert_eq!(of(5, 10, &[2, 6]), [(5, 5), (7, 9)]);
    }
}
