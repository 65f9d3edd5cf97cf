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
        let hearing = self.hearing(instance);
        self.drive(instance, |driver, out| driver.report(now, kind, out));
        self.go_on(now, (instance, hearing), reason);
    }

    /// User code has ended the process. Where it may have been another run's, this one goes on like any that was lost.
    pub(super) fn run_faulted(&mut self, now: Timestamp, instance: InstanceNo, fault: Fault) {
        let times = self.suspects.faulted(instance, &fault);
        let (reason, hearing) = (fault.error.message.clone(), self.hearing(instance));
        self.drive(instance, |driver, out| {
            driver.faulted(now, (fault.error, times), out)
        });
        if times == 0 {
            return self.go_on(now, (instance, hearing), &reason);
        }
        if let Some(driver) = self.drivers.get(&instance) {
            tracing::warn!(
                instance = driver.id(),
                reason,
                times,
                "the code of an instance has ended its process"
            );
        }
    }

    fn hearing(&self, instance: InstanceNo) -> Hearing {
        let driver = self.drivers.get(&instance);
        driver.map_or(Hearing::Something, |driver| driver.hearing)
    }

    /// The instance goes on in another run; at once, unless the last one has said nothing.
    fn go_on(&mut self, now: Timestamp, (instance, hearing): (InstanceNo, Hearing), reason: &str) {
        let Some(driver) = self.drivers.get_mut(&instance) else {
            return;
        };
        tracing::warn!(
            instance = driver.id(),
            reason,
            "a run was lost; the instance goes on in a new one"
        );
        match hearing {
            Hearing::Nothing => {
                let backoff = self.suspects.lost_silently(instance);
                driver.delay_release(now.plus(backoff));
            }
            Hearing::Something => self.suspects.lost(instance),
        }
    }
}
