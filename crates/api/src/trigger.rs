//! Event triggers of a script. Cairn has none of the events that there are, so it keeps none.

use crate::openapi::words::SomeName;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Events of a type, and what they start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventTrigger {
    /// Such as `cf.artifacts.repo.pushed`.
    #[serde(rename = "type")]
    #[schema(value_type = SomeName)]
    pub event_type: String,
    /// Which of the events.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub filter: Map<String, Value>,
    /// What they start.
    pub targets: Vec<TriggerTarget>,
}

/// A workflow that an event starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum TriggerTarget {
    /// A workflow.
    Workflow {
        /// Its name.
        #[schema(min_length = 1, max_length = 64)]
        workflow_name: String,
        /// Where its class is.
        #[schema(value_type = SomeName)]
        script_name: String,
    },
}

impl EventTrigger {
    /// Whether names are of a length that names have; where they are not, what is wrong.
    ///
    /// # Errors
    /// The field and what is expected of it.
    pub fn check(&self) -> Result<(), String> {
        let check = |field: &str, name: &str, most: usize| match name.chars().count() {
            count if (1..=most).contains(&count) => Ok(()),
            count => Err(format!(
                "{field} has {count} characters; it must have 1 to {most}"
            )),
        };
        check("type", &self.event_type, 255)?;
        for TriggerTarget::Workflow {
            workflow_name,
            script_name,
        } in &self.targets
        {
            check("targets[].workflow_name", workflow_name, 64)?;
            check("targets[].script_name", script_name, 255)?;
        }
        Ok(())
    }
}

/// Answer of `GET`, `PUT` and `PATCH /triggers/:script`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScriptTriggers {
    /// The script.
    pub script_name: String,
    /// Its triggers: none.
    pub triggers: Vec<EventTrigger>,
}

/// Answer of `DELETE /triggers/:script`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TriggersDeleted {
    /// How many there were.
    pub deleted: u64,
}
