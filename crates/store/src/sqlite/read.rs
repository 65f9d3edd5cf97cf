//! Rows, journals, payloads and messages, as stored.

use super::{checksum, chunk};
use crate::{
    InboxMessage, InboxNo, InstanceNo, InstanceRow, JournalEntry, JournalPage, Payload, StatusCounts,
    StoreError, Trigger,
};
use bytes::Bytes;
use cairn_core::{Seq, Status, Timestamp};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::VecDeque;

/// The columns [`instance_row`] reads, of `instance i JOIN pin p`.
macro_rules! instance_columns {
    () => {
        "i.no, i.workflow, i.id, p.version, p.script_version, p.class_name, i.trigger, i.status, i.created_at, \
         i.modified_at, i.started_at, i.ended_at, i.success_retention, i.error_retention"
    };
}
pub(super) use instance_columns;

/// Reads [`instance_columns`].
pub(super) fn instance_row(row: &Row<'_>) -> rusqlite::Result<InstanceRow> {
    Ok(InstanceRow {
        no: InstanceNo(row.get(0)?),
        workflow: row.get(1)?,
        id: row.get(2)?,
        version: row.get(3)?,
        script_version: row.get(4)?,
        class_name: row.get(5)?,
        trigger: Trigger::from_code(row.get(6)?).ok_or_else(|| out_of_range(6, "trigger"))?,
        status: status(row, 7)?,
        created_at: Timestamp(row.get(8)?),
        modified_at: Timestamp(row.get(9)?),
        started_at: timestamp(row, 10)?,
        ended_at: timestamp(row, 11)?,
        success_retention_millis: row.get::<_, i64>(12)?.cast_unsigned(),
        error_retention_millis: row.get::<_, i64>(13)?.cast_unsigned(),
    })
}

pub(super) fn status(row: &Row<'_>, column: usize) -> rusqlite::Result<Status> {
    Status::from_code(row.get(column)?).ok_or_else(|| out_of_range(column, "status"))
}

pub(super) fn timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp))
}

fn out_of_range(column: usize, what: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(
        column,
        Type::Integer,
        format!("there is no such {what}").into(),
    )
}

/// A limit as SQL has it.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The row of an instance by number.
pub(super) fn row(connection: &Connection, no: InstanceNo) -> Result<Option<InstanceRow>, StoreError> {
    Ok(connection
        .prepare_cached(concat!(
            "SELECT ",
            instance_columns!(),
            " FROM instance i JOIN pin p ON p.no = i.pin
              WHERE i.no = ?1 AND i.workflow NOT IN (SELECT workflow FROM doomed)"
        ))?
        .query_row([no.0], instance_row)
        .optional()?)
}

/// The row of an instance by id.
pub(super) fn find(
    connection: &Connection,
    workflow: i64,
    id: &str,
) -> Result<Option<InstanceRow>, StoreError> {
    Ok(connection
        .prepare_cached(concat!(
            "SELECT ",
            instance_columns!(),
            " FROM instance i JOIN pin p ON p.no = i.pin
              WHERE i.workflow = ?1 AND i.id = ?2 AND i.workflow NOT IN (SELECT workflow FROM doomed)"
        ))?
        .query_row(params![workflow, id], instance_row)
        .optional()?)
}

pub(super) fn counts(connection: &Connection, workflow: i64) -> Result<StatusCounts, StoreError> {
    let mut counts = StatusCounts::default();
    let mut statement =
        connection.prepare_cached("SELECT status, n FROM status_count WHERE workflow = ?1")?;
    let rows = statement.query_map([workflow], |row| Ok((status(row, 0)?, row.get::<_, i64>(1)?)))?;
    for row in rows {
        let (status, n) = row?;
        counts.0[status as usize] = n.cast_unsigned();
    }
    Ok(counts)
}

pub(super) fn queued(connection: &Connection, account: &str) -> Result<u64, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT coalesce(sum(c.n), 0) FROM workflow w JOIN status_count c ON c.workflow = w.no
             WHERE w.account = ?1 AND c.status = ?2",
        )?
        .query_row(params![account, Status::Queued as u8], |row| row.get::<_, i64>(0))?
        .cast_unsigned())
}

pub(super) fn inbox(
    connection: &Connection,
    instance: InstanceNo,
    after: InboxNo,
) -> Result<Vec<InboxMessage>, StoreError> {
    if head(connection, instance)?.is_none() {
        return Ok(Vec::new());
    }
    connection
        .prepare_cached(
            "SELECT no, command, payload, checksum FROM inbox WHERE instance = ?1 AND no > ?2 ORDER BY no",
        )?
        .query_map([instance.0, after.0], |row| {
            let message = InboxMessage {
                no: InboxNo(row.get(0)?),
                command: row.get(1)?,
                payload: row.get::<_, Option<Vec<u8>>>(2)?.map(Bytes::from),
            };
            Ok((message, row.get(3)?))
        })?
        .map(|read| {
            let (message, checksum) = read?;
            let pieces = [
                &message.command[..],
                message.payload.as_deref().unwrap_or_default(),
            ];
            checksum::check(checksum, &pieces, || {
                format!("message {} to instance {}", message.no.0, instance.0)
            })?;
            Ok(message)
        })
        .collect::<Result<_, StoreError>>()
}

/// The newest chunk of an instance and the length of its journal.
fn head(connection: &Connection, instance: InstanceNo) -> Result<Option<(i64, u64)>, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT head, next_seq FROM instance
             WHERE no = ?1 AND workflow NOT IN (SELECT workflow FROM doomed)",
        )?
        .query_row([instance.0], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
        })
        .optional()?)
}

