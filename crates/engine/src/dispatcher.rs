//! The heartbeat: one task that owns the drivers of all instances this node holds.
//!
//! Each turn takes all signals and reports that have come in, lets the drivers decide, hands their commits to the store as one batch and their
//! commands to the runtime as one batch. Nothing here waits for the store: answers come back as signals.

mod losses;
mod queue;
mod unanswered;

use crate::driver::{Abandon, Driver, Out, Reply, Unread};
use crate::lag::Lag;
use crate::signal::{ClaimAnswer, CommitFailure, Committed, Loaded, ParkedAnswer, Signal};
use crate::slots::Free;
use crate::suspects::Suspects;
use crate::versions::Latest;
use crate::{EngineError, Shared, Status, Waiter, claims, committer, maintenance, streams};
use cairn_core::{Seq, Timestamp};
use cairn_runtime::{Report, ReportKind, RunId};
use cairn_store::{Commit, InboxMessage, InstanceNo, Lease, StoreError};
use queue::PopDue;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use unanswered::{Known, Unanswered};

/// Signals or reports taken up by one turn.
const TURN_MAX: usize = 1_024;
/// Instances taken up by one claim.
const CLAIM_MAX: usize = 256;
/// How long a node waits before it tries again what the store refused, milliseconds.
const STORE_RETRY_MILLIS: u64 = 1_000;
/// How long an instance whose data is damaged is left alone, milliseconds: somebody may delete it or put the data back.
const DAMAGE_RETRY_MILLIS: u64 = 60_000;

struct Dispatcher {
    shared: Arc<Shared>,
    /// Ends with the dispatcher.
    _housekeeping: JoinSet<()>,
    /// Boxed, as a table keeps the room it had at its fullest.
    drivers: HashMap<InstanceNo, Box<Driver>>,
    runs: HashMap<RunId, InstanceNo>,
    timers: BTreeSet<(Timestamp, InstanceNo)>,
    commits: mpsc::UnboundedSender<Commit>,
    stream_writes: mpsc::UnboundedSender<streams::Write>,
    /// What this turn does.
    out: Out,
    touched: Vec<InstanceNo>,
    /// When the store has something due, as far as is known.
    next_due: Option<Timestamp>,
    claiming: claims::UnderWay,
    /// How long commits take.
    lag: Lag,
    /// Instances with a message that came while they were between hands.
    missed_mail: HashSet<InstanceNo>,
    /// Instances to claim again after a failed write, and when.
    reclaims: BTreeSet<(Timestamp, InstanceNo)>,
    /// When to see whether this node holds instances that it does not know of.
    look_for_lost: Option<Timestamp>,
    /// Outcomes of messages whose write was not confirmed when their driver was dropped.
    unanswered: Unanswered,
    /// Instances whose runs were lost.
    suspects: Suspects,
    /// What executes may end, and nothing starts: who is told when nothing is left.
    draining: Option<Draining>,
    stopping: Option<oneshot::Sender<()>>,
}

/// How far a drain is.
enum Draining {
    Since(oneshot::Sender<()>),
    Done,
}

/// Starts the heartbeat.
pub(crate) fn start(
    shared: Arc<Shared>,
    signals: mpsc::UnboundedReceiver<Signal>,
    reports: mpsc::UnboundedReceiver<Vec<Report>>,
) {
    let commits = committer::start(Arc::clone(&shared));
    let stream_writes = streams::start(Arc::clone(&shared));
    let dispatcher = Dispatcher {
        _housekeeping: maintenance::start(&shared),
        next_due: Some(shared.clock.now()),
        shared,
        drivers: HashMap::new(),
        runs: HashMap::new(),
        timers: BTreeSet::new(),
        commits,
        stream_writes,
        out: Out::default(),
        touched: Vec::new(),
        claiming: claims::UnderWay::default(),
        lag: Lag::default(),
        missed_mail: HashSet::new(),
        reclaims: BTreeSet::new(),
        look_for_lost: None,
        unanswered: Unanswered::default(),
        suspects: Suspects::default(),
        draining: None,
        stopping: None,
    };
    tokio::spawn(dispatcher.beat(signals, reports));
}

