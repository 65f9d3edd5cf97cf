//! What must be true, told by somebody who does not read the engine's code: he watches user code, clients and the store.
//!
//! What the store has written is followed by a [`ledger`] for each instance, which knows the program of the instance and what user code and
//! clients have done: every entry must be legal where it stands and have a cause. What user code and clients are told must be in the
//! ledger when they are told.

mod attempt;
mod causes;
mod ledger;
mod post;
mod undo;
mod views;
mod watch;

pub(crate) use causes::{End, Sent};
pub(crate) use ledger::{Kept, Ledger};
pub(crate) use watch::RunKey;

use crate::program::{Program, Taste};
use crate::random::Random;
use cairn_core::{Entry, Limits, Record, Timestamp};
use cairn_store::{Commit, InstanceNo, Lease, NewInstance, NodeId, Trigger};
use causes::Causes;
use parking_lot::Mutex;
use post::Post;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::time::Instant;
use views::Views;
use watch::Watched;

/// What holds in a world.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) limits: Limits,
    /// Whether errors that must not be retried keep their own message.
    pub(crate) messages: Messages,
    pub(crate) weather: Weather,
    /// How many instances may run at once.
    pub(crate) slots: Option<u32>,
    pub(crate) company: Company,
    pub(crate) clocks: Clocks,
    pub(crate) versions: Versions,
}

/// Which version of their code instances run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Versions {
    /// The one they started with, or were restarted on.
    Pinned,
    /// The latest.
    Followed,
}

/// Whether clocks are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clocks {
    Steady,
    /// Forward and back: an entry may be older than the one before it.
    Set,
}

/// How many nodes live at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Company {
    Alone,
    /// Another one takes what is left to it, and loses it again.
    Neighbours,
}

/// How errors that must not be retried are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Messages {
    Own,
    Wrapped,
}

/// Whether anything goes wrong in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Nothing dies, nothing fails, nobody pauses anything: what is due happens at once.
    Calm,
    /// Anything may happen at any time.
    Stormy,
}

/// The watcher. Outlives every crash.
#[derive(Clone)]
pub(crate) struct Model {
    state: Arc<Mutex<State>>,
    /// The latest that any clock has shown.
    latest: Arc<AtomicI64>,
}

struct State {
    rules: Rules,
    /// The simulated time at which this life of the node began, and what it was for tokio.
    base: i64,
    start: Option<Instant>,
    seed: (u64, Taste),
    instances: BTreeMap<InstanceNo, Instance>,
    by_id: BTreeMap<String, InstanceNo>,
    runs: BTreeMap<RunKey, Watched>,
    /// Ids of instances that were removed, with what clients had sent them.
    deleted: BTreeMap<String, Causes>,
    /// Which node a life is.
    nodes: BTreeMap<u64, NodeId>,
    /// Until when nodes have said that they live, and whose instances anybody may take.
    leases: BTreeMap<NodeId, i64>,
    violations: Vec<String>,
    log: Log,
    nonces: u64,
    executions: u64,
    undone: u64,
    last_activity: i64,
    /// The newest firing of the schedule.
    fired: i64,
}

struct Instance {
    workflow: i64,
    ledger: Ledger,
    causes: Causes,
    last_run: Option<RunKey>,
    views: Views,
    post: Post,
    created_at: Timestamp,
    /// The version it is pinned to.
    version: String,
    /// Whether the node that held it was given up.
    free: bool,
}

impl Instance {
    /// Whether it may run on another version from now on.
    fn repinned(&mut self, commit: &Commit, is_pinned: bool) -> Result<(), String> {
        let Some(repin) = &commit.repin else {
            return Ok(());
        };
        self.version.clone_from(&repin.script_version);
        if is_pinned {
            return Err(format!("{}: another version without a restart", self.ledger.id));
        }
        Ok(())
    }
}

/// All that happened, as a digest and, when asked for, as text.
struct Log {
    digest: u64,
    lines: u64,
    text: Option<Vec<String>>,
    line: String,
}

/// Whether a log is kept as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verbosity {
    Digest,
    Text,
}

impl Log {
    fn add(&mut self, now: i64, what: std::fmt::Arguments<'_>) {
        self.line.clear();
        // Writing to a String cannot fail.
        let _ = write!(self.line, "{now} {what}");
        self.lines += 1;
        for byte in self.line.bytes().chain([b'\n']) {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if let Some(text) = &mut self.text {
            text.push(self.line.clone());
        }
    }
}

impl State {
    fn now(&self) -> i64 {
        let lived = self.start.map_or(0, |start| start.elapsed().as_millis());
        self.base + i64::try_from(lived).unwrap_or(0)
    }

