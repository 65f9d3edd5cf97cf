//! `…/workers/…` and `…/triggers/…`: what wrangler reads and writes around an upload (behaviour §8).

use super::{deployments, script_crons, script_list, script_settings, secrets, tails, triggers, upload};
use crate::answer::{Answer, done, engine, page};
use crate::app::Call;
use crate::route::ScriptRoute;
use axum::body::Body;
use axum::http::Method;
use cairn_api::{Account, ApiError, Failure, OffsetPage, PER_PAGE_MAX};
use cairn_engine::{ScriptBinding, ScriptMetadata, ScriptRow};
use serde_json::{Value as Json, json};

pub(crate) async fn handle(call: &Call, body: Body, (account, route): (&str, ScriptRoute)) -> Answer {
    use ScriptRoute as S;
    let method = call.method.clone();
    match (route, method) {
        (S::Account, Method::GET) => done(Account {
            id: account.into(),
            name: account.into(),
        }),
        (S::Subdomain, Method::GET | Method::PUT) => {
            script_settings::account_subdomain(call, body, account).await
        }
        (S::Scripts, Method::GET) => script_list::list(call, account).await,
        (S::ScriptsSearch, Method::GET) => script_list::search(call, account).await,
        (S::Worker(script), Method::GET) => script_list::worker(call, account, &script).await,
        (S::Service(script), Method::GET) => script_list::service(call, account, &script).await,
        (S::Environment(script, part), Method::GET) => {
            script_list::of_environment(call, (account, &script), part).await
        }
        (S::Script(script) | S::Content(script), Method::GET) => {
            script_list::content(call, account, &script).await
        }
        (S::Script(script) | S::Service(script), Method::DELETE) => {
            script_list::delete(call, account, &script).await
        }
        (S::References(script), Method::GET) => script_list::references(call, account, &script).await,
        // Tail Workers, key-value stores and Durable Objects are not here, so there is none.
        (S::TailsByConsumer(_) | S::KvNamespaces | S::ObjectNamespaces, Method::GET) => none(),
        (S::Script(script), Method::PUT) => upload::put(call, body, (account, &script)).await,
        (route, _) => versioned(call, body, (account, route)).await,
    }
}

/// A list without elements, whatever page was asked for.
fn none() -> Answer {
    let asked = OffsetPage {
        page: 1,
        per_page: PER_PAGE_MAX,
    };
    page(Vec::<Json>::new(), asked.info(0, 0))
}

/// Versions, deployments, and what makes them.
async fn versioned(call: &Call, body: Body, (account, route): (&str, ScriptRoute)) -> Answer {
    use ScriptRoute as S;
    let method = call.method.clone();
    match (route, method) {
        (S::Versions(script), Method::GET) => deployments::versions(call, account, &script).await,
        (S::Versions(script), Method::POST) => upload::version(call, body, (account, &script)).await,
        (S::Version(script, id), Method::GET) => deployments::version(call, account, (&script, &id)).await,
        (S::LatestVersion(script), Method::PATCH) => {
            secrets::patch_latest(call, body, (account, &script)).await
        }
        (S::Deployments(script), Method::GET) => deployments::list(call, account, &script).await,
        (S::Deployments(script), Method::POST) => deployments::create(call, body, (account, &script)).await,
        (S::Deployment(script, id), Method::GET) => deployments::one(call, (account, &script), &id).await,
        (S::Deployment(script, id), Method::DELETE) => {
            deployments::delete(call, (account, &script), &id).await
        }
        (S::Secrets(script), Method::GET) => secrets::list(call, account, &script).await,
        (S::Secrets(script), Method::PUT) => secrets::put(call, body, (account, &script)).await,
        (S::Secret(script, name), Method::GET) => secrets::one(call, (account, &script), &name).await,
        (S::Secret(script, name), Method::DELETE) => secrets::delete(call, (account, &script), &name).await,
        (S::SecretsBulk(script), Method::PATCH) => secrets::bulk(call, body, (account, &script)).await,
        (S::Settings(script), Method::GET) => script_settings::settings(call, account, &script).await,
        (S::Settings(script), Method::PATCH) => {
            script_settings::patch_settings(call, body, (account, &script)).await
        }
        (S::ScriptSettings(script), Method::GET | Method::PATCH) => {
            script_settings::script_settings(call, body, (account, &script)).await
        }
        (S::ScriptSubdomain(script), Method::GET | Method::POST | Method::DELETE) => {
            script_settings::subdomain(call, body, (account, &script)).await
        }
        (route, _) => started(call, body, (account, route)).await,
    }
}

/// What starts a script from outside, and who watches it.
async fn started(call: &Call, body: Body, (account, route): (&str, ScriptRoute)) -> Answer {
    let method = call.method.clone();
    match (route, method) {
        (ScriptRoute::Schedules(script), Method::GET | Method::PUT) => {
            script_crons::handle(call, body, (account, &script)).await
        }
        (ScriptRoute::Triggers(script), _) => triggers::handle(call, body, (account, &script)).await,
        (ScriptRoute::Tails(script), Method::GET) => tails::list(call, account, &script).await,
        (ScriptRoute::Tails(script), Method::POST) => tails::create(call, body, (account, &script)).await,
        (ScriptRoute::Tail(script, id), Method::DELETE) => tails::delete(call, (account, &script), &id).await,
        (route, _) => Err(call.wrong_method(methods(&route))),
    }
}

fn methods(route: &ScriptRoute) -> &'static str {
    match route {
        ScriptRoute::Account
        | ScriptRoute::Worker(_)
        | ScriptRoute::Environment(..)
        | ScriptRoute::Scripts
        | ScriptRoute::ScriptsSearch
        | ScriptRoute::Content(_)
        | ScriptRoute::References(_)
        | ScriptRoute::TailsByConsumer(_)
        | ScriptRoute::KvNamespaces
        | ScriptRoute::ObjectNamespaces
        | ScriptRoute::Version(..) => "GET",
        ScriptRoute::Subdomain | ScriptRoute::Schedules(_) | ScriptRoute::Secrets(_) => "GET, PUT",
        ScriptRoute::Script(_) => "GET, PUT, DELETE",
        ScriptRoute::Service(_) | ScriptRoute::Secret(..) | ScriptRoute::Deployment(..) => "GET, DELETE",
        ScriptRoute::ScriptSettings(_) | ScriptRoute::Settings(_) => "GET, PATCH",
        ScriptRoute::SecretsBulk(_) | ScriptRoute::LatestVersion(_) => "PATCH",
        ScriptRoute::Tail(..) => "DELETE",
        ScriptRoute::Versions(_) | ScriptRoute::Deployments(_) | ScriptRoute::Tails(_) => "GET, POST",
        ScriptRoute::ScriptSubdomain(_) => "GET, POST, DELETE",
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
        ScriptBinding::Service {
            name,
            service,
            entrypoint,
            props,
        } => {
            let mut shown =
                json!({ "type": "service", "name": name, "service": service, "environment": "production" });
            if let Some(entrypoint) = entrypoint {
                shown["entrypoint"] = json!(entrypoint);
            }
            if let Some(props) = props {
                shown["props"] = serde_json::from_str(props).unwrap_or(Json::Null);
            }
            shown
        }
    }
}
