//! Finds workerd, which runs the Workers, and esbuild, which bundles them.
//!
//! In this order: the flag or environment variable; `node_modules` of the project and of the folders above it; `PATH`; the cache, which npm fills once.

mod cache;
mod version;

pub(crate) use version::Version;

use crate::failure::Failure;
use crate::terminal::Terminal;
use cache::Cache;
use serde::Deserialize;
use std::env::consts::{ARCH, OS};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// A program that cairn needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    /// The runtime of Workers.
    Workerd,
    /// The bundler.
    Esbuild,
}

impl Tool {
    /// Its name, on npm and on `PATH`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Workerd => "workerd",
            Self::Esbuild => "esbuild",
        }
    }

    /// The environment variable that names it.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Workerd => "CAIRN_WORKERD",
            Self::Esbuild => "CAIRN_ESBUILD",
        }
    }
}

/// A tool that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// The program.
    pub(crate) path: PathBuf,
    /// Its version, where it was asked for.
    pub(crate) version: Option<Version>,
    /// How it was found.
    pub(crate) origin: Origin,
}

/// How a tool was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// By flag or environment variable.
    Given,
    /// In a `node_modules` of the project or above it.
    Project,
    /// On `PATH`.
    Path,
    /// In cairn's own cache.
    Cache,
}

/// Finds a tool for the project in `from`; `given` names it outright.
///
/// # Errors
/// When it is nowhere and cannot be fetched.
pub(crate) async fn find(
    tool: Tool,
    given: Option<&Path>,
    from: &Path,
    terminal: &Terminal,
) -> Result<Found, Failure> {
    let found = locate(tool, given, from, terminal).await?;
    let version = found.version.map_or_else(|| "?".to_owned(), |v| v.to_string());
    tracing::info!(path = %found.path.display(), version, origin = ?found.origin, "using {}", tool.name());
    Ok(found)
}

async fn locate(
    tool: Tool,
    given: Option<&Path>,
    from: &Path,
    terminal: &Terminal,
) -> Result<Found, Failure> {
    if let Some(path) = given {
        return given_tool(tool, path).await;
    }
    let pinned = version::pinned(tool)?;
    if let Some(found) = in_project(tool, from, pinned) {
        return Ok(found);
    }
    if let Some(found) = on_path(tool, pinned).await {
        return Ok(found);
    }
    let path = Cache::of_user()?.tool(tool, terminal).await?;
    Ok(Found {
        path,
        version: Some(pinned),
        origin: Origin::Cache,
    })
}

/// What [`find`] would take for a project in `from`, without fetching anything; none when it would fetch.
///
/// # Errors
/// When `given` names no such tool, or the one that is cached does not run.
pub(crate) async fn look(tool: Tool, given: Option<&Path>, from: &Path) -> Result<Option<Found>, Failure> {
    if let Some(path) = given {
        return given_tool(tool, path).await.map(Some);
    }
    let pinned = version::pinned(tool)?;
    let found = match in_project(tool, from, pinned) {
        Some(found) => Some(found),
        None => on_path(tool, pinned).await,
    };
    let (path, origin) = match found {
        Some(found) => (found.path, found.origin),
        None => match Cache::of_user()?.present(tool)? {
            Some(path) => (path, Origin::Cache),
            None => return Ok(None),
        },
    };
    let found = given_tool(tool, &path).await?;
    Ok(Some(Found { origin, ..found }))
}

/// The version of a tool that this cairn is made for.
///
/// # Errors
/// When the embedded package file is broken.
pub(crate) fn pinned(tool: Tool) -> Result<Version, Failure> {
    version::pinned(tool)
}

/// Whether a version is one that [`find`] takes.
pub(crate) fn serves(tool: Tool, version: Version, pinned: Version) -> bool {
    version.serves(tool, pinned)
}

