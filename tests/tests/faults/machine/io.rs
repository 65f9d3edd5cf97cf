//! A disk that refuses: read-only, errors when it is read, written or asked to confirm, and writes that are cut short.

use super::world::{EIO, EROFS, Machine, Work, fails, fails_once, readiness, status};
use cairn_tests::{Answer, Rest, until};
use serde_json::json;

/// Creates an instance that is refused; what was said to the client.
async fn refused(work: &mut Work, rest: &Rest) -> Answer {
    work.create(rest, 1, json!({})).await.unwrap_err()
}

fn explanation(answer: &Answer) -> &str {
    answer.body["messages"][0].as_str().unwrap()
}

/// Instances that are under way when the disk begins to refuse, and go on when it does not any more.
async fn waits_out(rules: impl FnOnce(&Machine) -> Vec<String>, said: &[&str]) {
    let Some(machine) = Machine::new() else { return };
    let (mut server, rest) = machine.serve().await;
    let mut work = Work::deploy(&rest).await;
    let mut accepted = Vec::new();
    for _ in 0..10 {
        accepted.push(work.create(&rest, 6, json!({ "nap": 200 })).await.unwrap());
    }
    until("steps run", || async {
        (work.recorder.seen().len() > 10).then_some(())
    })
    .await;
    machine.breaks(&rules(&machine));
    let answer = refused(&mut work, &rest).await;
    assert!([503, 504].contains(&answer.status), "{}", answer.body);
    for words in said {
        assert!(explanation(&answer).contains(words), "{words}: {}", answer.body);
    }
    // What is there can be read.
    let listed = rest.get("/workflows/worker/instances").await;
    assert_eq!(listed.result().as_array().unwrap().len(), 10);
    assert_eq!(readiness(&mut server).await.0, 503);
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    machine.works();
    work.all_complete(&rest, &accepted).await;
    assert_eq!(readiness(&mut server).await.0, 200);
    server.stop().await.expect(0);
}

#[tokio::test]
async fn a_disk_that_turns_read_only_is_waited_out() {
    waits_out(
        Machine::read_only,
        &["the disk does not take what is written", "Read-only file system"],
    )
    .await;
}

#[tokio::test]
async fn errors_of_writes_are_waited_out() {
    waits_out(
        |_| vec![fails("write", EIO, "cairn.db-wal")],
        &["the disk does not take what is written", "Input/output error"],
    )
    .await;
}

/// Whether it was kept is not known, and the client is told so.
#[tokio::test]
async fn a_disk_that_confirms_nothing_is_waited_out() {
    waits_out(
        |_| vec![fails("sync", EIO, "cairn.db-wal")],
        &[
            "it is not known whether",
            "the disk does not confirm",
            "Input/output error",
        ],
    )
    .await;
}

/// The one that was not confirmed is written over at once, so it is known that it is not there, also after a crash.
#[tokio::test]
async fn what_was_refused_once_does_not_come_back() {
    let Some(machine) = Machine::new() else { return };
    let (server, rest) = machine.serve().await;
    let mut work = Work::deploy(&rest).await;
    let (mut accepted, mut refused) = (Vec::new(), 0);
    while refused < 5 {
        machine.breaks(&[fails_once(
            "sync",
            EIO,
            ("cairn.db-wal", accepted.len() + refused),
        )]);
        match work.create(&rest, 1, json!({})).await {
            // Something else was written first.
            Ok(id) => accepted.push(id),
            Err(answer) => {
                assert_eq!(answer.status, 503, "{}", answer.body);
                refused += 1;
            }
        }
        machine.works();
    }
    let count = |listed: Answer| listed.result().as_array().unwrap().len();
    let is_there = accepted.len();
    assert_eq!(count(rest.get("/workflows/worker/instances").await), is_there);
    server.kill().await;
    let (server, rest) = machine.serve().await;
    assert_eq!(count(rest.get("/workflows/worker/instances").await), is_there);
    work.all_complete(&rest, &accepted).await;
    server.stop().await.expect(0);
}

