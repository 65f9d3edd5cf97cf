//! Databases of earlier releases, with instances in every state, opened by this one: each instance goes on as it should, and what was in its
//! journal reads as it did.
//!
//! `tests/fixtures/upgrade` has a folder for each schema that was written down: the database as SQL text, what REST said then, and the key of the
//! secrets. `cargo test -p cairn-cli --test upgrade -- --ignored write_fixture` adds the one of this program; `CAIRN_TEST_BINARY` names another.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "this is a test; the lints know only functions marked as one"
)]

mod dump;
mod scene;
mod write;

use cairn_tests::{Cairn, Rest, Running, Scratch, cairn, root, until};
use reqwest::Method;
use scene::{CONTROL_PLANE, ROLLBACKS, SCENES, SECRET, Scene, Then};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tokio::task::JoinSet;

/// Fixtures hold instances that end in the year 2120, and are kept as long.
const SETTINGS: [&str; 4] = [
    "--set",
    "limits.wait_millis=3153600000000",
    "--set",
    "limits.retention_millis=3153600000000",
];

fn fixtures() -> PathBuf {
    root().join("tests/fixtures/upgrade")
}

fn fixture(schema: u32) -> PathBuf {
    fixtures().join(format!("schema-{schema:02}"))
}

/// Starts the server on a database of a fixture.
async fn serve(cairn: &Cairn, data: &Path) -> (Running, Rest) {
    let mut server = cairn.start_server_with(data, &SETTINGS);
    let rest = server.rest().await;
    (server, rest)
}

/// How many migrations a new database of this program has had.
async fn schema_of(cairn: &Cairn) -> u32 {
    let data = Scratch::new();
    let (server, _) = serve(cairn, data.path()).await;
    server.stop().await.expect(0);
    dump::schema(&data.path().join("cairn.db"))
}

/// A data directory with the database of a fixture, and what was said of it.
fn open(folder: &Path) -> (Scratch, Value) {
    let data = Scratch::new();
    let text = fs::read_to_string(folder.join("cairn.sql")).unwrap();
    dump::load(&text, &data.path().join("cairn.db"));
    if let Ok(key) = fs::read(folder.join("secrets.key")) {
        fs::write(data.path().join("secrets.key"), key).unwrap();
    }
    let said = fs::read_to_string(folder.join("said.json")).unwrap();
    (data, serde_json::from_str(&said).unwrap())
}

/// Whether all that was said is said still; more may be.
fn is_kept(before: &Value, now: &Value) -> bool {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => before
            .iter()
            .all(|(name, value)| now.get(name).is_some_and(|now| is_kept(value, now))),
        (Value::Array(before), Value::Array(now)) => {
            before.len() == now.len() && before.iter().zip(now).all(|(before, now)| is_kept(before, now))
        }
        _ => before == now,
    }
}

/// Steps that had ended are as they were, and attempts of others that had ended as well.
fn steps_are_kept(before: &Value, now: &Value) {
    let (steps, now) = (
        before["steps"].as_array().unwrap(),
        now["steps"].as_array().unwrap(),
    );
    for step in steps {
        let same = |now: &&Value| now["name"] == step["name"] && now["type"] == step["type"];
        let found = now.iter().find(same);
        let found = found.unwrap_or_else(|| panic!("{step:#} is gone: {now:#?}"));
        if step["success"].is_boolean() {
            assert!(is_kept(step, found), "it was {step:#} and is {found:#}");
        } else {
            let ended = step["attempts"].as_array().into_iter().flatten();
            let ended = ended.filter(|attempt| attempt["success"].is_boolean());
            for (attempt, now) in ended.zip(found["attempts"].as_array().into_iter().flatten()) {
                assert!(is_kept(attempt, now), "it was {attempt:#} and is {now:#}");
            }
            assert_eq!(step["start"], found["start"]);
        }
    }
}

/// What it was told to do is done.
async fn go_on(rest: &Rest, scene: &Scene, before: &Value) {
    match scene.then {
        Then::Stays => {
            let now = scene.details(rest).await;
            assert!(
                is_kept(before, &now),
                "{}: it was {before:#} and is {now:#}",
                scene.id
            );
        }
        Then::Completes(_) | Then::IsUndone => {}
        Then::CompletesWithEvent(_) => scene.send(rest, "later").await,
        Then::CompletesWhenResumed(_) => {
            until("it is paused", || async {
                let now = scene.details(rest).await;
                steps_are_kept(before, &now);
                (now["status"] == "paused").then_some(())
            })
            .await;
            scene.change(rest, "resume").await;
        }
    }
}

/// It has become what it must.
async fn check(rest: &Rest, scene: &Scene, (before, schema): (&Value, u32)) {
    let (status, output) = match scene.then {
        Then::Stays => return go_on(rest, scene, before).await,
        Then::IsUndone => ("errored", None),
        Then::Completes(output) | Then::CompletesWithEvent(output) | Then::CompletesWhenResumed(output) => {
            let secret = if schema >= CONTROL_PLANE {
                format!("{SECRET:?}")
            } else {
                "null".to_owned()
            };
            ("complete", Some(output.replace("SECRET", &secret)))
        }
    };
    let now = until(&format!("{} ends", scene.id), || async {
        let now = scene.details(rest).await;
        scene::is_final(now["status"].as_str().unwrap()).then_some(now)
    })
    .await;
    assert_eq!(now["status"], status, "{now:#}");
    steps_are_kept(before, &now);
    match output {
        Some(output) if output.contains("TIMEOUT") => {
            let (start, end) = output.split_once("TIMEOUT").unwrap();
            let said = now["output"].as_str().unwrap();
            assert!(said.starts_with(start) && said.ends_with(end), "{said}");
        }
        Some(output) => assert_eq!(now["output"], output, "{}", scene.id),
        None => {
            assert_eq!(now["rollback"]["outcome"], "complete", "{now:#}");
            assert_eq!(now["error"]["message"], "undo it");
        }
    }
}

