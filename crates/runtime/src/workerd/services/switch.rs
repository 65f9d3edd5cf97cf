//! Connects the one Cap'n Proto connection that a calling process keeps for a binding to as many processes as the binding has led to.
//!
//! workerd opens one connection for a binding, keeps it, and asks its bootstrap object to start an event for each session of RPC. A
//! session is to reach what is deployed at that moment, so the bootstrap object is ours, and each call of it goes to the bootstrap
//! object of another process if need be, while sessions with earlier ones are still under way. All messages pass unchanged but for
//! the ids in them: those that a target chooses could be those of another, so the caller is shown ids of ours for them. The caller's
//! own ids are the same everywhere.
//!
//! Counting what is open tells when a target is needed no more.

use super::message::{
    self, Along, Answered, Capability, CapabilityKind, Failure, Finished, Id, Kind, Message, Returned, Target,
};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};

/// Our bootstrap object, as the caller knows it.
const BOOTSTRAP: u32 = 0;
/// The bootstrap object of a target: the first that it exports.
pub(super) const BOOTSTRAP_OF_TARGET: u32 = 0;
/// The question by which a target is asked for it: none that the caller chooses.
pub(super) const BOOTSTRAP_QUESTION: u32 = u32::MAX;

/// A connection to a target; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Slot(pub(super) u64);

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Out {
    Caller(Bytes),
    Target(Slot, Bytes),
}

/// Why a connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error(transparent)]
    Malformed(#[from] message::Malformed),
    #[error("a message names {0}, which is not there")]
    Unknown(&'static str),
    #[error("the other side gave up the connection")]
    Aborted,
    #[error("a message of a kind that does not belong here")]
    Unexpected,
}

/// Ids that the caller is shown.
#[derive(Debug)]
struct Ids {
    next: u32,
    free: Vec<u32>,
}

impl Default for Ids {
    fn default() -> Self {
        Self {
            next: BOOTSTRAP + 1,
            free: Vec::new(),
        }
    }
}

impl Ids {
    fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            let id = self.next;
            self.next = self.next.wrapping_add(1);
            id
        })
    }

    fn give(&mut self, id: u32) {
        self.free.push(id);
    }
}

/// A question: of the caller to a target, or the other way.
#[derive(Debug)]
struct Question {
    slot: Slot,
    /// Its id at the target.
    own: u32,
    /// Exports of who asks that the parameters brought along.
    params: Vec<u32>,
    /// Exports of who answers that the results brought along.
    results: Vec<u32>,
    returned: bool,
    finished: bool,
    /// The results were released before they came.
    released: bool,
}

impl Question {
    fn new(slot: Slot, own: u32, params: Vec<u32>) -> Self {
        Self {
            slot,
            own,
            params,
            results: Vec::new(),
            returned: false,
            finished: false,
            released: false,
        }
    }

    fn is_over(&self) -> bool {
        self.returned && self.finished
    }
}

/// An export of a target that the caller knows.
#[derive(Debug)]
struct Export {
    slot: Slot,
    own: u32,
    count: u32,
    is_promise: bool,
}

/// A target.
#[derive(Debug, Default)]
struct Peer {
    /// Questions of the caller that are open.
    questions: usize,
    /// Its own questions, by its ids.
    answers: HashMap<u32, u32>,
    /// Its exports, by its ids.
    exports: HashMap<u32, u32>,
    /// Exports of the caller that it holds, and how often.
    held: HashMap<u32, u32>,
    /// Why it is gone.
    gone: Option<(Failure, String)>,
}

impl Peer {
    fn is_idle(&self) -> bool {
        self.questions == 0 && self.answers.is_empty() && self.exports.is_empty() && self.held.is_empty()
    }
}

/// What is open between a caller and its targets.
#[derive(Debug, Default)]
pub(super) struct Switch {
    peers: HashMap<Slot, Peer>,
    /// Questions of the caller for the bootstrap object.
    bootstraps: HashSet<u32>,
    questions: HashMap<u32, Question>,
    answers: HashMap<u32, Question>,
    exports: HashMap<u32, Export>,
    embargoes: HashMap<u32, (Slot, u32)>,
    answer_ids: Ids,
    export_ids: Ids,
    embargo_ids: Ids,
    out: Vec<Out>,
}

