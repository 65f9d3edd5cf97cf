//! Messages to instances.

use super::transaction::Transaction;
use super::{checksum, read};
use crate::instance::DUE_AT_ONCE;
use crate::{InboxNo, NewMessage, SendError, StoreError};
use rusqlite::{OptionalExtension, params};

pub(super) fn send(
    transaction: &mut Transaction<'_>,
    message: &NewMessage,
) -> Result<Result<InboxNo, SendError>, StoreError> {
    let instance = message.instance.0;
    let found: Option<(i64, bool)> = transaction
        .connection
        .prepare_cached("SELECT workflow, node IS NULL FROM instance WHERE no = ?1")?
        .query_row([instance], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let is_free = match found {
        Some((workflow, is_free)) if !transaction.is_doomed(workflow) => is_free,
        _ => return Ok(Err(SendError::NoInstance)),
    };
    if is_full(transaction, instance, message.limit)? {
        return Ok(Err(SendError::Full { limit: message.limit }));
    }
    let no = transaction.next_message();
    transaction
        .connection
        .prepare_cached(
            "INSERT INTO inbox (instance, no, command, payload, checksum) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            instance,
            no,
            message.command,
            message.payload.as_deref(),
            checksum::of(&[&message.command, message.payload.as_deref().unwrap_or_default()])
        ])?;
    if is_free {
        transaction
            .connection
            .prepare_cached("UPDATE instance SET wake_at = ?2 WHERE no = ?1")?
            .execute(params![instance, DUE_AT_ONCE.0])?;
    }
    Ok(Ok(InboxNo(no)))
}

fn is_full(transaction: &Transaction<'_>, instance: i64, limit: usize) -> Result<bool, StoreError> {
    let Some(last) = limit.checked_sub(1) else {
        return Ok(true);
    };
    Ok(transaction
        .connection
        .prepare_cached("SELECT 1 FROM inbox WHERE instance = ?1 LIMIT 1 OFFSET ?2")?
        .exists(params![instance, read::limit(last)])?)
}
