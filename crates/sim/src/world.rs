//! The life of one world: a few instances, clients, and a node that dies again and again.

use crate::check;
use crate::client::{ACCOUNT, Answers, Client, Commands, Plan, WORKFLOW, Whims};
use crate::faults::Faulty;
use crate::follower;
use crate::harsh::{Harsh, SimClock};
use crate::link::{Gate, Link, Manners, Reads, Writers};
use crate::model::{Clocks, Company, Messages, Model, Rules, Sent, Verbosity, Versions, Weather};
use crate::program::Taste;
use crate::random::Random;
use crate::run::pause;
use crate::runtime::SimRuntime;
use bytes::Bytes;
use cairn_engine::{
    Clock, CreateInstance, EarlierSecrets, Engine, EngineError, Limits, Module, ModuleKind, Parts,
    PutWorkflow, Settings, Status, Timestamp, Trigger, Upload, WorkflowSettings,
};
use cairn_store::{Claim, InboxNo, MemoryStore, NodeId, Store};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Simulated time after which a world that has not come to its end is stuck.
const PATIENCE: Duration = Duration::from_secs(5 * 86_400);
/// Simulated time in which something must happen, milliseconds.
const LONGEST_SILENCE_MILLIS: i64 = 3 * 3_600_000;

const EVERY_20_MINUTES: &str = "*/20 * * * *";
/// Chance of a world in which few instances may run at once, percent.
const SLOTS_PERCENT: u64 = 15;

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
    /// Rollback handlers called.
    pub undone: u64,
    /// How often the node died.
    pub crashes: u64,
    /// Simulated milliseconds.
    pub millis: u64,
    /// Lines of the log of all that happened.
    pub lines: u64,
    /// Digest of that log.
    pub digest: u64,
}

/// Runs the world of a seed.
///
/// # Errors
/// [`Failure`] with all that was wrong.
pub fn run(seed: u64) -> Result<Report, Failure> {
    World::new(seed, Verbosity::Digest).run(seed)
}

/// Runs the world of a seed twice: the same must happen.
///
/// # Errors
/// [`Failure`] with all that was wrong, or with the first difference.
pub fn run_twice(seed: u64) -> Result<Report, Failure> {
    let (first, second) = (run(seed)?, run(seed)?);
    if first == second {
        return Ok(first);
    }
    let (first, second) = (log(seed), log(seed));
    let differs = first.iter().zip(&second).find(|(left, right)| left != right);
    let text = differs.map_or_else(
        || "a log is longer than the other".into(),
        |(left, right)| format!("\n  {left}\n  {right}"),
    );
    Err(Failure {
        seed,
        violations: vec![format!("not the same happened twice: {text}")],
    })
}

/// All that happens in the world of a seed, as text.
pub fn log(seed: u64) -> Vec<String> {
    let world = World::new(seed, Verbosity::Text);
    let model = world.model.clone();
    // What is wrong stands in the log.
    let _ = world.run(seed);
    model.text()
}

/// What a new node knows of the one that died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heritage {
    /// It was the only one: what it held is free, as when a database file is opened.
    Known,
    /// Nothing: its lease has to end first, and clients may wait longer than they want to.
    Unknown,
}

/// A node that lives.
struct Node {
    life: u64,
    engine: Engine,
    runtime: SimRuntime,
    link: Arc<Link>,
}

struct World {
    random: Random,
    heritage: Heritage,
    store: MemoryStore,
    model: Model,
    instances: u64,
    settings: Settings,
    workflow: WorkflowSettings,
    compatibility_date: &'static str,
    /// How nodes reach the store.
    manners: Manners,
    /// What only some worlds have.
    harsh: Option<Harsh>,
    plan: Plan,
    told: follower::Told,
    /// Commands under way on nodes beside the first.
    elsewhere: Mutex<Vec<Arc<AtomicU64>>>,
    clocks: [Arc<AtomicI64>; 2],
    lives: AtomicU64,
    is_set_up: AtomicBool,
}

fn taste(random: &Random) -> Taste {
    match random.below(10) {
        0..=3 => Taste::Everything,
        4..=6 => Taste::Undoing,
        7 => Taste::Events,
        _ => Taste::Failures,
    }
}

