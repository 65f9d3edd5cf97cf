//! Instances as clients know them: create, list, command, delete.

use crate::admission::Admitted;
use crate::catalog::read_settings;
use crate::message::{Message, Request};
use crate::passed::Ticket;
use crate::signal::{Loaded, Signal};
use crate::weight::Weight;
use crate::{Engine, EngineError, Retention, Shared, Waiter, carry};
use cairn_core::{
    Entry, Limits, Record, RestartFrom, Seq, Status, Timestamp, Undo, check_addressable_id, check_event_type,
    check_instance_id,
};
use cairn_runtime::Value;
use cairn_store::{
    CreateError, DeployedWorkflow, InstanceFilter, InstanceNo, InstancePage, InstanceRow, Lease, NewInstance,
    NewMessage, NodeId, Start, StoreError, Trigger, WorkflowRow,
};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a client waits for the outcome of a command that was accepted.
const OUTCOME_PATIENCE: Duration = Duration::from_secs(30);

/// An instance to create.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreateInstance {
    /// Its id; a UUID is made up when absent.
    pub id: Option<String>,
    /// Its parameters; `{}` when absent.
    pub params: Option<Value>,
    /// How long it is kept after success, milliseconds; the workflow's default when absent.
    pub success_retention_millis: Option<u64>,
    /// How long it is kept after an error, milliseconds; the workflow's default when absent.
    pub error_retention_millis: Option<u64>,
}

/// An instance that was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedInstance {
    /// Its id.
    pub id: String,
    /// The workflow version it is pinned to.
    pub version: String,
    /// The workflow's id.
    pub workflow_id: String,
}

/// What a client can tell an instance to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Stop once no callback executes.
    Pause,
    /// Go on after a pause.
    Resume,
    /// End now, or after what was done is undone.
    Terminate(Undo),
    /// Begin again, or go on from a step.
    Restart(RestartFrom),
}

/// A command that was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandDone {
    /// The state of the instance after it.
    pub status: Status,
    /// When.
    pub at: Timestamp,
}

/// Instances that are being created.
struct Creation {
    deployed: DeployedWorkflow,
    new: Vec<NewInstance>,
    entry: Entry,
    limits: Limits,
    _admitted: Admitted,
}

type CreateResult = Result<(InstanceNo, Option<Lease>), CreateError>;

impl Shared {
    pub(crate) fn signal(&self, signal: Signal) {
        // The dispatcher is gone only when the server is; what was accepted is in the store and found at the next start.
        let _ = self.signals.send(signal);
    }

    /// Reserves room for `count` instances in memory.
    fn reserve(&self, count: usize) -> Option<NodeId> {
        // Who comes later does not begin earlier.
        if self.flow.has_backlog() || self.scale.is_full(self.settings.bytes_in_memory) {
            return None;
        }
        let limit = self.most_held();
        let fits = |held: usize| held.checked_add(count).filter(|sum| *sum <= limit);
        self.held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .ok()
            .map(|_| self.node)
    }

    /// Counts creations and restarts against the limits on how many there may be a second.
    fn count_creations(&self, workflow: &WorkflowRow, count: usize) -> Result<(), EngineError> {
        let place = (workflow.account.as_str(), workflow.no);
        self.rates.take(&self.settings, place, (self.clock.now(), count))
    }

    pub(crate) fn unreserve(&self, count: usize) {
        self.held.fetch_sub(count, Ordering::Relaxed);
    }
}

impl Engine {
    /// Creates instances of a workflow. One result per element: an id that exists fails alone. What is returned is durable.
    ///
    /// # Errors
    /// For the whole call, before anything is created: the workflow is missing, an id is invalid, parameters are too large, too many
    /// were created of late, are queued, or are being created.
    pub async fn create(
        &self,
        account: &str,
        workflow: &str,
        (trigger, creates): (Trigger, Vec<CreateInstance>),
    ) -> Result<Vec<Result<CreatedInstance, EngineError>>, EngineError> {
        let shared = &self.shared;
        let deployed = self.deployed(account, workflow).await?;
        let now = shared.clock.now();
        let entry = Entry {
            at: now,
            record: Record::Created,
        };
        let retention = shared.retention_of(account).await?;
        let new: Result<Vec<NewInstance>, EngineError> = creates
            .into_iter()
            .map(|create| self.new_instance((&deployed, retention), create, (trigger, &entry)))
            .collect();
        let new = new?;
        let admitted = shared.admit(account, &new).await?;
        shared.count_creations(&deployed.workflow, new.len())?;
        let limits = shared.limits_of(&deployed).await?;
        let creation = Creation {
            deployed,
            new,
            entry,
            limits,
            _admitted: admitted,
        };
        carry::to_the_end(self.clone().carry_out(creation)).await
    }

