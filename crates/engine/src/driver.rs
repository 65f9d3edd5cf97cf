//! One held instance: the only caller of the rules, and the only source of its commits.
//!
//! Inputs are decided at once and change the state in memory; entries are handed to the store in batches. An outcome reaches user code
//! only when its entries are durable. If a commit fails, memory is ahead of the journal: the driver is dropped and the instance
//! claimed again.

mod doubled;
mod linger;
mod streams;

use crate::Shared;
use crate::message::{Message, Request};
use crate::schedules::firing_of;
use crate::signal::Loaded;
use crate::streams::{Pull, Write};
use crate::versions::Latest;
use crate::weight::Weight;
use bytes::Bytes;
use cairn_core::{
    Action, CallId, Corrupt, Effects, ErrorInfo, Input, Instance, Outcome, Outcomes, OutputKind, Purpose,
    Rejected, Seq, Slot, Status, StepState, Timestamp,
};
use cairn_runtime::{
    Command, Company, Known, KnownStep, ReportKind, RunId, RunRollback, StartRun, Value, WorkerId,
};
use cairn_store::{Commit, InboxMessage, InboxNo, InstanceNo, InstanceRow, Lease, Release, Repin};
use doubled::Doubled;
use std::collections::{BTreeMap, VecDeque};
use streams::Streams;

/// How long entries that nothing waits for may stay in memory, milliseconds: they ride along with the next commit that is waited for.
const WRITE_BEHIND_MILLIS: u64 = 5;
/// How long an instance that is to leave may execute nothing before it does, milliseconds: a callback that has started is reported within that
/// time, and a run that has only to return returns.
const LEAVE_MILLIS: u64 = 100;

/// One held instance.
pub(crate) struct Driver {
    row: InstanceRow,
    workflow_name: String,
    lease: Lease,
    instance: Instance,
    run: Option<RunId>,
    /// Whether the current run has reported anything.
    pub(crate) hearing: Hearing,
    /// Values that may be needed: those of the journal until a run has started, then those of events no step has taken.
    values: BTreeMap<Seq, Bytes>,
    /// Entries that have not been handed over, and the position of the first.
    entries: Vec<(Vec<u8>, Option<Bytes>)>,
    next_seq: Seq,
    /// The journal is known to be durable up to here.
    durable_end: Seq,
    /// Since when there are such entries.
    behind_since: Option<Timestamp>,
    /// Commands for the run that wait until the journal is durable up to a position.
    settlements: VecDeque<(Seq, Command)>,
    /// Outcomes of messages, likewise.
    replies: VecDeque<(Seq, Reply)>,
    /// Commits handed over and not answered.
    in_flight: u32,
    consumed: Option<InboxNo>,
    last_message: InboxNo,
    repin: Option<Repin>,
    release: Option<Release>,
    /// A release that is put off for a moment, for more messages to come.
    lingers: Option<(Timestamp, Release)>,
    /// A release was handed over: nothing more happens here.
    leaving: bool,
    /// That release, and the end of the journal with it.
    released_at: Option<(Seq, Release)>,
    /// Whether messages were left for the next holding.
    pub(crate) unread: Unread,
    /// What a test has put in place of user code.
    doubled: Doubled,
    /// Streams that callbacks have returned.
    streams: Streams,
    /// Whether the rules have asked for a slot and not been answered.
    asks_for_slot: bool,
    /// Whether it is to be taken up again, on a newer version, once nothing executes.
    is_outdated: bool,
    /// Whether it is known to hold a slot.
    holds_slot: bool,
    /// When it leaves, if it executes nothing until then; none while nobody wants it to.
    leaves_at: Option<Timestamp>,
    /// With whom runs may share a process.
    company: Company,
    /// How the last run of this holding has ended.
    fate: Fate,
    /// What its values weigh, and its parameters alone.
    weight: (Weight, u64),
    /// When the dispatcher looks again.
    pub(crate) timer: Option<Timestamp>,
}

/// How a run has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Well,
    Lost,
}

/// Whether a run has been heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hearing {
    Nothing,
    Something,
}

/// Whether a driver on its way out has left messages in the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    None,
    Some,
}

/// The outcome of a message, for the client that waits for it.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) message: InboxNo,
    pub(crate) node: i64,
    pub(crate) token: u64,
    pub(crate) outcome: Result<Status, Rejected>,
}

