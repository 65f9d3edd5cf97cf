//! The table of ARCHITECTURE.md: which of our crates a crate may import, and what it must never import.

use anyhow::Context;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// One line of the table.
struct Rule {
    /// The folder of the crate.
    folder: &'static str,
    /// Those of our crates that it may import.
    may: &'static [&'static str],
    /// Other crates that it must not import.
    never: &'static [&'static str],
    /// Words that its source must not hold.
    words: &'static [&'static str],
}

const SQL: &[&str] = &["rusqlite", "tokio-postgres", "deadpool-postgres", "sqlx"];

const RULES: [Rule; 13] = [
    Rule {
        folder: "crates/core",
        may: &[],
        never: &[
            "tokio",
            "serde",
            "serde_json",
            "tracing",
            "chrono",
            "jiff",
            "time",
            "rand",
            "getrandom",
            "uuid",
        ],
        words: &[
            "HashMap",
            "HashSet",
            "std::time",
            "SystemTime",
            "std::fs",
            "std::net",
        ],
    },
    Rule {
        folder: "crates/store",
        may: &["core"],
        never: &["axum"],
        words: &[],
    },
    Rule {
        folder: "crates/runtime",
        may: &["core"],
        never: &["axum"],
        words: &[],
    },
    Rule {
        folder: "crates/engine",
        may: &["core", "store", "runtime"],
        never: &["axum", "rusqlite", "tokio-postgres", "deadpool-postgres", "sqlx"],
        words: &[],
    },
    Rule {
        folder: "crates/api",
        may: &[],
        never: &["axum", "tokio"],
        words: &[],
    },
    Rule {
        folder: "crates/graph",
        may: &[],
        never: &["axum", "tokio"],
        words: &["std::fs", "std::net", "std::time"],
    },
    Rule {
        folder: "crates/server",
        may: &["api", "engine", "graph", "store", "runtime"],
        never: SQL,
        words: &["SELECT ", "INSERT INTO"],
    },
    Rule {
        folder: "crates/cli",
        may: &["api", "server"],
        never: SQL,
        words: &[],
    },
    Rule {
        folder: "crates/sim",
        may: &["core", "store", "runtime", "engine"],
        never: &["axum"],
        words: &[],
    },
    Rule {
        folder: "tests",
        may: &[],
        never: SQL,
        words: &[],
    },
    Rule {
        folder: "fuzz",
        may: &["core", "runtime", "server"],
        never: SQL,
        words: &[],
    },
    Rule {
        folder: "bench",
        may: &[],
        never: SQL,
        words: &[],
    },
    Rule {
        folder: "xtask",
        may: &[],
        never: SQL,
        words: &[],
    },
];

/// Where the crates leave the table. Dependencies of tests alone are free.
pub(crate) fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut faults = Vec::new();
    for folder in fs::read_dir(root.join("crates"))? {
        let name = format!("crates/{}", folder?.file_name().to_string_lossy());
        if RULES.iter().all(|rule| rule.folder != name) {
            faults.push(format!("{name} has no line in the table of imports"));
        }
    }
    for rule in &RULES {
        let manifest = root.join(rule.folder).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).with_context(|| manifest.display().to_string())?;
        faults.extend(broken(rule, &dependencies(&text)?));
        for (path, source) in crate::files::sources(&root.join(rule.folder).join("src"))? {
            let found = rule.words.iter().filter(|word| source.contains(**word));
            faults.extend(found.map(|word| format!("{} must not say {word:?}", path.display())));
        }
    }
    Ok(faults)
}

fn broken(rule: &Rule, dependencies: &BTreeSet<String>) -> Vec<String> {
    let is_wrong = |name: &&String| match name.strip_prefix("cairn-") {
        Some(ours) => !rule.may.contains(&ours),
        None => rule.never.contains(&name.as_str()),
    };
    let wrong = dependencies.iter().filter(is_wrong);
    wrong
        .map(|name| format!("{} must not import {name}", rule.folder))
        .collect()
}

/// The packages that a manifest names for its own code and its build, on any platform.
fn dependencies(manifest: &str) -> anyhow::Result<BTreeSet<String>> {
    let manifest: toml::Table = manifest.parse()?;
    let mut tables: Vec<&toml::Table> = vec![&manifest];
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    tables.extend(
        targets
            .into_iter()
            .flatten()
            .filter_map(|(_, table)| table.as_table()),
    );
    let mut names = BTreeSet::new();
    for table in tables {
        for key in ["dependencies", "build-dependencies"] {
            let entries = table
                .get(key)
                .and_then(toml::Value::as_table)
                .into_iter()
                .flatten();
            names.extend(entries.map(|(name, value)| {
                let renamed = value.get("package").and_then(toml::Value::as_str);
                renamed.unwrap_or(name).to_owned()
            }));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_that_is_not_in_the_table_is_found() {
        let manifest = "
            [dependencies]\ncairn-core.workspace = true\nwarp = { package = \"axum\", version = \"1\" }
            [target.'cfg(unix)'.dependencies]\ncairn-engine = \"1\"
            [dev-dependencies]\ncairn-runtime = \"1\"";
        let names = dependencies(manifest).unwrap();
        let store = RULES.iter().find(|rule| rule.folder == "crates/store").unwrap();
        assert_eq!(
            broken(store, &names),
            [
                "crates/store must not import axum",
                "crates/store must not import cairn-engine"
            ]
        );
    }
}
