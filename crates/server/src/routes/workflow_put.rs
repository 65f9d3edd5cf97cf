//! Defining a workflow: from its route, and from the `exports` of an uploaded script.

use super::words;
use crate::answer::bad;
use cairn_api::{Concurrency, Cron, Failure, PutRequest, Retention, StepLimit};
use cairn_engine::{PutWorkflow, WorkflowSettings};
use serde::Deserialize;

const NAME_MAX: usize = 255;
/// Schedules of one workflow (behaviour §1.2).
const SCHEDULES_MAX: usize = 200;
/// Characters of a wrong expression that are repeated in the answer.
const CRON_SHOWN: usize = 256;
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
            follow_latest: None,
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
    let schedules = crons(asked.schedules.unwrap_or_default())?;
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
            follow_latest: asked.follow_latest,
            schedules,
            success_retention_millis,
            error_retention_millis,
            jurisdiction: asked.jurisdiction,
        },
    })
}

/// The expressions, each once.
fn crons(schedules: Vec<Cron>) -> Result<Vec<String>, Failure> {
    if schedules.len() > SCHEDULES_MAX {
        return Err(bad(format!(
            "there are {} schedules; a workflow has at most {SCHEDULES_MAX}",
            schedules.len()
        )));
    }
    let mut crons = Vec::with_capacity(schedules.len());
    for (index, Cron { cron }) in schedules.into_iter().enumerate() {
        if let Err(error) = cairn_engine::Cron::parse(&cron) {
            let shown: String = cron.chars().take(CRON_SHOWN).collect();
            let cut = if shown.len() < cron.len() { "…" } else { "" };
            return Err(bad(format!(
                "schedules[{index}].cron is \"{shown}{cut}\", which is no cron expression: {error}"
            )));
        }
        if !crons.contains(&cron) {
            crons.push(cron);
        }
    }
    Ok(crons)
}

fn positive(field: &str, value: Option<u32>) -> Result<Option<u32>, Failure> {
    match value {
        Some(0) => Err(bad(format!("{field} is 0; it must be at least 1"))),
        value => Ok(value),
    }
}