impl Dispatcher {
    async fn beat(
        mut self,
        mut signals: mpsc::UnboundedReceiver<Signal>,
        mut reports: mpsc::UnboundedReceiver<Vec<Report>>,
    ) {
        let (mut signal_batch, mut report_batch) = (Vec::new(), Vec::new());
        loop {
            let wait = self.until_next_wake();
            tokio::select! {
                biased;
                count = signals.recv_many(&mut signal_batch, TURN_MAX) => if count == 0 { return },
                _ = reports.recv_many(&mut report_batch, TURN_MAX), if !reports.is_closed() || !reports.is_empty() => {}
                () = tokio::time::sleep(wait) => {}
            }
            // Whatever else is there already belongs to the same turn.
            while signal_batch.len() < TURN_MAX
                && let Ok(signal) = signals.try_recv()
            {
                signal_batch.push(signal);
            }
            while report_batch.len() < TURN_MAX
                && let Ok(reports) = reports.try_recv()
            {
                report_batch.push(reports);
            }
            let now = self.shared.clock.now();
            for signal in signal_batch.drain(..) {
                self.signal(now, signal);
            }
            for report in report_batch.drain(..).flatten() {
                self.report(now, report);
            }
            self.end_turn(now);
            self.shared.pulse.beat();
            self.end_drain();
            if self.has_stopped() {
                return;
            }
        }
    }

    fn until_next_wake(&self) -> Duration {
        let due = if self.claiming.may_begin() && self.has_room() {
            self.next_due
        } else {
            None
        };
        let timer = self.timers.first().map(|(at, _)| *at);
        let reclaim = self.reclaims.first().map(|(at, _)| *at);
        let wake = [due, timer, reclaim, self.look_for_lost]
            .into_iter()
            .flatten()
            .min();
        let now = self.shared.clock.now();
        wake.map_or(Duration::from_secs(3_600), |wake| {
            Duration::from_millis(wake.millis_since(now))
        })
    }

    fn has_room(&self) -> bool {
        !self.is_ending() && self.room() > 0
    }

    /// Whether nothing may start any more.
    fn is_ending(&self) -> bool {
        self.draining.is_some() || self.stopping.is_some()
    }

    fn room(&self) -> usize {
        let (shared, settings) = (&self.shared, &self.shared.settings);
        let (held, expected) = (shared.held.load(Ordering::Relaxed), self.claiming.expected());
        let by_count = shared.most_held().saturating_sub(held);
        let by_weight = shared.scale.room(settings.bytes_in_memory, held);
        by_count.min(by_weight).saturating_sub(expected)
    }

    fn signal(&mut self, now: Timestamp, signal: Signal) {
        match signal {
            Signal::Created(loaded) => self.take_up(now, *loaded),
            Signal::Due => self.due(now),
            Signal::Mail(instance) => self.mail(instance),
            Signal::Doubled(instance) => self.doubled(instance),
            Signal::Deleted(instance) => self.deleted(instance),
            Signal::Claimed(answer) => self.claimed(now, answer),
            Signal::ClaimedOne(instance, result) => {
                self.unanswered.claimed(instance);
                self.claimed_one(now, instance, result);
            }
            Signal::LostTrack => self.look_for_lost = Some(now.plus(STORE_RETRY_MILLIS)),
            Signal::Held(held) => self.held(now, held),
            Signal::Inbox(instance, lease, messages) => {
                if self.holds(instance, lease) {
                    self.inbox(now, instance, messages);
                } else if messages.map_or(true, |messages| !messages.is_empty()) {
                    // Whoever asked has left meanwhile; nobody else has seen them.
                    self.mail(instance);
                }
            }
            Signal::Committed(committed) => {
                self.lag.answered(committed.len(), Instant::now());
                for commit in committed {
                    self.committed(now, &commit);
                }
            }
            Signal::StreamsKept(kept) => {
                for kept in kept {
                    self.stream_kept(now, &kept);
                }
            }
            Signal::Pulled(pull, read) => {
                if self.holds(pull.instance, pull.lease) {
                    self.drive(pull.instance, |driver, out| driver.pulled(&pull, read, out));
                }
            }
            Signal::Slots => {}
            Signal::Deployed(latest) => self.deployed(&latest),
            Signal::ClaimedParked {
                workflow,
                asked,
                result,
            } => self.claimed_parked(now, (workflow, asked), result),
            Signal::Drain(done) => self.drain(now, done),
            Signal::Shutdown(done) => self.shut_down(now, done),
        }
    }

