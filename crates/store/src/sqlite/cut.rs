//! Whether the log still has what was confirmed.
//!
//! A log that was cut, or has a damaged byte, looks to SQLite like that of a crash: it takes what is whole for all there was. But after a crash of the
//! process the index of the log in shared memory (`-shm`) is still there, and says how far the log went. It is written after the log is on disk, so it
//! never says too much. After a crash of the machine it may be older than the log, and then nothing can be told.

use crate::StoreError;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

const INDEX_HEADER: usize = 48;
/// Where the index says how many pages of the log the database has already.
const BACKFILL_AT: usize = 96;
const LOG_HEADER: usize = 32;
const PAGE_HEADER: usize = 24;

/// What the index says of the log.
struct Said {
    pages: u32,
    page_bytes: usize,
    salt: [u8; 8],
}

/// Looks before anything opens the database.
///
/// # Errors
/// [`StoreError::Refused`] when the log does not have what was confirmed.
pub(super) fn check(database: &Path) -> Result<(), StoreError> {
    let (index_path, log_path) = (beside(database, "-shm"), beside(database, "-wal"));
    // What cannot be read here is told by whoever needs it.
    let (Ok(index), Ok(log)) = (beginning(&index_path), File::open(&log_path)) else {
        return Ok(());
    };
    let (Some(said), mut log) = (said(&index), BufReader::new(log)) else {
        return Ok(());
    };
    let mut header = [0; LOG_HEADER];
    // Another salt is another log: this index is not of it.
    if log.read_exact(&mut header).is_err() || header[16..24] != said.salt {
        return Ok(());
    }
    let found = whole_pages(&header, log, &said);
    if found >= said.pages {
        return Ok(());
    }
    Err(StoreError::Refused(format!(
        "the log {} has lost what was confirmed: {found} of its {} pages can be read. Put the file back as it was, or restore a backup; \
         to start without what is lost, remove {}",
        log_path.display(),
        said.pages,
        index_path.display()
    )))
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut path = file.to_owned().into_os_string();
    path.push(ending);
    path.into()
}

/// What the index begins with.
fn beginning(index: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(index)?.take(128).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads the index; none when it is not whole, or says nothing that the database does not have.
fn said(index: &[u8]) -> Option<Said> {
    let header = index.get(..INDEX_HEADER)?;
    if index.get(INDEX_HEADER..2 * INDEX_HEADER)? != header {
        return None;
    }
    let number = |at: usize| -> Option<u32> {
        let bytes = index.get(at..at + 4)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    };
    let sums = sum((0, 0), header.get(..40)?, u32::from_ne_bytes);
    if (number(40)?, number(44)?) != sums {
        return None;
    }
    let pages = number(16)?;
    let page_bytes = u16::from_ne_bytes(header.get(14..16)?.try_into().ok()?);
    // 64 KiB does not fit and is written as 1.
    let page_bytes = if page_bytes == 1 {
        65_536
    } else {
        usize::from(page_bytes)
    };
    (pages > number(BACKFILL_AT)? && page_bytes >= 512).then_some(Said {
        pages,
        page_bytes,
        salt: header.get(32..40)?.try_into().ok()?,
    })
}

/// How many pages of a log are whole, up to as many as were said.
fn whole_pages(header: &[u8; LOG_HEADER], mut pages: impl Read, said: &Said) -> u32 {
    // The last bit of the first number says how the numbers of the checksums are read.
    let read = if header[3] & 1 == 1 {
        u32::from_be_bytes
    } else {
        u32::from_le_bytes
    };
    let mut sums = sum((0, 0), &header[..24], read);
    if !has_sums(&header[24..], sums) {
        return 0;
    }
    let mut page = vec![0; PAGE_HEADER + said.page_bytes];
    let mut whole = 0;
    while whole < said.pages && pages.read_exact(&mut page).is_ok() {
        let (header, content) = page.split_at(PAGE_HEADER);
        sums = sum(sum(sums, &header[..8], read), content, read);
        if header[8..16] != said.salt || !has_sums(&header[16..], sums) {
            break;
        }
        whole += 1;
    }
    whole
}

/// Whether these bytes are these sums, which are always written with the highest byte first.
fn has_sums(bytes: &[u8], (first, second): (u32, u32)) -> bool {
    bytes.get(..4) == Some(&first.to_be_bytes()) && bytes.get(4..8) == Some(&second.to_be_bytes())
}

/// SQLite's checksum, carried on.
fn sum((mut first, mut second): (u32, u32), bytes: &[u8], read: fn([u8; 4]) -> u32) -> (u32, u32) {
    for pair in bytes.chunks_exact(8) {
        let [a, b, c, d, e, f, g, h] = *pair else {
            continue;
        };
        first = first.wrapping_add(read([a, b, c, d])).wrapping_add(second);
        second = second.wrapping_add(read([e, f, g, h])).wrapping_add(first);
    }
    (first, second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;
    use std::fs;

    /// The files of a database in use, as a crash would leave them.
    fn crashed(rows: i64) -> (tempfile::TempDir, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let (used, left) = (place.path().join("used.db"), place.path().join("left.db"));
        let connection = Connection::open(&used).unwrap();
        connection
            .query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
            .unwrap();
        connection
            .execute_batch(
                "PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (content BLOB)",
            )
            .unwrap();
        for _ in 0..rows {
            connection
                .execute("INSERT INTO t VALUES (zeroblob(3000))", [])
                .unwrap();
        }
        for ending in ["", "-wal", "-shm"] {
            fs::copy(beside(&used, ending), beside(&left, ending)).unwrap();
        }
        (place, left)
    }

    #[test]
    fn a_log_as_a_crash_leaves_it_is_whole() {
        for rows in [0, 1, 20] {
            let (_place, file) = crashed(rows);
            check(&file).unwrap();
        }
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_told() {
        let (_place, file) = crashed(5);
        let log = beside(&file, "-wal");
        let whole = fs::read(&log).unwrap();
        for length in (32..whole.len()).step_by(97) {
            fs::write(&log, &whole[..length]).unwrap();
            let told = check(&file).unwrap_err().to_string();
            assert!(told.contains("has lost what was confirmed"), "{length}: {told}");
        }
        for place in (24..whole.len()).step_by(97) {
            let mut flipped = whole.clone();
            flipped[place] ^= 4;
            fs::write(&log, flipped).unwrap();
            assert!(check(&file).is_err(), "{place}");
        }
    }

    #[test]
    fn an_index_of_another_log_or_none_says_nothing() {
        let (_place, file) = crashed(5);
        fs::write(
            beside(&file, "-wal"),
            &fs::read(beside(&file, "-wal")).unwrap()[..100],
        )
        .unwrap();
        let index = fs::read(beside(&file, "-shm")).unwrap();
        for length in [0, 40, 95, 99] {
            fs::write(beside(&file, "-shm"), &index[..length]).unwrap();
            check(&file).unwrap();
        }
        let (_other_place, other) = crashed(3);
        fs::copy(beside(&other, "-shm"), beside(&file, "-shm")).unwrap();
        check(&file).unwrap();
        fs::remove_file(beside(&file, "-shm")).unwrap();
        check(&file).unwrap();
    }
}
