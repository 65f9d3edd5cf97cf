//! `GET …/versions/:id/graph` and `…/dag`: what a version of a workflow does, read from its code.
//!
//! A version has the graph of the code that was deployed when it was made (`WorkflowVersionRow::script_version`). Whether it has one is
//! found out when the version is put, and kept, so that lists need not read code; versions from before are looked at when they are first
//! listed.

use super::{words, workflows};
use crate::answer::{Answer, done, engine};
use crate::app::Call;
use crate::route::GraphForm;
use cairn_api::{ApiError, Failure, VersionDag, VersionGraph};
use cairn_engine::{WorkflowCode, WorkflowPage, WorkflowVersionRow};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

/// Bundles that are read at a time: each may take a second of a processor, and some hundred megabytes.
static READING: Semaphore = Semaphore::const_new(2);

pub(super) async fn get(
    call: &Call,
    account: &str,
    (name, version): (&str, &str),
    form: GraphForm,
) -> Answer {
    let (row, _) = workflows::version_row(call, account, (name, version)).await?;
    let graph = match call
        .engine()
        .workflow_code(account, name, &row)
        .await
        .map_err(engine)?
    {
        Some(code) => {
            let (code, graph) = read(code, row.class_name.clone()).await?;
            if row.has_graph.is_none() {
                note(call, (&row.id, &code), graph.is_some()).await?;
            }
            graph
        }
        None => None,
    };
    let created_on = words::time(row.created_at);
    match form {
        GraphForm::Graph => done(VersionGraph {
            id: row.id,
            workflow_id: row.workflow_id,
            class_name: row.class_name,
            created_on,
            modified_on: created_on,
            graph,
        }),
        GraphForm::Dag => done(VersionDag {
            id: row.id,
            workflow_id: row.workflow_id,
            class_name: row.class_name,
            created_on,
            modified_on: created_on,
            dag: graph,
        }),
    }
}

/// Looks whether the newest version of a workflow has a graph.
pub(super) async fn look(call: &Call, account: &str, name: &str) -> Result<(), Failure> {
    let newest = WorkflowPage { offset: 0, limit: 1 };
    let versions = call.engine().workflow_versions(account, name, newest).await;
    let (versions, _) = versions.map_err(engine)?;
    if let Some((row, _)) = versions.first() {
        is_known(call, account, (name, row)).await?;
    }
    Ok(())
}

/// Whether a version has a graph; looked at if nobody has yet.
pub(super) async fn is_known(
    call: &Call,
    account: &str,
    (name, row): (&str, &WorkflowVersionRow),
) -> Result<bool, Failure> {
    if let Some(known) = row.has_graph {
        return Ok(known);
    }
    let code = call.engine().workflow_code(account, name, row).await;
    let Some(code) = code.map_err(engine)? else {
        return Ok(false);
    };
    let (code, graph) = read(code, row.class_name.clone()).await?;
    note(call, (&row.id, &code), graph.is_some()).await?;
    Ok(graph.is_some())
}

async fn note(call: &Call, (version, code): (&str, &WorkflowCode), has_graph: bool) -> Result<(), Failure> {
    let noted = call.engine().note_graph(version, code, has_graph).await;
    noted.map_err(engine)
}

/// Reads the graph, off the threads that answer requests.
async fn read(
    code: WorkflowCode,
    class_name: String,
) -> Result<(WorkflowCode, Option<Map<String, Value>>), Failure> {
    let broken =
        |what: String| Failure::new(ApiError::Internal, format!("the code could not be read: {what}"));
    let _permit = READING
        .acquire()
        .await
        .map_err(|error| broken(error.to_string()))?;
    let reading = tokio::task::spawn_blocking(move || {
        let modules: Vec<(&str, &str)> = code
            .modules
            .iter()
            .map(|(name, source)| (name.as_str(), source.as_str()))
            .collect();
        let graph = cairn_graph::graph(&modules, &code.main_module, &class_name);
        let graph = graph.map(serde_json::to_value).transpose();
        (code, graph)
    });
    let (code, graph) = reading.await.map_err(|error| broken(error.to_string()))?;
    let graph = graph.map_err(|error| broken(error.to_string()))?;
    let graph = graph.and_then(|graph| match graph {
        Value::Object(graph) => Some(graph),
        _ => None,
    });
    Ok((code, graph))
}
