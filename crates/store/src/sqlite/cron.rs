//! Schedules of scripts, and how far each has been dealt with.

use super::SqliteStore;
use super::transaction::Transaction;
use crate::{CronRow, CronStore, StoreError};
use async_trait::async_trait;
use cairn_core::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

const COLUMNS: &str = "SELECT s.no, s.account, s.name, c.cron, c.created_at, c.modified_at, c.done_until
    FROM script_cron c JOIN script s ON s.no = c.script";

fn read(row: &Row<'_>) -> rusqlite::Result<CronRow> {
    Ok(CronRow {
        no: row.get(0)?,
        account: row.get(1)?,
        script: row.get(2)?,
        cron: row.get(3)?,
        created_at: Timestamp(row.get(4)?),
        modified_at: Timestamp(row.get(5)?),
        done_until: Timestamp(row.get(6)?),
    })
}

fn all(connection: &Connection) -> Result<Vec<CronRow>, StoreError> {
    let rows = connection
        .prepare_cached(&format!("{COLUMNS} ORDER BY c.script, c.cron"))?
        .query_map([], read)?
        .collect::<Result<_, _>>()?;
    Ok(rows)
}

fn of_script(connection: &Connection, account: &str, script: &str) -> Result<Vec<CronRow>, StoreError> {
    let rows = connection
        .prepare_cached(&format!(
            "{COLUMNS} WHERE s.account = ?1 AND s.name = ?2 ORDER BY c.cron"
        ))?
        .query_map([account, script], read)?
        .collect::<Result<_, _>>()?;
    Ok(rows)
}

fn put(
    transaction: &Transaction<'_>,
    (account, script): (&str, &str),
    (crons, at): (&[String], Timestamp),
) -> Result<bool, StoreError> {
    let connection = transaction.connection;
    let no: Option<i64> = connection
        .prepare_cached("SELECT no FROM script WHERE account = ?1 AND name = ?2")?
        .query_row([account, script], |row| row.get(0))
        .optional()?;
    let Some(no) = no else {
        return Ok(false);
    };
    let known: Vec<String> = connection
        .prepare_cached("SELECT cron FROM script_cron WHERE script = ?1")?
        .query_map([no], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for gone in known.iter().filter(|cron| !crons.contains(cron)) {
        connection
            .prepare_cached("DELETE FROM script_cron WHERE script = ?1 AND cron = ?2")?
            .execute(params![no, gone])?;
    }
    for cron in crons {
        connection
            .prepare_cached(
                "INSERT INTO script_cron (script, cron, created_at, modified_at, done_until) VALUES (?1, ?2, ?3, ?3, ?3)
                 ON CONFLICT DO UPDATE SET modified_at = excluded.modified_at",
            )?
            .execute(params![no, cron, at.0])?;
    }
    Ok(true)
}

fn done(
    transaction: &Transaction<'_>,
    (script, cron): (i64, &str),
    until: Timestamp,
) -> Result<(), StoreError> {
    transaction
        .connection
        .prepare_cached(
            "UPDATE script_cron SET done_until = ?3 WHERE script = ?1 AND cron = ?2 AND done_until < ?3",
        )?
        .execute(params![script, cron, until.0])?;
    Ok(())
}

/// Removes the schedules of a script.
pub(super) fn remove(connection: &Connection, script: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM script_cron WHERE script = ?1")?
        .execute([script])?;
    Ok(())
}

#[async_trait]
impl CronStore for SqliteStore {
    async fn crons(&self) -> Result<Vec<CronRow>, StoreError> {
        self.read(all).await
    }

    async fn script_crons(&self, account: &str, script: &str) -> Result<Vec<CronRow>, StoreError> {
        let (account, script) = (account.to_owned(), script.to_owned());
        self.read(move |connection| of_script(connection, &account, &script))
            .await
    }

    async fn put_script_crons(
        &self,
        account: &str,
        script: &str,
        (crons, at): (Vec<String>, Timestamp),
    ) -> Result<bool, StoreError> {
        let (account, script) = (account.to_owned(), script.to_owned());
        self.write(move |transaction| put(transaction, (&account, &script), (&crons, at)))
            .await
    }

    async fn cron_done(&self, script: i64, cron: &str, until: Timestamp) -> Result<(), StoreError> {
        let cron = cron.to_owned();
        self.write(move |transaction| done(transaction, (script, &cron), until))
            .await
    }
}
