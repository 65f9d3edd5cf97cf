//! Every answer that a test gets, and every request that was done, is what the OpenAPI description says.

use super::world::Answered;
use crate::access::rule;
use crate::route::Route;
use jsonschema::Validator;
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

/// As it is served, for requests.
static DESCRIPTION: LazyLock<Json> = LazyLock::new(|| serde_json::to_value(cairn_api::openapi()).unwrap());
/// The same, for answers: nothing may be in them that is not described.
static CLOSED: LazyLock<Json> = LazyLock::new(|| close(DESCRIPTION.clone()));
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// The names of what varies in a path, as the table of access has them and as the description has them.
const NAMES: [(&str, &str); 7] = [
    (":account", "{account_id}"),
    (":workflow", "{workflow_name}"),
    (":instance", "{instance_id}"),
    (":event", "{event_type}"),
    (":version", "{version_id}"),
    (":script", "{script_name}"),
    (":key", "{key_id}"),
];

fn close(json: Json) -> Json {
    match json {
        Json::Array(elements) => elements.into_iter().map(close).collect(),
        Json::Object(fields) => {
            let mut fields: serde_json::Map<_, _> = fields
                .into_iter()
                .map(|(name, value)| (name, close(value)))
                .collect();
            if fields.get("properties").is_some_and(Json::is_object)
                && fields.get("type") == Some(&json!("object"))
            {
                fields.entry("additionalProperties").or_insert(json!(false));
            }
            Json::Object(fields)
        }
        other => other,
    }
}

/// The path of the description that this path is one of; none where it describes no such routes.
fn template(path: &str) -> Option<String> {
    let route = Route::parse(path)?;
    let mut template = rule(&route).template.to_owned();
    let (_, rest) = template.split_once("/:account/")?;
    if !rest.starts_with("workflows") && !rest.starts_with("triggers") {
        return None;
    }
    for (ours, theirs) in NAMES {
        template = template.replace(ours, theirs);
    }
    assert!(
        DESCRIPTION["paths"][&template].is_object(),
        "{template} is not described"
    );
    Some(template)
}

fn resolved<'a>(document: &'a Json, json: &'a Json) -> &'a Json {
    match json["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => json,
    }
}

fn validator(name: String, document: &Json, schema: &Json) -> Arc<Validator> {
    let mut known = VALIDATORS.lock().unwrap();
    let made = known.entry(name).or_insert_with(|| {
        let mut root = schema.clone();
        root["components"] = document["components"].clone();
        let options = jsonschema::options().should_validate_formats(true);
        Arc::new(options.build(&root).unwrap())
    });
    Arc::clone(made)
}

fn check(what: &str, validator: &Validator, json: &Json) {
    let wrong: Vec<String> = validator
        .iter_errors(json)
        .map(|error| format!("{} at {:?}", error, error.instance_path().to_string()))
        .collect();
    assert!(
        wrong.is_empty(),
        "{what} is not as described: {}\n{json}",
        wrong.join("; ")
    );
}

/// Checks one exchange; the path may have a query.
pub(super) fn hold(method: &str, uri: &str, (body, answered): (&str, &Answered)) {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let Some(template) = template(path) else {
        return;
    };
    let operation = &DESCRIPTION["paths"][&template][method.to_lowercase()];
    let status = answered.status.as_u16();
    let name = format!("{method} {template}");
    if !operation.is_object() {
        assert!(
            (400..500).contains(&status),
            "{name} is not described, but done: {status}"
        );
        return;
    }
    let closed = &CLOSED["paths"][&template][method.to_lowercase()]["responses"][status.to_string()];
    let response = resolved(&CLOSED, closed);
    assert!(
        response.is_object(),
        "{name} answers {status}, which is not described: {}",
        answered.text
    );
    let content_type = answered.headers["content-type"].to_str().unwrap();
    let content = &response["content"][content_type];
    assert!(
        content.is_object(),
        "{name} answers {status} with {content_type}, which is not described"
    );
    if content_type == "application/json" {
        let validator = validator(format!("{name} {status}"), &CLOSED, &content["schema"]);
        check(
            &format!("the answer of {name} with {status}"),
            &validator,
            &answered.json(),
        );
    }
    if status == 200 {
        request(&name, operation, (query, body));
    }
}

