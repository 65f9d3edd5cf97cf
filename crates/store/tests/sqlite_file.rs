//! What is true of the SQLite store because it is a file: it outlives processes, and may be damaged, foreign or in use.

#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;
use cairn_core::{Seq, Status, Timestamp};
use cairn_store::conformance::{
    Held, accept, at, claim, create, held, ids, mail, message, new_instance, new_workflow, node, workflow,
};
use cairn_store::sqlite::SqliteStore;
use cairn_store::{
    Commit, InboxNo, InstanceFilter, NewWorkflow, NodeId, Store, StoreError, StreamNo, StreamWrite,
};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path).unwrap()
}

fn refusal(path: &Path) -> String {
    match SqliteStore::open(path) {
        Err(StoreError::Refused(message)) => message,
        other => panic!("{other:?}"),
    }
}

fn edit(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let one = held(&store, "one").await;
    let waiting = held(&store, "waiting").await;
    let large = Bytes::from(vec![7; 50_000]);
    accept(
        &store,
        vec![Commit {
            entries: vec![(b"e".to_vec(), Some(large.clone()))],
            ..one.commit()
        }],
    )
    .await;
    accept(&store, vec![waiting.release(Some(at(500)))]).await;
    let last = store.send(message(one.no, "m")).await.unwrap();
    store.put_setting("k", "v").await.unwrap();
    let scheduled = NewWorkflow {
        schedules: vec!["0 7 * * *".to_owned()],
        ..new_workflow("scheduled", "1")
    };
    let scheduled = store.put_workflow(scheduled).await.unwrap().no;
    store.schedule_done(scheduled, "0 7 * * *", at(9)).await.unwrap();
    let (journal, counts) = (
        store.journal(one.no).await.unwrap(),
        store.counts(one.workflow).await.unwrap(),
    );
    store.close();

    let store = open(directory.path());
    assert_eq!(store.journal(one.no).await.unwrap(), journal);
    assert_eq!(store.payload(one.no, Seq(1)).await.unwrap(), Some(large));
    assert_eq!(store.counts(one.workflow).await.unwrap(), counts);
    assert_eq!(mail(&store, one.no).await, ["m"]);
    assert_eq!(store.setting("k").await.unwrap().as_deref(), Some("v"));
    assert_eq!(store.schedules().await.unwrap()[0].done_until, at(9));
    let node = node(&store).await;
    assert!(node > waiting.node, "a node id is not used twice");
    let outcome = store
        .commit(vec![Held { next: 2, ..one }.entry("from the life before")])
        .await
        .unwrap();
    assert!(outcome[0].is_err());
    assert_eq!(
        ids(&claim(&store, node, at(0), 10).await),
        ["one"],
        "what was held is due again"
    );
    assert_eq!(ids(&claim(&store, node, at(500), 10).await), ["waiting"]);
    assert!(store.send(message(one.no, "n")).await.unwrap() > last);
    assert!(create(&store, one.workflow, "new").await > waiting.no);
}

#[tokio::test]
async fn a_removed_workflow_is_swept_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let (w, path) = (workflow(&store, "w").await, store.path().to_owned());
    store
        .create((0..500).map(|n| new_instance(w, &n.to_string())).collect(), None)
        .await
        .unwrap();
    store.delete_workflow("a", "w").await.unwrap();
    // Closing does not wait for the sweeper; each start does a little at least.
    store.close();
    for _ in 0..10 {
        open(directory.path()).close();
    }
    let left: i64 = Connection::open(path)
        .unwrap()
        .query_row(
            "SELECT (SELECT count(*) FROM instance) + (SELECT count(*) FROM journal)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn dropped_streams_leave_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let held = held(&store, "one").await;
    let path = store.path().to_owned();
    let piece = |stream, index| StreamWrite::Append {
        instance: held.no,
        lease: held.lease,
        stream: StreamNo(stream),
        index,
        bytes: Bytes::from(vec![7; 1_000]),
    };
    let mut writes: Vec<_> = (0..200).map(|index| piece(1, index)).collect();
    writes.extend([piece(2, 0), piece(2, 1)]);
    store.write_streams(writes).await.unwrap();
    let drop = StreamWrite::Drop {
        instance: held.no,
        from: StreamNo(0),
        until: StreamNo(2),
        keep: Vec::new(),
    };
    store.write_streams(vec![drop]).await.unwrap();
    store.close();
    for _ in 0..5 {
        open(directory.path()).close();
    }
    let count = |sql| -> i64 {
        let connection = Connection::open(&path).unwrap();
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count("SELECT count(*) FROM stream_chunk"), 2);
    assert_eq!(count("SELECT count(*) FROM dropped_stream"), 0);
    edit(
        &path,
        "UPDATE stream_chunk SET bytes = zeroblob(1000) WHERE number = 1",
    );
    let store = open(directory.path());
    let read = |index| store.stream_chunk(held.no, StreamNo(2), index);
    assert_eq!(read(0).await.unwrap().unwrap().len(), 1_000);
    let damaged = read(1).await;
    assert!(matches!(damaged, Err(StoreError::Corrupt(_))), "{damaged:?}");
}

