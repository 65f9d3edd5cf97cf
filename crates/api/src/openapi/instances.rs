//! The operations on instances.

use super::document::{Body, Document, Operation, moment, number, one_of, text};
use super::words::{AddressableId, EventTypeName};
use crate::{
    ApiError, BatchDeleteRequest, BatchDeleteResult, BatchTerminateResult, EventSent, InstanceCreate,
    InstanceCreated, InstanceDeleted, InstanceDetails, InstanceRow, InstanceStatus, JobBegun, JobStatus,
    StatusChange, StatusChanged, StepOutput, SubscribeToken,
};
use utoipa::openapi::{ArrayBuilder, HttpMethod, ResponseBuilder};

const ALL: &str = "/workflows/{workflow_name}/instances";
/// What a change of an instance can come to, its own reasons aside.
const COMMAND: [ApiError; 5] = [
    ApiError::WorkflowNotFound,
    ApiError::InstanceNotFound,
    ApiError::InboxFull,
    ApiError::StorageLimit,
    ApiError::OutcomeUnknown,
];
const LOOK: [ApiError; 2] = [ApiError::WorkflowNotFound, ApiError::InstanceNotFound];

/// Adds them.
pub(super) fn add(document: &mut Document) {
    lists(document);
    creations(document);
    ends(document);
    one(document);
    commands(document);
    events(document);
}

fn operation(method: HttpMethod, path: &str, id_and_does: (&str, &str)) -> Operation {
    Operation::of_account(method, &format!("{ALL}{path}"), id_and_does).tag("instances")
}

fn lists(document: &mut Document) {
    let list = |path, id, does| {
        operation(HttpMethod::Get, path, (id, does))
            .query("page", number(1), "Which page, from 1; not together with cursor.")
            .per_page(50)
            .query("cursor", text(), "`result_info.cursor` of the page before.")
            .query(
                "direction",
                one_of(&["asc", "desc"]),
                "By creation; newest first when absent.",
            )
            .query_word::<InstanceStatus>("status", "Those in this status.")
            .query("date_start", moment(), "Those created at this time or later.")
            .query("date_end", moment(), "Those created at this time or earlier.")
            .fails(&[ApiError::WorkflowNotFound])
            .pages::<InstanceRow>()
    };
    document.add(list("", "listInstances", "The instances of a workflow"));
}

fn creations(document: &mut Document) {
    let fails = [
        ApiError::WorkflowNotFound,
        ApiError::WorkflowNotDeployed,
        ApiError::InstanceExists,
        ApiError::CreationRate,
        ApiError::QueueFull,
        ApiError::OutcomeUnknown,
    ];
    document.add(
        operation(HttpMethod::Post, "", ("createInstance", "Creates an instance"))
            .body::<InstanceCreate>(Body::MayBeAbsent)
            .fails(&fails)
            .gives::<InstanceCreated>(),
    );
    document.add(
        operation(
            HttpMethod::Post,
            "/batch",
            ("createInstances", "Creates up to 100 instances"),
        )
        .about("Ids that exist already are left out of the answer.")
        .list_body::<InstanceCreate>(1, Some(100))
        .fails(&fails)
        .fails(&[ApiError::DuplicateInBatch])
        .lists::<InstanceCreated>(),
    );
}

fn ends(document: &mut Document) {
    document.add(
        operation(
            HttpMethod::Post,
            "/batch/delete",
            ("deleteInstances", "Deletes up to 100 instances"),
        )
        .about("One entry of the answer for each id given.")
        .body::<BatchDeleteRequest>(Body::Needed)
        .fails(&[ApiError::WorkflowNotFound])
        .gives::<BatchDeleteResult>(),
    );
    document.add(
        operation(
            HttpMethod::Post,
            "/batch/terminate",
            ("terminateInstances", "Begins to terminate up to 100 instances"),
        )
        .list_body::<AddressableId>(1, Some(100))
        .fails(&[ApiError::WorkflowNotFound])
        .gives::<BatchTerminateResult>(),
    );
    let open = one_of(&[
        "queued",
        "running",
        "paused",
        "waitingForPause",
        "waiting",
        "rollingBack",
    ]);
    document.add(
        operation(
            HttpMethod::Put,
            "/terminate",
            (
                "terminateAllInstances",
                "Begins to terminate all instances that have not ended",
            ),
        )
        .query("status", open, "Those in this status alone.")
        .fails(&[ApiError::WorkflowNotFound])
        .gives::<JobBegun>(),
    );
    document.add(
        operation(
            HttpMethod::Get,
            "/terminate",
            ("getTermination", "Whether a termination of many is under way"),
        )
        .fails(&[ApiError::WorkflowNotFound])
        .gives::<JobStatus>(),
    );
}

