//! Leases: who holds an instance, who may take it, and when.

use super::read;
use super::readers::snapshot;
use super::transaction::Transaction;
use crate::instance::DUE_AT_ONCE;
use crate::{Claim, Claimed, InstanceNo, Lease, Load, NodeId, StoreError};
use cairn_core::{Status, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

/// Frees all instances that are held: when the one server of a file starts, nobody can be holding any.
pub(super) fn free_all(connection: &Connection) -> Result<usize, StoreError> {
    connection.execute("DELETE FROM node", [])?;
    Ok(connection.execute(
        "UPDATE instance SET node = NULL, wake_at = ?1 WHERE node IS NOT NULL",
        [DUE_AT_ONCE.0],
    )?)
}

/// Takes what is due. What was taken is read after the commit, beside the writer.
pub(super) fn claim(
    transaction: &Transaction<'_>,
    claim: Claim,
) -> Result<Vec<(InstanceNo, Lease)>, StoreError> {
    free_lost(transaction, claim)?;
    let due: Vec<(i64, i64)> = transaction
        .connection
        .prepare_cached(
            "SELECT no, epoch FROM instance INDEXED BY instance_due
             WHERE node IS NULL AND wake_at IS NOT NULL AND wake_at <= ?1
                 AND workflow NOT IN (SELECT workflow FROM doomed)
             ORDER BY wake_at, no LIMIT ?2",
        )?
        .query_map(params![claim.now.0, read::limit(claim.limit)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<Result<_, _>>()?;
    due.into_iter()
        .map(|(no, epoch)| take(transaction, claim.node, no, epoch + 1))
        .collect()
}

/// Takes instances that wait for a slot: those that have run before first, then those that have not begun.
pub(super) fn claim_parked(
    transaction: &Transaction<'_>,
    node: NodeId,
    (workflow, limit): (i64, usize),
) -> Result<Vec<(InstanceNo, Lease)>, StoreError> {
    if transaction.is_doomed(workflow) {
        return Ok(Vec::new());
    }
    let connection = transaction.connection;
    let mut taken = Vec::new();
    for sql in [
        "SELECT no, epoch FROM instance INDEXED BY instance_parked_again
         WHERE workflow = ?1 AND status = 7 AND node IS NULL AND wake_at IS NULL ORDER BY no LIMIT ?2",
        "SELECT no, epoch FROM instance INDEXED BY instance_parked
         WHERE workflow = ?1 AND status = 0 AND node IS NULL AND wake_at IS NULL ORDER BY no LIMIT ?2",
    ] {
        let mut statement = connection.prepare_cached(sql)?;
        let left = limit - taken.len();
        let rows = statement.query_map(params![workflow, read::limit(left)], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        })?;
        taken.extend(rows.collect::<Result<Vec<_>, _>>()?);
    }
    taken
        .into_iter()
        .map(|(no, epoch)| take(transaction, node, no, epoch + 1))
        .collect()
}

/// To be called on one state of the database.
pub(super) fn loads(connection: &Connection) -> Result<Vec<Load>, StoreError> {
    let holding: Vec<String> = Status::ALL
        .iter()
        .filter(|status| status.holds_slot())
        .map(|status| (*status as u8).to_string())
        .collect();
    let mut statement = connection.prepare(&format!(
        "SELECT no, account, settings,
             (SELECT coalesce(sum(n), 0) FROM status_count WHERE workflow = w.no AND status IN ({})),
             EXISTS (SELECT 1 FROM instance INDEXED BY instance_parked
                     WHERE workflow = w.no AND status = 0 AND node IS NULL AND wake_at IS NULL)
             OR EXISTS (SELECT 1 FROM instance INDEXED BY instance_parked_again
                     WHERE workflow = w.no AND status = 7 AND node IS NULL AND wake_at IS NULL)
         FROM workflow w",
        holding.join(", ")
    ))?;
    let rows = statement.query_map([], |row| {
        Ok(Load {
            workflow: row.get(0)?,
            account: row.get(1)?,
            settings: row.get(2)?,
            running: row.get::<_, i64>(3)?.cast_unsigned(),
            parked: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Frees the instances of other nodes whose node lease has ended.
fn free_lost(transaction: &Transaction<'_>, claim: Claim) -> Result<(), StoreError> {
    let lost: Vec<i64> = transaction
        .connection
        .prepare_cached("SELECT no FROM node WHERE lease_until < ?1 AND no <> ?2")?
        .query_map(params![claim.now.0, claim.node.0], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for node in lost {
        transaction
            .connection
            .prepare_cached("UPDATE instance SET node = NULL, wake_at = ?2 WHERE node = ?1")?
            .execute(params![node, DUE_AT_ONCE.0])?;
    }
    Ok(())
}

/// Takes one instance, unless another node holds it.
pub(super) fn claim_one(
    transaction: &Transaction<'_>,
    node: NodeId,
    instance: InstanceNo,
) -> Result<Option<(InstanceNo, Lease)>, StoreError> {
    let found: Option<(i64, i64)> = transaction
        .connection
        .prepare_cached("SELECT workflow, epoch FROM instance WHERE no = ?1 AND (node IS NULL OR node = ?2)")?
        .query_row(params![instance.0, node.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match found {
        Some((workflow, epoch)) if !transaction.is_doomed(workflow) => {
            take(transaction, node, instance.0, epoch + 1).map(Some)
        }
        _ => Ok(None),
    }
}

/// Takes one instance that nobody holds.
pub(super) fn claim_free(
    transaction: &Transaction<'_>,
    node: NodeId,
    instance: InstanceNo,
) -> Result<Option<(InstanceNo, Lease)>, StoreError> {
    let is_held = transaction
        .connection
        .prepare_cached("SELECT 1 FROM instance WHERE no = ?1 AND node IS NOT NULL")?
        .exists([instance.0])?;
    if is_held {
        return Ok(None);
    }
    claim_one(transaction, node, instance)
}

fn take(
    transaction: &Transaction<'_>,
    node: NodeId,
    no: i64,
    epoch: i64,
) -> Result<(InstanceNo, Lease), StoreError> {
    transaction
        .connection
        .prepare_cached("UPDATE instance SET node = ?2, epoch = ?3, wake_at = NULL WHERE no = ?1")?
        .execute(params![no, node.0, epoch])?;
    Ok((InstanceNo(no), Lease { node, epoch }))
}

/// Gives back what was taken but did not reach its new holder.
pub(super) fn give_back(
    transaction: &Transaction<'_>,
    taken: &[(InstanceNo, Lease)],
) -> Result<(), StoreError> {
    for (no, lease) in taken {
        transaction
            .connection
            .prepare_cached(
                "UPDATE instance SET node = NULL, wake_at = ?4 WHERE no = ?1 AND node = ?2 AND epoch = ?3",
            )?
            .execute(params![no.0, lease.node.0, lease.epoch, DUE_AT_ONCE.0])?;
    }
    Ok(())
}

/// All that is known of an instance that was taken; `None` when it was removed since.
pub(super) fn load(
    connection: &Connection,
    no: InstanceNo,
    lease: Lease,
) -> Result<Option<Claimed>, StoreError> {
    snapshot(connection, |connection| {
        let Some(row) = read::row(connection, no)? else {
            return Ok(None);
        };
        let names = connection
            .prepare_cached("SELECT account, name FROM workflow WHERE no = ?1")?
            .query_row([row.workflow], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((account, workflow_name)) = names else {
            return Ok(None);
        };
        Ok(Some(Claimed {
            lease,
            row,
            account,
            workflow_name,
            journal: read::journal(connection, no)?,
            inbox: read::inbox(connection, no, crate::InboxNo::default())?,
        }))
    })
}

pub(super) fn held(connection: &Connection, node: NodeId) -> Result<Vec<InstanceNo>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT no FROM instance INDEXED BY instance_held WHERE node = ?1 ORDER BY no")?;
    let rows = statement.query_map([node.0], |row| row.get(0).map(InstanceNo))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn next_due(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT wake_at FROM instance INDEXED BY instance_due
             WHERE node IS NULL AND wake_at IS NOT NULL AND workflow NOT IN (SELECT workflow FROM doomed)
             ORDER BY wake_at, no LIMIT 1",
        )?
        .query_row([], |row| row.get(0).map(Timestamp))
        .optional()?)
}

pub(super) fn register(transaction: &mut Transaction<'_>, until: Timestamp) -> Result<NodeId, StoreError> {
    let node = NodeId(transaction.next_node());
    renew(transaction, node, until)?;
    Ok(node)
}

pub(super) fn renew(
    transaction: &mut Transaction<'_>,
    node: NodeId,
    until: Timestamp,
) -> Result<(), StoreError> {
    transaction
        .connection
        .prepare_cached(
            "INSERT INTO node (no, lease_until) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET lease_until = ?2",
        )?
        .execute(params![node.0, until.0])?;
    transaction.saw_node(node.0);
    Ok(())
}
