//! Schedules of scripts, in memory.

use super::MemoryStore;
use super::catalog::Script;
use crate::{CronRow, CronStore, StoreError};
use async_trait::async_trait;
use cairn_core::Timestamp;

#[async_trait]
impl CronStore for MemoryStore {
    async fn crons(&self) -> Result<Vec<CronRow>, StoreError> {
        let catalog = &self.state.lock().catalog;
        Ok(catalog.scripts.iter().flat_map(rows).collect())
    }

    async fn script_crons(&self, account: &str, script: &str) -> Result<Vec<CronRow>, StoreError> {
        let catalog = &self.state.lock().catalog;
        Ok(catalog.find(account, script).map(rows).unwrap_or_default())
    }

    async fn put_script_crons(
        &self,
        account: &str,
        script: &str,
        (crons, at): (Vec<String>, Timestamp),
    ) -> Result<bool, StoreError> {
        let catalog = &mut self.state.lock().catalog;
        let number = &mut catalog.last_cron_owner;
        let found = catalog
            .scripts
            .iter_mut()
            .find(|known| known.row.account == account && known.row.name == script);
        let Some(script) = found else {
            return Ok(false);
        };
        let owner = *script.cron_owner.get_or_insert_with(|| {
            *number += 1;
            *number
        });
        script.crons.retain(|known| crons.contains(&known.cron));
        for cron in crons {
            match script.crons.iter_mut().find(|known| known.cron == cron) {
                Some(known) => known.modified_at = at,
                None => script.crons.push(CronRow {
                    no: owner,
                    account: script.row.account.clone(),
                    script: script.row.name.clone(),
                    cron,
                    created_at: at,
                    modified_at: at,
                    done_until: at,
                }),
            }
        }
        Ok(true)
    }

    async fn cron_done(&self, script: i64, cron: &str, until: Timestamp) -> Result<(), StoreError> {
        let catalog = &mut self.state.lock().catalog;
        let mut all = catalog.scripts.iter_mut().flat_map(|script| &mut script.crons);
        if let Some(row) = all.find(|row| row.no == script && row.cron == cron) {
            row.done_until = row.done_until.max(until);
        }
        Ok(())
    }
}

fn rows(script: &Script) -> Vec<CronRow> {
    let mut rows = script.crons.clone();
    rows.sort_by(|one, other| one.cron.cmp(&other.cron));
    rows
}
