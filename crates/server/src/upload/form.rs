//! The multipart body of an upload: `metadata`, and modules.

use super::{Metadata, refused};
use crate::answer::bad;
use crate::body::{BodyLimits, late};
use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use cairn_api::{ApiError, Failure};
use cairn_engine::ModuleKind;
use multer::{Constraints, Multipart, SizeLimit};

/// Most parts of an upload.
const PARTS_MAX: usize = 10_000;

/// A multipart body, read.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) metadata: Metadata,
    pub(crate) parts: Vec<Part>,
}

/// A part that is not the metadata.
#[derive(Debug, PartialEq)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) content_type: String,
    pub(crate) content: Bytes,
}

impl Part {
    /// How the module is read; none for parts that are no modules.
    pub(crate) fn kind(&self) -> Result<Option<ModuleKind>, Failure> {
        Ok(Some(match self.content_type.as_str() {
            "application/javascript+module" | "text/javascript+module" => ModuleKind::EsModule,
            "application/javascript" | "text/javascript" => ModuleKind::CommonJs,
            "text/plain" => ModuleKind::Text,
            "application/octet-stream" => ModuleKind::Data,
            "application/wasm" => ModuleKind::Wasm,
            "application/json" => ModuleKind::Json,
            "application/source-map" => return Ok(None),
            "text/x-python" | "text/x-python-requirement" => {
                return Err(refused(format!(
                    "module \"{}\" is Python; only JavaScript Workers are supported",
                    self.name
                )));
            }
            other => {
                return Err(refused(format!(
                    "module \"{}\" has the type \"{other}\"; known are application/javascript+module, application/javascript, \
                     text/plain, application/octet-stream, application/wasm, application/json and application/source-map",
                    self.name
                )));
            }
        }))
    }
}

/// Reads a body within its limits.
pub(crate) async fn read(headers: &HeaderMap, body: Body, limits: &BodyLimits) -> Result<Form, Failure> {
    let reading = tokio::time::timeout(limits.arrival, read_parts(headers, body, limits.script_bytes));
    reading.await.map_err(|_| late(limits))?
}

/// Reads a body that is within the time it may take.
pub(crate) async fn read_parts(headers: &HeaderMap, body: Body, limit: usize) -> Result<Form, Failure> {
    let (mut metadata, mut parts) = (None, Vec::new());
    for part in read_all(headers, body, limit).await? {
        if part.name == "metadata" {
            let read: Metadata = serde_json::from_slice(&part.content)
                .map_err(|error| refused(format!("the part \"metadata\" cannot be read: {error}")))?;
            metadata = Some(read);
        } else {
            parts.push(part);
        }
    }
    let metadata = metadata.ok_or_else(|| bad("the upload has no part \"metadata\""))?;
    Ok(Form { metadata, parts })
}

/// All parts of a form.
pub(super) async fn read_all(headers: &HeaderMap, body: Body, limit: usize) -> Result<Vec<Part>, Failure> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let boundary = multer::parse_boundary(content_type).map_err(|error| {
        bad(format!("the body of an upload must be multipart/form-data with a boundary; its type is \"{content_type}\": {error}"))
    })?;
    let constraints = Constraints::new().size_limit(SizeLimit::new().whole_stream(limit as u64));
    let mut multipart = Multipart::with_constraints(body.into_data_stream(), boundary, constraints);
    let mut parts = Vec::new();
    while let Some(field) = multipart
        .next_field()
        .await
        .map_err(|error| broken(&error, limit))?
    {
        let name = field.name().or(field.file_name()).unwrap_or_default().to_owned();
        // A type may have parameters, such as a charset.
        let content_type = field
            .content_type()
            .map(|mime| mime.essence_str().to_owned())
            .unwrap_or_default();
        let content = field.bytes().await.map_err(|error| broken(&error, limit))?;
        if name.is_empty() {
            return Err(bad("a part of the upload has no name"));
        }
        if parts.len() > PARTS_MAX {
            return Err(bad(format!("the upload has more than {PARTS_MAX} parts")));
        }
        parts.push(Part {
            name,
            content_type,
            content,
        });
    }
    Ok(parts)
}

fn broken(error: &multer::Error, limit: usize) -> Failure {
    match error {
        multer::Error::StreamSizeExceeded { .. } | multer::Error::FieldSizeExceeded { .. } => Failure::new(
            ApiError::BodyTooLarge,
            format!("the upload has more than {limit} bytes (setting limits.script_bytes)"),
        ),
        error => bad(format!("the multipart body cannot be read: {error}")),
    }
}