impl Switch {
    /// What is to be sent, in order.
    pub(super) fn take_out(&mut self) -> Vec<Out> {
        std::mem::take(&mut self.out)
    }

    /// Whether nothing is open with this target.
    pub(super) fn is_idle(&self, slot: Slot) -> bool {
        self.peers.get(&slot).is_none_or(Peer::is_idle)
    }

    /// Whether a message of the caller starts a session: it needs a target then.
    pub(super) fn is_start(&self, kind: &Kind) -> bool {
        match kind {
            Kind::Call { target, .. } => match target {
                Target::Export(id) => id.value == BOOTSTRAP,
                Target::Answer(answer) => self.bootstraps.contains(&answer.question.value),
            },
            _ => false,
        }
    }

    /// Hands the start of a session to a target.
    pub(super) fn start(&mut self, slot: Slot, kind: Kind, mut message: Message) -> Result<(), Broken> {
        let Kind::Call {
            question,
            target,
            params,
            answered,
        } = kind
        else {
            return Err(Broken::Unexpected);
        };
        self.peers.entry(slot).or_default();
        message.readdress(target, BOOTSTRAP_OF_TARGET);
        self.call_of_caller(slot, (question.value, answered), (&params, message));
        Ok(())
    }

    /// Says that there is no target for a session: all that is asked of it fails for this reason.
    pub(super) fn refuse(&mut self, slot: Slot, reason: &str) {
        self.peers.entry(slot).or_default().gone = Some((Failure::Failed, reason.to_owned()));
    }

    fn ask(&mut self, id: u32, question: Question) {
        self.peers.entry(question.slot).or_default().questions += 1;
        self.questions.insert(id, question);
    }

    /// Takes a message of the caller that starts no session.
    pub(super) fn take_from_caller(&mut self, kind: Kind, mut message: Message) -> Result<(), Broken> {
        match kind {
            Kind::Call {
                question,
                target,
                params,
                answered,
            } => {
                let slot = self.route(target, &mut message)?;
                self.call_of_caller(slot, (question.value, answered), (&params, message));
            }
            Kind::Bootstrap { question } => {
                self.bootstraps.insert(question.value);
                let answer = message::return_export(question.value, BOOTSTRAP);
                self.out.push(Out::Caller(answer));
            }
            Kind::Finish { question, .. } if self.bootstraps.remove(&question.value) => {}
            Kind::Release { export, .. } if export.value == BOOTSTRAP => {}
            Kind::Return { answer, .. } => return self.return_of_caller(answer, kind, message),
            Kind::Finish { question, results } => self.finish_of_caller(question.value, results, message),
            Kind::Resolve { promise, capability } => {
                self.resolve_of_caller(promise.value, capability, message);
            }
            Kind::Release { export, count } => {
                let known = self
                    .exports
                    .get(&export.value)
                    .ok_or(Broken::Unknown("an export"))?;
                let slot = known.slot;
                message.put(export, known.own);
                self.unref(export.value, count);
                self.send_to_target(slot, message);
            }
            Kind::Embargo { target, id } => {
                let slot = self.route(target, &mut message)?;
                if self.is_gone(slot) {
                    message.turn(id);
                    self.out.push(Out::Caller(message.into_bytes()));
                } else {
                    self.send_to_target(slot, message);
                }
            }
            Kind::Disembargo { target, id } => {
                let (slot, own) = self
                    .embargoes
                    .remove(&id.value)
                    .ok_or(Broken::Unknown("an embargo"))?;
                self.embargo_ids.give(id.value);
                self.route(target, &mut message)?;
                message.put(id, own);
                self.send_to_target(slot, message);
            }
            Kind::Abort => return Err(Broken::Aborted),
            Kind::Unimplemented => return Err(Broken::Unexpected),
        }
        Ok(())
    }

