//! Copies of a database while a server writes to it, and the checks of a copy.
//!
//! All pages are read within one read transaction. So a copy is one state of the database and never begins anew, however much is written meanwhile,
//! and the writer never waits for it: the log only grows by what is written until the copy is done, as its beginning cannot be used again.

use super::open::{self, LockedFile};
use super::schema;
use crate::StoreError;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Pages copied at a time.
const STEP_PAGES: i32 = 256;
/// Bytes after which what was copied is put on disk: one flush of everything at the end would hold up the server's own for as long as it takes.
const FLUSH_BYTES: u64 = 8 << 20;
/// Problems of a damaged file that are told.
const PROBLEMS: usize = 10;
/// A source is not locked for longer than a server takes to open it.
const PATIENCE: Duration = Duration::from_secs(30);

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copying {
    /// Bytes that are copied.
    pub done: u64,
    /// Bytes of the whole.
    pub total: u64,
}

/// What a database file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Described {
    /// How many migrations it has had.
    pub schema: u32,
    /// Its bytes, without a log.
    pub bytes: u64,
}

/// How much of a file is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Every page and every row.
    Quick,
    /// Also whether the indexes say what the tables say.
    Full,
}

/// A database that is read for a copy: one state of it, for as long as this lives.
pub struct Snapshot {
    connection: Connection,
    described: Described,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("described", &self.described)
            .finish_non_exhaustive()
    }
}

impl Snapshot {
    /// Opens the database of a data directory, or the file named, beside a server that may be using it. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when there is none, or it is of a newer release.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let file = open::database_in(path);
        if !file.is_file() {
            return Err(StoreError::Refused(format!(
                "there is no database {}; name the data directory of a server",
                file.display()
            )));
        }
        // Readers of a file with a log write to its index in shared memory; the database itself is not changed.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&file, flags | OpenFlags::SQLITE_OPEN_EXRESCODE)
            .map_err(|error| StoreError::Refused(format!("{} cannot be opened: {error}", file.display())))?;
        connection.busy_timeout(PATIENCE)?;
        connection.execute_batch("PRAGMA query_only = ON; BEGIN")?;
        let described = describe(&connection, &file)?;
        connection.execute_batch("PRAGMA cache_size = -2048")?;
        Ok(Self {
            connection,
            described,
        })
    }

    /// What will be copied.
    pub fn described(&self) -> Described {
        self.described
    }

    /// Writes a copy to a file that does not exist yet, and puts it on disk. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it cannot be written; what there is of it then stays.
    pub fn copy_to(&self, file: &Path, mut progress: impl FnMut(Copying)) -> Result<(), StoreError> {
        let mut copy = Connection::open(file)?;
        copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -2048")?;
        let written = File::open(file).map_err(|error| not_written(file, &error))?;
        let flush = || written.sync_data().map_err(|error| not_written(file, &error));
        let backup = Backup::new(&self.connection, &mut copy)?;
        let total = self.described.bytes;
        let mut flushed = 0;
        loop {
            let step = backup.step(STEP_PAGES)?;
            let pages = backup.progress();
            let page_bytes = total / u64::try_from(pages.pagecount.max(1)).unwrap_or(1);
            let left = u64::try_from(pages.remaining).unwrap_or(0) * page_bytes;
            let done = total.saturating_sub(left);
            progress(Copying { done, total });
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                // Nobody else knows of the copy, and the source is in a transaction already.
                other => {
                    return Err(StoreError::Unavailable(format!(
                        "the copy stopped: SQLite says {other:?}"
                    )));
                }
            }
            if done - flushed >= FLUSH_BYTES {
                flush()?;
                flushed = done;
            }
        }
        drop(backup);
        copy.close().map_err(|(_, error)| StoreError::from(error))?;
        written.sync_all().map_err(|error| not_written(file, &error))
    }
}

/// What a database file at rest is, once its content is found to be sound. Leaves nothing beside the file. Blocks.
///
/// # Errors
/// [`StoreError::Corrupt`] when it is damaged; [`StoreError::Refused`] when it is of a newer release, or no database of Cairn.
pub fn check(file: &Path, depth: Depth) -> Result<Described, StoreError> {
    let connection = at_rest(file)?;
    let described = describe(&connection, file)?;
    let pragma = match depth {
        Depth::Quick => "quick_check",
        Depth::Full => "integrity_check",
    };
    let mut statement = connection.prepare(&format!("PRAGMA {pragma}({PROBLEMS})"))?;
    let problems: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    if problems != ["ok"] {
        return Err(StoreError::Corrupt(format!(
            "{}: {}",
            file.display(),
            problems.join("; ")
        )));
    }
    Ok(described)
}

/// A file that nobody writes and that has no log.
fn at_rest(file: &Path) -> Result<Connection, StoreError> {
    let mut name = String::from("file:");
    for byte in file.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                name.push(char::from(*byte));
            }
            byte => name.push_str(&format!("%{byte:02X}")),
        }
    }
    name.push_str("?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let flags = flags | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_EXRESCODE;
    Connection::open_with_flags(&name, flags)
        .map_err(|error| StoreError::Refused(format!("{} cannot be opened: {error}", file.display())))
}

fn describe(connection: &Connection, file: &Path) -> Result<Described, StoreError> {
    let schema = schema::of_existing(connection, file)?;
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    let page_bytes: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    let bytes = u64::try_from(pages.saturating_mul(page_bytes))
        .map_err(|_| StoreError::Corrupt(format!("{} says that it has {pages} pages", file.display())))?;
    Ok(Described { schema, bytes })
}

fn not_written(file: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("{} cannot be written: {error}", file.display()))
}

/// A data directory that no server uses, and none can while this lives.
#[derive(Debug)]
pub struct Vacant {
    file: LockedFile,
}

/// A database that was put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutAside(pub PathBuf);

impl Vacant {
    /// Keeps servers out of a data directory; makes it if there is none.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when a server uses it, or it cannot be written.
    pub fn lock(data_dir: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            file: LockedFile::lock(&data_dir.join(open::FILE_NAME))?,
        })
    }

    /// Where its database is, or would be.
    pub fn database(&self) -> &Path {
        &self.file.path
    }

    /// Whether it has one.
    pub fn has_database(&self) -> bool {
        self.file.path.exists() || beside(&self.file.path, "-wal").exists()
    }

    /// Renames its database, with its log, to a name that ends with `label`.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when that is not possible.
    pub fn put_aside(&self, label: &str) -> Result<PutAside, StoreError> {
        let aside = beside(&self.file.path, &format!(".{label}"));
        // The log first: a database without its log would seem whole.
        rename(&beside(&self.file.path, "-wal"), &beside(&aside, "-wal"))?;
        rename(&self.file.path, &aside)?;
        let index = beside(&self.file.path, "-shm");
        if index.exists() {
            std::fs::remove_file(&index).map_err(|error| {
                StoreError::Refused(format!("{} cannot be removed: {error}", index.display()))
            })?;
        }
        Ok(PutAside(aside))
    }
}

/// Renames a file, if there is one.
fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    if !from.exists() {
        return Ok(());
    }
    std::fs::rename(from, to)
        .map_err(|error| StoreError::Refused(format!("{} cannot be renamed: {error}", from.display())))
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(ending);
    PathBuf::from(path)
}

#[cfg(test)]
#[path = "backup_tests.rs"]
mod tests;
