//! Workflows and their versions (behaviour §1.2).

use crate::Time;
use serde::{Deserialize, Serialize};

/// A duration: milliseconds, or text such as `3 days`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DurationValue {
    /// Milliseconds.
    Millis(serde_json::Number),
    /// `<n> <unit>[s]`
    Text(String),
}

/// How long an instance is kept once it has ended.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Retention {
    /// After success, and after termination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_retention: Option<DurationValue>,
    /// After an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_retention: Option<DurationValue>,
}

/// The same, as it is returned: milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionMillis {
    /// After success, and after termination.
    pub success_retention: u64,
    /// After an error.
    pub error_retention: u64,
}

/// Answer of `GET /workflows/settings`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionSettings {
    /// What holds for instances that say nothing else.
    pub default_retention: RetentionMillis,
}

/// Body of `PATCH /workflows/settings`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SettingsPatch {
    /// What is to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_retention: Option<Retention>,
}

/// `limits` of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepLimit {
    /// `step.do` calls in one instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
}

/// `concurrency` of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concurrency {
    /// Instances that run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// One of the `schedules` of a workflow, as put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cron {
    /// The expression.
    pub cron: String,
}

/// Body of `PUT /workflows/:name`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PutRequest {
    /// Where the class is.
    pub script_name: String,
    /// The class.
    pub class_name: String,
    /// Limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<StepLimit>,
    /// Concurrency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// Schedules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedules: Option<Vec<Cron>>,
    /// How long instances are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_retention: Option<Retention>,
    /// Kept, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
    /// Cairn's own: whether instances that do not execute move to the latest version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow_latest: Option<bool>,
}

/// Answer of `PUT /workflows/:name`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutResult {
    /// Its id.
    pub id: String,
    /// Its name.
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
    pub triggered_on: Option<Time>,
    /// The version this made.
    pub version_id: String,
    /// Always 0.
    pub is_deleted: u8,
    /// Always 0.
    pub terminator_running: u8,
}

/// Instances of a workflow by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The expression.
    pub cron: String,
    /// When it fires next; absent where it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_instance: Option<Time>,
}

/// A workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workflow {
    /// Its id.
    pub id: String,
    /// Its name.
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
    pub triggered_on: Option<Time>,
    /// Instances by state.
    pub instances: InstanceCounts,
    /// Its schedules; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedules: Option<Vec<Schedule>>,
    /// That its script is not there (any more).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script_deleted: Option<bool>,
    /// As put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
}

/// A version of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowVersion {
    /// Its id.
    pub id: String,
    /// The workflow.
    pub workflow_id: String,
    /// Its class.
    pub class_name: String,
    /// When it was made.
    pub created_on: Time,
    /// The same: versions do not change.
    pub modified_on: Time,
    /// Whether it has a graph; Cairn draws none yet.
    pub has_dag: bool,
    /// `javascript`
    pub language: String,
    /// Limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<StepLimit>,
    /// Concurrency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// How long instances are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_retention: Option<RetentionMillis>,
}

/// Answer of `DELETE /workflows/:name`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowDeleted {
    /// `ok`
    pub status: String,
    /// That it is gone.
    pub success: Option<bool>,
}
