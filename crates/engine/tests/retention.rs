//! How long finished instances are kept, and that they go.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers outside of #[test] functions

mod world;

use cairn_engine::{AccountRetention, CreateInstance, Settings, Trigger, WorkflowSettings};
use cairn_store::MemoryStore;
use tokio::time::Instant;
use world::{ACCOUNT, World};

const PLAN: u64 = 1_000_000;

fn settings() -> Settings {
    Settings {
        retention_millis: PLAN,
        ..Settings::default()
    }
}

/// What an instance got: after success, after an error.
async fn retention_of(world: &World, account: &str, create: CreateInstance) -> (u64, u64) {
    let created = world
        .engine
        .create(account, "flow", (Trigger::Api, vec![create]))
        .await
        .unwrap();
    let id = created.into_iter().next().unwrap().unwrap().id;
    let (_, row) = world.engine.instance_row(account, "flow", &id).await.unwrap();
    (row.success_retention_millis, row.error_retention_millis)
}

fn asking(success: Option<u64>, error: Option<u64>) -> CreateInstance {
    CreateInstance {
        success_retention_millis: success,
        error_retention_millis: error,
        ..CreateInstance::default()
    }
}

#[tokio::test(start_paused = true)]
async fn the_nearest_says_how_long() {
    let (store, begun) = (MemoryStore::new(), Instant::now());
    let world = World::on(store.clone(), settings(), begun).await;
    world.deploy("flow", WorkflowSettings::default()).await;
    let plain = || asking(None, None);
    assert_eq!(retention_of(&world, ACCOUNT, plain()).await, (PLAN, PLAN));
    let of_account = AccountRetention {
        success_millis: Some(300),
        error_millis: None,
    };
    let shown = world.engine.put_retention(ACCOUNT, of_account).await.unwrap();
    assert_eq!((shown.success_millis, shown.error_millis), (300, PLAN));
    assert_eq!(retention_of(&world, ACCOUNT, plain()).await, (300, PLAN));
    let change = AccountRetention {
        success_millis: None,
        error_millis: Some(400),
    };
    world.engine.put_retention(ACCOUNT, change).await.unwrap();
    assert_eq!(retention_of(&world, ACCOUNT, plain()).await, (300, 400));
    let of_workflow = WorkflowSettings {
        error_retention_millis: Some(50),
        ..WorkflowSettings::default()
    };
    world.put("flow", of_workflow).await;
    assert_eq!(retention_of(&world, ACCOUNT, plain()).await, (300, 50));
    assert_eq!(
        retention_of(&world, ACCOUNT, asking(Some(7), None)).await,
        (7, 50)
    );
    assert_eq!(
        retention_of(&world, ACCOUNT, asking(Some(7), Some(8))).await,
        (7, 8)
    );
    world.engine.shutdown().await;
    let later = World::on(store, settings(), begun).await;
    let kept = later.engine.retention(ACCOUNT).await.unwrap();
    assert_eq!((kept.success_millis, kept.error_millis), (300, 400));
    let other = later.engine.retention("other").await.unwrap();
    assert_eq!((other.success_millis, other.error_millis), (PLAN, PLAN));
}

#[tokio::test(start_paused = true)]
async fn what_is_over_goes_and_the_rest_stays() {
    let mut world = World::new(settings()).await;
    let mut creates = Vec::new();
    for n in 0..120 {
        let mut create = asking(Some(20_000), None);
        create.id = Some(format!("short{n}"));
        creates.push(create);
    }
    creates.push(CreateInstance {
        id: Some("long".into()),
        ..CreateInstance::default()
    });
    world
        .engine
        .create(ACCOUNT, "flow", (Trigger::Api, creates))
        .await
        .unwrap();
    world.pass(10).await;
    for id in world.runs.keys().cloned().collect::<Vec<_>>() {
        world.report(&id, vec![world::returned("1")]);
    }
    world.pass(19_000).await;
    let total = async |world: &World| {
        world
            .engine
            .workflow(ACCOUNT, "flow")
            .await
            .unwrap()
            .counts
            .total()
    };
    assert_eq!(total(&world).await, 121);
    world.pass(12_000).await;
    assert_eq!(total(&world).await, 1);
    assert!(world.engine.instance_row(ACCOUNT, "flow", "long").await.is_ok());
}
