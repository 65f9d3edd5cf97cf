//! Versions of a script and the one that is deployed.

use super::scripts::{existing, shown_binding};
use super::words;
use crate::answer::{Answer, bad, done, engine};
use crate::app::Call;
use crate::body;
use axum::body::Body;
use cairn_api::{
    ApiError, Deployment, DeploymentRequest, DeploymentVersion, Deployments, Failure, ScriptVersion,
    ScriptVersionList, VersionMetadata, VersionResources, VersionScript,
};
use cairn_engine::{EngineError, ScriptMetadata, ScriptVersionRow, Timestamp};
use serde_json::{Value as Json, json};

/// `GET …/versions`
pub(super) async fn versions(call: &Call, account: &str, script: &str) -> Answer {
    existing(call, account, script).await?;
    let rows = call
        .engine()
        .script_versions(account, script)
        .await
        .map_err(engine)?;
    let items: Result<Vec<ScriptVersion>, Failure> = rows.into_iter().map(shown).collect();
    done(ScriptVersionList { items: items? })
}

/// `GET …/versions/:id`
pub(super) async fn version(call: &Call, account: &str, (script, id): (&str, &str)) -> Answer {
    existing(call, account, script).await?;
    let rows = call
        .engine()
        .script_versions(account, script)
        .await
        .map_err(engine)?;
    let row = rows.into_iter().find(|row| row.id == id);
    done(shown(
        row.ok_or_else(|| engine(EngineError::VersionNotFound(id.into())))?,
    )?)
}

/// A version as clients see it.
pub(super) fn shown(row: ScriptVersionRow) -> Result<ScriptVersion, Failure> {
    let metadata = ScriptMetadata::from_stored(&row.metadata).map_err(engine)?;
    let created_on = words::time(row.created_at);
    Ok(ScriptVersion {
        number: row.number,
        metadata: VersionMetadata {
            created_on,
            modified_on: created_on,
            source: "wrangler".into(),
            author_id: String::new(),
            author_email: String::new(),
        },
        annotations: annotations(&metadata),
        resources: VersionResources {
            bindings: metadata.bindings.iter().map(shown_binding).collect(),
            script: VersionScript {
                etag: row.id.clone(),
                handlers: handlers(&metadata),
                last_deployed_from: "wrangler".into(),
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

/// Kinds of entry points: a default export is taken to have `fetch`.
fn handlers(metadata: &ScriptMetadata) -> Vec<String> {
    let answers = metadata.exports.iter().any(|export| export == "default");
    if answers { vec!["fetch".into()] } else { Vec::new() }
}

fn annotations(metadata: &ScriptMetadata) -> Json {
    let text = metadata.annotations.as_deref().unwrap_or("{}");
    serde_json::from_str(text).unwrap_or_else(|_| json!({}))
}

/// `GET …/deployments`: the current one.
pub(super) async fn list(call: &Call, account: &str, script: &str) -> Answer {
    let row = existing(call, account, script).await?;
    let deployments = match row.deployed {
        Some((version, at)) => {
            let metadata = call.engine().script_metadata(&version).await.map_err(engine)?;
            vec![deployment(version, at, annotations(&metadata))]
        }
        None => Vec::new(),
    };
    done(Deployments { deployments })
}

fn deployment(version: String, at: Timestamp, annotations: Json) -> Deployment {
    Deployment {
        // Deployments have no life of their own here: a version is deployed or it is not.
        id: version.clone(),
        source: "wrangler".into(),
        strategy: "percentage".into(),
        author_email: String::new(),
        created_on: words::time(at),
        annotations,
        versions: vec![DeploymentVersion {
            version_id: version,
            percentage: 100.0,
        }],
    }
}

/// `POST …/deployments`
pub(super) async fn create(call: &Call, body: Body, (account, script): (&str, &str)) -> Answer {
    existing(call, account, script).await?;
    let asked: DeploymentRequest = body::json(body, &call.app.limits).await?;
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
    let cairn = &call.app.engine;
    cairn
        .deploy_version(account, script, &version.version_id)
        .await
        .map_err(engine)?;
    let at = cairn
        .script(account, script)
        .await
        .map_err(engine)?
        .and_then(|row| row.deployed)
        .map(|(_, at)| at);
    let at =
        at.ok_or_else(|| Failure::new(ApiError::ScriptNotFound, format!("script \"{script}\" is gone")))?;
    done(deployment(
        version.version_id.clone(),
        at,
        asked.annotations.unwrap_or_else(|| json!({})),
    ))
}