fn one(document: &mut Document) {
    document.add(
        operation(HttpMethod::Get, "/{instance_id}", ("getInstance", "An instance with its steps"))
            .about("Outputs of steps are cut to 1,024 characters and the mark `[truncated output]`; `/step` has them in full.")
            .query("simple", one_of(&["true", "false"]), "Whether to leave the steps out.")
            .query("order", one_of(&["asc", "desc"]), "Of the steps, by their start; oldest first when absent.")
            .fails(&LOOK)
            .gives::<InstanceDetails>(),
    );
    document.add(
        operation(
            HttpMethod::Delete,
            "/{instance_id}",
            ("deleteInstance", "Deletes an instance, at once"),
        )
        .fails(&LOOK)
        .gives::<InstanceDeleted>(),
    );
    document.add(
        operation(
            HttpMethod::Get,
            "/{instance_id}/step",
            ("getStep", "The output of a step, in full"),
        )
        .needed_query(
            "name",
            text().min_length(Some(1)),
            "Its name with its count, such as `charge-1`.",
        )
        .needed_query("type", one_of(&["step", "waitForEvent", "sleep"]), "Its kind.")
        .query(
            "attempt",
            number(1).maximum(Some(u32::MAX)),
            "One of its attempts, from 1.",
        )
        .fails(&LOOK)
        .fails(&[ApiError::StepNotFound])
        .gives_or_streams::<StepOutput>(),
    );
}

fn commands(document: &mut Document) {
    document.add(
        operation(
            HttpMethod::Patch,
            "/{instance_id}/status",
            (
                "changeStatus",
                "Pauses, resumes, terminates or restarts an instance",
            ),
        )
        .body::<StatusChange>(Body::Needed)
        .fails(&COMMAND)
        .fails(&[
            ApiError::CannotResume,
            ApiError::CannotTerminate,
            ApiError::CannotRestart,
            ApiError::CreationRate,
            ApiError::WorkflowNotDeployed,
        ])
        .gives::<StatusChanged>(),
    );
    document.add(
        operation(
            HttpMethod::Post,
            "/{instance_id}/events/{event_type}",
            ("sendEvent", "Sends an event to an instance"),
        )
        .about("The body, any JSON, is the payload; without one it is undefined. An instance that has ended takes it and drops it.")
        .path_word::<EventTypeName>("event_type")
        .any_body(Body::MayBeAbsent, utoipa::openapi::schema::empty().into())
        .fails(&COMMAND)
        .gives::<EventSent>(),
    );
}

fn events(document: &mut Document) {
    let types = ArrayBuilder::new().items(one_of(&EVENT_TYPES));
    document.add(
        operation(
            HttpMethod::Get,
            "/{instance_id}/subscribe",
            ("subscribe", "The events of an instance, over a WebSocket"),
        )
        .about("One event a message, as JSON text (docs/events.md). Without a WebSocket the answer is 400.")
        .query("cursor", number(0), "Events with a larger number alone.")
        .query(
            "filter",
            types,
            "Events of these types alone; given once for each.",
        )
        .fails(&LOOK)
        .response(
            101,
            ResponseBuilder::new().description("The connection is a WebSocket from now on."),
        ),
    );
    document.add(
        operation(
            HttpMethod::Get,
            "/{instance_id}/subscribe/token",
            (
                "getSubscribeToken",
                "A token with which a web page may subscribe, for a short time",
            ),
        )
        .fails(&LOOK)
        .gives::<SubscribeToken>(),
    );
}

/// The types of events; the server's tests hold them against the engine's.
const EVENT_TYPES: [&str; 29] = [
    "workflow_queued",
    "workflow_started",
    "workflow_running",
    "workflow_paused",
    "workflow_waiting_for_pause",
    "workflow_waiting",
    "workflow_completed",
    "workflow_errored",
    "workflow_terminated",
    "step_started",
    "step_completed",
    "step_errored",
    "attempt_started",
    "attempt_completed",
    "attempt_errored",
    "sleep_started",
    "sleep_completed",
    "wait_started",
    "wait_completed",
    "wait_timed_out",
    "rollback_started",
    "rollback_step_started",
    "rollback_step_completed",
    "rollback_step_errored",
    "rollback_attempt_started",
    "rollback_attempt_completed",
    "rollback_attempt_errored",
    "rollback_completed",
    "rollback_errored",
];