/// The disk does not confirm what was folded from the log into the database: only a start mends that, and all is there after it.
#[tokio::test]
async fn a_database_that_is_not_confirmed_ends_the_server_and_the_next_start_mends_it() {
    let Some(machine) = Machine::new() else { return };
    let (server, rest) = machine.serve().await;
    let mut work = Work::deploy(&rest).await;
    machine.breaks(&[fails("sync", EIO, "cairn.db")]);
    let mut accepted = Vec::new();
    for _ in 0..400 {
        let body = json!({ "padding": "x".repeat(60_000), "nap": 1_000 });
        match work.create_or_gone(&rest, 2, body).await {
            Some(Ok(id)) => accepted.push(id),
            Some(Err(answer)) => assert_eq!(answer.status, 503, "{}", answer.body),
            None => break,
        }
    }
    let ended = server.end().await.expect(2);
    for words in [
        "The server had to stop",
        "the disk does not confirm",
        "start the server again",
    ] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    // Nor does it start on a disk that does not confirm.
    let ended = machine.start().end().await.expect(2);
    assert!(
        ended.stderr.contains("the disk does not confirm"),
        "{}",
        ended.stderr
    );
    machine.works();
    let (server, rest) = machine.serve().await;
    work.all_complete(&rest, &accepted).await;
    server.stop().await.expect(0);
}

#[tokio::test]
async fn writes_that_are_cut_short_are_gone_on_with() {
    let Some(machine) = Machine::new() else { return };
    machine.breaks(&["cairn.db-wal", "cairn.db"].map(|file| format!("short write {file}")));
    let (server, rest) = machine.serve().await;
    let mut work = Work::deploy(&rest).await;
    let mut accepted = Vec::new();
    for _ in 0..5 {
        accepted.push(work.create(&rest, 2, json!({})).await.unwrap());
    }
    work.all_complete(&rest, &accepted).await;
    server.stop().await.expect(0);
    let (server, rest) = machine.serve().await;
    work.all_complete(&rest, &accepted).await;
    server.stop().await.expect(0);
}

#[tokio::test]
async fn errors_of_reads_are_told_and_pass() {
    let Some(machine) = Machine::new() else { return };
    let (server, rest) = machine.serve().await;
    let mut work = Work::deploy(&rest).await;
    let id = work.create(&rest, 1, json!({})).await.unwrap();
    work.all_complete(&rest, std::slice::from_ref(&id)).await;
    server.stop().await.expect(0);
    machine.breaks(&[fails("read", EIO, "cairn.db")]);
    let ended = machine.start().end().await.expect(2);
    assert!(
        ended.stderr.contains("cannot be opened: the disk refuses"),
        "{}",
        ended.stderr
    );
    machine.works();
    // A server that has not read the instance yet.
    let (server, rest) = machine.serve().await;
    machine.breaks(&[fails("read", EIO, "cairn.db")]);
    let answer = rest.get(&format!("/workflows/worker/instances/{id}")).await;
    // SQLite takes what cannot be read for damaged.
    assert_eq!(answer.status, 500, "{}", answer.body);
    assert!(
        explanation(&answer).contains("the database is damaged"),
        "{}",
        answer.body
    );
    machine.works();
    assert_eq!(status(&rest, &id).await, "complete");
    server.stop().await.expect(0);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_told_at_the_start() {
    let Some(machine) = Machine::new() else { return };
    machine.breaks(&[fails("open", EROFS, "cairn.db.lock")]);
    let ended = machine.start().end().await.expect(2);
    for words in [
        "cairn.db.lock cannot be written",
        "Read-only file system",
        "cairn needs to write in its data directory",
    ] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    machine.works();
    let (server, _) = machine.serve().await;
    server.stop().await.expect(0);
    machine.breaks(&machine.read_only());
    let ended = machine.start().end().await.expect(2);
    assert!(ended.stderr.contains("Read-only file system"), "{}", ended.stderr);
}
