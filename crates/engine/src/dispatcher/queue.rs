//! Instances by the time at which something is to be done with them.

use cairn_core::Timestamp;
use cairn_store::InstanceNo;
use std::collections::BTreeSet;

/// Takes the part of a queue by time that is due.
pub(super) trait PopDue {
    fn pop_due(&mut self, now: Timestamp) -> Option<(Timestamp, InstanceNo)>;
}

impl PopDue for BTreeSet<(Timestamp, InstanceNo)> {
    fn pop_due(&mut self, now: Timestamp) -> Option<(Timestamp, InstanceNo)> {
        if self.first().is_some_and(|(at, _)| *at <= now) {
            self.pop_first()
        } else {
            None
        }
    }
}
