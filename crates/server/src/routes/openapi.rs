//! The OpenAPI description. It holds no secrets, so no token is asked for.

use crate::answer::{Answer, failed};
use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use bytes::Bytes;
use cairn_api::{ApiError, Failure};
use std::sync::OnceLock;

/// Made at the first request.
static TEXT: OnceLock<Bytes> = OnceLock::new();

/// `GET /openapi.json`
pub(crate) async fn show() -> Response<Body> {
    answer().unwrap_or_else(|failure| failed(&failure))
}

fn answer() -> Answer {
    let text = match TEXT.get() {
        Some(text) => text.clone(),
        None => {
            let made = cairn_api::openapi().to_json();
            let made = made.map_err(|error| Failure::new(ApiError::Internal, error.to_string()))?;
            TEXT.get_or_init(|| made.into()).clone()
        }
    };
    let mut response = Response::new(Body::from(text));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
