//! Claims of one instance that cross each other, or a message.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers outside of #[test] functions

mod world;

use cairn_engine::{Control, RestartFrom, Settings, Status, WorkflowSettings};
use cairn_runtime::{Command, Value};
use cairn_store::MemoryStore;
use std::time::Duration;
use tokio::time::Instant;
use world::{ACCOUNT, World, wait_for};

/// Turns that other tasks take between the start of a server and the message: one of these numbers has the message between two claims.
const TURNS: usize = 40;

/// A message makes an instance due: the one claim takes it because it is due, the other because of the message.
#[tokio::test(start_paused = true)]
async fn an_instance_that_two_claims_take_starts_once() {
    for turns in 0..TURNS {
        let store = MemoryStore::new();
        let begun = Instant::now();
        let mut first = World::on(store.clone(), Settings::default(), begun).await;
        first.upload("index.js").await;
        first.put("flow", WorkflowSettings::default()).await;
        first.create("flow", &["a"]).await;
        first.pass(10).await;
        first.finish("a").await;
        first.engine.shutdown().await;

        let mut second = World::on(store, Settings::default(), begun).await;
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        let restart = ("a", Control::Restart(RestartFrom::Beginning));
        second.engine.control(ACCOUNT, "flow", restart).await.unwrap();
        second.pass(10).await;
        let is_start = |command: &&Command| matches!(command, Command::Start(_));
        let starts = second.commands.iter().filter(is_start).count();
        assert_eq!(starts, 1, "after {turns} turns");
        second.finish("a").await;
        assert_eq!(second.status("a").await, Status::Complete);
        second.engine.shutdown().await;
    }
}

/// An instance that waits leaves memory; an event that comes at that moment is not left unread.
#[tokio::test(start_paused = true)]
async fn an_event_that_crosses_a_leaving_instance_is_heard() {
    let leaving = millis_until_it_leaves().await;
    for early in 0..5 {
        for turns in 0..TURNS {
            let mut world = waiting().await;
            tokio::time::sleep(Duration::from_millis(leaving - early)).await;
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            let event = ("a", "go", Value::empty_object());
            world.engine.send_event(ACCOUNT, "flow", event).await.unwrap();
            world.pass(20).await;
            assert_eq!(
                world.status("a").await,
                Status::Running,
                "{early} ms early, after {turns} turns"
            );
            world.engine.shutdown().await;
        }
    }
}

/// An instance that waits for an event, still in memory.
async fn waiting() -> World {
    let mut world = World::new(Settings::default()).await;
    world.create("flow", &["a"]).await;
    world.pass(10).await;
    world.report("a", vec![wait_for(1, "go", 3_600_000.0)]);
    world
}

async fn millis_until_it_leaves() -> u64 {
    let mut world = waiting().await;
    let begun = Instant::now();
    while !world.running().is_empty() {
        world.pass(1).await;
    }
    world.engine.shutdown().await;
    u64::try_from(begun.elapsed().as_millis()).unwrap()
}
