//! What is deployed, remembered: each creation of an instance asks for it, and it changes seldom.
//!
//! Nobody else writes to the file while it is open, so what this process has not changed is as it was.

use crate::DeployedWorkflow;
use parking_lot::Mutex;
use std::collections::HashMap;

/// Workflows remembered.
const REMEMBERED: usize = 10_000;

/// Deployed workflows by account and name.
#[derive(Default)]
pub(super) struct Deployed(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Counts how often all was forgotten.
    generation: u64,
    count: usize,
    workflows: HashMap<String, HashMap<String, DeployedWorkflow>>,
}

/// When something was looked for that was not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missed(u64);

impl Deployed {
    /// What is known of a workflow; else what [`Deployed::remember`] wants once it was read.
    pub(super) fn get(&self, account: &str, name: &str) -> Result<DeployedWorkflow, Missed> {
        let known = self.0.lock();
        let workflow = known.workflows.get(account).and_then(|names| names.get(name));
        workflow.cloned().ok_or(Missed(known.generation))
    }

    /// Remembers what was read since it was missed, unless something may have changed meanwhile.
    pub(super) fn remember(&self, missed: Missed, deployed: &DeployedWorkflow) {
        let mut known = self.0.lock();
        if known.generation != missed.0 {
            return;
        }
        if known.count >= REMEMBERED {
            known.forget();
        }
        let names = known
            .workflows
            .entry(deployed.workflow.account.clone())
            .or_default();
        if names
            .insert(deployed.workflow.name.clone(), deployed.clone())
            .is_none()
        {
            known.count += 1;
        }
    }

    /// Something of this kind may have changed. To be called before the change is answered.
    pub(super) fn forget(&self) {
        let mut known = self.0.lock();
        known.generation += 1;
        known.forget();
    }
}

impl Known {
    fn forget(&mut self) {
        self.count = 0;
        self.workflows.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkflowRow;
    use cairn_core::Timestamp;

    fn workflow(name: &str, version: &str) -> DeployedWorkflow {
        DeployedWorkflow {
            workflow: WorkflowRow {
                no: 1,
                id: "id".into(),
                account: "a".into(),
                name: name.into(),
                script: "s".into(),
                class_name: "C".into(),
                created_at: Timestamp(0),
                modified_at: Timestamp(0),
                triggered_at: None,
                version: version.into(),
                settings: "{}".into(),
            },
            script_version: "v".into(),
        }
    }

    #[test]
    fn what_was_read_is_remembered_until_something_changes() {
        let deployed = Deployed::default();
        let missed = deployed.get("a", "w").unwrap_err();
        deployed.remember(missed, &workflow("w", "1"));
        assert_eq!(deployed.get("a", "w").unwrap().workflow.version, "1");
        assert!(deployed.get("a", "other").is_err());
        assert!(deployed.get("b", "w").is_err());
        deployed.forget();
        assert!(deployed.get("a", "w").is_err());
    }

    #[test]
    fn what_was_read_before_a_change_is_not_remembered_after_it() {
        let deployed = Deployed::default();
        let missed = deployed.get("a", "w").unwrap_err();
        deployed.forget();
        deployed.remember(missed, &workflow("w", "old"));
        assert!(deployed.get("a", "w").is_err());
    }
}
