//! Clients: they send events, pause, resume, terminate and restart, at any moment, and are told the truth.

use crate::model::{Model, Sent};
use crate::program::EVENT_TYPES;
use crate::random::Random;
use crate::run::pause;
use crate::world::upload;
use cairn_core::{RestartFrom, StepKey, StepKind, Undo};
use cairn_engine::{
    CommandDone, Control, CreateInstance, Engine, EngineError, PutWorkflow, Trigger, Value, WorkflowSettings,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How long a client waits for what becomes of a command.
const OUTCOME_PATIENCE: Duration = Duration::from_secs(30);
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
    /// What they do beside commands.
    pub(crate) whims: Whims,
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

/// What clients do beside commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whims {
    None,
    /// They delete instances, create them again, and deploy versions.
    Some,
    /// They change how many may run at once, too: each node counts for itself, so only where there is one.
    All,
}

impl Whims {
    fn kinds(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Some => 3,
            Self::All => 4,
        }
    }
}

/// A client.
pub(crate) struct Client {
    pub(crate) engine: Engine,
    pub(crate) random: Random,
    pub(crate) model: Model,
    pub(crate) plan: Plan,
    /// The workflow as it was put first.
    pub(crate) workflow: WorkflowSettings,
    pub(crate) compatibility_date: &'static str,
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
            if self.plan.whims != Whims::None && self.random.chance(10) {
                self.plan.busy.fetch_add(1, Ordering::Relaxed);
                // Whoever is told of an error does not try again.
                let _ = self.follow_whim().await;
                self.plan.busy.fetch_sub(1, Ordering::Relaxed);
                continue;
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

    /// Deletes an instance, creates one, deploys a version, or changes how many may run at once.
    async fn follow_whim(&self) -> Result<(), EngineError> {
        let id = format!("instance-{}", self.random.below(5));
        match self.random.below(self.plan.whims.kinds()) {
            0 => {
                self.engine.delete_instance(ACCOUNT, WORKFLOW, &id).await?;
            }
            1 => {
                let create = CreateInstance {
                    id: Some(id),
                    ..CreateInstance::default()
                };
                let creates = (Trigger::Api, vec![create]);
                self.engine.create(ACCOUNT, WORKFLOW, creates).await?;
            }
            2 => {
                let uploaded = self
                    .engine
                    .upload_script(ACCOUNT, "script", upload(self.compatibility_date))
                    .await?;
                self.engine
                    .deploy_version(ACCOUNT, "script", &uploaded.version)
                    .await?;
            }
            _ => {
                let put = PutWorkflow {
                    script: "script".into(),
                    class_name: "Program".into(),
                    settings: WorkflowSettings {
                        concurrency: match self.random.below(4) {
                            0 => None,
                            most => u32::try_from(most).ok(),
                        },
                        ..self.workflow.clone()
                    },
                };
                self.engine.put_workflow(ACCOUNT, WORKFLOW, put).await?;
            }
        }
        Ok(())
    }

    /// Sends one command and checks the answer.
    pub(crate) async fn send(&self, id: &str, sent: &Sent) {
        self.plan.busy.fetch_add(1, Ordering::Relaxed);
        let from = self.model.sends(id, sent);
        let begun = Instant::now();
        let answer = self.perform(id, sent).await;
        self.model.answered(id, (sent, from), &answer);
        // Being told that nobody knows is an answer; silence is none.
        let was_silent = begun.elapsed() >= OUTCOME_PATIENCE;
        if let (Err(EngineError::OutcomeUnknown), Answers::Always, true) =
            (&answer, self.plan.answers, was_silent)
        {
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
