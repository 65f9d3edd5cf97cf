//! Scripts as lists and as things: what there are, who needs them, what they hold, and their end.

use super::deployments::{handlers, known};
use super::script_settings::{KeptSettings, subdomain_of};
use super::scripts::{deployed_metadata, existing, shown_binding};
use super::{user, words};
use crate::answer::{Answer, done, engine};
use crate::app::Call;
use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use cairn_api::{ApiError, Failure, WorkerInfo};
use cairn_engine::{Module, ModuleKind, ScriptRow};
use serde_json::{Value as Json, json};

/// The one environment that a service has.
const ENVIRONMENT: &str = "production";

/// `GET …/scripts`
pub(super) async fn list(call: &Call, account: &str) -> Answer {
    let mut shown = Vec::new();
    for row in call.engine().scripts(account).await.map_err(engine)? {
        shown.push(script(call, &row).await?);
    }
    done(shown)
}

async fn script(call: &Call, row: &ScriptRow) -> Result<Json, Failure> {
    let kept = KeptSettings::of(row).map_err(engine)?;
    let metadata = deployed_metadata(call, row).await?;
    let etag = row.deployed.as_ref().map(|(version, _)| version);
    let mut shown = json!({
        "id": row.name,
        "tag": row.name,
        "tags": kept.tags(),
        "etag": etag,
        "deployment_id": etag,
        "handlers": [],
        "created_on": words::time(row.created_at),
        "modified_on": words::time(row.modified_at),
        "usage_model": "standard",
        "has_assets": false,
        "has_modules": true,
        "tail_consumers": null,
        "logpush": false,
    });
    if let Some(metadata) = metadata {
        shown["handlers"] = handlers(&metadata).into();
        shown["compatibility_date"] = metadata.compatibility_date.into();
        shown["compatibility_flags"] = metadata.compatibility_flags.into();
        shown["last_deployed_from"] = known(metadata.author).source.into();
    }
    Ok(shown)
}

/// `GET …/scripts-search`
pub(super) async fn search(call: &Call, account: &str) -> Answer {
    let name = call.query.text("name")?.unwrap_or_default().to_ascii_lowercase();
    let id = call.query.text("id")?;
    let rows = call.engine().scripts(account).await.map_err(engine)?;
    let matching = rows
        .into_iter()
        .filter(|row| row.name.to_ascii_lowercase().contains(&name) && id.is_none_or(|id| id == row.name));
    let shown = matching.map(|row| {
        json!({
            "id": row.name,
            "script_name": row.name,
            "service_name": row.name,
            "environment_name": ENVIRONMENT,
            "environment_is_default": true,
            "created_on": words::time(row.created_at),
            "modified_on": words::time(row.modified_at),
        })
    });
    user::list(call, shown.collect())
}

fn no_service(script: &str) -> Failure {
    Failure::new(
        ApiError::ServiceNotFound,
        format!("script \"{script}\" does not exist; deploy it first"),
    )
}

/// `GET …/services/:s`
pub(super) async fn service(call: &Call, account: &str, name: &str) -> Answer {
    let environment = environment(call, account, name).await?;
    let (created_on, modified_on) = (&environment["created_on"], &environment["modified_on"]);
    done(json!({
        "id": name,
        "default_environment": environment,
        "created_on": created_on,
        "modified_on": modified_on,
        "environments": [{ "environment": ENVIRONMENT, "created_on": created_on, "modified_on": modified_on }],
    }))
}

async fn environment(call: &Call, account: &str, name: &str) -> Result<Json, Failure> {
    let row = call.engine().script(account, name).await.map_err(engine)?;
    let row = row.ok_or_else(|| no_service(name))?;
    let script = script(call, &row).await?;
    Ok(json!({
        "environment": ENVIRONMENT,
        "created_on": words::time(row.created_at),
        "modified_on": words::time(row.modified_at),
        "script": script,
    }))
}

/// What may be asked of the environment of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EnvironmentPart {
    /// The environment.
    Whole,
    /// Bindings of its script.
    Bindings,
    /// Routes of zones, of which there are none.
    Routes,
    /// Whether it answers by its host name.
    Subdomain,
    /// The modules.
    Content,
}

/// `GET …/services/:s/environments/production/…`
pub(super) async fn of_environment(
    call: &Call,
    (account, name): (&str, &str),
    part: EnvironmentPart,
) -> Answer {
    let shown = environment(call, account, name).await?;
    let row = existing(call, account, name).await?;
    match part {
        EnvironmentPart::Whole => done(shown),
        EnvironmentPart::Routes => done(json!([])),
        EnvironmentPart::Subdomain => done(subdomain_of(&call.app, &row)?),
        EnvironmentPart::Content => content(call, account, name).await,
        EnvironmentPart::Bindings => {
            let metadata = deployed_metadata(call, &row).await?;
            let bindings = metadata.map(|metadata| metadata.bindings).unwrap_or_default();
            done(bindings.iter().map(shown_binding).collect::<Vec<_>>())
        }
    }
}

