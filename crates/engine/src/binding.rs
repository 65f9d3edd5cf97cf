//! The engine as the host of workflow bindings.

use crate::details::StepStream;
use crate::{
    Control, CreateInstance, Engine, EngineError, EventType, Follow, Reach, Seq, Status, Subscription,
};
use async_trait::async_trait;
use bytes::Bytes;
use cairn_runtime::{
    BindingCall, BindingError, BindingEvent, BindingHost, BindingMethod, BindingReply, CreateOptions,
    EventSource, PieceSource, ServiceCall, StreamCall, SubscribeCall, Value, WorkerId,
};
use cairn_store::Trigger;
use std::collections::BTreeSet;

const BATCH_MAX: usize = 100;

#[async_trait]
impl BindingHost for Engine {
    async fn call(&self, call: BindingCall) -> Result<BindingReply, BindingError> {
        let place = (call.account.as_str(), call.workflow.as_str());
        match call.method {
            BindingMethod::Get { id } => match self.instance_row(place.0, place.1, &id).await {
                Ok((_, row)) => Ok(BindingReply::Ids(vec![row.id])),
                Err(error) => Err(missing_or(&error)),
            },
            BindingMethod::Create(options) => self.create_one(place, options).await,
            BindingMethod::CreateBatch(batch) => self.create_batch(place, batch).await,
            BindingMethod::Status { id } => self.binding_status(place, &id).await,
            BindingMethod::Pause { id } => self.binding_control(place, (&id, Control::Pause)).await,
            BindingMethod::Resume { id } => self.binding_control(place, (&id, Control::Resume)).await,
            BindingMethod::Terminate { id, undo } => {
                self.binding_control(place, (&id, Control::Terminate(undo))).await
            }
            BindingMethod::Restart { id, from } => {
                self.binding_control(place, (&id, Control::Restart(from))).await
            }
            BindingMethod::Delete { id } => {
                let deleted = self.delete_instance(place.0, place.1, &id).await;
                deleted
                    .map(|_| BindingReply::Done)
                    .map_err(|error| binding_error(&error))
            }
            BindingMethod::SendEvent {
                id,
                event_type,
                payload,
            } => self.binding_event(place, (&id, &event_type, payload)).await,
        }
    }

    async fn subscribe(&self, call: SubscribeCall) -> Result<Box<dyn EventSource>, BindingError> {
        // A missing instance is told first.
        let found = self.instance_row(&call.account, &call.workflow, &call.id).await;
        found.map_err(|error| missing_or(&error))?;
        let follow = Follow {
            cursor: call.cursor,
            filter: call.filter.as_deref().map(read_filter).transpose()?,
            reach: Reach::End,
        };
        let place = (call.account.as_str(), call.workflow.as_str());
        let subscription = self.subscribe(place.0, place.1, (&call.id, follow)).await;
        let subscription = subscription.map_err(|error| missing_or(&error))?;
        Ok(Box::new(Events(subscription)))
    }

    async fn stream(&self, call: StreamCall) -> Result<Box<dyn PieceSource>, BindingError> {
        let place = (call.account.as_str(), call.workflow.as_str());
        let stream = self.stream_at(place, (&call.id, Seq(call.entry))).await;
        Ok(Box::new(Pieces(stream.map_err(|error| binding_error(&error))?)))
    }

    async fn service(&self, call: ServiceCall) -> Result<WorkerId, BindingError> {
        let ServiceCall { account, script } = call;
        let refuse = |message: String| BindingError { message };
        let row = self.script(&account, &script).await;
        let row =
            row.map_err(|error| refuse(format!("the Worker \"{script}\" cannot be called: {error}")))?;
        let row = row.ok_or_else(|| {
            refuse(format!(
                "there is no Worker \"{script}\", which the service binding names; deploy it first"
            ))
        })?;
        let deployed = row.deployed.ok_or_else(|| {
            refuse(format!(
                "the Worker \"{script}\", which the service binding names, has no deployed version; deploy one"
            ))
        })?;
        Ok(WorkerId(deployed.0.into()))
    }
}

/// The one message without a code in front (behaviour §5), or any other. An id that no instance can have is missing too.
fn missing_or(error: &EngineError) -> BindingError {
    match error {
        EngineError::InstanceNotFound(_)
        | EngineError::InvalidName {
            what: "instance id", ..
        } => BindingError {
            message: "instance.not_found".into(),
        },
        error => binding_error(error),
    }
}

fn read_filter(words: &[String]) -> Result<BTreeSet<EventType>, BindingError> {
    let types: Option<BTreeSet<EventType>> = words.iter().map(|word| EventType::from_word(word)).collect();
    types.ok_or_else(|| BindingError {
        message: BindingError::INVALID_SUBSCRIPTION.into(),
    })
}

/// The events of an instance for user code.
struct Events(Subscription);

#[async_trait]
impl EventSource for Events {
    async fn next(&mut self) -> Result<Option<BindingEvent>, BindingError> {
        let told = self.0.next().await.map_err(|error| binding_error(&error))?;
        Ok(told.map(|told| told.parts(self.0.id())))
    }
}

/// A stream for user code.
struct Pieces(StepStream);

