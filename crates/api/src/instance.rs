//! Instances and their steps (behaviour §1.2).

use crate::openapi::words::{
    AddressableId, Backoff, InstanceId, LocationHint, RestartKind, Sensitive, StepName, Uuid,
};
use crate::{DurationValue, Retention, Time};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// State of an instance (behaviour §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum InstanceStatus {
    /// It waits for a slot.
    Queued,
    /// User code runs.
    Running,
    /// It is paused.
    Paused,
    /// `run()` threw.
    Errored,
    /// It was terminated.
    Terminated,
    /// `run()` returned.
    Complete,
    /// It will be paused when the step that executes has ended.
    WaitingForPause,
    /// All that goes on is waiting: a sleep, a retry's delay, an event.
    Waiting,
    /// Its rollback handlers run.
    RollingBack,
}

impl InstanceStatus {
    /// Whether it has ended for good, short of a restart.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Errored | Self::Terminated | Self::Complete)
    }
}

/// What made an instance come to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TriggerSource {
    /// Not known.
    Unknown,
    /// REST.
    Api,
    /// A workflow binding.
    Binding,
    /// An event trigger.
    Event,
    /// A schedule.
    Cron,
}

/// Name and message of an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NamedError {
    /// Such as `TypeError`.
    pub name: String,
    /// Its message.
    pub message: String,
}

/// An instance to create. Every field may be absent, and the body as a whole.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct InstanceCreate {
    /// Its id; a UUID is made up when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<InstanceId>)]
    pub instance_id: Option<String>,
    /// Its parameters: a JSON value, or a string that is JSON text (the public schema knows only the latter). Kept as written,
    /// so that the order of keys stays.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    pub params: Option<Box<RawValue>>,
    /// How long it is kept once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_retention: Option<Retention>,
    /// Where it should run; read and without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<LocationHint>)]
    pub location_hint: Option<String>,
}

/// An instance that was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InstanceCreated {
    /// Its id.
    pub id: String,
    /// Its state: queued.
    pub status: InstanceStatus,
    /// The workflow version it is pinned to.
    #[schema(value_type = Uuid)]
    pub version_id: String,
    /// The workflow.
    #[schema(value_type = Uuid)]
    pub workflow_id: String,
    /// What made it come to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub trigger_source: Option<TriggerSource>,
}

/// A line of the list of instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InstanceRow {
    /// Its id.
    pub id: String,
    /// Its state.
    pub status: InstanceStatus,
    /// Creation.
    pub created_on: Time,
    /// Last change of state.
    pub modified_on: Time,
    /// First start of user code.
    #[schema(required)]
    pub started_on: Option<Time>,
    /// End.
    #[schema(required)]
    pub ended_on: Option<Time>,
    /// The workflow version it is pinned to.
    #[schema(value_type = Uuid)]
    pub version_id: String,
    /// The workflow.
    #[schema(value_type = Uuid)]
    pub workflow_id: String,
    /// What made it come to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub trigger_source: Option<TriggerSource>,
}

/// What made an instance come to be, or end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TriggerInfo {
    /// The source.
    pub source: TriggerSource,
}

/// One instance with its steps.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct InstanceDetails {
    /// Its id. (Not in the public schema; a reader need not remember what it asked for.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// Its state.
    pub status: InstanceStatus,
    /// Its parameters.
    #[schema(value_type = Value)]
    pub params: Box<RawValue>,
    /// What made it come to be.
    pub trigger: TriggerInfo,
    /// The workflow version it is pinned to.
    #[serde(rename = "versionId")]
    #[schema(value_type = Uuid)]
    pub version_id: String,
    /// Creation.
    pub queued: Time,
    /// First start of user code.
    #[schema(required)]
    pub start: Option<Time>,
    /// End.
    #[schema(required)]
    pub end: Option<Time>,
    /// Whether it ended well; null while it has not ended.
    #[schema(required)]
    pub success: Option<bool>,
    /// What `run()` threw.
    #[schema(required)]
    pub error: Option<NamedError>,
    /// What `run()` returned: JSON text, in full; null when it has not returned, or nothing.
    #[schema(required)]
    pub output: Option<String>,
    /// How its rollback ended; null while it has not, and without one.
    #[schema(required)]
    pub rollback: Option<Rollback>,
    /// `step.do` calls, sleeps and waits.
    pub step_count: u64,
    /// The firing of a schedule that it comes from; absent where something else made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub schedule: Option<Firing>,
    /// Its steps, by order of their first start unless asked otherwise; empty with `simple=true`.
    pub steps: Vec<Step>,
}

