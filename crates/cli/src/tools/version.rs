//! Versions of the tools: the pinned ones, and what another one must be to be used.

use super::Tool;
use crate::failure::Failure;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// The one place where the versions are pinned; npm installs from it, with the lock file beside it.
pub(super) const PACKAGE: &str = include_str!("../../tools/package.json");

/// The versions and integrity hashes of everything that is fetched, on all platforms.
pub(super) const LOCK: &str = include_str!("../../tools/package-lock.json");

/// The oldest esbuild that knows everything asked of it.
const OLDEST_ESBUILD: Version = Version([0, 25, 0]);

/// A version of an npm package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(super) [u64; 3]);

impl Version {
    /// Reads `1.2.3`; what follows the third number is ignored.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().splitn(3, '.');
        let mut number = || {
            let part = parts.next()?;
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part[..digits].parse().ok()
        };
        Some(Self([number()?, number()?, number()?]))
    }

    /// Reads what the tool prints for `--version`: `workerd 2026-11-17` or `0.28.2`.
    pub(super) fn parse_output(tool: Tool, text: &str) -> Option<Self> {
        match tool {
            Tool::Esbuild => Self::parse(text),
            Tool::Workerd => {
                let date: String = text
                    .split_whitespace()
                    .nth(1)?
                    .chars()
                    .filter(|c| *c != '-')
                    .collect();
                Some(Self([1, date.parse().ok()?, 0]))
            }
        }
    }

    /// Whether this version of the tool serves. workerd must be the pinned one or newer, by its date; with esbuild, which changes little, an older
    /// one that a project brings along is fine too.
    pub(super) fn serves(self, tool: Tool, pinned: Self) -> bool {
        match tool {
            Tool::Workerd => self.0[..2] >= pinned.0[..2],
            Tool::Esbuild => self >= OLDEST_ESBUILD,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// The pinned version of a tool.
///
/// # Errors
/// When the embedded package file is broken, which a test rules out.
pub(super) fn pinned(tool: Tool) -> Result<Version, Failure> {
    let version = packages()
        .into_iter()
        .find(|(name, _)| name.contains(tool.name()))
        .and_then(|(_, version)| Version::parse(&version));
    version.ok_or_else(|| {
        Failure::new(
            format!(
                "This build of cairn does not say which version of {} it wants.",
                tool.name()
            ),
            "Build it again from an unchanged source tree.",
        )
    })
}

/// The pinned packages, one for each tool and platform.
fn packages() -> BTreeMap<String, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Package {
        optional_dependencies: BTreeMap<String, String>,
    }
    let package: Option<Package> = serde_json::from_str(PACKAGE).ok();
    package
        .map(|package| package.optional_dependencies)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tools_are_pinned() {
        assert!(pinned(Tool::Workerd).unwrap() >= Version([1, 20_261_117, 1]));
        assert!(pinned(Tool::Esbuild).unwrap() >= OLDEST_ESBUILD);
    }

    #[test]
    fn the_lock_file_pins_the_same_versions_with_hashes_and_names_no_host() {
        let lock: serde_json::Value = serde_json::from_str(LOCK).unwrap();
        let locked = lock["packages"].as_object().unwrap();
        assert_eq!(locked.len(), packages().len() + 1, "the root and each package");
        for (name, version) in packages() {
            let tool = [Tool::Workerd, Tool::Esbuild]
                .into_iter()
                .find(|tool| name.contains(tool.name()))
                .unwrap();
            assert_eq!(version, pinned(tool).unwrap().to_string(), "{name}");
            let entry = &locked[&format!("node_modules/{name}")];
            assert_eq!(entry["version"].as_str(), Some(version.as_str()), "{name}");
            assert!(
                entry["integrity"].as_str().unwrap().starts_with("sha512-"),
                "{name}"
            );
        }
        assert!(!LOCK.contains("http"));
    }

    #[test]
    fn versions_are_read_from_packages_and_from_the_tools() {
        assert_eq!(Version::parse("1.20261117.1"), Some(Version([1, 20_261_117, 1])));
        assert_eq!(Version::parse("0.28.2-beta"), Some(Version([0, 28, 2])));
        assert_eq!(Version::parse("banana"), None);
        assert_eq!(
            Version::parse_output(Tool::Workerd, "workerd 2026-11-17\n"),
            Some(Version([1, 20_261_117, 0]))
        );
        assert_eq!(
            Version::parse_output(Tool::Esbuild, "0.28.2\n"),
            Some(Version([0, 28, 2]))
        );
    }

    #[test]
    fn an_older_workerd_does_not_serve_and_an_older_esbuild_may() {
        let pinned = Version([1, 20_261_117, 1]);
        assert!(!Version([1, 20_261_116, 9]).serves(Tool::Workerd, pinned));
        assert!(Version([1, 20_261_117, 0]).serves(Tool::Workerd, pinned));
        assert!(Version([1, 20_270_101, 0]).serves(Tool::Workerd, pinned));
        assert!(Version([0, 27, 0]).serves(Tool::Esbuild, Version([0, 28, 2])));
        assert!(!Version([0, 17, 19]).serves(Tool::Esbuild, Version([0, 28, 2])));
    }
}