#[async_trait]
impl PieceSource for Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>, BindingError> {
        self.0.next().await.map_err(|error| binding_error(&error))
    }
}

impl Engine {
    async fn create_one(
        &self,
        place: (&str, &str),
        options: CreateOptions,
    ) -> Result<BindingReply, BindingError> {
        let creates = (Trigger::Binding, vec![create_instance(options)]);
        let created = self
            .create(place.0, place.1, creates)
            .await
            .map_err(|error| binding_error(&error))?;
        match created.into_iter().next() {
            Some(Ok(created)) => Ok(BindingReply::Ids(vec![created.id])),
            Some(Err(error)) => Err(binding_error(&error)),
            None => Err(BindingError {
                message: "(internal) nothing was created".into(),
            }),
        }
    }

    /// Existing and repeated ids are left out silently (behaviour §4).
    async fn create_batch(
        &self,
        place: (&str, &str),
        batch: Vec<CreateOptions>,
    ) -> Result<BindingReply, BindingError> {
        if batch.is_empty() {
            return Err(BindingError {
                message: "batchCreate should have at least 1 instance".into(),
            });
        }
        if batch.len() > BATCH_MAX {
            let message = format!("batchCreate only supports {BATCH_MAX} instances at a time");
            return Err(BindingError { message });
        }
        let creates = (Trigger::Binding, batch.into_iter().map(create_instance).collect());
        let created = self
            .create(place.0, place.1, creates)
            .await
            .map_err(|error| binding_error(&error))?;
        let mut ids = Vec::new();
        for result in created {
            match result {
                Ok(created) => ids.push(created.id),
                Err(EngineError::InstanceExists(_)) => {}
                Err(error) => return Err(binding_error(&error)),
            }
        }
        Ok(BindingReply::Ids(ids))
    }

    async fn binding_status(&self, place: (&str, &str), id: &str) -> Result<BindingReply, BindingError> {
        let (_, row) = self
            .instance_row(place.0, place.1, id)
            .await
            .map_err(|error| missing_or(&error))?;
        if !row.status.is_final() && row.status != Status::RollingBack {
            return Ok(BindingReply::Status {
                status: row.status,
                error: None,
                output: None,
                rollback: None,
            });
        }
        let ended = self.outcome(&row).await.map_err(|error| binding_error(&error))?;
        Ok(BindingReply::Status {
            status: row.status,
            error: ended.error,
            output: ended.output,
            rollback: ended.rollback,
        })
    }

    async fn binding_control(
        &self,
        place: (&str, &str),
        control: (&str, Control),
    ) -> Result<BindingReply, BindingError> {
        let done = self.control(place.0, place.1, control).await;
        done.map(|_| BindingReply::Done)
            .map_err(|error| missing_or(&error))
    }

    async fn binding_event(
        &self,
        place: (&str, &str),
        event: (&str, &str, Value),
    ) -> Result<BindingReply, BindingError> {
        let sent = self.send_event(place.0, place.1, event).await;
        sent.map(|_| BindingReply::Done)
            .map_err(|error| missing_or(&error))
    }
}

fn create_instance(options: CreateOptions) -> CreateInstance {
    CreateInstance {
        id: options.id,
        params: options.params,
        success_retention_millis: options.success_retention_millis,
        error_retention_millis: options.error_retention_millis,
    }
}

/// The form in which errors reach user code: a code in parentheses, then the text (behaviour §5).
fn binding_error(error: &EngineError) -> BindingError {
    let message = match error {
        EngineError::Rejected(rejected) => rejected.to_string(),
        EngineError::InstanceExists(_) => format!("(instance.already_exists) {error}"),
        EngineError::InstanceNotFound(_) => "(instance.not_found) Instance does not exist".into(),
        EngineError::InvalidName {
            what: "instance id", ..
        } => format!("(instance.invalid_id) {error}"),
        EngineError::InvalidName {
            what: "event type", ..
        } => format!("(workflow.invalid_event_type) {error}"),
        EngineError::WorkflowNotFound(_) => {
            format!("(workflow.not_found) {error}; deploy the Worker that has it first")
        }
        EngineError::NotDeployed { .. } => format!("(workflow.not_found) {error}"),
        EngineError::InboxFull { .. } => format!("(instance.inbox_full) {error}"),
        EngineError::TooManyCreations { .. } => format!("(workflow.creation_rate_limited) {error}"),
        EngineError::Overloaded { .. } => format!("(workflow.overloaded) {error}"),
        EngineError::QueueFull { .. } => format!("(workflow.queue_full) {error}"),
        EngineError::InvalidName { .. }
        | EngineError::TooLarge { .. }
        | EngineError::InvalidInput(_)
        | EngineError::BadScript(_)
        | EngineError::TestConflict(_)
        | EngineError::VersionNotFound(_)
        | EngineError::StepNotFound(_)
        | EngineError::ScriptNotFound(_) => format!("(body) {error}"),
        EngineError::Runtime(_)
        | EngineError::Store(_)
        | EngineError::OutcomeUnknown
        | EngineError::ShuttingDown => {
            format!("(internal) {error}")
        }
    };
    BindingError { message }
}