/// What was done was asked for as the description says.
fn request(name: &str, operation: &Json, (query, body): (&str, &str)) {
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    match serde_json::from_str::<Json>(body) {
        Ok(json) if schema.is_object() => {
            let validator = validator(format!("{name} body"), &DESCRIPTION, schema);
            check(&format!("the body of {name}"), &validator, &json);
        }
        Ok(_) => panic!("{name} read a body that is not described: {body}"),
        Err(_) => assert!(
            operation["requestBody"]["required"] != true,
            "{name} was done without the body that it is said to need"
        ),
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (parameter, value) = pair.split_once('=').unwrap_or((pair, ""));
        let known = operation["parameters"].as_array().unwrap().iter();
        let described = known
            .clone()
            .find(|known| known["in"] == "query" && known["name"] == parameter);
        let described =
            described.unwrap_or_else(|| panic!("{name} has read {parameter}, which is not described"));
        let schema = &described["schema"];
        let value = crate::route::decode(value).unwrap();
        let json = match (
            resolved(&DESCRIPTION, schema)["type"].as_str(),
            value.parse::<u64>(),
        ) {
            (Some("integer"), Ok(number)) => json!(number),
            (Some("array"), _) => json!([value]),
            _ => json!(value),
        };
        let validator = validator(format!("{name} {parameter}"), &DESCRIPTION, schema);
        check(&format!("{parameter} of {name}"), &validator, &json);
    }
}

/// Each operation that is described has a route, and no other method of it.
#[tokio::test]
async fn every_operation_has_a_route() {
    let world = super::world::World::deployed().await;
    for (template, item) in DESCRIPTION["paths"].as_object().unwrap() {
        let Some(below) = template.strip_prefix("/client/v4/accounts/{account_id}") else {
            continue;
        };
        let mut path = below.to_owned();
        for (name, value) in [
            ("{workflow_name}", "w"),
            ("{script_name}", "s"),
            ("{event_type}", "go"),
            ("{instance_id}", "one"),
        ] {
            path = path.replace(name, value);
        }
        path = path
            .replace("{version_id}", "00000000-0000-4000-8000-000000000000")
            .replace("{key_id}", "none");
        for method in ["GET", "PUT", "POST", "PATCH", "DELETE"] {
            let answered = world.call(method, &path, "").await;
            let is_described = item[method.to_lowercase()].is_object();
            let code = if answered.status == 200 {
                0
            } else {
                answered.failure().1
            };
            assert_ne!(code, 7003, "{method} {template}");
            assert_eq!(
                code != 7001,
                is_described,
                "{method} {template}: {}",
                answered.text
            );
        }
    }
}

#[tokio::test]
async fn the_description_needs_no_token() {
    let world = super::world::World::new().await;
    let request = axum::http::Request::builder()
        .uri("/openapi.json")
        .body(axum::body::Body::empty())
        .unwrap();
    let served = world.send(request).await;
    assert_eq!((served.status.as_u16(), &served.json()), (200, &*DESCRIPTION));
    assert_eq!(served.json()["openapi"], "3.1.0");
}

#[test]
fn what_is_not_described_is_seen() {
    let answered = |status: u16, text: &str| Answered {
        status: axum::http::StatusCode::from_u16(status).unwrap(),
        headers: [(
            "content-type".parse().unwrap(),
            "application/json".parse().unwrap(),
        )]
        .into_iter()
        .collect(),
        text: text.into(),
    };
    let seen = |status: u16, result: Json, query: &str| {
        let envelope = json!({ "success": true, "errors": [], "messages": [], "result": result }).to_string();
        let uri = format!("/client/v4/accounts/a/workflows/w/instances/terminate{query}");
        std::panic::catch_unwind(|| hold("GET", &uri, ("", &answered(status, &envelope)))).is_err()
    };
    assert!(!seen(200, json!({ "status": "running" }), ""));
    assert!(seen(200, json!({ "status": "dancing" }), ""));
    assert!(seen(200, json!({ "status": "running", "more": 1 }), ""));
    assert!(seen(200, json!({}), ""));
    assert!(seen(201, json!({ "status": "running" }), ""));
    assert!(seen(200, json!({ "status": "running" }), "?nope=1"));
}
