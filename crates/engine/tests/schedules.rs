//! Schedules on the memory store, with a runtime that only listens. Time is stepped: nothing here waits for a real clock.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers outside of #[test] functions

mod world;

use cairn_engine::{
    CreateInstance, EngineError, Firing, InstanceFilter, PutWorkflow, Settings, Timestamp, Trigger, Value,
    WorkflowSettings,
};
use cairn_runtime::{Command, StartRun};
use cairn_store::MemoryStore;
use std::ops::Deref;
use std::time::Duration;
use tokio::time::Instant;
use world::ACCOUNT;

/// The tests begin on 2023-11-14 at 22:13:20.
const BEGIN: i64 = 1_700_000_000_000;
const AT_22_15: i64 = BEGIN + 100_000;
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

struct World(world::World);

impl Deref for World {
    type Target = world::World;

    fn deref(&self) -> &world::World {
        &self.0
    }
}

impl World {
    /// A server with a script, and workflow `flow` that has these schedules.
    async fn new(schedules: &[&str]) -> Self {
        let world = Self::on(MemoryStore::new(), Settings::default(), Instant::now()).await;
        world.upload("index.js").await;
        world.put("flow", schedules).await.unwrap();
        world
    }

    async fn on(store: MemoryStore, settings: Settings, begun: Instant) -> Self {
        Self(world::World::on(store, settings, begun).await)
    }

    async fn put(&self, name: &str, schedules: &[&str]) -> Result<(), EngineError> {
        let put = PutWorkflow {
            script: "script".into(),
            class_name: "Flow".into(),
            settings: WorkflowSettings {
                schedules: schedules.iter().map(|cron| (*cron).to_owned()).collect(),
                ..WorkflowSettings::default()
            },
        };
        self.engine.put_workflow(ACCOUNT, name, put).await.map(|_| ())
    }

    /// The runs that begin within so many milliseconds of simulated time.
    async fn starts(&self, millis: u64) -> Vec<StartRun> {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        let commands = self.runtime.take().into_iter();
        commands
            .filter_map(|command| match command {
                Command::Start(start) => Some(*start),
                _ => None,
            })
            .collect()
    }

    /// Their instances.
    async fn ids(&self, millis: u64) -> Vec<String> {
        let starts = self.starts(millis).await;
        starts.into_iter().map(|start| start.instance_id).collect()
    }

