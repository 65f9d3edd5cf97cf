//! `…/workers/…` and `…/triggers/…`: what wrangler reads and writes around an upload (behaviour §8).

use super::deployments;
use super::tails;
use super::upload;
use super::words;
use crate::answer::{Answer, bad, done, engine};
use crate::app::{App, Call};
use crate::body;
use crate::route::ScriptRoute;
use axum::body::Body;
use axum::http::Method;
use cairn_api::{Account, ApiError, Failure, ScriptSubdomain, Secret, WorkerInfo};
use cairn_engine::{ScriptBinding, ScriptMetadata, ScriptRow};
use serde::Deserialize;
use serde_json::{Value as Json, json};

/// The subdomain that is offered for workers.dev. wrangler wants one before it deploys workflows.
const SUBDOMAIN: &str = "cairn";

pub(crate) async fn handle(call: &Call, body: Body, (account, route): (&str, ScriptRoute)) -> Answer {
    let method = call.method.clone();
    match (route, method) {
        (ScriptRoute::Account, Method::GET) => done(Account {
            id: account.into(),
            name: account.into(),
        }),
        (ScriptRoute::Subdomain, Method::GET | Method::PUT) => done(json!({ "subdomain": SUBDOMAIN })),
        (ScriptRoute::Service(script), Method::GET) => service(call, account, &script).await,
        (ScriptRoute::Worker(script), Method::GET) => worker(call, account, &script).await,
        (ScriptRoute::Script(script), Method::PUT) => upload::put(call, body, (account, &script)).await,
        (ScriptRoute::Secrets(script), Method::GET) => secrets(call, account, &script).await,
        (ScriptRoute::Settings(script), Method::GET) => settings(call, account, &script).await,
        (ScriptRoute::ScriptSettings(script), Method::GET) => script_settings(call, account, &script).await,
        (ScriptRoute::ScriptSettings(script), Method::PATCH) => {
            patch_script_settings(call, body, (account, &script)).await
        }
        (ScriptRoute::Versions(script), Method::POST) => {
            upload::version(call, body, (account, &script)).await
        }
        (ScriptRoute::Versions(script), Method::GET) => deployments::versions(call, account, &script).await,
        (ScriptRoute::Version(script, version), Method::GET) => {
            deployments::version(call, account, (&script, &version)).await
        }
        (ScriptRoute::Deployments(script), Method::GET) => deployments::list(call, account, &script).await,
        (ScriptRoute::Deployments(script), Method::POST) => {
            deployments::create(call, body, (account, &script)).await
        }
        (ScriptRoute::ScriptSubdomain(script), Method::GET | Method::POST) => {
            existing(call, account, &script).await?;
            done(script_subdomain(&call.app, &script))
        }
        (ScriptRoute::Schedules(script), Method::PUT) => put_schedules(call, body, (account, &script)).await,
        (ScriptRoute::Schedules(script), Method::GET) => {
            existing(call, account, &script).await?;
            done(json!({ "schedules": [] }))
        }
        (ScriptRoute::Triggers(script), Method::PUT | Method::PATCH) => {
            put_triggers(call, body, &script).await
        }
        (ScriptRoute::Triggers(script), Method::GET) => {
            done(json!({ "script_name": script, "triggers": [] }))
        }
        (ScriptRoute::Triggers(_), Method::DELETE) => done(json!({ "deleted": 0 })),
        (ScriptRoute::Tails(script), Method::GET) => tails::list(call, account, &script).await,
        (ScriptRoute::Tails(script), Method::POST) => tails::create(call, body, (account, &script)).await,
        (ScriptRoute::Tail(script, id), Method::DELETE) => tails::delete(call, (account, &script), &id).await,
        (ScriptRoute::Script(_), Method::DELETE) => Err(Failure::new(
            ApiError::NotSupported,
            "deleting scripts is not available yet; delete the workflow instead",
        )),
        (ScriptRoute::Secrets(_), Method::PUT | Method::PATCH) => Err(Failure::new(
            ApiError::NotSupported,
            "secrets cannot be changed on their own yet; give them with a deployment: wrangler deploy --secrets-file FILE",
        )),
        (route, _) => Err(call.wrong_method(methods(&route))),
    }
}