/// A firing of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Firing {
    /// The cron expression.
    pub cron: String,
    /// When it was to fire, milliseconds since the epoch.
    #[serde(rename = "scheduledTime")]
    pub scheduled_time: i64,
}

/// How the rollback of an instance ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rollback {
    /// Whether all steps were rolled back.
    pub outcome: RollbackOutcome,
    /// What the step failed with that could not be.
    #[schema(required)]
    pub error: Option<NamedError>,
}

/// Whether a rollback went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RollbackOutcome {
    /// All steps were rolled back.
    Complete,
    /// One could not be; those before it were not tried.
    Failed,
}

/// A value that is there, though it be null.
fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(value).map(Some)
}

/// A step as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Step {
    /// `step.do`
    Step {
        /// Name with count, such as `charge-1`.
        name: String,
        /// First start.
        start: Time,
        /// End, if it has ended.
        #[schema(required)]
        end: Option<Time>,
        /// Whether it ended well; null while it has not ended.
        #[schema(required)]
        success: Option<bool>,
        /// Its result as JSON text, cut to 1,024 characters and the mark `[truncated output]`.
        #[schema(required)]
        output: Option<String>,
        /// Its resolved configuration.
        config: StepConfig,
        /// Its attempts, in order.
        attempts: Vec<Attempt>,
    },
    /// The rollback of a `step.do`: the fields of one.
    Rollback {
        /// Name of the step with count.
        name: String,
        /// First call of its handler.
        start: Time,
        /// End, if it has ended.
        #[schema(required)]
        end: Option<Time>,
        /// Whether it ended well; null while it has not ended.
        #[schema(required)]
        success: Option<bool>,
        /// Always null.
        #[schema(required)]
        output: Option<String>,
        /// Resolved configuration of the handler.
        config: StepConfig,
        /// Calls of the handler, in order.
        attempts: Vec<Attempt>,
    },
    /// `step.sleep`, `step.sleepUntil`
    Sleep {
        /// Name with count.
        name: String,
        /// Start.
        start: Time,
        /// When it ended, or will end.
        end: Time,
        /// Whether it has ended.
        finished: bool,
        /// Always null.
        #[schema(required)]
        error: Option<NamedError>,
    },
    /// `step.waitForEvent`
    WaitForEvent {
        /// Name with count.
        name: String,
        /// Start.
        start: Time,
        /// When it ended, or will give up.
        end: Time,
        /// Whether it has ended.
        finished: bool,
        /// That it timed out.
        #[schema(required)]
        error: Option<NamedError>,
        /// The payload it got as JSON text, cut as above.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        output: Option<String>,
        /// The type it waits for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        event_type: Option<String>,
    },
    /// The instance was terminated.
    Termination {
        /// By what.
        trigger: TriggerInfo,
    },
}

/// Resolved configuration of a `step.do`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StepConfig {
    /// Its retries.
    pub retries: Retries,
    /// Time an attempt may take.
    pub timeout: StepTimeout,
    /// `output` when its result is not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Sensitive)]
    pub sensitive: Option<String>,
}

/// Retries of a `step.do`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Retries {
    /// Attempts after the first.
    pub limit: u32,
    /// Delay before the second attempt: as written, or `[dynamic]`.
    pub delay: RetryDelay,
    /// How the delay grows: `constant`, `linear`, `exponential`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Backoff)]
    pub backoff: Option<String>,
}

/// What lets a browser subscribe to the events of one instance, for a short time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SubscribeToken {
    /// Goes into the query of the WebSocket's address as `token`.
    pub token: String,
    /// Until when it may be used to connect.
    pub expires_on: Time,
}

/// A delay as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum RetryDelay {
    /// Milliseconds.
    Millis(u64),
    /// Such as `10 seconds`, or `[dynamic]` for a function.
    Text(String),
}

/// A timeout as it was written.
pub type StepTimeout = RetryDelay;

/// One attempt of a `step.do`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// Start.
    pub start: Time,
    /// End, if it has ended.
    #[schema(required)]
    pub end: Option<Time>,
    /// Whether it ended well; null while it has not ended.
    #[schema(required)]
    pub success: Option<bool>,
    /// What it threw.
    #[schema(required)]
    pub error: Option<NamedError>,
}

/// Answer of `GET …/step`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StepOutput {
    /// `complete`, `errored`, `running` or `waiting`; `running` with an error is a step between two attempts.
    pub status: InstanceStatus,
    /// The error of the step, or of its last attempt.
    #[schema(required)]
    pub error: Option<NamedError>,
    /// The result, in full, as the JSON value it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    pub output: Option<Box<RawValue>>,
    /// The type a `waitForEvent` waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub event_type: Option<String>,
}

