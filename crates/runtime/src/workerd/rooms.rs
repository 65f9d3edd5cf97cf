//! Which keeper a run is with, and who shares a process with whom.
//!
//! Most runs of a version share one process. When user code ends a process, all that were on it are under suspicion: their next runs are let into
//! rooms, processes of their own for a few runs each, fewer every time, and at last one. So whoever does it is found after a few
//! processes, however many were on the first, and what the others lose is bounded. A run waits for its place until another one has ended or
//! has been there for so long that it is not likely to be the one.

use super::keeper::{Ask, Post};
use super::supervisor::{Shared, started};
use crate::{Command, Company, RunId, WorkerId};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedSender, WeakUnboundedSender};

/// Rooms of one size that a version has at a time.
const ROOMS: usize = 2;
/// How long a run is on trial in a room for several.
const TRIAL: Duration = Duration::from_secs(15);
/// The same in a room for one.
const TRIAL_ALONE: Duration = Duration::from_secs(300);

/// Which keeper each run is with.
#[derive(Debug)]
pub(super) struct Routes {
    table: Mutex<Table>,
    /// Set once, after both are there.
    shared: OnceLock<Weak<Shared>>,
    handle: Handle,
}

#[derive(Debug, Default)]
struct Table {
    keepers: HashMap<RunId, UnboundedSender<Ask>>,
    suites: HashMap<Key, Suite>,
    /// The runs of `suites`, those that wait included.
    suspects: HashMap<RunId, Key>,
    /// Keepers of rooms, for the end.
    opened: Vec<(WorkerId, WeakUnboundedSender<Ask>)>,
}

/// A version, and how many share a room.
type Key = (WorkerId, u32);

/// The rooms of one size of a version.
#[derive(Debug, Default)]
struct Suite {
    rooms: Vec<Room>,
    queue: VecDeque<RunId>,
    /// Those of the queue that still want in, with all that is to be told them.
    waiting: HashMap<RunId, Vec<Command>>,
}

/// A process for a few runs. It ends when nobody has the sender of its keeper any more.
#[derive(Debug)]
struct Room {
    keeper: UnboundedSender<Ask>,
    trial: HashSet<RunId>,
    settled: HashSet<RunId>,
}

impl Routes {
    pub(super) fn new(handle: Handle) -> Self {
        Self {
            table: Mutex::default(),
            shared: OnceLock::new(),
            handle,
        }
    }

    /// Says with what rooms are opened. Only the first call counts.
    pub(super) fn set_shared(&self, shared: &Arc<Shared>) {
        // There is only one.
        let _ = self.shared.set(Arc::downgrade(shared));
    }

    /// A run begins with this keeper.
    pub(super) fn insert(&self, run: RunId, keeper: UnboundedSender<Ask>) {
        self.table.lock().keepers.insert(run, keeper);
    }

    /// The keeper of a run, if it has begun, with a command for it; none when the run has ended or waits, which takes the command.
    pub(super) fn keeper(&self, command: Command) -> Option<(UnboundedSender<Ask>, Command)> {
        let mut table = self.table.lock();
        if let Some(keeper) = table.keepers.get(&command.run()) {
            return Some((keeper.clone(), command));
        }
        if let Some(key) = table.suspects.get(&command.run()).cloned()
            && let Some(suite) = table.suites.get_mut(&key)
            && let Some(commands) = suite.waiting.get_mut(&command.run())
        {
            commands.push(command);
        }
        None
    }

    /// Removes runs that have ended.
    pub(super) fn forget(&self, runs: impl IntoIterator<Item = RunId>) {
        let mut runs = runs.into_iter().peekable();
        if runs.peek().is_none() {
            return;
        }
        let mut table = self.table.lock();
        let mut freed = HashSet::new();
        for run in runs {
            table.keepers.remove(&run);
            if let Some(key) = table.suspects.remove(&run) {
                table.leave(run, &key);
                freed.insert(key);
            }
        }
        let unsent: Vec<RunId> = freed.iter().flat_map(|key| self.admit(&mut table, key)).collect();
        drop(table);
        self.lose(unsent);
    }

    /// A run begins in a room for `most`, as soon as there is a place.
    pub(super) fn begin(&self, worker: &WorkerId, most: u32, start: Command) {
        let Some(run) = started(&start) else { return };
        let key = (worker.clone(), most.max(1));
        let mut table = self.table.lock();
        table.suspects.insert(run, key.clone());
        let suite = table.suites.entry(key.clone()).or_default();
        suite.queue.push_back(run);
        suite.waiting.insert(run, vec![start]);
        let unsent = self.admit(&mut table, &key);
        drop(table);
        self.lose(unsent);
    }

