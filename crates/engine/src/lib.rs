//! Drives instances: claims, decides, commits, acts.
//!
//! [`Engine`] is the handle that the server holds. What clients ask is in [`instances`](self) and `catalog`; the heartbeat is `dispatcher`, which owns
//! one `driver` for each instance this node holds. A driver is the only caller of the rules and the only source of commits.

mod admission;
mod amend;
mod binding;
mod carry;
mod catalog;
mod claims;
mod clock;
mod committer;
mod crons;
mod deployments;
mod details;
mod dispatcher;
mod doubles;
mod driver;
mod error;
mod event_text;
mod follow;
mod followers;
mod graphs;
mod ids;
mod instances;
mod keys;
mod lag;
mod limits;
mod maintenance;
mod message;
mod passed;
mod pulse;
mod rate;
mod retention;
mod schedules;
mod script;
mod secrets;
mod settings;
mod signal;
mod slots;
mod streams;
mod suspects;
mod testing;
mod versions;
mod weight;

pub use catalog::{PutWorkflow, ScheduleDetails, UploadedScript, WorkflowDetails};
pub use clock::{Clock, ShiftedClock, SteadyClock, SystemClock};
pub use crons::CronDetails;
pub use deployments::{Deployment, Origin};
pub use details::{InstanceDetails, Preview, StepOutput, StepStream};
pub use doubles::{Double, StepSelector};
pub use error::EngineError;
pub use follow::{Follow, Reach, Subscription, Told, ToldValue};
pub use graphs::WorkflowCode;
pub use instances::{CommandDone, Control, CreateInstance, CreatedInstance};
pub use pulse::EngineHealth;
pub use retention::{AccountRetention, Retention};
pub use script::{Author, EarlierSecrets, ScriptBinding, ScriptMetadata, StoredKind, StoredWorkers, Upload};
pub use secrets::{KeySource, SecretText, Secrets};
pub use settings::{Settings, WorkflowSettings};
pub use testing::{Outcome, StepEnd};

// The words of the crates below that appear in this crate's interface.
pub use cairn_core::{
    AttemptView, Cron, CronError, DurationInput, ErrorInfo, EventKind, EventType, InstanceEvent,
    InstanceView, InvalidName, Limits, Rejected, RestartFrom, RollbackView, RolledBackStep, Seq, Status,
    StepConfig, StepDetail, StepKey, StepKind, StepView, Timestamp, Undo, check_addressable_id,
    check_event_type, check_instance_id, check_workflow_name, parse_duration,
};
pub use cairn_runtime::{Firing, Module, ModuleKind, Value};
pub use cairn_store::{
    InstanceFilter, InstanceNo, InstancePage, InstanceRow, KeyRow, ScriptRow, ScriptVersionRow, SortOrder,
    StatusCounts, StoreError, Trigger, WorkflowPage, WorkflowRow, WorkflowVersionRow,
};

use cairn_runtime::{Report, Runtime};
use cairn_store::{NodeId, Store};
use parking_lot::Mutex;
use signal::Signal;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use tokio::sync::{mpsc, oneshot};

/// What an engine is made of.
pub struct Parts {
    /// The memory.
    pub store: Arc<dyn Store>,
    /// The hands.
    pub runtime: Arc<dyn Runtime>,
    /// Where the runtime's reports arrive.
    pub reports: mpsc::UnboundedReceiver<Vec<Report>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What opens and closes the secrets of scripts.
    pub secrets: Arc<Secrets>,
    /// Limits and sizes.
    pub settings: Settings,
}

/// A running engine. Clones share it.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// A client that waits for the outcome of a message.
struct Waiter {
    instance: InstanceNo,
    outcome: oneshot::Sender<Result<Status, EngineError>>,
}

