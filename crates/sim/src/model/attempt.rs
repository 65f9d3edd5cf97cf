//! What may follow when an attempt fails, of a step or of a rollback handler.

use super::causes::Threw;
use super::{Messages, Rules};
use crate::program::Attempts;
use cairn_core::ErrorInfo;

pub(super) const LOST: &str = "Attempt failed due to internal workflows error";

/// An attempt that has failed, as the journal has it.
pub(super) struct Failed<'a> {
    pub(super) attempt: u32,
    pub(super) since: i64,
    pub(super) at: i64,
    pub(super) error: &'a ErrorInfo,
    /// Largest value it has returned, bytes.
    pub(super) returned: usize,
    pub(super) whose: Whose,
    /// The step as user code names it.
    pub(super) name: &'a str,
}

/// Whether it is the attempt of a step or of a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Step,
    Handler,
}

/// What may follow.
#[derive(Debug, PartialEq)]
pub(super) struct Verdict {
    /// Milliseconds until the next attempt; none when there is no other.
    pub(super) delay: Option<u64>,
    /// What the step fails with when there is none.
    pub(super) shown: ErrorInfo,
}

/// Whether nothing may be tried again after this error.
pub(super) fn is_final(error: &ErrorInfo) -> bool {
    error.name == "NonRetryableError" || error.message.starts_with("NonRetryableError")
}

impl Failed<'_> {
    /// All that may follow; nothing when the failure has no cause.
    pub(super) fn verdicts(&self, attempts: &Attempts, threw: &[Threw], rules: &Rules) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        let is_last = self.attempt > attempts.limit;
        let again = |delay| Verdict {
            delay: if is_last { None } else { Some(delay) },
            shown: self.error.clone(),
        };
        for Threw { error, delay } in threw {
            if is_final(error) {
                if self.recorded(error, rules) == *self.error {
                    verdicts.push(Verdict {
                        delay: None,
                        shown: error.clone(),
                    });
                }
            } else if error == self.error {
                verdicts.push(match delay {
                    _ if is_last => again(0),
                    Some(Err(shown)) => Verdict {
                        delay: None,
                        shown: shown.clone(),
                    },
                    Some(Ok(millis)) => again(*millis),
                    None => again(attempts.delay_after(self.attempt)),
                });
            }
        }
        let lasted = u64::try_from(self.at - self.since).unwrap_or(0);
        let timeout = attempts.timeout_millis;
        let timed_out = format!("Execution timed out after {timeout}ms");
        if self.error.name == "WorkflowTimeoutError" && self.error.message == timed_out && lasted >= timeout {
            verdicts.push(again(attempts.delay_after(self.attempt)));
        }
        if self.error.name == "WorkflowInternalError" && self.error.message == LOST {
            let mut verdict = again(0);
            if is_last && self.whose == Whose::Step {
                verdict.shown.message = format!(
                    "Attempt {} of step \"{}\" did not finish",
                    self.attempt, self.name
                );
            }
            verdicts.push(verdict);
        }
        if self.error.message.contains("output is too large")
            && self.whose == Whose::Step
            && self.returned > rules.limits.result_bytes
        {
            verdicts.push(again(attempts.delay_after(self.attempt)));
        }
        verdicts
    }

    fn recorded(&self, error: &ErrorInfo, rules: &Rules) -> ErrorInfo {
        match (rules.messages, self.whose) {
            (Messages::Own, _) | (_, Whose::Handler) => error.clone(),
            (Messages::Wrapped, Whose::Step) => ErrorInfo::new(
                "WorkflowFatalError",
                format!(
                    "Step threw a NonRetryableError with message \"{}\"",
                    error.message
                ),
            ),
        }
    }
}