/// The tool a user names is used whatever its version; it only has to be one.
async fn given_tool(tool: Tool, path: &Path) -> Result<Found, Failure> {
    let version = version_of(tool, path).await.map_err(|reason| {
        Failure::new(
            format!("{} is not a {} that runs here: {reason}", path.display(), tool.name()),
            format!(
                "Give the path of the native program of npm's {0} package, or give none ({1}): cairn then fetches it.",
                tool.name(),
                tool.variable()
            ),
        )
    })?;
    let pinned = version::pinned(tool)?;
    if !version.serves(tool, pinned) {
        tracing::warn!(
            "{} {version} is older than {pinned}, the version this cairn is made for",
            tool.name()
        );
    }
    Ok(Found {
        path: path.to_owned(),
        version: Some(version),
        origin: Origin::Given,
    })
}

async fn version_of(tool: Tool, path: &Path) -> Result<Version, String> {
    let output = Command::new(path)
        .arg("--version")
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    Version::parse_output(tool, &text)
        .ok_or_else(|| format!("--version printed {:?} ({})", text.trim(), output.status))
}

fn in_project(tool: Tool, from: &Path, pinned: Version) -> Option<Found> {
    for folder in from.ancestors() {
        let Some(path) = binary_in(&folder.join("node_modules"), tool) else {
            continue;
        };
        let Some(version) = package_version(&path) else {
            continue;
        };
        if version.serves(tool, pinned) {
            return Some(Found {
                path,
                version: Some(version),
                origin: Origin::Project,
            });
        }
        tracing::info!(
            "passing over {} {version} at {}: older than {pinned}",
            tool.name(),
            path.display()
        );
    }
    None
}

async fn on_path(tool: Tool, pinned: Version) -> Option<Found> {
    let file = format!("{}{}", tool.name(), std::env::consts::EXE_SUFFIX);
    for folder in std::env::split_paths(&std::env::var_os("PATH")?) {
        let path = folder.join(&file);
        if !path.is_file() || is_node_script(&path) {
            continue;
        }
        match version_of(tool, &path).await {
            Ok(version) if version.serves(tool, pinned) => {
                return Some(Found {
                    path,
                    version: Some(version),
                    origin: Origin::Path,
                });
            }
            Ok(version) => tracing::info!(
                "passing over {} {version} at {}: older than {pinned}",
                tool.name(),
                path.display()
            ),
            Err(reason) => tracing::info!("passing over {}: {reason}", path.display()),
        }
    }
    None
}

/// npm puts a wrapper on `PATH` that starts the program as a child of Node, where it would outlive us.
fn is_node_script(path: &Path) -> bool {
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(128).read_to_end(&mut bytes));
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    read.is_ok() && line.starts_with(b"#!") && line.windows(4).any(|word| word == b"node")
}

/// The native program of a tool in a `node_modules`: at its top, or where npm nests or pnpm links it.
fn binary_in(modules: &Path, tool: Tool) -> Option<PathBuf> {
    let file = platform_file(tool)?;
    let mut places = vec![modules.to_owned()];
    for parent in [tool.name(), "wrangler"] {
        let Ok(package) = fs::canonicalize(modules.join(parent)) else {
            continue;
        };
        places.push(package.join("node_modules"));
        let Some(beside) = package.parent() else { continue };
        places.push(beside.to_owned());
        if let Ok(linked) = fs::canonicalize(beside.join(tool.name())) {
            places.extend(linked.parent().map(Path::to_owned));
        }
    }
    places
        .into_iter()
        .map(|place| place.join(&file))
        .find(|path| path.is_file())
}

/// Where the native program is in a `node_modules`; none when npm has none for this platform.
fn platform_file(tool: Tool) -> Option<PathBuf> {
    let path = match (tool, OS, ARCH) {
        (Tool::Workerd, "linux", "x86_64") => "@cloudflare/workerd-linux-64/bin/workerd",
        (Tool::Workerd, "linux", "aarch64") => "@cloudflare/workerd-linux-arm64/bin/workerd",
        (Tool::Workerd, "macos", "x86_64") => "@cloudflare/workerd-darwin-64/bin/workerd",
        (Tool::Workerd, "macos", "aarch64") => "@cloudflare/workerd-darwin-arm64/bin/workerd",
        (Tool::Workerd, "windows", "x86_64") => "@cloudflare/workerd-windows-64/bin/workerd.exe",
        (Tool::Esbuild, "linux", "x86_64") => "@esbuild/linux-x64/bin/esbuild",
        (Tool::Esbuild, "linux", "aarch64") => "@esbuild/linux-arm64/bin/esbuild",
        (Tool::Esbuild, "macos", "x86_64") => "@esbuild/darwin-x64/bin/esbuild",
        (Tool::Esbuild, "macos", "aarch64") => "@esbuild/darwin-arm64/bin/esbuild",
        (Tool::Esbuild, "windows", "x86_64") => "@esbuild/win32-x64/esbuild.exe",
        (Tool::Esbuild, "windows", "aarch64") => "@esbuild/win32-arm64/esbuild.exe",
        _ => return None,
    };
    Some(path.into())
}

