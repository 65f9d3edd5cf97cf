//! The real server under load is killed at random moments, and so are its processes of workerd, again and again; then each journal is compared
//! with what an HTTP server outside has seen.
//!
//! - Each completed step had its effect, and the execution that is in the journal is the last one.
//! - A step that user code was told of is never executed again, and never told otherwise; so order is kept.
//! - What was answered holds: an instance that was created is there, a pause is one, a termination and a restart happen, an event is consumed once.
//! - No instance is stuck, no process outlives its server, and the database is sound after each kill that is looked at.
//!
//! `CAIRN_SOAK_SECONDS` says how long it is killed (see docs/reliability.md), and `CAIRN_TEST_SEED` repeats the moments and the stories.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "this is a test; the lints know only functions marked as one"
)]

mod journal;
mod outside;
mod random;
mod story;
mod world;

use cairn_tests::{Cairn, Recorder, Reply, Rest, Running, Scratch, cairn, is_alive, within};
use random::Random;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use world::World;

/// Instances under way at once.
const STORIES: usize = 40;
/// How long it is killed where nothing else is said.
const SECONDS: u64 = 14;
/// Lives between two looks at the database.
const LOOK: u64 = 8;
/// Lives between two deployments of the same code as another version.
const DEPLOY: u64 = 25;

/// A stop takes no longer than the callbacks that execute.
const STOP: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct Tally {
    lives: u64,
    killed: u64,
    killed_before_listening: u64,
    stopped: u64,
    workerd_killed: u64,
    looked: u64,
    deployed: u64,
}

fn seconds() -> u64 {
    match std::env::var("CAIRN_SOAK_SECONDS") {
        Ok(text) => text.parse().expect("CAIRN_SOAK_SECONDS is a number of seconds"),
        Err(_) => SECONDS,
    }
}

async fn deploy(rest: &Rest, version: u64) {
    for (own, other) in [("soak-a", "soak-b"), ("soak-b", "soak-a")] {
        let child = json!({ "type": "workflow", "name": "CHILD", "workflow_name": other, "class_name": "Soak", "script_name": other });
        let version = json!({ "type": "plain_text", "name": "VERSION", "text": version.to_string() });
        rest.deploy_bound(own, "Soak", (include_str!("soak.js"), &json!([child, version])))
            .await;
    }
}

/// Kills a process of the server, which is a workerd.
fn kill_one(server: &Running, random: &mut Random) -> bool {
    let children = server.children();
    if children.is_empty() {
        return false;
    }
    let index = usize::try_from(random.below(children.len() as u64)).unwrap();
    // SAFETY: kill(2) only takes numbers. The process was a child of the server a moment ago; numbers are not used again so soon.
    let sent = unsafe { libc::kill(i32::try_from(children[index]).unwrap(), libc::SIGKILL) };
    sent == 0
}

/// One life of the server, from its start to its end at a moment that may also be before it listens.
async fn live_and_die(cairn: &Cairn, data: &Path, random: &mut Random, (world, tally): (&World, &mut Tally)) {
    tally.lives += 1;
    // Every other life has runs leave memory soon, so that naps are slept there and not there.
    let rests: &[&str] = match tally.lives % 2 {
        0 => &[
            "--set",
            "limits.rest_after_millis=300",
            "--set",
            "limits.rest_quiet_millis=50",
        ],
        _ => &[],
    };
    let mut server = cairn.start_server_with(data, rests);
    if tally.lives % DEPLOY == 1 {
        deploy(&server.rest().await, tally.lives).await;
        tally.deployed += 1;
    }
    let moment = Duration::from_millis(match random.below(8) {
        0 => 10 + random.below(300),
        1..7 => 400 + random.below(1_500),
        _ => 2_000 + random.below(4_000),
    });
    let mut has_listened = false;
    let life = async {
        let rest = server.rest().await;
        has_listened = true;
        world.is_now(Some(rest));
        loop {
            tokio::time::sleep(Duration::from_millis(200 + random.below(2_500))).await;
            if kill_one(&server, random) {
                tally.workerd_killed += 1;
                world.outside().note(None, "a workerd was killed");
            }
        }
    };
    let ended = tokio::time::timeout(moment, life).await;
    assert!(ended.is_err());
    let children = server.children();
    if has_listened && random.once_in(15) {
        tally.stopped += 1;
        let asked = Instant::now();
        world.outside().note(None, "the server is stopped");
        let ended = server.stop().await.expect(0);
        world.is_now(None);
        let needed = asked.elapsed();
        assert!(needed < STOP, "a stop took {needed:?}:\n{}", ended.stderr);
    } else {
        tally.killed += 1;
        tally.killed_before_listening += u64::from(!has_listened);
        server.kill().await;
        world.is_now(None);
        world.outside().note(None, "the server was killed");
    }
    within(Duration::from_secs(10), "its processes end with it", || async {
        (!children.iter().any(|child| is_alive(*child))).then_some(())
    })
    .await;
}

/// The database is sound, also before anybody has repaired what a kill left.
async fn look(cairn: &Cairn, data: &Path) {
    let doctor = [
        "doctor",
        "--offline",
        "--json",
        "--data-dir",
        data.to_str().unwrap(),
    ];
    let found = cairn.run(&doctor).await;
    let mut findings = found
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let database = findings.find(|finding| finding["check"] == "database").unwrap();
    assert_eq!(database["state"], "ok", "{database}");
    assert!(
        database["what"].as_str().unwrap().ends_with("sound"),
        "{database}"
    );
}

