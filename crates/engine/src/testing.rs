//! What tests ask: doubles, sessions, waits, and a clock that was put forward (behaviour §9).

use crate::doubles::{Double, StepSelector};
use crate::instances::corrupt;
use crate::signal::Signal;
use crate::{Engine, EngineError};
use cairn_core::{ErrorInfo, Status, StepDetail, StepView, Timestamp, check_instance_id};
use cairn_runtime::Value;
use cairn_store::InstanceRow;
use std::time::Duration;
use tokio::time::Instant;

/// How a step ended.
#[derive(Debug, Clone, PartialEq)]
pub enum StepEnd {
    /// A `step.do`, with this result.
    Result(Value),
    /// A `step.waitForEvent`, with this event.
    Event {
        /// Its type.
        event_type: String,
        /// When the step took it.
        at: Timestamp,
        /// Its payload.
        payload: Value,
    },
    /// A sleep.
    Slept,
    /// With this error.
    Failed(ErrorInfo),
}

/// Where an instance stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Its state.
    pub status: Status,
    /// What `run()` returned.
    pub output: Option<Value>,
    /// What it threw.
    pub error: Option<ErrorInfo>,
}

/// What is waited for.
#[derive(Clone, Copy)]
enum Sought<'a> {
    Status(Status),
    Step(&'a StepSelector),
}

/// What was waited for.
enum Found {
    Status,
    Step(StepEnd),
}

impl Engine {
    /// Puts something in place of what an instance would do or wait for. The instance need not exist yet.
    ///
    /// # Errors
    /// [`EngineError::InvalidInput`] where one contradicts another, and nothing has changed; [`EngineError::TooLarge`] for an event,
    /// [`EngineError::InvalidName`], [`EngineError::WorkflowNotFound`].
    pub async fn double(
        &self,
        account: &str,
        workflow: &str,
        (id, doubles): (&str, &[Double]),
    ) -> Result<(), EngineError> {
        let workflow = self.workflow_row(account, workflow).await?;
        check_instance_id(id).map_err(|reason| EngineError::InvalidName {
            what: "instance id",
            name: id.into(),
            reason,
        })?;
        self.check_events(doubles)?;
        self.shared.doubles.add((workflow.no, id), doubles)?;
        if let Some(row) = self.shared.store.instance(workflow.no, id).await? {
            self.shared.signal(Signal::Doubled(row.no));
        }
        Ok(())
    }

    fn check_events(&self, doubles: &[Double]) -> Result<(), EngineError> {
        for double in doubles {
            let Double::Event { event_type, payload } = double else {
                continue;
            };
            cairn_core::check_event_type(event_type).map_err(|reason| EngineError::InvalidName {
                what: "event type",
                name: event_type.clone(),
                reason,
            })?;
            let limit = self.shared.settings.limits.event_bytes;
            if payload.len() > limit {
                return Err(EngineError::TooLarge {
                    what: "the event payload",
                    bytes: payload.len(),
                    limit,
                    setting: "limits.event_bytes",
                });
            }
        }
        Ok(())
    }

    /// Begins a session, which collects the instances of a workflow that are created from now on; its id.
    ///
    /// # Errors
    /// [`EngineError::TestConflict`] when the workflow has one.
    pub async fn introspect(&self, account: &str, workflow: &str) -> Result<String, EngineError> {
        let workflow = self.workflow_row(account, workflow).await?;
        let session = uuid::Uuid::new_v4().to_string();
        if self.shared.doubles.begin(workflow.no, &session) {
            return Ok(session);
        }
        Err(EngineError::TestConflict(format!(
            "Workflow \"{}\" already has an active introspection session. Dispose of that one first; after a test that did not, start the server again",
            workflow.name
        )))
    }

    /// The ids of the instances a session has collected, in order of creation.
    ///
    /// # Errors
    /// [`EngineError::TestConflict`] when it is over.
    pub async fn introspected(
        &self,
        account: &str,
        workflow: &str,
        session: &str,
    ) -> Result<Vec<String>, EngineError> {
        let workflow = self.workflow_row(account, workflow).await?;
        let instances = self.shared.doubles.instances(workflow.no, session);
        instances.ok_or_else(|| is_over(&workflow.name))
    }