    /// Writes what was admitted and takes it up.
    async fn carry_out(
        self,
        creation: Creation,
    ) -> Result<Vec<Result<CreatedInstance, EngineError>>, EngineError> {
        let Creation {
            deployed,
            mut new,
            entry,
            limits,
            _admitted,
        } = creation;
        let shared = &self.shared;
        let no = deployed.workflow.no;
        let begin = shared.reserve_slots(&deployed.workflow, new.len())?;
        for parked in new.iter_mut().skip(begin) {
            parked.start = Start::Parked;
        }
        let node = shared.reserve(begin);
        if node.is_none() {
            shared.flow.overflow();
            // They are due, and ask when they are taken up.
            shared.slots.unreserve(no, begin);
        }
        let begun = shared.passed.begin();
        let results = shared.store.create(new.clone(), node).await;
        shared.pulse.wrote_some(&results);
        // After an error as well: all of it may have been written.
        if begin < new.len() {
            shared.slots.parked(no);
            shared.signal(Signal::Slots);
        }
        if node.is_none() {
            shared.signal(Signal::Due);
        }
        let results = match results {
            Ok(results) => results,
            Err(error) => {
                if node.is_some() {
                    shared.unreserve(begin);
                    shared.slots.unreserve(no, begin);
                    shared.signal(Signal::LostTrack);
                }
                return Err(error.into());
            }
        };
        let mut created = Vec::with_capacity(results.len());
        for (instance, result) in new.into_iter().zip(results) {
            created.push(self.created(&deployed, (instance, &entry, &limits), (result, node, &begun)));
        }
        Ok(created)
    }

    async fn deployed(&self, account: &str, workflow: &str) -> Result<DeployedWorkflow, EngineError> {
        if let Some(deployed) = self.shared.store.deployed_workflow(account, workflow).await? {
            return Ok(deployed);
        }
        let row = self.workflow_row(account, workflow).await?;
        Err(EngineError::NotDeployed {
            workflow: workflow.into(),
            script: row.script,
        })
    }

    fn new_instance(
        &self,
        (deployed, of_account): (&DeployedWorkflow, Retention),
        create: CreateInstance,
        (trigger, entry): (Trigger, &Entry),
    ) -> Result<NewInstance, EngineError> {
        let settings = &self.shared.settings;
        let retention = of_account.for_instance(&read_settings(&deployed.workflow.settings)?, &create);
        let id = create.id.unwrap_or_else(|| crate::ids::instance_id(entry.at));
        let checked = match trigger {
            Trigger::Api | Trigger::Binding | Trigger::Event => check_instance_id(&id),
            // Schedules name their instances after themselves.
            Trigger::Cron => check_addressable_id(&id),
        };
        checked.map_err(|reason| EngineError::InvalidName {
            what: "instance id",
            name: id.clone(),
            reason,
        })?;
        let params = create.params.unwrap_or_else(Value::empty_object);
        let limit = settings.params_bytes;
        if params.len() > limit {
            return Err(EngineError::TooLarge {
                what: "params",
                bytes: params.len(),
                limit,
                setting: "limits.params_bytes",
            });
        }
        Ok(NewInstance {
            workflow: deployed.workflow.no,
            id,
            version: deployed.workflow.version.clone(),
            script_version: deployed.script_version.clone(),
            class_name: deployed.workflow.class_name.clone(),
            trigger,
            created_at: entry.at,
            success_retention_millis: retention.success_millis,
            error_retention_millis: retention.error_millis,
            entry: entry.encode(),
            params: params.as_bytes().clone(),
            start: Start::Now,
        })
    }