    fn holds(&self, instance: InstanceNo, lease: Lease) -> bool {
        let driver = self.drivers.get(&instance);
        driver.is_some_and(|driver| driver.lease() == lease)
    }

    /// A piece of a stream was written, or not.
    fn stream_kept(&mut self, now: Timestamp, kept: &streams::Kept) {
        let instance = kept.instance;
        if !self.holds(instance, kept.lease) {
            return;
        }
        match &kept.result {
            Ok(()) => self.drive(instance, |driver, out| driver.stream_kept(now, kept, out)),
            // Another node holds it now, or it was deleted.
            Err(CommitFailure::Fenced(_)) => self.drop_driver(instance),
            Err(CommitFailure::Store(_)) => self.reclaim(now.plus(STORE_RETRY_MILLIS), instance),
        }
    }

    /// Something in the store is due at `at`.
    fn due(&mut self, at: Timestamp) {
        self.next_due = Some(self.next_due.map_or(at, |known| known.min(at)));
        self.claiming.due(at);
    }

    /// Drives a new holding. Room in memory was reserved by whoever claimed it.
    fn take_up(&mut self, now: Timestamp, mut loaded: Loaded) {
        let (instance, lease, inbox) = (loaded.row.no, loaded.lease, std::mem::take(&mut loaded.inbox));
        if self.stopping.is_some() {
            // It stays held by this node in the store; the next start takes it up.
            self.shared.unreserve(1);
            return;
        }
        let held = self.drivers.get(&instance).map(|driver| driver.lease().epoch);
        let is_held = held.is_some_and(|epoch| epoch > lease.epoch);
        if is_held || self.shared.passed.is_over(instance, lease.epoch) {
            // An older answer that was overtaken.
            self.shared.unreserve(1);
            if !self.drivers.contains_key(&instance) {
                self.shared.slots.release(instance);
            }
            return;
        }
        let id = loaded.row.id.clone();
        let journal_end = Seq(loaded.journal.len() as u64);
        match Driver::new(loaded) {
            Ok(mut driver) => {
                let slot = self
                    .shared
                    .slots
                    .take_up(driver.workflow(), instance, driver.status());
                driver.set_slot(slot);
                driver.set_company(self.suspects.company(instance));
                if let Some(doubles) = self.shared.doubles.of(driver.workflow(), driver.id()) {
                    driver.double(doubles, &mut self.out);
                }
                let replaces = self.drivers.contains_key(&instance);
                self.drop_driver(instance);
                self.drivers.insert(instance, Box::new(driver));
                self.answer_what_was_kept((instance, lease.epoch), (&inbox, journal_end));
                if self.draining.is_some() {
                    // Its messages stay where they are.
                    return self.drive(instance, |driver, out| {
                        driver.give_up(now, out);
                        Ok(())
                    });
                }
                self.drive(instance, |driver, out| driver.begin(now, inbox, out));
                // The driver before may have read what came after this claim.
                if self.missed_mail.remove(&instance) || replaces {
                    self.mail(instance);
                }
            }
            Err(error) => {
                tracing::error!(%error, instance = id, epoch = lease.epoch, "an instance cannot be replayed");
                self.shared.slots.release(instance);
                self.shared.unreserve(1);
            }
        }
    }

