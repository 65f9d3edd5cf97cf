//! Clients: they send events, pause, resume, terminate and restart, at any moment, and are told the truth.

use crate::model::{Model, Sent};
use crate::program::EVENT_TYPES;
use crate::random::Random;
use crate::run::pause;
use cairn_core::{RestartFrom, StepKey, StepKind, Undo};
use cairn_engine::{CommandDone, Control, Engine, EngineError, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) const ACCOUNT: &str = "account";
pub(crate) const WORKFLOW: &str = "program";

/// What clients do in a world.
#[derive(Clone)]
pub(crate) struct Plan {
    /// Commands that are left.
    pub(crate) left: Arc<AtomicU64>,
    /// Commands that are under way.
    pub(crate) busy: Arc<AtomicU64>,
    pub(crate) commands: Commands,
    /// Whether a command must be answered.
    pub(crate) answers: Answers,
    /// Longest wait between two commands, milliseconds.
    pub(crate) longest_wait: u64,
}

/// Which commands are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commands {
    Events,
    All,
}

/// Whether every client is told what became of his command, as long as the node lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// He is.
    Always,
    /// Not while another node holds the instance that died without a word.
    Sometimes,
}

/// A client.
pub(crate) struct Client {
    pub(crate) engine: Engine,
    pub(crate) random: Random,
    pub(crate) model: Model,
    pub(crate) plan: Plan,
}

impl Client {
    /// Sends commands as long as some are left.
    pub(crate) async fn work(self) {
        loop {
            pause(self.random.between(0, self.plan.longest_wait)).await;
            let take = |left: u64| left.checked_sub(1);
            if self
                .plan
                .left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                .is_err()
            {
                return;
            }
            let ids = self.model.ids();
            if ids.is_empty() {
                continue;
            }
            let id = &ids[usize::try_from(self.random.below(ids.len() as u64)).unwrap_or(0)];
            let sent = self.choose(id);
            self.send(id, &sent).await;
        }
    }

    fn choose(&self, id: &str) -> Sent {
        let event = || {
            let number = self.model.nonce();
            Sent::Event(number, EVENT_TYPES[usize::from(self.random.chance(30))].into())
        };
        if self.plan.commands == Commands::Events {
            return event();
        }
        match self.random.below(100) {
            0..=44 => event(),
            45..=59 => Sent::Pause,
            60..=75 => Sent::Resume,
            76..=79 => Sent::Terminate(Undo::Nothing),
            80..=86 => Sent::Terminate(Undo::Steps),
            87..=90 => Sent::Restart(RestartFrom::Beginning),
            _ => Sent::Restart(RestartFrom::Step(self.some_step(id))),
        }
    }

    /// A step that the instance has reached, or one that it never will.
    fn some_step(&self, id: &str) -> StepKey {
        let nowhere = StepKey {
            kind: StepKind::Do,
            name: "nowhere".into(),
            count: 1,
        };
        let keys = self.model.ask(id, |ledger| {
            let keys = ledger.steps.iter().map(|step| step.key.clone());
            keys.collect::<Vec<_>>()
        });
        let keys = keys.unwrap_or_default();
        let index = usize::try_from(self.random.below(keys.len() as u64 + 1)).unwrap_or(0);
        keys.into_iter().nth(index).unwrap_or(nowhere)
    }

    /// Sends one command and checks the answer.
    pub(crate) async fn send(&self, id: &str, sent: &Sent) {
        self.plan.busy.fetch_add(1, Ordering::Relaxed);
        let from = self.model.sends(id, sent);
        let answer = self.perform(id, sent).await;
        self.model.answered(id, (sent, from), &answer);
        if let (Err(EngineError::OutcomeUnknown), Answers::Always) = (&answer, self.plan.answers) {
            self.model
                .wrong(format!("a client of {id} was not told what became of {sent:?}"));
        }
        self.plan.busy.fetch_sub(1, Ordering::Relaxed);
    }

    async fn perform(&self, id: &str, sent: &Sent) -> Result<CommandDone, EngineError> {
        let control = match sent {
            Sent::Event(number, event_type) => {
                let payload = Value::from_json(&number.to_string()).unwrap_or_else(|_| Value::undefined());
                let event = (id, event_type.as_str(), payload);
                return self.engine.send_event(ACCOUNT, WORKFLOW, event).await;
            }
            Sent::Pause => Control::Pause,
            Sent::Resume => Control::Resume,
            Sent::Terminate(undo) => Control::Terminate(*undo),
            Sent::Restart(from) => Control::Restart(from.clone()),
        };
        self.engine.control(ACCOUNT, WORKFLOW, (id, control)).await
    }
}
