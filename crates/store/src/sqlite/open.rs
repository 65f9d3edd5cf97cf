//! Finding, locking and opening the database file.

use super::{schema, trouble, vacuum};
use crate::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// Name of the file in a data directory.
pub(super) const FILE_NAME: &str = "cairn.db";
/// Frames in the log before they are copied into the file (4 KiB each): seldom enough not to be felt, and the log stays
/// small enough to be read through quickly after a crash.
pub(super) const CHECKPOINT_PAGES: u32 = 2_000;
const WRITER_CACHE_KIB: u32 = 32 * 1024;
const READER_CACHE_KIB: u32 = 4 * 1024;
const STATEMENTS: usize = 96;

/// The database in a directory, or the file named; a path without an extension that does not exist is a directory.
pub(super) fn database_in(path: &Path) -> PathBuf {
    let is_directory = path.is_dir() || (!path.exists() && path.extension().is_none());
    if is_directory {
        path.join(FILE_NAME)
    } else {
        path.to_owned()
    }
}

/// A database file that no other process may open while this lives.
#[derive(Debug)]
pub(super) struct LockedFile {
    pub(super) path: PathBuf,
    /// The operating system ends the lock with the process, however that ends.
    _lock: File,
}

impl LockedFile {
    /// Locks the database in a directory, or the database file named; makes the directory if there is none.
    pub(super) fn lock(path: &Path) -> Result<Self, StoreError> {
        let path = database_in(path);
        if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(directory).map_err(|error| {
                StoreError::Refused(format!(
                    "the data directory {} cannot be made: {error}",
                    directory.display()
                ))
            })?;
        }
        let mut lock_path = path.clone().into_os_string();
        lock_path.push(".lock");
        let lock_path = PathBuf::from(lock_path);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|error| {
                StoreError::Refused(format!(
                    "{} cannot be written: {error}; cairn needs to write in its data directory",
                    lock_path.display()
                ))
            })?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Refused(format!(
                "{} is in use by another cairn; stop that one, or name another data directory",
                path.display()
            ))),
            Err(TryLockError::Error(error)) => Err(StoreError::Refused(format!(
                "{} cannot be locked: {error}",
                lock_path.display()
            ))),
        }
    }

    /// The one connection that writes; brings the schema up to date.
    pub(super) fn open_writer(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let connection = Connection::open_with_flags(&self.path, flags).map_err(|error| {
            StoreError::Refused(format!(
                "{} cannot be opened: {}",
                self.path.display(),
                trouble::words(&error)
            ))
        })?;
        schema::migrate(&connection, &self.path)?;
        vacuum::convert(&connection, &self.path)?;
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            return Err(StoreError::Refused(format!(
                "{} cannot have a write-ahead log (journal mode {mode}); is it on a network file system?",
                self.path.display()
            )));
        }
        connection.execute_batch(&format!(
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -{WRITER_CACHE_KIB}; PRAGMA journal_size_limit = {};",
            u64::from(CHECKPOINT_PAGES) * 4096 * 2
        ))?;
        prepare_once(&connection)?;
        fold_all(&connection)?;
        Ok(connection)
    }

    /// A connection that reads beside the writer.
    pub(super) fn open_reader(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.execute_batch(&format!(
            "PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; PRAGMA busy_timeout = 5000;
             PRAGMA cache_size = -{READER_CACHE_KIB};"
        ))?;
        prepare_once(&connection)?;
        Ok(connection)
    }
}

/// Folds what an earlier server left in the log. It may be in the system's memory alone, after a disk that failed: nothing is to be built on it before
/// it is written anew and confirmed.
fn fold_all(connection: &Connection) -> Result<(), StoreError> {
    let is_busy: bool = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .map_err(|error| StoreError::Unavailable(trouble::with_cause(&trouble::words(&error), connection)))?;
    if is_busy {
        tracing::warn!(
            "another process reads the database, so its log was not folded at the start; it is later"
        );
    }
    Ok(())
}

/// Keeps statements once they are compiled. Without the stability guarantee a statement is compiled again whenever the
/// values bound to it change (to look for a better plan), which costs ten times what running it does.
fn prepare_once(connection: &Connection) -> Result<(), StoreError> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::{Error, ErrorCode};
        match &error {
            Error::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Corrupt(error.to_string()),
                _ => Self::Unavailable(trouble::words(&error)),
            },
            Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnType(..)
            | Error::Utf8Error(..) => Self::Corrupt(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}
