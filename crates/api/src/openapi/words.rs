//! Words with a form of their own, as schemas alone: the types of the API hold them as text.
#![expect(dead_code, reason = "shapes, of which no value is ever made")]

use utoipa::ToSchema;

/// Name of a workflow.
#[derive(ToSchema)]
#[schema(
    min_length = 1,
    max_length = 64,
    pattern = "^[a-zA-Z0-9_][a-zA-Z0-9_-]*$",
    example = "orders"
)]
pub(crate) struct WorkflowName(String);

/// Id that a new instance may have. `batch`, `terminate`, `terminateAll` and `cf_` with 64 hexadecimal digits are reserved.
#[derive(ToSchema)]
#[schema(
    min_length = 1,
    max_length = 100,
    pattern = "^[a-zA-Z0-9_][a-zA-Z0-9_-]*$",
    example = "order-1"
)]
pub(crate) struct InstanceId(String);

/// Id of an instance: one that was created, or `<cron>-<scheduledTimeMs>` of one that a schedule made. Slashes and spaces may be
/// escaped or not.
#[derive(ToSchema)]
#[schema(
    min_length = 1,
    max_length = 271,
    pattern = "^[a-zA-Z0-9, */#_-]+$",
    example = "order-1"
)]
pub(crate) struct AddressableId(String);

/// Type of an event.
#[derive(ToSchema)]
#[schema(
    min_length = 1,
    max_length = 100,
    pattern = "^[a-zA-Z0-9_][a-zA-Z0-9_-]*$",
    example = "paid"
)]
pub(crate) struct EventTypeName(String);

/// Name of a script or a class.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 255)]
pub(crate) struct SomeName(String);

/// Name of a step, without its count.
#[derive(ToSchema)]
#[schema(max_length = 256)]
pub(crate) struct StepName(String);

/// A cron expression with five fields (docs/schedules.md).
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 256, example = "*/30 * * * *")]
pub(crate) struct CronText(String);

/// An id that cairn made.
#[derive(ToSchema)]
#[schema(format = "uuid")]
pub(crate) struct Uuid(String);

/// `ok`
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum StatusOk {
    Ok,
}

/// Where instances must stay; kept, without effect.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Jurisdiction {
    Eu,
    Fedramp,
    Us,
}

/// The language of a version.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Language {
    Javascript,
    Python,
}

/// Where an instance should run; read and without effect.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub(crate) enum LocationHint {
    Wnam,
    Weur,
    Enam,
    Eeur,
    Apac,
    ApacNe,
    ApacSe,
    Oc,
    Sam,
    Afr,
    Me,
}

/// The kind of a step to restart from.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) enum RestartKind {
    Do,
    Sleep,
    WaitForEvent,
}

/// What of a step is not shown.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Sensitive {
    Output,
}

/// How the delay between attempts grows.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Backoff {
    Constant,
    Linear,
    Exponential,
}

/// Name of a concurrency key.
#[derive(ToSchema)]
#[schema(
    min_length = 1,
    max_length = 64,
    pattern = "^[a-zA-Z0-9_][a-zA-Z0-9_-]*$",
    example = "payments-api"
)]
pub(crate) struct KeyName(String);
