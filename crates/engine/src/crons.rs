//! Schedules of scripts: a call of the `scheduled` handler of what is deployed, for each firing.
//!
//! A firing counts as dealt with when its handler is done, well or badly. One that a crash of the server cut off is carried out again,
//! unless a later one is due by then; so each handler that is due while the server runs is called at least once, and once as a rule.

use crate::{Engine, EngineError, Shared};
use cairn_core::{Cron, Timestamp};
use cairn_runtime::{Firing, Scheduled, WorkerId};
use cairn_store::CronRow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// The longest wait between rounds: a clock that was set and a machine that slept are noticed after it.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How long what failed is left alone, milliseconds.
const RETRY_MILLIS: u64 = 1_000;
/// A firing that is later than this is worth a line in the log, milliseconds.
const LATE_MILLIS: u64 = 60_000;
/// Most schedules of a script.
const MOST: usize = 200;

/// A schedule of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronDetails {
    /// The cron expression.
    pub cron: String,
    /// When it was first put.
    pub created_at: Timestamp,
    /// When it was last put.
    pub modified_at: Timestamp,
}

impl Engine {
    /// The schedules of a script, by expression.
    ///
    /// # Errors
    /// [`EngineError::ScriptNotFound`], [`EngineError::Store`].
    pub async fn script_crons(&self, account: &str, script: &str) -> Result<Vec<CronDetails>, EngineError> {
        if self.script(account, script).await?.is_none() {
            return Err(EngineError::ScriptNotFound(script.into()));
        }
        let rows = self.shared.store.script_crons(account, script).await?;
        let details = |row: CronRow| CronDetails {
            cron: row.cron,
            created_at: row.created_at,
            modified_at: row.modified_at,
        };
        Ok(rows.into_iter().map(details).collect())
    }

    /// Makes the schedules of a script these. One that stays goes on where it is, a new one begins now.
    ///
    /// # Errors
    /// [`EngineError::InvalidInput`] with the expression that is none, [`EngineError::ScriptNotFound`], [`EngineError::Store`]; nothing is
    /// changed then.
    pub async fn put_script_crons(
        &self,
        account: &str,
        script: &str,
        crons: Vec<String>,
    ) -> Result<Vec<CronDetails>, EngineError> {
        if crons.len() > MOST {
            return Err(EngineError::InvalidInput(format!(
                "there are {} schedules; a Worker has at most {MOST}",
                crons.len()
            )));
        }
        for (index, cron) in crons.iter().enumerate() {
            if let Err(error) = Cron::parse(cron) {
                let shown: String = cron.chars().take(40).collect();
                let cut = if shown.len() < cron.len() { "…" } else { "" };
                return Err(EngineError::InvalidInput(format!(
                    "schedules[{index}].cron is \"{shown}{cut}\", which is no cron expression: {error}"
                )));
            }
        }
        let now = self.shared.clock.now();
        let store = &self.shared.store;
        if !store.put_script_crons(account, script, (crons, now)).await? {
            return Err(EngineError::ScriptNotFound(script.into()));
        }
        self.shared.crons_changed.notify_one();
        self.script_crons(account, script).await
    }
}

/// A schedule: the script's number and the expression.
type Key = (i64, String);

/// Fires schedules when they are due, for ever.
pub(crate) async fn keep(shared: Arc<Shared>) {
    let mut crons = Crons {
        shared,
        begun: BTreeMap::new(),
        complained: BTreeSet::new(),
        firings: JoinSet::new(),
    };
    loop {
        let next = crons.round().await;
        let shared = &crons.shared;
        let now = shared.clock.now();
        let wait = next.map_or(LOOK_AGAIN, |next| Duration::from_millis(next.millis_since(now)));
        tokio::select! {
            biased;
            () = shared.crons_changed.notified() => {}
            () = tokio::time::sleep(wait.min(LOOK_AGAIN)) => {}
            Some(ended) = crons.firings.join_next() => match ended {
                Ok(ended) => crons.ended(ended),
                Err(error) => tracing::error!(%error, "a firing of a schedule was broken off"),
            },
        }
    }
}

/// A firing that is over.
struct Ended {
    key: Key,
    due: Timestamp,
    /// Whether it is dealt with; otherwise it is tried again, from then on.
    again_at: Option<Timestamp>,
}

/// How far a schedule has been begun, when its mark in the store does not say it yet.
#[derive(Debug, Clone, Copy)]
struct Begun {
    until: Timestamp,
    not_before: Timestamp,
}

struct Crons {
    shared: Arc<Shared>,
    begun: BTreeMap<Key, Begun>,
    /// Schedules that cannot fire, of which the log knows.
    complained: BTreeSet<Key>,
    firings: JoinSet<Ended>,
}

