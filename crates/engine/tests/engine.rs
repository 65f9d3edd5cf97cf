//! The engine on the memory store, with the test as user code. Time is stepped: nothing here waits for a real clock.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers outside of #[test] functions

mod world;

use cairn_core::{CallId, CallRequest, DurationInput};
use cairn_engine::{
    Control, CreateInstance, CreatedInstance, EngineError, Settings, Status, StepKind, Trigger, Value,
    WorkflowSettings,
};
use cairn_runtime::{Command, Known, Outcome, Report, ReportKind, RunId, StartRun};
use cairn_store::MemoryStore;
use std::ops::Deref;
use std::time::Duration;
use tokio::time::Instant;
use world::{ACCOUNT, called, execute, returned, succeeded};

struct World(world::World);

impl Deref for World {
    type Target = world::World;

    fn deref(&self) -> &world::World {
        &self.0
    }
}

impl World {
    async fn new(settings: Settings) -> Self {
        Self(world::World::new(settings).await)
    }

    async fn on(store: MemoryStore, settings: Settings, begun: Instant) -> Self {
        Self(world::World::on(store, settings, begun).await)
    }

    async fn create(&self, id: &str) -> CreatedInstance {
        let create = CreateInstance {
            id: Some(id.into()),
            ..CreateInstance::default()
        };
        let created = self
            .engine
            .create(ACCOUNT, "flow", (Trigger::Api, vec![create]))
            .await
            .unwrap();
        created.into_iter().next().unwrap().unwrap()
    }

    /// Lets everything happen that happens within so many milliseconds of simulated time.
    async fn pass(&self, millis: u64) -> Vec<Command> {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        self.runtime.take()
    }

    async fn started(&self) -> StartRun {
        match self.pass(10).await.as_slice() {
            [Command::Start(start)] => (**start).clone(),
            other => panic!("expected one start: {other:?}"),
        }
    }

