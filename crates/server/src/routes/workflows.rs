//! `…/workflows/…` without instances: definitions and their versions.

use super::workflow_put::put_workflow;
use super::{concurrency, graphs, words};
use crate::answer::{Answer, done, engine, page};
use crate::app::Call;
use crate::body;
use crate::route::WorkflowRoute;
use axum::body::Body;
use axum::http::Method;
use cairn_api::{
    ApiError, Concurrency, Failure, InstanceCounts, OffsetPage, PutRequest, PutResult, RetentionMillis,
    RetentionSettings, Schedule, SettingsPatch, StepLimit, Workflow, WorkflowDeleted, WorkflowVersion,
};
use cairn_engine::{
    AccountRetention, EngineError, Retention, Status, StatusCounts, WorkflowDetails, WorkflowPage,
    WorkflowSettings, WorkflowVersionRow, check_workflow_name,
};

const PER_PAGE: u64 = 10;
const VERSIONS_PER_PAGE: u64 = 50;
/// Versions looked through for one at a time.
const VERSIONS_CHUNK: usize = 500;

pub(crate) async fn handle(call: &Call, body: Body, (account, route): (&str, WorkflowRoute)) -> Answer {
    let method = call.method.clone();
    match (route, method) {
        (WorkflowRoute::List, Method::GET) => list(call, account).await,
        (WorkflowRoute::List, _) => Err(call.wrong_method("GET")),
        (WorkflowRoute::Settings, Method::GET) => settings(call, account).await,
        (WorkflowRoute::Settings, Method::PATCH) => patch_settings(call, body, account).await,
        (WorkflowRoute::Settings, _) => Err(call.wrong_method("GET, PATCH")),
        (WorkflowRoute::Keys, _) => concurrency::all(call, body, account).await,
        (WorkflowRoute::Key(id), _) => concurrency::one(call, body, (account, &id)).await,
        (WorkflowRoute::One(name), Method::GET) => one(call, account, &name).await,
        (WorkflowRoute::One(name), Method::PUT) => put(call, body, account, &name).await,
        (WorkflowRoute::One(name), Method::DELETE) => delete(call, account, &name).await,
        (WorkflowRoute::One(_), _) => Err(call.wrong_method("GET, PUT, DELETE")),
        (WorkflowRoute::Versions(name), Method::GET) => versions(call, account, &name).await,
        (WorkflowRoute::Version(name, version), Method::GET) => {
            version_one(call, account, (&name, &version)).await
        }
        (WorkflowRoute::Graph(name, version, form), Method::GET) => {
            graphs::get(call, account, (&name, &version), form).await
        }
        (WorkflowRoute::Versions(_) | WorkflowRoute::Version(..) | WorkflowRoute::Graph(..), _) => {
            Err(call.wrong_method("GET"))
        }
    }
}

async fn list(call: &Call, account: &str) -> Answer {
    let asked = call.query.offset_page(PER_PAGE)?;
    let search = call.query.text("search")?;
    if let Some(search) = search {
        check_workflow_name(search).map_err(|reason| {
            crate::answer::bad(format!(
                "the query parameter \"search\" is \"{search}\", a part of a name: {reason}"
            ))
        })?;
    }
    let (found, total) = match &call.visitor.who.workflows {
        None => call
            .engine()
            .workflows(account, search, store_page(asked))
            .await
            .map_err(engine)?,
        Some(names) => own(call, (account, names), (search, asked)).await?,
    };
    let info = asked.info(found.len(), total);
    page(found.into_iter().map(shown).collect::<Vec<_>>(), info)
}

/// The same for a token that may see some workflows only.
async fn own(
    call: &Call,
    (account, names): (&str, &[String]),
    (search, asked): (Option<&str>, OffsetPage),
) -> Result<(Vec<WorkflowDetails>, u64), Failure> {
    let mut found = Vec::new();
    let part = search.map(str::to_ascii_lowercase);
    let is_asked = |name: &&String| {
        part.as_ref()
            .is_none_or(|part| name.to_ascii_lowercase().contains(part))
    };
    for name in names.iter().filter(is_asked) {
        match call.engine().workflow(account, name).await {
            Ok(details) => found.push(details),
            Err(EngineError::WorkflowNotFound(_)) => {}
            Err(error) => return Err(engine(error)),
        }
    }
    found.sort_by_key(|details| std::cmp::Reverse(details.row.no));
    let total = found.len() as u64;
    let WorkflowPage { offset, limit } = store_page(asked);
    let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
    Ok((found.into_iter().skip(skipped).take(limit).collect(), total))
}

fn store_page(asked: OffsetPage) -> WorkflowPage {
    WorkflowPage {
        offset: asked.offset(),
        limit: usize::try_from(asked.per_page).unwrap_or(usize::MAX),
    }
}

async fn settings(call: &Call, account: &str) -> Answer {
    let retention = call.engine().retention(account).await.map_err(engine)?;
    done(shown_settings(retention))
}

async fn patch_settings(call: &Call, body: Body, account: &str) -> Answer {
    let asked: SettingsPatch = body::json_or_default(body, &call.app.limits).await?;
    let (success_millis, error_millis) = words::retention(asked.default_retention)?;
    let change = AccountRetention {
        success_millis,
        error_millis,
    };
    let retention = call.engine().put_retention(account, change).await;
    done(shown_settings(retention.map_err(engine)?))
}

fn shown_settings(retention: Retention) -> RetentionSettings {
    RetentionSettings {
        default_retention: RetentionMillis {
            success_retention: retention.success_millis,
            error_retention: retention.error_millis,
        },
    }
}

async fn one(call: &Call, account: &str, name: &str) -> Answer {
    done(shown(
        call.engine().workflow(account, name).await.map_err(engine)?,
    ))
}

