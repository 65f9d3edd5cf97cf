//! Answers: envelopes as HTTP responses, and the engine's errors in the API's words.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use cairn_api::{ApiError, Envelope, Failure, ResultInfo};
use cairn_engine::{EngineError, Rejected, StoreError};
use serde::Serialize;

/// What a handler gives.
pub(crate) type Answer = Result<Response<Body>, Failure>;

/// A request that was done.
pub(crate) fn done<T: Serialize>(result: T) -> Answer {
    json(StatusCode::OK, &Envelope::success(result))
}

/// A page of a list.
pub(crate) fn page<T: Serialize>(result: T, info: ResultInfo) -> Answer {
    json(StatusCode::OK, &Envelope::page(result, info))
}

/// A request that was not done.
pub(crate) fn failed(failure: &Failure) -> Response<Body> {
    let status = StatusCode::from_u16(failure.error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, &failure.envelope())
        .unwrap_or_else(|_| Response::new(Body::from("the answer could not be written")));
    *response.status_mut() = status;
    if let Some(seconds) = failure.retry_after_seconds {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(allowed) = failure
        .allowed
        .as_deref()
        .and_then(|methods| methods.parse().ok())
    {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    if failure.error == ApiError::OutcomeUnknown {
        // Cloudflare's SDKs send a request that failed with 5xx again, unless they are told not to.
        response
            .headers_mut()
            .insert("x-should-retry", HeaderValue::from_static("false"));
    }
    if failure.error == ApiError::Authentication {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn json<T: Serialize>(status: StatusCode, body: &T) -> Answer {
    let text =
        serde_json::to_vec(body).map_err(|error| Failure::new(ApiError::Internal, error.to_string()))?;
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Something in the request is not what it must be.
pub(crate) fn bad(explanation: impl Into<String>) -> Failure {
    Failure::new(ApiError::Body, explanation)
}

/// The engine's error, in the API's words.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
pub(crate) fn engine(error: EngineError) -> Failure {
    let text = error.to_string();
    let kind = match &error {
        EngineError::WorkflowNotFound(_) => ApiError::WorkflowNotFound,
        EngineError::NotDeployed { .. } => ApiError::WorkflowNotDeployed,
        EngineError::VersionNotFound(_) => ApiError::VersionNotFound,
        EngineError::InstanceNotFound(_) => ApiError::InstanceNotFound,
        EngineError::StepNotFound(_) => ApiError::StepNotFound,
        EngineError::ScriptNotFound(_) => ApiError::ScriptNotFound,
        EngineError::InstanceExists(_) => ApiError::InstanceExists,
        EngineError::InvalidName { .. } | EngineError::InvalidInput(_) => ApiError::Body,
        EngineError::TooLarge { .. } => ApiError::BodyTooLarge,
        EngineError::BadScript(_) => ApiError::ScriptInvalid,
        EngineError::Rejected(rejected) => rejected_kind(rejected),
        EngineError::TestConflict(_) => ApiError::TestConflict,
        EngineError::InboxFull { .. } => ApiError::InboxFull,
        EngineError::TooManyCreations { .. } => ApiError::CreationRate,
        EngineError::Overloaded { .. } => ApiError::Overloaded,
        EngineError::QueueFull { .. } => ApiError::QueueFull,
        EngineError::Runtime(_) | EngineError::ShuttingDown => ApiError::Unavailable,
        EngineError::OutcomeUnknown | EngineError::Store(StoreError::Unknown(_)) => ApiError::OutcomeUnknown,
        EngineError::Store(StoreError::Unavailable(_)) => ApiError::Unavailable,
        EngineError::Store(StoreError::Corrupt(_) | StoreError::Refused(_)) => ApiError::Internal,
    };
    if matches!(
        kind,
        ApiError::Internal | ApiError::Unavailable | ApiError::OutcomeUnknown
    ) {
        tracing::error!(error = %text, "a request failed");
    }
    let mut failure = Failure::new(kind, text);
    if let EngineError::TooManyCreations {
        retry_after_seconds, ..
    } = error
    {
        failure.retry_after_seconds = Some(retry_after_seconds);
    }
    failure
}

/// What the store of tokens and of the audit log says, in the API's words.
pub(crate) fn store(error: StoreError) -> Failure {
    engine(EngineError::Store(error))
}

fn rejected_kind(rejected: &Rejected) -> ApiError {
    match rejected {
        Rejected::CannotTerminate => ApiError::CannotTerminate,
        Rejected::CannotResume(_) => ApiError::CannotResume,
        Rejected::CannotRestart(_) => ApiError::CannotRestart,
        Rejected::EventTooLarge { .. } => ApiError::BodyTooLarge,
        Rejected::StateTooLarge { .. } => ApiError::StorageLimit,
    }
}