    /// Messages whose write was not confirmed.
    fn answer_what_was_kept(&mut self, holding: (InstanceNo, i64), found: (&[InboxMessage], Seq)) {
        let Known { certain, unknown } = self.unanswered.settle(holding, found);
        for reply in certain {
            self.reply(&reply);
        }
        self.cannot_tell(unknown);
    }

    /// Another node goes on with the instance: what it makes of these messages is not known here.
    fn cannot_tell(&self, replies: Vec<Reply>) {
        for reply in replies {
            self.answer((reply.node, reply.token), Err(EngineError::OutcomeUnknown));
        }
    }

    /// A test has put something in place of user code. An instance that rests looks whether it still has a reason to.
    fn doubled(&mut self, instance: InstanceNo) {
        if let Some(driver) = self.drivers.get(&instance)
            && let Some(doubles) = self.shared.doubles.of(driver.workflow(), driver.id())
        {
            self.drive(instance, |driver, out| {
                driver.double(doubles, out);
                Ok(())
            });
        }
        self.mail(instance);
    }

    fn mail(&mut self, instance: InstanceNo) {
        match self.drivers.get(&instance) {
            Some(driver) if driver.is_leaving() => {
                self.missed_mail.insert(instance);
            }
            Some(driver) => {
                claims::read_inbox(&self.shared, (instance, driver.lease()), driver.last_message());
            }
            // It is read at the next start.
            None if self.is_ending() => {}
            None => self.claim_one(instance, claims::Reason::Mail),
        }
    }

    fn claim_one(&mut self, instance: InstanceNo, reason: claims::Reason) {
        self.unanswered.claims(instance);
        claims::claim_one(&self.shared, instance, reason);
    }

    fn inbox(
        &mut self,
        now: Timestamp,
        instance: InstanceNo,
        messages: Result<Vec<InboxMessage>, StoreError>,
    ) {
        match messages {
            Ok(messages) => self.drive(instance, |driver, out| driver.read(now, messages, out)),
            Err(error) => {
                tracing::error!(%error, "an inbox could not be read; the instance is taken up again");
                self.reclaim(now, instance);
            }
        }
    }

    fn claimed(&mut self, now: Timestamp, answer: ClaimAnswer) {
        let due = self.claiming.end(&answer);
        self.shared.flow.claimed(self.claiming.more_is_due());
        self.next_due = [answer.next_due, due].into_iter().flatten().min();
        match answer.result {
            Ok(claimed) => {
                for loaded in claimed {
                    self.shared.held.fetch_add(1, Ordering::Relaxed);
                    self.take_up(now, loaded);
                }
            }
            Err(error) => {
                tracing::error!(%error, "due instances could not be claimed; trying again");
                self.next_due = Some(now.plus(STORE_RETRY_MILLIS));
                self.look_for_lost = Some(now.plus(STORE_RETRY_MILLIS));
            }
        }
    }

    /// Takes up what this node holds without knowing: the answer to its claim or creation was an error, but it came through. One that is
    /// on its way after all is fenced by the newer lease.
    fn held(&mut self, now: Timestamp, held: Result<Vec<InstanceNo>, StoreError>) {
        match held {
            Ok(held) => {
                for instance in held
                    .into_iter()
                    .filter(|instance| !self.drivers.contains_key(instance))
                {
                    self.reclaims.insert((now, instance));
                }
            }
            Err(error) => {
                tracing::error!(%error, "cannot see what this node holds; trying again");
                self.look_for_lost = Some(now.plus(STORE_RETRY_MILLIS));
            }
        }
    }

    fn claimed_one(
        &mut self,
        now: Timestamp,
        instance: InstanceNo,
        result: Result<Option<Box<Loaded>>, StoreError>,
    ) {
        match result {
            Ok(Some(loaded)) => {
                self.shared.held.fetch_add(1, Ordering::Relaxed);
                self.take_up(now, *loaded);
            }
            // Held: by this node, which then has it in hand now or is about to, or by another one, which reads the message.
            Ok(None) if self.drivers.contains_key(&instance) => self.mail(instance),
            Ok(None) => {
                self.missed_mail.insert(instance);
            }
            Err(error) => {
                tracing::error!(%error, instance = instance.0, "an instance could not be claimed; trying again");
                let pause = match error {
                    StoreError::Corrupt(_) => DAMAGE_RETRY_MILLIS,
                    StoreError::Unavailable(_) | StoreError::Unknown(_) | StoreError::Refused(_) => {
                        STORE_RETRY_MILLIS
                    }
                };
                self.reclaims.insert((now.plus(pause), instance));
            }
        }
    }

