//! Commands to many instances at once.

use super::words;
use crate::answer::{Answer, bad, done, engine};
use crate::app::Call;
use crate::body;
use crate::jobs::OPEN;
use axum::body::Body;
use cairn_api::{
    ApiError, BatchDeleteRequest, BatchDeleteResult, BatchTerminateResult, DeleteError, Deleted, Failure,
    JobBegun, JobState, JobStatus, TerminateJob,
};
use cairn_engine::{EngineError, Status, check_addressable_id};
use std::collections::HashMap;

/// Most ids in one call (behaviour §1.1).
const BATCH_MAX: usize = 100;

/// Refuses the whole call when an id cannot be one (behaviour §4).
fn check_ids(ids: &[String]) -> Result<(), Failure> {
    if ids.is_empty() || ids.len() > BATCH_MAX {
        return Err(bad(format!(
            "{} instance ids were given; it must be 1 to {BATCH_MAX}",
            ids.len()
        )));
    }
    for id in ids {
        check_addressable_id(id)
            .map_err(|reason| bad(format!("instance id \"{id}\" is invalid: {reason}")))?;
    }
    Ok(())
}

/// `POST …/instances/batch/delete`: one entry of the answer for each id given, though an id that is repeated is deleted once.
pub(super) async fn delete(call: &Call, body: Body, (account, workflow): (&str, &str)) -> Answer {
    let asked: BatchDeleteRequest = body::json(body, &call.app.limits).await?;
    check_ids(&asked.instances)?;
    call.remarks.detail(asked.instances.join(", "));
    let cairn = &call.app.engine;
    cairn.workflow_row(account, workflow).await.map_err(engine)?;
    let mut outcomes: HashMap<&str, Option<ApiError>> = HashMap::new();
    let mut result = BatchDeleteResult::default();
    for id in &asked.instances {
        let known = outcomes.get(id.as_str()).copied();
        let outcome = match known {
            Some(outcome) => outcome,
            None => match cairn.delete_instance(account, workflow, id).await {
                Ok(_) => None,
                Err(EngineError::InstanceNotFound(_)) => Some(ApiError::InstanceNotFound),
                Err(error) => Some(engine(error).error),
            },
        };
        outcomes.insert(id, outcome);
        match outcome {
            None => result.deleted.push(Deleted { id: id.clone() }),
            Some(error) => result.errors.push(DeleteError {
                id: id.clone(),
                code: error.code(),
                message: error.name().unwrap_or_default().into(),
            }),
        }
    }
    done(result)
}

/// `POST …/instances/batch/terminate`
pub(super) async fn terminate(call: &Call, body: Body, (account, workflow): (&str, &str)) -> Answer {
    let ids: Vec<String> = body::json(body, &call.app.limits).await?;
    check_ids(&ids)?;
    call.remarks.detail(ids.join(", "));
    let cairn = &call.app.engine;
    cairn.workflow_row(account, workflow).await.map_err(engine)?;
    let count = ids.len() as u64;
    let begun = call.app.jobs.terminate(cairn, (account, workflow), ids);
    done(BatchTerminateResult {
        status: started(begun),
        instances_terminated: if begun { count } else { 0 },
    })
}

/// `PUT …/instances/terminate`: all instances that have not ended, or those in one status.
pub(super) async fn terminate_all(call: &Call, (account, workflow): (&str, &str)) -> Answer {
    let open: Vec<(&str, Status)> = words::STATUSES
        .into_iter()
        .filter(|(_, status)| OPEN.contains(status))
        .collect();
    let status = call.query.word("status", &open)?;
    call.engine()
        .workflow_row(account, workflow)
        .await
        .map_err(engine)?;
    call.remarks.detail(call.query.text("status")?.unwrap_or("all"));
    let statuses = status.map_or_else(|| OPEN.to_vec(), |status| vec![status]);
    let begun = call
        .app
        .jobs
        .terminate_all(call.engine(), (account, workflow), statuses);
    done(JobBegun {
        status: started(begun),
    })
}

/// `GET …/instances/terminate`
pub(super) async fn terminate_status(call: &Call, (account, workflow): (&str, &str)) -> Answer {
    call.engine()
        .workflow_row(account, workflow)
        .await
        .map_err(engine)?;
    let is_running = call.app.jobs.is_running(account, workflow);
    done(JobStatus {
        status: if is_running {
            JobState::Running
        } else {
            JobState::NotRunning
        },
    })
}

fn started(begun: bool) -> TerminateJob {
    if begun {
        TerminateJob::Ok
    } else {
        TerminateJob::AlreadyRunning
    }
}
