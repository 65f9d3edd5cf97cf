//! The operations on definitions of workflows: they, their versions, settings, concurrency keys.

use super::document::{Body, Document, Operation};
use super::words::{Uuid, WorkflowName};
use crate::{
    ApiError, ConcurrencyKey, KeyCreate, KeyPatch, PutRequest, PutResult, RetentionSettings, SettingsPatch,
    VersionDag, VersionGraph, Workflow, WorkflowDeleted, WorkflowVersion,
};
use utoipa::openapi::HttpMethod;

/// Adds them.
pub(super) fn add(document: &mut Document) {
    definitions(document);
    versions(document);
    settings(document);
    keys(document);
}

fn operation(method: HttpMethod, path: &str, id_and_does: (&str, &str)) -> Operation {
    Operation::of_account(method, path, id_and_does).tag("workflows")
}

fn definitions(document: &mut Document) {
    document.add(
        operation(
            HttpMethod::Get,
            "/workflows",
            ("listWorkflows", "All workflows of an account, newest first"),
        )
        .offset_pages(10)
        .query_word::<WorkflowName>("search", "Those with this in their name.")
        .pages::<Workflow>(),
    );
    let one = "/workflows/{workflow_name}";
    document.add(
        operation(HttpMethod::Get, one, ("getWorkflow", "A workflow"))
            .fails(&[ApiError::WorkflowNotFound])
            .gives::<Workflow>(),
    );
    document.add(
        operation(
            HttpMethod::Put,
            one,
            ("putWorkflow", "Creates or changes a workflow"),
        )
        .about("Each call that changes something makes a version. The script need not be there yet.")
        .body::<PutRequest>(Body::Needed)
        .fails(&[ApiError::JurisdictionImmutable])
        .gives::<PutResult>(),
    );
    document.add(
        operation(
            HttpMethod::Delete,
            one,
            (
                "deleteWorkflow",
                "Deletes a workflow with all its instances; its script stays",
            ),
        )
        .fails(&[ApiError::WorkflowNotFound])
        .gives::<WorkflowDeleted>(),
    );
}

fn versions(document: &mut Document) {
    let all = "/workflows/{workflow_name}/versions";
    document.add(
        operation(
            HttpMethod::Get,
            all,
            ("listVersions", "The versions of a workflow, newest first"),
        )
        .offset_pages(50)
        .fails(&[ApiError::WorkflowNotFound])
        .pages::<WorkflowVersion>(),
    );
    let missing = [ApiError::WorkflowNotFound, ApiError::VersionNotFound];
    let one = format!("{all}/{{version_id}}");
    document.add(
        operation(HttpMethod::Get, &one, ("getVersion", "A version of a workflow"))
            .path_word::<Uuid>("version_id")
            .fails(&missing)
            .gives::<WorkflowVersion>(),
    );
    document.add(
        operation(
            HttpMethod::Get,
            &format!("{one}/graph"),
            (
                "getVersionGraph",
                "What a version does, as a graph; null where it cannot be known",
            ),
        )
        .path_word::<Uuid>("version_id")
        .fails(&missing)
        .gives::<VersionGraph>(),
    );
    document.add(
        operation(
            HttpMethod::Get,
            &format!("{one}/dag"),
            ("getVersionDag", "The same under its older name"),
        )
        .path_word::<Uuid>("version_id")
        .fails(&missing)
        .gives::<VersionDag>(),
    );
}

fn settings(document: &mut Document) {
    let path = "/workflows/settings";
    document.add(
        operation(
            HttpMethod::Get,
            path,
            ("getSettings", "What holds for all workflows of an account"),
        )
        .gives::<RetentionSettings>(),
    );
    document.add(
        operation(
            HttpMethod::Patch,
            path,
            ("patchSettings", "Changes what is given, and nothing else"),
        )
        .body::<SettingsPatch>(Body::MayBeAbsent)
        .gives::<RetentionSettings>(),
    );
}

fn keys(document: &mut Document) {
    let operation =
        |method, path: &str, id_and_does| Operation::of_account(method, path, id_and_does).tag("concurrency");
    let all = "/workflows/concurrency";
    document.add(
        operation(
            HttpMethod::Get,
            all,
            ("listConcurrencyKeys", "The concurrency keys of an account"),
        )
        .offset_pages(50)
        .pages::<ConcurrencyKey>(),
    );
    document.add(
        operation(
            HttpMethod::Post,
            all,
            ("createConcurrencyKey", "Makes a concurrency key"),
        )
        .body::<KeyCreate>(Body::Needed)
        .fails(&[ApiError::KeyExists])
        .gives::<ConcurrencyKey>(),
    );
    let one = "/workflows/concurrency/{key_id}";
    let id = || super::document::text().min_length(Some(1)).into();
    document.add(
        operation(HttpMethod::Get, one, ("getConcurrencyKey", "A concurrency key"))
            .path("key_id", id())
            .fails(&[ApiError::KeyNotFound])
            .gives::<ConcurrencyKey>(),
    );
    document.add(
        operation(
            HttpMethod::Patch,
            one,
            ("patchConcurrencyKey", "Changes the limit of a concurrency key"),
        )
        .about("Keys are kept and not enforced yet.")
        .path("key_id", id())
        .body::<KeyPatch>(Body::Needed)
        .fails(&[ApiError::KeyNotFound])
        .gives::<ConcurrencyKey>(),
    );
    document.add(
        operation(
            HttpMethod::Delete,
            one,
            ("deleteConcurrencyKey", "Deletes a concurrency key"),
        )
        .path("key_id", id())
        .fails(&[ApiError::KeyNotFound])
        .gives::<ConcurrencyKey>(),
    );
}