    fn log(&mut self, what: std::fmt::Arguments<'_>) {
        let now = self.now();
        self.log.add(now, what);
    }

    fn wrong(&mut self, text: String) {
        self.log(format_args!("WRONG {text}"));
        // What follows from it does not matter.
        if self.violations.is_empty() {
            self.violations.push(text);
        }
    }

    fn instance(&mut self, id: &str) -> Option<&mut Instance> {
        self.instances.get_mut(self.by_id.get(id)?)
    }
}

/// How often the schedule of a world fires, milliseconds.
const FIRES_EVERY: i64 = 20 * 60_000;
/// In which time a firing is carried out while the node lives, milliseconds.
const FIRES_WITHIN: i64 = 10_000;

impl State {
    /// The schedule has fired: at the right moment, once, and the newest firing only of those that were missed.
    fn fires(&mut self, id: &str, at: i64) -> Result<(), String> {
        let due = id.rsplit('-').next().and_then(|due| due.parse::<i64>().ok());
        let due = due.ok_or_else(|| format!("{id} does not say when it was due"))?;
        let newest = at - at.rem_euclid(FIRES_EVERY);
        if due != newest && due != newest - FIRES_EVERY {
            return Err(format!("{id} is not due at {at}, but {newest} is"));
        }
        if due != newest && at - newest > FIRES_WITHIN {
            return Err(format!("{id} fires, but {newest} is newer"));
        }
        if due <= self.fired {
            return Err(format!("{id} fires after {}", self.fired));
        }
        self.fired = due;
        Ok(())
    }
}

impl Model {
    /// While the node lives no firing is left out.
    pub(crate) fn check_schedule(&self) {
        let mut state = self.state.lock();
        let now = state.now() - FIRES_WITHIN;
        let due = now - now.rem_euclid(FIRES_EVERY);
        if due > state.base && state.fired < due {
            state.wrong(format!("nothing has fired at {due}"));
        }
    }

    pub(crate) fn new(rules: Rules, seed: (u64, Taste), verbosity: Verbosity) -> Self {
        let state = State {
            rules,
            base: 0,
            start: None,
            seed,
            instances: BTreeMap::new(),
            by_id: BTreeMap::new(),
            runs: BTreeMap::new(),
            deleted: BTreeMap::new(),
            nodes: BTreeMap::new(),
            leases: BTreeMap::new(),
            violations: Vec::new(),
            log: Log {
                digest: 0xcbf2_9ce4_8422_2325,
                lines: 0,
                text: (verbosity == Verbosity::Text).then(Vec::new),
                line: String::new(),
            },
            nonces: 0,
            executions: 0,
            undone: 0,
            last_activity: 0,
            fired: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            latest: Arc::default(),
        }
    }

    /// A clock shows this.
    pub(crate) fn clock_shows(&self, at: i64) {
        self.latest.fetch_max(at, Ordering::Relaxed);
    }

    /// A node has a number.
    pub(crate) fn registered(&self, life: u64, node: NodeId) {
        let mut state = self.state.lock();
        state.log(format_args!("life {life} is node {}", node.0));
        state.nodes.insert(life, node);
    }

    /// The node begins another life.
    pub(crate) fn live(&self, base: i64) {
        let mut state = self.state.lock();
        state.base = base;
        state.start = Some(Instant::now());
        state.last_activity = state.last_activity.max(base);
        for watched in state.runs.values_mut() {
            watched.lost = true;
        }
        state.log(format_args!("the node starts"));
    }

    pub(crate) fn rules(&self) -> Rules {
        self.state.lock().rules.clone()
    }

    /// How long nothing has happened, simulated milliseconds.
    pub(crate) fn idle_millis(&self) -> i64 {
        let state = self.state.lock();
        state.now() - state.last_activity
    }

    /// Something is wrong.
    pub(crate) fn wrong(&self, text: String) {
        self.state.lock().wrong(text);
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.state.lock().violations.clone()
    }

    pub(crate) fn is_fine(&self) -> bool {
        self.state.lock().violations.is_empty()
    }

    /// Digest and length of the log, callbacks and handlers executed.
    pub(crate) fn figures(&self) -> (u64, u64, u64, u64) {
        let state = self.state.lock();
        (state.log.digest, state.log.lines, state.executions, state.undone)
    }

