//! New instances.

use super::blocks::Counted;
use super::transaction::Transaction;
use super::{checksum, chunk};
use crate::{CreateError, InstanceNo, Lease, NewInstance, NodeId, Start, StoreError};
use bytes::Bytes;
use cairn_core::{Seq, Status};
use rusqlite::params;

/// Bytes of parameters that are as much work as an instance.
const BYTES_LIKE_AN_INSTANCE: usize = 8 * 1024;

type Created = Result<(InstanceNo, Option<Lease>), CreateError>;

pub(super) fn create(
    transaction: &mut Transaction<'_>,
    instances: &[NewInstance],
    claim: Option<NodeId>,
) -> Result<Vec<Created>, StoreError> {
    instances
        .iter()
        .map(|new| create_one(transaction, new, claim))
        .collect()
}

/// What creating them costs, in instances without much to say.
pub(super) fn weight(instances: &[NewInstance]) -> usize {
    let weighed = instances
        .iter()
        .map(|new| 1 + new.params.len() / BYTES_LIKE_AN_INSTANCE);
    weighed.sum()
}

fn create_one(
    transaction: &mut Transaction<'_>,
    new: &NewInstance,
    claim: Option<NodeId>,
) -> Result<Created, StoreError> {
    if !transaction.workflow_exists(new.workflow)? {
        return Ok(Err(CreateError::NoWorkflow));
    }
    let exists = transaction
        .connection
        .prepare_cached("SELECT 1 FROM instance WHERE workflow = ?1 AND id = ?2")?
        .exists(params![new.workflow, new.id])?;
    if exists {
        return Ok(Err(CreateError::Exists));
    }
    let pin = transaction.pin(&new.version, &new.script_version, &new.class_name)?;
    let no = transaction.next_instance();
    let head = append(transaction, no, None, Seq(0), &[(&new.entry, Some(&new.params))])?;
    let lease = match new.start {
        Start::Now => claim.map(|node| Lease { node, epoch: 1 }),
        Start::Parked => None,
    };
    transaction
        .connection
        .prepare_cached(
            "INSERT INTO instance (no, workflow, id, pin, trigger, status, created_at, modified_at,
                 success_retention, error_retention, epoch, node, wake_at, head, next_seq)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 1)",
        )?
        .execute(params![
            no,
            new.workflow,
            new.id,
            pin,
            new.trigger as u8,
            Status::Queued as u8,
            new.created_at.0,
            // The two halves of the range of an i64 are told apart when they are read.
            new.success_retention_millis.cast_signed(),
            new.error_retention_millis.cast_signed(),
            lease.map_or(0, |lease| lease.epoch),
            lease.map(|lease| lease.node.0),
            if lease.is_some() || new.start == Start::Parked {
                None
            } else {
                Some(new.created_at.0)
            },
            head,
        ])?;
    transaction.pin_in(pin);
    transaction.count_in(new.workflow, Status::Queued);
    transaction.blocks.created(Counted {
        workflow: new.workflow,
        no,
        created_at: new.created_at,
    });
    transaction.triggered(new.workflow, new.created_at);
    Ok(Ok((InstanceNo(no), lease)))
}

/// Appends a chunk to the journal of an instance, whose newest chunk is `prev`; the number of the new one.
pub(super) fn append(
    transaction: &Transaction<'_>,
    instance: i64,
    prev: Option<i64>,
    first: Seq,
    entries: &[(&[u8], Option<&Bytes>)],
) -> Result<i64, StoreError> {
    for ((_, payload), seq) in entries.iter().zip(first.0..) {
        if let Some(payload) = payload.filter(|payload| chunk::is_apart(payload)) {
            transaction
                .connection
                .prepare_cached(
                    "INSERT INTO payload (instance, seq, bytes, checksum) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![
                    instance,
                    seq.cast_signed(),
                    &payload[..],
                    checksum::of(&[payload])
                ])?;
        }
    }
    let no = transaction
        .connection
        .prepare_cached("INSERT INTO journal (instance, prev, chunk) VALUES (?1, ?2, ?3)")?
        .insert(params![
            instance,
            prev,
            chunk::encode(first, entries.iter().copied())
        ])?;
    Ok(no)
}