    fn report(&self, run: RunId, kinds: Vec<ReportKind>) {
        assert!(
            self.runtime
                .report(kinds.into_iter().map(|kind| Report { run, kind }).collect())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_is_confirmed_and_the_output_kept() {
    let world = World::new(Settings::default()).await;
    world.create("one").await;
    let start = world.started().await;
    assert_eq!(
        (start.instance_id.as_str(), start.class_name.as_str()),
        ("one", "Flow")
    );
    world.report(start.run, vec![execute(1, "greet"), succeeded(1, "\"hi\"")]);
    let confirmed = Command::Settle {
        run: start.run,
        call: CallId(1),
        outcome: Outcome::Stored,
    };
    assert_eq!(world.pass(10).await, [confirmed]);
    world.report(start.run, vec![returned("{\"done\":true}")]);
    world.pass(10).await;
    let details = world
        .engine
        .instance(ACCOUNT, "flow", ("one", 100))
        .await
        .unwrap();
    assert_eq!(
        (details.row.status, details.output.as_deref()),
        (Status::Complete, Some("{\"done\":true}"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_run_goes_on_with_its_history() {
    let world = World::new(Settings::default()).await;
    world.create("one").await;
    let first = world.started().await;
    world.report(
        first.run,
        vec![execute(1, "a"), succeeded(1, "1"), execute(2, "b")],
    );
    world.pass(10).await;
    world.report(
        first.run,
        vec![ReportKind::Lost {
            reason: "killed".into(),
        }],
    );
    let second = world.started().await;
    assert_ne!(first.run, second.run);
    let known: Vec<(&str, &Known)> = second
        .history
        .iter()
        .map(|step| (step.key.name.as_str(), &step.known))
        .collect();
    let one = Known::Ended(Outcome::Value(Value::from_json("1").unwrap()));
    assert_eq!(known, [("a", &one), ("b", &Known::Open)]);
}

#[tokio::test(start_paused = true)]
async fn a_full_node_leaves_instances_in_the_store() {
    let world = World::new(Settings {
        instances_in_memory: 1,
        ..Settings::default()
    })
    .await;
    world.create("one").await;
    world.create("two").await;
    let first = world.started().await;
    assert_eq!(world.status("two").await, Status::Queued);
    world.report(first.run, vec![returned("1")]);
    let commands = world.pass(10).await;
    let started = commands.iter().find_map(|command| match command {
        Command::Start(start) => Some(start.instance_id.clone()),
        _ => None,
    });
    assert_eq!(started.as_deref(), Some("two"));
}

#[tokio::test(start_paused = true)]
async fn a_sleeper_leaves_memory_and_comes_back_in_time() {
    let world = World::new(Settings::default()).await;
    world.create("one").await;
    let first = world.started().await;
    let nap = || {
        called(
            1,
            (StepKind::Sleep, "nap"),
            CallRequest::Sleep {
                duration: DurationInput::Text("1 hour".into()),
            },
        )
    };
    world.report(first.run, vec![nap()]);
    assert_eq!(world.pass(2_000).await, [Command::Stop { run: first.run }]);
    assert_eq!(world.status("one").await, Status::Waiting);
    assert_eq!(world.pass(3_500_000).await, []);
    let second = world.pass(200_000).await;
    let [Command::Start(start)] = second.as_slice() else {
        panic!("{second:?}")
    };
    assert_eq!(start.history[0].known, Known::Ended(Outcome::Slept));
}

#[tokio::test(start_paused = true)]
async fn an_event_wakes_a_resting_instance() {
    let world = World::new(Settings::default()).await;
    world.create("one").await;
    let first = world.started().await;
    let wait = CallRequest::WaitForEvent {
        event_type: "go".into(),
        timeout: None,
    };
    world.report(
        first.run,
        vec![called(1, (StepKind::WaitForEvent, "approval"), wait)],
    );
    world.pass(2_000).await;
    let payload = Value::from_json("{\"yes\":1}").unwrap();
    world
        .engine
        .send_event(ACCOUNT, "flow", ("one", "go", payload.clone()))
        .await
        .unwrap();
    let second = world.started().await;
    let Known::Ended(Outcome::Event { payload: taken, .. }) = &second.history[0].known else {
        panic!("{second:?}")
    };
    assert_eq!(*taken, payload);
}

#[tokio::test(start_paused = true)]
async fn a_restart_takes_the_latest_version() {
    let world = World::new(Settings::default()).await;
    world.create("one").await;
    let first = world.started().await;
    let second_version = world.upload("second.js").await;
    world.create("two").await;
    assert_eq!(world.started().await.worker.to_string(), second_version);
    world.report(first.run, vec![execute(1, "a"), succeeded(1, "1")]);
    world.pass(10).await;
    world
        .engine
        .control(
            ACCOUNT,
            "flow",
            ("one", Control::Restart(cairn_engine::RestartFrom::Beginning)),
        )
        .await
        .unwrap();
    let commands = world.pass(10).await;
    let [Command::Stop { run }, Command::Start(start)] = commands.as_slice() else {
        panic!("{commands:?}")
    };
    assert_eq!(*run, first.run);
    assert_eq!(
        (start.worker.to_string(), start.history.len()),
        (second_version, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_stops_and_its_waiting_clients_are_told() {
    let world = World::new(Settings::default()).await;
    world.create("one").await;
    let start = world.started().await;
    world
        .engine
        .delete_instance(ACCOUNT, "flow", "one")
        .await
        .unwrap();
    assert_eq!(world.pass(10).await, [Command::Stop { run: start.run }]);
    let gone = world
        .engine
        .control(ACCOUNT, "flow", ("one", Control::Pause))
        .await;
    assert!(matches!(gone, Err(EngineError::InstanceNotFound(id)) if id == "one"));
    world.create("one").await;
    assert_eq!(world.started().await.instance_id, "one");
}

#[tokio::test(start_paused = true)]
async fn commands_that_the_state_does_not_allow_are_refused() {
    let world = World::new(Settings::default()).await;
    world.create("one").await;
    let start = world.started().await;
    let resumed = world
        .engine
        .control(ACCOUNT, "flow", ("one", Control::Resume))
        .await;
    assert!(matches!(resumed, Err(EngineError::Rejected(_))), "{resumed:?}");
    world.report(start.run, vec![returned("1")]);
    world.pass(10).await;
    let terminated = world
        .engine
        .control(
            ACCOUNT,
            "flow",
            ("one", Control::Terminate(cairn_engine::Undo::Nothing)),
        )
        .await;
    assert!(
        matches!(terminated, Err(EngineError::Rejected(_))),
        "{terminated:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_instance_of_an_id_is_refused_and_the_rest_of_the_batch_created() {
    let world = World::new(Settings::default()).await;
    world.create("one").await;
    let batch = ["one", "two", "two"].map(|id| CreateInstance {
        id: Some(id.into()),
        ..CreateInstance::default()
    });
    let created = world
        .engine
        .create(ACCOUNT, "flow", (Trigger::Api, batch.to_vec()))
        .await
        .unwrap();
    let outcomes: Vec<bool> = created.iter().map(Result::is_ok).collect();
    assert_eq!(outcomes, [false, true, false]);
    let invalid = CreateInstance {
        id: Some("batch".into()),
        ..CreateInstance::default()
    };
    let refused = world
        .engine
        .create(ACCOUNT, "flow", (Trigger::Api, vec![invalid]))
        .await;
    assert!(matches!(refused, Err(EngineError::InvalidName { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_new_server_takes_up_what_the_last_one_gave_back() {
    let (store, begun) = (MemoryStore::new(), Instant::now());
    let world = World::on(store.clone(), Settings::default(), begun).await;
    world.deploy("flow", WorkflowSettings::default()).await;
    world.create("one").await;
    let start = world.started().await;
    world.report(start.run, vec![execute(1, "a"), succeeded(1, "1")]);
    world.pass(10).await;
    world.engine.shutdown().await;
    let next = World::on(store, Settings::default(), begun).await;
    assert_eq!(next.started().await.history.len(), 1);
}
