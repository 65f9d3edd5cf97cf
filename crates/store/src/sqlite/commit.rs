//! The hot path: entries are appended to journals, rows follow.

use super::blocks::Counted;
use super::create::append;
use super::read::{status, timestamp};
use super::transaction::Transaction;
use crate::instance::{DUE_AT_ONCE, expires_at};
use crate::{Commit, CommitError, StoreError};
use bytes::Bytes;
use cairn_core::{Status, Timestamp};
use rusqlite::{OptionalExtension, params};

/// What a commit has to know of the row.
struct Held {
    workflow: i64,
    status: Status,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    success_retention_millis: u64,
    error_retention_millis: u64,
    head: i64,
    pin: i64,
    created_at: Timestamp,
}

pub(super) fn commit(
    transaction: &mut Transaction<'_>,
    commits: &[Commit],
) -> Result<Vec<Result<(), CommitError>>, StoreError> {
    commits
        .iter()
        .map(|commit| commit_one(transaction, commit))
        .collect()
}

fn commit_one(
    transaction: &mut Transaction<'_>,
    commit: &Commit,
) -> Result<Result<(), CommitError>, StoreError> {
    let Some(held) = fence(transaction, commit)? else {
        return Ok(Err(CommitError::Fenced));
    };
    let no = commit.instance.0;
    if !commit.entries.is_empty() {
        let entries: Vec<(&[u8], Option<&Bytes>)> = commit
            .entries
            .iter()
            .map(|(entry, payload)| (&entry[..], payload.as_ref()))
            .collect();
        let head = append(transaction, no, Some(held.head), commit.next_seq, &entries)?;
        transaction
            .connection
            .prepare_cached("UPDATE instance SET head = ?2, next_seq = next_seq + ?3 WHERE no = ?1")?
            .execute(params![no, head, entries.len() as i64])?;
    }
    let mut pin = held.pin;
    if let Some(repin) = &commit.repin {
        pin = transaction.pin(&repin.version, &repin.script_version, &repin.class_name)?;
        transaction
            .connection
            .prepare_cached("UPDATE instance SET pin = ?2 WHERE no = ?1")?
            .execute(params![no, pin])?;
    }
    let (before, after) = (!held.status.is_final(), !commit.status.is_final());
    if (before, held.pin) != (after, pin) {
        if before {
            transaction.pin_out(held.pin);
        }
        if after {
            transaction.pin_in(pin);
        }
    }
    // Most commits leave all this as it is, and then no index is touched.
    if (held.status, held.started_at, held.ended_at) != (commit.status, commit.started_at, commit.ended_at) {
        change_state(transaction, commit, &held)?;
    }
    if let Some(consumed) = commit.consumed {
        transaction
            .connection
            .prepare_cached("DELETE FROM inbox WHERE instance = ?1 AND no <= ?2")?
            .execute(params![no, consumed.0])?;
    }
    if let Some(release) = commit.release {
        let wake_at = if has_mail(transaction, no)? {
            Some(DUE_AT_ONCE)
        } else {
            release.wake_at
        };
        transaction
            .connection
            .prepare_cached("UPDATE instance SET node = NULL, wake_at = ?2 WHERE no = ?1")?
            .execute(params![no, wake_at.map(|at| at.0)])?;
    }
    Ok(Ok(()))
}

/// The row, if the lease and the position are right. Nobody else writes, so what is read here stays true to the commit.
fn fence(transaction: &Transaction<'_>, commit: &Commit) -> Result<Option<Held>, StoreError> {
    let held = transaction
        .connection
        .prepare_cached(
            "SELECT workflow, status, started_at, ended_at, success_retention, error_retention, head, pin, created_at
             FROM instance WHERE no = ?1 AND node = ?2 AND epoch = ?3 AND next_seq = ?4",
        )?
        .query_row(
            params![
                commit.instance.0,
                commit.lease.node.0,
                commit.lease.epoch,
                commit.next_seq.0.cast_signed()
            ],
            |row| {
                Ok(Held {
                    workflow: row.get(0)?,
                    status: status(row, 1)?,
                    started_at: timestamp(row, 2)?,
                    ended_at: timestamp(row, 3)?,
                    success_retention_millis: row.get::<_, i64>(4)?.cast_unsigned(),
                    error_retention_millis: row.get::<_, i64>(5)?.cast_unsigned(),
                    head: row.get(6)?,
                    pin: row.get(7)?,
                    created_at: Timestamp(row.get(8)?),
                })
            },
        )
        .optional()?;
    Ok(held.filter(|held| !transaction.is_doomed(held.workflow)))
}

fn change_state(transaction: &mut Transaction<'_>, commit: &Commit, held: &Held) -> Result<(), StoreError> {
    let expires_at = expires_at(
        commit.status,
        commit.ended_at.unwrap_or(commit.at),
        held.success_retention_millis,
        held.error_retention_millis,
    );
    let modified_at = (held.status != commit.status).then_some(commit.at);
    transaction
        .connection
        .prepare_cached(
            "UPDATE instance SET status = ?2, started_at = ?3, ended_at = ?4, expires_at = ?5,
                 modified_at = coalesce(?6, modified_at)
             WHERE no = ?1",
        )?
        .execute(params![
            commit.instance.0,
            commit.status as u8,
            commit.started_at.map(|at| at.0),
            commit.ended_at.map(|at| at.0),
            expires_at.map(|at| at.0),
            modified_at.map(|at| at.0),
        ])?;
    transaction.count_out(held.workflow, held.status);
    transaction.count_in(held.workflow, commit.status);
    let counted = Counted {
        workflow: held.workflow,
        no: commit.instance.0,
        created_at: held.created_at,
    };
    transaction.blocks.moved(counted, (held.status, commit.status));
    Ok(())
}

fn has_mail(transaction: &Transaction<'_>, instance: i64) -> Result<bool, StoreError> {
    Ok(transaction
        .connection
        .prepare_cached("SELECT 1 FROM inbox WHERE instance = ?1")?
        .exists([instance])?)
}
