//! Room in the file that nothing uses any more goes back to the disk: a little at a time, while the writer has nothing else to do.

use crate::StoreError;
use rusqlite::Connection;
use std::path::Path;

/// What `PRAGMA auto_vacuum` says of a file whose free pages can be given back little by little.
const INCREMENTAL: i64 = 2;
/// Files up to this size are rewritten at the start, if they were made without that. It takes about a second.
const REWRITE_BYTES: u64 = 128 << 20;
/// Pages given back by one transaction.
const STEP_PAGES: u32 = 128;
/// Free pages that stay for what comes: a tenth of those in use, and no fewer than this.
const SPARE_PAGES: i64 = 256;

/// Prepares a file that has no tables yet.
pub(super) fn prepare(connection: &Connection) -> Result<(), StoreError> {
    connection.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
    Ok(())
}

/// Rewrites a file of an earlier release, if that is quickly done.
pub(super) fn convert(connection: &Connection, file: &Path) -> Result<(), StoreError> {
    let mode: i64 = connection.query_row("PRAGMA auto_vacuum", [], |row| row.get(0))?;
    if mode == INCREMENTAL {
        return Ok(());
    }
    let bytes = std::fs::metadata(file).map_or(u64::MAX, |metadata| metadata.len());
    if bytes > REWRITE_BYTES {
        tracing::warn!(
            file = %file.display(),
            "this database does not give room back to the disk; docs/storage.md says how to change that"
        );
        return Ok(());
    }
    connection.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
    connection.execute_batch("VACUUM")?;
    Ok(())
}

/// Gives some pages back; whether there may be more.
pub(super) fn step(connection: &Connection) -> Result<bool, StoreError> {
    let number = |sql: &str| -> Result<i64, StoreError> {
        Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    };
    let free = number("PRAGMA freelist_count")?;
    if free <= SPARE_PAGES {
        return Ok(false);
    }
    let used = number("PRAGMA page_count")? - free;
    let spare = SPARE_PAGES.max(used / 10);
    if free <= spare || number("PRAGMA auto_vacuum")? != INCREMENTAL {
        return Ok(false);
    }
    let pages = (free - spare).min(i64::from(STEP_PAGES));
    // Each row that the pragma gives is one page.
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(free - pages > spare)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(connection: &Connection) -> i64 {
        connection
            .query_row("PRAGMA page_count", [], |row| row.get(0))
            .unwrap()
    }

    fn fill_and_empty(connection: &Connection) {
        connection
            .execute_batch(
                "CREATE TABLE t (no INTEGER PRIMARY KEY, content BLOB);
                 WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
                 INSERT INTO t (content) SELECT zeroblob(4000) FROM n;
                 DELETE FROM t WHERE no > 100",
            )
            .unwrap();
    }

    #[test]
    fn free_pages_go_back_but_for_some() {
        let directory = tempfile::tempdir().unwrap();
        let connection = Connection::open(directory.path().join("db")).unwrap();
        prepare(&connection).unwrap();
        connection
            .query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
            .unwrap();
        connection.execute_batch("PRAGMA synchronous = OFF").unwrap();
        fill_and_empty(&connection);
        let before = pages(&connection);
        assert!(before > 4_000, "{before}");
        let mut steps = 1;
        while step(&connection).unwrap() {
            steps += 1;
        }
        let after = pages(&connection);
        assert!((256..500).contains(&after), "{after}");
        let expected = (before - after) / i64::from(STEP_PAGES);
        assert!(
            (expected..expected + 3).contains(&steps),
            "{steps}, not {expected}"
        );
        assert!(!step(&connection).unwrap());
    }

    #[test]
    fn a_file_of_an_earlier_release_is_rewritten_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("db");
        let connection = Connection::open(&file).unwrap();
        connection
            .query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
            .unwrap();
        connection.execute_batch("PRAGMA synchronous = OFF").unwrap();
        fill_and_empty(&connection);
        assert!(!step(&connection).unwrap(), "it cannot yet");
        let before = pages(&connection);
        convert(&connection, &file).unwrap();
        assert!(pages(&connection) < before / 10);
        convert(&connection, &file).unwrap();
        connection
            .execute_batch(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
                 INSERT INTO t (content) SELECT zeroblob(4000) FROM n;
                 DELETE FROM t WHERE no > 100",
            )
            .unwrap();
        assert!(step(&connection).unwrap(), "now it can");
    }
}