impl Crons {
    /// Begins what is due; when the next is.
    async fn round(&mut self) -> Option<Timestamp> {
        let rows = match self.shared.store.crons().await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::error!(%error, "the schedules of Workers could not be read; trying again");
                return Some(self.shared.clock.now().plus(RETRY_MILLIS));
            }
        };
        let is_there = |key: &Key| rows.iter().any(|row| (row.no, &row.cron) == (key.0, &key.1));
        self.begun.retain(|key, _| is_there(key));
        self.complained.retain(is_there);
        let mut next = None;
        for row in rows {
            let looked_at = self.attend(row);
            next = [next, looked_at].into_iter().flatten().min();
        }
        next
    }

    /// Begins a firing if one is due; when to look at the schedule again. Of several firings that were missed the latest counts for all.
    fn attend(&mut self, row: CronRow) -> Option<Timestamp> {
        let key = (row.no, row.cron.clone());
        let cron = match Cron::parse(&row.cron) {
            Ok(cron) => cron,
            Err(error) => {
                if self.complained.insert(key) {
                    tracing::warn!(script = row.script, cron = row.cron, %error, "a schedule cannot be read, so it does not fire");
                }
                return None;
            }
        };
        let now = self.shared.clock.now();
        let begun = self.begun.get(&key).copied();
        let done_until = begun.map_or(row.done_until, |begun| begun.until.max(row.done_until));
        let due = cron.latest_at_or_before(now).filter(|due| *due > done_until);
        let Some(due) = due else {
            return cron.next_after(now.max(done_until));
        };
        if let Some(begun) = begun.filter(|begun| begun.not_before > now) {
            return Some(begun.not_before);
        }
        let begun = Begun {
            until: due,
            not_before: now,
        };
        self.begun.insert(key.clone(), begun);
        if now.millis_since(due) > LATE_MILLIS {
            let (script, cron, scheduled_at) = (&row.script, &row.cron, due.0);
            tracing::info!(
                script,
                cron,
                scheduled_at,
                "a schedule fires late, once for all that was missed"
            );
        }
        let shared = Arc::clone(&self.shared);
        self.firings.spawn(async move {
            let again_at = match fire(&shared, &row, due).await {
                Ok(()) => None,
                Err(error) => {
                    let (script, cron, scheduled_at) = (&row.script, &row.cron, due.0);
                    tracing::error!(%error, script, cron, scheduled_at, "a schedule could not be fired; trying again");
                    Some(shared.clock.now().plus(RETRY_MILLIS))
                }
            };
            Ended { key, due, again_at }
        });
        cron.next_after(now)
    }

    fn ended(&mut self, Ended { key, due, again_at }: Ended) {
        // A later firing may have begun.
        let Some(begun) = self.begun.get_mut(&key).filter(|begun| begun.until == due) else {
            return;
        };
        match again_at {
            None => {
                self.begun.remove(&key);
            }
            Some(again_at) => {
                // The same firing is due again, until a later one is.
                begun.until = Timestamp(due.0 - 1);
                begun.not_before = again_at;
            }
        }
    }
}

/// Carries out a firing, or leaves it out for good. An error asks for another try.
async fn fire(shared: &Arc<Shared>, row: &CronRow, due: Timestamp) -> Result<(), EngineError> {
    let (account, script, cron, scheduled_at) = (&row.account, &row.script, &row.cron, due.0);
    let found = shared.store.script(account, script).await?;
    match found.and_then(|found| found.deployed) {
        None => tracing::warn!(
            account,
            script,
            cron,
            scheduled_at,
            "a schedule fired for nobody: no version of the Worker is deployed"
        ),
        Some((version, _)) => {
            let firing = Firing {
                cron: cron.clone(),
                scheduled_at: due,
            };
            let worker = WorkerId(version.as_str().into());
            let called = shared.runtime.scheduled(&worker, &firing).await;
            let called = called.map_err(|error| EngineError::Runtime(error.to_string()))?;
            match called {
                Scheduled::Done => tracing::debug!(account, script, cron, scheduled_at, "a schedule fired"),
                Scheduled::Failed(error) => {
                    let (name, message) = (&error.name, &error.message);
                    tracing::warn!(
                        account,
                        script,
                        cron,
                        scheduled_at,
                        "the scheduled handler failed: {name}: {message}"
                    );
                }
                Scheduled::Unhandled => tracing::warn!(
                    account,
                    script,
                    cron,
                    scheduled_at,
                    "a schedule fired for nobody: the Worker has no scheduled handler; add `async scheduled(controller, env, ctx)` to its default export"
                ),
            }
        }
    }
    Ok(shared.store.cron_done(row.no, cron, due).await?)
}
