//! What goes: deleted and expired instances, removed workflows.

use super::blocks::Counted;
use super::read::{self, status};
use super::transaction::Transaction;
use super::{schedule, stream};
use crate::{InstanceNo, StoreError};
use cairn_core::{Status, Timestamp};
use rusqlite::{OptionalExtension, params};

/// Removes an instance with all it has; whether it existed.
pub(super) fn delete_instance(
    transaction: &mut Transaction<'_>,
    instance: InstanceNo,
) -> Result<bool, StoreError> {
    let found: Option<(Counted, Status, i64)> = transaction
        .connection
        .prepare_cached("SELECT workflow, status, head, created_at FROM instance WHERE no = ?1")?
        .query_row([instance.0], |row| {
            let counted = Counted {
                workflow: row.get(0)?,
                no: instance.0,
                created_at: Timestamp(row.get(3)?),
            };
            Ok((counted, status(row, 1)?, row.get(2)?))
        })
        .optional()?;
    match found {
        Some((counted, status, head)) if !transaction.is_doomed(counted.workflow) => {
            erase(transaction, instance.0, head)?;
            transaction.count_out(counted.workflow, status);
            transaction.blocks.removed(counted, status);
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Removes finished instances whose time has come. One with unread mail or a holder stays: what was accepted is handled first.
pub(super) fn expire(
    transaction: &mut Transaction<'_>,
    now: Timestamp,
    limit: usize,
) -> Result<usize, StoreError> {
    let expired: Vec<InstanceNo> = transaction
        .connection
        .prepare_cached(
            "SELECT no FROM instance INDEXED BY instance_expiry
             WHERE expires_at IS NOT NULL AND expires_at <= ?1 AND node IS NULL
                 AND workflow NOT IN (SELECT workflow FROM doomed)
                 AND NOT EXISTS (SELECT 1 FROM inbox WHERE inbox.instance = instance.no)
             ORDER BY expires_at, no LIMIT ?2",
        )?
        .query_map(params![now.0, read::limit(limit)], |row| {
            row.get(0).map(InstanceNo)
        })?
        .collect::<Result<_, _>>()?;
    for instance in &expired {
        delete_instance(transaction, *instance)?;
    }
    Ok(expired.len())
}

/// Removes a workflow. Its instances are gone at once for everybody and leave the file little by little ([`sweep`]),
/// so that a workflow of a million instances does not keep all others waiting.
pub(super) fn delete_workflow(
    transaction: &mut Transaction<'_>,
    account: &str,
    name: &str,
) -> Result<Option<Vec<InstanceNo>>, StoreError> {
    let connection = transaction.connection;
    let found: Option<i64> = connection
        .prepare_cached("SELECT no FROM workflow WHERE account = ?1 AND name = ?2")?
        .query_row([account, name], |row| row.get(0))
        .optional()?;
    let Some(workflow) = found else { return Ok(None) };
    let held: Vec<InstanceNo> = connection
        .prepare_cached(
            "SELECT no FROM instance INDEXED BY instance_held WHERE node IS NOT NULL AND workflow = ?1 ORDER BY no",
        )?
        .query_map([workflow], |row| row.get(0).map(InstanceNo))?
        .collect::<Result<_, _>>()?;
    connection
        .prepare_cached("DELETE FROM workflow WHERE no = ?1")?
        .execute([workflow])?;
    connection
        .prepare_cached("DELETE FROM workflow_version WHERE workflow = ?1")?
        .execute([workflow])?;
    connection
        .prepare_cached("DELETE FROM status_count WHERE workflow = ?1")?
        .execute([workflow])?;
    schedule::remove(transaction, workflow)?;
    transaction.doom(workflow)?;
    Ok(Some(held))
}

/// Removes some instances of a removed workflow.
pub(super) fn sweep(transaction: &mut Transaction<'_>, limit: usize) -> Result<(), StoreError> {
    let Some(workflow) = transaction.first_doomed() else {
        return Ok(());
    };
    let instances: Vec<(i64, i64)> = transaction
        .connection
        .prepare_cached(
            "SELECT no, head FROM instance INDEXED BY instance_all WHERE workflow = ?1 ORDER BY no LIMIT ?2",
        )?
        .query_map(params![workflow, read::limit(limit)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<Result<_, _>>()?;
    for (no, head) in &instances {
        erase(transaction, *no, *head)?;
    }
    if instances.len() < limit {
        transaction.swept(workflow)
    } else {
        Ok(())
    }
}

fn erase(transaction: &mut Transaction<'_>, instance: i64, head: i64) -> Result<(), StoreError> {
    stream::drop_all(transaction, instance)?;
    let connection = transaction.connection;
    let mut next = Some(head);
    while let Some(chunk) = next {
        // A chunk that is missing or another's ends the chain: a damaged journal can be removed, and takes no other with it.
        next = connection
            .prepare_cached("DELETE FROM journal WHERE no = ?1 AND instance = ?2 RETURNING prev")?
            .query_row([chunk, instance], |row| row.get(0))
            .optional()?
            .flatten();
    }
    connection
        .prepare_cached("DELETE FROM payload WHERE instance = ?1")?
        .execute([instance])?;
    connection
        .prepare_cached("DELETE FROM inbox WHERE instance = ?1")?
        .execute([instance])?;
    let gone: Option<(i64, Status)> = connection
        .prepare_cached("DELETE FROM instance WHERE no = ?1 RETURNING pin, status")?
        .query_row([instance], |row| Ok((row.get(0)?, status(row, 1)?)))
        .optional()?;
    if let Some((pin, status)) = gone
        && !status.is_final()
    {
        transaction.pin_out(pin);
    }
    Ok(())
}