fn limits(random: &Random) -> Limits {
    let defaults = Limits::default();
    let small = |low, high| u32::try_from(random.between(low, high)).unwrap_or(u32::MAX);
    let rest = [0, 1_000, 10_000, 10_000, 100_000];
    Limits {
        steps: if random.chance(10) {
            small(2, 12)
        } else {
            defaults.steps
        },
        result_bytes: if random.chance(30) {
            256
        } else {
            defaults.result_bytes
        },
        state_bytes: if random.chance(8) {
            random.between(6, 150)
        } else {
            defaults.state_bytes
        },
        rest_after_millis: rest[usize::try_from(random.below(5)).unwrap_or(0)],
        ..defaults
    }
}

fn settings(random: &Random, weather: Weather, limits: Limits) -> Settings {
    let calm = weather == Weather::Calm;
    let in_memory = if calm { 100 } else { random.between(1, 6) };
    Settings {
        limits,
        retention_millis: if !calm && random.chance(10) {
            random.between(60_000, 1_200_000)
        } else {
            365 * 86_400_000
        },
        instances_in_memory: usize::try_from(in_memory).unwrap_or(1),
        lease_millis: if random.chance(20) { 30_000 } else { 300_000 },
        ..Settings::default()
    }
}

fn manners(faults: u64, harsh: Option<&Harsh>) -> Manners {
    match harsh {
        Some(harsh) => Manners {
            faults,
            ..harsh.manners
        },
        None => Manners {
            faults,
            reads: Reads::Prompt,
            writers: Writers::Many,
            slow: 0,
        },
    }
}

fn rules(
    (limits, messages): (Limits, Messages),
    (weather, slots): (Weather, Option<u32>),
    harsh: Option<&Harsh>,
) -> Rules {
    Rules {
        limits,
        messages,
        weather,
        // Clients may set a limit at any moment.
        slots: match harsh {
            Some(harsh) if harsh.whims == Whims::All => slots.or(Some(u32::MAX)),
            Some(_) | None => slots,
        },
        company: harsh.map_or(Company::Alone, |harsh| harsh.company),
        clocks: match harsh {
            Some(harsh) if harsh.clock_steps > 0 => Clocks::Set,
            Some(_) | None => Clocks::Steady,
        },
        versions: harsh.map_or(Versions::Pinned, |harsh| harsh.versions),
    }
}

fn workflow(random: &Random, (slots, harsh): (Option<u32>, Option<&Harsh>)) -> WorkflowSettings {
    WorkflowSettings {
        concurrency: slots,
        follow_latest: match harsh {
            Some(harsh) if harsh.versions == Versions::Followed => Some(true),
            Some(_) | None => None,
        },
        schedules: if random.chance(8) {
            vec![EVERY_20_MINUTES.into()]
        } else {
            Vec::new()
        },
        ..WorkflowSettings::default()
    }
}

fn plan(random: &Random, weather: Weather, (heritage, harsh): (Heritage, Option<&Harsh>)) -> Plan {
    let calm = weather == Weather::Calm;
    Plan {
        left: Arc::new(AtomicU64::new(random.between(0, 30))),
        busy: Arc::default(),
        commands: if calm { Commands::Events } else { Commands::All },
        answers: match heritage {
            Heritage::Known if harsh.is_none() => Answers::Always,
            Heritage::Known | Heritage::Unknown => Answers::Sometimes,
        },
        whims: harsh.map_or(Whims::None, |harsh| harsh.whims),
        longest_wait: [200, 3_000, 20_000, 60_000][usize::try_from(random.below(4)).unwrap_or(0)],
    }
}

