//! Backups: a folder with a copy of the database and a manifest, taken beside a running server, and put back into a data directory.
//!
//! A backup has what `cairn.db` has: scripts, workflows, instances with their journals, tokens as hashes, secrets as they are encrypted. The key of the
//! secrets is not in it, so that who finds a backup cannot read them.

use cairn_api::Time;
use cairn_engine::{Clock as _, SystemClock};
use cairn_store::StoreError;
use cairn_store::sqlite::backup::{Copying, Depth, Described, PutAside, Snapshot, Vacant, check};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The copy, in the folder of a backup.
const DATABASE: &str = "cairn.db";
/// What the copy is.
const MANIFEST: &str = "manifest.json";
const FORMAT: &str = "cairn-backup";
const FORMAT_VERSION: u32 = 1;
/// No manifest is larger.
const MANIFEST_BYTES: u64 = 64 << 10;
const PIECE_BYTES: usize = 1 << 20;
/// Bytes after which what was copied is put on disk.
const FLUSH_BYTES: u64 = 8 << 20;
/// Room that is left on a disk beside what is written.
const SPARE_BYTES: u64 = 16 << 20;

/// What a backup is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always `cairn-backup`.
    pub format: String,
    /// Version of the format of this file and its folder.
    pub format_version: u32,
    /// The release that made it.
    pub cairn: String,
    /// When the state was taken.
    pub taken_at: Time,
    /// Version of the database's schema.
    pub schema: u32,
    /// Bytes of the database.
    pub bytes: u64,
    /// SHA-256 of the database, in hexadecimal digits.
    pub sha256: String,
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The database is copied.
    Copy,
    /// What was copied is read and checked.
    Check,
}

/// How far a backup or its restoration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Bytes that are done.
    pub done: u64,
    /// Bytes of this stage.
    pub total: u64,
}

/// What becomes of a database that is in the way of a restoration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// The restoration is refused.
    Refuse,
    /// It is kept beside the new one, under a name with the date.
    PutAside,
}

/// A backup that was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What it was.
    pub manifest: Manifest,
    /// The database that was there before.
    pub aside: Option<PathBuf>,
}