    /// Lets in whom there is a place for. Those who could not be let in are returned.
    fn admit(&self, table: &mut Table, key: &Key) -> Vec<RunId> {
        let mut unsent = Vec::new();
        while let Some((run, commands, keeper)) = self.next(table, key) {
            if keeper.send(Ask::Commands(commands)).is_err() {
                unsent.push(run);
                continue;
            }
            table.keepers.insert(run, keeper);
            self.try_out(run, key);
        }
        let is_empty = |suite: &Suite| suite.rooms.is_empty() && suite.waiting.is_empty();
        if table.suites.get(key).is_some_and(is_empty) {
            table.suites.remove(key);
        }
        unsent
    }

    /// The next of the queue, with its place.
    fn next(&self, table: &mut Table, key: &Key) -> Option<(RunId, Vec<Command>, UnboundedSender<Ask>)> {
        let Table { suites, opened, .. } = table;
        let suite = suites.get_mut(key)?;
        let waits = |suite: &Suite, run: &RunId| suite.waiting.contains_key(run);
        while suite.queue.front().is_some_and(|run| !waits(suite, run)) {
            suite.queue.pop_front();
        }
        let run = *suite.queue.front()?;
        let place = match suite.place(key.1) {
            Some(place) => place,
            None if suite.rooms.iter().filter(|room| !room.trial.is_empty()).count() < ROOMS => {
                let shared = self.shared.get()?.upgrade()?;
                let company = Company::AtMost(key.1);
                let (keeper, _) = shared.keep(&self.handle, Post::new(key.0.clone(), None, company));
                opened.retain(|(_, keeper)| keeper.strong_count() > 0);
                opened.push((key.0.clone(), keeper.downgrade()));
                suite.rooms.push(Room {
                    keeper,
                    trial: HashSet::new(),
                    settled: HashSet::new(),
                });
                suite.rooms.len() - 1
            }
            None => return None,
        };
        suite.queue.pop_front();
        let commands = suite.waiting.remove(&run)?;
        let room = suite.rooms.get_mut(place)?;
        room.trial.insert(run);
        Some((run, commands, room.keeper.clone()))
    }

    /// Ends the trial of a run after a while.
    fn try_out(&self, run: RunId, key: &Key) {
        let Some(shared) = self.shared.get().cloned() else {
            return;
        };
        let (key, trial) = (key.clone(), if key.1 == 1 { TRIAL_ALONE } else { TRIAL });
        self.handle.spawn(async move {
            tokio::time::sleep(trial).await;
            if let Some(shared) = shared.upgrade() {
                shared.routes.settle(run, &key);
            }
        });
    }

    fn settle(&self, run: RunId, key: &Key) {
        let mut table = self.table.lock();
        let Some(suite) = table.suites.get_mut(key) else {
            return;
        };
        for room in &mut suite.rooms {
            if room.trial.remove(&run) {
                room.settled.insert(run);
            }
        }
        let unsent = self.admit(&mut table, key);
        drop(table);
        self.lose(unsent);
    }

    fn lose(&self, runs: Vec<RunId>) {
        if let Some(shared) = self.shared.get().and_then(Weak::upgrade) {
            shared.lose(runs, "its Worker version was stopped");
        }
    }

    /// The keepers of all rooms, or of those of one version. Who waits for a room is lost.
    pub(super) fn close_rooms(&self, of: Option<&WorkerId>) -> Vec<UnboundedSender<Ask>> {
        let is_meant = |worker: &WorkerId| of.is_none_or(|of| of == worker);
        let mut table = self.table.lock();
        let opened = table.opened.extract_if(.., |(worker, _)| is_meant(worker));
        let keepers: Vec<_> = opened.filter_map(|(_, keeper)| keeper.upgrade()).collect();
        let suites = table.suites.extract_if(|(worker, _), _| is_meant(worker));
        let waiting: Vec<RunId> = suites.flat_map(|(_, suite)| suite.waiting.into_keys()).collect();
        drop(table);
        self.lose(waiting);
        keepers
    }
}

impl Table {
    /// A run leaves its room, or the queue.
    fn leave(&mut self, run: RunId, key: &Key) {
        let Some(suite) = self.suites.get_mut(key) else {
            return;
        };
        suite.waiting.remove(&run);
        for room in &mut suite.rooms {
            room.trial.remove(&run);
            room.settled.remove(&run);
        }
        let keeps = |room: &Room| !(room.trial.is_empty() && room.settled.is_empty());
        let is_wanted = key.1 > 1 && !suite.waiting.is_empty();
        suite.rooms.retain(|room| is_wanted || keeps(room));
    }
}

impl Suite {
    /// The room with a place for one more.
    fn place(&self, most: u32) -> Option<usize> {
        // A room for one is not used again: what a run has left behind in it would be laid to the next one.
        let has_place = |room: &Room| most > 1 && room.trial.len() < most as usize;
        self.rooms.iter().position(has_place)
    }
}