/// A stream is read back byte for byte.
async fn streams(rest: &Rest) {
    let path = "/workflows/flow/instances/stream/step?type=step&name=stream-1";
    let mut expected = vec![0_u8; 262_144];
    expected.extend((262_144..263_144_u32).map(|at| u8::try_from(at % 251).unwrap()));
    let raw = rest.raw(path).await;
    assert!(
        raw.status == 200 && raw.body == expected,
        "{}: {} bytes",
        raw.status,
        raw.body.len()
    );
}

/// What was due meanwhile has been created and completes.
async fn fired(rest: &Rest, workflow: &str, prefix: &str) {
    let path = format!("/workflows/{workflow}/instances?per_page=100");
    until(&format!("{prefix}… is there and complete"), || async {
        let listed = rest.get(&path).await;
        let rows = listed.result().as_array().unwrap().clone();
        let mut fired = rows
            .iter()
            .filter(|row| row["id"].as_str().unwrap().starts_with(prefix));
        fired.any(|row| row["status"] == "complete").then_some(())
    })
    .await;
}

async fn control_plane(server: &mut Running, rest: &Rest, said: &Value) {
    let token = Rest::new(server.address().await, said["token"].as_str().unwrap());
    let own = token.get("/workflows").await;
    assert_eq!((own.status, own.result()[0]["name"].is_string()), (200, true));
    let create = serde_json::json!({});
    let refused = token
        .send(Method::POST, "/workflows/flow/instances", Some(&create))
        .await;
    assert_eq!(refused.unwrap().status, 403, "it may read");
    let deployments = rest.get("/workers/scripts/flow/deployments").await;
    assert!(
        is_kept(&said["deployments"], deployments.result()),
        "{:#}",
        deployments.body
    );
    assert_eq!(rest.worker("flow", "/").await, (200, "two".to_owned()));
    fired(rest, "flow", "scheduled-").await;
}

/// Everything in one fixture goes on.
async fn goes_on(cairn: Cairn, folder: PathBuf) {
    let (data, said) = open(&folder);
    let schema = u32::try_from(said["schema"].as_u64().unwrap()).unwrap();
    let (mut server, rest) = serve(&cairn, data.path()).await;
    let scenes = || SCENES.iter().filter(|scene| scene.since <= schema);
    for scene in scenes() {
        go_on(&rest, scene, &said["instances"][scene.id]).await;
    }
    for scene in scenes() {
        check(&rest, scene, (&said["instances"][scene.id], schema)).await;
    }
    if schema >= ROLLBACKS {
        streams(&rest).await;
        fired(&rest, "scheduled", "* * * * *-").await;
    }
    if schema >= CONTROL_PLANE {
        control_plane(&mut server, &rest, &said).await;
    }
    server.stop().await.expect(0);
    let doctor = ["doctor", "--offline", "--json", "--data-dir", data.text()];
    let found = cairn.run(&doctor).await.stdout;
    let is_database = |line: &&str| line.contains(r#""check":"database""#);
    let database = found.lines().find(is_database).unwrap();
    assert!(database.contains("; sound"), "{database}");
}

#[tokio::test]
async fn instances_of_earlier_releases_go_on() {
    let entries = fs::read_dir(fixtures()).unwrap();
    let folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    assert!(folders.len() >= 3, "fixtures are missing");
    let mut all = JoinSet::new();
    for folder in folders {
        let name = folder.display().to_string();
        let one = tokio::spawn(goes_on(cairn!(), folder));
        all.spawn(async move { one.await.unwrap_or_else(|error| panic!("{name}: {error}")) });
    }
    while let Some(ended) = all.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn this_schema_has_a_fixture() {
    let schema = schema_of(&cairn!()).await;
    assert!(
        fixture(schema).join("cairn.sql").is_file(),
        "databases have schema {schema} now, and {} is missing, so nothing shows that the next release opens them.\n\
         Write it, look at what it is, and commit it:\n\n  \
         cargo test -p cairn-cli --test upgrade -- --ignored write_fixture",
        fixture(schema).display()
    );
}

#[tokio::test]
async fn a_newer_file_is_refused_and_left_alone() {
    let cairn = cairn!();
    let (data, _) = open(&fixture(1));
    let file = data.path().join("cairn.db");
    dump::be_newer(&file);
    let before = fs::read(&file).unwrap();
    let ended = cairn
        .run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data.text()])
        .await
        .expect(2);
    assert!(
        ended
            .stderr
            .contains("was written by a newer cairn (its schema is 9999"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("restore a backup"), "{}", ended.stderr);
    assert!(fs::read(&file).unwrap() == before, "the file was changed");
}

#[tokio::test]
#[ignore = "it writes into the repository: see the top of this file"]
async fn write_fixture() {
    let cairn = cairn!();
    let schema = schema_of(&cairn).await;
    write::write(&cairn, (schema, &fixture(schema))).await;
}
