//! Schedules of workflows, and how far each has been dealt with.

use super::transaction::Transaction;
use crate::{NewWorkflow, ScheduleRow, StoreError};
use cairn_core::Timestamp;
use rusqlite::{Connection, params};

/// Makes the schedules of a workflow those that were put. One that stays goes on where it is, a new one begins now.
pub(super) fn put(transaction: &Transaction<'_>, workflow: i64, new: &NewWorkflow) -> Result<(), StoreError> {
    let connection = transaction.connection;
    let known: Vec<String> = connection
        .prepare_cached("SELECT cron FROM schedule WHERE workflow = ?1")?
        .query_map([workflow], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for gone in known.iter().filter(|cron| !new.schedules.contains(cron)) {
        connection
            .prepare_cached("DELETE FROM schedule WHERE workflow = ?1 AND cron = ?2")?
            .execute(params![workflow, gone])?;
    }
    for cron in &new.schedules {
        connection
            .prepare_cached(
                "INSERT INTO schedule (workflow, cron, done_until) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute(params![workflow, cron, new.at.0])?;
    }
    Ok(())
}

pub(super) fn all(connection: &Connection) -> Result<Vec<ScheduleRow>, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT s.workflow, w.account, w.name, s.cron, s.done_until
             FROM schedule s JOIN workflow w ON w.no = s.workflow ORDER BY s.workflow, s.cron",
        )?
        .query_map([], |row| {
            Ok(ScheduleRow {
                workflow: row.get(0)?,
                account: row.get(1)?,
                workflow_name: row.get(2)?,
                cron: row.get(3)?,
                done_until: Timestamp(row.get(4)?),
            })
        })?
        .collect::<Result<_, _>>()?)
}

pub(super) fn done(
    transaction: &Transaction<'_>,
    (workflow, cron): (i64, &str),
    until: Timestamp,
) -> Result<(), StoreError> {
    transaction
        .connection
        .prepare_cached(
            "UPDATE schedule SET done_until = ?3 WHERE workflow = ?1 AND cron = ?2 AND done_until < ?3",
        )?
        .execute(params![workflow, cron, until.0])?;
    Ok(())
}

/// Removes the schedules of a workflow.
pub(super) fn remove(transaction: &Transaction<'_>, workflow: i64) -> Result<(), StoreError> {
    transaction
        .connection
        .prepare_cached("DELETE FROM schedule WHERE workflow = ?1")?
        .execute([workflow])?;
    Ok(())
}