fn methods(route: &ScriptRoute) -> &'static str {
    match route {
        ScriptRoute::Account
        | ScriptRoute::Service(_)
        | ScriptRoute::Worker(_)
        | ScriptRoute::Secrets(_)
        | ScriptRoute::Settings(_)
        | ScriptRoute::Version(..) => "GET",
        ScriptRoute::Subdomain | ScriptRoute::Schedules(_) => "GET, PUT",
        ScriptRoute::Script(_) => "PUT",
        ScriptRoute::ScriptSettings(_) => "GET, PATCH",
        ScriptRoute::Tail(..) => "DELETE",
        ScriptRoute::Versions(_)
        | ScriptRoute::Deployments(_)
        | ScriptRoute::ScriptSubdomain(_)
        | ScriptRoute::Tails(_) => {
            "GET, POST"
        }
        ScriptRoute::Triggers(_) => "GET, PUT, PATCH, DELETE",
    }
}

/// The row of a script that must exist.
pub(super) async fn existing(call: &Call, account: &str, script: &str) -> Result<ScriptRow, Failure> {
    let row = call.engine().script(account, script).await.map_err(engine)?;
    row.ok_or_else(|| {
        Failure::new(
            ApiError::ScriptNotFound,
            format!("script \"{script}\" does not exist"),
        )
    })
}

/// Bindings and compatibility of the deployed version.
pub(super) async fn deployed_metadata(
    call: &Call,
    row: &ScriptRow,
) -> Result<Option<ScriptMetadata>, Failure> {
    match &row.deployed {
        Some((version, _)) => call
            .engine()
            .script_metadata(version)
            .await
            .map(Some)
            .map_err(engine),
        None => Ok(None),
    }
}

async fn service(call: &Call, account: &str, script: &str) -> Answer {
    let row = call.engine().script(account, script).await.map_err(engine)?;
    let row = row.ok_or_else(|| {
        Failure::new(
            ApiError::ServiceNotFound,
            format!("script \"{script}\" does not exist; deploy it first"),
        )
    })?;
    let (created_on, modified_on) = (words::time(row.created_at), words::time(row.modified_at));
    let etag = row.deployed.map(|(version, _)| version).unwrap_or_default();
    done(json!({
        "id": script,
        "default_environment": {
            "environment": "production",
            "created_on": created_on,
            "modified_on": modified_on,
            "script": {
                "id": script,
                "tag": script,
                "tags": [],
                "etag": etag,
                "handlers": ["fetch"],
                "created_on": created_on,
                "modified_on": modified_on,
                "last_deployed_from": "wrangler",
            },
        },
        "created_on": created_on,
        "modified_on": modified_on,
        "environments": [{ "environment": "production", "created_on": created_on, "modified_on": modified_on }],
    }))
}

async fn worker(call: &Call, account: &str, script: &str) -> Answer {
    let row = existing(call, account, script).await?;
    done(WorkerInfo {
        id: script.into(),
        name: script.into(),
        created_on: words::time(row.created_at),
        updated_on: words::time(row.modified_at),
        subdomain: script_subdomain(&call.app, script),
    })
}

fn script_subdomain(app: &App, script: &str) -> ScriptSubdomain {
    let port = app.address.port();
    ScriptSubdomain {
        enabled: true,
        previews_enabled: false,
        url: Some(format!("http://{script}.localhost:{port}/")),
    }
}

async fn secrets(call: &Call, account: &str, script: &str) -> Answer {
    let row = existing(call, account, script).await?;
    let metadata = deployed_metadata(call, &row).await?;
    let bindings = metadata.map(|metadata| metadata.bindings).unwrap_or_default();
    let secrets = bindings.into_iter().filter_map(|binding| match binding {
        ScriptBinding::SecretText { name, .. } => Some(Secret {
            name,
            kind: "secret_text".into(),
        }),
        _ => None,
    });
    done(secrets.collect::<Vec<_>>())
}

