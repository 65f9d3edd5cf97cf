//! Which instances may have ended a process, and how long each waits before it is tried again.
//!
//! In memory only: after a restart of the server the search begins anew.

use cairn_runtime::{Company, Fault};
use cairn_store::InstanceNo;
use std::collections::HashMap;

/// How many suspects share a process: fewer each time they lose one.
const COMPANIES: [u32; 3] = [64, 8, 1];
/// Longest wait before a run that never starts is tried again, milliseconds.
const BACKOFF_MAX_MILLIS: u64 = 30_000;

/// Instances whose runs were lost.
#[derive(Debug, Default)]
pub(crate) struct Suspects(HashMap<InstanceNo, Suspicion>);

#[derive(Debug, Default)]
struct Suspicion {
    /// How often in a row a run was lost before it said anything.
    silent: u32,
    company: Company,
    /// How often in a row it has ended a process that it had for itself.
    proven: u32,
}

impl Suspects {
    /// With whom its next run may share a process.
    pub(crate) fn company(&self, instance: InstanceNo) -> Company {
        self.0
            .get(&instance)
            .map_or(Company::Any, |suspicion| suspicion.company)
    }

    /// A run was lost before it said anything: how long to wait, milliseconds.
    pub(crate) fn lost_silently(&mut self, instance: InstanceNo) -> u64 {
        let suspicion = self.0.entry(instance).or_default();
        suspicion.silent = suspicion.silent.saturating_add(1);
        100_u64
            .checked_shl(suspicion.silent - 1)
            .unwrap_or(u64::MAX)
            .min(BACKOFF_MAX_MILLIS)
    }

    /// A run was lost after it had said something.
    pub(crate) fn lost(&mut self, instance: InstanceNo) {
        if let Some(suspicion) = self.0.get_mut(&instance) {
            suspicion.silent = 0;
        }
    }

    /// User code has ended the process of a run: how often in a row it was proven that it was this instance's; 0 when it may have been another's.
    pub(crate) fn faulted(&mut self, instance: InstanceNo, fault: &Fault) -> u32 {
        let suspicion = self.0.entry(instance).or_default();
        suspicion.company = smaller(suspicion.company, fault.others);
        if !fault.is_its_own() {
            return 0;
        }
        suspicion.proven = suspicion.proven.saturating_add(1);
        suspicion.proven
    }

    /// A run of it has come to a good end, or nothing will run any more.
    pub(crate) fn clear(&mut self, instance: InstanceNo) {
        self.0.remove(&instance);
    }
}

/// Fewer than before, and fewer than there were.
fn smaller(before: Company, others: usize) -> Company {
    let fits = |most: &u32| match before {
        Company::Any => (*most as usize) < others.saturating_add(1),
        Company::AtMost(before) => *most < before && (*most as usize) < others.saturating_add(1),
    };
    Company::AtMost(COMPANIES.into_iter().find(fits).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_runtime::Company::{Any, AtMost};

    const ONE: InstanceNo = InstanceNo(1);

    fn fault(others: usize, company: Company) -> Fault {
        Fault {
            error: cairn_core::ErrorInfo::internal("it did"),
            others,
            company,
        }
    }

    #[test]
    fn suspects_become_fewer_until_there_is_one() {
        let mut suspects = Suspects::default();
        let mut company = Any;
        for (others, next) in [(999, 64), (63, 8), (7, 1), (0, 1)] {
            assert_eq!(suspects.company(ONE), company);
            suspects.faulted(ONE, &fault(others, company));
            company = AtMost(next);
        }
        assert_eq!(suspects.company(ONE), AtMost(1));
    }

    #[test]
    fn few_are_told_apart_at_once() {
        for (before, others, after) in [
            (Any, 0, 1),
            (Any, 1, 1),
            (Any, 8, 8),
            (Any, 64, 64),
            (AtMost(64), 3, 1),
        ] {
            assert_eq!(smaller(before, others), AtMost(after), "{before:?} {others}");
        }
    }

    #[test]
    fn only_who_was_alone_is_proven_guilty_and_a_good_end_clears() {
        let mut suspects = Suspects::default();
        assert_eq!(
            suspects.faulted(ONE, &fault(0, Any)),
            0,
            "others may have left something behind"
        );
        assert_eq!(suspects.faulted(ONE, &fault(1, AtMost(1))), 0);
        assert_eq!(suspects.faulted(ONE, &fault(0, AtMost(1))), 1);
        assert_eq!(suspects.faulted(ONE, &fault(0, AtMost(1))), 2);
        suspects.clear(ONE);
        assert_eq!(suspects.company(ONE), Any);
        assert_eq!(suspects.faulted(ONE, &fault(0, AtMost(1))), 1);
    }

    #[test]
    fn silence_is_met_with_growing_pauses() {
        let mut suspects = Suspects::default();
        let pauses: Vec<u64> = (0..3).map(|_| suspects.lost_silently(ONE)).collect();
        assert_eq!(pauses, [100, 200, 400]);
        suspects.lost(ONE);
        assert_eq!(suspects.lost_silently(ONE), 100);
        let last = (0..80).map(|_| suspects.lost_silently(ONE)).last();
        assert_eq!(last, Some(30_000));
    }
}
