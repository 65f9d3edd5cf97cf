//! Versions of a script, and its deployments.

use super::origin::{annotated, deployed_with};
use super::scripts::{existing, shown_binding};
use super::words;
use crate::answer::{Answer, bad, done, engine, page};
use crate::app::Call;
use crate::body;
use axum::body::Body;
use cairn_api::{
    ApiError, DeploymentRequest, DeploymentVersion, Deployments, Failure, OffsetPage, ScriptVersion,
    ScriptVersionList, VersionMetadata, VersionResources, VersionScript,
};
use cairn_engine::{
    Author, Deployment, EngineError, ScriptBinding, ScriptMetadata, ScriptVersionRow, SecretText,
};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// Versions on a page where the request does not say.
const PER_PAGE: u64 = 50;
/// Deployments that are shown.
const SHOWN: usize = 100;
/// What a deployment of a version says that was deployed before.
const ROLLBACK: &str = "rollback";
/// A version with this source came before sources were kept.
const FIRST_SOURCE: &str = "wrangler";

/// `GET …/versions`: those that can be deployed all at once, as all of them can; otherwise by pages.
pub(super) async fn versions(call: &Call, account: &str, script: &str) -> Answer {
    existing(call, account, script).await?;
    let deployable = call
        .query
        .word("deployable", &[("true", true), ("false", false)])?;
    let asked: OffsetPage = call.query.offset_page(PER_PAGE)?;
    let rows = call
        .engine()
        .script_versions(account, script)
        .await
        .map_err(engine)?;
    let items: Result<Vec<ScriptVersion>, Failure> = rows.into_iter().map(shown).collect();
    let items = items?;
    if deployable == Some(true) {
        return done(ScriptVersionList { items });
    }
    let total = items.len() as u64;
    let skipped = usize::try_from(asked.offset()).unwrap_or(usize::MAX);
    let taken = usize::try_from(asked.per_page).unwrap_or(usize::MAX);
    let items: Vec<ScriptVersion> = items.into_iter().skip(skipped).take(taken).collect();
    let info = asked.info(items.len(), total);
    page(ScriptVersionList { items }, info)
}

/// `GET …/versions/:id`
pub(super) async fn version(call: &Call, account: &str, (script, id): (&str, &str)) -> Answer {
    done(find(call, (account, script), id).await?)
}

/// A version of a script, as clients see it.
pub(super) async fn find(
    call: &Call,
    (account, script): (&str, &str),
    id: &str,
) -> Result<ScriptVersion, Failure> {
    existing(call, account, script).await?;
    let rows = call
        .engine()
        .script_versions(account, script)
        .await
        .map_err(engine)?;
    let row = rows.into_iter().find(|row| row.id == id);
    shown(row.ok_or_else(|| engine(EngineError::VersionNotFound(id.into())))?)
}

/// A version as clients see it.
fn shown(row: ScriptVersionRow) -> Result<ScriptVersion, Failure> {
    let metadata = ScriptMetadata::from_stored(&row.metadata).map_err(engine)?;
    let created_on = words::time(row.created_at);
    let Author { source, id, email } = known(metadata.author.clone());
    Ok(ScriptVersion {
        number: row.number,
        metadata: VersionMetadata {
            created_on,
            modified_on: created_on,
            source: source.clone(),
            author_id: id,
            author_email: email,
        },
        annotations: annotations(&metadata),
        resources: VersionResources {
            bindings: metadata.bindings.iter().map(shown_binding).collect(),
            script: VersionScript {
                etag: row.id.clone(),
                handlers: handlers(&metadata),
                last_deployed_from: source,
            },
            script_runtime: json!({
                "compatibility_date": metadata.compatibility_date,
                "compatibility_flags": metadata.compatibility_flags,
                "usage_model": "standard",
            }),
        },
        startup_time_ms: None,
        id: row.id,
    })
}

/// An author; of what came before authors were kept, wrangler.
pub(super) fn known(author: Author) -> Author {
    if author.source.is_empty() {
        return Author {
            source: FIRST_SOURCE.into(),
            ..author
        };
    }
    author
}

/// Kinds of entry points: a default export is taken to have `fetch`.
pub(super) fn handlers(metadata: &ScriptMetadata) -> Vec<String> {
    let answers = metadata.exports.iter().any(|export| export == "default");
    if answers { vec!["fetch".into()] } else { Vec::new() }
}

fn annotations(metadata: &ScriptMetadata) -> Json {
    let text = metadata.annotations.as_deref().unwrap_or("{}");
    serde_json::from_str(text).unwrap_or_else(|_| json!({}))
}

/// `GET …/deployments`: newest first.
pub(super) async fn list(call: &Call, account: &str, script: &str) -> Answer {
    existing(call, account, script).await?;
    let deployments = call.engine().deployments(account, script).await.map_err(engine)?;
    done(Deployments {
        deployments: deployments.into_iter().take(SHOWN).map(deployment).collect(),
    })
}