    /// The same as [`Engine::double`], for all instances of a session: those to come, and those that are there.
    ///
    /// # Errors
    /// [`EngineError::TestConflict`] when it is over, and those of [`Engine::double`].
    pub async fn double_all(
        &self,
        account: &str,
        workflow: &str,
        (session, doubles): (&str, &[Double]),
    ) -> Result<(), EngineError> {
        let workflow = self.workflow_row(account, workflow).await?;
        self.check_events(doubles)?;
        let added = self.shared.doubles.add_to_all((workflow.no, session), doubles);
        for instance in added.ok_or_else(|| is_over(&workflow.name))?? {
            self.shared.signal(Signal::Doubled(instance));
        }
        Ok(())
    }

    /// Ends a session and deletes its instances.
    ///
    /// # Errors
    /// [`EngineError::TestConflict`] when it is over.
    pub async fn end_introspection(
        &self,
        account: &str,
        workflow: &str,
        session: &str,
    ) -> Result<(), EngineError> {
        let row = self.workflow_row(account, workflow).await?;
        let instances = self.shared.doubles.end(row.no, session);
        for id in instances.ok_or_else(|| is_over(&row.name))? {
            self.dispose(account, workflow, &id).await?;
        }
        Ok(())
    }

    /// Forgets the doubles of an instance, and deletes it if there is one.
    ///
    /// # Errors
    /// [`EngineError::WorkflowNotFound`]
    pub async fn dispose(&self, account: &str, workflow: &str, id: &str) -> Result<(), EngineError> {
        let row = self.workflow_row(account, workflow).await?;
        self.shared.doubles.remove((row.no, id));
        match self.delete_instance(account, workflow, id).await {
            Ok(_) | Err(EngineError::InstanceNotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Waits until an instance, which need not exist yet, has a status. Whether it has, before `patience` was over.
    ///
    /// # Errors
    /// [`EngineError::TestConflict`] when it ends with another status.
    pub async fn wait_for_status(
        &self,
        account: &str,
        workflow: &str,
        (id, status, patience): (&str, Status, Duration),
    ) -> Result<bool, EngineError> {
        let sought = Sought::Status(status);
        let found = self.wait((account, workflow, id), sought, patience).await?;
        Ok(found.is_some())
    }

    /// Waits until a step of an instance, which need not exist yet, has ended. None when `patience` was over before.
    ///
    /// # Errors
    /// [`EngineError::TestConflict`] when the instance ends without it.
    pub async fn wait_for_step(
        &self,
        account: &str,
        workflow: &str,
        (id, step, patience): (&str, &StepSelector, Duration),
    ) -> Result<Option<StepEnd>, EngineError> {
        let sought = Sought::Step(step);
        let found = self.wait((account, workflow, id), sought, patience).await?;
        Ok(found.and_then(|found| match found {
            Found::Step(end) => Some(end),
            Found::Status => None,
        }))
    }

    /// Where an instance stands.
    ///
    /// # Errors
    /// [`EngineError::WorkflowNotFound`], [`EngineError::InstanceNotFound`]
    pub async fn instance_outcome(
        &self,
        account: &str,
        workflow: &str,
        id: &str,
    ) -> Result<Outcome, EngineError> {
        let (_, row) = self.instance_row(account, workflow, id).await?;
        let ended = self.outcome(&row).await?;
        Ok(Outcome {
            status: row.status,
            output: ended.output,
            error: ended.error,
        })
    }

    /// Looks at once for what is due: the clock was put forward.
    pub fn clock_was_set(&self) {
        self.shared.signal(Signal::Due);
        self.shared.schedules_changed.notify_one();
        self.shared.crons_changed.notify_one();
    }

    async fn wait(
        &self,
        which: (&str, &str, &str),
        sought: Sought<'_>,
        patience: Duration,
    ) -> Result<Option<Found>, EngineError> {
        let until = Instant::now() + patience;
        loop {
            let found = tokio::time::timeout_at(until, self.wait_while_it_exists(which, sought)).await;
            match found {
                Ok(Ok(None)) => {}
                Ok(found) => return found,
                Err(_) => return Ok(None),
            }
        }
    }

    /// None when the instance was created or deleted meanwhile.
    async fn wait_while_it_exists(
        &self,
        (account, workflow, id): (&str, &str, &str),
        sought: Sought<'_>,
    ) -> Result<Option<Found>, EngineError> {
        let shared = &self.shared;
        let mut creations = shared.doubles.created.subscribe();
        let no = match self.instance_row(account, workflow, id).await {
            Ok((_, row)) => row.no,
            Err(EngineError::InstanceNotFound(_)) => {
                // The sender is part of the engine.
                let _ = creations.changed().await;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        drop(creations);
        let mut news = shared.followers.join(no).ok_or(EngineError::ShuttingDown)?;
        loop {
            news.mark_read();
            let row = match self.instance_row(account, workflow, id).await {
                Ok((_, row)) if row.no == no => row,
                Ok(_) | Err(EngineError::InstanceNotFound(_)) => return Ok(None),
                Err(error) => return Err(error),
            };
            if let Some(found) = self.look(&row, sought).await? {
                return Ok(Some(found));
            }
            news.come().await.ok_or(EngineError::ShuttingDown)?;
        }
    }

    async fn look(&self, row: &InstanceRow, sought: Sought<'_>) -> Result<Option<Found>, EngineError> {
        match sought {
            Sought::Status(status) if row.status == status => Ok(Some(Found::Status)),
            Sought::Status(status) if row.status.is_final() => Err(EngineError::TestConflict(format!(
                "[WorkflowIntrospector] The Workflow instance {} has reached status '{}'. This is a finite status that prevents it from ever reaching the expected status of '{}'.",
                row.id,
                row.status.as_str(),
                status.as_str()
            ))),
            Sought::Status(_) => Ok(None),
            Sought::Step(step) => match self.step_end(row, step).await? {
                Some(end) => Ok(Some(Found::Step(end))),
                None if row.status.is_final() => Err(EngineError::TestConflict(format!(
                    "[WorkflowIntrospector] The Workflow instance {} has reached status '{}' without a result of step '{}' (index {}).",
                    row.id,
                    row.status.as_str(),
                    step.name,
                    step.index
                ))),
                None => Ok(None),
            },
        }
    }

    /// How a step ended, if it has: `step.do` before waits and sleeps of the same name.
    async fn step_end(&self, row: &InstanceRow, step: &StepSelector) -> Result<Option<StepEnd>, EngineError> {
        let view = self.instance_view(row).await?;
        let mut named: Vec<StepView> = view
            .steps
            .into_iter()
            .filter(|view| view.key.name == step.name && view.key.count == step.index)
            .collect();
        named.sort_by_key(|view| view.key.kind as u8 != cairn_core::StepKind::Do as u8);
        let Some(view) = named.into_iter().find(|view| view.ended_at.is_some()) else {
            return Ok(None);
        };
        if let Some(error) = view.error {
            return Ok(Some(StepEnd::Failed(error)));
        }
        let output = match view.output() {
            Some(seq) => self.shared.store.payload(row.no, seq).await?,
            None => None,
        };
        let value = output.map(|bytes| Value::from_stored(bytes).map_err(|error| corrupt("value", error)));
        let value = value.transpose()?.unwrap_or_else(Value::undefined);
        Ok(Some(match view.detail {
            StepDetail::Do { .. } => StepEnd::Result(value.without_stream()),
            StepDetail::Sleep { .. } => StepEnd::Slept,
            StepDetail::Wait { event_type, .. } => StepEnd::Event {
                event_type,
                at: view.ended_at.unwrap_or(view.started_at),
                payload: value,
            },
        }))
    }
}

fn is_over(workflow: &str) -> EngineError {
    EngineError::TestConflict(format!(
        "this introspection session of workflow \"{workflow}\" is over; begin another one"
    ))
}