    async fn all_ids(&self, workflow: &str) -> Vec<String> {
        let filter = InstanceFilter {
            limit: 100,
            ..InstanceFilter::default()
        };
        let (_, page) = self.engine.instances(ACCOUNT, workflow, &filter).await.unwrap();
        page.rows.into_iter().map(|row| row.id).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_schedule_makes_an_instance_at_its_time() {
    let world = World::new(&["*/5 * * * *"]).await;
    let schedules = world.engine.workflow(ACCOUNT, "flow").await.unwrap().schedules;
    assert_eq!(
        (schedules[0].cron.as_str(), schedules[0].next),
        ("*/5 * * * *", Some(Timestamp(AT_22_15)))
    );
    assert!(world.starts(99 * SECOND).await.is_empty());
    let starts = world.starts(2 * SECOND).await;
    let id = format!("*/5 * * * *-{AT_22_15}");
    let firing = Some(Firing {
        cron: "*/5 * * * *".into(),
        scheduled_at: Timestamp(AT_22_15),
    });
    assert_eq!(starts.len(), 1);
    assert_eq!((&starts[0].instance_id, &starts[0].firing), (&id, &firing));
    assert_eq!(starts[0].params, Value::empty_object());
    let found = world.engine.instance(ACCOUNT, "flow", (&id, 100)).await.unwrap();
    assert_eq!((found.row.trigger, found.params.as_str()), (Trigger::Cron, "{}"));
    assert_eq!(found.firing, firing);
    assert!(found.row.created_at.millis_since(Timestamp(AT_22_15)) < 100);
    assert_eq!(world.ids(HOUR).await.len(), 12);
}

#[tokio::test(start_paused = true)]
async fn several_schedules_fire_apart() {
    let world = World::new(&["15 22 * * *", "15,16 * * * *", "0 0 31 2 *"]).await;
    let mut ids = world.ids(3 * MINUTE).await;
    ids.sort();
    let expected = [
        format!("15 22 * * *-{AT_22_15}"),
        format!("15,16 * * * *-{AT_22_15}"),
        format!("15,16 * * * *-{}", AT_22_15 + 60_000),
    ];
    assert_eq!(ids, expected);
    let schedules = world.engine.workflow(ACCOUNT, "flow").await.unwrap().schedules;
    assert_eq!(schedules[2].next, None, "the 31st of February never comes");
}

#[tokio::test(start_paused = true)]
async fn firings_missed_while_the_server_was_down_are_made_up_for_once() {
    let (store, begun) = (MemoryStore::new(), Instant::now());
    let world = World::on(store.clone(), Settings::default(), begun).await;
    world.upload("index.js").await;
    world.put("flow", &["*/5 * * * *"]).await.unwrap();
    assert_eq!(world.ids(2 * MINUTE).await.len(), 1);
    world.engine.shutdown().await;
    tokio::time::sleep(Duration::from_millis(3 * HOUR)).await;
    let next = World::on(store, Settings::default(), begun).await;
    let starts = next.starts(10).await;
    let ids: Vec<&str> = starts.iter().map(|start| start.instance_id.as_str()).collect();
    // Down from 22:15:20 to 01:15:20. The instance of 22:15 goes on, and still knows where it comes from.
    let (first, latest) = (
        format!("*/5 * * * *-{AT_22_15}"),
        format!("*/5 * * * *-{}", AT_22_15 + 3 * 3_600_000),
    );
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [&first, &latest]);
    assert!(starts.iter().all(|start| start.firing.is_some()));
    assert_eq!(next.ids(4 * MINUTE).await, [""; 0], "the next is at 01:20");
    assert_eq!(next.ids(MINUTE).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_put_counts_at_once() {
    let world = World::new(&["0 0 1 1 *"]).await;
    assert_eq!(world.ids(10 * SECOND).await, [""; 0]);
    world.put("flow", &["0 0 1 1 *", "14 * * * *"]).await.unwrap();
    let at_22_14 = AT_22_15 - 60_000;
    assert_eq!(world.ids(31 * SECOND).await, [format!("14 * * * *-{at_22_14}")]);
    world.put("flow", &["* * * * *"]).await.unwrap();
    assert_eq!(
        world.ids(HOUR).await.len(),
        60,
        "every minute, and not at 23:14 a second time"
    );
    world.put("flow", &[]).await.unwrap();
    assert_eq!(world.ids(HOUR).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn nothing_that_was_before_the_put_is_fired() {
    let world = World::new(&[]).await;
    assert!(world.starts(5 * HOUR).await.is_empty());
    world.put("flow", &["* * * * *"]).await.unwrap();
    assert!(world.starts(10).await.is_empty());
    assert_eq!(world.ids(MINUTE).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_put_that_changes_nothing_fires_nothing_twice_and_leaves_nothing_out() {
    let (store, begun) = (MemoryStore::new(), Instant::now());
    let world = World::on(store.clone(), Settings::default(), begun).await;
    world.upload("index.js").await;
    world.put("flow", &["15 22 * * *"]).await.unwrap();
    assert_eq!(world.ids(2 * MINUTE).await.len(), 1);
    world.put("flow", &["15 22 * * *"]).await.unwrap();
    assert_eq!(world.ids(HOUR).await, [""; 0]);
    // Put again right after a downtime: what was missed is still made up for.
    world.engine.shutdown().await;
    tokio::time::sleep(Duration::from_millis(25 * HOUR)).await;
    let next = World::on(store, Settings::default(), begun).await;
    next.put("flow", &["15 22 * * *"]).await.unwrap();
    let id = format!("15 22 * * *-{}", AT_22_15 + 24 * 3_600_000);
    assert!(next.ids(10).await.contains(&id));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_workflow_does_not_fire() {
    let world = World::new(&["* * * * *"]).await;
    assert_eq!(world.ids(MINUTE).await.len(), 1);
    world.engine.delete_workflow(ACCOUNT, "flow").await.unwrap();
    assert_eq!(world.ids(HOUR).await, [""; 0]);
    world.put("flow", &["0 * * * *"]).await.unwrap();
    assert_eq!(world.ids(HOUR).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_script_firings_are_left_out() {
    let world = World::on(MemoryStore::new(), Settings::default(), Instant::now()).await;
    world.put("flow", &["*/5 * * * *"]).await.unwrap();
    assert!(world.starts(HOUR).await.is_empty());
    world.upload("index.js").await;
    assert!(world.starts(10).await.is_empty(), "not even late");
    assert_eq!(world.ids(5 * MINUTE).await.len(), 1);
    assert_eq!(world.all_ids("flow").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_nodes_make_one_instance() {
    let (store, begun) = (MemoryStore::new(), Instant::now());
    let one = World::on(store.clone(), Settings::default(), begun).await;
    let two = World::on(store, Settings::default(), begun).await;
    one.upload("index.js").await;
    one.put("flow", &["*/5 * * * *"]).await.unwrap();
    let firsts = one.ids(10 * MINUTE).await;
    let seconds = two.ids(0).await;
    assert_eq!(firsts.len() + seconds.len(), 2, "{firsts:?} {seconds:?}");
    assert_eq!(one.all_ids("flow").await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn ids_of_schedules_are_for_schedules_alone() {
    let world = World::new(&[]).await;
    for trigger in [Trigger::Api, Trigger::Binding] {
        let create = CreateInstance {
            id: Some(format!("*/5 * * * *-{AT_22_15}")),
            ..CreateInstance::default()
        };
        let refused = world
            .engine
            .create(ACCOUNT, "flow", (trigger, vec![create]))
            .await;
        assert!(
            matches!(refused, Err(EngineError::InvalidName { .. })),
            "{refused:?}"
        );
    }
    let create = CreateInstance {
        id: Some("0-5".into()),
        ..CreateInstance::default()
    };
    let created = world
        .engine
        .create(ACCOUNT, "flow", (Trigger::Api, vec![create]))
        .await;
    assert!(created.unwrap()[0].is_ok());
    let starts = world.starts(10).await;
    assert_eq!(starts[0].firing, None, "whatever the id looks like");
}

#[tokio::test(start_paused = true)]
async fn an_account_has_so_many_schedules() {
    let settings = Settings {
        schedules: 3,
        ..Settings::default()
    };
    let world = World::on(MemoryStore::new(), settings, Instant::now()).await;
    world.put("one", &["0 1 * * *", "0 2 * * *"]).await.unwrap();
    let refused = world.put("two", &["0 3 * * *", "0 4 * * *"]).await.unwrap_err();
    let said = refused.to_string();
    assert!(
        matches!(refused, EngineError::InvalidInput(_))
            && said.contains("at most 3 (setting limits.schedules)"),
        "{said}"
    );
    world.put("two", &["0 3 * * *"]).await.unwrap();
    world.put("one", &["0 5 * * *", "0 6 * * *"]).await.unwrap();
    world.put("three", &[]).await.unwrap();
}