impl World {
    fn new(seed: u64, verbosity: Verbosity) -> Self {
        let random = Random::new(seed);
        let weather = if random.chance(12) {
            Weather::Calm
        } else {
            Weather::Stormy
        };
        let calm = weather == Weather::Calm;
        let taste = taste(&random);
        let limits = limits(&random);
        let harsh = if calm { None } else { Harsh::of(seed) };
        // Each node counts for itself.
        let is_alone = harsh.as_ref().is_none_or(|harsh| harsh.company == Company::Alone);
        let slots =
            (!calm && random.chance(SLOTS_PERCENT)).then(|| u32::try_from(random.between(1, 2)).unwrap_or(1));
        let instances = random.between(1, if slots.is_some() { 6 } else { 4 });
        let messages = if random.chance(50) {
            Messages::Own
        } else {
            Messages::Wrapped
        };
        let heritage = if random.chance(60) {
            Heritage::Known
        } else {
            Heritage::Unknown
        };
        let slots = slots.filter(|_| is_alone);
        let rules = rules((limits.clone(), messages), (weather, slots), harsh.as_ref());
        let settings = settings(&random, weather, limits);
        let plan = plan(&random, weather, (heritage, harsh.as_ref()));
        Self {
            heritage,
            instances,
            store: MemoryStore::new(),
            model: Model::new(rules, (random.below(u64::MAX), taste), verbosity),
            settings,
            workflow: workflow(&random, (slots, harsh.as_ref())),
            compatibility_date: match messages {
                Messages::Own => "2026-11-01",
                Messages::Wrapped => "2026-01-01",
            },
            manners: {
                let faults = if calm || random.chance(40) {
                    0
                } else {
                    random.between(1, 10)
                };
                manners(faults, harsh.as_ref())
            },
            harsh,
            plan,
            told: follower::Told::default(),
            elsewhere: Mutex::default(),
            clocks: [Arc::default(), Arc::default()],
            lives: AtomicU64::new(0),
            is_set_up: AtomicBool::new(false),
            random,
        }
    }

    fn run(self, seed: u64) -> Result<Report, Failure> {
        let begun = Duration::from_secs(1_700_000_000);
        let (mut now, mut crashes) = (begun, 0);
        check::watch_panics();
        loop {
            let (ended, lived) = self.live(now, self.lifetime(crashes));
            check::no_panic(&self.model);
            now += lived;
            if ended || now - begun > PATIENCE || !self.model.is_fine() {
                break;
            }
            crashes += 1;
        }
        if !self.model.is_fine() {
            return Err(Failure {
                seed,
                violations: self.model.violations(),
            });
        }
        let (digest, lines, executions, undone) = self.model.figures();
        Ok(Report {
            executions,
            undone,
            crashes,
            millis: u64::try_from((now - begun).as_millis()).unwrap_or(u64::MAX),
            lines,
            digest,
        })
    }

    /// How long the node lives; for ever once it has died often enough.
    fn lifetime(&self, crashes: u64) -> Duration {
        let calm = self.model.rules().weather == Weather::Calm;
        if calm || crashes >= 8 || self.random.chance(20) {
            return PATIENCE * 2;
        }
        Duration::from_millis(match self.random.below(4) {
            0 => self.random.between(1, 100),
            1 => self.random.between(100, 5_000),
            2 => self.random.between(5_000, 60_000),
            _ => self.random.between(60_000, 1_000_000),
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
            self.model.live(i64::try_from(base.as_millis()).unwrap_or(0));
            self.plan.busy.store(0, Ordering::Relaxed);
            self.elsewhere.lock().clear();
            let clock = |place: usize| SimClock {
                base,
                start,
                offset: Arc::clone(&self.clocks[place]),
                model: self.model.clone(),
            };
            let ended = tokio::select! {
                biased;
                ended = self.first_node(clock(0)) => ended,
                () = self.neighbours(|| clock(1)) => false,
                () = self.steps_of_clocks() => false,
                () = tokio::time::sleep(lifetime.min(PATIENCE)) => {
                    if lifetime > PATIENCE {
                        self.model.wrong(check::stuck(&self.model));
                    }
                    false
                }
            };
            (ended, start.elapsed() + Duration::from_millis(1))
        })
        // Dropping the runtime is the crash: whatever was in memory is gone.
    }

