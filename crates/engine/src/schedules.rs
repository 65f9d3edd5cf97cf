//! Schedules: an instance for each firing of a workflow's cron expressions.
//!
//! What is due is asked of the store at each round; between rounds nothing is remembered. The id of an instance names its firing, so a
//! firing that is carried out twice, by two nodes or around a crash, makes one instance.

use crate::{CreateInstance, Engine, EngineError, Shared};
use cairn_core::{Cron, Timestamp};
use cairn_runtime::Firing;
use cairn_store::{InstanceRow, ScheduleRow, Trigger};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The longest wait between rounds: a clock that was set and a machine that slept are noticed after it.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How long what failed is left alone, milliseconds.
const RETRY_MILLIS: u64 = 1_000;
/// A firing that is later than this is worth a line in the log, milliseconds.
const LATE_MILLIS: u64 = 60_000;

/// The firing an instance comes from, which its id tells.
pub(crate) fn firing_of(row: &InstanceRow) -> Option<Firing> {
    match row.trigger {
        Trigger::Cron => {}
        Trigger::Api | Trigger::Binding | Trigger::Event => return None,
    }
    let (cron, scheduled_at) = row.id.rsplit_once('-')?;
    Some(Firing {
        cron: cron.into(),
        scheduled_at: Timestamp(scheduled_at.parse().ok()?),
    })
}

fn id_of(cron: &str, scheduled_at: Timestamp) -> String {
    format!("{cron}-{}", scheduled_at.0)
}

/// Fires schedules when they are due, for ever.
pub(crate) async fn keep(shared: Arc<Shared>) {
    let mut schedules = Schedules {
        engine: Engine { shared },
        complained: BTreeSet::new(),
    };
    loop {
        let next = schedules.round().await;
        let shared = &schedules.engine.shared;
        let now = shared.clock.now();
        let wait = next.map_or(LOOK_AGAIN, |next| Duration::from_millis(next.millis_since(now)));
        tokio::select! {
            biased;
            () = shared.schedules_changed.notified() => {}
            () = tokio::time::sleep(wait.min(LOOK_AGAIN)) => {}
        }
    }
}

struct Schedules {
    engine: Engine,
    /// Schedules that cannot fire, of which the log knows.
    complained: BTreeSet<(i64, String)>,
}

impl Schedules {
    /// Fires what is due; when the next is.
    async fn round(&mut self) -> Option<Timestamp> {
        let shared = &self.engine.shared;
        let rows = match shared.store.schedules().await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::error!(%error, "the schedules could not be read; trying again");
                return Some(shared.clock.now().plus(RETRY_MILLIS));
            }
        };
        self.complained.retain(|(workflow, cron)| {
            rows.iter()
                .any(|row| row.workflow == *workflow && row.cron == *cron)
        });
        let mut next = None;
        for row in rows {
            let looked_at = self.attend(&row).await;
            next = [next, looked_at].into_iter().flatten().min();
        }
        next
    }

    /// Fires a schedule if it is due; when to look at it again. Of several firings that were missed the latest counts for all.
    async fn attend(&mut self, row: &ScheduleRow) -> Option<Timestamp> {
        let cron = match Cron::parse(&row.cron) {
            Ok(cron) => cron,
            Err(error) => {
                self.complain(row, &format!("the expression cannot be read: {error}"));
                return None;
            }
        };
        let now = self.engine.shared.clock.now();
        let due = cron.latest_at_or_before(now).filter(|due| *due > row.done_until);
        let Some(due) = due else {
            return cron.next_after(now.max(row.done_until));
        };
        match self.fire(row, due).await {
            Ok(()) => cron.next_after(now),
            Err(error) => {
                let (workflow, cron) = (&row.workflow_name, &row.cron);
                tracing::error!(%error, workflow, cron, "a schedule could not be fired; trying again");
                Some(now.plus(RETRY_MILLIS))
            }
        }
    }

    /// Carries out a firing, or leaves it out for good. An error asks for another try.
    async fn fire(&mut self, row: &ScheduleRow, due: Timestamp) -> Result<(), EngineError> {
        let create = CreateInstance {
            id: Some(id_of(&row.cron, due)),
            ..CreateInstance::default()
        };
        let of_cron = (Trigger::Cron, vec![create]);
        let created = self
            .engine
            .create(&row.account, &row.workflow_name, of_cron)
            .await;
        let shared = &self.engine.shared;
        match created.and_then(|created| created.into_iter().collect::<Result<Vec<_>, _>>()) {
            Ok(_) => {
                self.complained.remove(&(row.workflow, row.cron.clone()));
                if shared.clock.now().millis_since(due) > LATE_MILLIS {
                    let (workflow, cron, scheduled_at) = (&row.workflow_name, &row.cron, due.0);
                    tracing::info!(
                        workflow,
                        cron,
                        scheduled_at,
                        "a schedule fired late, once for all that was missed"
                    );
                }
            }
            // Carried out before, or deleted a moment ago.
            Err(EngineError::InstanceExists(_) | EngineError::WorkflowNotFound(_)) => {}
            Err(error @ EngineError::NotDeployed { .. }) => {
                self.complain(row, &format!("its firings are left out: {error}"));
            }
            Err(error) => return Err(error),
        }
        let shared = &self.engine.shared;
        Ok(shared.store.schedule_done(row.workflow, &row.cron, due).await?)
    }

    /// Says once why a schedule does not fire.
    fn complain(&mut self, row: &ScheduleRow, reason: &str) {
        if self.complained.insert((row.workflow, row.cron.clone())) {
            let (workflow, cron) = (&row.workflow_name, &row.cron);
            tracing::warn!(workflow, cron, reason, "a schedule does not fire");
        }
    }
}

impl Engine {
    /// Refuses schedules of a workflow that would be too many for its account.
    pub(crate) async fn check_schedules(
        &self,
        account: &str,
        (workflow, schedules): (&str, &[String]),
    ) -> Result<(), EngineError> {
        let rows = self.shared.store.schedules().await?;
        let others = rows
            .iter()
            .filter(|row| row.account == account && row.workflow_name != workflow);
        let others = others.count();
        let limit = self.shared.settings.schedules;
        if others + schedules.len() <= limit {
            return Ok(());
        }
        Err(EngineError::InvalidInput(format!(
            "workflow \"{workflow}\" has {} schedules and the other workflows of the account {others}, but an account has at most {limit} \
             (setting limits.schedules); remove some",
            schedules.len()
        )))
    }
}
