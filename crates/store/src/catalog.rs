//! Scripts, workflows and their versions.

use bytes::Bytes;
use cairn_core::Timestamp;

/// A version of a script to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewScriptVersion {
    /// Its id (a UUID).
    pub id: String,
    /// The account.
    pub account: String,
    /// The script.
    pub script: String,
    /// When.
    pub created_at: Timestamp,
    /// Bindings, compatibility and module list, encoded by the engine.
    pub metadata: String,
    /// Contents of the modules, by the names in the metadata.
    pub modules: Vec<(String, Bytes)>,
}

/// A script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptRow {
    /// The account.
    pub account: String,
    /// Its name.
    pub name: String,
    /// First upload.
    pub created_at: Timestamp,
    /// Last upload or deployment.
    pub modified_at: Timestamp,
    /// The version that is deployed, if any is, and since when.
    pub deployed: Option<(String, Timestamp)>,
    /// Settings beside its versions: JSON text, read by the engine.
    pub settings: String,
}

/// A version of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptVersionRow {
    /// Its id.
    pub id: String,
    /// 1 for the first of its script.
    pub number: u32,
    /// Upload.
    pub created_at: Timestamp,
    /// As given.
    pub metadata: String,
}

/// The code of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptModules {
    /// The account.
    pub account: String,
    /// The script.
    pub script: String,
    /// As given.
    pub metadata: String,
    /// As given.
    pub modules: Vec<(String, Bytes)>,
}

/// A workflow to create or change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWorkflow {
    /// The account.
    pub account: String,
    /// Its name.
    pub name: String,
    /// Its id, if it is new (a UUID).
    pub id: String,
    /// Id of the version this makes (a UUID).
    pub version: String,
    /// Where its class is.
    pub script: String,
    /// Its class.
    pub class_name: String,
    /// When.
    pub at: Timestamp,
    /// Limits, retention, concurrency, schedules: as JSON text, read by the engine.
    pub settings: String,
    /// Its schedules: cron expressions, read by the engine.
    pub schedules: Vec<String>,
}

/// A schedule of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRow {
    /// The workflow's number.
    pub workflow: i64,
    /// The workflow's account.
    pub account: String,
    /// The workflow's name.
    pub workflow_name: String,
    /// The expression.
    pub cron: String,
    /// Firings up to and including this time are dealt with.
    pub done_until: Timestamp,
}

/// A workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowRow {
    /// Its number.
    pub no: i64,
    /// Its id.
    pub id: String,
    /// The account.
    pub account: String,
    /// Its name.
    pub name: String,
    /// Where its class is.
    pub script: String,
    /// Its class.
    pub class_name: String,
    /// First put.
    pub created_at: Timestamp,
    /// Last put.
    pub modified_at: Timestamp,
    /// When an instance was last created.
    pub triggered_at: Option<Timestamp>,
    /// The newest version.
    pub version: String,
    /// Settings of the newest version.
    pub settings: String,
}

/// A version of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowVersionRow {
    /// Its id.
    pub id: String,
    /// The workflow's id.
    pub workflow_id: String,
    /// The class.
    pub class_name: String,
    /// When.
    pub created_at: Timestamp,
    /// As given.
    pub settings: String,
    /// The version of its script that was deployed when it was made, or that was found for it later.
    pub script_version: Option<String>,
    /// Whether there is a graph of it; absent while that is not known.
    pub has_graph: Option<bool>,
}

/// Versions that were removed, by id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SweptVersions {
    /// Of scripts.
    pub scripts: Vec<String>,
    /// Of workflows.
    pub workflows: Vec<String>,
}

/// What a new instance of a workflow is pinned to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployedWorkflow {
    /// The workflow.
    pub workflow: WorkflowRow,
    /// The deployed version of its script.
    pub script_version: String,
}