    fn report(&mut self, now: Timestamp, report: Report) {
        let Some(instance) = self.runs.get(&report.run).copied() else {
            return;
        };
        match &report.kind {
            ReportKind::Lost { reason } => {
                let reason = reason.clone();
                self.run_lost(now, (instance, report.kind), &reason);
            }
            ReportKind::Faulted(fault) => self.run_faulted(now, instance, fault.clone()),
            ReportKind::Called(_)
            | ReportKind::AttemptSucceeded { .. }
            | ReportKind::Chunk { .. }
            | ReportKind::Streamed { .. }
            | ReportKind::Pull { .. }
            | ReportKind::AttemptFailed(_)
            | ReportKind::Returned { .. }
            | ReportKind::Raised(_)
            | ReportKind::Rebuilt
            | ReportKind::RolledBack(_) => {
                self.drive(instance, |driver, out| driver.report(now, report.kind, out));
            }
        }
    }

    fn drive(
        &mut self,
        instance: InstanceNo,
        step: impl FnOnce(&mut Driver, &mut Out) -> Result<(), Abandon>,
    ) {
        let Some(driver) = self.drivers.get_mut(&instance) else {
            return;
        };
        self.touched.push(instance);
        let driven =
            step(driver, &mut self.out).and_then(|()| driver.follow_slots(&self.shared, &mut self.out));
        self.runs.extend(self.out.begun.drain(..));
        for run in self.out.ended.drain(..) {
            self.runs.remove(&run);
        }
        if let Err(Abandon(reason)) = driven {
            tracing::warn!(
                instance = driver.id(),
                reason,
                "an instance is dropped from memory and taken up again"
            );
            self.reclaim(self.shared.clock.now().plus(STORE_RETRY_MILLIS), instance);
        }
    }

    fn committed(&mut self, now: Timestamp, committed: &Committed) {
        let instance = committed.instance;
        let Some(driver) = self.drivers.get_mut(&instance) else {
            return;
        };
        if driver.lease() != committed.lease {
            return;
        }
        match &committed.result {
            Ok(()) => {
                let replies = driver.committed(committed.end, &mut self.out);
                let released = driver.released(committed.end);
                let unread = driver.unread;
                let (workflow, status) = (driver.workflow(), driver.status());
                let is_cleared = released.is_some() && driver.is_cleared();
                for reply in replies {
                    self.reply(&reply);
                }
                if let Some(release) = released {
                    if is_cleared {
                        self.suspects.clear(instance);
                    }
                    self.drop_driver(instance);
                    if !status.holds_slot() {
                        self.shared.slots.release(instance);
                    }
                    match release.wake_at {
                        Some(at) => self.due(at),
                        None if matches!(status, Status::Queued | Status::Waiting) => {
                            self.shared.slots.parked(workflow);
                        }
                        None => {}
                    }
                    if self.missed_mail.remove(&instance) || unread == Unread::Some {
                        self.mail(instance);
                    }
                }
            }
            Err(CommitFailure::Fenced(_)) => {
                tracing::info!(
                    instance = driver.id(),
                    "an instance is held by another node now, or was deleted"
                );
                self.drop_driver(instance);
                self.shared.slots.release(instance);
                let comes = self.reclaims.iter().any(|(_, claimed)| *claimed == instance);
                let replies = self.unanswered.fenced(instance, comes);
                self.cannot_tell(replies);
            }
            Err(CommitFailure::Store(_)) => self.reclaim(now.plus(STORE_RETRY_MILLIS), instance),
        }
    }

