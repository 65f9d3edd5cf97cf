//! Schedules of scripts on the memory store, with a runtime that notes what is fired. Time is stepped: nothing here waits for a real clock.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers outside of #[test] functions

mod world;

use cairn_engine::{EngineError, Settings};
use cairn_runtime::{Scheduled, WorkerError};
use cairn_store::MemoryStore;
use std::time::Duration;
use tokio::time::Instant;
use world::{ACCOUNT, World};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
/// The tests begin on 2023-11-14 at 22:13:20; this is 22:15.
const AT_22_15: i64 = 1_700_000_100_000;

async fn world(crons: &[&str]) -> World {
    let world = World::on(MemoryStore::new(), Settings::default(), Instant::now()).await;
    world.upload("index.js").await;
    put(&world, crons).await.unwrap();
    world
}

async fn put(world: &World, crons: &[&str]) -> Result<Vec<String>, EngineError> {
    let crons = crons.iter().map(|cron| (*cron).to_owned()).collect();
    let put = world.engine.put_script_crons(ACCOUNT, "script", crons).await?;
    Ok(put.into_iter().map(|details| details.cron).collect())
}

/// The firings within so many milliseconds of simulated time: expression, and seconds after 22:15.
async fn fired(world: &World, millis: u64) -> Vec<(String, i64)> {
    tokio::time::sleep(Duration::from_millis(millis)).await;
    let fired = world.runtime.take_fired().into_iter();
    fired
        .map(|(_, firing)| (firing.cron, (firing.scheduled_at.0 - AT_22_15) / 1_000))
        .collect()
}

fn every_five(seconds: i64) -> (String, i64) {
    ("*/5 * * * *".to_owned(), seconds)
}

#[tokio::test(start_paused = true)]
async fn a_schedule_calls_what_is_deployed() {
    let world = world(&["*/5 * * * *"]).await;
    assert_eq!(fired(&world, 99 * SECOND).await, []);
    assert_eq!(fired(&world, 2 * SECOND).await, [every_five(0)]);
    assert_eq!(fired(&world, 298 * SECOND).await, [], "once");
    let second = world.upload("index.js").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let fired = world.runtime.take_fired();
    assert_eq!(fired.len(), 1);
    assert_eq!(*fired[0].0.0, *second);
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_counts_once_and_what_is_done_is_not_repeated() {
    let store = MemoryStore::new();
    let begun = Instant::now();
    let first = World::on(store.clone(), Settings::default(), begun).await;
    first.upload("index.js").await;
    put(&first, &["*/5 * * * *"]).await.unwrap();
    assert_eq!(fired(&first, 101 * SECOND).await, [every_five(0)]);
    first.engine.shutdown().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let second = World::on(store.clone(), Settings::default(), begun).await;
    assert_eq!(fired(&second, SECOND).await, [], "it was dealt with");
    second.engine.shutdown().await;
    tokio::time::sleep(Duration::from_millis(30 * MINUTE)).await;
    let third = World::on(store, Settings::default(), begun).await;
    assert_eq!(fired(&third, SECOND).await, [every_five(1_800)], "the latest");
    assert_eq!(fired(&third, SECOND).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_or_is_missing_is_not_called_again() {
    let world = world(&["*/5 * * * *"]).await;
    let error = cairn_engine::ErrorInfo::new("Error", "no");
    world.runtime.answer_firing(Ok(Scheduled::Failed(error)));
    world.runtime.answer_firing(Ok(Scheduled::Unhandled));
    assert_eq!(fired(&world, 110 * SECOND).await, [every_five(0)]);
    assert_eq!(fired(&world, 5 * MINUTE).await, [every_five(300)]);
    assert_eq!(fired(&world, 5 * MINUTE).await, [every_five(600)]);
}

#[tokio::test(start_paused = true)]
async fn a_firing_for_which_there_is_no_process_is_tried_again() {
    let world = world(&["*/5 * * * *"]).await;
    for _ in 0..2 {
        let error = WorkerError::Process("no memory".into());
        world.runtime.answer_firing(Err(error));
    }
    assert_eq!(fired(&world, 100_500).await, [every_five(0)]);
    assert_eq!(fired(&world, SECOND).await, [every_five(0)]);
    assert_eq!(fired(&world, SECOND).await, [every_five(0)]);
    assert_eq!(fired(&world, MINUTE).await, [], "the third came through");
}

#[tokio::test(start_paused = true)]
async fn schedules_are_put_checked_and_removed() {
    let world = world(&["*/5 * * * *", "0 0 1 1 *"]).await;
    assert_eq!(
        put(&world, &["0 0 1 1 *", "*/5 * * * *"]).await.unwrap(),
        ["*/5 * * * *", "0 0 1 1 *"]
    );
    let error = put(&world, &["0 0 1 1 *", "0 24 * * *"]).await.unwrap_err();
    let expected = "schedules[1].cron is \"0 24 * * *\", which is no cron expression: its hour is \"24\"; allowed are * and lists of 0 to 23";
    assert!(error.to_string().starts_with(expected), "{error}");
    let error = put(&world, &["0 0 1 1 *"; 201]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "there are 201 schedules; a Worker has at most 200"
    );
    assert_eq!(
        world.engine.script_crons(ACCOUNT, "script").await.unwrap().len(),
        2,
        "nothing is half-written"
    );
    let missing = world.engine.script_crons("b", "script").await.unwrap_err();
    assert!(matches!(missing, EngineError::ScriptNotFound(_)), "{missing}");
    world.engine.delete_script(ACCOUNT, "script").await.unwrap();
    assert_eq!(fired(&world, 10 * MINUTE).await, []);
}
