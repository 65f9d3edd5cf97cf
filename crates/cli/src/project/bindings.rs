//! Bindings of Cloudflare that cairn does not have: named up front, rather than missing from `env` later.

use crate::failure::Failure;
use serde_json::{Map, Value};
use std::path::Path;

/// The keys of a wrangler configuration that bind something which is not here.
const UNSUPPORTED: [&str; 32] = [
    "agent_memory",
    "ai",
    "ai_search",
    "ai_search_namespaces",
    "analytics_engine_datasets",
    "artifacts",
    "assets",
    "browser",
    "cloudchamber",
    "containers",
    "d1_databases",
    "dispatch_namespaces",
    "durable_objects",
    "hyperdrive",
    "images",
    "kv_namespaces",
    "logfwdr",
    "media",
    "mtls_certificates",
    "pipelines",
    "queues",
    "r2_buckets",
    "ratelimits",
    "secrets_store_secrets",
    "send_email",
    "site",
    "stream",
    "unsafe",
    "vectorize",
    "version_metadata",
    "vpc_services",
    "worker_loaders",
];

/// Refuses a configuration that binds what is not here.
///
/// # Errors
/// Names every such key.
pub(super) fn refuse_unsupported(file: &Path, table: &Map<String, Value>) -> Result<(), Failure> {
    let asked: Vec<&str> = UNSUPPORTED
        .into_iter()
        .filter(|key| table.get(*key).is_some_and(has_content))
        .collect();
    if asked.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        format!(
            "{} uses what cairn does not have: {}.",
            file.display(),
            asked.join(", ")
        ),
        "Cairn binds workflows, services, vars, secrets and modules (text, data, WebAssembly). Take the others out of the configuration that you run with cairn, \
         and reach such services over HTTP with fetch().",
    ))
}

/// Whether a key says anything: empty lists and tables do not.
fn has_content(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) | Value::Number(_) | Value::String(_) => true,
        Value::Array(items) => !items.is_empty(),
        Value::Object(table) => table.values().any(has_content),
    }
}
