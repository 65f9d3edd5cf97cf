//! Secrets of a script: names are shown, texts never. A change makes a version that is the newest one but for its secrets, and deploys it.

use super::origin::{annotated, author, deployed_with};
use super::scripts::existing;
use super::upload;
use crate::answer::{Answer, bad, done, engine};
use crate::app::Call;
use crate::body;
use axum::body::Body;
use cairn_api::{ApiError, Failure, Secret};
use cairn_engine::{ScriptBinding, ScriptMetadata, ScriptVersionRow, SecretText, UploadedScript};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// What versions and deployments say that a change of secrets has made.
const SECRET: &str = "secret";
const SECRET_TEXT: &str = "secret_text";

/// A secret as it is sent.
#[derive(Deserialize)]
struct NewSecret {
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    text: Option<String>,
}

impl NewSecret {
    /// Its text, when it is one that can be kept.
    fn text(self, name: &str) -> Result<String, Failure> {
        match self.kind.as_deref() {
            None | Some(SECRET_TEXT) => {}
            Some(other) => {
                return Err(Failure::new(
                    ApiError::NotSupported,
                    format!(
                        "the secret \"{name}\" has the type \"{other}\"; only {SECRET_TEXT} is available"
                    ),
                ));
            }
        }
        self.text
            .ok_or_else(|| bad(format!("the secret \"{name}\" has no \"text\"")))
    }
}

/// New texts by name; none where a secret goes.
type Changes = BTreeMap<String, Option<String>>;

/// Names of the secrets of a version.
fn names(row: &ScriptVersionRow) -> Result<Vec<Secret>, Failure> {
    let metadata = ScriptMetadata::from_stored(&row.metadata).map_err(engine)?;
    let secrets = metadata.bindings.into_iter().filter_map(|binding| match binding {
        ScriptBinding::SecretText { name, .. } => Some(secret(name)),
        _ => None,
    });
    Ok(secrets.collect())
}

fn secret(name: String) -> Secret {
    Secret {
        name,
        kind: SECRET_TEXT.into(),
    }
}

/// The secrets of the deployed version; of the newest, when none is deployed.
async fn current(call: &Call, account: &str, script: &str) -> Result<Vec<Secret>, Failure> {
    let row = existing(call, account, script).await?;
    let versions = call
        .engine()
        .script_versions(account, script)
        .await
        .map_err(engine)?;
    let deployed = row.deployed.map(|(version, _)| version);
    let shown = match &deployed {
        Some(deployed) => versions.iter().find(|version| version.id == *deployed),
        None => versions.first(),
    };
    shown.map_or_else(|| Ok(Vec::new()), names)
}

/// `GET …/secrets`
pub(super) async fn list(call: &Call, account: &str, script: &str) -> Answer {
    done(current(call, account, script).await?)
}

/// `GET …/secrets/:name`
pub(super) async fn one(call: &Call, (account, script): (&str, &str), name: &str) -> Answer {
    let secrets = current(call, account, script).await?;
    let found = secrets.into_iter().find(|secret| secret.name == name);
    done(found.ok_or_else(|| not_found(name))?)
}

fn not_found(name: &str) -> Failure {
    Failure::new(
        ApiError::SecretNotFound,
        format!("the script has no secret \"{name}\""),
    )
}

/// `PUT …/secrets`
pub(super) async fn put(call: &Call, body: Body, (account, script): (&str, &str)) -> Answer {
    existing(call, account, script).await?;
    let mut asked: NewSecret = body::json(body, &call.app.limits).await?;
    let name = asked.name.take().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| bad("the secret has no \"name\""))?;
    let text = asked.text(&name)?;
    let changes = BTreeMap::from([(name.clone(), Some(text))]);
    call.remarks.detail(format!("secret {name}"));
    deploy_changes(call, (account, script), changes).await?;
    done(secret(name))
}

/// `DELETE …/secrets/:name`
pub(super) async fn delete(call: &Call, (account, script): (&str, &str), name: &str) -> Answer {
    let secrets = current(call, account, script).await?;
    if secrets.iter().all(|secret| secret.name != name) {
        return Err(not_found(name));
    }
    let changes = BTreeMap::from([(name.to_owned(), None)]);
    call.remarks.detail(format!("secret {name}"));
    deploy_changes(call, (account, script), changes).await?;
    done(Json::Null)
}

/// `PATCH …/secrets-bulk`: a merge patch, null removes.
pub(super) async fn bulk(call: &Call, body: Body, (account, script): (&str, &str)) -> Answer {
    #[derive(Deserialize)]
    struct Bulk {
        secrets: BTreeMap<String, Option<NewSecret>>,
    }
    existing(call, account, script).await?;
    let asked: Bulk = body::json(body, &call.app.limits).await?;
    let changes = changes(asked.secrets)?;
    call.remarks.detail(format!("{} secrets", changes.len()));
    if !changes.is_empty() {
        deploy_changes(call, (account, script), changes).await?;
    }
    let secrets = current(call, account, script).await?;
    let by_name = secrets
        .into_iter()
        .map(|secret| (secret.name.clone(), json!(secret)));
    done(json!({ "secrets": by_name.collect::<serde_json::Map<String, Json>>() }))
}