    fn reply(&self, reply: &Reply) {
        self.answer(
            (reply.node, reply.token),
            reply.outcome.clone().map_err(EngineError::Rejected),
        );
    }

    /// Tells the client that waits for a message, if it is one of this node's.
    fn answer(&self, (node, token): (i64, u64), outcome: Result<Status, EngineError>) {
        if node != self.shared.node.0 {
            return;
        }
        if let Some(waiter) = self.shared.waiters.lock().remove(&token) {
            // The client may have gone; the command is applied all the same.
            let _ = waiter.outcome.send(outcome);
        }
    }

    fn deleted(&mut self, instance: InstanceNo) {
        self.drop_driver(instance);
        self.shared.slots.release(instance);
        self.missed_mail.remove(&instance);
        self.unanswered.forget(instance);
        self.suspects.clear(instance);
        let gone = |waiter: &Waiter| waiter.instance == instance;
        let waiters = self
            .shared
            .waiters
            .lock()
            .extract_if(|_, waiter| gone(waiter))
            .collect::<Vec<_>>();
        for (_, waiter) in waiters {
            // The client may have gone.
            let _ = waiter
                .outcome
                .send(Err(EngineError::InstanceNotFound("it was deleted".into())));
        }
    }

    /// Drops an instance whose memory may be ahead of its journal, and takes it up again from the journal.
    fn reclaim(&mut self, at: Timestamp, instance: InstanceNo) {
        self.drop_driver(instance);
        self.reclaims.insert((at, instance));
    }

    fn drop_driver(&mut self, instance: InstanceNo) {
        let Some(mut driver) = self.drivers.remove(&instance) else {
            return;
        };
        self.shared.passed.end(instance, driver.lease().epoch);
        let unanswered = driver.stop(&mut self.out);
        self.unanswered.keep(instance, driver.lease().epoch, unanswered);
        for run in self.out.ended.drain(..) {
            self.runs.remove(&run);
        }
        if let Some(at) = driver.timer {
            self.timers.remove(&(at, instance));
        }
        self.shared.unreserve(1);
    }

    fn end_turn(&mut self, now: Timestamp) {
        while let Some((_, instance)) = self.timers.pop_due(now) {
            if let Some(driver) = self.drivers.get_mut(&instance) {
                driver.timer = None;
                self.touched.push(instance);
            }
        }
        while !self.touched.is_empty() {
            let mut touched = std::mem::take(&mut self.touched);
            touched.sort_unstable();
            touched.dedup();
            for instance in touched {
                self.finish_turn_of(now, instance);
            }
            self.touched.clear();
            self.give_slots(now);
        }
        self.give_slots(now);
        let moment = Instant::now();
        self.lag.end_turn(moment);
        self.shared.flow.note(self.lag.is_behind(moment));
        while let Some((_, instance)) = self.reclaims.pop_due(now) {
            self.claim_one(instance, claims::Reason::Lost);
        }
        if self.look_for_lost.is_some_and(|at| at <= now) {
            self.look_for_lost = None;
            claims::list_held(&self.shared);
        }
        self.claim_what_is_due(now);
        for write in self.out.stream_writes.drain(..) {
            // The writer is gone only when the server is.
            let _ = self.stream_writes.send(write);
        }
        for pull in self.out.pulls.drain(..) {
            streams::read(&self.shared, pull);
        }
        if !self.out.commands.is_empty() {
            self.shared
                .runtime
                .perform(std::mem::take(&mut self.out.commands));
        }
    }

    /// Instances that wait are given up, and taken up again on the version they follow.
    fn deployed(&mut self, latest: &[Latest]) {
        for (instance, driver) in &mut self.drivers {
            let followed = latest.iter().find(|latest| latest.workflow == driver.workflow());
            if followed.is_some_and(|latest| driver.follow_version(latest)) {
                self.touched.push(*instance);
            }
        }
    }

