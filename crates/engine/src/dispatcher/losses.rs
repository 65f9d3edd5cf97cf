//! Runs that are lost, with and without their own doing.

use super::Dispatcher;
use crate::driver::Hearing;
use cairn_core::Timestamp;
use cairn_runtime::{Fault, ReportKind};
use cairn_store::InstanceNo;

impl Dispatcher {
    pub(super) fn run_lost(
        &mut self,
        now: Timestamp,
        (instance, kind): (InstanceNo, ReportKind),
        reason: &str,
    ) {
        let silent = self
            .drivers
            .get(&instance)
            .is_some_and(|driver| driver.hearing == Hearing::Nothing);
        self.drive(instance, |driver, out| driver.report(now, kind, out));
        let Some(driver) = self.drivers.get_mut(&instance) else {
            return;
        };
        tracing::warn!(
            instance = driver.id(),
            reason,
            "a run was lost; the instance goes on in a new one"
        );
        if silent {
            let backoff = self.suspects.lost_silently(instance);
            driver.delay_release(now.plus(backoff));
        } else {
            self.suspects.lost(instance);
        }
    }

    /// User code has ended the process. Where it may have been another run's, this one is lost like any other.
    pub(super) fn run_faulted(&mut self, now: Timestamp, instance: InstanceNo, fault: Fault) {
        let times = self.suspects.faulted(instance, &fault);
        let reason = fault.error.message.clone();
        if times == 0 {
            let lost = ReportKind::Lost {
                reason: reason.clone(),
            };
            return self.run_lost(now, (instance, lost), &reason);
        }
        self.drive(instance, |driver, out| {
            driver.faulted(now, (fault.error, times), out)
        });
        if let Some(driver) = self.drivers.get(&instance) {
            tracing::warn!(
                instance = driver.id(),
                reason,
                times,
                "the code of an instance has ended its process"
            );
        }
    }
}
