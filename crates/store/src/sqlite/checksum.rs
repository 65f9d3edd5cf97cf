//! Checksums of what is handed to user code as it is. SQLite has none: a byte that a disk gave back wrong would be taken for what was written.

use super::chunk;
use crate::StoreError;
use rusqlite::Connection;

/// The checksum of a value in pieces.
pub(super) fn of(pieces: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for piece in pieces {
        hasher.update(piece);
    }
    hasher.finalize()
}

/// Refuses what does not have the checksum it was written with; what was written before there were any has none.
pub(super) fn check(
    checksum: Option<u32>,
    pieces: &[&[u8]],
    what: impl FnOnce() -> String,
) -> Result<(), StoreError> {
    match checksum {
        Some(checksum) if checksum != of(pieces) => Err(StoreError::Corrupt(format!(
            "{} cannot be read: its checksum does not match",
            what()
        ))),
        Some(_) | None => Ok(()),
    }
}

/// Reads everything that has a checksum and tells what does not match, up to some problems.
pub(super) fn problems(connection: &Connection, most: usize) -> Result<Vec<String>, rusqlite::Error> {
    let mut problems = Vec::new();
    let mut statement = connection.prepare("SELECT no, instance, chunk FROM journal")?;
    let mut rows = statement.query([])?;
    while problems.len() < most
        && let Some(row) = rows.next()?
    {
        if chunk::verify(row.get_ref(2)?.as_blob_or_null()?.unwrap_or_default()).is_err() {
            let (no, instance): (i64, i64) = (row.get(0)?, row.get(1)?);
            problems.push(format!(
                "chunk {no} of the journal of instance {instance}: its checksum does not match"
            ));
        }
    }
    for (what, sql) in [
        (
            "a large value",
            "SELECT instance, checksum, bytes, NULL FROM payload WHERE checksum IS NOT NULL",
        ),
        (
            "a message",
            "SELECT instance, checksum, command, payload FROM inbox WHERE checksum IS NOT NULL",
        ),
        (
            "a piece of a stream",
            "SELECT instance, checksum, bytes, NULL FROM stream_chunk",
        ),
        (
            "a module of script version",
            "SELECT version, checksum, content, NULL FROM script_module WHERE checksum IS NOT NULL",
        ),
    ] {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while problems.len() < most
            && let Some(row) = rows.next()?
        {
            let pieces = [row.get_ref(2)?, row.get_ref(3)?];
            let [first, second] =
                pieces.map(|piece| piece.as_blob_or_null().ok().flatten().unwrap_or_default());
            if row.get::<_, u32>(1)? != of(&[first, second]) {
                let whose: i64 = row.get(0)?;
                problems.push(format!("{what} of {whose}: its checksum does not match"));
            }
        }
    }
    Ok(problems)
}
