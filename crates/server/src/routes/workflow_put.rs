//! Defining a workflow: from its route, and from the `exports` of an uploaded script.

use super::words;
use crate::answer::bad;
use cairn_api::{ApiError, Concurrency, Cron, Failure, PutRequest, Retention, StepLimit};
use cairn_engine::{PutWorkflow, WorkflowSettings};
use serde::Deserialize;

const NAME_MAX: usize = 255;
const JURISDICTIONS: [&str; 3] = ["eu", "fedramp", "us"];

/// One entry of `exports` with `"type": "workflow"` (behaviour §5).
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct WorkflowExport {
    /// The workflow's name.
    pub(crate) name: String,
    limits: Option<StepLimit>,
    concurrency: Option<Concurrency>,
    schedules: Option<Schedules>,
    default_retention: Option<Retention>,
    jurisdiction: Option<String>,
}

/// One expression, or several.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Schedules {
    One(String),
    Many(Vec<String>),
}

impl WorkflowExport {
    /// The same as wrangler puts later on the workflow's own route.
    pub(crate) fn put(self, script: &str, class_name: &str) -> Result<PutWorkflow, Failure> {
        let schedules = self.schedules.map(|schedules| match schedules {
            Schedules::One(cron) => vec![Cron { cron }],
            Schedules::Many(crons) => crons.into_iter().map(|cron| Cron { cron }).collect(),
        });
        put_workflow(PutRequest {
            script_name: script.into(),
            class_name: class_name.into(),
            limits: self.limits,
            concurrency: self.concurrency,
            schedules,
            default_retention: self.default_retention,
            jurisdiction: self.jurisdiction,
        })
    }
}

/// Checks what was put.
pub(crate) fn put_workflow(asked: PutRequest) -> Result<PutWorkflow, Failure> {
    for (field, name) in [
        ("script_name", &asked.script_name),
        ("class_name", &asked.class_name),
    ] {
        if name.is_empty() || name.len() > NAME_MAX {
            return Err(bad(format!(
                "{field} has {} bytes; it must have 1 to {NAME_MAX}",
                name.len()
            )));
        }
    }
    let steps = positive("limits.steps", asked.limits.and_then(|limits| limits.steps))?;
    let concurrency = positive(
        "concurrency.limit",
        asked.concurrency.and_then(|concurrency| concurrency.limit),
    )?;
    let schedules = asked.schedules.unwrap_or_default();
    if let Some(schedule) = schedules.first() {
        return Err(Failure::new(
            ApiError::NotSupported,
            format!(
                "the schedule \"{}\" would never fire: schedules are not available yet; remove \"schedules\"",
                schedule.cron
            ),
        ));
    }
    if let Some(jurisdiction) = &asked.jurisdiction
        && !JURISDICTIONS.contains(&jurisdiction.as_str())
    {
        return Err(bad(format!(
            "jurisdiction is \"{jurisdiction}\"; it must be one of {}, and has no effect here",
            JURISDICTIONS.join(", ")
        )));
    }
    let (success_retention_millis, error_retention_millis) = words::retention(asked.default_retention)?;
    Ok(PutWorkflow {
        script: asked.script_name,
        class_name: asked.class_name,
        settings: WorkflowSettings {
            steps,
            concurrency,
            schedules: Vec::new(),
            success_retention_millis,
            error_retention_millis,
            jurisdiction: asked.jurisdiction,
        },
    })
}

fn positive(field: &str, value: Option<u32>) -> Result<Option<u32>, Failure> {
    match value {
        Some(0) => Err(bad(format!("{field} is 0; it must be at least 1"))),
        value => Ok(value),
    }
}