    /// The log as text, if it was kept.
    pub(crate) fn text(&self) -> Vec<String> {
        self.state.lock().log.text.clone().unwrap_or_default()
    }

    pub(crate) fn nonce(&self) -> u64 {
        let mut state = self.state.lock();
        state.nonces += 1;
        state.nonces
    }

    /// The program of an instance.
    pub(crate) fn program(&self, id: &str) -> Arc<Program> {
        let mut state = self.state.lock();
        if let Some(instance) = state.instance(id) {
            return Arc::clone(&instance.ledger.program);
        }
        let (seed, taste) = state.seed;
        Arc::new(program_of(id, seed, taste))
    }

    /// The store has created an instance.
    pub(crate) fn created(&self, no: InstanceNo, new: &NewInstance, lease: Option<Lease>) {
        let mut state = self.state.lock();
        let (seed, taste) = state.seed;
        let at = new.created_at.0;
        state.log(format_args!("created {} as {}", new.id, no.0));
        state.last_activity = state.now();
        if new.trigger == Trigger::Cron
            && let Err(fault) = state.fires(&new.id, at)
        {
            state.wrong(fault);
        }
        let ledger = Ledger::new(&new.id, at, Arc::new(program_of(&new.id, seed, taste)), lease);
        let ledger = ledger.kept_for(new.success_retention_millis, new.error_retention_millis);
        let instance = Instance {
            workflow: new.workflow,
            ledger,
            causes: state
                .deleted
                .get(&new.id)
                .map_or_else(Causes::default, Causes::of_clients),
            last_run: None,
            views: Views::default(),
            post: Post::default(),
            created_at: new.created_at,
            version: new.script_version.clone(),
            free: false,
        };
        state.instances.insert(no, instance);
        state.by_id.insert(new.id.clone(), no);
    }

    /// The store has given an instance to a node.
    pub(crate) fn claimed(&self, no: InstanceNo, lease: Lease) {
        let mut state = self.state.lock();
        state.log(format_args!(
            "claimed {} by {} at {}",
            no.0, lease.node.0, lease.epoch
        ));
        let company = state.rules.company;
        let Some(instance) = state.instances.get_mut(&no) else {
            return;
        };
        let holder = instance.ledger.lease();
        let is_taken = holder.is_some_and(|holder| holder.node != lease.node) && !instance.free;
        instance.free = false;
        if company == Company::Neighbours {
            instance.views.taken_away(&instance.ledger, lease);
        }
        if let Err(fault) = instance.ledger.claimed(lease) {
            state.wrong(fault);
        }
        if is_taken {
            state.wrong(format!("{} is taken from {holder:?}, who holds it", no.0));
        }
    }

    /// A node says until when it lives.
    pub(crate) fn renewed(&self, node: NodeId, until: Timestamp) {
        self.state.lock().leases.insert(node, until.0);
    }

    /// A node looks for what is due: what those held whose time is over is free.
    pub(crate) fn frees(&self, node: NodeId, now: Timestamp) {
        let mut state = self.state.lock();
        let state = &mut *state;
        for instance in state.instances.values_mut() {
            let Some(holder) = instance.ledger.lease().map(|lease| lease.node) else {
                continue;
            };
            let until = state.leases.get(&holder).copied();
            instance.free |= holder != node && until.is_none_or(|until| until < now.0);
        }
    }

    /// All nodes before this one are known to be dead.
    pub(crate) fn all_free(&self) {
        let mut state = self.state.lock();
        state.leases.clear();
        for instance in state.instances.values_mut() {
            instance.free = true;
        }
    }

    /// Inboxes are empty: what the store has accepted has come out of them.
    pub(crate) fn check_post(&self) {
        let mut state = self.state.lock();
        let left = state.instances.values().find_map(|instance| {
            let left = instance.post.left()?;
            Some(format!("event {left} for {} was lost", instance.ledger.id))
        });
        if let Some(fault) = left {
            state.wrong(fault);
        }
    }

    /// The store has removed an instance.
    pub(crate) fn removed(&self, no: InstanceNo) {
        let mut state = self.state.lock();
        state.log(format_args!("removed {}", no.0));
        if let Some(instance) = state.instances.remove(&no) {
            state.by_id.remove(&instance.ledger.id);
            // A command may be on its way to what comes under this id.
            state
                .deleted
                .insert(instance.ledger.id, instance.causes.of_clients());
        }
    }