    fn call_of_caller(
        &mut self,
        slot: Slot,
        (id, answered): (u32, Answered),
        (params, mut message): (&[Capability], Message),
    ) {
        let gone = self.peers.get(&slot).and_then(|peer| peer.gone.clone());
        let mut question = Question::new(slot, id, Vec::new());
        question.returned = answered == Answered::Never;
        if let Some((failure, reason)) = gone {
            for capability in params {
                if let CapabilityKind::Sender(export) | CapabilityKind::SenderPromise(export) =
                    capability.kind
                {
                    self.out.push(Out::Caller(message::release(export.value, 1)));
                }
            }
            if !question.returned {
                question.returned = true;
                self.out
                    .push(Out::Caller(message::return_exception(id, failure, &reason)));
            }
        } else {
            question.params = self.hand_over(slot, params, &mut message);
            self.send_to_target(slot, message);
        }
        self.ask(id, question);
    }

    fn return_of_caller(&mut self, answer: Id, kind: Kind, mut message: Message) -> Result<(), Broken> {
        let Kind::Return {
            params,
            finished,
            returned,
            ..
        } = kind
        else {
            return Err(Broken::Unexpected);
        };
        let Some(question) = self.answers.get(&answer.value) else {
            // Its finish crossed it.
            return Ok(());
        };
        let (slot, own, released) = (question.slot, question.own, question.released);
        let brought = if params == Along::Released {
            question.params.clone()
        } else {
            Vec::new()
        };
        for export in brought {
            self.unref(export, 1);
        }
        let results = match &returned {
            Returned::Results(results) if !released => self.hand_over(slot, results, &mut message),
            Returned::Results(_) | Returned::OfQuestion(_) | Returned::Other => Vec::new(),
        };
        message.put(answer, own);
        self.send_to_target(slot, message);
        if let Some(question) = self.answers.get_mut(&answer.value) {
            question.results = results;
            question.returned = true;
            question.finished |= finished == Finished::ByReturn;
        }
        self.close_answer(answer.value);
        Ok(())
    }

    fn finish_of_caller(&mut self, id: u32, results: Along, message: Message) {
        let Some(question) = self.questions.get_mut(&id) else {
            // The return needed none.
            return;
        };
        let slot = question.slot;
        question.finished = true;
        let mut released = Vec::new();
        if results == Along::Released {
            if question.returned {
                released = std::mem::take(&mut question.results);
            } else {
                question.released = true;
            }
        }
        for export in released {
            self.unref(export, 1);
        }
        self.send_to_target(slot, message);
        self.close_question(id);
    }

    fn resolve_of_caller(&mut self, promise: u32, capability: Option<Capability>, mut message: Message) {
        let holds = |(slot, peer): (&Slot, &Peer)| peer.held.contains_key(&promise).then_some(*slot);
        let mut holders: Vec<Slot> = self.peers.iter().filter_map(holds).collect();
        holders.sort_unstable();
        let mut holders = holders.into_iter();
        let Some(first) = holders.next() else {
            // Nobody waits for it any more; what it brings along is given back.
            if let Some(CapabilityKind::Sender(export) | CapabilityKind::SenderPromise(export)) =
                capability.map(|capability| capability.kind)
            {
                self.out.push(Out::Caller(message::release(export.value, 1)));
            }
            return;
        };
        if let Some(capability) = capability {
            self.hand_over(first, &[capability], &mut message);
        }
        self.send_to_target(first, message);
        for other in holders {
            let reason = "jsg.Error: the Worker was deployed anew while this was under way";
            let resolve = message::resolve_exception(promise, Failure::Failed, reason);
            self.out.push(Out::Target(other, resolve));
        }
    }

    /// The target that the caller addresses; the message then says it as the target does.
    fn route(&self, target: Target, message: &mut Message) -> Result<Slot, Broken> {
        match target {
            Target::Export(id) => {
                let export = self.exports.get(&id.value).ok_or(Broken::Unknown("an export"))?;
                message.put(id, export.own);
                Ok(export.slot)
            }
            Target::Answer(answer) => {
                let question = self.questions.get(&answer.question.value);
                Ok(question.ok_or(Broken::Unknown("a question"))?.slot)
            }
        }
    }

