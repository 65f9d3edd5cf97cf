//! What a version of a workflow does, drawn from its code (behaviour §1.2).

use crate::Time;
use crate::openapi::graph::Graph;
use crate::openapi::words::Uuid;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Answer of `GET …/versions/:id/graph`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VersionGraph {
    /// The version.
    #[schema(value_type = Uuid)]
    pub id: String,
    /// The workflow.
    #[schema(value_type = Uuid)]
    pub workflow_id: String,
    /// Its class.
    pub class_name: String,
    /// When the version was made.
    pub created_on: Time,
    /// The same: versions do not change.
    pub modified_on: Time,
    /// The graph; null where it cannot be known.
    #[schema(required, value_type = Option<Graph>)]
    pub graph: Option<Map<String, Value>>,
}

/// Answer of `GET …/versions/:id/dag`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VersionDag {
    /// The version.
    #[schema(value_type = Uuid)]
    pub id: String,
    /// The workflow.
    #[schema(value_type = Uuid)]
    pub workflow_id: String,
    /// Its class.
    pub class_name: String,
    /// When the version was made.
    pub created_on: Time,
    /// The same: versions do not change.
    pub modified_on: Time,
    /// The graph; null where it cannot be known.
    #[schema(required, value_type = Option<Graph>)]
    pub dag: Option<Map<String, Value>>,
}
