//! Creating instances, one and many.

use super::words;
use crate::answer::{Answer, bad, done, engine};
use crate::app::Call;
use crate::body;
use axum::body::Body;
use cairn_api::{ApiError, Failure, InstanceCreate, InstanceCreated, InstanceStatus, TriggerSource};
use cairn_engine::{CreateInstance, CreatedInstance, EngineError, Trigger, Value};
use serde_json::value::RawValue;
use std::collections::HashSet;

/// Most instances in one batch (behaviour §6).
const BATCH_MAX: usize = 100;
const LOCATION_HINTS: [&str; 11] = [
    "wnam", "weur", "enam", "eeur", "apac", "apac-ne", "apac-se", "oc", "sam", "afr", "me",
];

/// `POST …/instances`
pub(super) async fn one(call: &Call, body: Body, (account, workflow): (&str, &str)) -> Answer {
    let asked: InstanceCreate = body::json_or_default(body, &call.app.limits).await?;
    let create = create_instance(asked)?;
    let created = call
        .app
        .engine
        .create(account, workflow, (Trigger::Api, vec![create]))
        .await;
    match created.map_err(engine)?.into_iter().next() {
        Some(Ok(created)) => done(shown(created)),
        Some(Err(error)) => Err(engine(error)),
        None => Err(Failure::new(ApiError::Internal, "the engine gave no answer")),
    }
}

/// `POST …/instances/batch`: what exists already is left out of the answer, as the binding's `createBatch` does (behaviour §4).
pub(super) async fn batch(call: &Call, body: Body, (account, workflow): (&str, &str)) -> Answer {
    let asked: Vec<InstanceCreate> = body::json(body, &call.app.limits).await?;
    if asked.is_empty() || asked.len() > BATCH_MAX {
        return Err(bad(format!(
            "the batch has {} instances; it must have 1 to {BATCH_MAX}",
            asked.len()
        )));
    }
    let mut ids = HashSet::new();
    if let Some(twice) = asked
        .iter()
        .filter_map(|one| one.instance_id.as_deref())
        .find(|id| !ids.insert(*id))
    {
        return Err(Failure::new(
            ApiError::DuplicateInBatch,
            format!("the instance id \"{twice}\" stands twice in the batch"),
        ));
    }
    let creates: Result<Vec<CreateInstance>, Failure> = asked.into_iter().map(create_instance).collect();
    let results = call
        .app
        .engine
        .create(account, workflow, (Trigger::Api, creates?))
        .await
        .map_err(engine)?;
    let mut created = Vec::with_capacity(results.len());
    for result in results {
        match result {
            Ok(instance) => created.push(shown(instance)),
            Err(EngineError::InstanceExists(_)) => {}
            Err(error) => return Err(engine(error)),
        }
    }
    done(created)
}

fn create_instance(asked: InstanceCreate) -> Result<CreateInstance, Failure> {
    if let Some(hint) = &asked.location_hint
        && !LOCATION_HINTS.contains(&hint.as_str())
    {
        return Err(bad(format!(
            "location_hint is \"{hint}\"; it must be one of {}",
            LOCATION_HINTS.join(", ")
        )));
    }
    let (success_retention_millis, error_retention_millis) = words::retention(asked.instance_retention)?;
    Ok(CreateInstance {
        id: asked.instance_id,
        params: asked.params.as_deref().map(params).transpose()?,
        success_retention_millis,
        error_retention_millis,
    })
}

/// Parameters. The public schema has them as a string of JSON text, wrangler sends the JSON itself. So: a string that is JSON text
/// is what that text says; any other string is itself, as `wrangler workflows trigger w '"hello"'` means it.
fn params(raw: &RawValue) -> Result<Value, Failure> {
    let text = raw.get();
    let unwrapped: Option<String> = text
        .starts_with('"')
        .then(|| serde_json::from_str(text).ok())
        .flatten();
    if let Some(value) = unwrapped.and_then(|inner| Value::from_json(&inner).ok()) {
        return Ok(value);
    }
    Value::from_json(text).map_err(|error| bad(format!("params: {error}")))
}

fn shown(created: CreatedInstance) -> InstanceCreated {
    InstanceCreated {
        id: created.id,
        status: InstanceStatus::Queued,
        version_id: created.version,
        workflow_id: created.workflow_id,
        trigger_source: Some(TriggerSource::Api),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_as_value_and_as_text() {
        let read = |text: &str| {
            params(serde_json::from_str::<&RawValue>(text).unwrap())
                .unwrap()
                .to_json_text()
        };
        assert_eq!(read(r#"{"b":1,"a":2}"#), r#"{"b":1,"a":2}"#);
        assert_eq!(read(r#""{\"b\":1}""#), r#"{"b":1}"#);
        assert_eq!(read(r#""hello""#), r#""hello""#);
        assert_eq!(read(r#""\"hello\"""#), r#""hello""#);
        assert_eq!(read(r#""""#), r#""""#);
    }

    #[test]
    fn location_hints_are_checked() {
        let asked = InstanceCreate {
            location_hint: Some("moon".into()),
            ..InstanceCreate::default()
        };
        assert!(create_instance(asked).unwrap_err().explanation.contains("weur"));
    }
}
