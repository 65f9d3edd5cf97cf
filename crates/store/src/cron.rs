//! Schedules of scripts, for their `scheduled` handlers. They go with their script.

use crate::StoreError;
use async_trait::async_trait;
use cairn_core::Timestamp;

/// A schedule of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronRow {
    /// The script's number.
    pub no: i64,
    /// The script's account.
    pub account: String,
    /// The script.
    pub script: String,
    /// The expression.
    pub cron: String,
    /// When it was first put.
    pub created_at: Timestamp,
    /// When it was last put.
    pub modified_at: Timestamp,
    /// Firings up to and including this time are dealt with.
    pub done_until: Timestamp,
}

/// Keeps schedules of scripts.
#[async_trait]
pub trait CronStore: Send + Sync + 'static {
    /// The schedules of all scripts, by script and expression.
    async fn crons(&self) -> Result<Vec<CronRow>, StoreError>;

    /// The schedules of a script, by expression.
    async fn script_crons(&self, account: &str, script: &str) -> Result<Vec<CronRow>, StoreError>;

    /// Makes the schedules of a script these; `false` when there is no such script. One that stays goes on where it is, a new one begins
    /// at `at`, one that is not named any more is gone.
    async fn put_script_crons(
        &self,
        account: &str,
        script: &str,
        (crons, at): (Vec<String>, Timestamp),
    ) -> Result<bool, StoreError>;

    /// Keeps that the firings of a schedule up to and including `until` are dealt with; never goes back. A schedule that is gone stays gone.
    async fn cron_done(&self, script: i64, cron: &str, until: Timestamp) -> Result<(), StoreError>;
}
