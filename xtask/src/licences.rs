//! Licences and bans of deny.toml, checked without cargo-deny, which takes minutes to build. cargo-deny checks more: advisories, sources.

use anyhow::{Context, ensure};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Packages whose licence is not allowed, or that are banned outright.
pub(crate) fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let deny: toml::Table = fs::read_to_string(root.join("deny.toml"))?.parse()?;
    let allowed = texts(&deny, "licenses", "allow", |entry| entry.as_str());
    // A ban with wrappers is one that some may lift.
    let banned = texts(&deny, "bans", "deny", |entry| {
        let entry = entry.as_table().filter(|entry| !entry.contains_key("wrappers"))?;
        entry.get("name")?.as_str()
    });
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked", "--all-features"])
        .current_dir(root)
        .output()
        .context("cargo metadata")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata tells of no packages")?;
    let mut faults = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let licence = package["license"].as_str().unwrap_or_default();
        if !is_allowed(licence, &allowed) {
            faults.push(format!(
                "{name} has the licence {licence:?}, which deny.toml does not allow"
            ));
        }
        if banned.contains(&name.to_owned()) {
            faults.push(format!("{name} is banned in deny.toml"));
        }
    }
    Ok(faults)
}

fn texts<'a>(
    deny: &'a toml::Table,
    table: &str,
    list: &str,
    text: impl Fn(&'a toml::Value) -> Option<&'a str>,
) -> Vec<String> {
    let entries = deny.get(table).and_then(|table| table.get(list));
    let entries = entries.and_then(toml::Value::as_array).into_iter().flatten();
    entries.filter_map(text).map(str::to_owned).collect()
}

/// Whether an expression can be met: `A OR B`, `A AND B`, `(A OR B) AND C`, and `A/B` as it was once written.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let any = |text: &str| {
        text.replace('/', " OR ").split(" OR ").any(|licence| {
            allowed
                .iter()
                .any(|known| known == licence.trim().trim_matches(['(', ')']))
        })
    };
    expression.split(" AND ").all(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_met_or_not() {
        let allowed = ["MIT".to_owned(), "ISC".to_owned()];
        for good in ["MIT", "GPL-3.0 OR MIT", "MIT/GPL-3.0", "(GPL-3.0 OR MIT) AND ISC"] {
            assert!(is_allowed(good, &allowed), "{good}");
        }
        for bad in ["", "GPL-3.0", "MIT AND GPL-3.0"] {
            assert!(!is_allowed(bad, &allowed), "{bad}");
        }
    }
}
