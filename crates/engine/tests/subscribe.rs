//! Following instances, on the memory store, with the test as user code. Time is stepped: nothing here waits for a real clock.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers outside of #[test] functions

mod world;

use cairn_core::{CallRequest, DurationInput};
use cairn_engine::{
    Control, CreateInstance, EngineError, EventType, Follow, RestartFrom, Settings, StepKey, StepKind,
    Subscription, Trigger, Undo, Value, WorkflowSettings,
};
use cairn_runtime::{Command, Report, ReportKind, RunId};
use cairn_store::MemoryStore;
use std::ops::Deref;
use std::time::Duration;
use tokio::time::Instant;
use world::{ACCOUNT, called, execute, succeeded};

/// Simulated time in which news must arrive: less than the time after which a follower looks without having been called.
const AT_ONCE: Duration = Duration::from_millis(500);

struct World(world::World);

impl Deref for World {
    type Target = world::World;

    fn deref(&self) -> &world::World {
        &self.0
    }
}

impl World {
    async fn new() -> Self {
        Self(world::World::new(Settings::default()).await)
    }

    /// One of the nodes that share a store.
    async fn on(store: &MemoryStore, begun: Instant) -> Self {
        Self(world::World::on(store.clone(), Settings::default(), begun).await)
    }

    /// Creates instance `one` and waits for its run.
    async fn start(&self) -> RunId {
        let create = CreateInstance {
            id: Some("one".into()),
            params: Some(Value::from_json("{\"p\":1}").unwrap()),
            ..CreateInstance::default()
        };
        let creates = (Trigger::Api, vec![create]);
        self.engine.create(ACCOUNT, "flow", creates).await.unwrap()[0]
            .as_ref()
            .unwrap();
        self.run().await
    }

    /// The run that begins next.
    async fn run(&self) -> RunId {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let commands = self.runtime.take();
        let started = commands.iter().find_map(|command| match command {
            Command::Start(start) => Some(start.run),
            _ => None,
        });
        started.unwrap_or_else(|| panic!("no run has begun: {commands:?}"))
    }

    fn report(&self, run: RunId, kinds: impl IntoIterator<Item = ReportKind>) {
        let reports = kinds.into_iter().map(|kind| Report { run, kind });
        assert!(self.runtime.report(reports.collect()));
    }

    async fn control(&self, control: Control) {
        self.engine
            .control(ACCOUNT, "flow", ("one", control))
            .await
            .unwrap();
    }

    async fn follow(&self, follow: Follow) -> Subscription {
        self.engine
            .subscribe(ACCOUNT, "flow", ("one", follow))
            .await
            .unwrap()
    }

    async fn from(&self, cursor: u64) -> Subscription {
        let follow = Follow {
            cursor,
            ..Follow::default()
        };
        self.follow(follow).await
    }
}

fn returned(output: Value) -> ReportKind {
    ReportKind::Returned { output }
}

/// The events that are there, shortly, up to the end of the instance or until nothing comes at once.
async fn told(subscription: &mut Subscription) -> Vec<String> {
    let mut told = Vec::new();
    while let Ok(next) = tokio::time::timeout(AT_ONCE, subscription.next()).await {
        let Some(event) = next.unwrap() else {
            told.push("end".into());
            break;
        };
        let text = event.to_json_text(subscription.id());
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["instanceId"], "one");
        assert!(json["timestamp"].as_i64().unwrap() >= 1_700_000_000_000, "{text}");
        let value = ["params", "output", "stepName"].map(|name| json.get(name).map(ToString::to_string));
        let mut line = format!("{} {}", json["eventId"], json["type"].as_str().unwrap());
        for value in value.into_iter().flatten() {
            line.push(' ');
            line.push_str(&value);
        }
        told.push(line);
    }
    told
}

#[tokio::test(start_paused = true)]
async fn first_what_was_then_what_comes() {
    let world = World::new().await;
    let run = world.start().await;
    world.report(run, [execute(1, "a"), succeeded(1, "[1]")]);
    tokio::time::sleep(Duration::from_millis(10)).await;
    let mut subscription = world.from(0).await;
    assert_eq!(
        told(&mut subscription).await,
        [
            "1 workflow_queued",
            "2 workflow_started {\"p\":1}",
            "3 workflow_running",
            "4 step_started \"a-1\"",
            "5 attempt_started \"a-1\"",
            "6 attempt_completed \"a-1\"",
            "7 step_completed [1] \"a-1\"",
        ]
    );
    world.report(run, [execute(2, "b")]);
    assert_eq!(
        told(&mut subscription).await,
        ["8 step_started \"b-1\"", "9 attempt_started \"b-1\""]
    );
    world.report(
        run,
        [
            succeeded(2, "null"),
            returned(Value::from_json("\"out\"").unwrap()),
        ],
    );
    assert_eq!(
        told(&mut subscription).await,
        [
            "10 attempt_completed \"b-1\"",
            "11 step_completed null \"b-1\"",
            "12 workflow_completed \"out\"",
            "end"
        ]
    );
    assert_eq!(told(&mut subscription).await, ["end"]);
}