    /// Gives free slots to those that wait for one.
    fn give_slots(&mut self, now: Timestamp) {
        if self.shared.slots.more_ask() {
            for driver in self.drivers.values_mut() {
                if self.shared.slots.must_ask(driver.workflow()) {
                    driver.must_ask();
                }
            }
        }
        if self.is_ending() {
            return;
        }
        while let Some(free) = self.shared.slots.next(self.room().min(CLAIM_MAX)) {
            match free {
                Free::For(instance) => {
                    let driver = self.drivers.get(&instance);
                    let waits = driver.is_some_and(|driver| driver.waits_for_slot());
                    if waits {
                        self.drive(instance, |driver, out| driver.slot_granted(now, out));
                    } else {
                        self.shared.slots.release(instance);
                    }
                }
                Free::Parked { workflow, count } => claims::claim_parked(&self.shared, workflow, count),
            }
        }
    }

    fn claimed_parked(
        &mut self,
        now: Timestamp,
        (workflow, asked): (i64, usize),
        result: Result<ParkedAnswer, StoreError>,
    ) {
        let (gave_any, loaded) = match result {
            Ok(answer) => (answer.gave_any, answer.loaded),
            Err(_) => {
                self.look_for_lost = Some(now);
                (true, Vec::new())
            }
        };
        let taken: Vec<InstanceNo> = loaded.iter().map(|loaded| loaded.row.no).collect();
        self.shared.slots.claimed(workflow, (asked, gave_any), &taken);
        for loaded in loaded {
            self.shared.held.fetch_add(1, Ordering::Relaxed);
            self.take_up(now, loaded);
        }
    }

    fn finish_turn_of(&mut self, now: Timestamp, instance: InstanceNo) {
        self.drive(instance, |driver, out| driver.tick(now, out));
        let Some(driver) = self.drivers.get_mut(&instance) else {
            return;
        };
        if let Some(commit) = driver.take_commit(now) {
            // The committer is gone only when the server is.
            let _ = self.commits.send(commit);
            self.lag.handed_over();
        }
        driver.settle(&mut self.out);
        let wake = driver.next_wake();
        if wake != driver.timer {
            if let Some(old) = driver.timer {
                self.timers.remove(&(old, instance));
            }
            if let Some(new) = wake {
                self.timers.insert((new, instance));
            }
            driver.timer = wake;
        }
    }

    fn claim_what_is_due(&mut self, now: Timestamp) {
        let is_due = self.next_due.is_some_and(|due| due <= now);
        while is_due && self.claiming.may_begin() && self.has_room() {
            let limit = self.room().min(CLAIM_MAX);
            claims::claim_due(&self.shared, self.claiming.begin(limit), limit);
        }
    }

    fn drain(&mut self, now: Timestamp, done: oneshot::Sender<()>) {
        self.draining = Some(Draining::Since(done));
        for instance in self.drivers.keys().copied().collect::<BTreeSet<_>>() {
            self.drive(instance, |driver, out| {
                driver.drain(now, out);
                Ok(())
            });
        }
    }

    /// Tells that nothing is left, and those who wait for an instance that nothing will become of it here.
    fn end_drain(&mut self) {
        if !self.drivers.is_empty() || !self.claiming.is_empty() {
            return;
        }
        if let Some(Draining::Since(_)) = self.draining
            && let Some(Draining::Since(done)) = self.draining.replace(Draining::Done)
        {
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
            self.shared.waiters.lock().clear();
        }
    }

    fn shut_down(&mut self, now: Timestamp, done: oneshot::Sender<()>) {
        self.stopping = Some(done);
        self.reclaims.clear();
        for instance in self.drivers.keys().copied().collect::<BTreeSet<_>>() {
            self.drive(instance, |driver, out| {
                driver.give_up(now, out);
                Ok(())
            });
        }
    }

    fn has_stopped(&mut self) -> bool {
        if self.stopping.is_none() || !self.drivers.is_empty() {
            return false;
        }
        if let Some(done) = self.stopping.take() {
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
        }
        self.shared.waiters.lock().clear();
        true
    }
}
