//! A disk without room.

use super::world::{ENOSPC, Machine, Work, fails, readiness, until_status};
use cairn_tests::{Answer, Rest, Running, until};
use serde_json::json;

/// What is said to a client.
fn is_refused(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(
        answer.body["messages"][0]
            .as_str()
            .unwrap()
            .contains("the disk is full"),
        "{}",
        answer.body
    );
}

/// Lines of the log that are warnings or errors.
fn complaints(server: &Running) -> usize {
    let said = server.said();
    said.lines()
        .filter(|line| line.contains("ERROR") || line.contains("WARN"))
        .count()
}

/// Creates until there is no more room; how many were accepted is what is returned.
async fn fill(rest: &Rest, work: &mut Work) -> Vec<String> {
    let mut accepted = Vec::new();
    for _ in 0..400 {
        match work
            .create(rest, 2, json!({ "padding": "x".repeat(60_000) }))
            .await
        {
            Ok(id) => accepted.push(id),
            Err(answer) => {
                is_refused(&answer);
                return accepted;
            }
        }
    }
    panic!("there is always room");
}

#[tokio::test]
async fn instances_wait_for_room_and_go_on_by_themselves() {
    let Some(machine) = Machine::new() else { return };
    let (mut server, rest) = machine.serve().await;
    let mut work = Work::deploy(&rest).await;
    let mut accepted = Vec::new();
    for _ in 0..20 {
        accepted.push(work.create(&rest, 8, json!({ "nap": 300 })).await.unwrap());
    }
    until("steps run", || async {
        (work.recorder.seen().len() > 30).then_some(())
    })
    .await;
    let before = complaints(&server);
    machine.breaks(&[fails("write", ENOSPC, "cairn.db-wal")]);
    for _ in 0..200 {
        is_refused(&work.create(&rest, 1, json!({})).await.unwrap_err());
    }
    // What is there can be read all the time, and whoever asks is told what is wrong.
    let listed = rest.get("/workflows/worker/instances?per_page=50").await;
    assert_eq!(listed.result().as_array().unwrap().len(), 20);
    assert_eq!(
        readiness(&mut server).await,
        (503, "the last write failed; the log says why".to_owned())
    );
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let complained = complaints(&server) - before;
    assert!(
        (1..80).contains(&complained),
        "{complained} lines:\n{}",
        server.said()
    );
    machine.works();
    work.all_complete(&rest, &accepted).await;
    assert_eq!(readiness(&mut server).await.0, 200);
    assert!(
        server.said().contains("writing to the database works again"),
        "{}",
        server.said()
    );
    server.stop().await.expect(0);
}

#[tokio::test]
async fn a_full_disk_is_told_at_the_start() {
    let Some(machine) = Machine::new() else { return };
    let (server, rest) = machine.serve().await;
    let mut work = Work::deploy(&rest).await;
    let id = work.create(&rest, 3, json!({ "nap": 200 })).await.unwrap();
    server.kill().await;
    for file in ["cairn.db", "cairn.db-wal"] {
        machine.breaks(&[fails("write", ENOSPC, file)]);
        let ended = machine.start().end().await.expect(2);
        assert!(
            ended.stderr.contains("the disk is full; make room"),
            "{}",
            ended.stderr
        );
    }
    machine.works();
    let (server, rest) = machine.serve().await;
    work.all_complete(&rest, &[id]).await;
    server.stop().await.expect(0);
}

/// The log is written and the database itself cannot grow: nobody notices but the log, which gets longer.
#[tokio::test]
async fn a_log_that_cannot_be_folded_is_folded_when_there_is_room() {
    let Some(machine) = Machine::new() else { return };
    let (server, rest) = machine.serve().await;
    let mut work = Work::deploy(&rest).await;
    machine.breaks(&[fails("write", ENOSPC, "cairn.db")]);
    let mut accepted = Vec::new();
    for _ in 0..200 {
        accepted.push(
            work.create(&rest, 1, json!({ "padding": "x".repeat(60_000) }))
                .await
                .unwrap(),
        );
    }
    assert!(
        server.said().contains("folding the log into the database fails"),
        "{}",
        server.said()
    );
    machine.works();
    work.all_complete(&rest, &accepted).await;
    server.stop().await.expect(0);
    assert!(!machine.data.join("cairn.db-wal").exists());
}

#[tokio::test]
async fn a_backup_without_room_leaves_nothing_behind() {
    let Some(machine) = Machine::new() else { return };
    let (server, rest) = machine.serve().await;
    let mut work = Work::deploy(&rest).await;
    let id = work.create(&rest, 1, json!({})).await.unwrap();
    let to = machine.folder("backups/first");
    machine.breaks(&[format!("room 8192 {}*", machine.folder("backups").display())]);
    let arguments = [
        "backup",
        "--data-dir",
        machine.data.to_str().unwrap(),
        to.to_str().unwrap(),
    ];
    let ended = Running::watch(machine.command(&arguments)).end().await.expect(2);
    assert!(ended.stderr.contains("the disk is full"), "{}", ended.stderr);
    assert_eq!(std::fs::read_dir(machine.folder("backups")).unwrap().count(), 0);
    machine.works();
    Running::watch(machine.command(&arguments)).end().await.expect(0);
    work.all_complete(&rest, &[id]).await;
    server.stop().await.expect(0);
}

/// A file system of its own, unmounted at the end; none where the test may not mount one.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(at: std::path::PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"])
            .arg(&at)
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            Some(Self(at))
        } else {
            println!(
                "skipped: nothing may be mounted here; the calls of the system that fail are tried all the same"
            );
            None
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
    }
}

#[tokio::test]
async fn a_small_file_system_fills_up_and_is_emptied() {
    let Some(machine) = Machine::new() else { return };
    let Some(small) = Small::mount(machine.data.clone()) else {
        return;
    };
    let ballast = small.0.join("ballast");
    let (server, rest) = machine.serve().await;
    let mut work = Work::deploy(&rest).await;
    std::fs::write(&ballast, vec![0; 18 << 20]).unwrap();
    let accepted = fill(&rest, &mut work).await;
    assert!(accepted.len() > 10, "{}", accepted.len());
    std::fs::remove_file(&ballast).unwrap();
    work.all_complete(&rest, &accepted).await;
    let more = work.create(&rest, 1, json!({})).await.unwrap();
    until_status(&rest, &more, "complete").await;
    server.stop().await.expect(0);
    drop(small);
}
