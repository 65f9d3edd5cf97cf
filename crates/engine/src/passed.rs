//! Holdings that are over, remembered as long as an answer may come that is older.
//!
//! Two claims of one instance may be under way at once, and their answers may come in the other order: by the time the older one is there,
//! the holding of the newer one may be over already. Taken up, it would start user code from a journal that has gone on since.

use cairn_store::InstanceNo;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// The holdings that have ended of late.
#[derive(Default)]
pub(crate) struct Passed(Mutex<State>);

#[derive(Default)]
struct State {
    /// Counts claims, creations and ends.
    last: u64,
    /// Claims and creations that are not taken up yet.
    under_way: BTreeSet<u64>,
    /// Which instances were let go, in order.
    order: VecDeque<(u64, InstanceNo)>,
    /// When, and with the lease of which epoch.
    ended: HashMap<InstanceNo, (u64, i64)>,
}

/// A claim or creation that is under way, until it is dropped.
pub(crate) struct Ticket {
    passed: Arc<Passed>,
    no: u64,
}

impl Passed {
    /// A claim or creation begins.
    pub(crate) fn begin(self: &Arc<Self>) -> Arc<Ticket> {
        let mut state = self.0.lock();
        state.last += 1;
        let no = state.last;
        state.under_way.insert(no);
        Arc::new(Ticket {
            passed: Arc::clone(self),
            no,
        })
    }

    /// An instance was let go.
    pub(crate) fn end(&self, instance: InstanceNo, epoch: i64) {
        let mut state = self.0.lock();
        if state.under_way.is_empty() {
            return;
        }
        state.last += 1;
        let no = state.last;
        state.order.push_back((no, instance));
        state.ended.insert(instance, (no, epoch));
    }

    /// Whether a lease is older than one that was let go.
    pub(crate) fn is_over(&self, instance: InstanceNo, epoch: i64) -> bool {
        let state = self.0.lock();
        state
            .ended
            .get(&instance)
            .is_some_and(|(_, ended)| *ended >= epoch)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.passed.0.lock();
        state.under_way.remove(&self.no);
        let oldest = state.under_way.first().copied().unwrap_or(u64::MAX);
        while let Some((no, instance)) = state.order.pop_front_if(|(no, _)| *no < oldest) {
            if state.ended.get(&instance).is_some_and(|(at, _)| *at == no) {
                state.ended.remove(&instance);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTANCE: InstanceNo = InstanceNo(7);

    #[test]
    fn an_end_is_known_while_something_older_is_under_way() {
        let passed = Arc::<Passed>::default();
        passed.end(INSTANCE, 1);
        assert!(!passed.is_over(INSTANCE, 1));
        let older = passed.begin();
        passed.end(INSTANCE, 2);
        let newer = passed.begin();
        passed.end(INSTANCE, 4);
        assert!(passed.is_over(INSTANCE, 1) && passed.is_over(INSTANCE, 4));
        assert!(!passed.is_over(INSTANCE, 5) && !passed.is_over(InstanceNo(8), 1));
        drop(older);
        assert!(passed.is_over(INSTANCE, 3));
        drop(newer);
        assert!(!passed.is_over(INSTANCE, 1));
        assert!(passed.0.lock().order.is_empty());
    }
}