/// All instances of a workflow with their statuses, page by page.
async fn listed(rest: &Rest, workflow: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for page in 1.. {
        let path = format!("/workflows/{workflow}/instances?per_page=100&page={page}");
        let answer = rest.get(&path).await;
        let rows = answer.result().as_array().unwrap().clone();
        if rows.is_empty() {
            return all;
        }
        for row in rows {
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            let before = all.insert(text("id"), text("status"));
            assert_eq!(before, None, "{} is listed twice", row["id"]);
        }
    }
    all
}

/// What was created is listed, and has ended; the counts agree.
async fn all_is_listed(rest: &Rest, world: &World) -> usize {
    let mut all = BTreeMap::new();
    for workflow in story::WORKFLOWS {
        let listed = listed(rest, workflow).await;
        let counts = rest.get(&format!("/workflows/{workflow}")).await.result()["instances"].clone();
        let mut expected = BTreeMap::new();
        for status in listed.values() {
            *expected.entry(status.clone()).or_insert(0_u64) += 1;
        }
        let counts = counts.as_object().unwrap().iter();
        let counts: BTreeMap<String, u64> = counts
            .map(|(status, count)| (status.clone(), count.as_u64().unwrap()))
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(counts, expected, "{workflow}");
        all.extend(listed);
    }
    let seen: Vec<String> = world.outside().instances.keys().cloned().collect();
    let ids: Vec<&String> = all.keys().collect();
    assert_eq!(ids, seen.iter().collect::<Vec<_>>());
    assert!(all.values().all(|status| journal::is_final(status)), "{all:?}");
    all.len()
}

/// Begins stories until it is time, a few at once.
fn begin(world: &Arc<World>) -> JoinSet<()> {
    let next = Arc::new(AtomicU64::new(0));
    let mut stories = JoinSet::new();
    for _ in 0..STORIES {
        let (world, next) = (Arc::clone(world), Arc::clone(&next));
        stories.spawn(async move {
            while Instant::now() < world.until {
                story::live(&world, next.fetch_add(1, Ordering::Relaxed)).await;
            }
        });
    }
    stories
}

/// Answers after a while, so that kills find steps in the middle; sometimes not well, after the effect.
async fn recorder(seed: u64) -> (Recorder, Arc<std::sync::OnceLock<Arc<World>>>) {
    let slot: Arc<std::sync::OnceLock<Arc<World>>> = Arc::default();
    let world = Arc::clone(&slot);
    let recorder = Recorder::start(move |nth, seen| {
        let report: Value = serde_json::from_str(&seen.body).unwrap();
        world.get().unwrap().outside().report(&report);
        let mut random = Random::of(seed, 1_000_000_000 + nth as u64);
        let status = if random.once_in(30) { 500 } else { 200 };
        let millis = if random.once_in(20) { 400 } else { random.below(40) };
        Reply::new(status, "").after(Duration::from_millis(millis))
    })
    .await;
    (recorder, slot)
}

/// Panics when a story has, or when something was seen that must not be.
fn stop_if_wrong(world: &World, stories: &mut JoinSet<()>) {
    let wrong = world.outside().wrong.clone();
    assert!(
        wrong.is_empty(),
        "CAIRN_TEST_SEED={}\n{}",
        world.seed,
        wrong.join("\n\n")
    );
    while let Some(ended) = stories.try_join_next() {
        ended.unwrap_or_else(|error| panic!("CAIRN_TEST_SEED={}: {error}", world.seed));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_that_was_told_runs_again() {
    let (cairn, data) = (cairn!(), Scratch::new());
    let seed = random::seed();
    println!("CAIRN_TEST_SEED={seed}");
    let mut random = Random::of(seed, 0);
    let (recorder, slot) = recorder(seed).await;
    let begun = Instant::now();
    let until = begun + Duration::from_secs(seconds());
    let world = Arc::new(World::new(seed, recorder.url("/"), until));
    slot.set(Arc::clone(&world)).unwrap();
    let mut stories = begin(&world);
    let mut tally = Tally::default();
    while Instant::now() < until {
        live_and_die(&cairn, data.path(), &mut random, (&world, &mut tally)).await;
        if tally.lives % LOOK == 0 {
            look(&cairn, data.path()).await;
            tally.looked += 1;
        }
        recorder.forget();
        stop_if_wrong(&world, &mut stories);
        if tally.lives % 50 == 0 {
            let outside = world.outside();
            println!(
                "{:?}: {tally:?}, {} effects, {} instances",
                begun.elapsed(),
                outside.effects,
                outside.instances.len()
            );
        }
    }
    let (server, rest) = cairn.serve(data.path()).await;
    world.is_now(Some(rest.clone()));
    while !stories.is_empty() {
        // One that ends is looked at in the next round.
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop_if_wrong(&world, &mut stories);
    }
    let instances = all_is_listed(&rest, &world).await;
    server.stop().await.expect(0);
    look(&cairn, data.path()).await;
    stop_if_wrong(&world, &mut stories);
    let outside = world.outside();
    println!("{:?}: {tally:?}", begun.elapsed());
    println!(
        "{instances} instances, {} effects of {} steps, {} of them repeated",
        outside.effects, outside.steps, outside.repeated
    );
    assert!(tally.killed > 0 && outside.steps > 0);
}
