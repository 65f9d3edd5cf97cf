//! Scripts, their versions and deployments, as far as wrangler reads them (behaviour §8).

use crate::Time;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Answer of `PUT /workers/scripts/:s`: uploaded and deployed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScriptUploaded {
    /// The script's name.
    pub id: String,
    /// Changes with every version.
    pub etag: String,
    /// Id of the version, which wrangler shows as the current version.
    pub deployment_id: String,
    /// First upload.
    pub created_on: Time,
    /// This upload.
    pub modified_on: Time,
    /// Milliseconds its process took to answer.
    pub startup_time_ms: u64,
    /// Kinds of entry points: `fetch`.
    pub handlers: Vec<String>,
    /// Exported classes that extend `WorkflowEntrypoint`.
    #[serde(default)]
    pub workflow_classes: Vec<String>,
}

/// A version of a script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScriptVersion {
    /// Its id.
    pub id: String,
    /// 1 for the first of its script.
    pub number: u32,
    /// When and from where.
    pub metadata: VersionMetadata,
    /// `workers/message` and the like.
    pub annotations: Json,
    /// Code and environment.
    pub resources: VersionResources,
    /// Milliseconds its process took to answer; of an upload only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup_time_ms: Option<u64>,
}

/// When and from where a version came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionMetadata {
    /// Upload.
    pub created_on: Time,
    /// The same.
    pub modified_on: Time,
    /// `wrangler`
    pub source: String,
    /// Empty: Cairn has no users.
    pub author_id: String,
    /// Empty: Cairn has no users.
    pub author_email: String,
}

/// Code and environment of a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionResources {
    /// What `env` holds; secrets without their text.
    pub bindings: Json,
    /// The code.
    pub script: VersionScript,
    /// Compatibility.
    pub script_runtime: Json,
}

/// The code of a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionScript {
    /// Changes with every version.
    pub etag: String,
    /// Kinds of entry points: `fetch`.
    pub handlers: Vec<String>,
    /// `wrangler`
    pub last_deployed_from: String,
}

/// Answer of `GET /workers/scripts/:s/versions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScriptVersionList {
    /// Newest first.
    pub items: Vec<ScriptVersion>,
}

/// A version's part of the traffic: all of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeploymentVersion {
    /// The version.
    pub version_id: String,
    /// 100.
    pub percentage: f64,
}

/// Body of `POST /workers/scripts/:s/deployments`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeploymentRequest {
    /// The versions: one, at 100.
    pub versions: Vec<DeploymentVersion>,
    /// `workers/message` and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Json>,
}

/// A deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its id.
    pub id: String,
    /// `wrangler`
    pub source: String,
    /// `percentage`
    pub strategy: String,
    /// Empty: Cairn has no users.
    pub author_email: String,
    /// When.
    pub created_on: Time,
    /// `workers/message` and the like.
    pub annotations: Json,
    /// The version that is deployed.
    pub versions: Vec<DeploymentVersion>,
}

/// Answer of `GET /workers/scripts/:s/deployments`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployments {
    /// The current one, if any.
    pub deployments: Vec<Deployment>,
}

/// A secret, without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Its name.
    pub name: String,
    /// `secret_text`
    #[serde(rename = "type")]
    pub kind: String,
}

/// Whether a script answers on its host name: always.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptSubdomain {
    /// Always.
    pub enabled: bool,
    /// Never.
    pub previews_enabled: bool,
    /// Where it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Answer of `GET /workers/workers/:s`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// The script's name.
    pub id: String,
    /// The same.
    pub name: String,
    /// First upload.
    pub created_on: Time,
    /// Last upload or deployment.
    pub updated_on: Time,
    /// Where it answers.
    pub subdomain: ScriptSubdomain,
}

/// An account. Cairn has those that requests name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}