fn changes(asked: BTreeMap<String, Option<NewSecret>>) -> Result<Changes, Failure> {
    let change = |(name, secret): (String, Option<NewSecret>)| {
        if name.is_empty() {
            return Err(bad("a secret has an empty name"));
        }
        let text = secret.map(|secret| secret.text(&name)).transpose()?;
        Ok((name, text))
    };
    asked.into_iter().map(change).collect()
}

/// `PATCH …/workers/:s/versions/latest`: a version with other secrets that is not deployed (`wrangler versions secret`).
pub(super) async fn patch_latest(call: &Call, body: Body, (account, script): (&str, &str)) -> Answer {
    #[derive(Deserialize)]
    struct Patch {
        #[serde(default)]
        env: BTreeMap<String, Option<NewSecret>>,
        #[serde(default)]
        annotations: Option<Json>,
    }
    existing(call, account, script).await?;
    let asked: Patch = body::json(body, &call.app.limits).await?;
    let changes = changes(asked.env)?;
    let annotations = asked.annotations.map(|annotations| annotations.to_string());
    let annotations = annotated(annotations.as_deref(), SECRET)?;
    let _changing = call.engine().lock_script(account, script).await;
    let latest = call
        .engine()
        .latest_version(account, script)
        .await
        .map_err(engine)?;
    let latest = latest.ok_or_else(|| {
        Failure::new(
            ApiError::NoVersions,
            format!("script \"{script}\" has no version; upload one first"),
        )
    })?;
    let made = changed(call, (account, script), (&latest.id, changes, annotations)).await?;
    call.remarks.detail(format!("version {}", made.version));
    upload::shown(call, (account, script), &made).await
}

/// Changes secrets at once. What is deployed must be the newest version: else a version would be deployed that nobody asked for.
async fn deploy_changes(
    call: &Call,
    (account, script): (&str, &str),
    changes: Changes,
) -> Result<(), Failure> {
    let cairn = call.engine();
    let _changing = cairn.lock_script(account, script).await;
    let deployed = newest_deployed(call, (account, script), ApiError::LatestNotDeployed).await?;
    let annotations = annotated(None, SECRET)?;
    let made = changed(call, (account, script), (&deployed, changes, annotations.clone())).await?;
    let origin = deployed_with(call, Some(&annotations))?;
    let version = (made.version.as_str(), &origin);
    cairn.deploy(account, script, version).await.map_err(engine)?;
    Ok(())
}

/// The deployed version, which must be the newest one.
pub(super) async fn newest_deployed(
    call: &Call,
    (account, script): (&str, &str),
    otherwise: ApiError,
) -> Result<String, Failure> {
    let row = existing(call, account, script).await?;
    let latest = call
        .engine()
        .latest_version(account, script)
        .await
        .map_err(engine)?;
    match (row.deployed, latest) {
        (Some((deployed, _)), Some(latest)) if deployed == latest.id => Ok(deployed),
        (deployed, latest) => {
            let named = |id: Option<String>| id.map_or("none".into(), |id| format!("\"{id}\""));
            let (deployed, latest) = (deployed.map(|(id, _)| id), latest.map(|row| row.id));
            Err(Failure::new(
                otherwise,
                format!(
                    "the newest version of \"{script}\" ({}) is not the deployed one ({}): deploy it first, or change secrets \
                     without deploying them (wrangler versions secret)",
                    named(latest),
                    named(deployed)
                ),
            ))
        }
    }
}

/// A version that differs from `base` in its secrets alone.
async fn changed(
    call: &Call,
    (account, script): (&str, &str),
    (base, changes, annotations): (&str, Changes, String),
) -> Result<UploadedScript, Failure> {
    let cairn = call.engine();
    let mut upload = cairn.upload_of(base).await.map_err(engine)?;
    upload.annotations = Some(annotations);
    for (name, text) in changes {
        let same = upload.bindings.iter().position(|binding| binding.name() == name);
        if let Some(place) = same {
            if !matches!(upload.bindings[place], ScriptBinding::SecretText { .. }) {
                return Err(Failure::new(
                    ApiError::ScriptInvalid,
                    format!(
                        "the script has a binding \"{name}\" already, which is no secret; take it out of the configuration first"
                    ),
                ));
            }
            upload.bindings.remove(place);
        }
        if let Some(text) = text {
            upload.bindings.push(ScriptBinding::SecretText {
                name,
                text: SecretText::Plain(text),
            });
        }
    }
    let made = cairn.upload_script_by((account, script), upload, author(call));
    made.await.map_err(engine)
}