    /// A node begins to live.
    async fn begin(&self, clock: SimClock) -> Option<Node> {
        let life = self.lives.fetch_add(1, Ordering::Relaxed);
        let (sender, reports) = tokio::sync::mpsc::unbounded_channel();
        let runtime = SimRuntime::new(life, &self.random, (self.model.clone(), sender));
        let link = Arc::new(Link::new(self.random.fork(3), self.manners));
        let faulty = Faulty::new(self.store.clone(), Arc::clone(&link), (self.model.clone(), life));
        let faulty: Arc<dyn cairn_store::Store> = Arc::new(faulty);
        let parts = Parts {
            secrets: Arc::new(cairn_engine::Secrets::in_memory(Arc::clone(&faulty))),
            store: faulty,
            runtime: Arc::new(runtime.clone()),
            reports,
            clock: Arc::new(clock),
            settings: self.settings.clone(),
        };
        let engine = Engine::start(parts).await.ok()?;
        Some(Node {
            life,
            engine,
            runtime,
            link,
        })
    }

    async fn first_node(&self, clock: SimClock) -> bool {
        if self.heritage == Heritage::Known {
            self.free_what_was_held(clock.now()).await;
        }
        let Some(node) = self.begin(clock).await else {
            return false;
        };
        let Node {
            life,
            engine,
            runtime,
            link,
        } = node;
        if let Err(error) = self.set_up(&engine).await {
            self.model.wrong(format!("the set-up failed: {error}"));
            return false;
        }
        let client = |label| self.client(&engine, label, self.plan.clone());
        tokio::spawn(client(4).work());
        tokio::spawn(client(5).work());
        if self.plan.commands == Commands::All {
            tokio::spawn(kill_processes(runtime, self.random.fork(6)));
        }
        if let Some(harsh) = &self.harsh {
            tokio::spawn(harsh.cut_off(Arc::clone(&link), self.random.fork(8)));
            tokio::spawn(self.follower(&engine));
        }
        self.wait_for_the_end(&client(7)).await;
        if self.manners.faults == 0 && life == 0 && self.harsh.is_none() {
            self.model.check_slots();
        }
        link.heal();
        if self.model.is_fine() {
            self.model.check_post();
            check::at_the_end(&self.model, &engine).await;
            follower::at_the_end(&engine, &self.model, &self.told).await;
        }
        true
    }

    fn client(&self, engine: &Engine, label: u64, plan: Plan) -> Client {
        Client {
            engine: engine.clone(),
            random: self.random.fork(label),
            model: self.model.clone(),
            plan,
            workflow: self.workflow.clone(),
            compatibility_date: self.compatibility_date,
        }
    }

