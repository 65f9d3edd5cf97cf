//! How many instances may be created a second.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers outside of #[test] functions

mod world;

use cairn_engine::{Control, EngineError, RestartFrom, Settings};
use world::{ACCOUNT, World};

async fn limited(account: u32, workflow: u32) -> World {
    World::new(Settings {
        creations_per_second_account: account,
        creations_per_second_workflow: workflow,
        ..Settings::default()
    })
    .await
}

/// How long a creation must wait, and for which setting; nothing when it goes through.
async fn refused(world: &World, workflow: &str, ids: &[&str]) -> Option<(u32, &'static str)> {
    match world.try_create(workflow, ids).await {
        Ok(_) => None,
        Err(EngineError::TooManyCreations {
            retry_after_seconds,
            setting,
            ..
        }) => Some((retry_after_seconds, setting)),
        Err(error) => panic!("{error}"),
    }
}

const ACCOUNT_SETTING: &str = "limits.creations_per_second_account";
const WORKFLOW_SETTING: &str = "limits.creations_per_second_workflow";

#[tokio::test(start_paused = true)]
async fn a_workflow_creates_so_many_a_second() {
    let mut world = limited(0, 2).await;
    world.limit("other", None).await;
    assert_eq!(refused(&world, "flow", &["a"]).await, None);
    assert_eq!(refused(&world, "flow", &["b"]).await, None);
    assert_eq!(refused(&world, "flow", &["c"]).await, Some((1, WORKFLOW_SETTING)));
    assert_eq!(refused(&world, "other", &["c"]).await, None);
    world.pass(499).await;
    assert_eq!(refused(&world, "flow", &["c"]).await, Some((1, WORKFLOW_SETTING)));
    world.pass(1).await;
    assert_eq!(refused(&world, "flow", &["c"]).await, None);
    assert_eq!(refused(&world, "flow", &["d"]).await, Some((1, WORKFLOW_SETTING)));
    assert!(world.engine.instance_row(ACCOUNT, "flow", "d").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_account_creates_so_many_a_second_and_what_is_refused_counts_nowhere() {
    let mut world = limited(3, 2).await;
    world.limit("other", None).await;
    assert_eq!(refused(&world, "flow", &["a", "b"]).await, None);
    assert_eq!(
        refused(&world, "other", &["a", "b"]).await,
        Some((1, ACCOUNT_SETTING))
    );
    assert_eq!(refused(&world, "other", &["a"]).await, None);
    world.pass(1_000).await;
    assert_eq!(refused(&world, "other", &["b", "c"]).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_batch_counts_its_size_and_a_large_one_makes_the_next_wait() {
    let mut world = limited(0, 2).await;
    assert_eq!(
        refused(&world, "flow", &["a", "b", "c", "d", "e", "f"]).await,
        None
    );
    assert_eq!(refused(&world, "flow", &["g"]).await, Some((3, WORKFLOW_SETTING)));
    world.pass(2_000).await;
    assert_eq!(refused(&world, "flow", &["g"]).await, Some((1, WORKFLOW_SETTING)));
    world.pass(500).await;
    assert_eq!(refused(&world, "flow", &["g"]).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_restart_counts_and_others_do_not() {
    let mut world = limited(0, 1).await;
    assert_eq!(refused(&world, "flow", &["a"]).await, None);
    world.pass(10).await;
    let restart = || Control::Restart(RestartFrom::Beginning);
    let again = world.engine.control(ACCOUNT, "flow", ("a", restart())).await;
    assert!(
        matches!(again, Err(EngineError::TooManyCreations { .. })),
        "{again:?}"
    );
    world
        .engine
        .control(ACCOUNT, "flow", ("a", Control::Pause))
        .await
        .unwrap();
    world.pass(1_000).await;
    world
        .engine
        .control(ACCOUNT, "flow", ("a", restart()))
        .await
        .unwrap();
}
