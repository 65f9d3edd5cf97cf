//! Memory and SQLite give the same answers to the same random requests.

#![allow(clippy::unwrap_used)]

use cairn_store::conformance::{Subject, differential::compare};
use cairn_store::memory::MemoryStore;
use cairn_store::sqlite::SqliteStore;

#[tokio::test]
async fn memory_and_sqlite_agree() {
    let mut accepted = 0;
    for seed in 0..24 {
        let directory = tempfile::tempdir().unwrap();
        let sqlite = Subject::new(SqliteStore::open(directory.path()).unwrap(), directory);
        accepted += compare(seed, 300, &Subject::new(MemoryStore::new(), ()), &sqlite).await;
    }
    assert!(
        accepted > 2_000,
        "the requests were refused too often ({accepted} accepted) to show much"
    );
}
