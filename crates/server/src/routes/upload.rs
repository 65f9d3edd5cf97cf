//! Uploading a script: with and without deploying it.

use super::scripts::{deployed_metadata, existing};
use super::{deployments, words};
use crate::answer::{Answer, done, engine};
use crate::app::Call;
use crate::upload::{self, Plan};
use axum::body::Body;
use cairn_api::{ApiError, Failure, ScriptUploaded};
use cairn_engine::{PutWorkflow, UploadedScript, check_workflow_name};

/// Longest name of a script: it is a part of a host name.
const NAME_MAX: usize = 63;

/// `PUT …/scripts/:s`: uploads and deploys.
pub(super) async fn put(call: &Call, body: Body, (account, script): (&str, &str)) -> Answer {
    let (uploaded, workflows) = keep(call, body, (account, script), Same::Reuse).await?;
    let cairn = call.engine();
    cairn
        .deploy_version(account, script, &uploaded.version)
        .await
        .map_err(engine)?;
    for (name, put) in workflows {
        cairn.put_workflow(account, &name, put).await.map_err(engine)?;
    }
    let row = existing(call, account, script).await?;
    done(ScriptUploaded {
        id: script.into(),
        etag: uploaded.version.clone(),
        deployment_id: uploaded.version,
        created_on: words::time(row.created_at),
        modified_on: words::time(row.modified_at),
        startup_time_ms: uploaded.startup_millis,
        handlers: if uploaded.has_default_export {
            vec!["fetch".into()]
        } else {
            Vec::new()
        },
        workflow_classes: uploaded.workflow_classes,
    })
}

/// `POST …/versions`: uploads, for a deployment to come. Workflows of `exports` are left to what follows: wrangler puts them itself.
pub(super) async fn version(call: &Call, body: Body, (account, script): (&str, &str)) -> Answer {
    let (uploaded, _) = keep(call, body, (account, script), Same::Keep).await?;
    let rows = call
        .engine()
        .script_versions(account, script)
        .await
        .map_err(engine)?;
    let row = rows.into_iter().find(|row| row.id == uploaded.version);
    let row =
        row.ok_or_else(|| Failure::new(ApiError::ScriptNotFound, format!("script \"{script}\" is gone")))?;
    let mut version = deployments::shown(row)?;
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

/// Reads an upload, checks that it runs, and keeps it. What is refused changes nothing.
async fn keep(
    call: &Call,
    body: Body,
    (account, script): (&str, &str),
    same: Same,
) -> Result<(UploadedScript, Vec<(String, PutWorkflow)>), Failure> {
    check_script_name(script)?;
    let form = upload::read(&call.headers, body, &call.app.limits).await?;
    let earlier = match call.engine().script(account, script).await.map_err(engine)? {
        Some(row) => deployed_metadata(call, &row).await?,
        None => None,
    };
    let Plan { upload, workflows } = upload::plan(form, earlier)?;
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
    if same == Same::Reuse {
        let unchanged = call.engine().unchanged(account, script, &upload).await;
        if let Some(uploaded) = unchanged.map_err(engine)? {
            return Ok((uploaded, puts));
        }
    }
    let uploaded = call
        .engine()
        .upload_script(account, script, upload)
        .await
        .map_err(engine)?;
    Ok((uploaded, puts))
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
