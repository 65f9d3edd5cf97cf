//! What must be true, told by somebody who does not read the engine's code: he watches user code, clients and the store.
//!
//! What the store has written is followed by a [`ledger`] for each instance, which knows the program of the instance and what user code and
//! clients have done: every entry must be legal where it stands and have a cause. What user code and clients are told must be in the
//! ledger when they are told.

mod attempt;
mod causes;
mod ledger;
mod undo;
mod watch;

pub(crate) use causes::{End, Sent};
pub(crate) use ledger::{Kept, Ledger};
pub(crate) use watch::RunKey;

use crate::program::{Program, Taste};
use crate::random::Random;
use cairn_core::{Entry, Limits, Timestamp};
use cairn_store::{Commit, InstanceNo, Lease, NewInstance, Trigger};
use causes::Causes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use tokio::time::Instant;
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
pub(crate) struct Model(Arc<Mutex<State>>);

struct State {
    rules: Rules,
    /// The simulated time at which this life of the node began, and what it was for tokio.
    base: i64,
    start: Option<Instant>,
    seed: (u64, Taste),
    instances: BTreeMap<InstanceNo, Instance>,
    by_id: BTreeMap<String, InstanceNo>,
    runs: BTreeMap<RunKey, Watched>,
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
        let mut state = self.0.lock();
        let now = state.now() - FIRES_WITHIN;
        let due = now - now.rem_euclid(FIRES_EVERY);
        if due > state.base && state.fired < due {
            state.wrong(format!("nothing has fired at {due}"));
        }
    }

    pub(crate) fn new(rules: Rules, seed: (u64, Taste), verbosity: Verbosity) -> Self {
        Self(Arc::new(Mutex::new(State {
            rules,
            base: 0,
            start: None,
            seed,
            instances: BTreeMap::new(),
            by_id: BTreeMap::new(),
            runs: BTreeMap::new(),
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
        })))
    }

    /// The node begins another life.
    pub(crate) fn live(&self, base: i64) {
        let mut state = self.0.lock();
        state.base = base;
        state.start = Some(Instant::now());
        state.last_activity = state.last_activity.max(base);
        for watched in state.runs.values_mut() {
            watched.lost = true;
        }
        state.log(format_args!("the node starts"));
    }

    pub(crate) fn rules(&self) -> Rules {
        self.0.lock().rules.clone()
    }

    /// How long nothing has happened, simulated milliseconds.
    pub(crate) fn idle_millis(&self) -> i64 {
        let state = self.0.lock();
        state.now() - state.last_activity
    }

    /// Something is wrong.
    pub(crate) fn wrong(&self, text: String) {
        self.0.lock().wrong(text);
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.0.lock().violations.clone()
    }

    pub(crate) fn is_fine(&self) -> bool {
        self.0.lock().violations.is_empty()
    }

    /// Digest and length of the log, callbacks and handlers executed.
    pub(crate) fn figures(&self) -> (u64, u64, u64, u64) {
        let state = self.0.lock();
        (state.log.digest, state.log.lines, state.executions, state.undone)
    }

    /// The log as text, if it was kept.
    pub(crate) fn text(&self) -> Vec<String> {
        self.0.lock().log.text.clone().unwrap_or_default()
    }

    pub(crate) fn nonce(&self) -> u64 {
        let mut state = self.0.lock();
        state.nonces += 1;
        state.nonces
    }

    /// The program of an instance.
    pub(crate) fn program(&self, id: &str) -> Arc<Program> {
        let mut state = self.0.lock();
        if let Some(instance) = state.instance(id) {
            return Arc::clone(&instance.ledger.program);
        }
        let (seed, taste) = state.seed;
        Arc::new(program_of(id, seed, taste))
    }

    /// The store has created an instance.
    pub(crate) fn created(&self, no: InstanceNo, new: &NewInstance, lease: Option<Lease>) {
        let mut state = self.0.lock();
        let (seed, taste) = state.seed;
        let at = new.created_at.0;
        state.log(format_args!("created {} as {}", new.id, no.0));
        state.last_activity = at;
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
            causes: Causes::default(),
            last_run: None,
        };
        state.instances.insert(no, instance);
        state.by_id.insert(new.id.clone(), no);
    }

    /// The store has given an instance to a node.
    pub(crate) fn claimed(&self, no: InstanceNo, lease: Lease) {
        let mut state = self.0.lock();
        state.log(format_args!(
            "claimed {} by {} at {}",
            no.0, lease.node.0, lease.epoch
        ));
        if let Some(instance) = state.instances.get_mut(&no)
            && let Err(fault) = instance.ledger.claimed(lease)
        {
            state.wrong(fault);
        }
    }

    /// The store has removed an instance.
    pub(crate) fn removed(&self, no: InstanceNo) {
        let mut state = self.0.lock();
        state.log(format_args!("removed {}", no.0));
        if let Some(instance) = state.instances.remove(&no) {
            state.by_id.remove(&instance.ledger.id);
        }
    }

    /// The store has written a commit.
    pub(crate) fn committed(&self, commit: &Commit) {
        let mut state = self.0.lock();
        let state = &mut *state;
        let now = state.now();
        let Some(instance) = state.instances.get_mut(&commit.instance) else {
            return state.wrong(format!("a commit to the unknown instance {}", commit.instance.0));
        };
        state.last_activity = now;
        let live = instance.last_run.and_then(|run| state.runs.get(&run));
        let live = live.filter(|run| run.is_of(commit.lease));
        let mut faults = Vec::new();
        for (bytes, payload) in &commit.entries {
            let entry = match Entry::decode(bytes) {
                Ok(entry) => entry,
                Err(error) => {
                    faults.push(error.to_string());
                    break;
                }
            };
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
            && let Err(fault) = instance.ledger.check_commit(commit, (now, &state.rules))
        {
            faults.push(format!("{}: {fault}", instance.ledger.id));
        }
        for fault in faults {
            state.wrong(fault);
        }
    }

    /// Where nothing died and nothing failed, never more instances ran than may.
    pub(crate) fn check_slots(&self) {
        let mut state = self.0.lock();
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
        self.0
            .lock()
            .instance(id)
            .map(|instance| question(&instance.ledger))
    }

    /// Number, workflow and id of all instances there are.
    pub(crate) fn numbers(&self) -> Vec<(InstanceNo, i64, String)> {
        let state = self.0.lock();
        let instances = state.instances.iter();
        instances
            .map(|(no, instance)| (*no, instance.workflow, instance.ledger.id.clone()))
            .collect()
    }

    /// An instance is gone after its retention.
    pub(crate) fn expired(&self, no: InstanceNo, now: Timestamp) {
        let mut state = self.0.lock();
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

    /// The ids of all instances there are.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.0.lock().by_id.keys().cloned().collect()
    }
}

/// Instances called `instance-<number>` and those of schedules all have a program of their own.
fn program_of(id: &str, seed: u64, taste: Taste) -> Program {
    let hash = id.bytes().fold(seed, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Program::new(&Random::new(hash), taste)
}
