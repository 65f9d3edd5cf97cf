//! Sleepers in the store come back when their time has come: all of them, and none earlier. Time is stepped.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers outside of #[test] functions

mod world;

use cairn_engine::{Settings, Status};
use world::{World, sleep};

/// More than are claimed at a time, several times over.
const MANY: usize = 1_500;
const NAP_MILLIS: u64 = 60_000;
/// By then they have left memory.
const AWAY_MILLIS: u64 = 3_000;

/// A world of sleepers in the store; each naps for as long as `nap` says.
async fn asleep(settings: Settings, nap: impl Fn(usize) -> u64) -> World {
    let mut world = World::new(settings).await;
    let ids: Vec<String> = (0..MANY).map(|i| format!("{i:04}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    world.create("flow", &ids).await;
    world.pass(10).await;
    for (i, id) in ids.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let millis = nap(i) as f64;
        world.report(id, vec![sleep(1, "nap", millis)]);
    }
    world.pass(AWAY_MILLIS).await;
    assert_eq!(world.running(), [] as [&str; 0], "all of them rest");
    assert_eq!(world.status("0000").await, Status::Waiting);
    world
}

#[tokio::test(start_paused = true)]
async fn all_that_are_due_at_the_same_moment_wake_and_none_before() {
    let mut world = asleep(Settings::default(), |_| NAP_MILLIS).await;
    world.pass(NAP_MILLIS - AWAY_MILLIS - 5).await;
    assert_eq!(world.running(), [] as [&str; 0]);
    world.pass(25).await;
    assert_eq!(world.running().len(), MANY);
}

#[tokio::test(start_paused = true)]
async fn those_that_are_due_one_after_the_other_wake_in_turn() {
    let mut world = asleep(Settings::default(), |i| NAP_MILLIS + i as u64).await;
    world.pass(NAP_MILLIS - AWAY_MILLIS - 5).await;
    assert_eq!(world.running(), [] as [&str; 0]);
    for hundred in 1..=MANY / 100 {
        world.pass(100).await;
        let awake = world.running().len();
        // 5 ms are missing to the full hundred, and a few more are on their way.
        assert!(
            (hundred * 100 - 25..hundred * 100).contains(&awake),
            "{awake} after {hundred}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_takes_up_no_more_than_it_has_room_for() {
    let room = 400;
    let settings = Settings {
        instances_in_memory: room,
        ..Settings::default()
    };
    let mut world = World::new(settings).await;
    let ids: Vec<String> = (0..MANY).map(|i| format!("{i:04}")).collect();
    for ids in ids.chunks(100) {
        world
            .create("flow", &ids.iter().map(String::as_str).collect::<Vec<_>>())
            .await;
    }
    let mut ended = 0;
    while ended < MANY {
        world.pass(50).await;
        let awake: Vec<String> = world.running().into_iter().map(str::to_owned).collect();
        assert!(
            !awake.is_empty() && awake.len() <= room,
            "{} are awake, {ended} have ended",
            awake.len()
        );
        for id in &awake {
            world.report(id, vec![world::returned("1")]);
            world.runs.remove(id);
        }
        ended += awake.len();
    }
    world.pass(50).await;
    assert_eq!(world.running(), [] as [&str; 0]);
    assert_eq!(world.engine.held(), 0);
}
