//! The SQLite store keeps the promises.

#![allow(clippy::unwrap_used)]

use cairn_store::conformance::Subject;
use cairn_store::sqlite::SqliteStore;

fn make() -> Subject {
    let directory = tempfile::tempdir().unwrap();
    Subject::new(SqliteStore::open(directory.path()).unwrap(), directory)
}

cairn_store::conformance_tests!(make);
