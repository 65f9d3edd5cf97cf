//! Reading request bodies: bounded in size and time.

use crate::answer::bad;
use axum::body::Body;
use bytes::Bytes;
use cairn_api::{ApiError, Failure};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// What a body may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    /// Bytes of a JSON body.
    pub(crate) json_bytes: usize,
    /// Bytes of an uploaded script, all modules together.
    pub(crate) script_bytes: usize,
    /// Time a body may take to arrive.
    pub(crate) arrival: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            json_bytes: 4 << 20,
            script_bytes: 64 << 20,
            arrival: Duration::from_secs(120),
        }
    }
}

/// All bytes of a body.
pub(crate) async fn bytes(body: Body, limits: &BodyLimits) -> Result<Bytes, Failure> {
    let limit = limits.json_bytes;
    let collected = tokio::time::timeout(limits.arrival, Limited::new(body, limit).collect()).await;
    match collected.map_err(|_| late(limits))? {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::new(
            ApiError::BodyTooLarge,
            format!("the body has more than {limit} bytes (setting limits.json_bytes)"),
        )),
        Err(error) => Err(bad(format!("the body could not be read: {error}"))),
    }
}

/// That a body took too long.
pub(crate) fn late(limits: &BodyLimits) -> Failure {
    let seconds = limits.arrival.as_secs();
    Failure::new(
        ApiError::BodyTimeout,
        format!("the body did not arrive within {seconds} seconds"),
    )
}

/// A JSON body.
pub(crate) async fn json<T: DeserializeOwned>(body: Body, limits: &BodyLimits) -> Result<T, Failure> {
    parse(&bytes(body, limits).await?)
}

/// A JSON body that may be absent.
pub(crate) async fn json_or_default<T: DeserializeOwned + Default>(
    body: Body,
    limits: &BodyLimits,
) -> Result<T, Failure> {
    let bytes = bytes(body, limits).await?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    parse(&bytes)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| bad(explain(&error)))
}

/// What is wrong with a JSON body; serde_json says where.
pub(crate) fn explain(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Eof => format!("the body ends in the middle of its JSON: {error}"),
        serde_json::error::Category::Syntax => format!("the body is not JSON: {error}"),
        serde_json::error::Category::Data | serde_json::error::Category::Io => {
            format!("the body is not what is expected here: {error}")
        }
    }
}
