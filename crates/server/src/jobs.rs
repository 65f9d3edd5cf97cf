//! Jobs that outlive their request: ending many instances of a workflow.

use cairn_engine::{Control, Engine, EngineError, InstanceFilter, Rejected, SortOrder, Status, Undo};
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;

/// Instances looked up at a time.
const PAGE: usize = 500;
/// Commands under way at a time.
const PARALLEL: usize = 64;

/// The statuses that an instance can be terminated in.
pub(crate) const OPEN: [Status; 6] = [
    Status::Queued,
    Status::Running,
    Status::Waiting,
    Status::Paused,
    Status::WaitingForPause,
    Status::RollingBack,
];

/// Which jobs run. They end with the server; asking again goes on where they were.
#[derive(Debug, Clone, Default)]
pub(crate) struct Jobs(Arc<Mutex<HashSet<(String, String)>>>);

/// A running job; its end is noted when this is dropped.
struct Running {
    jobs: Jobs,
    workflow: (String, String),
}

impl Drop for Running {
    fn drop(&mut self) {
        self.jobs.0.lock().remove(&self.workflow);
    }
}

impl Jobs {
    /// Whether a job runs for this workflow.
    pub(crate) fn is_running(&self, account: &str, workflow: &str) -> bool {
        self.0.lock().contains(&(account.to_owned(), workflow.to_owned()))
    }

    fn begin(&self, account: &str, workflow: &str) -> Option<Running> {
        let workflow = (account.to_owned(), workflow.to_owned());
        let is_new = self.0.lock().insert(workflow.clone());
        is_new.then(|| Running {
            jobs: self.clone(),
            workflow,
        })
    }

    /// Starts to end the instances in these statuses; `false` when a job runs already.
    pub(crate) fn terminate_all(
        &self,
        engine: &Engine,
        (account, workflow): (&str, &str),
        statuses: Vec<Status>,
    ) -> bool {
        let Some(running) = self.begin(account, workflow) else {
            return false;
        };
        let engine = engine.clone();
        tokio::spawn(async move {
            let (account, workflow) = &running.workflow;
            for status in statuses {
                if let Err(error) = terminate_in(&engine, (account, workflow), status).await {
                    tracing::error!(account, workflow, %error, "terminating all instances stopped half-way; ask again");
                    break;
                }
            }
        });
        true
    }

    /// Starts to end these instances; `false` when a job runs already.
    pub(crate) fn terminate(
        &self,
        engine: &Engine,
        (account, workflow): (&str, &str),
        ids: Vec<String>,
    ) -> bool {
        let Some(running) = self.begin(account, workflow) else {
            return false;
        };
        let engine = engine.clone();
        tokio::spawn(async move {
            let (account, workflow) = &running.workflow;
            if let Err(error) = terminate_each(&engine, (account, workflow), ids).await {
                tracing::error!(account, workflow, %error, "terminating instances stopped half-way; ask again");
            }
        });
        true
    }
}

async fn terminate_in(
    engine: &Engine,
    (account, workflow): (&str, &str),
    status: Status,
) -> Result<(), EngineError> {
    let mut after = None;
    loop {
        let filter = InstanceFilter {
            status: Some(status),
            order: SortOrder::OldestFirst,
            after,
            limit: PAGE,
            ..InstanceFilter::default()
        };
        let (_, page) = engine.instances(account, workflow, &filter).await?;
        let Some(last) = page.rows.last() else {
            return Ok(());
        };
        after = Some(last.no);
        let ids = page.rows.into_iter().map(|row| row.id).collect();
        terminate_each(engine, (account, workflow), ids).await?;
        if !page.more {
            return Ok(());
        }
    }
}

async fn terminate_each(
    engine: &Engine,
    (account, workflow): (&str, &str),
    ids: Vec<String>,
) -> Result<(), EngineError> {
    let commands = ids.into_iter().map(|id| async move {
        match engine
            .control(account, workflow, (&id, Control::Terminate(Undo::Nothing)))
            .await
        {
            // It ended, or was removed, in between.
            Ok(_)
            | Err(EngineError::Rejected(Rejected::CannotTerminate) | EngineError::InstanceNotFound(_)) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    });
    let mut outcomes = stream::iter(commands).buffer_unordered(PARALLEL);
    while let Some(outcome) = outcomes.next().await {
        outcome?;
    }
    Ok(())
}
