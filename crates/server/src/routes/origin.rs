//! Who changes a script, with what program, and what the change says of itself.

use crate::answer::bad;
use crate::app::Call;
use axum::http::header;
use cairn_api::{ApiError, Failure};
use cairn_engine::{Author, Origin};
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};

const TRIGGER: &str = "workers/triggered_by";

/// Whoever asks, and the program he asks with.
pub(super) fn author(call: &Call) -> Author {
    let agent = call.headers.get(header::USER_AGENT);
    let agent = agent.and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let who = &call.visitor.who;
    Author {
        source: source(agent).into(),
        id: who.id.clone(),
        email: format!("{}@localhost", who.id),
    }
}

/// The programs that wrangler knows by name.
fn source(agent: &str) -> &'static str {
    let agent = agent.to_ascii_lowercase();
    match agent.as_str() {
        agent if agent.starts_with("wrangler/") => "wrangler",
        agent if agent.contains("terraform") => "terraform",
        _ => "api",
    }
}

/// Annotations, a JSON object, with what brought them about.
///
/// # Errors
/// When they are none.
pub(super) fn annotated(annotations: Option<&str>, trigger: &str) -> Result<String, Failure> {
    let given: Option<Map<String, Json>> = serde_json::from_str(annotations.unwrap_or("null"))
        .map_err(|error| bad(format!("annotations is not an object: {error}")))?;
    let mut given = given.unwrap_or_default();
    given.retain(|_, value| !value.is_null());
    given.insert(TRIGGER.into(), trigger.into());
    Ok(Json::Object(given).to_string())
}

/// The origin of a deployment with these annotations.
pub(super) fn deployed_with(call: &Call, annotations: Option<&str>) -> Result<Origin, Failure> {
    let raw = annotations.map(|text| RawValue::from_string(text.to_owned()));
    let annotations = raw
        .transpose()
        .map_err(|error| Failure::new(ApiError::Internal, error.to_string()))?;
    Ok(Origin {
        author: author(call),
        annotations,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_by_their_names() {
        assert_eq!(source("wrangler/4.164.0"), "wrangler");
        assert_eq!(source("Terraform/1.9 terraform-plugin"), "terraform");
        assert_eq!(source("Cloudflare/JS 7.3.0"), "api");
        assert_eq!(source(""), "api");
    }

    #[test]
    fn annotations_keep_what_they_have() {
        assert_eq!(
            annotated(None, "upload").unwrap(),
            r#"{"workers/triggered_by":"upload"}"#
        );
        assert_eq!(
            annotated(Some(r#"{"workers/tag":"v1","workers/message":null}"#), "secret").unwrap(),
            r#"{"workers/tag":"v1","workers/triggered_by":"secret"}"#
        );
        assert!(annotated(Some("[]"), "upload").is_err());
    }
}