/// What a driver asks of the dispatcher.
#[derive(Default)]
pub(crate) struct Out {
    /// Commands to perform at once.
    pub(crate) commands: Vec<Command>,
    /// Runs that have begun, of the instance that is being driven.
    pub(crate) begun: Vec<(RunId, InstanceNo)>,
    /// Runs that have ended.
    pub(crate) ended: Vec<RunId>,
    /// Writes of streams.
    pub(crate) stream_writes: Vec<Write>,
    /// Pieces of streams to read.
    pub(crate) pulls: Vec<Pull>,
    /// The id of the next run.
    pub(crate) next_run: u64,
}

/// The driver must be dropped and its instance claimed again.
#[derive(Debug)]
pub(crate) struct Abandon(pub(crate) String);

impl Driver {
    /// Takes up an instance.
    pub(crate) fn new(loaded: Loaded) -> Result<Self, Corrupt> {
        let instance = Instance::replay(&loaded.journal, loaded.limits)?;
        let params_bytes = loaded.values.get(&Seq(0)).map_or(0, |params| params.len() as u64);
        Ok(Self {
            next_seq: instance.durable().next_seq,
            durable_end: instance.durable().next_seq,
            row: loaded.row,
            workflow_name: loaded.workflow_name,
            lease: loaded.lease,
            instance,
            run: None,
            hearing: Hearing::Nothing,
            weight: (loaded.weight, params_bytes),
            values: loaded.values,
            entries: Vec::new(),
            behind_since: None,
            settlements: VecDeque::new(),
            replies: VecDeque::new(),
            in_flight: 0,
            consumed: None,
            last_message: InboxNo::default(),
            repin: loaded.repin,
            release: None,
            lingers: None,
            leaving: false,
            released_at: None,
            unread: Unread::None,
            doubled: Doubled::default(),
            streams: Streams::new(loaded.lease.epoch),
            asks_for_slot: false,
            is_outdated: false,
            holds_slot: false,
            leaves_at: None,
            company: Company::Any,
            fate: Fate::Well,
            timer: None,
        })
    }

    pub(crate) fn id(&self) -> &str {
        &self.row.id
    }

    pub(crate) fn workflow(&self) -> i64 {
        self.row.workflow
    }

    pub(crate) fn lease(&self) -> Lease {
        self.lease
    }

    pub(crate) fn status(&self) -> Status {
        self.instance.summary().status
    }

    /// There is a version to follow; whether it is another than this instance runs on.
    pub(crate) fn follow_version(&mut self, latest: &Latest) -> bool {
        self.is_outdated =
            (&self.row.script_version, &self.row.class_name) != (&latest.script_version, &latest.class_name);
        self.is_outdated
    }

    /// Says how it stands with slots: what the rules are told, and whether it counts as holding one.
    pub(crate) fn set_slot(&mut self, (slot, holds): (Slot, bool)) {
        self.instance.set_slot(slot);
        self.holds_slot = holds;
    }

    /// From now on it must ask for a slot; it has one if it counts as holding one.
    pub(crate) fn must_ask(&mut self) {
        if !self.instance.wants_slot() {
            let slot = if self.holds_slot {
                Slot::Held
            } else {
                Slot::Missing
            };
            self.instance.set_slot(slot);
        }
    }

    /// Whether its run waits for a slot.
    pub(crate) fn waits_for_slot(&self) -> bool {
        self.is_busy() && self.instance.wants_slot()
    }

    /// The slot it waits for is there.
    pub(crate) fn slot_granted(&mut self, now: Timestamp, out: &mut Out) -> Result<(), Abandon> {
        self.holds_slot = true;
        self.handle(now, Input::SlotGranted, None, out)
    }

    /// Answers what the rules have asked, and notes what has become of the slot.
    pub(crate) fn follow_slots(&mut self, shared: &Shared, out: &mut Out) -> Result<(), Abandon> {
        if std::mem::take(&mut self.asks_for_slot) && self.is_busy() {
            let (workflow, instance, now) = (self.row.workflow, self.row.no, shared.clock.now());
            if shared.slots.ask(workflow, instance, self.status()) {
                self.slot_granted(now, out)?;
            } else {
                if self.instance.has_run() {
                    shared.slots.wait(workflow, instance);
                }
                self.handle(now, Input::SlotDenied, None, out)?;
            }
        }
        let holds = self.instance.holds_slot();
        if holds != self.holds_slot {
            self.holds_slot = holds;
            shared.slots.note(self.row.workflow, self.row.no, holds);
        }
        Ok(())
    }

