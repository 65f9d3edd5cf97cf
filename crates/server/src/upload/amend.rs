//! Changes of the settings of a version: bindings and compatibility, without its code.

use super::bindings::{self, Earlier};
use super::{Metadata, form, refused};
use crate::answer::bad;
use crate::body::{BodyLimits, late};
use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use cairn_api::Failure;
use cairn_engine::Upload;
use serde_json::Value as Json;

/// The fields that are of a version.
const OF_VERSION: [&str; 3] = ["bindings", "compatibility_date", "compatibility_flags"];

/// The part `settings` of a form.
pub(crate) async fn settings_part(
    headers: &HeaderMap,
    body: Body,
    limits: &BodyLimits,
) -> Result<Bytes, Failure> {
    let reading = tokio::time::timeout(limits.arrival, form::read_all(headers, body, limits.json_bytes));
    let parts = reading.await.map_err(|_| late(limits))??;
    let settings = parts.into_iter().find(|part| part.name == "settings");
    settings
        .map(|part| part.content)
        .ok_or_else(|| bad("the form has no part \"settings\""))
}

/// Whether anything in these settings is of a version.
pub(crate) fn is_of_version(settings: &[u8]) -> Result<bool, Failure> {
    let settings = object(settings)?;
    let given = |field: &&str| settings.get(*field).is_some_and(|value| !value.is_null());
    Ok(OF_VERSION.iter().any(given))
}

fn object(settings: &[u8]) -> Result<Json, Failure> {
    let settings: Json = serde_json::from_slice(settings)
        .map_err(|error| refused(format!("the part \"settings\" cannot be read: {error}")))?;
    if settings.is_object() {
        Ok(settings)
    } else {
        Err(bad("the part \"settings\" is not an object"))
    }
}

/// A version with these settings; what they do not name stays.
pub(crate) fn amended(settings: &[u8], mut base: Upload) -> Result<Upload, Failure> {
    let given = object(settings)?;
    let is_given = |field: &str| given.get(field).is_some_and(|value| !value.is_null());
    let metadata: Metadata = serde_json::from_slice(settings)
        .map_err(|error| refused(format!("the part \"settings\" cannot be read: {error}")))?;
    metadata.refuse_what_would_be_missed()?;
    if is_given("compatibility_date") {
        base.compatibility_date = metadata.compatibility_date()?;
    }
    base.annotations = metadata.annotations.as_ref().map(|raw| raw.get().to_owned());
    if is_given("bindings") {
        let earlier = Earlier::new(std::mem::take(&mut base.bindings), &metadata);
        base.bindings = bindings::read(metadata.bindings, &[], &earlier)?.0;
    }
    if is_given("compatibility_flags") {
        base.compatibility_flags = metadata.compatibility_flags;
    }
    Ok(base)
}