    /// The store has written a commit.
    pub(crate) fn committed(&self, commit: &Commit) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let now = state.now();
        let latest = now.max(self.latest.load(Ordering::Relaxed));
        let Some(instance) = state.instances.get_mut(&commit.instance) else {
            return state.wrong(format!("a commit to the unknown instance {}", commit.instance.0));
        };
        state.last_activity = now;
        let live = instance.last_run.and_then(|run| state.runs.get(&run));
        let live = live.filter(|run| run.is_of(commit.lease));
        let mut faults = Vec::new();
        let was_final = instance.ledger.status.is_final();
        let mut restarts = false;
        for (bytes, payload) in &commit.entries {
            let entry = match Entry::decode(bytes) {
                Ok(entry) => entry,
                Err(error) => {
                    faults.push(error.to_string());
                    break;
                }
            };
            restarts |= matches!(entry.record, Record::Restarted | Record::RestartedFrom { .. });
            state.log.add(
                now,
                format_args!("{}: {} {:?}", instance.ledger.id, entry.at.0, entry.record),
            );
            let followed =
                instance
                    .ledger
                    .follow(&entry, payload.as_ref(), (&instance.causes, &state.rules, live));
            if let Err(fault) = followed {
                faults.push(format!(
                    "{}: {:?} at {}: {fault}",
                    instance.ledger.id, entry.record, entry.at.0
                ));
                break;
            }
        }
        if faults.is_empty()
            && let Err(fault) = instance.ledger.check_commit(commit, (latest, &state.rules))
        {
            faults.push(format!("{}: {fault}", instance.ledger.id));
        }
        if let Some(release) = commit.release {
            let (id, node, wake_at) = (&instance.ledger.id, commit.lease.node.0, release.wake_at);
            state
                .log
                .add(now, format_args!("{id}: node {node} lets go until {wake_at:?}"));
        }
        let pinned = state.rules.versions == Versions::Pinned && !restarts;
        faults.extend(instance.repinned(commit, pinned).err());
        if faults.is_empty()
            && let Err(fault) = instance
                .post
                .consumed(commit, (&instance.ledger, was_final, &state.rules))
        {
            faults.push(format!("{}: {fault}", instance.ledger.id));
        }
        for fault in faults {
            state.wrong(fault);
        }
    }

    /// Where nothing died and nothing failed, never more instances ran than may.
    pub(crate) fn check_slots(&self) {
        let mut state = self.state.lock();
        let Some(slots) = state.rules.slots else {
            return;
        };
        let turns = state
            .instances
            .values()
            .flat_map(|instance| &instance.ledger.turns);
        let mut turns: Vec<(i64, i32)> = turns.copied().collect();
        turns.sort_unstable();
        let mut running = 0;
        for (at, change) in turns {
            running += change;
            if i64::from(running) > i64::from(slots) {
                return state.wrong(format!("{running} instances run at {at}, and {slots} may"));
            }
        }
    }

    /// Asks the ledger of an instance.
    pub(crate) fn ask<T>(&self, id: &str, question: impl FnOnce(&Ledger) -> T) -> Option<T> {
        self.state
            .lock()
            .instance(id)
            .map(|instance| question(&instance.ledger))
    }

    /// Number, workflow and id of all instances there are.
    pub(crate) fn numbers(&self) -> Vec<(InstanceNo, i64, String)> {
        let state = self.state.lock();
        let instances = state.instances.iter();
        instances
            .map(|(no, instance)| (*no, instance.workflow, instance.ledger.id.clone()))
            .collect()
    }

    /// An instance is gone after its retention.
    pub(crate) fn expired(&self, no: InstanceNo, now: Timestamp) {
        let mut state = self.state.lock();
        let fault = state
            .instances
            .get(&no)
            .and_then(|instance| instance.ledger.check_expiry(now.0).err());
        if let Some(fault) = fault {
            state.wrong(fault);
        }
        drop(state);
        self.removed(no);
    }

    /// The number of an instance.
    pub(crate) fn number(&self, id: &str) -> Option<InstanceNo> {
        self.state.lock().by_id.get(id).copied()
    }

    /// The ids of all instances there are.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.state.lock().by_id.keys().cloned().collect()
    }
}

/// Instances called `instance-<number>` and those of schedules all have a program of their own.
fn program_of(id: &str, seed: u64, taste: Taste) -> Program {
    let hash = id.bytes().fold(seed, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Program::new(&Random::new(hash), taste)
}