/// All that lies between two looks is told, in order, to each.
#[tokio::test(start_paused = true)]
async fn two_followers_do_not_disturb_each_other() {
    let world = World::new().await;
    let run = world.start().await;
    let (mut quick, mut slow) = (world.from(0).await, world.from(2).await);
    told(&mut quick).await;
    world.report(run, [execute(1, "a")]);
    assert_eq!(told(&mut quick).await.len(), 2);
    world.report(run, [succeeded(1, "1")]);
    drop(quick);
    world.report(run, [returned(Value::undefined())]);
    assert_eq!(
        told(&mut slow).await,
        [
            "3 workflow_running",
            "4 step_started \"a-1\"",
            "5 attempt_started \"a-1\"",
            "6 attempt_completed \"a-1\"",
            "7 step_completed 1 \"a-1\"",
            "8 workflow_completed",
            "end"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn who_wants_no_more_than_there_is_does_not_wait() {
    let world = World::new().await;
    let run = world.start().await;
    world.report(run, [execute(1, "a")]);
    let mut waits = world.from(3).await;
    assert_eq!(told(&mut waits).await.len(), 2);
    let so_far = Follow {
        cursor: 3,
        reach: cairn_engine::Reach::Now,
        ..Follow::default()
    };
    let mut told_so_far = told(&mut world.follow(so_far.clone()).await).await;
    assert_eq!(told_so_far.pop().as_deref(), Some("end"));
    assert_eq!(told_so_far.len(), 2);
    world.report(run, [succeeded(1, "1"), returned(Value::undefined())]);
    assert_eq!(told(&mut waits).await.last().map(String::as_str), Some("end"));
    assert_eq!(
        told(&mut world.follow(so_far).await)
            .await
            .last()
            .map(String::as_str),
        Some("end")
    );
}

#[tokio::test(start_paused = true)]
async fn a_filter_does_not_hide_the_end() {
    let world = World::new().await;
    let run = world.start().await;
    let follow = |cursor, types: &[EventType]| Follow {
        cursor,
        filter: Some(types.iter().copied().collect()),
        ..Follow::default()
    };
    let steps = [EventType::StepStarted, EventType::StepCompleted];
    let mut subscription = world.follow(follow(0, &steps)).await;
    world.report(run, [execute(1, "a"), succeeded(1, "1")]);
    assert_eq!(
        told(&mut subscription).await,
        ["4 step_started \"a-1\"", "7 step_completed 1 \"a-1\""]
    );
    world.report(run, [returned(Value::undefined())]);
    assert_eq!(told(&mut subscription).await, ["end"]);
    let mut later = world.follow(follow(4, &steps)).await;
    assert_eq!(told(&mut later).await, ["7 step_completed 1 \"a-1\"", "end"]);
    assert_eq!(told(&mut world.follow(follow(0, &[])).await).await, ["end"]);
    assert_eq!(told(&mut world.from(1_000).await).await, ["end"]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_followed_and_numbers_count_on() {
    let world = World::new().await;
    let run = world.start().await;
    let mut subscription = world.from(3).await;
    world.report(run, [execute(1, "a")]);
    assert_eq!(told(&mut subscription).await.len(), 2);
    world.control(Control::Restart(RestartFrom::Beginning)).await;
    let run = world.run().await;
    let again = [
        "6 workflow_queued",
        "7 workflow_started {\"p\":1}",
        "8 workflow_running",
    ];
    assert_eq!(told(&mut subscription).await, again);
    // Who comes now sees nothing of before.
    assert_eq!(told(&mut world.from(0).await).await, again);
    world.report(run, [returned(Value::undefined())]);
    assert_eq!(told(&mut subscription).await, ["9 workflow_completed", "end"]);
    // The end that a restart has wiped is no end.
    let mut lagging = world.from(8).await;
    world.control(Control::Restart(RestartFrom::Beginning)).await;
    world.run().await;
    world.control(Control::Terminate(Undo::Nothing)).await;
    assert_eq!(told(&mut lagging).await, ["9 workflow_completed", "end"]);
    let mut late = world.from(8).await;
    assert_eq!(told(&mut late).await.last().map(String::as_str), Some("end"));
    assert_eq!(
        told(&mut world.from(0).await).await,
        [
            "10 workflow_queued",
            "11 workflow_started {\"p\":1}",
            "12 workflow_running",
            "13 workflow_terminated",
            "end"
        ]
    );
}

/// A history of several pages, of which a restart has wiped most.
#[tokio::test(start_paused = true)]
async fn a_long_history_comes_by_pages() {
    let world = World::new().await;
    let run = world.start().await;
    let large = format!("\"{}\"", "x".repeat(8_000));
    let steps = |count: u32| {
        let large = large.clone();
        (1..=count).flat_map(move |call| [execute(call, &format!("s{call}")), succeeded(call, &large)])
    };
    world.report(run, steps(400));
    tokio::time::sleep(Duration::from_millis(10)).await;
    let mut all = world.from(0).await;
    let told_before = told(&mut all).await;
    assert_eq!(told_before.len(), 3 + 400 * 4);
    assert!(told_before[3 + 400 * 4 - 1].contains(&large));
    let middle = StepKey {
        kind: StepKind::Do,
        name: "s200".into(),
        count: 1,
    };
    world.control(Control::Restart(RestartFrom::Step(middle))).await;
    let run = world.run().await;
    world.report(run, [returned(Value::undefined())]);
    let after = told(&mut world.from(0).await).await;
    // Queued, started, the steps before the 200th, running, completed.
    assert_eq!(after.len(), 2 + 199 * 4 + 2 + 1);
    assert_eq!(after[..2], told_before[..2]);
    assert_eq!(after[2..2 + 199 * 4], told_before[3..3 + 199 * 4]);
    assert_eq!(
        after[2 + 199 * 4..],
        ["1604 workflow_running", "1605 workflow_completed", "end"]
    );
    world.control(Control::Restart(RestartFrom::Beginning)).await;
    world.run().await;
    let last = told(&mut world.from(0).await).await;
    assert_eq!(
        last,
        [
            "1606 workflow_queued",
            "1607 workflow_started {\"p\":1}",
            "1608 workflow_running"
        ]
    );
}

/// What another node writes is not called out here, and found all the same.
#[tokio::test(start_paused = true)]
async fn an_instance_of_another_node_is_followed() {
    let (store, begun) = (MemoryStore::new(), Instant::now());
    let (here, there) = (World::on(&store, begun).await, World::on(&store, begun).await);
    there.deploy("flow", WorkflowSettings::default()).await;
    let run = there.start().await;
    let mut subscription = here.from(3).await;
    assert!(told(&mut subscription).await.is_empty());
    there.report(run, [returned(Value::undefined())]);
    let next = tokio::time::timeout(Duration::from_secs(10), subscription.next()).await;
    let event = next.unwrap().unwrap().unwrap().event;
    assert_eq!(
        (event.id, event.kind.event_type()),
        (4, EventType::WorkflowCompleted)
    );
}

#[tokio::test(start_paused = true)]
async fn a_sleep_that_ends_is_news() {
    let world = World::new().await;
    let run = world.start().await;
    let nap = CallRequest::Sleep {
        duration: DurationInput::Text("1 hour".into()),
    };
    world.report(run, [called(1, (StepKind::Sleep, "nap"), nap)]);
    let mut subscription = world.from(3).await;
    assert_eq!(
        told(&mut subscription).await,
        ["4 sleep_started \"nap-1\"", "5 workflow_waiting"]
    );
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(
        told(&mut subscription).await,
        ["6 sleep_completed \"nap-1\"", "7 workflow_running"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_deleted_instance_ends_with_an_error() {
    let world = World::new().await;
    world.start().await;
    let mut subscription = world.from(3).await;
    let (next, deleted) = tokio::join!(
        tokio::time::timeout(AT_ONCE, subscription.next()),
        world.engine.delete_instance(ACCOUNT, "flow", "one"),
    );
    deleted.unwrap();
    assert!(
        matches!(next.unwrap(), Err(EngineError::InstanceNotFound(id)) if id == "one"),
        "it must be told"
    );
    let gone = world
        .engine
        .subscribe(ACCOUNT, "flow", ("one", Follow::default()))
        .await;
    assert!(matches!(gone, Err(EngineError::InstanceNotFound(_))));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_workflow_ends_with_an_error() {
    let world = World::new().await;
    world.start().await;
    let mut subscription = world.from(3).await;
    world.engine.delete_workflow(ACCOUNT, "flow").await.unwrap();
    let next = tokio::time::timeout(AT_ONCE, subscription.next()).await.unwrap();
    assert!(matches!(next, Err(EngineError::InstanceNotFound(_))), "{next:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_sends_followers_home() {
    let world = World::new().await;
    world.start().await;
    let mut subscription = world.from(3).await;
    let (next, ()) = tokio::join!(
        tokio::time::timeout(AT_ONCE, subscription.next()),
        world.engine.shutdown()
    );
    assert!(matches!(next.unwrap(), Err(EngineError::ShuttingDown)));
}