/// `GET …/deployments/:id`
pub(super) async fn one(call: &Call, (account, script): (&str, &str), id: &str) -> Answer {
    existing(call, account, script).await?;
    let deployments = call.engine().deployments(account, script).await.map_err(engine)?;
    let found = deployments.into_iter().find(|deployment| deployment.id == id);
    done(deployment(found.ok_or_else(|| no_deployment(id))?))
}

/// `DELETE …/deployments/:id`
pub(super) async fn delete(call: &Call, (account, script): (&str, &str), id: &str) -> Answer {
    existing(call, account, script).await?;
    let _changing = call.engine().lock_script(account, script).await;
    let forgotten = call.engine().forget_deployment(account, script, id).await;
    if forgotten.map_err(engine)? {
        done(Json::Null)
    } else {
        Err(no_deployment(id))
    }
}

fn no_deployment(id: &str) -> Failure {
    Failure::new(
        ApiError::VersionNotFound,
        format!("the script has no deployment \"{id}\""),
    )
}

fn deployment(row: Deployment) -> cairn_api::Deployment {
    let author = known(row.origin.author);
    let annotations = row.origin.annotations.as_ref().map(|raw| raw.get());
    cairn_api::Deployment {
        id: row.id,
        source: author.source,
        strategy: "percentage".into(),
        author_email: author.email,
        created_on: words::time(row.at),
        annotations: serde_json::from_str(annotations.unwrap_or("{}")).unwrap_or_else(|_| json!({})),
        versions: vec![DeploymentVersion {
            version_id: row.version,
            percentage: 100.0,
        }],
    }
}

/// `POST …/deployments`
pub(super) async fn create(call: &Call, body: Body, (account, script): (&str, &str)) -> Answer {
    existing(call, account, script).await?;
    let asked: DeploymentRequest = body::json(body, &call.app.limits).await?;
    let version = only_version(&asked)?.to_owned();
    let forced = call.query.word("force", &[("true", true), ("false", false)])? == Some(true);
    let cairn = call.engine();
    let _changing = cairn.lock_script(account, script).await;
    let row = existing(call, account, script).await?;
    if let Some((deployed, _)) = &row.deployed
        && !forced
    {
        refuse_changed_secrets(call, (account, script), (deployed, &version)).await?;
    }
    let earlier = cairn.deployments(account, script).await.map_err(engine)?;
    let newest = earlier.first().is_some_and(|newest| newest.version == version);
    let was_deployed = earlier.iter().any(|deployment| deployment.version == version);
    let mut annotations = asked.annotations.map(|annotations| annotations.to_string());
    if was_deployed && !newest {
        annotations = Some(annotated(annotations.as_deref(), ROLLBACK)?);
    }
    let origin = deployed_with(call, annotations.as_deref())?;
    let made = cairn.deploy(account, script, (&version, &origin)).await;
    call.remarks.detail(format!("version {version}"));
    done(deployment(made.map_err(engine)?))
}

/// The one version that is to have all requests.
fn only_version(asked: &DeploymentRequest) -> Result<&str, Failure> {
    let [version] = asked.versions.as_slice() else {
        let count = asked.versions.len();
        return Err(match count {
            0 => bad("versions is empty; it must name one version"),
            _ => Failure::new(
                ApiError::NotSupported,
                format!(
                    "{count} versions were given; traffic cannot be split, deploy one version at 100 percent"
                ),
            ),
        });
    };
    if (version.percentage - 100.0).abs() > f64::EPSILON {
        return Err(bad(format!(
            "percentage is {}; the one version must have 100",
            version.percentage
        )));
    }
    Ok(&version.version_id)
}

/// Going back to a version brings its secrets back, which may have been changed for a reason.
async fn refuse_changed_secrets(
    call: &Call,
    (account, script): (&str, &str),
    (deployed, asked): (&str, &str),
) -> Result<(), Failure> {
    let versions = call
        .engine()
        .script_versions(account, script)
        .await
        .map_err(engine)?;
    let number = |id: &str| versions.iter().find(|row| row.id == id).map(|row| row.number);
    if number(asked) >= number(deployed) || number(asked).is_none() {
        return Ok(());
    }
    let (now, then) = (secrets(call, deployed).await?, secrets(call, asked).await?);
    let names: BTreeSet<&String> = now.keys().chain(then.keys()).collect();
    let changed = names.into_iter().filter(|name| now.get(*name) != then.get(*name));
    let changed: Vec<&str> = changed.map(String::as_str).collect();
    if changed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        ApiError::SecretsChanged,
        format!(
            "Version {asked} has other secrets than the deployed one; send ?force=true to deploy it all the same. \
             The following secrets have changed: {}",
            changed.join(", ")
        ),
    ))
}

async fn secrets(call: &Call, version: &str) -> Result<BTreeMap<String, SecretText>, Failure> {
    let bindings = call.engine().bindings_of(version).await.map_err(engine)?;
    let secrets = bindings.into_iter().filter_map(|binding| match binding {
        ScriptBinding::SecretText { name, text } => Some((name, text)),
        _ => None,
    });
    Ok(secrets.collect())
}