/// The whole journal. To be called on one state of the database.
pub(super) fn journal(
    connection: &Connection,
    instance: InstanceNo,
) -> Result<Vec<JournalEntry>, StoreError> {
    let Some((head, length)) = head(connection, instance)? else {
        return Ok(Vec::new());
    };
    let of = |error| match error {
        StoreError::Corrupt(why) => StoreError::Corrupt(format!("journal of instance {}: {why}", instance.0)),
        other => other,
    };
    let chunks = chunks(connection, instance, head).map_err(of)?;
    let mut journal = Vec::with_capacity(usize::try_from(length).unwrap_or_default().min(chunks.len() * 4));
    for chunk in chunks.into_iter().rev() {
        chunk::decode(chunk, &mut journal).map_err(of)?;
    }
    if journal.len() as u64 != length {
        return Err(of(StoreError::Corrupt(format!(
            "it has {} entries where its row says {length}",
            journal.len()
        ))));
    }
    Ok(journal)
}

/// Entries from a position on. To be called on one state of the database.
pub(super) fn journal_from(
    connection: &Connection,
    instance: InstanceNo,
    (from, max_bytes): (Seq, usize),
) -> Result<Option<JournalPage>, StoreError> {
    let Some((head, length)) = head(connection, instance)? else {
        return Ok(None);
    };
    let mut entries = Vec::new();
    if from.0 < length {
        let read = tail(connection, (instance, head), (from, max_bytes), &mut entries);
        read.map_err(|error| match error {
            StoreError::Corrupt(why) => {
                StoreError::Corrupt(format!("journal of instance {}: {why}", instance.0))
            }
            other => other,
        })?;
        entries.retain(|entry: &JournalEntry| entry.seq >= from);
    }
    Ok(Some(JournalPage {
        entries,
        end: Seq(length),
    }))
}

/// The chunks from the one that holds `from` on, as many as fit: those behind them are looked at and dropped.
fn tail(
    connection: &Connection,
    (instance, head): (InstanceNo, i64),
    (from, max_bytes): (Seq, usize),
    entries: &mut Vec<JournalEntry>,
) -> Result<(), StoreError> {
    let mut kept: VecDeque<Vec<u8>> = VecDeque::new();
    let mut bytes = 0;
    walk(connection, instance, head, |chunk| {
        let begins_before = chunk::first(&chunk)? <= from;
        bytes += chunk.len();
        kept.push_front(chunk);
        while bytes > max_bytes && kept.len() > 1 {
            bytes -= kept.pop_back().map_or(0, |dropped| dropped.len());
        }
        Ok(if begins_before { Walk::Stop } else { Walk::On })
    })?;
    for chunk in kept {
        let begin = match entries.last() {
            Some(last) => Seq(last.seq.0 + 1),
            None => chunk::first(&chunk)?,
        };
        chunk::decode_at(chunk, begin, entries)?;
    }
    Ok(())
}

/// Whether to go on to the chunk before.
enum Walk {
    On,
    Stop,
}

/// The chunks of a journal, newest first.
fn chunks(connection: &Connection, instance: InstanceNo, head: i64) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut chunks = Vec::new();
    walk(connection, instance, head, |chunk| {
        chunks.push(chunk);
        Ok(Walk::On)
    })?;
    Ok(chunks)
}

/// Visits the chunks of a journal, newest first.
fn walk(
    connection: &Connection,
    instance: InstanceNo,
    head: i64,
    mut visit: impl FnMut(Vec<u8>) -> Result<Walk, StoreError>,
) -> Result<(), StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT instance, prev, chunk FROM journal WHERE no = ?1")?;
    let mut next = Some(head);
    while let Some(no) = next {
        let found: Option<(i64, Option<i64>, Vec<u8>)> = statement
            .query_row([no], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((owner, prev, chunk)) = found else {
            return Err(StoreError::Corrupt(format!("chunk {no} is missing")));
        };
        // Chunks are numbered in the order of writing, so a chain that does not fall is no chain of ours (and may be a ring).
        if owner != instance.0 || prev.is_some_and(|prev| prev >= no) {
            return Err(StoreError::Corrupt(format!("chunk {no} is not one of its own")));
        }
        next = match visit(chunk)? {
            Walk::On => prev,
            Walk::Stop => None,
        };
    }
    Ok(())
}

/// A payload, wherever it is kept. To be called on one state of the database.
pub(super) fn payload(
    connection: &Connection,
    instance: InstanceNo,
    seq: Seq,
) -> Result<Option<Bytes>, StoreError> {
    if head(connection, instance)?.is_none() {
        return Ok(None);
    }
    let apart: Option<(Vec<u8>, Option<u32>)> = connection
        .prepare_cached("SELECT bytes, checksum FROM payload WHERE instance = ?1 AND seq = ?2")?
        .query_row(params![instance.0, seq.0.cast_signed()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    if let Some((bytes, checksum)) = apart {
        checksum::check(checksum, &[&bytes], || {
            format!("the payload of entry {} of instance {}", seq.0, instance.0)
        })?;
        return Ok(Some(Bytes::from(bytes)));
    }
    let entry = journal_from(connection, instance, (seq, 0))?
        .and_then(|page| page.entries.into_iter().find(|entry| entry.seq == seq));
    match entry.and_then(|entry| entry.payload) {
        None => Ok(None),
        Some(Payload::Inline(bytes)) => Ok(Some(bytes)),
        Some(Payload::Apart { .. }) => Err(StoreError::Corrupt(format!(
            "the payload of entry {} of instance {} is missing",
            seq.0, instance.0
        ))),
    }
}
