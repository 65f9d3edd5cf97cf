//! How many instances run at once: who begins, who waits, who goes first.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers outside of #[test] functions

mod world;

use cairn_core::CallId;
use cairn_engine::{Control, Settings, Status, Undo, Value, WorkflowSettings};
use cairn_runtime::{Command, Outcome};
use cairn_store::MemoryStore;
use tokio::time::Instant;
use world::{ACCOUNT, World, execute, sleep, wait_for};

async fn limited(limit: u32) -> World {
    let world = World::new(Settings::default()).await;
    world.limit("flow", Some(limit)).await;
    world
}

#[tokio::test(start_paused = true)]
async fn instances_begin_in_order_as_others_end() {
    let mut world = limited(2).await;
    world.create("flow", &["a", "b", "c"]).await;
    world.create("flow", &["d"]).await;
    world.pass(10).await;
    assert_eq!(world.running(), ["a", "b"]);
    assert_eq!(world.status("c").await, Status::Queued);
    world.finish("b").await;
    assert_eq!(world.running(), ["a", "c"]);
    world.finish("a").await;
    assert_eq!(world.running(), ["c", "d"]);
    world.finish("c").await;
    world.finish("d").await;
    world.create("flow", &["e"]).await;
    world.pass(10).await;
    assert_eq!(world.running(), ["e"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_holds_no_slot_and_goes_on_before_new_ones() {
    let mut world = limited(1).await;
    world.create("flow", &["a", "b", "c"]).await;
    world.pass(10).await;
    world.report("a", vec![sleep(1, "nap", 100.0)]);
    world.pass(10).await;
    assert_eq!(world.running(), ["a", "b"], "a waits in memory");
    world.pass(200).await;
    assert_eq!(
        world.status("a").await,
        Status::Waiting,
        "there is no slot for it yet"
    );
    let slept = |command: &Command| {
        matches!(
            command,
            Command::Settle {
                outcome: Outcome::Slept,
                ..
            }
        )
    };
    assert!(!world.commands.iter().any(slept));
    world.finish("b").await;
    assert!(world.commands.iter().any(slept));
    assert_eq!(world.status("a").await, Status::Running);
    assert_eq!(world.status("c").await, Status::Queued);
    world.finish("a").await;
    assert_eq!(world.running(), ["c"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_away_goes_on_before_new_ones() {
    let mut world = limited(1).await;
    world.create("flow", &["a", "b", "c"]).await;
    world.pass(10).await;
    world.report("a", vec![sleep(1, "nap", 60_000.0)]);
    world.pass(2_000).await;
    assert_eq!(world.running(), ["b"]);
    world.pass(60_000).await;
    assert_eq!(world.running(), ["b"], "a is over its time, and waits for a slot");
    world.finish("b").await;
    assert_eq!(world.running(), ["a"]);
    world.finish("a").await;
    assert_eq!(world.running(), ["c"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_without_a_slot_is_answered_and_wins_over_its_timeout() {
    let mut world = limited(1).await;
    world.create("flow", &["a", "b"]).await;
    world.pass(10).await;
    world.report("a", vec![wait_for(1, "paid", 5_000.0)]);
    world.pass(2_000).await;
    assert_eq!(world.running(), ["a", "b"]);
    let payload = Value::from_json("7").unwrap();
    let done = world
        .engine
        .send_event(ACCOUNT, "flow", ("a", "paid", payload))
        .await
        .unwrap();
    assert_eq!(done.status, Status::Waiting);
    world.pass(20_000).await;
    world.finish("b").await;
    assert_eq!(world.running(), ["a"]);
    let start = &world.runs["a"];
    let took_event = |outcome: &Outcome| matches!(outcome, Outcome::Event { .. });
    let known = start
        .history
        .iter()
        .any(|step| matches!(&step.known, cairn_runtime::Known::Ended(outcome) if took_event(outcome)));
    assert!(known, "{start:?}");
}

#[tokio::test(start_paused = true)]
async fn commands_reach_queued_instances() {
    let mut world = limited(1).await;
    world.create("flow", &["a", "b", "c", "d"]).await;
    world.pass(10).await;
    let control = async |id: &str, control| {
        let done = world.engine.control(ACCOUNT, "flow", (id, control)).await;
        done.unwrap().status
    };
    assert_eq!(
        control("b", Control::Terminate(Undo::Nothing)).await,
        Status::Terminated
    );
    assert_eq!(control("c", Control::Pause).await, Status::Paused);
    assert_eq!(control("c", Control::Resume).await, Status::Queued);
    let payload = Value::from_json("7").unwrap();
    let sent = world
        .engine
        .send_event(ACCOUNT, "flow", ("d", "early", payload))
        .await;
    assert_eq!(sent.unwrap().status, Status::Queued);
    world.pass(100).await;
    assert_eq!(world.running(), ["a"]);
    world.finish("a").await;
    assert_eq!(world.running(), ["c"]);
    world.finish("c").await;
    assert_eq!(world.running(), ["d"]);
}

#[tokio::test(start_paused = true)]
async fn what_ends_or_goes_gives_its_slot_back() {
    let mut world = limited(1).await;
    world.create("flow", &["a", "b", "c", "d", "e"]).await;
    world.pass(10).await;
    world
        .engine
        .control(ACCOUNT, "flow", ("a", Control::Terminate(Undo::Nothing)))
        .await
        .unwrap();
    world.pass(10).await;
    assert_eq!(world.running(), ["b"]);
    world.engine.delete_instance(ACCOUNT, "flow", "b").await.unwrap();
    world.pass(10).await;
    assert_eq!(world.running(), ["c"]);
    world
        .engine
        .control(ACCOUNT, "flow", ("c", Control::Pause))
        .await
        .unwrap();
    world.pass(10).await;
    assert_eq!(world.running(), ["d"]);
    world.engine.delete_workflow(ACCOUNT, "flow").await.unwrap();
    world.limit("flow", Some(1)).await;
    world.create("flow", &["new"]).await;
    world.pass(10).await;
    assert_eq!(world.running(), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_changes_takes_effect_at_once() {
    let mut world = limited(1).await;
    world.create("flow", &["a", "b", "c", "d", "e"]).await;
    world.pass(10).await;
    world.limit("flow", Some(3)).await;
    world.pass(10).await;
    assert_eq!(world.running(), ["a", "b", "c"]);
    world.limit("flow", Some(1)).await;
    world.finish("a").await;
    world.finish("b").await;
    assert_eq!(
        world.running(),
        ["c"],
        "those that run go on, but no other begins"
    );
    world.limit("flow", None).await;
    world.pass(10).await;
    assert_eq!(world.running(), ["c", "d", "e"]);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_new_counts_those_that_run_and_those_that_wait() {
    let mut world = World::new(Settings::default()).await;
    world.create("flow", &["a", "b", "c"]).await;
    world.pass(10).await;
    world.report("c", vec![sleep(1, "nap", 100.0)]);
    world.pass(10).await;
    world.limit("flow", Some(2)).await;
    world.pass(200).await;
    assert_eq!(world.status("c").await, Status::Waiting);
    world.finish("a").await;
    assert_eq!(world.status("c").await, Status::Running);
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_the_server_keeps_slots_and_queue() {
    let store = MemoryStore::new();
    let begun = Instant::now();
    let mut first = World::on(store.clone(), Settings::default(), begun).await;
    first.upload("index.js").await;
    first.limit("flow", Some(2)).await;
    first.create("flow", &["a", "b", "c", "d"]).await;
    first.pass(10).await;
    first.report("a", vec![execute(1, "step")]);
    first.pass(10).await;
    first.engine.shutdown().await;
    let mut second = World::on(store, Settings::default(), begun).await;
    second.create("flow", &["e"]).await;
    second.pass(10).await;
    assert_eq!(second.running(), ["a", "b"]);
    second.finish("a").await;
    assert_eq!(second.running(), ["b", "c"]);
    second.finish("b").await;
    second.finish("c").await;
    assert_eq!(second.running(), ["d", "e"]);
}

#[tokio::test(start_paused = true)]
async fn an_account_has_a_limit_of_its_own() {
    let mut world = World::new(Settings {
        concurrency_account: 2,
        ..Settings::default()
    })
    .await;
    world.limit("other", None).await;
    world.create("flow", &["a"]).await;
    world.create("other", &["x"]).await;
    world.pass(10).await;
    world.report("a", vec![sleep(1, "nap", 100.0)]);
    world.pass(10).await;
    world.create("other", &["y", "z"]).await;
    world.pass(200).await;
    assert_eq!(world.running(), ["a", "x", "y"]);
    assert_eq!(world.status("a").await, Status::Waiting);
    assert_eq!(world.status_in("other", "z").await, Status::Queued);
    world.finish("x").await;
    assert_eq!(world.status("a").await, Status::Running);
    world.finish("y").await;
    assert_eq!(world.running(), ["a", "z"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_with_an_id_that_exists_wastes_no_slot() {
    let mut world = limited(2).await;
    world.create("flow", &["a"]).await;
    let created = world.try_create("flow", &["a", "b", "c"]).await.unwrap();
    assert_eq!(created.iter().filter(|one| one.is_ok()).count(), 2);
    world.pass(10).await;
    assert_eq!(world.running(), ["a", "b"]);
    world.finish("a").await;
    world.finish("b").await;
    assert_eq!(world.running(), ["c"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_asks_before_it_starts_a_step() {
    let mut world = limited(1).await;
    world.create("flow", &["a", "b"]).await;
    world.pass(10).await;
    world.report("a", vec![sleep(1, "nap", 100.0)]);
    world.pass(300).await;
    let run = world.run("a");
    assert!(world.commands.contains(&Command::Hold { run }));
    world.finish("b").await;
    let settled = Command::Settle {
        run,
        call: CallId(1),
        outcome: Outcome::Slept,
    };
    assert!(world.commands.contains(&Command::Unhold { run }));
    assert!(world.commands.contains(&settled));
}

#[tokio::test(start_paused = true)]
async fn firings_of_a_schedule_wait_in_the_same_queue() {
    let mut world = World::new(Settings::default()).await;
    let settings = WorkflowSettings {
        concurrency: Some(1),
        schedules: vec!["* * * * *".into()],
        ..WorkflowSettings::default()
    };
    world.put("flow", settings).await;
    world.create("flow", &["a"]).await;
    world.pass(61_000).await;
    assert_eq!(world.running(), ["a"]);
    world.create("flow", &["b"]).await;
    world.finish("a").await;
    let running = world.running();
    assert!(
        matches!(running.as_slice(), [id] if id.starts_with("* * * * *-")),
        "{running:?}"
    );
}
