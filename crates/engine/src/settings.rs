//! Settings of the engine, and of a single workflow.

use cairn_core::Limits;
use serde::{Deserialize, Serialize};

/// Settings of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Limits of every instance; a workflow may lower or raise its step limit.
    pub limits: Limits,
    /// Messages an inbox may hold.
    pub inbox_messages: usize,
    /// Encoded bytes of the parameters of an instance.
    pub params_bytes: usize,
    /// Instances held in memory at once; the others are queued in the store.
    pub instances_in_memory: usize,
    /// Bytes of the values of those in memory; when there are more, no other is taken up.
    pub bytes_in_memory: u64,
    /// Instances of an account that may be queued; more are refused.
    pub queued_instances: u64,
    /// Instances that may wait to be written; more are refused.
    pub creations_waiting: usize,
    /// Bytes of their parameters.
    pub creation_bytes_waiting: usize,
    /// Schedules of all workflows of an account.
    pub schedules: usize,
    /// Instances of an account that run at once; those that wait do not count.
    pub concurrency_account: usize,
    /// Instances an account may create or restart a second; 0 for any number.
    pub creations_per_second_account: u32,
    /// Instances of one workflow that may be created or restarted a second; 0 for any number.
    pub creations_per_second_workflow: u32,
    /// Versions of a script or workflow that are kept though nothing needs them.
    pub versions_kept: usize,
    /// Whether instances that do not execute move to the latest version, where their workflow does not say.
    pub follow_latest: bool,
    /// How long finished instances are kept by default, milliseconds.
    pub retention_millis: u64,
    /// How long this node may be silent before others may take its instances, milliseconds.
    pub lease_millis: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            inbox_messages: 10_000,
            params_bytes: 1 << 20,
            instances_in_memory: 10_000,
            bytes_in_memory: 256 << 20,
            queued_instances: 2_000_000,
            creations_waiting: 4_096,
            creation_bytes_waiting: 64 << 20,
            schedules: 100,
            concurrency_account: 50_000,
            creations_per_second_account: 0,
            creations_per_second_workflow: 0,
            versions_kept: 10,
            follow_latest: false,
            retention_millis: 7 * 86_400_000,
            lease_millis: 30_000,
        }
    }
}

/// What a workflow's definition may say beside script and class (behaviour §1.2).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkflowSettings {
    /// `limits.steps`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// `concurrency.limit`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Whether instances that do not execute move to the latest version; as the server says when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follow_latest: Option<bool>,
    /// `schedules[].cron`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<String>,
    /// `default_retention.success_retention`, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_retention_millis: Option<u64>,
    /// `default_retention.error_retention`, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_retention_millis: Option<u64>,
    /// `jurisdiction`; kept, without effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
}