    fn created(
        &self,
        deployed: &DeployedWorkflow,
        (instance, entry, limits): (NewInstance, &Entry, &Limits),
        (result, node, begun): (CreateResult, Option<NodeId>, &Arc<Ticket>),
    ) -> Result<CreatedInstance, EngineError> {
        let workflow = &deployed.workflow;
        let created = CreatedInstance {
            id: instance.id.clone(),
            version: instance.version.clone(),
            workflow_id: workflow.id.clone(),
        };
        let has_doubles = |no| self.shared.doubles.created((workflow.no, no), &created.id);
        match result {
            Ok((no, Some(lease))) => {
                has_doubles(no);
                self.shared.slots.assign(workflow.no, no);
                let weight = self.shared.scale.put(instance.params.len() as u64);
                let held = loaded(workflow, (no, lease, begun), (instance, entry, limits), weight);
                self.shared.signal(Signal::Created(Box::new(held)));
                Ok(created)
            }
            Ok((no, None)) => {
                if has_doubles(no) {
                    // It may have been claimed before they were there.
                    self.shared.signal(Signal::Doubled(no));
                }
                Ok(created)
            }
            Err(error) => {
                if node.is_some() && instance.start == Start::Now {
                    self.shared.unreserve(1);
                    self.shared.slots.unreserve(workflow.no, 1);
                }
                Err(match error {
                    CreateError::Exists => EngineError::InstanceExists(instance.id),
                    CreateError::NoWorkflow => EngineError::WorkflowNotFound(workflow.name.clone()),
                })
            }
        }
    }

    /// A page of the instances of a workflow.
    ///
    /// # Errors
    /// [`EngineError::WorkflowNotFound`]
    pub async fn instances(
        &self,
        account: &str,
        workflow: &str,
        filter: &InstanceFilter,
    ) -> Result<(WorkflowRow, InstancePage), EngineError> {
        let workflow = self.workflow_row(account, workflow).await?;
        let page = self.shared.store.instances(workflow.no, filter).await?;
        Ok((workflow, page))
    }

    /// The row of an instance.
    ///
    /// # Errors
    /// [`EngineError::WorkflowNotFound`], [`EngineError::InstanceNotFound`]
    pub async fn instance_row(
        &self,
        account: &str,
        workflow: &str,
        id: &str,
    ) -> Result<(WorkflowRow, InstanceRow), EngineError> {
        check_addressable_id(id).map_err(|reason| EngineError::InvalidName {
            what: "instance id",
            name: id.into(),
            reason,
        })?;
        let workflow = self.workflow_row(account, workflow).await?;
        let row = self.shared.store.instance(workflow.no, id).await?;
        let row = row.ok_or_else(|| EngineError::InstanceNotFound(id.into()))?;
        Ok((workflow, row))
    }

    /// Sends an event. It is durable when this returns, and taken by the oldest wait of its type, now or later.
    ///
    /// # Errors
    /// [`EngineError::Rejected`] when it is too large, [`EngineError::InboxFull`].
    pub async fn send_event(
        &self,
        account: &str,
        workflow: &str,
        (id, event_type, payload): (&str, &str, Value),
    ) -> Result<CommandDone, EngineError> {
        check_event_type(event_type).map_err(|reason| EngineError::InvalidName {
            what: "event type",
            name: event_type.into(),
            reason,
        })?;
        let (_, row) = self.instance_row(account, workflow, id).await?;
        self.send(
            &row,
            Request::Event {
                event_type: event_type.into(),
            },
            Some(payload),
        )
        .await
    }