#[test]
fn a_second_server_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    let message = refusal(directory.path());
    assert!(
        message.contains("cairn.db is in use by another cairn"),
        "{message}"
    );
    drop(first);
    open(directory.path()).close();
}

#[test]
fn a_newer_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = open(directory.path()).path().to_owned();
    edit(&path, "PRAGMA user_version = 99");
    let message = refusal(&path);
    assert!(
        message.contains("was written by a newer cairn (its schema is 99"),
        "{message}"
    );
}

#[test]
fn a_file_of_another_application_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other.db");
    edit(&path, "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)");
    assert!(refusal(&path).contains("is a database of another application"));
    let kept: i64 = Connection::open(&path)
        .unwrap()
        .query_row("SELECT x FROM theirs", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, 1);
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("letter.txt");
    std::fs::write(&path, "Dear Sir or Madam, ".repeat(1_000)).unwrap();
    assert!(refusal(&path).contains("is not an SQLite database"));
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("Dear Sir"));
}

#[test]
fn directories_are_made_and_files_may_be_named() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(
        open(&directory.path().join("a/b")).path(),
        directory.path().join("a/b/cairn.db")
    );
    assert_eq!(
        open(&directory.path().join("c/my.db")).path(),
        directory.path().join("c/my.db")
    );
    assert_eq!(
        open(&directory.path().join("c/my.db")).path(),
        directory.path().join("c/my.db")
    );
}

#[test]
fn a_directory_that_cannot_be_made_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "").unwrap();
    let message = refusal(&directory.path().join("file/data"));
    assert!(
        message.contains("file") && message.contains("cannot be made"),
        "{message}"
    );
}

/// Commits at the same time.
async fn commits(store: &SqliteStore, one: Held, other: Held) -> [Result<(), StoreError>; 2] {
    let (first, second) = tokio::join!(
        store.commit(vec![one.entry("x")]),
        store.commit(vec![other.entry("x")])
    );
    [first.map(|_| ()), second.map(|_| ())]
}

/// Two instances, the first with a journal of three chunks, damaged by `sql`.
async fn damaged(sql: &str) -> (tempfile::TempDir, SqliteStore, Held) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let one = held(&store, "one").await;
    held(&store, "two").await;
    accept(&store, vec![one.entry("x")]).await;
    accept(&store, vec![Held { next: 2, ..one }.entry("y")]).await;
    let path = store.path().to_owned();
    drop(store);
    edit(&path, sql);
    let store = open(directory.path());
    (directory, store, one)
}

#[tokio::test]
async fn damage_is_told_and_stays_with_its_instance() {
    for sql in [
        "UPDATE journal SET chunk = zeroblob(40) WHERE no = 3",
        "UPDATE journal SET chunk = x'' WHERE no = 1",
        "UPDATE journal SET chunk = substr(chunk, 1, length(chunk) - 1) WHERE no = 4",
        "UPDATE journal SET chunk = (SELECT chunk FROM journal WHERE no = 1) WHERE no = 3",
        "DELETE FROM journal WHERE no = 3",
        "UPDATE journal SET prev = 4 WHERE no = 4",
        "UPDATE journal SET prev = 2 WHERE no = 4",
        "UPDATE journal SET prev = NULL WHERE no = 4",
        "UPDATE instance SET head = 99 WHERE no = 1",
        "UPDATE instance SET next_seq = 7 WHERE no = 1",
        "UPDATE instance SET next_seq = -1 WHERE no = 1",
    ] {
        let (_directory, store, one) = damaged(sql).await;
        assert!(
            matches!(store.journal(one.no).await, Err(StoreError::Corrupt(_))),
            "{sql}"
        );
        let node = node(&store).await;
        assert!(
            matches!(store.claim_one(node, one.no).await, Err(StoreError::Corrupt(_))),
            "{sql}"
        );
        assert_eq!(ids(&claim(&store, node, at(0), 10).await), ["two"], "{sql}");
        assert!(claim(&store, node, at(0), 10).await.is_empty());
        assert!(store.delete_instance(one.no).await.unwrap(), "{sql}");
        let two = store.instance(one.workflow, "two").await.unwrap().unwrap();
        assert_eq!(store.journal(two.no).await.unwrap().len(), 1, "{sql}");
    }
}

#[tokio::test]
async fn a_row_that_makes_no_sense_is_damage() {
    let (_directory, store, one) = damaged("UPDATE instance SET trigger = 77 WHERE no = 1").await;
    assert!(matches!(
        store.instance(one.workflow, "one").await,
        Err(StoreError::Corrupt(_))
    ));
    let all = InstanceFilter {
        limit: 10,
        ..InstanceFilter::default()
    };
    assert!(matches!(
        store.instances(one.workflow, &all).await,
        Err(StoreError::Corrupt(_))
    ));
}