/// `GET …/workers/:s`
pub(super) async fn worker(call: &Call, account: &str, name: &str) -> Answer {
    let row = existing(call, account, name).await?;
    done(WorkerInfo {
        id: name.into(),
        name: name.into(),
        created_on: words::time(row.created_at),
        updated_on: words::time(row.modified_at),
        subdomain: subdomain_of(&call.app, &row)?,
    })
}

/// `GET …/scripts/:s` and `…/content`: the modules of the deployed version, as a form.
pub(super) async fn content(call: &Call, account: &str, name: &str) -> Answer {
    let row = existing(call, account, name).await?;
    let version = match row.deployed {
        Some((version, _)) => version,
        None => {
            let latest = call
                .engine()
                .latest_version(account, name)
                .await
                .map_err(engine)?;
            latest.ok_or_else(|| no_service(name))?.id
        }
    };
    let (metadata, modules) = call.engine().modules_of(&version).await.map_err(engine)?;
    let boundary = uuid::Uuid::new_v4().simple().to_string();
    let mut body = Vec::new();
    for module in &modules {
        body.extend_from_slice(head(&boundary, module).as_bytes());
        body.extend_from_slice(&module.content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    let form = HeaderValue::from_str(&format!("multipart/form-data; boundary={boundary}"));
    if let (Ok(form), Ok(main)) = (form, HeaderValue::from_str(&metadata.main_module)) {
        headers.insert(header::CONTENT_TYPE, form);
        headers.insert("cf-entrypoint", main);
    }
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        headers.insert(header::ETAG, etag);
    }
    Ok(response)
}

fn head(boundary: &str, module: &Module) -> String {
    let name = module
        .name
        .replace('"', "%22")
        .replace('\r', "%0D")
        .replace('\n', "%0A");
    let kind = match module.kind {
        ModuleKind::EsModule => "application/javascript+module",
        ModuleKind::CommonJs => "application/javascript",
        ModuleKind::Text => "text/plain",
        ModuleKind::Data => "application/octet-stream",
        ModuleKind::Wasm => "application/wasm",
        ModuleKind::Json => "application/json",
    };
    format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}\"\r\nContent-Type: {kind}\r\n\r\n"
    )
}

/// A Worker whose deployed version has a binding to another.
struct Dependent {
    script: String,
    binding: String,
    is_service: bool,
}

/// Workers of the account that have bindings to this one.
async fn dependents(call: &Call, account: &str, name: &str) -> Result<Vec<Dependent>, Failure> {
    let mut dependents = Vec::new();
    for row in call.engine().scripts(account).await.map_err(engine)? {
        if row.name == name {
            continue;
        }
        let metadata = deployed_metadata(call, &row).await?;
        for binding in metadata.iter().flat_map(|metadata| &metadata.bindings) {
            let shown = shown_binding(binding);
            let is_service = shown["type"] == "service" && shown["service"] == name;
            if is_service || (shown["type"] == "workflow" && shown["script_name"] == name) {
                dependents.push(Dependent {
                    script: row.name.clone(),
                    binding: binding.name().into(),
                    is_service,
                });
            }
        }
    }
    Ok(dependents)
}

/// `GET …/references`: who would miss this Worker, in wrangler's form, which knows service bindings alone.
pub(super) async fn references(call: &Call, account: &str, name: &str) -> Answer {
    existing(call, account, name).await?;
    let dependents = dependents(call, account, name).await?;
    let incoming = dependents.iter().filter(|dependent| dependent.is_service);
    let incoming = incoming.map(|dependent| {
        json!({ "service": dependent.script, "environment": ENVIRONMENT, "name": dependent.binding })
    });
    done(json!({
        "services": { "incoming": incoming.collect::<Vec<_>>(), "outgoing": [], "pages_function": false },
        "durable_objects": [],
        "dispatch_outbounds": [],
    }))
}

/// `DELETE …/scripts/:s` and `…/services/:s`
pub(super) async fn delete(call: &Call, account: &str, name: &str) -> Answer {
    existing(call, account, name).await?;
    let forced = call.query.word("force", &[("true", true), ("false", false)])? == Some(true);
    let _changing = call.engine().lock_script(account, name).await;
    if !forced {
        let dependents = dependents(call, account, name).await?;
        if let Some(first) = dependents.first() {
            let kind = if first.is_service { "service" } else { "workflow" };
            return Err(Failure::new(
                ApiError::ScriptInUse,
                format!(
                    "the Worker \"{}\" has a {kind} binding \"{}\" to \"{name}\" and would break; remove it first, or delete with force=true \
                     (wrangler delete --force)",
                    first.script, first.binding
                ),
            ));
        }
    }
    call.engine().delete_script(account, name).await.map_err(engine)?;
    done(Json::Null)
}