async fn settings(call: &Call, account: &str, script: &str) -> Answer {
    let row = existing(call, account, script).await?;
    let metadata = deployed_metadata(call, &row).await?;
    let Some(metadata) = metadata else {
        return done(json!({ "bindings": [], "tags": [] }));
    };
    done(json!({
        "bindings": metadata.bindings.iter().map(shown_binding).collect::<Vec<_>>(),
        "compatibility_date": metadata.compatibility_date,
        "compatibility_flags": metadata.compatibility_flags,
        "usage_model": "standard",
        "tags": [],
    }))
}

/// A binding as clients see it: secrets without their text.
pub(super) fn shown_binding(binding: &ScriptBinding) -> Json {
    match binding {
        ScriptBinding::PlainText { name, text } => {
            json!({ "type": "plain_text", "name": name, "text": text })
        }
        ScriptBinding::SecretText { name, .. } => json!({ "type": "secret_text", "name": name }),
        ScriptBinding::Json { name, json: text } => {
            let value: Json = serde_json::from_str(text).unwrap_or(Json::Null);
            json!({ "type": "json", "name": name, "json": value })
        }
        ScriptBinding::DataBlob { name, .. } => json!({ "type": "data_blob", "name": name }),
        ScriptBinding::WasmModule { name, .. } => json!({ "type": "wasm_module", "name": name }),
        ScriptBinding::Workflow {
            name,
            workflow_name,
            class_name,
            script_name,
        } => {
            let mut shown = json!({ "type": "workflow", "name": name, "workflow_name": workflow_name });
            for (key, value) in [("class_name", class_name), ("script_name", script_name)] {
                if let Some(value) = value {
                    shown[key] = json!(value);
                }
            }
            shown
        }
    }
}

async fn script_settings(call: &Call, account: &str, script: &str) -> Answer {
    existing(call, account, script).await?;
    done(json!({ "logpush": false, "tail_consumers": [], "observability": { "enabled": false }, "tags": [] }))
}

/// Settings beside versions: nothing of them has an effect here, except consumers that would miss what they wait for.
async fn patch_script_settings(call: &Call, body: Body, (account, script): (&str, &str)) -> Answer {
    #[derive(Deserialize)]
    struct Patch {
        #[serde(default)]
        tail_consumers: Option<Vec<Json>>,
    }
    existing(call, account, script).await?;
    let patch: Patch = body::json(body, &call.app.limits).await?;
    if patch
        .tail_consumers
        .is_some_and(|consumers| !consumers.is_empty())
    {
        return Err(Failure::new(
            ApiError::NotSupported,
            "tail consumers are not available; remove tail_consumers",
        ));
    }
    done(json!({ "logpush": false, "tail_consumers": [], "observability": { "enabled": false }, "tags": [] }))
}

/// Cron triggers of the Worker itself: refused, as its `scheduled` handler would never be called.
async fn put_schedules(call: &Call, body: Body, (account, script): (&str, &str)) -> Answer {
    existing(call, account, script).await?;
    let schedules: Json = body::json(body, &call.app.limits).await?;
    let list = schedules.get("schedules").unwrap_or(&schedules).as_array();
    match list {
        Some(list) if list.is_empty() => done(json!({ "schedules": [] })),
        Some(_) => Err(Failure::new(
            ApiError::NotSupported,
            "cron triggers of a Worker are not available: its scheduled handler would never be called; remove triggers.crons",
        )),
        None => Err(bad(
            "the body is not a list of schedules such as [{\"cron\":\"0 * * * *\"}]",
        )),
    }
}

/// Event triggers: refused, as the events they wait for come from products that Cairn does not have.
async fn put_triggers(call: &Call, body: Body, script: &str) -> Answer {
    #[derive(Deserialize)]
    struct Trigger {
        #[serde(rename = "type")]
        event: String,
    }
    let triggers: Vec<Trigger> = body::json(body, &call.app.limits).await?;
    match triggers.first() {
        None => done(json!({ "script_name": script, "triggers": [] })),
        Some(trigger) => Err(Failure::new(
            ApiError::NotSupported,
            format!(
                "the event trigger \"{}\" is not available: no such events happen here; remove triggers.events",
                trigger.event
            ),
        )),
    }
}