/// What the handle and the dispatcher share.
struct Shared {
    store: Arc<dyn Store>,
    runtime: Arc<dyn Runtime>,
    clock: Arc<dyn Clock>,
    secrets: Arc<Secrets>,
    settings: Settings,
    node: NodeId,
    signals: mpsc::UnboundedSender<Signal>,
    /// Instances this node holds, or is about to.
    held: AtomicUsize,
    /// Who waits for the outcome of a message this node has sent, by token.
    waiters: Mutex<HashMap<u64, Waiter>>,
    next_token: AtomicU64,
    /// How many instances run at once, and who waits.
    slots: slots::Slots,
    /// Which instances follow the latest version.
    following: versions::Following,
    /// How long accounts keep instances.
    retention: retention::KnownRetention,
    /// How many instances were created of late.
    rates: rate::Rates,
    /// What is being created, and who is queued.
    admission: admission::Admission,
    /// Bytes of the values of the instances this node holds.
    scale: weight::Scale,
    /// Whether what runs is behind, and what is queued.
    flow: lag::Flow,
    /// What tests put in place of user code.
    doubles: doubles::AllDoubles,
    /// Who follows the events of instances.
    followers: followers::Followers,
    /// Holdings that are over, as long as an older answer may come.
    passed: Arc<passed::Passed>,
    /// Whether the heartbeat beats and the store writes.
    pulse: pulse::Pulse,
    /// Limits by workflow version and script version.
    known_limits: Mutex<HashMap<(String, String), Limits>>,
    /// Wakes whoever fires schedules.
    schedules_changed: tokio::sync::Notify,
    /// Wakes whoever fires schedules of scripts.
    crons_changed: tokio::sync::Notify,
    /// Held while schedules are counted and put.
    schedule_puts: tokio::sync::Mutex<()>,
    /// Held while a script is changed.
    script_locks: amend::ScriptLocks,
}

impl Engine {
    /// Starts an engine: registers this node, takes up what is due, and keeps going until [`Engine::shutdown`].
    ///
    /// # Errors
    /// [`EngineError::Store`] when the store cannot be used.
    pub async fn start(parts: Parts) -> Result<Self, EngineError> {
        let Parts {
            store,
            runtime,
            reports,
            clock,
            secrets,
            settings,
        } = parts;
        let node = store.register(clock.now().plus(settings.lease_millis)).await?;
        let loads = store.loads().await?;
        let with_settings = loads.into_iter().map(|load| {
            let settings = catalog::read_settings(&load.settings)?;
            Ok((load, settings))
        });
        let loads = with_settings.collect::<Result<Vec<_>, EngineError>>()?;
        let follows =
            |(load, own): &(cairn_store::Load, WorkflowSettings)| Some((load.workflow, own.follow_latest?));
        let following =
            versions::Following::new(settings.follow_latest, loads.iter().filter_map(follows).collect());
        let slots = slots::Slots::new(settings.concurrency_account, loads);
        let (signals, received) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            store,
            runtime,
            clock,
            secrets,
            settings,
            node,
            signals,
            held: AtomicUsize::new(0),
            waiters: Mutex::default(),
            next_token: AtomicU64::new(1),
            slots,
            retention: retention::KnownRetention::default(),
            following,
            rates: rate::Rates::default(),
            admission: admission::Admission::default(),
            scale: weight::Scale::default(),
            flow: lag::Flow::default(),
            doubles: doubles::AllDoubles::default(),
            followers: followers::Followers::default(),
            passed: Arc::default(),
            pulse: pulse::Pulse::begun(),
            known_limits: Mutex::default(),
            schedules_changed: tokio::sync::Notify::new(),
            crons_changed: tokio::sync::Notify::new(),
            schedule_puts: tokio::sync::Mutex::default(),
            script_locks: amend::ScriptLocks::default(),
        });
        dispatcher::start(Arc::clone(&shared), received, reports);
        Ok(Self { shared })
    }

    /// Starts nothing any more, gives up the instances that execute nothing, and the others when their callbacks have ended and what they returned is
    /// durable. Returns when none is left. What waits for an instance is told that the server stops; new instances are kept for the next start.
    pub async fn drain(&self) {
        let (done, finished) = oneshot::channel();
        if self.shared.signals.send(Signal::Drain(done)).is_ok() {
            // An error means that the dispatcher is gone already.
            let _ = finished.await;
        }
    }

    /// How many instances this node holds.
    pub fn held(&self) -> usize {
        self.shared.held.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// How it does. Costs nothing.
    pub fn health(&self) -> EngineHealth {
        self.shared.pulse.health(self.shared.settings.lease_millis)
    }

    /// Stops taking up work, waits for commits under way, and gives up the instances held. Runs are stopped; they go on at the next start.
    pub async fn shutdown(&self) {
        self.shared.followers.end();
        let (done, finished) = oneshot::channel();
        if self.shared.signals.send(Signal::Shutdown(done)).is_ok() {
            // An error means that the dispatcher is gone already.
            let _ = finished.await;
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }
}