    /// Pauses, resumes, terminates or restarts an instance; returns when it is done. A restart takes the latest deployed version.
    ///
    /// # Errors
    /// [`EngineError::Rejected`] when the state of the instance does not allow it.
    pub async fn control(
        &self,
        account: &str,
        workflow: &str,
        (id, control): (&str, Control),
    ) -> Result<CommandDone, EngineError> {
        let (_, row) = self.instance_row(account, workflow, id).await?;
        let request = match control {
            Control::Pause => Request::Pause,
            Control::Resume => Request::Resume,
            Control::Terminate(Undo::Nothing) => Request::Terminate,
            Control::Terminate(Undo::Steps) => Request::RollBack,
            Control::Restart(from) => {
                let deployed = self.deployed(account, workflow).await?;
                self.shared.count_creations(&deployed.workflow, 1)?;
                Request::Restart {
                    version: deployed.workflow.version,
                    script_version: deployed.script_version,
                    class_name: deployed.workflow.class_name,
                    from: match from {
                        RestartFrom::Beginning => None,
                        RestartFrom::Step(key) => Some(key.into()),
                    },
                }
            }
        };
        self.send(&row, request, None).await
    }

    async fn send(
        &self,
        row: &InstanceRow,
        request: Request,
        payload: Option<Value>,
    ) -> Result<CommandDone, EngineError> {
        let shared = &self.shared;
        let token = shared.next_token.fetch_add(1, Ordering::Relaxed);
        let (sender, outcome) = oneshot::channel();
        shared.waiters.lock().insert(
            token,
            Waiter {
                instance: row.no,
                outcome: sender,
            },
        );
        let message = NewMessage {
            instance: row.no,
            command: Message::new(request, shared.node, token).encode(),
            payload: payload.map(|payload| payload.as_bytes().clone()),
            limit: shared.settings.inbox_messages,
        };
        if let Err(error) = shared.store.send(message).await {
            shared.waiters.lock().remove(&token);
            return Err(EngineError::from_send(error, &row.id));
        }
        shared.signal(Signal::Mail(row.no));
        let outcome = tokio::time::timeout(OUTCOME_PATIENCE, outcome).await;
        shared.waiters.lock().remove(&token);
        match outcome {
            Ok(Ok(Ok(status))) => Ok(CommandDone {
                status,
                at: shared.clock.now(),
            }),
            Ok(Ok(Err(error))) => Err(error),
            Ok(Err(_)) => Err(EngineError::ShuttingDown),
            Err(_) => Err(EngineError::OutcomeUnknown),
        }
    }

    /// Removes an instance with all it has; a run of it is stopped.
    ///
    /// # Errors
    /// [`EngineError::InstanceNotFound`]
    pub async fn delete_instance(
        &self,
        account: &str,
        workflow: &str,
        id: &str,
    ) -> Result<Timestamp, EngineError> {
        let (_, row) = self.instance_row(account, workflow, id).await?;
        if !self.shared.store.delete_instance(row.no).await? {
            return Err(EngineError::InstanceNotFound(id.into()));
        }
        self.shared.slots.deleted(row.workflow, row.no, row.status);
        self.shared.signal(Signal::Deleted(row.no));
        self.shared.followers.call(row.no);
        Ok(self.shared.clock.now())
    }
}

fn loaded(
    workflow: &WorkflowRow,
    (no, lease, begun): (InstanceNo, Lease, &Arc<Ticket>),
    (instance, entry, limits): (NewInstance, &Entry, &Limits),
    weight: Weight,
) -> Loaded {
    Loaded {
        row: InstanceRow {
            no,
            workflow: workflow.no,
            id: instance.id,
            version: instance.version,
            script_version: instance.script_version,
            class_name: instance.class_name,
            trigger: instance.trigger,
            status: Status::Queued,
            created_at: instance.created_at,
            modified_at: instance.created_at,
            started_at: None,
            ended_at: None,
            success_retention_millis: instance.success_retention_millis,
            error_retention_millis: instance.error_retention_millis,
        },
        workflow_name: workflow.name.clone(),
        limits: limits.clone(),
        lease,
        journal: vec![entry.clone()],
        values: [(Seq(0), instance.params)].into(),
        inbox: Vec::new(),
        _begun: Arc::clone(begun),
        repin: None,
        weight,
    }
}

/// A damaged value in the database.
pub(crate) fn corrupt(what: &str, error: impl std::fmt::Display) -> EngineError {
    EngineError::Store(StoreError::Corrupt(format!("{what}: {error}")))
}