    /// Says with whom runs may share a process. One that is under suspicion says of each step that it has begun before it has.
    pub(crate) fn set_company(&mut self, company: Company) {
        self.company = company;
    }

    /// Whether nothing of this holding speaks for its user code having ended a process: its run has not, and nothing is tried again that may have.
    pub(crate) fn is_cleared(&self) -> bool {
        let durable = self.instance.durable();
        let retries = |step: &cairn_core::Step| matches!(step.state, StepState::Retrying { .. });
        self.status().is_final() || (self.fate == Fate::Well && !durable.steps().iter().any(retries))
    }

    pub(crate) fn last_message(&self) -> InboxNo {
        self.last_message
    }

    fn is_busy(&self) -> bool {
        !self.is_leaving()
    }

    /// Whether the lease is being given up: nothing more happens in this holding.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving || self.release.is_some()
    }

    /// Begins: messages first, then the question whether user code should run.
    pub(crate) fn begin(
        &mut self,
        now: Timestamp,
        inbox: Vec<InboxMessage>,
        out: &mut Out,
    ) -> Result<(), Abandon> {
        let has_mail = !inbox.is_empty();
        self.take(now, inbox, out)?;
        if self.is_busy() {
            self.send_doubled_events(now, out)?;
        }
        if self.is_busy() && !self.instance.has_run() {
            self.handle(now, Input::Claimed, None, out)?;
            if has_mail {
                self.linger(now);
            }
        }
        Ok(())
    }

    /// Applies messages in order of arrival. Those behind one that ends the lease stay in the inbox.
    fn take(&mut self, now: Timestamp, inbox: Vec<InboxMessage>, out: &mut Out) -> Result<(), Abandon> {
        for message in inbox {
            if self.is_leaving() {
                self.unread = Unread::Some;
                break;
            }
            if message.no > self.last_message {
                self.apply(now, message, out)?;
            }
        }
        Ok(())
    }

    fn apply(&mut self, now: Timestamp, message: InboxMessage, out: &mut Out) -> Result<(), Abandon> {
        let payload = message.payload.unwrap_or_default();
        let Message { request, node, token } =
            Message::decode(&message.command).map_err(|error| Abandon(error.to_string()))?;
        let repin = repin(&request);
        let outcome = match &request {
            Request::Event { event_type } if self.doubled.forgets(event_type) => {
                Ok(self.instance.summary().status)
            }
            _ => self.command(now, request.command(payload.len()), payload, out)?,
        };
        if outcome.is_ok() && repin.is_some() {
            self.repin = repin;
        }
        self.last_message = message.no;
        self.consumed = Some(message.no);
        self.replies.push_back((
            self.end(),
            Reply {
                message: message.no,
                node,
                token,
                outcome,
            },
        ));
        Ok(())
    }

    fn command(
        &mut self,
        now: Timestamp,
        command: cairn_core::Command,
        payload: Bytes,
        out: &mut Out,
    ) -> Result<Result<Status, Rejected>, Abandon> {
        match self.instance.handle(now, Input::Command(command)) {
            Ok(effects) => {
                self.follow(now, effects, Some(payload), out)?;
                Ok(Ok(self.instance.summary().status))
            }
            Err(rejected) => Ok(Err(rejected)),
        }
    }

    /// Something was reported by the current run.
    pub(crate) fn report(
        &mut self,
        now: Timestamp,
        report: ReportKind,
        out: &mut Out,
    ) -> Result<(), Abandon> {
        if !self.is_busy() {
            return Ok(());
        }
        self.hearing = Hearing::Something;
        let (input, value) = match report {
            ReportKind::Called(call) => (Input::Called(self.doubled.call(call)), None),
            ReportKind::AttemptSucceeded {
                call,
                attempt,
                output,
            } => (
                Input::AttemptSucceeded {
                    call,
                    attempt,
                    bytes: output.len() as u64,
                    output: OutputKind::Value,
                },
                Some(output),
            ),
            ReportKind::Chunk {
                call,
                attempt,
                index,
                bytes,
            } => return self.chunk(now, (call, attempt), (index, bytes), out),
            ReportKind::Streamed {
                call,
                attempt,
                chunks,
                bytes,
            } => return self.streamed(now, (call, attempt), (chunks, bytes), out),
            ReportKind::Pull { pull, stream, index } => {
                self.pull(pull, (stream, index), out);
                return Ok(());
            }
            ReportKind::AttemptFailed(failed) => (Input::AttemptFailed(failed), None),
            ReportKind::Returned { output } => (Input::Returned { bytes: output.len() }, Some(output)),
            ReportKind::Raised(raised) => (Input::Raised(raised), None),
            ReportKind::Rebuilt => (Input::Rebuilt, None),
            ReportKind::RolledBack(report) => (Input::RolledBack(report), None),
            ReportKind::Lost { .. } | ReportKind::Faulted(_) => {
                self.lose_run(out);
                (Input::RunLost, None)
            }
        };
        self.handle(now, input, value.map(|value| value.as_bytes().clone()), out)
    }

    /// User code of the current run has ended its process; `times` says how often in a row.
    pub(crate) fn faulted(
        &mut self,
        now: Timestamp,
        (error, times): (ErrorInfo, u32),
        out: &mut Out,
    ) -> Result<(), Abandon> {
        if !self.is_busy() {
            return Ok(());
        }
        self.lose_run(out);
        self.handle(now, Input::RunFaulted { error, times }, None, out)
    }

    fn lose_run(&mut self, out: &mut Out) {
        self.fate = Fate::Lost;
        if let Some(run) = self.run.take() {
            self.settlements.clear();
            self.doubled.end_run();
            out.ended.push(run);
        }
    }

    /// Ends a turn: what came in together has been handled, or a deadline may have passed.
    pub(crate) fn tick(&mut self, now: Timestamp, out: &mut Out) -> Result<(), Abandon> {
        if self.is_busy() {
            self.send_doubled_events(now, out)?;
            self.handle(now, Input::Tick, None, out)?;
            if self.is_outdated && self.status() == Status::Waiting {
                self.give_up(now, out);
            }
            self.leave_when_idle(now, out);
        }
        self.stop_lingering(now);
        self.halt_streams(out);
        let (weight, params_bytes) = &mut self.weight;
        weight.set(*params_bytes + self.instance.durable().state_bytes);
        Ok(())
    }

    /// The run could not even start: the instance waits before it is tried again.
    pub(crate) fn delay_release(&mut self, until: Timestamp) {
        if let Some(Release {
            wake_at: Some(wake_at),
        }) = &mut self.release
        {
            *wake_at = (*wake_at).max(until);
        }
    }

    /// From now on nothing starts; the instance is given up once it has executed nothing for a moment.
    pub(crate) fn drain(&mut self, now: Timestamp, out: &mut Out) {
        self.instance.start_no_more();
        match self.run {
            Some(run) if self.is_busy() => {
                out.commands.push(Command::Hold { run });
                self.leaves_at = Some(now.plus(LEAVE_MILLIS));
            }
            Some(_) | None => self.give_up(now, out),
        }
    }

    fn leave_when_idle(&mut self, now: Timestamp, out: &mut Out) {
        let Some(leaves_at) = self.leaves_at else { return };
        if self.instance.executes() {
            self.leaves_at = Some(now.plus(LEAVE_MILLIS));
        } else if leaves_at <= now {
            self.give_up(now, out);
        }
    }

    /// Gives the instance up as it stands, to be taken up by the next start.
    pub(crate) fn give_up(&mut self, now: Timestamp, out: &mut Out) {
        if self.is_busy() {
            self.stop_run(out);
            self.release = Some(Release { wake_at: Some(now) });
        }
    }

    fn handle(
        &mut self,
        now: Timestamp,
        input: Input,
        value: Option<Bytes>,
        out: &mut Out,
    ) -> Result<(), Abandon> {
        match self.instance.handle(now, input) {
            Ok(effects) => self.follow(now, effects, value, out),
            // Only commands are rejected, and they do not come this way.
            Err(rejected) => Err(Abandon(rejected.to_string())),
        }
    }

    fn follow(
        &mut self,
        now: Timestamp,
        effects: Effects,
        mut value: Option<Bytes>,
        out: &mut Out,
    ) -> Result<(), Abandon> {
        for entry in effects.entries {
            let payload = if entry.record.carries_value() {
                value.take()
            } else {
                None
            };
            if let (cairn_core::Record::EventReceived { .. }, Some(payload)) = (&entry.record, &payload) {
                self.values.insert(self.end(), payload.clone());
            }
            self.entries.push((entry.encode(), payload));
            self.behind_since.get_or_insert(now);
        }
        for action in effects.actions {
            self.perform(action, out)?;
        }
        self.report_doubled(now, out)
    }

    /// Position behind the last entry in memory.
    fn end(&self) -> Seq {
        Seq(self.next_seq.0 + self.entries.len() as u64)
    }

    fn perform(&mut self, action: Action, out: &mut Out) -> Result<(), Abandon> {
        match (action, self.run) {
            (Action::StartRun { outcomes, purpose }, _) => self.start_run((outcomes, purpose), out)?,
            (Action::StopRun, _) => self.stop_run(out),
            (Action::WantSlot, _) => self.asks_for_slot = true,
            (Action::Release { wake_at }, _) => self.release = Some(Release { wake_at }),
            (Action::RunAttempt { call, attempt }, Some(run)) => {
                if !self.takes_attempt(call, attempt) {
                    out.commands.push(Command::Attempt { run, call, attempt });
                }
            }
            (Action::RunRollback { step, attempt, error }, Some(run)) => {
                let key = self.instance.durable().step(step).map(|step| step.key.clone());
                let rollback = RunRollback {
                    run,
                    step,
                    key: key.ok_or_else(|| Abandon("a step to roll back is not known".into()))?,
                    attempt,
                    error,
                };
                self.settlements
                    .push_back((self.end(), Command::Rollback(Box::new(rollback))));
            }
            (Action::Hold, Some(run)) => out.commands.push(Command::Hold { run }),
            (Action::Unhold, Some(run)) => {
                if !self.keeps_hold() && self.leaves_at.is_none() {
                    out.commands.push(Command::Unhold { run });
                }
            }
            (Action::Confirm { call }, Some(run)) => {
                let outcome = match self.streams.confirmation(call) {
                    Some(stream) => cairn_runtime::Outcome::Value(stream),
                    None => self.doubled.confirmation(call),
                };
                self.settle_later(run, call, outcome);
            }
            (Action::Settle { call, outcome }, Some(run)) => {
                let outcome = self.outcome(&outcome)?;
                self.settle_later(run, call, outcome);
            }
            (
                Action::RunAttempt { .. }
                | Action::RunRollback { .. }
                | Action::Hold
                | Action::Unhold
                | Action::Confirm { .. }
                | Action::Settle { .. },
                None,
            ) => {}
        }
        Ok(())
    }

    fn settle_later(&mut self, run: RunId, call: CallId, outcome: cairn_runtime::Outcome) {
        self.settlements
            .push_back((self.end(), Command::Settle { run, call, outcome }));
    }

    fn stop_run(&mut self, out: &mut Out) {
        self.settlements.clear();
        self.doubled.end_run();
        if let Some(run) = self.run.take() {
            out.commands.push(Command::Stop { run });
            out.ended.push(run);
        }
        self.halt_streams(out);
    }

    /// An outcome with its values.
    fn outcome(&mut self, outcome: &Outcome) -> Result<cairn_runtime::Outcome, Abandon> {
        Ok(match outcome {
            Outcome::Value(seq) => cairn_runtime::Outcome::Value(self.value(*seq)?),
            Outcome::Slept => cairn_runtime::Outcome::Slept,
            Outcome::Event {
                event_type,
                at,
                payload: seq,
            } => {
                let payload = self.value(*seq)?;
                self.values.remove(seq);
                cairn_runtime::Outcome::Event {
                    event_type: event_type.clone(),
                    at: *at,
                    payload,
                }
            }
            Outcome::Failed(error) => cairn_runtime::Outcome::Failed(error.clone()),
            Outcome::Refused(error) => cairn_runtime::Outcome::Refused(error.clone()),
        })
    }

    fn value(&self, seq: Seq) -> Result<Value, Abandon> {
        let bytes = self
            .values
            .get(&seq)
            .ok_or_else(|| Abandon(format!("the value at {} is not in memory", seq.0)))?;
        Value::from_stored(bytes.clone())
            .map_err(|error| Abandon(format!("the value at {} is damaged: {error}", seq.0)))
    }

    fn start_run(&mut self, (outcomes, purpose): (Outcomes, Purpose), out: &mut Out) -> Result<(), Abandon> {
        out.next_run += 1;
        let run = RunId(out.next_run);
        let mut history = Vec::new();
        for step in self.instance.durable().steps().to_vec() {
            let known = match &step.state {
                StepState::Ended(outcome) => {
                    let outcome = self.outcome(outcome)?;
                    if let cairn_runtime::Outcome::Value(value) = &outcome {
                        self.streams.names(value);
                    }
                    Known::Ended(outcome)
                }
                StepState::Executing { .. }
                | StepState::Retrying { .. }
                | StepState::Sleeping { .. }
                | StepState::WaitingForEvent { .. }
                | StepState::Failing => Known::Open,
            };
            history.push(KnownStep { key: step.key, known });
        }
        let start = StartRun {
            run,
            purpose,
            first_attempts: self.first_attempts(),
            company: self.company,
            worker: WorkerId(self.row.script_version.as_str().into()),
            class_name: self.row.class_name.clone(),
            workflow_name: self.workflow_name.clone(),
            instance_id: self.row.id.clone(),
            created_at: self.row.created_at,
            firing: firing_of(&self.row),
            params: self.value(Seq(0))?,
            step_limit: self.instance.limits().steps,
            history,
        };
        let buffered = self.instance.durable().buffered_events();
        self.values.retain(|seq, _| buffered.contains(seq));
        self.run = Some(run);
        self.hearing = Hearing::Nothing;
        out.begun.push((run, self.row.no));
        let start = Command::Start(Box::new(start));
        match outcomes {
            Outcomes::Old => out.commands.push(start),
            Outcomes::New => self.settlements.push_back((self.end(), start)),
        }
        Ok(())
    }

    /// When to look again: a deadline of the rules, or entries that have waited long enough.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        if !self.is_busy() {
            return None;
        }
        let flush_at = self.behind_since.map(|since| since.plus(WRITE_BEHIND_MILLIS));
        // Until then it is woken by what executes.
        let leaves_at = self.leaves_at.filter(|_| !self.instance.executes());
        let lingers = self.lingers.map(|(until, _)| until);
        [self.instance.next_wake(), flush_at, leaves_at, lingers]
            .into_iter()
            .flatten()
            .min()
    }

    /// What must be written now, if anything.
    pub(crate) fn take_commit(&mut self, now: Timestamp) -> Option<Commit> {
        if self.leaving {
            return None;
        }
        let behind = self
            .behind_since
            .is_some_and(|since| since.plus(WRITE_BEHIND_MILLIS) <= now);
        let start = self.next_seq;
        let waited_for =
            !self.entries.is_empty() && self.settlements.back().is_some_and(|(seq, _)| *seq > start);
        if !(behind || waited_for || self.release.is_some() || self.consumed.is_some()) {
            return None;
        }
        self.next_seq = self.end();
        self.in_flight += 1;
        self.behind_since = None;
        self.leaving = self.release.is_some();
        self.released_at = self.release.map(|release| (self.next_seq, release));
        let summary = self.instance.summary();
        Some(Commit {
            instance: self.row.no,
            lease: self.lease,
            next_seq: start,
            entries: std::mem::take(&mut self.entries),
            status: summary.status,
            started_at: summary.started_at,
            ended_at: summary.ended_at,
            at: now,
            consumed: self.consumed.take(),
            release: self.release.take(),
            repin: self.repin.take(),
        })
    }

    /// The journal is durable up to `end`: what waited for that may happen.
    pub(crate) fn committed(&mut self, end: Seq, out: &mut Out) -> Vec<Reply> {
        self.durable_end = end;
        self.in_flight = self.in_flight.saturating_sub(1);
        self.settle(out);
        let mut replies = Vec::new();
        while let Some((_, reply)) = self.replies.pop_front_if(|(seq, _)| *seq <= end) {
            replies.push(reply);
        }
        replies
    }

    /// The release, when the commit up to `end` was the one that carried it.
    pub(crate) fn released(&self, end: Seq) -> Option<Release> {
        self.released_at
            .filter(|(at, _)| *at == end && self.in_flight == 0)
            .map(|(_, release)| release)
    }

    /// Tells user code what is durable.
    pub(crate) fn settle(&mut self, out: &mut Out) {
        let durable_end = self.durable_end;
        while let Some((_, command)) = self.settlements.pop_front_if(|(seq, _)| *seq <= durable_end) {
            out.commands.push(command);
        }
    }

    /// The driver is about to be dropped: the clients whose outcome has not been written.
    /// Each with the end of the journal it belongs to.
    pub(crate) fn stop(&mut self, out: &mut Out) -> Vec<(Seq, Reply)> {
        self.stop_run(out);
        self.replies.drain(..).collect()
    }
}

/// What an instance is pinned to from now on.
fn repin(request: &Request) -> Option<Repin> {
    match request {
        Request::Restart {
            version,
            script_version,
            class_name,
            ..
        } => Some(Repin {
            version: version.clone(),
            script_version: script_version.clone(),
            class_name: class_name.clone(),
        }),
        Request::Event { .. } | Request::Pause | Request::Resume | Request::Terminate | Request::RollBack => {
            None
        }
    }
}