/// The folder of the package that a program belongs to.
fn package_folder(binary: &Path) -> &Path {
    let folder = binary.parent().unwrap_or(binary);
    if folder.ends_with("bin") {
        folder.parent().unwrap_or(folder)
    } else {
        folder
    }
}

fn package_version(binary: &Path) -> Option<Version> {
    #[derive(Deserialize)]
    struct Package {
        version: String,
    }
    let text = fs::read_to_string(package_folder(binary).join("package.json")).ok()?;
    let package: Package = serde_json::from_str(&text).ok()?;
    Version::parse(&package.version)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn install(modules: &Path, tool: Tool, version: &str) -> PathBuf {
        let path = modules.join(platform_file(tool).unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "x").unwrap();
        fs::write(
            package_folder(&path).join("package.json"),
            format!(r#"{{"version":"{version}"}}"#),
        )
        .unwrap();
        path
    }

    #[test]
    fn node_modules_above_the_project_are_searched_and_too_old_a_workerd_is_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let project = root.path().join("a/b");
        fs::create_dir_all(&project).unwrap();
        let pinned = version::pinned(Tool::Workerd).unwrap();
        let newer = install(&root.path().join("node_modules"), Tool::Workerd, "1.20990101.0");
        install(&project.join("node_modules"), Tool::Workerd, "1.20250101.0");
        let found = in_project(Tool::Workerd, &project, pinned).unwrap();
        assert_eq!(found.path, newer);
        assert_eq!(found.origin, Origin::Project);
    }

    #[test]
    fn a_tool_that_pnpm_links_behind_wrangler_is_found() {
        let root = tempfile::tempdir().unwrap();
        let modules = root.path().join("node_modules");
        let store = modules.join(".pnpm");
        let path = install(&store.join("w@1/node_modules"), Tool::Workerd, "1.20990101.0");
        fs::create_dir_all(store.join("w@1/node_modules/workerd")).unwrap();
        fs::create_dir_all(store.join("r@4/node_modules/wrangler")).unwrap();
        symlink(
            store.join("w@1/node_modules/workerd"),
            store.join("r@4/node_modules/workerd"),
        )
        .unwrap();
        symlink(store.join("r@4/node_modules/wrangler"), modules.join("wrangler")).unwrap();
        let found = binary_in(&modules, Tool::Workerd).unwrap();
        assert_eq!(found, fs::canonicalize(path).unwrap());
    }

    #[test]
    fn the_wrapper_of_npm_is_told_from_a_program() {
        let root = tempfile::tempdir().unwrap();
        let wrapper = root.path().join("workerd");
        fs::write(&wrapper, "#!/usr/bin/env node\nrequire('x')").unwrap();
        assert!(is_node_script(&wrapper));
        fs::write(&wrapper, "#!/bin/sh\nexec real-workerd \"$@\"").unwrap();
        assert!(!is_node_script(&wrapper));
    }

    #[tokio::test]
    async fn a_named_tool_must_be_one() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("workerd");
        let missing = find(Tool::Workerd, Some(&path), root.path(), &Terminal::stderr()).await;
        assert!(missing.unwrap_err().to_string().contains("CAIRN_WORKERD"));
        fs::write(&path, "#!/bin/sh\necho workerd 2030-01-02\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let found = find(Tool::Workerd, Some(&path), root.path(), &Terminal::stderr()).await;
        assert_eq!(found.unwrap().version, Some(Version([1, 20_300_102, 0])));
    }
}