/// Why there is no backup, or why it was not put back. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// What would be overwritten exists.
    #[error("{} exists already; nothing is overwritten: name another folder", .0.display())]
    Exists(PathBuf),
    /// The data directory has a database.
    #[error("{} has a database already; name an empty data directory, or keep that one beside the restored one with --force", .0.display())]
    Occupied(PathBuf),
    /// There is too little room.
    #[error("{} has room for {available} bytes, and {needed} are needed; make room, or name a folder on another disk", .folder.display())]
    NoRoom {
        /// Where.
        folder: PathBuf,
        /// What is free.
        available: u64,
        /// What is wanted.
        needed: u64,
    },
    /// The folder is no backup, or none that this release reads.
    #[error("{} is no backup that can be restored: {reason}", .folder.display())]
    Manifest {
        /// Where.
        folder: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The copy is not what its manifest says.
    #[error("the backup {} is damaged: {reason}; use another one", .folder.display())]
    Damaged {
        /// Where.
        folder: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file or folder cannot be read or written.
    #[error("{} cannot be {doing}: {error}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// `read` or `written`.
        doing: &'static str,
        /// Why.
        error: io::Error,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Copies the database of a data directory, whose server may run, into a new folder `to`. The folder appears when all of it is on disk. Blocks.
///
/// # Errors
/// [`BackupError`]; nothing is left behind then.
pub fn backup(
    data_dir: &Path,
    to: &Path,
    mut progress: impl FnMut(Progress),
) -> Result<Manifest, BackupError> {
    if to.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let parent = folder_of(to);
    fs::create_dir_all(&parent).map_err(cannot(&parent, "written"))?;
    let snapshot = Snapshot::open(data_dir)?;
    let taken_at = now();
    require_room(&parent, snapshot.described().bytes)?;
    let partial = Partial::make(to)?;
    let copy = partial.path.join(DATABASE);
    snapshot.copy_to(&copy, |Copying { done, total }| {
        progress(Progress {
            stage: Stage::Copy,
            done,
            total,
        });
    })?;
    // The server's log can begin anew from here on.
    drop(snapshot);
    let described = check(&copy, Depth::Quick)?;
    let sha256 = hash(&copy, |done| {
        progress(Progress {
            stage: Stage::Check,
            done,
            total: described.bytes,
        });
    })?;
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        format_version: FORMAT_VERSION,
        cairn: env!("CARGO_PKG_VERSION").to_owned(),
        taken_at,
        schema: described.schema,
        bytes: described.bytes,
        sha256,
    };
    write_manifest(&partial.path.join(MANIFEST), &manifest)?;
    flush_folder(&partial.path)?;
    partial.become_whole(to)?;
    flush_folder(&parent)?;
    Ok(manifest)
}

/// Puts a backup into a data directory that no server uses. Blocks.
///
/// # Errors
/// [`BackupError`]; what was there is still there then.
pub fn restore(
    from: &Path,
    data_dir: &Path,
    existing: Existing,
    mut progress: impl FnMut(Progress),
) -> Result<Restored, BackupError> {
    let manifest = read_manifest(from)?;
    let source = from.join(DATABASE);
    let vacant = Vacant::lock(data_dir)?;
    if vacant.has_database() && existing == Existing::Refuse {
        return Err(BackupError::Occupied(data_dir.to_owned()));
    }
    require_room(data_dir, manifest.bytes)?;
    let mut name = vacant.database().as_os_str().to_owned();
    name.push(".restoring");
    let copy = Unfinished(PathBuf::from(name));
    let damaged = |reason: String| BackupError::Damaged {
        folder: from.to_owned(),
        reason,
    };
    let sha256 = copy_file(&source, &copy.0, |done| {
        progress(Progress {
            stage: Stage::Copy,
            done,
            total: manifest.bytes,
        });
    })?;
    if sha256 != manifest.sha256 {
        return Err(damaged(format!(
            "its {DATABASE} has the SHA-256 {sha256}, and its manifest says {}",
            manifest.sha256
        )));
    }
    progress(Progress {
        stage: Stage::Check,
        done: 0,
        total: manifest.bytes,
    });
    let described = check(&copy.0, Depth::Full).map_err(|error| match error {
        StoreError::Corrupt(reason) => damaged(reason),
        other => other.into(),
    })?;
    let expected = Described {
        schema: manifest.schema,
        bytes: manifest.bytes,
    };
    if described != expected {
        return Err(damaged(format!(
            "its {DATABASE} has {} bytes of schema {}, and its manifest says {} bytes of schema {}",
            described.bytes, described.schema, expected.bytes, expected.schema
        )));
    }
    let aside = if vacant.has_database() {
        let PutAside(aside) = vacant.put_aside(&format!("before-{}", label(now())))?;
        Some(aside)
    } else {
        None
    };
    fs::rename(&copy.0, vacant.database()).map_err(cannot(vacant.database(), "written"))?;
    flush_folder(data_dir)?;
    Ok(Restored { manifest, aside })
}

/// A folder that goes away unless it becomes whole.
struct Partial {
    path: PathBuf,
}

impl Partial {
    /// Beside the folder that it is to become.
    fn make(to: &Path) -> Result<Self, BackupError> {
        let mut name = OsString::from(".");
        name.push(to.file_name().unwrap_or_default());
        name.push(format!(".{}.partial", std::process::id()));
        let path = folder_of(to).join(name);
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(cannot(&path, "written"))?;
        Ok(Self { path })
    }

    fn become_whole(self, to: &Path) -> Result<(), BackupError> {
        // A rename would replace an empty folder.
        if to.symlink_metadata().is_ok() {
            return Err(BackupError::Exists(to.to_owned()));
        }
        fs::rename(&self.path, to).map_err(cannot(to, "written"))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // There is none any more once it is whole; what cannot be removed says by its name what it is.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A file that goes away unless it was renamed.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn cannot(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |error| BackupError::File { path, doing, error }
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Makes what a folder lists durable.
fn flush_folder(folder: &Path) -> Result<(), BackupError> {
    let flushed = File::open(folder).and_then(|folder| folder.sync_all());
    flushed.map_err(cannot(folder, "written"))
}

fn require_room(folder: &Path, bytes: u64) -> Result<(), BackupError> {
    let found = rustix::fs::statvfs(folder).map_err(|error| cannot(folder, "read")(error.into()))?;
    let available = found.f_bavail.saturating_mul(found.f_frsize);
    let needed = bytes.saturating_add(SPARE_BYTES);
    if available < needed {
        return Err(BackupError::NoRoom {
            folder: folder.to_owned(),
            available,
            needed,
        });
    }
    Ok(())
}

/// Reads a file piece by piece.
fn pieces(file: &Path, mut take: impl FnMut(&[u8]) -> Result<(), BackupError>) -> Result<(), BackupError> {
    let mut source = File::open(file).map_err(cannot(file, "read"))?;
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => take(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(cannot(file, "read")(error)),
        }
    }
}

fn hash(file: &Path, mut progress: impl FnMut(u64)) -> Result<String, BackupError> {
    let (mut hash, mut done) = (Sha256::new(), 0);
    pieces(file, |piece| {
        hash.update(piece);
        done += piece.len() as u64;
        progress(done);
        Ok(())
    })?;
    Ok(hex(&hash.finalize()))
}

/// Copies a file to disk; the SHA-256 of what was copied.
fn copy_file(from: &Path, to: &Path, mut progress: impl FnMut(u64)) -> Result<String, BackupError> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut target = options.open(to).map_err(cannot(to, "written"))?;
    let (mut hash, mut done, mut flushed) = (Sha256::new(), 0, 0);
    pieces(from, |piece| {
        hash.update(piece);
        done += piece.len() as u64;
        progress(done);
        target.write_all(piece).map_err(cannot(to, "written"))?;
        if done - flushed >= FLUSH_BYTES {
            flushed = done;
            target.sync_data().map_err(cannot(to, "written"))?;
        }
        Ok(())
    })?;
    target.sync_all().map_err(cannot(to, "written"))?;
    Ok(hex(&hash.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write_manifest(path: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let text = serde_json::to_string_pretty(manifest)
        .map_err(|error| cannot(path, "written")(io::Error::other(error)))?;
    let written = File::create_new(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    });
    written.map_err(cannot(path, "written"))
}

/// What a backup says of itself.
///
/// # Errors
/// [`BackupError::Manifest`] when it is none, or of a newer format.
pub fn read_manifest(folder: &Path) -> Result<Manifest, BackupError> {
    let bad = |reason: String| BackupError::Manifest {
        folder: folder.to_owned(),
        reason,
    };
    let path = folder.join(MANIFEST);
    let mut text = String::new();
    let read = File::open(&path).and_then(|file| file.take(MANIFEST_BYTES).read_to_string(&mut text));
    read.map_err(|error| bad(format!("its {MANIFEST} cannot be read: {error}")))?;
    // Of another version more may be different than this release can know.
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| bad(format!("its {MANIFEST} is no JSON: {error}")))?;
    if value["format"] != FORMAT {
        return Err(bad(format!(
            "its {MANIFEST} does not say \"format\": \"{FORMAT}\""
        )));
    }
    if value["format_version"] != FORMAT_VERSION {
        return Err(bad(format!(
            "its format is {}, and this release reads {FORMAT_VERSION}; use the release that made it ({})",
            value["format_version"], value["cairn"]
        )));
    }
    serde_json::from_value(value).map_err(|error| bad(format!("its {MANIFEST} is incomplete: {error}")))
}

fn now() -> Time {
    Time(SystemClock.now().0)
}

/// A time in a name: `20260131T093000Z`.
fn label(time: Time) -> String {
    let text = time.to_string();
    let seconds = text.split('.').next().unwrap_or(&text);
    let digits: String = seconds.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    format!("{digits}Z")
}

#[cfg(test)]
#[path = "tests/backup.rs"]
mod tests;