    /// Hands capabilities of a message of the caller to a target; which exports of the caller it holds once more.
    fn hand_over(&mut self, slot: Slot, capabilities: &[Capability], message: &mut Message) -> Vec<u32> {
        let mut handed = Vec::new();
        for capability in capabilities {
            match capability.kind {
                CapabilityKind::None => {}
                CapabilityKind::Sender(id) | CapabilityKind::SenderPromise(id) => {
                    if let Some(peer) = self.peers.get_mut(&slot) {
                        *peer.held.entry(id.value).or_default() += 1;
                    }
                    handed.push(id.value);
                }
                CapabilityKind::Receiver(id) => match self.exports.get(&id.value) {
                    Some(export) if export.slot == slot => message.put(id, export.own),
                    _ => Self::cut(message, *capability),
                },
                CapabilityKind::ReceiverAnswer(id) => {
                    let asked = self.questions.get(&id.value);
                    if asked.is_none_or(|question| question.slot != slot) {
                        Self::cut(message, *capability);
                    }
                }
            }
        }
        handed
    }

    /// A capability of one version cannot be handed to another: the receiver finds nothing in its place.
    fn cut(message: &mut Message, capability: Capability) {
        tracing::debug!(
            "a stub of an earlier version of a Worker was handed to a later one, which cannot use it"
        );
        message.remove(capability);
    }

    /// Takes a message of a target.
    pub(super) fn take_from_target(
        &mut self,
        slot: Slot,
        kind: Kind,
        mut message: Message,
    ) -> Result<(), Broken> {
        if self.is_gone(slot) || !self.peers.contains_key(&slot) {
            return Ok(());
        }
        match kind {
            Kind::Call {
                question,
                target,
                params,
                answered,
            } => return self.call_of_target((slot, question, answered), (target, &params), message),
            Kind::Return { answer, .. } => return self.return_of_target(slot, answer, kind, message),
            Kind::Finish { question, results } => self.finish_of_target((slot, question), results, message),
            Kind::Resolve { promise, capability } => {
                return self.resolve_of_target((slot, promise), capability, message);
            }
            Kind::Release { export, count } => {
                self.unhold(slot, export.value, count);
                self.send_to_caller(message);
            }
            Kind::Embargo { target, id } => {
                self.translate(slot, target, &mut message)?;
                let shown = self.embargo_ids.take();
                self.embargoes.insert(shown, (slot, id.value));
                message.put(id, shown);
                self.send_to_caller(message);
            }
            Kind::Disembargo { target, .. } => {
                self.translate(slot, target, &mut message)?;
                self.send_to_caller(message);
            }
            // Callers offer nothing.
            Kind::Bootstrap { question } => {
                let reason = "a Worker that calls has no bootstrap object";
                let answer = message::return_exception(question.value, Failure::Failed, reason);
                self.out.push(Out::Target(slot, answer));
            }
            Kind::Abort => return Err(Broken::Aborted),
            Kind::Unimplemented => return Err(Broken::Unexpected),
        }
        Ok(())
    }

    fn call_of_target(
        &mut self,
        (slot, question, answered): (Slot, Id, Answered),
        (target, params): (Target, &[Capability]),
        mut message: Message,
    ) -> Result<(), Broken> {
        self.translate(slot, target, &mut message)?;
        let params = self.show(slot, params, &mut message)?;
        let shown = self.answer_ids.take();
        let mut asked = Question::new(slot, question.value, params);
        asked.returned = answered == Answered::Never;
        self.answers.insert(shown, asked);
        if let Some(peer) = self.peers.get_mut(&slot) {
            peer.answers.insert(question.value, shown);
        }
        message.put(question, shown);
        self.send_to_caller(message);
        Ok(())
    }

    fn return_of_target(
        &mut self,
        slot: Slot,
        answer: Id,
        kind: Kind,
        mut message: Message,
    ) -> Result<(), Broken> {
        let Kind::Return {
            params,
            finished,
            returned,
            ..
        } = kind
        else {
            return Err(Broken::Unexpected);
        };
        let question = self
            .questions
            .get(&answer.value)
            .filter(|question| question.slot == slot);
        let question = question.ok_or(Broken::Unknown("a question"))?;
        let released = question.released;
        let brought = if params == Along::Released {
            question.params.clone()
        } else {
            Vec::new()
        };
        for export in brought {
            self.unhold(slot, export, 1);
        }
        let mut results = Vec::new();
        match returned {
            // The caller does not look at them any more, and the target has taken them back.
            Returned::Results(brought) if released => {
                brought
                    .into_iter()
                    .for_each(|capability| message.remove(capability));
            }
            Returned::Results(brought) => results = self.show(slot, &brought, &mut message)?,
            Returned::OfQuestion(own) => message.put(own, self.shown(slot, own)?),
            Returned::Other => {}
        }
        self.send_to_caller(message);
        if let Some(question) = self.questions.get_mut(&answer.value) {
            question.results = results;
            question.returned = true;
            question.finished |= finished == Finished::ByReturn;
        }
        self.close_question(answer.value);
        Ok(())
    }

