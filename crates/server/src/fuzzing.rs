//! What the fuzz targets (`fuzz/`) reach of the inside of this crate. No part of its interface.

use crate::body::BodyLimits;
use crate::upload;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use cairn_api::Failure;
use futures_util::FutureExt;

/// An upload that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The HTTP status of the answer.
    pub status: u16,
    /// Its explanation.
    pub explanation: String,
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self {
            status: failure.error.status(),
            explanation: failure.explanation,
        }
    }
}

/// Reads the body of an upload and plans it; gives its modules, by name.
///
/// # Errors
/// [`Refused`] where the upload would be.
pub fn upload(boundary: &str, body: Bytes) -> Result<Vec<(String, Bytes)>, Refused> {
    let mut headers = HeaderMap::new();
    let content_type = HeaderValue::from_str(&format!("multipart/form-data; boundary={boundary}"));
    if let Ok(content_type) = content_type {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    // All of the body is there, so nothing waits.
    let form = upload::read_parts(&headers, Body::from(body), BodyLimits::default().script_bytes);
    let form = form.now_or_never().ok_or_else(|| Refused {
        status: 500,
        explanation: "a body that was there had to be waited for".into(),
    })??;
    let plan = upload::plan(form, Vec::new())?;
    Ok(plan
        .upload
        .modules
        .into_iter()
        .map(|module| (module.name, module.content))
        .collect())
}
