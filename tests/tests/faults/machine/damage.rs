//! Files that a disk, or somebody, has changed while the server was down: a flipped byte anywhere, and a log that was cut.

use super::world::{Machine, Work, until_status};
use cairn_tests::{Rest, Running, Scratch};
use serde_json::json;
use std::fs;
use std::path::Path;

/// Flips a bit wherever these bytes are: pages that are not used any more may have them as well.
fn flip(file: &Path, bytes: &[u8]) {
    let mut content = fs::read(file).unwrap();
    let found: Vec<usize> = (0..content.len())
        .filter(|at| content[*at..].starts_with(bytes))
        .collect();
    assert!(!found.is_empty());
    for at in found {
        content[at + 3] ^= 1;
    }
    fs::write(file, content).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// An instance whose journal is damaged, and one whose large value is, stay alone with that.
#[tokio::test]
async fn an_instance_with_a_flipped_byte_is_told_and_the_others_go_on() {
    let Some(machine) = Machine::new() else { return };
    let (server, rest) = machine.serve().await;
    let mut work = Work::deploy(&rest).await;
    let (small, large) = (
        "mark-of-the-small",
        format!("mark-of-the-large{}", "x".repeat(60_000)),
    );
    let in_journal = work
        .create(&rest, 1, json!({ "padding": small, "wait": true }))
        .await
        .unwrap();
    let in_value = work
        .create(&rest, 1, json!({ "padding": large, "wait": true }))
        .await
        .unwrap();
    let sound = work.create(&rest, 1, json!({ "wait": true })).await.unwrap();
    for id in [&in_journal, &in_value, &sound] {
        until_status(&rest, id, "waiting").await;
    }
    server.stop().await.expect(0);
    flip(&machine.data.join("cairn.db"), small.as_bytes());
    flip(&machine.data.join("cairn.db"), b"mark-of-the-large");
    let doctor = ["doctor", "--data-dir", machine.data.to_str().unwrap()];
    let told = Running::watch(machine.command(&doctor)).end().await;
    let said = format!("{}{}", told.stdout, told.stderr);
    for words in [
        "of the journal of instance",
        "a large value of",
        "its checksum does not match",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let (server, rest) = machine.serve().await;
    let event = |id: &str| format!("/workflows/worker/instances/{id}/events/go");
    for id in [&in_journal, &in_value] {
        // It is kept, and the answer waits for it to be applied, which does not come.
        let (path, body) = (event(id), json!({}));
        let asked = tokio::time::timeout(std::time::Duration::from_secs(1), rest.post(&path, &body));
        assert!(asked.await.is_err());
    }
    rest.post(&event(&sound), &json!({})).await.result();
    work.all_complete(&rest, &[sound]).await;
    let more = work.create(&rest, 2, json!({})).await.unwrap();
    work.all_complete(&rest, &[more]).await;
    for id in [&in_journal, &in_value] {
        let simple = rest
            .get(&format!("/workflows/worker/instances/{id}?simple=true"))
            .await;
        assert_ne!(simple.body["result"]["status"], "complete", "{}", simple.body);
    }
    let answer = rest
        .get(&format!("/workflows/worker/instances/{in_journal}"))
        .await;
    assert_eq!(answer.status, 500, "{}", answer.body);
    assert!(
        answer.body["messages"][0]
            .as_str()
            .unwrap()
            .contains("checksum does not match"),
        "{}",
        answer.body
    );
    let listed = rest.get("/workflows/worker/instances").await;
    assert_eq!(listed.result().as_array().unwrap().len(), 4);
    assert!(
        server.said().contains("its checksum does not match"),
        "{}",
        server.said()
    );
    server.stop().await.expect(0);
}

/// The server starts or says why not, and answers whatever it finds.
async fn survives(machine: &Machine, work: &mut Work, what: &str) -> bool {
    let mut server = machine.start();
    let started = loop {
        if server.said().contains("/client/v4") {
            break true;
        }
        if server.try_end().is_some() {
            break false;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    if started {
        let rest: Rest = server.rest().await;
        rest.get("/workflows/worker/instances").await;
        rest.get("/workflows/worker/instances/i0001").await;
        // Whatever the outcome: that there is one is what counts.
        let _ = work.create(&rest, 1, json!({})).await;
        server.signal(libc::SIGTERM);
    }
    let ended = server.end().await;
    assert!(matches!(ended.code, Some(0 | 2)), "{what}: {ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{what}: {}", ended.stderr);
    if !started {
        assert!(ended.stderr.contains("error: "), "{what}: {}", ended.stderr);
    }
    started
}

#[tokio::test]
async fn a_flipped_byte_anywhere_makes_nothing_panic() {
    let Some(machine) = Machine::new() else { return };
    let (server, rest) = machine.serve().await;
    let mut work = Work::deploy(&rest).await;
    for _ in 0..5 {
        let id = work.create(&rest, 2, json!({})).await.unwrap();
        until_status(&rest, &id, "complete").await;
    }
    server.stop().await.expect(0);
    let good = Scratch::new();
    copy(&machine.data, good.path());
    let length = fs::metadata(good.path().join("cairn.db")).unwrap().len();
    // The heads of all kinds of pages, and places between.
    let mut random = 7_u64;
    let mut places: Vec<u64> = [18, 59, 100, 104].to_vec();
    for page in [1, 2, 9, 22] {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        places.extend([page * 4096, page * 4096 + 4, page * 4096 + (random >> 33) % 4096]);
    }
    for place in places.into_iter().filter(|place| *place < length) {
        copy(good.path(), &machine.data);
        let mut content = fs::read(machine.data.join("cairn.db")).unwrap();
        content[usize::try_from(place).unwrap()] ^= 0x41;
        fs::write(machine.data.join("cairn.db"), content).unwrap();
        survives(&machine, &mut work, &format!("byte {place}")).await;
        fs::remove_dir_all(&machine.data).unwrap();
    }
}

/// After a crash of the process the index of the log is still there, and says how far it went.
#[tokio::test]
async fn a_log_that_was_cut_or_changed_is_told_and_what_is_whole_of_it_can_be_had() {
    let Some(machine) = Machine::new() else { return };
    let (server, rest) = machine.serve().await;
    let mut work = Work::deploy(&rest).await;
    server.stop().await.expect(0);
    let (server, rest) = machine.serve().await;
    for _ in 0..5 {
        let id = work.create(&rest, 2, json!({})).await.unwrap();
        until_status(&rest, &id, "complete").await;
    }
    server.kill().await;
    let crashed = Scratch::new();
    copy(&machine.data, crashed.path());
    let log = machine.data.join("cairn.db-wal");
    let content = fs::read(&log).unwrap();
    let mut damaged = content.clone();
    damaged[content.len() / 2] ^= 1;
    let cuts = [32, content.len() / 3, content.len() - 4_096].map(|cut| content[..cut].to_vec());
    for bytes in cuts.into_iter().chain([damaged]) {
        fs::remove_dir_all(&machine.data).unwrap();
        copy(crashed.path(), &machine.data);
        fs::write(&log, &bytes).unwrap();
        let ended = machine.start().end().await.expect(2);
        for words in ["has lost what was confirmed", "cairn.db-shm"] {
            assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
        }
        fs::remove_file(machine.data.join("cairn.db-shm")).unwrap();
        assert!(survives(&machine, &mut work, &format!("{} bytes", bytes.len())).await);
    }
    // As it was, it is whole.
    fs::remove_dir_all(&machine.data).unwrap();
    copy(crashed.path(), &machine.data);
    let (server, rest) = machine.serve().await;
    until_status(&rest, "i0005", "complete").await;
    server.stop().await.expect(0);
}
