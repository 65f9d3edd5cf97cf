//! Streams: their pieces are appended, read one at a time, and swept little by little once they are dropped.

use super::transaction::Transaction;
use crate::stream::ranges;
use crate::{CommitError, InstanceNo, Lease, StoreError, StreamNo, StreamWrite};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

/// Pieces that one transaction sweeps along.
const SWEEP: i64 = 64;

pub(super) fn write(
    transaction: &mut Transaction<'_>,
    writes: &[StreamWrite],
) -> Result<Vec<Result<(), CommitError>>, StoreError> {
    writes
        .iter()
        .map(|write| match write {
            StreamWrite::Append {
                instance,
                lease,
                stream,
                index,
                bytes,
            } => {
                if !is_held(transaction, *instance, *lease)? {
                    return Ok(Err(CommitError::Fenced));
                }
                transaction
                    .connection
                    .prepare_cached(
                        "INSERT INTO stream_chunk (instance, stream, number, checksum, bytes) VALUES (?1, ?2, ?3, ?4, ?5)",
                    )?
                    .execute(params![
                        instance.0,
                        number(*stream),
                        index,
                        crc32fast::hash(bytes),
                        &bytes[..]
                    ])?;
                Ok(Ok(()))
            }
            StreamWrite::Drop {
                instance,
                from,
                until,
                keep,
            } => {
                for (first, last) in ranges(*from, *until, keep) {
                    drop_range(transaction, instance.0, (first.cast_signed(), last.cast_signed()))?;
                }
                Ok(Ok(()))
            }
        })
        .collect()
}

fn number(stream: StreamNo) -> i64 {
    stream.0.cast_signed()
}

fn is_held(transaction: &Transaction<'_>, instance: InstanceNo, lease: Lease) -> Result<bool, StoreError> {
    let workflow: Option<i64> = transaction
        .connection
        .prepare_cached("SELECT workflow FROM instance WHERE no = ?1 AND node = ?2 AND epoch = ?3")?
        .query_row(params![instance.0, lease.node.0, lease.epoch], |row| row.get(0))
        .optional()?;
    Ok(workflow.is_some_and(|workflow| !transaction.is_doomed(workflow)))
}

/// Makes all streams of an instance gone.
pub(super) fn drop_all(transaction: &mut Transaction<'_>, instance: i64) -> Result<(), StoreError> {
    drop_range(transaction, instance, (0, i64::MAX))
}

fn drop_range(
    transaction: &mut Transaction<'_>,
    instance: i64,
    (first, last): (i64, i64),
) -> Result<(), StoreError> {
    let connection = transaction.connection;
    let has_any = connection
        .prepare_cached(
            "SELECT 1 FROM stream_chunk WHERE instance = ?1 AND stream BETWEEN ?2 AND ?3 LIMIT 1",
        )?
        .exists([instance, first, last])?;
    if has_any {
        connection
            .prepare_cached("INSERT INTO dropped_stream (instance, first, last) VALUES (?1, ?2, ?3)")?
            .execute([instance, first, last])?;
        transaction.has_dropped();
    }
    Ok(())
}

/// Removes some pieces of dropped streams.
pub(super) fn sweep(transaction: &mut Transaction<'_>) -> Result<(), StoreError> {
    let connection = transaction.connection;
    let mut budget = SWEEP;
    while budget > 0 {
        let dropped: Option<(i64, i64, i64, i64)> = connection
            .prepare_cached("SELECT no, instance, first, last FROM dropped_stream ORDER BY no LIMIT 1")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .optional()?;
        let Some((no, instance, first, last)) = dropped else {
            transaction.dropped_are_swept();
            return Ok(());
        };
        let removed = connection
            .prepare_cached(
                "DELETE FROM stream_chunk WHERE rowid IN (
                     SELECT rowid FROM stream_chunk WHERE instance = ?1 AND stream BETWEEN ?2 AND ?3 LIMIT ?4)",
            )?
            .execute([instance, first, last, budget])?;
        budget = budget.saturating_sub(i64::try_from(removed).unwrap_or(i64::MAX));
        if budget > 0 {
            connection
                .prepare_cached("DELETE FROM dropped_stream WHERE no = ?1")?
                .execute([no])?;
        }
    }
    Ok(())
}

/// A piece, unless it is gone.
pub(super) fn chunk(
    connection: &Connection,
    instance: InstanceNo,
    (stream, index): (StreamNo, u32),
) -> Result<Option<Bytes>, StoreError> {
    let found: Option<(u32, Vec<u8>)> = connection
        .prepare_cached(
            "SELECT checksum, bytes FROM stream_chunk
             WHERE instance = ?1 AND stream = ?2 AND number = ?3
                 AND EXISTS (SELECT 1 FROM instance WHERE no = ?1 AND workflow NOT IN (SELECT workflow FROM doomed))
                 AND NOT EXISTS (SELECT 1 FROM dropped_stream WHERE instance = ?1 AND ?2 BETWEEN first AND last)",
        )?
        .query_row(params![instance.0, number(stream), index], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    match found {
        Some((checksum, bytes)) if crc32fast::hash(&bytes) != checksum => Err(StoreError::Corrupt(format!(
            "piece {index} of stream {} cannot be read: its checksum does not match",
            stream.0
        ))),
        Some((_, bytes)) => Ok(Some(bytes.into())),
        None => Ok(None),
    }
}
