//! Workflows and their versions (behaviour §1.2).

use crate::Time;
use crate::openapi::words::{CronText, Jurisdiction, Language, SomeName, StatusOk, Uuid, WorkflowName};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use utoipa::openapi::{ObjectBuilder, OneOfBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// A duration: milliseconds, or text such as `3 days`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DurationValue {
    /// Milliseconds.
    Millis(serde_json::Number),
    /// `<n> <unit>[s]`
    Text(String),
}

/// The most milliseconds of a duration, some 285,000 years.
const DURATION_MAX: i64 = 9_000_000_000_000_000;

impl PartialSchema for DurationValue {
    fn schema() -> RefOr<Schema> {
        let millis = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(DURATION_MAX))
            .description(Some("Milliseconds."));
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(
                "^0*[1-9][0-9]* +(second|minute|hour|day|week|month|year)s?$",
            ))
            .examples(["3 days"]);
        OneOfBuilder::new()
            .item(millis)
            .item(text)
            .description(Some("A duration: milliseconds, or a number and a unit."))
            .into()
    }
}

impl ToSchema for DurationValue {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Duration")
    }
}

/// How long an instance is kept once it has ended.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct Retention {
    /// After success, and after termination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_retention: Option<DurationValue>,
    /// After an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_retention: Option<DurationValue>,
}

/// The same, as it is returned: milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetentionMillis {
    /// After success, and after termination.
    pub success_retention: u64,
    /// After an error.
    pub error_retention: u64,
}

/// Answer of `GET /workflows/settings`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetentionSettings {
    /// What holds for instances that say nothing else.
    pub default_retention: RetentionMillis,
}

/// Body of `PATCH /workflows/settings`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct SettingsPatch {
    /// What is to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_retention: Option<Retention>,
}

/// `limits` of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepLimit {
    /// `step.do` calls in one instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub steps: Option<u32>,
}

/// `concurrency` of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Concurrency {
    /// Instances that run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub limit: Option<u32>,
}

/// One of the `schedules` of a workflow, as put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cron {
    /// The expression.
    #[schema(value_type = CronText)]
    pub cron: String,
}

/// Body of `PUT /workflows/:name`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PutRequest {
    /// Where the class is.
    #[schema(value_type = SomeName)]
    pub script_name: String,
    /// The class.
    #[schema(value_type = SomeName)]
    pub class_name: String,
    /// Limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<StepLimit>,
    /// Concurrency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// Schedules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 200)]
    pub schedules: Option<Vec<Cron>>,
    /// How long instances are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_retention: Option<Retention>,
    /// Kept, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Jurisdiction>)]
    pub jurisdiction: Option<String>,
    /// Cairn's own: whether instances that do not execute move to the latest version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow_latest: Option<bool>,
}

/// Answer of `PUT /workflows/:name`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PutResult {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: String,
    /// Its name.
    #[schema(value_type = WorkflowName)]
    pub name: String,
    /// Where its class is.
    pub script_name: String,
    /// Its class.
    pub class_name: String,
    /// First put.
    pub created_on: Time,
    /// Last put.
    pub modified_on: Time,
    /// When an instance was last created.
    #[schema(required)]
    pub triggered_on: Option<Time>,
    /// The version this made.
    #[schema(value_type = Uuid)]
    pub version_id: String,
    /// Always 0.
    pub is_deleted: u8,
    /// Always 0.
    pub terminator_running: u8,
}

/// Instances of a workflow by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "each is the number of instances in the state of its name"
)]
pub struct InstanceCounts {
    pub complete: u64,
    pub errored: u64,
    pub paused: u64,
    pub queued: u64,
    pub rolling_back: u64,
    pub running: u64,
    pub terminated: u64,
    pub waiting: u64,
    pub waiting_for_pause: u64,
}

/// One of the `schedules` of a workflow, as shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Schedule {
    /// The expression.
    pub cron: String,
    /// When it fires next; absent where it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_instance: Option<Time>,
}

/// A workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Workflow {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: String,
    /// Its name.
    #[schema(value_type = WorkflowName)]
    pub name: String,
    /// Where its class is.
    pub script_name: String,
    /// Its class.
    pub class_name: String,
    /// First put.
    pub created_on: Time,
    /// Last put.
    pub modified_on: Time,
    /// When an instance was last created.
    #[schema(required)]
    pub triggered_on: Option<Time>,
    /// Instances by state.
    pub instances: InstanceCounts,
    /// Its schedules; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub schedules: Option<Vec<Schedule>>,
    /// That its script is not there (any more).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub script_deleted: Option<bool>,
    /// As put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Jurisdiction)]
    pub jurisdiction: Option<String>,
}

/// A version of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkflowVersion {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: String,
    /// The workflow.
    #[schema(value_type = Uuid)]
    pub workflow_id: String,
    /// Its class.
    pub class_name: String,
    /// When it was made.
    pub created_on: Time,
    /// The same: versions do not change.
    pub modified_on: Time,
    /// Whether its code can be drawn as a graph.
    pub has_dag: bool,
    /// `javascript`
    #[schema(value_type = Language)]
    pub language: String,
    /// Limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub limits: Option<StepLimit>,
    /// Concurrency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub concurrency: Option<Concurrency>,
    /// How long instances are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub default_retention: Option<RetentionMillis>,
}

/// Answer of `DELETE /workflows/:name`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkflowDeleted {
    /// `ok`
    #[schema(value_type = StatusOk)]
    pub status: String,
    /// That it is gone.
    #[schema(required)]
    pub success: Option<bool>,
}
