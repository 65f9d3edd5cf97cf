//! The life of one world: a few instances, clients that send events and pause them, and a node that dies again and again.

use crate::faults::Faulty;
use crate::model::{Model, Seen};
use crate::program::EVENT_TYPES;
use crate::random::Random;
use crate::runtime::SimRuntime;
use bytes::Bytes;
use cairn_core::{StepDetail, StepKind};
use cairn_engine::{
    Clock, Control, CreateInstance, EarlierSecrets, Engine, EngineError, InstanceDetails, Limits, Module,
    ModuleKind, Parts, PutWorkflow, Settings, Status, StepView, Timestamp, Trigger, Upload, Value,
    WorkflowSettings,
};
use cairn_store::{Claim, MemoryStore, NodeId, Store};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

const ACCOUNT: &str = "account";
const WORKFLOW: &str = "program";
/// Simulated time after which a world that has not come to its end is stuck.
const PATIENCE: Duration = Duration::from_secs(5 * 86_400);

/// A world in which something was wrong.
#[derive(Debug)]
pub struct Failure {
    /// The seed that repeats it.
    pub seed: u64,
    /// What was wrong.
    pub violations: Vec<String>,
}

/// What happened in a world in which nothing was wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// Callbacks executed.
    pub executions: u64,
    /// How often the node died.
    pub crashes: u64,
    /// Simulated milliseconds.
    pub millis: u64,
}

/// Runs the world of a seed.
///
/// # Errors
/// [`Failure`] with all that was wrong.
pub fn run(seed: u64) -> Result<Report, Failure> {
    let world = World::new(seed);
    let mut now = Duration::from_secs(1_700_000_000);
    let begun = now;
    let mut crashes = 0;
    loop {
        let lifetime = world.lifetime(crashes);
        let (ended, lived) = world.live(now, lifetime);
        now += lived;
        if ended || now - begun > PATIENCE || !world.model.violations().is_empty() {
            let violations = world.model.violations();
            let millis = u64::try_from((now - begun).as_millis()).unwrap_or(u64::MAX);
            let executions = world.model.executions();
            return match violations.is_empty() {
                true => Ok(Report {
                    executions,
                    crashes,
                    millis,
                }),
                false => Err(Failure { seed, violations }),
            };
        }
        crashes += 1;
    }
}

/// What a new node knows of the one that died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heritage {
    /// It was the only one: what it held is free, as when a database file is opened.
    Known,
    /// Nothing: its lease has to end first, and clients may wait longer than they want to.
    Unknown,
}

struct World {
    random: Random,
    heritage: Heritage,
    store: MemoryStore,
    model: Model,
    programs: u64,
    instances: u64,
    events: Arc<AtomicU64>,
}

/// The simulated clock: it goes on where the last life of the node ended.
struct SimClock {
    base: Duration,
    start: Instant,
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let now = self.base + self.start.elapsed();
        Timestamp(i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let random = Random::new(seed);
        Self {
            heritage: if random.chance(50) {
                Heritage::Known
            } else {
                Heritage::Unknown
            },
            programs: random.below(u64::MAX),
            instances: random.between(1, 5),
            store: MemoryStore::new(),
            model: Model::default(),
            events: Arc::new(AtomicU64::new(1)),
            random,
        }
    }

    /// How long the node lives; for ever once it has died often enough.
    fn lifetime(&self, crashes: u64) -> Duration {
        if crashes >= 12 || self.random.chance(15) {
            return PATIENCE * 2;
        }
        Duration::from_millis(match self.random.below(3) {
            0 => self.random.between(1, 100),
            1 => self.random.between(100, 10_000),
            _ => self.random.between(10_000, 4_000_000),
        })
    }

