//! The operations beside workflows: event triggers, health, the description itself.

use super::document::{Body, Document, Operation, number, text};
use crate::{
    ApiError, AuditEntry, EventTrigger, ScriptTriggers, TokenCreate, TokenInfo, TokenRevoked, TriggersDeleted,
};
use utoipa::openapi::{ContentBuilder, HttpMethod, ObjectBuilder, RefOr, ResponseBuilder, Schema, Type};

/// Adds them.
pub(super) fn add(document: &mut Document) {
    triggers(document);
    health(document);
    tokens(document);
}

fn triggers(document: &mut Document) {
    let operation = |method, id, does| {
        Operation::of_account(method, "/triggers/{script_name}", (id, does))
            .tag("triggers")
            .path("script_name", text().min_length(Some(1)).into())
            .fails(&[ApiError::ScriptNotFound])
    };
    document.add(
        operation(HttpMethod::Get, "getTriggers", "The event triggers of a script").gives::<ScriptTriggers>(),
    );
    let refused =
        "There are no events here that could start a workflow: a list that is not empty is refused.";
    document.add(
        operation(
            HttpMethod::Put,
            "putTriggers",
            "Replaces the event triggers of a script",
        )
        .about(refused)
        .list_body::<EventTrigger>(0, None)
        .fails(&[ApiError::NotSupported])
        .gives::<ScriptTriggers>(),
    );
    document.add(
        operation(
            HttpMethod::Patch,
            "addTriggers",
            "Adds event triggers to a script",
        )
        .about(refused)
        .list_body::<EventTrigger>(0, None)
        .fails(&[ApiError::NotSupported])
        .gives::<ScriptTriggers>(),
    );
    document.add(
        operation(
            HttpMethod::Delete,
            "deleteTriggers",
            "Removes all event triggers of a script",
        )
        .gives::<TriggersDeleted>(),
    );
}

fn answer(content_type: &str, schema: impl Into<RefOr<Schema>>, about: &str) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(schema.into())).build();
    ResponseBuilder::new()
        .description(about)
        .content(content_type, content)
}

fn health(document: &mut Document) {
    let report = || {
        let word = |about: &str| {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .description(Some(about))
        };
        let checks = ObjectBuilder::new().additional_properties(Some(word("`ok`, or what is wrong.")));
        ObjectBuilder::new()
            .property("status", word("`ok` or `failing`."))
            .required("status")
            .property("checks", checks)
            .required("checks")
    };
    let json = "application/json; charset=utf-8";
    document.add(
        Operation::public(
            HttpMethod::Get,
            "/healthz",
            ("healthz", "Whether the process lives"),
        )
        .tag("server")
        .response(200, answer(json, report(), "It does."))
        .response(
            503,
            answer(json, report(), "It does not move; it should be started anew."),
        ),
    );
    document.add(
        Operation::public(HttpMethod::Get, "/readyz", ("readyz", "Whether work can be done"))
            .tag("server")
            .response(200, answer(json, report(), "It can."))
            .response(503, answer(json, report(), "It cannot; the checks say why.")),
    );
    document.add(
        Operation::public(HttpMethod::Get, "/openapi.json", ("openapi", "This description"))
            .tag("server")
            .response(200, answer("application/json", ObjectBuilder::new(), "It.")),
    );
}

/// Cairn's own routes: tokens and the audit log.
fn tokens(document: &mut Document) {
    let operation =
        |method, path: &str, id_and_does| Operation::of_server(method, path, id_and_does).tag("access");
    document.add(
        operation(
            HttpMethod::Get,
            "/cairn/v1/tokens",
            ("listTokens", "The tokens that the asker's covers, newest first"),
        )
        .offset_pages(20)
        .pages::<TokenInfo>(),
    );
    document.add(
        operation(
            HttpMethod::Post,
            "/cairn/v1/tokens",
            ("createToken", "Makes a token"),
        )
        .about("Its `value` is in this answer and in no other.")
        .body::<TokenCreate>(Body::Needed)
        .gives::<TokenInfo>(),
    );
    let one = "/cairn/v1/tokens/{token_id}";
    let id = || text().min_length(Some(1)).into();
    document.add(
        operation(HttpMethod::Get, one, ("getToken", "A token, without its value"))
            .path("token_id", id())
            .fails(&[ApiError::TokenNotFound])
            .gives::<TokenInfo>(),
    );
    document.add(
        operation(
            HttpMethod::Delete,
            one,
            ("revokeToken", "Revokes a token, at once"),
        )
        .path("token_id", id())
        .fails(&[ApiError::TokenNotFound])
        .gives::<TokenRevoked>(),
    );
    document.add(
        operation(
            HttpMethod::Get,
            "/cairn/v1/audit",
            ("listAudit", "Changes that were asked for, newest first"),
        )
        .query("account", text().min_length(Some(1)), "Those of this account.")
        .query("before", number(i64::MIN), "Those with a smaller id.")
        .query("limit", number(1).maximum(Some(1_000)), "At most so many.")
        .lists::<AuditEntry>(),
    );
}
