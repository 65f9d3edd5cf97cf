//! The OpenAPI description of what cairn serves, made from the types themselves.
//!
//! Schemas are derived from the types that are read and written; `workflows`, `instances` and `rest` have the operations, one call each; `document`
//! puts them together. The server's tests hold every answer they get against it.

mod document;
pub(crate) mod graph;
mod instances;
mod rest;
pub(crate) mod words;
mod workflows;

use document::Document;
use utoipa::openapi::OpenApi;

/// The description of all public routes.
pub fn openapi() -> OpenApi {
    let mut document = Document::default();
    workflows::add(&mut document);
    instances::add(&mut document);
    rest::add(&mut document);
    document.finish()
}