/// Body of `PATCH …/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum StatusChange {
    /// Pause.
    Pause,
    /// Go on after a pause.
    Resume,
    /// End now.
    Terminate {
        /// Whether rollback handlers run first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rollback: Option<bool>,
    },
    /// Begin again.
    Restart {
        /// From this step on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<RestartFrom>,
    },
}

/// The step to restart from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestartFrom {
    /// Its name.
    #[schema(value_type = StepName)]
    pub name: String,
    /// Which of the steps with this name, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub count: Option<u32>,
    /// `do`, `sleep` or `waitForEvent`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<RestartKind>)]
    pub kind: Option<String>,
}

/// Answer of `PATCH …/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusChanged {
    /// The state after it.
    pub status: InstanceStatus,
    /// When.
    pub timestamp: Time,
}

/// Answer of `POST …/events/:type`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventSent {
    /// To whom.
    #[serde(rename = "instanceId")]
    pub instance_id: String,
    /// When.
    pub timestamp: Time,
}

/// Answer of `DELETE …/instances/:id`.
pub type InstanceDeleted = EventSent;

/// Body of `POST …/instances/batch/delete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchDeleteRequest {
    /// 1 to 100 ids.
    #[schema(value_type = Vec<AddressableId>, min_items = 1, max_items = 100)]
    pub instances: Vec<String>,
}

/// Answer of `POST …/instances/batch/delete`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct BatchDeleteResult {
    /// What is gone.
    pub deleted: Vec<Deleted>,
    /// What is not, and why.
    pub errors: Vec<DeleteError>,
}

/// An instance that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deleted {
    /// Its id.
    pub id: String,
}

/// An instance that could not be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeleteError {
    /// Its id.
    pub id: String,
    /// Number of the error.
    pub code: u32,
    /// Name of the error.
    pub message: String,
}

/// Whether a job was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TerminateJob {
    /// It was.
    Ok,
    /// One was running.
    AlreadyRunning,
}

/// Whether a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// One does.
    Running,
    /// None does.
    NotRunning,
}

/// Answer of `PUT …/instances/terminate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobBegun {
    /// Whether it was started.
    pub status: TerminateJob,
}

/// Answer of `GET …/instances/terminate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobStatus {
    /// Whether it runs.
    pub status: JobState,
}

/// Answer of `POST …/instances/batch/terminate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchTerminateResult {
    /// State of the job.
    pub status: TerminateJob,
    /// How many instances it takes on.
    #[serde(rename = "instancesTerminated")]
    pub instances_terminated: u64,
}

impl DurationValue {
    /// A number of milliseconds.
    pub fn millis(millis: u64) -> Self {
        Self::Millis(millis.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_cloudflares_words() {
        let words =
            serde_json::to_string(&[InstanceStatus::WaitingForPause, InstanceStatus::Complete]).unwrap();
        assert_eq!(words, r#"["waitingForPause","complete"]"#);
    }

    #[test]
    fn null_is_a_parameter() {
        let params = |text| {
            let create: InstanceCreate = serde_json::from_str(text).unwrap();
            create.params.map(|params| params.get().to_owned())
        };
        assert_eq!(params(r#"{"params":null}"#).as_deref(), Some("null"));
        assert_eq!(params("{}"), None);
    }

    #[test]
    fn status_changes_are_read_as_wrangler_writes_them() {
        let read = |text| serde_json::from_str::<StatusChange>(text).unwrap();
        assert_eq!(read(r#"{"status":"pause"}"#), StatusChange::Pause);
        assert_eq!(
            read(r#"{"status":"terminate","rollback":true}"#),
            StatusChange::Terminate { rollback: Some(true) }
        );
        let StatusChange::Restart { from: Some(from) } =
            read(r#"{"status":"restart","from":{"name":"foo","count":2,"type":"do"}}"#)
        else {
            panic!("a restart from a step")
        };
        assert_eq!((from.count, from.kind.as_deref()), (Some(2), Some("do")));
    }

    #[test]
    fn steps_carry_their_type() {
        let step = Step::WaitForEvent {
            name: "ok-1".into(),
            start: Time(0),
            end: Time(1),
            finished: false,
            error: None,
            output: None,
            event_type: Some("ok".into()),
        };
        let text = serde_json::to_string(&step).unwrap();
        assert!(
            text.starts_with(r#"{"type":"waitForEvent","name":"ok-1","start":"1970-01-01T00:00:00.000Z""#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Step>(&text).unwrap(), step);
    }
}