fn shown(details: WorkflowDetails) -> Workflow {
    let WorkflowDetails {
        row,
        settings,
        schedules,
        counts,
        script_exists,
    } = details;
    let schedules = schedules.into_iter().map(|schedule| Schedule {
        cron: schedule.cron,
        next_instance: schedule.next.map(words::time),
    });
    let schedules: Vec<Schedule> = schedules.collect();
    Workflow {
        id: row.id,
        name: row.name,
        script_name: row.script,
        class_name: row.class_name,
        created_on: words::time(row.created_at),
        modified_on: words::time(row.modified_at),
        triggered_on: row.triggered_at.map(words::time),
        instances: shown_counts(&counts),
        schedules: (!schedules.is_empty()).then_some(schedules),
        script_deleted: (!script_exists).then_some(true),
        jurisdiction: settings.jurisdiction,
    }
}

fn shown_counts(counts: &StatusCounts) -> InstanceCounts {
    InstanceCounts {
        complete: counts.of(Status::Complete),
        errored: counts.of(Status::Errored),
        paused: counts.of(Status::Paused),
        queued: counts.of(Status::Queued),
        rolling_back: counts.of(Status::RollingBack),
        running: counts.of(Status::Running),
        terminated: counts.of(Status::Terminated),
        waiting: counts.of(Status::Waiting),
        waiting_for_pause: counts.of(Status::WaitingForPause),
    }
}

/// Creates or changes a workflow. The script need not have the class, nor exist: what is missing shows when an instance is created.
async fn put(call: &Call, body: Body, account: &str, name: &str) -> Answer {
    let asked: PutRequest = body::json(body, &call.app.limits).await?;
    let cairn = &call.app.engine;
    let put = put_workflow(asked)?;
    match cairn.workflow(account, name).await {
        Ok(known)
            if known.settings.jurisdiction.is_some()
                && known.settings.jurisdiction != put.settings.jurisdiction =>
        {
            return Err(Failure::new(
                ApiError::JurisdictionImmutable,
                format!(
                    "the jurisdiction of workflow \"{name}\" cannot be changed; delete the workflow first"
                ),
            ));
        }
        Ok(_) | Err(EngineError::WorkflowNotFound(_)) => {}
        Err(error) => return Err(engine(error)),
    }
    let row = cairn.put_workflow(account, name, put).await.map_err(engine)?;
    graphs::look(call, account, name).await?;
    done(PutResult {
        id: row.id,
        name: row.name,
        script_name: row.script,
        class_name: row.class_name,
        created_on: words::time(row.created_at),
        modified_on: words::time(row.modified_at),
        triggered_on: row.triggered_at.map(words::time),
        version_id: row.version,
        is_deleted: 0,
        terminator_running: 0,
    })
}

async fn delete(call: &Call, account: &str, name: &str) -> Answer {
    call.engine()
        .delete_workflow(account, name)
        .await
        .map_err(engine)?;
    done(WorkflowDeleted {
        status: "ok".into(),
        success: Some(true),
    })
}

async fn versions(call: &Call, account: &str, name: &str) -> Answer {
    let asked = call.query.offset_page(VERSIONS_PER_PAGE)?;
    let (found, total) = call
        .engine()
        .workflow_versions(account, name, store_page(asked))
        .await
        .map_err(engine)?;
    let info = asked.info(found.len(), total);
    let default = call.engine().retention(account).await.map_err(engine)?;
    let mut shown = Vec::with_capacity(found.len());
    for (row, settings) in found {
        let has_graph = graphs::is_known(call, account, (name, &row)).await?;
        shown.push(shown_version(default, (row, settings), has_graph));
    }
    page(shown, info)
}

async fn version_one(call: &Call, account: &str, (name, id): (&str, &str)) -> Answer {
    let (row, settings) = version_row(call, account, (name, id)).await?;
    let default = call.engine().retention(account).await.map_err(engine)?;
    let has_graph = graphs::is_known(call, account, (name, &row)).await?;
    done(shown_version(default, (row, settings), has_graph))
}

/// A version of a workflow.
pub(super) async fn version_row(
    call: &Call,
    account: &str,
    (name, id): (&str, &str),
) -> Result<(WorkflowVersionRow, WorkflowSettings), Failure> {
    let mut offset = 0;
    loop {
        let asked = WorkflowPage {
            offset,
            limit: VERSIONS_CHUNK,
        };
        let (found, _) = call
            .engine()
            .workflow_versions(account, name, asked)
            .await
            .map_err(engine)?;
        if found.is_empty() {
            return Err(engine(EngineError::VersionNotFound(id.into())));
        }
        offset += found.len() as u64;
        if let Some(version) = found.into_iter().find(|(row, _)| row.id == id) {
            return Ok(version);
        }
    }
}

fn shown_version(
    default: Retention,
    (row, settings): (WorkflowVersionRow, WorkflowSettings),
    has_graph: bool,
) -> WorkflowVersion {
    let created_on = words::time(row.created_at);
    WorkflowVersion {
        id: row.id,
        workflow_id: row.workflow_id,
        class_name: row.class_name,
        created_on,
        modified_on: created_on,
        has_dag: has_graph,
        language: "javascript".into(),
        limits: settings.steps.map(|steps| StepLimit { steps: Some(steps) }),
        concurrency: settings
            .concurrency
            .map(|limit| Concurrency { limit: Some(limit) }),
        default_retention: Some(RetentionMillis {
            success_retention: settings
                .success_retention_millis
                .unwrap_or(default.success_millis),
            error_retention: settings.error_retention_millis.unwrap_or(default.error_millis),
        }),
    }
}
