//! More is created than can run: what is refused, what waits, and in which order it goes on.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers outside of #[test] functions

mod world;

use cairn_engine::{CreateInstance, EngineError, Settings, Status, Trigger, Value};
use world::{ACCOUNT, World};

async fn world(tune: fn(&mut Settings)) -> World {
    let mut settings = Settings::default();
    tune(&mut settings);
    World::new(settings).await
}

/// Creates an instance with parameters of about so many bytes.
async fn create(world: &World, id: &str, bytes: usize) {
    let params = Value::from_json(&format!("\"{}\"", "x".repeat(bytes))).unwrap();
    let create = CreateInstance {
        id: Some(id.into()),
        params: Some(params),
        ..CreateInstance::default()
    };
    let created = world
        .engine
        .create(ACCOUNT, "flow", (Trigger::Api, vec![create]))
        .await;
    created.unwrap().remove(0).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_until_some_of_it_run() {
    let mut world = world(|settings| {
        settings.queued_instances = 2;
        settings.instances_in_memory = 1;
    })
    .await;
    world.create("flow", &["a"]).await;
    world.pass(1_500).await;
    world.create("flow", &["b", "c"]).await;
    for ids in [&["d"][..], &["d", "e"]] {
        let refused = world.try_create("flow", ids).await;
        assert!(
            matches!(refused, Err(EngineError::QueueFull { limit: 2 })),
            "{refused:?}"
        );
    }
    assert!(world.engine.instance_row(ACCOUNT, "flow", "d").await.is_err());
    world.finish("a").await;
    assert_eq!(world.running(), ["b"]);
    world.pass(50).await;
    world.create("flow", &["d"]).await;
    let refused = world.try_create("flow", &["e"]).await;
    assert!(
        matches!(refused, Err(EngineError::QueueFull { .. })),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_comes_later_does_not_begin_earlier() {
    let mut world = world(|settings| settings.instances_in_memory = 1).await;
    for id in ["a", "c", "b"] {
        world.create("flow", &[id]).await;
        world.pass(10).await;
    }
    for id in ["a", "c", "b"] {
        assert_eq!(world.running(), [id]);
        world.finish(id).await;
        assert_eq!(world.status(id).await, Status::Complete);
    }
    world.create("flow", &["d"]).await;
    world.pass(10).await;
    assert_eq!(world.running(), ["d"]);
}

#[tokio::test(start_paused = true)]
async fn instances_in_memory_have_so_many_bytes() {
    let mut world = world(|settings| settings.bytes_in_memory = 10_000).await;
    for id in ["a", "b", "c", "d"] {
        create(&world, id, 6_000).await;
        world.pass(10).await;
    }
    // The second is more than fits, the third was not taken up.
    assert_eq!(world.running(), ["a", "b"]);
    assert_eq!(world.status("c").await, Status::Queued);
    world.finish("a").await;
    assert_eq!(world.running(), ["b", "c"]);
    world.finish("b").await;
    world.finish("c").await;
    assert_eq!(world.running(), ["d"]);
    // One that is larger than all of it runs alone.
    world.finish("d").await;
    create(&world, "e", 50_000).await;
    world.pass(10).await;
    create(&world, "f", 1).await;
    world.pass(10).await;
    assert_eq!(world.running(), ["e"]);
    world.finish("e").await;
    assert_eq!(world.running(), ["f"]);
}
