//! The part `metadata` of an upload, as wrangler writes it.

use super::refused;
use crate::routes::WorkflowExport;
use cairn_api::Failure;
use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

/// The date of a Worker that names none, as with Cloudflare. wrangler names none for the empty Worker that it makes to have a place for secrets.
const FIRST_DATE: &str = "2021-11-02";

/// The part `metadata`. What is not named here has no effect on how a Worker behaves, such as `observability` and `tags`.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    main_module: Option<String>,
    body_part: Option<String>,
    #[serde(default)]
    pub(super) bindings: Vec<RawBinding>,
    compatibility_date: Option<String>,
    #[serde(default)]
    pub(super) compatibility_flags: Vec<String>,
    #[serde(default)]
    keep_bindings: Vec<String>,
    #[serde(default)]
    exports: BTreeMap<String, Json>,
    pub(super) annotations: Option<Box<RawValue>>,
    migrations: Option<Json>,
    assets: Option<Json>,
    containers: Option<Json>,
    capnp_schema: Option<Json>,
    tail_consumers: Option<Json>,
    streaming_tail_consumers: Option<Json>,
}

/// An entry of `bindings` before its type is looked at.
#[derive(Deserialize)]
pub(super) struct RawBinding {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) text: Option<String>,
    pub(super) json: Option<Box<RawValue>>,
    pub(super) part: Option<String>,
    pub(super) old_name: Option<String>,
    pub(super) workflow_name: Option<String>,
    pub(super) class_name: Option<String>,
    pub(super) script_name: Option<String>,
    pub(super) service: Option<String>,
    pub(super) environment: Option<String>,
    pub(super) entrypoint: Option<String>,
    pub(super) props: Option<Box<RawValue>>,
    pub(super) cross_account_grant: Option<String>,
}

/// Type and name: the rest may be secret.
impl fmt::Debug for RawBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawBinding")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Whether something was given at all: wrangler leaves out what is empty, others may not.
fn is_given(value: Option<&Json>) -> bool {
    match value {
        None | Some(Json::Null) => false,
        Some(Json::Array(items)) => !items.is_empty(),
        Some(_) => true,
    }
}

impl Metadata {
    /// Refuses what a Worker would rely on in vain.
    pub(super) fn refuse_what_would_be_missed(&self) -> Result<(), Failure> {
        let unsupported = [
            (
                "migrations",
                &self.migrations,
                "Durable Objects are not available",
            ),
            ("assets", &self.assets, "static assets are not available"),
            ("containers", &self.containers, "containers are not available"),
            (
                "capnp_schema",
                &self.capnp_schema,
                "unsafe.capnp is not available",
            ),
            (
                "tail_consumers",
                &self.tail_consumers,
                "tail consumers are not available",
            ),
            (
                "streaming_tail_consumers",
                &self.streaming_tail_consumers,
                "tail consumers are not available",
            ),
        ];
        for (field, value, why) in unsupported {
            if is_given(value.as_ref()) {
                return Err(refused(format!(
                    "the upload has \"{field}\", but {why} here; remove it from the configuration"
                )));
            }
        }
        Ok(())
    }

    pub(super) fn compatibility_date(&self) -> Result<String, Failure> {
        let date = self.compatibility_date.as_deref().unwrap_or(FIRST_DATE);
        let is_date = date.len() == 10 && date.parse::<jiff::civil::Date>().is_ok();
        if is_date {
            return Ok(date.into());
        }
        Err(refused(format!(
            "compatibility_date is \"{date}\"; it must be a date such as \"2026-10-01\""
        )))
    }

    pub(super) fn main_module(&self) -> Result<String, Failure> {
        match (&self.main_module, &self.body_part) {
            (Some(name), _) => Ok(name.clone()),
            (None, Some(_)) => Err(refused(
                "the Worker is in service-worker format (addEventListener); workflows need ES modules: \
                 export a default object and a class that extends WorkflowEntrypoint",
            )),
            (None, None) => Err(refused("the metadata has no main_module")),
        }
    }

    /// Whether bindings of this type stay as they are in the deployed version.
    pub(super) fn keeps(&self, kind: &str) -> bool {
        self.keep_bindings.iter().any(|kept| kept == kind)
    }

    /// The workflows that `exports` declares.
    pub(super) fn workflows(&self) -> Result<Vec<(String, WorkflowExport)>, Failure> {
        let mut workflows = Vec::new();
        for (class, export) in &self.exports {
            match export.get("type").and_then(Json::as_str) {
                Some("workflow") => {
                    let read = WorkflowExport::deserialize(export)
                        .map_err(|error| refused(format!("exports.{class} cannot be read: {error}")))?;
                    workflows.push((class.clone(), read));
                }
                // Settings of plain entrypoints have no effect here.
                Some("worker") => {}
                Some(other) => {
                    return Err(refused(format!(
                        "exports.{class} has the type \"{other}\", which is not available here; only \"workflow\" is"
                    )));
                }
                None => return Err(refused(format!("exports.{class} has no type"))),
            }
        }
        Ok(workflows)
    }
}