    /// One life of the node: whether all has come to its end, and how long it took.
    fn live(&self, base: Duration, lifetime: Duration) -> (bool, Duration) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        let Ok(runtime) = runtime else {
            return (false, lifetime);
        };
        runtime.block_on(async {
            let start = Instant::now();
            let ended = tokio::select! {
                biased;
                ended = self.node(SimClock { base, start }) => ended,
                () = tokio::time::sleep(lifetime.min(PATIENCE)) => {
                    if lifetime > PATIENCE {
                        self.model.wrong(self.stuck().await);
                    }
                    false
                }
            };
            (ended, start.elapsed() + Duration::from_millis(1))
        })
        // Dropping the runtime is the crash: whatever was in memory is gone.
    }

    async fn node(&self, clock: SimClock) -> bool {
        if self.heritage == Heritage::Known {
            self.free_what_was_held(clock.now()).await;
        }
        let (sender, reports) = tokio::sync::mpsc::unbounded_channel();
        let percent = Arc::new(AtomicU64::new(if self.random.chance(50) {
            0
        } else {
            self.random.between(1, 10)
        }));
        let runtime = SimRuntime::new(&self.random, self.programs, self.model.clone(), sender);
        let parts = Parts {
            store: Arc::new(Faulty::new(self.store.clone(), self.random.fork(3), percent)),
            runtime: Arc::new(runtime.clone()),
            reports,
            clock: Arc::new(clock),
            settings: Settings {
                limits: Limits::default(),
                retention_millis: 365 * 86_400_000,
                instances_in_memory: usize::try_from(self.random.between(1, 6)).unwrap_or(1),
                ..Settings::default()
            },
        };
        let Ok(engine) = Engine::start(parts).await else {
            return false;
        };
        if let Err(error) = self.set_up(&engine).await {
            self.model.wrong(format!("the set-up failed: {error}"));
            return false;
        }
        let clients = [tokio::spawn(client(
            engine.clone(),
            self.random.fork(4),
            (
                self.instances,
                Arc::clone(&self.events),
                (self.heritage, self.model.clone()),
            ),
        ))];
        let killer = tokio::spawn(kill_processes(runtime, self.random.fork(5)));
        let ended = self.wait_for_the_end(&engine).await;
        killer.abort();
        for client in clients {
            client.abort();
        }
        if ended {
            self.check(&engine).await;
        }
        ended
    }

    async fn free_what_was_held(&self, now: Timestamp) {
        let Ok(node) = self.store.register(now).await else {
            return;
        };
        for earlier in 1..=node.0 {
            // The memory store itself does not fail.
            let _ = self.store.renew(NodeId(earlier), Timestamp(0)).await;
        }
        let _ = self
            .store
            .claim(Claim {
                node: NodeId(0),
                now,
                limit: 0,
            })
            .await;
    }

    async fn set_up(&self, engine: &Engine) -> Result<(), EngineError> {
        if engine.script(ACCOUNT, "script").await?.is_none() {
            let uploaded = engine.upload_script(ACCOUNT, "script", upload()).await?;
            engine
                .deploy_version(ACCOUNT, "script", &uploaded.version)
                .await?;
            let settings = WorkflowSettings::default();
            let put = PutWorkflow {
                script: "script".into(),
                class_name: "Program".into(),
                settings,
            };
            engine.put_workflow(ACCOUNT, WORKFLOW, put).await?;
        }
        for number in 0..self.instances {
            self.create(engine, number).await?;
        }
        Ok(())
    }

    /// Creates an instance as a client does who does not know whether he succeeded before.
    async fn create(&self, engine: &Engine, number: u64) -> Result<(), EngineError> {
        loop {
            let create = CreateInstance {
                id: Some(id(number)),
                ..CreateInstance::default()
            };
            match engine
                .create(ACCOUNT, WORKFLOW, (Trigger::Api, vec![create]))
                .await
            {
                Ok(_) => return Ok(()),
                Err(EngineError::Store(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn wait_for_the_end(&self, engine: &Engine) -> bool {
        loop {
            tokio::time::sleep(Duration::from_millis(self.random.between(1, 60_000))).await;
            let mut open = 0;
            for number in 0..self.instances {
                match engine.instance_row(ACCOUNT, WORKFLOW, &id(number)).await {
                    Ok((_, row)) if row.status.is_final() => {}
                    Ok((_, row)) if row.status == Status::Paused => {
                        open += 1;
                        // Somebody always resumes in the end.
                        let _ = engine
                            .control(ACCOUNT, WORKFLOW, (&id(number), Control::Resume))
                            .await;
                    }
                    Ok(_) => open += 1,
                    Err(error) => self
                        .model
                        .wrong(format!("instance {number} cannot be read: {error}")),
                }
            }
            if open == 0 || !self.model.violations().is_empty() {
                return true;
            }
        }
    }

    async fn stuck(&self) -> String {
        let mut text = String::from("stuck:");
        for workflow in 1..2 {
            if let Ok(page) = self
                .store
                .instances(
                    workflow,
                    &cairn_store::InstanceFilter {
                        limit: 100,
                        ..Default::default()
                    },
                )
                .await
            {
                for row in page.rows {
                    text.push_str(&format!(" {} is {}", row.id, row.status.as_str()));
                }
            }
        }
        text
    }

    /// At the end: every instance is complete, and what is kept of each step is what its user code saw.
    async fn check(&self, engine: &Engine) {
        for number in 0..self.instances {
            let details = match engine.instance(ACCOUNT, WORKFLOW, (&id(number), 10_000)).await {
                Ok(details) => details,
                Err(error) => {
                    self.model
                        .wrong(format!("{} cannot be told: {error}", id(number)));
                    continue;
                }
            };
            if details.row.status != Status::Complete {
                let text = format!(
                    "{} is {} with {:?}",
                    id(number),
                    details.row.status.as_str(),
                    details.view.error
                );
                self.model.wrong(text);
            }
            for step in &details.view.steps {
                let kept = step
                    .output()
                    .and_then(|seq| details.previews.get(&seq))
                    .map(|preview| preview.text.clone());
                self.check_step(number, step, kept.as_deref());
            }
            self.check_event_order(&details);
        }
    }

    /// Events of one type are taken in the order in which they were sent.
    fn check_event_order(&self, details: &InstanceDetails) {
        let mut taken: BTreeMap<&str, Vec<(u64, Timestamp)>> = BTreeMap::new();
        for step in &details.view.steps {
            let StepDetail::Wait {
                event_type,
                event: Some(seq),
                ..
            } = &step.detail
            else {
                continue;
            };
            let number = details
                .previews
                .get(seq)
                .and_then(|preview| preview.text.parse().ok());
            if let (Some(number), Some(at)) = (number, step.ended_at) {
                taken.entry(event_type).or_default().push((number, at));
            }
        }
        for (event_type, mut events) in taken {
            events.sort_unstable();
            if !events.is_sorted_by_key(|(_, at)| *at) {
                self.model.wrong(format!(
                    "{}: events of type {event_type} out of order: {events:?}",
                    details.row.id
                ));
            }
        }
    }

    fn check_step(&self, number: u64, step: &StepView, kept: Option<&str>) {
        let name = format!("{} {}", step.key.kind.as_str(), step.key);
        let kept = match (
            &step.detail,
            step.success(),
            kept.and_then(|text| text.parse().ok()),
        ) {
            (_, None, _) => None,
            (_, Some(false), _) => Some(Seen::Failed),
            (StepDetail::Sleep { .. }, Some(true), _) => Some(Seen::Slept),
            (StepDetail::Do { .. }, Some(true), Some(value)) => Some(Seen::Value(value)),
            (StepDetail::Wait { .. }, Some(true), Some(value)) => Some(Seen::Event(value)),
            (StepDetail::Do { .. } | StepDetail::Wait { .. }, Some(true), None) => {
                return self
                    .model
                    .wrong(format!("{}: the value of {name} is gone", id(number)));
            }
        };
        let seen = self.model.seen(&id(number), &name);
        // An inner step of an attempt that was given up may have ended without anybody to see it.
        if seen.is_some() && seen != kept {
            self.model.wrong(format!(
                "{}: {name} was seen as {seen:?} and is kept as {kept:?}",
                id(number)
            ));
        }
        debug_assert!(step.key.kind != StepKind::Sleep || kept != Some(Seen::Failed));
    }
}

fn id(number: u64) -> String {
    format!("instance-{number}")
}

fn upload() -> Upload {
    Upload {
        main_module: "index.js".into(),
        modules: vec![Module {
            name: "index.js".into(),
            kind: ModuleKind::EsModule,
            content: Bytes::new(),
        }],
        bindings: Vec::new(),
        workflow_exports: Vec::new(),
        secrets: EarlierSecrets::Drop,
        compatibility_date: "2026-11-01".into(),
        compatibility_flags: Vec::new(),
        annotations: None,
    }
}

/// Sends numbered events, and pauses and resumes now and then.
async fn client(
    engine: Engine,
    random: Random,
    (instances, events, watch): (u64, Arc<AtomicU64>, (Heritage, Model)),
) {
    loop {
        tokio::time::sleep(Duration::from_millis(random.between(1, 20_000))).await;
        let id = id(random.below(instances));
        let outcome = match random.below(10) {
            0 => engine.control(ACCOUNT, WORKFLOW, (&id, Control::Pause)).await,
            1 | 2 => engine.control(ACCOUNT, WORKFLOW, (&id, Control::Resume)).await,
            _ => {
                let number = events.fetch_add(1, Ordering::Relaxed);
                let event_type = EVENT_TYPES[usize::from(random.chance(30))];
                let Ok(payload) = Value::from_json(&number.to_string()) else {
                    continue;
                };
                engine
                    .send_event(ACCOUNT, WORKFLOW, (&id, event_type, payload))
                    .await
            }
        };
        // A client lives with a store that is down, and with an instance that is not in a state for what he asks.
        if let (Err(EngineError::OutcomeUnknown), (Heritage::Known, model)) = (outcome, &watch) {
            model.wrong(format!(
                "a client of {id} was not told what became of his command"
            ));
        }
    }
}

async fn kill_processes(runtime: SimRuntime, random: Random) {
    loop {
        tokio::time::sleep(Duration::from_millis(random.between(10, 200_000))).await;
        runtime.kill_process();
    }
}
