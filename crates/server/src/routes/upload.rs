//! Uploading a script: with and without deploying it.

use super::origin::{annotated, author, deployed_with};
use super::scripts::existing;
use super::{deployments, words};
use crate::answer::{Answer, done, engine};
use crate::app::Call;
use crate::upload::{self, Plan};
use axum::body::Body;
use cairn_api::{ApiError, Failure, ScriptUploaded};
use cairn_engine::{PutWorkflow, Upload, UploadedScript, check_workflow_name};
use tokio::sync::OwnedMutexGuard;

/// Longest name of a script: it is a part of a host name.
const NAME_MAX: usize = 63;
/// What versions and deployments of an upload say of how they came about.
const UPLOAD: &str = "upload";

/// `PUT …/scripts/:s`: uploads and deploys.
pub(super) async fn put(call: &Call, body: Body, (account, script): (&str, &str)) -> Answer {
    let (uploaded, workflows) = keep(call, body, (account, script), Same::Reuse).await?;
    let cairn = call.engine();
    let deployed = cairn.script(account, script).await.map_err(engine)?;
    let deployed = deployed.and_then(|row| row.deployed);
    if deployed.is_none_or(|(version, _)| version != uploaded.version) {
        let origin = deployed_with(call, uploaded.annotations.as_deref())?;
        let version = (uploaded.version.as_str(), &origin);
        cairn.deploy(account, script, version).await.map_err(engine)?;
    }
    for (name, put) in workflows {
        cairn.put_workflow(account, &name, put).await.map_err(engine)?;
    }
    let row = existing(call, account, script).await?;
    call.remarks.detail(format!("version {}", uploaded.version));
    done(ScriptUploaded {
        id: script.into(),
        etag: uploaded.version.clone(),
        deployment_id: uploaded.version.clone(),
        created_on: words::time(row.created_at),
        modified_on: words::time(row.modified_at),
        startup_time_ms: uploaded.script.startup_millis,
        handlers: if uploaded.script.has_default_export {
            vec!["fetch".into()]
        } else {
            Vec::new()
        },
        workflow_classes: uploaded.script.workflow_classes,
    })
}

/// `POST …/versions`: uploads, for a deployment to come. Workflows of `exports` are left to what follows: wrangler puts them itself.
pub(super) async fn version(call: &Call, body: Body, (account, script): (&str, &str)) -> Answer {
    let (uploaded, _) = keep(call, body, (account, script), Same::Keep).await?;
    call.remarks.detail(format!("version {}", uploaded.version));
    shown(call, (account, script), &uploaded.script).await
}

/// A version that was made just now, as clients see it.
pub(super) async fn shown(call: &Call, (account, script): (&str, &str), uploaded: &UploadedScript) -> Answer {
    let mut version = deployments::find(call, (account, script), &uploaded.version).await?;
    version.startup_time_ms = Some(uploaded.startup_millis);
    done(version)
}

/// What becomes of an upload that is the same as the deployed version.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Same {
    /// That version does.
    Reuse,
    /// It is a version of its own.
    Keep,
}

/// What was kept, or was there already.
struct Kept {
    version: String,
    script: UploadedScript,
    annotations: Option<String>,
    /// Nobody else changes the script before this one is deployed.
    _changing: OwnedMutexGuard<()>,
}

/// Reads an upload, checks that it runs, and keeps it. What is refused changes nothing.
async fn keep(
    call: &Call,
    body: Body,
    (account, script): (&str, &str),
    same: Same,
) -> Result<(Kept, Vec<(String, PutWorkflow)>), Failure> {
    check_script_name(script)?;
    let form = upload::read(&call.headers, body, &call.app.limits).await?;
    let cairn = call.engine();
    let changing = cairn.lock_script(account, script).await;
    let earlier = cairn.latest_bindings(account, script).await.map_err(engine)?;
    let Plan {
        mut upload,
        workflows,
    } = upload::plan(form, earlier)?;
    upload.annotations = Some(annotated(upload.annotations.as_deref(), UPLOAD)?);
    let mut puts = Vec::with_capacity(workflows.len());
    for (class, export) in workflows {
        let name = export.name.clone();
        check_workflow_name(&name).map_err(|reason| {
            Failure::new(
                ApiError::ScriptInvalid,
                format!("exports.{class} has the name \"{name}\": {reason}"),
            )
        })?;
        puts.push((name, export.put(script, &class)?));
    }
    let annotations = upload.annotations.clone();
    let script = match reusable(call, (account, script), &upload, same).await? {
        Some(unchanged) => unchanged,
        None => cairn
            .upload_script_by((account, script), upload, author(call))
            .await
            .map_err(engine)?,
    };
    let kept = Kept {
        version: script.version.clone(),
        script,
        annotations,
        _changing: changing,
    };
    Ok((kept, puts))
}

async fn reusable(
    call: &Call,
    (account, script): (&str, &str),
    upload: &Upload,
    same: Same,
) -> Result<Option<UploadedScript>, Failure> {
    match same {
        Same::Keep => Ok(None),
        Same::Reuse => call
            .engine()
            .unchanged(account, script, upload)
            .await
            .map_err(engine),
    }
}

fn check_script_name(script: &str) -> Result<(), Failure> {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    if script.len() <= NAME_MAX && script.bytes().all(allowed) && !script.starts_with('-') {
        return Ok(());
    }
    Err(Failure::new(
        ApiError::ScriptInvalid,
        format!(
            "the script name \"{script}\" is invalid: it has 1 to {NAME_MAX} letters, digits, '-' and '_' and does not start with '-'"
        ),
    ))
}