    fn finish_of_target(&mut self, (slot, question): (Slot, Id), results: Along, mut message: Message) {
        let shown = self
            .peers
            .get(&slot)
            .and_then(|peer| peer.answers.get(&question.value).copied());
        let Some(shown) = shown else {
            // The return needed none.
            return;
        };
        let mut released = Vec::new();
        if let Some(asked) = self.answers.get_mut(&shown) {
            asked.finished = true;
            if results == Along::Released {
                if asked.returned {
                    released = std::mem::take(&mut asked.results);
                } else {
                    asked.released = true;
                }
            }
        }
        for export in released {
            self.unhold(slot, export, 1);
        }
        message.put(question, shown);
        self.send_to_caller(message);
        self.close_answer(shown);
    }

    fn resolve_of_target(
        &mut self,
        (slot, promise): (Slot, Id),
        capability: Option<Capability>,
        mut message: Message,
    ) -> Result<(), Broken> {
        let shown = self
            .peers
            .get(&slot)
            .and_then(|peer| peer.exports.get(&promise.value).copied());
        let Some(shown) = shown else {
            // The caller has released it; what it would bring along is given back.
            if let Some(CapabilityKind::Sender(export) | CapabilityKind::SenderPromise(export)) =
                capability.map(|capability| capability.kind)
            {
                self.out
                    .push(Out::Target(slot, message::release(export.value, 1)));
            }
            return Ok(());
        };
        if let Some(capability) = capability {
            self.show(slot, &[capability], &mut message)?;
        }
        if let Some(export) = self.exports.get_mut(&shown) {
            export.is_promise = false;
        }
        message.put(promise, shown);
        self.send_to_caller(message);
        Ok(())
    }

    /// A message of a target addresses exports and answers of the caller: the latter by a question of its own.
    fn translate(&self, slot: Slot, target: Target, message: &mut Message) -> Result<(), Broken> {
        match target {
            Target::Export(_) => {}
            Target::Answer(answer) => message.put(answer.question, self.shown(slot, answer.question)?),
        }
        Ok(())
    }

    /// The id by which the caller knows a question of a target.
    fn shown(&self, slot: Slot, question: Id) -> Result<u32, Broken> {
        let shown = self
            .peers
            .get(&slot)
            .and_then(|peer| peer.answers.get(&question.value));
        shown.copied().ok_or(Broken::Unknown("a question"))
    }

    /// Shows capabilities of a target to the caller; the exports that it has once more, by the ids it knows.
    fn show(
        &mut self,
        slot: Slot,
        capabilities: &[Capability],
        message: &mut Message,
    ) -> Result<Vec<u32>, Broken> {
        let mut brought = Vec::new();
        for capability in capabilities {
            match capability.kind {
                CapabilityKind::None | CapabilityKind::Receiver(_) => {}
                CapabilityKind::Sender(id) => brought.push(self.export(slot, id, message)),
                CapabilityKind::SenderPromise(id) => {
                    let shown = self.export(slot, id, message);
                    if let Some(export) = self.exports.get_mut(&shown) {
                        export.is_promise = true;
                    }
                    brought.push(shown);
                }
                CapabilityKind::ReceiverAnswer(id) => message.put(id, self.shown(slot, id)?),
            }
        }
        Ok(brought)
    }

    fn export(&mut self, slot: Slot, id: Id, message: &mut Message) -> u32 {
        let peer = self.peers.entry(slot).or_default();
        let ids = &mut self.export_ids;
        let shown = *peer.exports.entry(id.value).or_insert_with(|| ids.take());
        let export = self.exports.entry(shown).or_insert(Export {
            slot,
            own: id.value,
            count: 0,
            is_promise: false,
        });
        export.count += 1;
        message.put(id, shown);
        shown
    }

