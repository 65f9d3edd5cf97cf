//! An end that is announced: what executes ends, nothing starts, and the next engine goes on at once.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers outside of #[test] functions

mod world;

use cairn_engine::{Control, EngineError, Settings, Status, StepDetail, WorkflowSettings};
use cairn_runtime::Command;
use cairn_store::MemoryStore;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use world::{ACCOUNT, World, ask, execute, returned, sleep, succeeded};

/// The first engine on a store, and since when its clock runs.
async fn world(store: &MemoryStore, begun: Instant) -> World {
    let world = World::on(store.clone(), Settings::default(), begun).await;
    world.deploy("flow", WorkflowSettings::default()).await;
    world
}

fn drain(world: &World) -> JoinHandle<()> {
    let engine = world.engine.clone();
    tokio::spawn(async move { engine.drain().await })
}

fn holds(world: &mut World) -> usize {
    let commands = std::mem::take(&mut world.commands);
    commands
        .iter()
        .filter(|command| matches!(command, Command::Hold { .. }))
        .count()
}

#[tokio::test(start_paused = true)]
async fn a_step_that_executes_ends_and_the_next_engine_goes_on_behind_it() {
    let (store, begun) = (MemoryStore::new(), Instant::now());
    let mut first = world(&store, begun).await;
    first.create("flow", &["works", "idle"]).await;
    first.pass(10).await;
    first.report("works", vec![execute(1, "long")]);
    first.pass(10).await;
    holds(&mut first);

    let drained = drain(&first);
    first.pass(10).await;
    assert_eq!(holds(&mut first), 2);
    first.report("works", vec![ask(2, "next")]);
    first.pass(5_000).await;
    // The one that executes nothing is gone, the other is waited for.
    assert_eq!((first.running(), first.engine.held()), (vec!["works"], 1));
    assert!(!drained.is_finished());

    first.commands.clear();
    first.report("works", vec![succeeded(1, "\"kept\"")]);
    first.pass(200).await;
    assert!(drained.is_finished());
    assert_eq!((first.running().len(), first.engine.held()), (0, 0));
    let attempts = |command: &Command| matches!(command, Command::Attempt { .. } | Command::Start(_));
    assert!(!first.commands.iter().any(attempts), "{:?}", first.commands);
    first.engine.shutdown().await;

    // The store says that both are due now; no lease has to end first.
    let mut second = World::on(store, Settings::default(), begun).await;
    second.pass(10).await;
    assert_eq!(second.running(), ["idle", "works"]);
    let details = second
        .engine
        .instance(ACCOUNT, "flow", ("works", 100))
        .await
        .unwrap();
    let StepDetail::Do { attempts, .. } = &details.view.steps[0].detail else {
        panic!("{details:?}")
    };
    assert_eq!(attempts.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_has_only_to_return_returns() {
    let (store, begun) = (MemoryStore::new(), Instant::now());
    let mut world = world(&store, begun).await;
    world.create("flow", &["one"]).await;
    world.pass(10).await;
    world.report("one", vec![execute(1, "last")]);
    world.pass(10).await;
    let drained = drain(&world);
    world.pass(10).await;
    world.report("one", vec![succeeded(1, "1")]);
    world.pass(20).await;
    assert!(!drained.is_finished());
    world.report("one", vec![returned("2")]);
    world.pass(20).await;
    assert!(drained.is_finished());
    assert_eq!(world.status("one").await, Status::Complete);
}

#[tokio::test(start_paused = true)]
async fn what_comes_in_meanwhile_is_kept_for_the_next_start() {
    let (store, begun) = (MemoryStore::new(), Instant::now());
    let mut first = world(&store, begun).await;
    first.create("flow", &["works", "sleeps"]).await;
    first.pass(10).await;
    first.report("works", vec![execute(1, "long")]);
    first.report("sleeps", vec![sleep(1, "nap", 3_000.0)]);
    first.pass(10).await;
    let drained = drain(&first);
    first.pass(200).await;
    first.create("flow", &["late"]).await;
    // Its deadline passes, and nobody is there to meet it.
    first.pass(60_000).await;
    assert_eq!(first.running(), ["works"]);
    assert_eq!(first.status("late").await, Status::Queued);

    // What executes can be paused, and is told so; what is gone cannot, and whoever asks learns that.
    let engine = first.engine.clone();
    let asked =
        tokio::spawn(async move { engine.control(ACCOUNT, "flow", ("sleeps", Control::Pause)).await });
    first.pass(10).await;
    first.report("works", vec![succeeded(1, "1")]);
    first.pass(200).await;
    assert!(drained.is_finished());
    assert!(matches!(asked.await.unwrap(), Err(EngineError::ShuttingDown)));
    first.engine.shutdown().await;

    let mut second = World::on(store, Settings::default(), begun).await;
    second.pass(10).await;
    assert_eq!(second.running(), ["late", "works"]);
    assert_eq!(second.status("sleeps").await, Status::Paused);
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_given_up_by_the_shutdown() {
    let (store, begun) = (MemoryStore::new(), Instant::now());
    let mut first = world(&store, begun).await;
    first.create("flow", &["one"]).await;
    first.pass(10).await;
    first.report("one", vec![execute(1, "endless")]);
    first.pass(10).await;
    let patience = tokio::time::timeout(Duration::from_secs(5), first.engine.drain()).await;
    assert!(patience.is_err());
    assert_eq!(first.engine.held(), 1);
    first.engine.shutdown().await;
    assert_eq!(first.engine.held(), 0);

    let mut second = World::on(store, Settings::default(), begun).await;
    second.pass(10).await;
    assert_eq!(second.running(), ["one"]);
    second.report("one", vec![execute(1, "endless")]);
    second.pass(10).await;
    let attempts: Vec<u32> = second
        .commands
        .iter()
        .filter_map(|command| match command {
            Command::Attempt { attempt, .. } => Some(*attempt),
            _ => None,
        })
        .collect();
    assert_eq!(attempts, [2]);
}

#[tokio::test(start_paused = true)]
async fn an_engine_without_work_is_drained_at_once() {
    let world = world(&MemoryStore::new(), Instant::now()).await;
    let health = world.engine.health();
    assert!(health.beats() && health.stores(), "{health:?}");
    world.engine.drain().await;
    let created = world.try_create("flow", &["one"]).await.unwrap();
    assert!(created[0].is_ok());
    world.engine.shutdown().await;
}
