//! Cairn's API beside Cloudflare's, operation by operation: parameters, statuses, names and types in bodies and results.
//!
//! `reference.json` is a public description of Cloudflare's API, reduced to those (`shape`). `differences.toml` lists each difference with its reason: one that is
//! not in it fails the test, and so does a row that no longer shows. docs/api.md has the same as a table.
//!
//! `UPDATE_API_DOCS=1 cargo test -p cairn-api` writes the table anew. `UPDATE_REFERENCE=openapi.json cargo test -p cairn-api` reduces a newer description, an
//! OpenAPI document with paths below `/accounts/{account_id}`, into `reference.json`.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers outside of #[test] functions

mod shape;
mod table;

use shape::{Shape, reduce};
use std::path::{Path, PathBuf};
use table::{Found, Table};

const MARK: &str = "<!-- From here on the tests write this file. -->\n";

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn reference() -> Shape {
    let kept = here("tests/reference/reference.json");
    if let Some(newer) = std::env::var_os("UPDATE_REFERENCE") {
        let document = serde_json::from_str(&std::fs::read_to_string(newer).unwrap()).unwrap();
        let text = serde_json::to_string_pretty(&reduce(&document, "/accounts/{account_id}")).unwrap();
        std::fs::write(&kept, text + "\n").unwrap();
    }
    serde_json::from_str(&std::fs::read_to_string(kept).unwrap()).unwrap()
}

fn cairns() -> Shape {
    let document = serde_json::to_value(cairn_api::openapi()).unwrap();
    reduce(&document, "/client/v4/accounts/{account_id}")
}

fn differences(reference: &Shape, cairn: &Shape) -> Vec<Found> {
    let mut found = Vec::new();
    let operations: std::collections::BTreeSet<&String> = reference.keys().chain(cairn.keys()).collect();
    for operation in operations {
        let (Some(theirs), Some(ours)) = (reference.get(operation), cairn.get(operation)) else {
            let is_there = |shape: &Shape| {
                if shape.contains_key(operation) {
                    "there"
                } else {
                    "absent"
                }
            };
            found.push(Found::new(operation, "*", (is_there(reference), is_there(cairn))));
            continue;
        };
        let places: std::collections::BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
        for place in places {
            let of = |places: &std::collections::BTreeMap<String, String>| {
                places.get(place).map_or("absent", String::as_str).to_owned()
            };
            let (theirs, ours) = (of(theirs), of(ours));
            if theirs != ours {
                found.push(Found::new(operation, place, (&theirs, &ours)));
            }
        }
    }
    found
}

#[test]
fn every_difference_is_known() {
    let (reference, cairn) = (reference(), cairns());
    let found = differences(&reference, &cairn);
    let table = Table::read(&here("tests/reference/differences.toml"));
    let unknown = table.unknown(&found);
    let stale = table.stale(&found, &cairn);
    assert!(
        unknown.is_empty() && stale.is_empty(),
        "{} differences are not in differences.toml:\n{}\n\n{} rows no longer show:\n{}",
        unknown.len(),
        unknown.join("\n"),
        stale.len(),
        stale.join("\n"),
    );
}

#[test]
fn the_table_is_in_the_documents() {
    let (reference, cairn) = (reference(), cairns());
    let found = differences(&reference, &cairn);
    let rendered = Table::read(&here("tests/reference/differences.toml")).markdown(&cairn, &found);
    let path = here("../../docs/api.md");
    let kept = std::fs::read_to_string(&path).unwrap();
    let (prose, generated) = kept.split_once(MARK).unwrap();
    if std::env::var_os("UPDATE_API_DOCS").is_some() {
        std::fs::write(&path, format!("{prose}{MARK}{rendered}")).unwrap();
        return;
    }
    assert!(
        generated == rendered,
        "docs/api.md is not what differences.toml says; UPDATE_API_DOCS=1 writes it anew"
    );
}

#[test]
fn a_difference_that_is_not_listed_is_seen() {
    let (reference, mut cairn) = (reference(), cairns());
    let rows = cairn.get_mut("GET /workflows").unwrap();
    rows.insert("200.result[].name".into(), "number".into());
    rows.remove("query page");
    let table = Table::read(&here("tests/reference/differences.toml"));
    let unknown = table.unknown(&differences(&reference, &cairn));
    assert_eq!(unknown.len(), 2, "{unknown:?}");
    cairn.remove("DELETE /workflows/{workflow_name}");
    assert_eq!(table.unknown(&differences(&reference, &cairn)).len(), 3);
    assert!(!table.stale(&[], &cairn).is_empty());
}