    fn follower(&self, engine: &Engine) -> impl Future<Output = ()> + 'static {
        let with = (self.random.fork(9), Arc::clone(&self.told));
        follower::follow(engine.clone(), self.model.clone(), with)
    }

    /// Other nodes on the same store, one after the other, for a while each.
    async fn neighbours(&self, clock: impl Fn() -> SimClock) {
        let Some(harsh) = self
            .harsh
            .as_ref()
            .filter(|harsh| harsh.company == Company::Neighbours)
        else {
            return std::future::pending().await;
        };
        for _ in 0..harsh.neighbours {
            pause(harsh.random.between(0, 400_000)).await;
            let Some(node) = self.begin(clock()).await else {
                continue;
            };
            self.neighbour(harsh, node).await;
        }
        std::future::pending::<()>().await;
    }

    async fn neighbour(&self, harsh: &Harsh, node: Node) {
        let busy = Arc::new(AtomicU64::new(0));
        self.elsewhere.lock().push(Arc::clone(&busy));
        let plan = Plan {
            busy: Arc::clone(&busy),
            ..self.plan.clone()
        };
        let client = self.client(&node.engine, 4, plan);
        let tasks = [
            tokio::spawn(client.work()),
            tokio::spawn(kill_processes(node.runtime.clone(), self.random.fork(6))),
            tokio::spawn(harsh.cut_off(Arc::clone(&node.link), self.random.fork(8))),
            tokio::spawn(self.follower(&node.engine)),
        ];
        pause(harsh.random.between(1_000, 1_500_000)).await;
        if harsh.random.chance(30) {
            // It stops in order, if it can.
            let stop = async {
                node.engine.drain().await;
                node.engine.shutdown().await;
            };
            // It may not be able to.
            let _ = tokio::time::timeout(Duration::from_secs(60), stop).await;
        }
        for task in tasks {
            task.abort();
        }
        node.link.set(Gate::Gone);
        node.runtime.die();
        busy.store(0, Ordering::Relaxed);
    }

    /// Clocks that are set, forward and back.
    async fn steps_of_clocks(&self) {
        let Some(harsh) = self.harsh.as_ref().filter(|harsh| harsh.clock_steps > 0) else {
            return std::future::pending().await;
        };
        for _ in 0..harsh.clock_steps {
            pause(harsh.random.between(100, 1_800_000)).await;
            let clock = &self.clocks[usize::from(harsh.random.chance(40))];
            clock.fetch_add(harsh.step(), Ordering::Relaxed);
        }
        std::future::pending::<()>().await;
    }

    async fn free_what_was_held(&self, now: Timestamp) {
        self.model.all_free();
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
        while !self.is_set_up.load(Ordering::Relaxed) {
            match self.set_up_workflow(engine).await {
                Ok(()) => self.is_set_up.store(true, Ordering::Relaxed),
                Err(EngineError::Store(_)) => pause(100).await,
                Err(error) => return Err(error),
            }
        }
        for number in 0..self.instances {
            self.create(engine, number).await?;
        }
        Ok(())
    }

    async fn set_up_workflow(&self, engine: &Engine) -> Result<(), EngineError> {
        let upload = upload(self.compatibility_date);
        let uploaded = engine.upload_script(ACCOUNT, "script", upload).await?;
        engine
            .deploy_version(ACCOUNT, "script", &uploaded.version)
            .await?;
        let put = PutWorkflow {
            script: "script".into(),
            class_name: "Program".into(),
            settings: self.workflow.clone(),
        };
        engine.put_workflow(ACCOUNT, WORKFLOW, put).await?;
        Ok(())
    }

    /// Creates an instance as a client does who does not know whether he succeeded before.
    async fn create(&self, engine: &Engine, number: u64) -> Result<(), EngineError> {
        loop {
            let create = CreateInstance {
                id: Some(format!("instance-{number}")),
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

    /// Waits until all instances have ended and nobody wants anything. Whoever paused one resumes it in the end.
    async fn wait_for_the_end(&self, client: &Client) {
        while self.model.is_fine() {
            tokio::time::sleep(Duration::from_millis(self.random.between(1, 20_000))).await;
            check::no_panic(&self.model);
            if self.manners.faults == 0 && self.harsh.is_none() && !self.workflow.schedules.is_empty() {
                self.model.check_schedule();
            }
            let mut open = self.plan.left.load(Ordering::Relaxed) + self.plan.busy.load(Ordering::Relaxed);
            open += { self.elsewhere.lock() }
                .iter()
                .map(|busy| busy.load(Ordering::Relaxed))
                .sum::<u64>();
            for (no, _, id) in self.model.numbers() {
                let status = self.model.ask(&id, |ledger| ledger.status);
                if status == Some(Status::Paused) && self.random.chance(50) {
                    client.send(&id, &Sent::Resume).await;
                }
                let mail = self.store.inbox(no, InboxNo::default()).await;
                let is_quiet = mail.is_ok_and(|mail| mail.is_empty());
                open += u64::from(!(is_quiet && status.is_some_and(Status::is_final)));
            }
            if open == 0 {
                return;
            }
            let steps = self.harsh.as_ref().map_or(0, |harsh| harsh.clock_steps);
            if self.model.idle_millis() > LONGEST_SILENCE_MILLIS * (1 + i64::from(steps)) {
                self.model.wrong(check::stuck(&self.model));
            }
        }
    }
}

pub(crate) fn upload(compatibility_date: &str) -> Upload {
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
        compatibility_date: compatibility_date.into(),
        compatibility_flags: Vec::new(),
        annotations: None,
    }
}

async fn kill_processes(runtime: SimRuntime, random: Random) {
    loop {
        tokio::time::sleep(Duration::from_millis(random.between(10, 200_000))).await;
        runtime.kill_process();
    }
}
