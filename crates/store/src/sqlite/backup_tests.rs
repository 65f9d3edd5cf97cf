//! Copies beside a writer, damage that is found, and data directories that are taken.

use super::*;
use crate::Store;
use crate::conformance::{accept, at, claim, held, node, texts};
use crate::sqlite::SqliteStore;
use tempfile::TempDir;

fn place() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(dir: &TempDir) -> SqliteStore {
    SqliteStore::open(dir.path()).unwrap()
}

fn copy(from: &TempDir, to: &Path) -> Described {
    let snapshot = Snapshot::open(from.path()).unwrap();
    snapshot.copy_to(to, |_| ()).unwrap();
    snapshot.described()
}

/// A database that something was put into, and the files of its directory.
async fn filled(dir: &TempDir) {
    let store = open(dir);
    let one = held(&store, "one").await;
    accept(&store, vec![one.entry("step")]).await;
    store.close();
}

fn names(dir: &TempDir) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_copy_is_one_state_and_does_not_begin_anew() {
    let (dir, target) = (place(), place());
    let store = open(&dir);
    let one = held(&store, "one").await;
    // Some hundred pages, so that a copy takes several steps.
    let filling = crate::Commit {
        entries: vec![(b"large".to_vec(), Some(vec![7; 6 << 20].into()))],
        ..one.commit()
    };
    accept(&store, vec![filling]).await;
    let snapshot = Snapshot::open(dir.path()).unwrap();
    let writer = Connection::open(store.path()).unwrap();
    let file = target.path().join("copy.db");
    let (mut steps, mut last) = (0, 0);
    snapshot
        .copy_to(&file, |copying| {
            // The writer is never kept waiting, and what it writes is not seen.
            writer
                .execute("INSERT INTO setting VALUES (?1, 'after')", [format!("k{steps}")])
                .unwrap();
            assert!(copying.done >= last && copying.total == snapshot.described().bytes);
            (steps, last) = (steps + 1, copying.done);
        })
        .unwrap();
    assert_eq!(last, snapshot.described().bytes);
    let pages = last / 4096;
    assert_eq!(steps, pages.div_ceil(256));
    assert!(steps > 3, "{steps}");
    assert_eq!(check(&file, Depth::Full).unwrap(), snapshot.described());
    assert_eq!(store.setting("k0").await.unwrap().as_deref(), Some("after"));
    let restored = SqliteStore::open(&file).unwrap();
    assert_eq!(restored.setting("k0").await.unwrap(), None);
    assert_eq!(
        texts(&restored.journal(one.no).await.unwrap()),
        ["created", "large"]
    );
}

#[tokio::test]
async fn who_held_an_instance_does_not_hold_it_in_the_copy() {
    let (dir, target) = (place(), place());
    let store = open(&dir);
    let one = held(&store, "one").await;
    let waits = held(&store, "waits").await;
    accept(&store, vec![waits.release(Some(at(1_000_000)))]).await;
    let file = target.path().join("copy.db");
    copy(&dir, &file);

    let restored = SqliteStore::open(&file).unwrap();
    // The holder of the first server is fenced here, whatever it does there.
    crate::conformance::refuse(&restored, one.entry("late")).await;
    let other = node(&restored).await;
    let claimed = claim(&restored, other, at(0), 10).await;
    assert_eq!(
        claimed
            .iter()
            .map(|claimed| claimed.row.id.as_str())
            .collect::<Vec<_>>(),
        ["one"]
    );
    assert!(claimed[0].lease.epoch > one.lease.epoch);
    // The first server goes on.
    accept(&store, vec![one.entry("step")]).await;
}

#[tokio::test]
async fn a_database_that_nobody_uses_is_copied_and_stays_as_it_is() {
    let (dir, target) = (place(), place());
    filled(&dir).await;
    let before = std::fs::read(dir.path().join("cairn.db")).unwrap();
    let file = target.path().join("copy 100%?#.db");
    let described = copy(&dir, &file);
    assert_eq!(check(&file, Depth::Quick).unwrap(), described);
    assert_eq!(names(&target), ["copy 100%?#.db"]);
    assert_eq!(names(&dir), ["cairn.db", "cairn.db.lock"]);
    assert_eq!(std::fs::read(dir.path().join("cairn.db")).unwrap(), before);
}

#[tokio::test]
async fn damage_is_found() {
    let dir = place();
    filled(&dir).await;
    let file = dir.path().join("cairn.db");
    let whole = std::fs::read(&file).unwrap();
    let described = check(&file, Depth::Full).unwrap();
    let mut damaged = 0;
    for page in 1..whole.len() / 4096 {
        let mut bytes = whole.clone();
        bytes[page * 4096..page * 4096 + 64].fill(0xff);
        std::fs::write(&file, &bytes).unwrap();
        damaged += usize::from(matches!(check(&file, Depth::Full), Err(StoreError::Corrupt(_))));
    }
    // Nothing is wrong with a page that is free.
    assert!(damaged * 10 >= (whole.len() / 4096 - 1) * 9, "{damaged}");
    std::fs::write(&file, &whole[..whole.len() - 4096]).unwrap();
    assert!(matches!(check(&file, Depth::Quick), Err(StoreError::Corrupt(_))));
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(check(&file, Depth::Full).unwrap(), described);
}

#[tokio::test]
async fn only_databases_of_this_release_or_earlier_ones_are_taken() {
    let dir = place();
    filled(&dir).await;
    let file = dir.path().join("cairn.db");
    let refused = |text: &str| {
        let error = check(&file, Depth::Quick).unwrap_err();
        assert!(matches!(error, StoreError::Refused(_)), "{error:?}");
        assert!(error.to_string().contains(text), "{error}");
        let error = Snapshot::open(dir.path()).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    };
    let change = |sql: &str| {
        let connection = Connection::open(&file).unwrap();
        connection.execute_batch("PRAGMA journal_mode = DELETE").unwrap();
        connection.execute_batch(sql).unwrap();
    };
    change("PRAGMA user_version = 1000");
    refused("newer cairn");
    change("PRAGMA user_version = 1; PRAGMA application_id = 7");
    refused("another application");
    std::fs::write(&file, "").unwrap();
    refused("is empty");
    std::fs::write(&file, "something else altogether, of some length ".repeat(200)).unwrap();
    refused("not an SQLite database");
    std::fs::remove_file(&file).unwrap();
    let error = Snapshot::open(dir.path()).unwrap_err();
    assert!(error.to_string().contains("there is no database"), "{error}");
}

#[tokio::test]
async fn a_directory_in_use_is_not_vacant_and_a_vacant_one_takes_no_server() {
    let dir = place();
    let store = open(&dir);
    let error = Vacant::lock(dir.path()).unwrap_err();
    assert!(error.to_string().contains("in use by another cairn"), "{error}");
    // As after a power cut: the log has what the file has not.
    store.put_setting("k", "kept").await.unwrap();
    let left = place();
    for name in ["cairn.db", "cairn.db-wal", "cairn.db-shm"] {
        std::fs::copy(dir.path().join(name), left.path().join(name)).unwrap();
    }

    let vacant = Vacant::lock(left.path()).unwrap();
    assert!(vacant.has_database());
    assert!(SqliteStore::open(left.path()).is_err());
    let PutAside(aside) = vacant.put_aside("before").unwrap();
    assert!(!vacant.has_database());
    assert_eq!(
        names(&left),
        ["cairn.db.before", "cairn.db.before-wal", "cairn.db.lock"]
    );
    let again = SqliteStore::open(&aside).unwrap();
    assert_eq!(again.setting("k").await.unwrap().as_deref(), Some("kept"));
}