    /// The caller has an export of a target less often.
    fn unref(&mut self, shown: u32, count: u32) {
        let Some(export) = self.exports.get_mut(&shown) else {
            return;
        };
        export.count = export.count.saturating_sub(count);
        if export.count > 0 {
            return;
        }
        let (slot, own) = (export.slot, export.own);
        self.exports.remove(&shown);
        self.export_ids.give(shown);
        if let Some(peer) = self.peers.get_mut(&slot) {
            peer.exports.remove(&own);
        }
        self.forget(slot);
    }

    /// A target has an export of the caller less often.
    fn unhold(&mut self, slot: Slot, export: u32, count: u32) {
        let Some(peer) = self.peers.get_mut(&slot) else {
            return;
        };
        if let Some(held) = peer.held.get_mut(&export) {
            *held = held.saturating_sub(count);
            if *held == 0 {
                peer.held.remove(&export);
            }
        }
    }

    fn close_question(&mut self, id: u32) {
        let over = self.questions.get(&id).filter(|question| question.is_over());
        let Some(slot) = over.map(|question| question.slot) else {
            return;
        };
        self.questions.remove(&id);
        if let Some(peer) = self.peers.get_mut(&slot) {
            peer.questions = peer.questions.saturating_sub(1);
        }
        self.forget(slot);
    }

    fn close_answer(&mut self, shown: u32) {
        let over = self.answers.get(&shown).filter(|question| question.is_over());
        let Some((slot, own)) = over.map(|question| (question.slot, question.own)) else {
            return;
        };
        self.answers.remove(&shown);
        self.answer_ids.give(shown);
        if let Some(peer) = self.peers.get_mut(&slot) {
            peer.answers.remove(&own);
        }
        self.forget(slot);
    }

    /// Drops a target that is gone, once nothing of it is left.
    fn forget(&mut self, slot: Slot) {
        let over = |peer: &Peer| peer.gone.is_some() && peer.is_idle();
        if self.peers.get(&slot).is_some_and(over) {
            self.peers.remove(&slot);
        }
    }

    /// The connection to a target is over: whoever waits for it learns why, and what it held is given back.
    pub(super) fn lost(&mut self, slot: Slot, failure: Failure, reason: &str) {
        let Some(peer) = self.peers.get_mut(&slot) else {
            return;
        };
        peer.gone = Some((failure, reason.to_owned()));
        let held: Vec<(u32, u32)> = peer.held.drain().collect();
        let mut open: Vec<u32> = Vec::new();
        for (id, question) in &mut self.questions {
            if question.slot == slot && !question.returned {
                question.returned = true;
                open.push(*id);
            }
        }
        open.sort_unstable();
        for id in open {
            self.out
                .push(Out::Caller(message::return_exception(id, failure, reason)));
            self.close_question(id);
        }
        for (id, export) in &mut self.exports {
            if export.slot == slot && std::mem::take(&mut export.is_promise) {
                self.out
                    .push(Out::Caller(message::resolve_exception(*id, failure, reason)));
            }
        }
        let mut asked: Vec<u32> = Vec::new();
        for (id, question) in &mut self.answers {
            if question.slot == slot && !question.finished {
                question.finished = true;
                question.released = true;
                asked.push(*id);
            }
        }
        for id in asked {
            self.out.push(Out::Caller(message::finish(id)));
            self.close_answer(id);
        }
        for (export, count) in held {
            self.out.push(Out::Caller(message::release(export, count)));
        }
        self.forget(slot);
    }

    /// Forgets a target with which nothing is open.
    pub(super) fn close(&mut self, slot: Slot) {
        self.peers.remove(&slot);
    }

    fn is_gone(&self, slot: Slot) -> bool {
        self.peers.get(&slot).is_some_and(|peer| peer.gone.is_some())
    }

    fn send_to_target(&mut self, slot: Slot, message: Message) {
        if !self.is_gone(slot) {
            self.out.push(Out::Target(slot, message.into_bytes()));
        }
    }

    fn send_to_caller(&mut self, message: Message) {
        self.out.push(Out::Caller(message.into_bytes()));
    }
}