#[tokio::test]
async fn a_database_that_fails_answers_everybody_and_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let (one, other) = (held(&store, "one").await, held(&store, "other").await);
    edit(
        store.path(),
        "CREATE TRIGGER trap BEFORE INSERT ON journal BEGIN SELECT raise(ABORT, 'trap'); END",
    );
    for outcome in commits(&store, one, other).await {
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    }
    assert_eq!(store.journal(one.no).await.unwrap().len(), 1);
    edit(store.path(), "DROP TRIGGER trap");
    accept(&store, vec![one.entry("x"), other.entry("x")]).await;
    assert_eq!(
        store.register(Timestamp(0)).await.unwrap(),
        NodeId(other.node.0 + 1)
    );
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_transaction_undoes_all_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = {
        let store = open(directory.path());
        workflow(&store, "w").await;
        store.path().to_owned()
    };
    edit(
        &path,
        "CREATE TRIGGER trap BEFORE INSERT ON instance WHEN new.id = 'bad' BEGIN SELECT raise(ABORT, 'trap'); END",
    );
    let store = open(directory.path());
    let w = store.workflow("a", "w").await.unwrap().unwrap().no;
    let new = |id: &str| new_instance(w, id);
    let pinned = cairn_store::NewInstance {
        version: "only here".to_owned(),
        ..new("good")
    };
    let outcome = store.create(vec![pinned.clone(), new("bad")], None).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    assert_eq!(store.instance(w, "good").await.unwrap(), None);
    assert_eq!(store.counts(w).await.unwrap().total(), 0);
    assert!(store.create(vec![pinned], None).await.unwrap()[0].is_ok());
    assert_eq!(
        store.instance(w, "good").await.unwrap().unwrap().version,
        "only here"
    );
    assert_eq!(store.counts(w).await.unwrap().of(Status::Queued), 1);
}

/// Copies the files as a crash would leave them.
fn snapshot(from: &Path, to: &Path) -> PathBuf {
    let copy = to.join("cairn.db");
    // The log first would be wrong: a checkpoint between the two would leave a file newer than its log.
    std::fs::copy(from, &copy).unwrap();
    std::fs::copy(from.with_extension("db-wal"), to.join("cairn.db-wal")).unwrap();
    copy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_loses_nothing_that_was_answered() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(open(directory.path()));
    let mut all = Vec::new();
    for n in 0..4 {
        all.push(held(&*store, &format!("i{n}")).await);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, mut written) = tokio::sync::mpsc::unbounded_channel();
    let tasks: Vec<_> = all
        .iter()
        .map(|held| {
            let (store, stop, sender, mut held) =
                (Arc::clone(&store), Arc::clone(&stop), sender.clone(), *held);
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    accept(&*store, vec![held.entry(&held.next.to_string())]).await;
                    held.next += 1;
                    sender.send((held.no, held.next)).unwrap();
                }
            })
        })
        .collect();
    let mut answered = std::collections::BTreeMap::new();
    for round in 0..10 {
        for _ in 0..50 {
            let (no, next) = written.recv().await.unwrap();
            answered.insert(no, next);
        }
        let copy_directory = tempfile::tempdir().unwrap();
        let copy = open(&snapshot(store.path(), copy_directory.path()));
        for (no, next) in &answered {
            let journal = copy.journal(*no).await.unwrap();
            assert!(
                journal.len() as u64 >= *next,
                "round {round}: {} of {next} entries",
                journal.len()
            );
            for line in &journal[1..] {
                assert_eq!(line.entry, line.seq.0.to_string().as_bytes());
            }
        }
        let claimed = claim(&copy, node(&copy).await, at(0), 10).await;
        assert_eq!(claimed.len(), 4, "what was held at the crash is due again");
        assert!(
            copy.inbox(all[0].no, InboxNo::default())
                .await
                .unwrap()
                .is_empty()
        );
    }
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn room_goes_back_to_the_disk_when_instances_expire() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path()).unwrap();
    let file = store.path().to_owned();
    let workflow = workflow(&store, "w").await;
    let node = node(&store).await;
    let new = (0..100).map(|n| cairn_store::NewInstance {
        params: Bytes::from(vec![7; 100_000]),
        ..new_instance(workflow, &format!("i{n}"))
    });
    let created = store.create(new.collect(), Some(node)).await.unwrap();
    let ends = created.into_iter().map(|created| {
        let (no, lease) = created.unwrap();
        let held = Held {
            no,
            workflow,
            node,
            lease: lease.unwrap(),
            next: 1,
        };
        held.end(Status::Complete, at(1))
    });
    accept(&store, ends.collect()).await;
    drop(store);
    let full = std::fs::metadata(&file).unwrap().len();
    assert!(full > 10_000_000, "{full}");
    let store = SqliteStore::open(&file).unwrap();
    while store.expire(Timestamp(i64::MAX), 50).await.unwrap() > 0 {}
    store.tidied().await;
    drop(store);
    let empty = std::fs::metadata(&file).unwrap().len();
    assert!(empty < full / 5, "{full} bytes before, {empty} after");
}
