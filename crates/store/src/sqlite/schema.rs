//! What makes a file a database of Cairn, and the steps from each release's schema to the next.

use super::vacuum;
use crate::StoreError;
use rusqlite::{Connection, ErrorCode};
use std::path::Path;

/// "Crn1" in the header of the file.
const APPLICATION_ID: i32 = 0x4372_6e31;

/// The steps, oldest first; the schema's number is how many were done.
const MIGRATIONS: [&str; 12] = [
    include_str!("migrations/0001_begin.sql"),
    include_str!("migrations/0002_rolling_back.sql"),
    include_str!("migrations/0003_schedules.sql"),
    include_str!("migrations/0004_streams.sql"),
    include_str!("migrations/0005_parked.sql"),
    include_str!("migrations/0006_access.sql"),
    include_str!("migrations/0007_deployments.sql"),
    include_str!("migrations/0008_graphs.sql"),
    include_str!("migrations/0009_concurrency_keys.sql"),
    include_str!("migrations/0010_crons.sql"),
    include_str!("migrations/0011_blocks.sql"),
    include_str!("migrations/0012_checksums.sql"),
];

/// Brings a new or older file to the schema of this release.
///
/// # Errors
/// [`StoreError::Refused`] when the file is of a newer release, of another application, or no database.
pub(super) fn migrate(connection: &Connection, file: &Path) -> Result<(), StoreError> {
    let version = check(connection, file)?;
    if version == 0 {
        vacuum::prepare(connection)?;
    }
    for (done, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {migration}; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {}; COMMIT;",
            done + 1
        ))?;
    }
    Ok(())
}

/// How many migrations a file has had that is a database of Cairn already.
///
/// # Errors
/// As [`migrate`], and when the file is empty.
pub(super) fn of_existing(connection: &Connection, file: &Path) -> Result<u32, StoreError> {
    match check(connection, file)? {
        0 => Err(StoreError::Refused(format!(
            "{} is empty; name the database of a server that has run",
            file.display()
        ))),
        // There are few of them.
        version => Ok(u32::try_from(version).unwrap_or(u32::MAX)),
    }
}

/// How many migrations this release knows.
pub(super) fn known() -> u32 {
    // There are few of them.
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// How many migrations the file has had.
fn check(connection: &Connection, file: &Path) -> Result<usize, StoreError> {
    let file = file.display();
    let application: i32 = connection
        .query_row("PRAGMA application_id", [], |row| row.get(0))
        .map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => StoreError::Refused(format!(
                "{file} is not an SQLite database; name another data directory, or move the file away"
            )),
            _ => StoreError::from(error),
        })?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application == 0 && version == 0 && tables == 0 {
        return Ok(0);
    }
    if application != APPLICATION_ID {
        return Err(StoreError::Refused(format!(
            "{file} is a database of another application; name another data directory, or move the file away"
        )));
    }
    match usize::try_from(version) {
        Ok(version) if version <= MIGRATIONS.len() => Ok(version),
        _ => Err(StoreError::Refused(format!(
            "{file} was written by a newer cairn (its schema is {version}, this release knows up to {}); \
             start the newer release, or restore a backup from before the upgrade",
            MIGRATIONS.len()
        ))),
    }
}
