//! A database looked at from outside, while a server may be using it: what it is, how large, and whether it is sound.

use super::open::database_in;
use super::{checksum, schema};
use crate::StoreError;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Problems that are told.
const PROBLEMS: usize = 5;
/// A database is not locked for longer than a server takes to open it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// The file.
    pub file: PathBuf,
    /// How many migrations it has had.
    pub schema: u32,
    /// How many this release knows.
    pub known_schema: u32,
    /// Its bytes, without its log.
    pub bytes: u64,
    /// Bytes of it that hold nothing.
    pub free_bytes: u64,
    /// Bytes of its log.
    pub log_bytes: u64,
    /// Whether a server is using it.
    pub in_use: bool,
    /// Whether its content is sound.
    pub soundness: Soundness,
}

/// Whether the content of a database is sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Soundness {
    /// All pages and rows are.
    Sound,
    /// These are not.
    Damaged(Vec<String>),
    /// It was too much to be read in the time.
    NotKnown,
}

/// Looks at the database of a data directory, or at the file named; none when there is no such file. Reads for no longer than `patience`, about.
/// Blocks.
///
/// # Errors
/// [`StoreError::Refused`] when it is of a newer release or no database of Cairn.
pub fn examine(path: &Path, patience: Duration) -> Result<Option<Examined>, StoreError> {
    let file = database_in(path);
    if !file.is_file() {
        return Ok(None);
    }
    // Readers of a file with a log write to its index in shared memory; the database itself is not changed.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&file, flags | OpenFlags::SQLITE_OPEN_EXRESCODE)
        .map_err(|error| StoreError::Refused(format!("{} cannot be opened: {error}", file.display())))?;
    connection.busy_timeout(PATIENCE)?;
    // Closing the last connection would otherwise fold the log into the file.
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.execute_batch("PRAGMA query_only = ON")?;
    let schema = schema::of_existing(&connection, &file)?;
    let number = |pragma: &str| -> Result<u64, StoreError> {
        let value: i64 = connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))?;
        Ok(u64::try_from(value).unwrap_or(0))
    };
    let page = number("page_size")?;
    Ok(Some(Examined {
        schema,
        known_schema: schema::known(),
        bytes: number("page_count")? * page,
        free_bytes: number("freelist_count")? * page,
        log_bytes: beside(&file, "-wal").metadata().map_or(0, |data| data.len()),
        in_use: is_in_use(&file),
        soundness: soundness(&connection, patience)?,
        file,
    }))
}

/// The file beside a database with this ending.
fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut path = file.to_owned().into_os_string();
    path.push(ending);
    path.into()
}

/// Whether a server holds the lock. A lock that cannot be read is nobody's.
fn is_in_use(file: &Path) -> bool {
    let lock = beside(file, ".lock");
    let Ok(lock) = fs::OpenOptions::new().read(true).write(true).open(lock) else {
        return false;
    };
    matches!(File::try_lock_shared(&lock), Err(TryLockError::WouldBlock))
}

fn soundness(connection: &Connection, patience: Duration) -> Result<Soundness, StoreError> {
    let interrupt = connection.get_interrupt_handle();
    let (done, waits) = channel::<()>();
    let watch = std::thread::spawn(move || {
        if waits.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            interrupt.interrupt();
        }
    });
    let problems = check(connection);
    drop(done);
    // It ends by itself, and has nothing to tell.
    let _ = watch.join();
    match problems {
        Ok(problems) if problems == ["ok"] => Ok(Soundness::Sound),
        Ok(problems) => Ok(Soundness::Damaged(problems)),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => Ok(Soundness::NotKnown),
            Some(ErrorCode::DatabaseCorrupt) => Ok(Soundness::Damaged(vec![error.to_string()])),
            _ => Err(error.into()),
        },
    }
}

fn check(connection: &Connection) -> Result<Vec<String>, rusqlite::Error> {
    let mut statement = connection.prepare(&format!("PRAGMA quick_check({PROBLEMS})"))?;
    let problems: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    if problems != ["ok"] {
        return Ok(problems);
    }
    let problems = checksum::problems(connection, PROBLEMS)?;
    Ok(if problems.is_empty() {
        vec!["ok".to_owned()]
    } else {
        problems
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::SqliteStore;
    use std::io::{Seek, SeekFrom, Write};

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_database_is_told_while_it_is_in_use_and_after() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(examine(folder.path(), LONG).unwrap(), None);
        let store = SqliteStore::open(folder.path()).unwrap();
        let found = examine(folder.path(), LONG).unwrap().unwrap();
        assert!(found.in_use);
        assert_eq!(found.schema, found.known_schema);
        assert_eq!(found.soundness, Soundness::Sound);
        assert!(found.bytes > 0);
        drop(store);
        assert!(!examine(folder.path(), LONG).unwrap().unwrap().in_use);
    }

    #[test]
    fn damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        drop(SqliteStore::open(folder.path()).unwrap());
        let mut file = fs::OpenOptions::new()
            .write(true)
            .open(folder.path().join("cairn.db"))
            .unwrap();
        for page in 4..12 {
            file.seek(SeekFrom::Start(page * 4096)).unwrap();
            file.write_all(&[0xa5; 512]).unwrap();
        }
        drop(file);
        let found = examine(folder.path(), LONG).unwrap().unwrap();
        assert!(
            matches!(found.soundness, Soundness::Damaged(_)),
            "{:?}",
            found.soundness
        );
    }

    #[test]
    fn what_is_no_database_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cairn.db"), "x".repeat(8192)).unwrap();
        let error = examine(folder.path(), LONG).unwrap_err().to_string();
        assert!(error.contains("not an SQLite database"), "{error}");
    }
}
