//! Turns a project into the modules that are uploaded: esbuild with the options that wrangler gives it.

use crate::failure::Failure;
use crate::project::{Config, ModuleRule, Project};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// A project, bundled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bundle {
    /// Name of the module with the exports.
    pub(crate) main: String,
    /// All modules.
    pub(crate) modules: Vec<Module>,
    /// What the main module exports.
    pub(crate) exports: Vec<String>,
    /// The project's own files that went into it, absolute.
    pub(crate) sources: BTreeSet<PathBuf>,
}

/// One module of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Module {
    /// The name under which it is imported.
    pub(crate) name: String,
    /// The media type under which it is uploaded.
    pub(crate) media_type: &'static str,
    /// Its content.
    pub(crate) content: Vec<u8>,
}

const JAVASCRIPT: &str = "application/javascript+module";

/// Node's modules that may be imported without `node:`, when the Worker asks for Node's compatibility.
const NODE_MODULES: [&str; 42] = [
    "assert",
    "async_hooks",
    "buffer",
    "child_process",
    "cluster",
    "console",
    "constants",
    "crypto",
    "dgram",
    "diagnostics_channel",
    "dns",
    "domain",
    "events",
    "fs",
    "http",
    "http2",
    "https",
    "inspector",
    "module",
    "net",
    "os",
    "path",
    "perf_hooks",
    "process",
    "punycode",
    "querystring",
    "readline",
    "repl",
    "stream",
    "string_decoder",
    "sys",
    "timers",
    "tls",
    "trace_events",
    "tty",
    "url",
    "util",
    "v8",
    "vm",
    "wasi",
    "worker_threads",
    "zlib",
];

/// What esbuild tells of what it did.
#[derive(Debug, Deserialize)]
struct Metafile {
    inputs: BTreeMap<String, serde::de::IgnoredAny>,
    outputs: BTreeMap<String, Output>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Output {
    #[serde(default)]
    imports: Vec<Import>,
    #[serde(default)]
    exports: Vec<String>,
    entry_point: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Import {
    path: String,
    #[serde(default)]
    external: bool,
}

/// Bundles a project.
///
/// # Errors
/// When esbuild refuses the source, with its message; when it does not run; when a class that the configuration names is not exported.
pub(crate) async fn bundle(esbuild: &Path, project: &Project) -> Result<Bundle, Failure> {
    let place = tempfile::tempdir().map_err(|error| {
        Failure::new(
            format!("No temporary folder can be made: {error}."),
            "Make room there, or set TMPDIR to a folder that is writable.",
        )
    })?;
    // Paths in the metafile are relative to esbuild's working folder, with links resolved.
    let out = fs::canonicalize(place.path()).unwrap_or_else(|_| place.path().to_owned());
    let output = Command::new(esbuild)
        .args(arguments(&project.config, &out))
        .current_dir(&project.folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| {
            Failure::new(
                format!("{} does not start: {error}.", esbuild.display()),
                "Give the path of a native esbuild with CAIRN_ESBUILD, or unset it: cairn then finds one.",
            )
        })?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(refused(project, said.trim_end()));
    }
    if !said.trim().is_empty() {
        tracing::warn!("esbuild: {}", said.trim_end());
    }
    let bundle = collect(project, &out).map_err(|reason| {
        Failure::new(
            format!("What {} wrote cannot be used: {reason}.", esbuild.display()),
            "Use the esbuild that cairn is made for: unset CAIRN_ESBUILD.",
        )
    })?;
    require_classes(project, &bundle)?;
    Ok(bundle)
}

fn arguments(config: &Config, out: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec![config.main.clone().into()];
    let fixed = [
        "--bundle",
        "--format=esm",
        "--target=es2024",
        "--platform=browser",
        "--conditions=workerd,worker,browser",
        "--external:cloudflare:*",
        "--external:node:*",
        "--external:workerd:*",
        "--loader:.js=jsx",
        "--loader:.mjs=jsx",
        "--loader:.cjs=jsx",
        "--keep-names",
        "--entry-names=[name]",
        "--asset-names=[hash]-[name]",
        "--define:process.env.NODE_ENV=\"production\"",
        "--define:navigator.userAgent=\"Cloudflare-Workers\"",
        "--log-level=warning",
        "--color=false",
    ];
    arguments.extend(fixed.map(OsString::from));
    arguments.extend(
        config
            .rules
            .iter()
            .map(|rule| format!("--loader:{}=copy", rule.ending).into()),
    );
    arguments.push(path_argument("--outdir=", out));
    arguments.push(path_argument("--metafile=", &out.join("meta.json")));
    if config.minify {
        arguments.push("--minify".into());
    }
    if let Some(path) = &config.tsconfig {
        arguments.push(path_argument("--tsconfig=", path));
    }
    if config
        .compatibility_flags
        .iter()
        .any(|flag| flag.starts_with("nodejs_compat"))
    {
        let aliases = NODE_MODULES
            .iter()
            .filter(|module| config.alias.iter().all(|(name, _)| name != *module));
        arguments.extend(aliases.map(|module| format!("--alias:{module}=node:{module}").into()));
    }
    arguments.extend(
        config
            .alias
            .iter()
            .map(|(from, to)| format!("--alias:{from}={to}").into()),
    );
    arguments.extend(
        config
            .define
            .iter()
            .map(|(name, value)| format!("--define:{name}={value}").into()),
    );
    arguments
}

fn path_argument(option: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(option);
    argument.push(path);
    argument
}

fn refused(project: &Project, said: &str) -> Failure {
    let needs_node = said.contains("platform=node");
    let has_node = project
        .config
        .compatibility_flags
        .iter()
        .any(|flag| flag.starts_with("nodejs_compat"));
    let next = if needs_node && !has_node {
        format!(
            "For Node's own modules add \"compatibility_flags\": [\"nodejs_compat\"] to {}. Packages must be installed in the project (npm install).",
            project.file.display()
        )
    } else {
        "Mend the source and try again. Packages that it imports must be installed in the project (npm install).".to_owned()
    };
    Failure::new(
        format!("{} does not build:\n\n{said}", project.config.main.display()),
        next,
    )
}

/// Reads what esbuild wrote.
fn collect(project: &Project, out: &Path) -> Result<Bundle, String> {
    let read = |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let metafile: Metafile =
        serde_json::from_slice(&read(&out.join("meta.json"))?).map_err(|error| error.to_string())?;
    let entry = metafile
        .outputs
        .iter()
        .find(|(_, output)| output.entry_point.is_some());
    let (entry, output) = entry.ok_or("it has no entry module")?;
    let main = file_name(entry);
    let mut modules = vec![Module {
        content: read(&out.join(&main))?,
        name: main.clone(),
        media_type: JAVASCRIPT,
    }];
    let names: BTreeSet<String> = output
        .imports
        .iter()
        .filter(|import| !import.external)
        .map(|import| file_name(&import.path))
        .collect();
    for name in names {
        // `x.wasm?module` is another name for x.wasm.
        let file = name.split('?').next().unwrap_or(&name);
        modules.push(Module {
            content: read(&out.join(file))?,
            media_type: media_type(&project.config.rules, file),
            name,
        });
    }
    let sources = metafile.inputs.keys().map(|path| project.folder.join(path));
    Ok(Bundle {
        main,
        modules,
        exports: output.exports.clone(),
        sources: sources
            .filter(|path| path.is_file() && !path.iter().any(|part| part == "node_modules"))
            .collect(),
    })
}

/// esbuild writes paths with `/` everywhere.
fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

fn media_type(rules: &[ModuleRule], file: &str) -> &'static str {
    rules
        .iter()
        .find(|rule| file.ends_with(&rule.ending))
        .map_or("application/octet-stream", |rule| rule.media_type)
}

fn require_classes(project: &Project, bundle: &Bundle) -> Result<(), Failure> {
    for workflow in project.config.own_workflows() {
        if bundle.exports.contains(&workflow.class_name) {
            continue;
        }
        let exports = if bundle.exports.is_empty() {
            "nothing".to_owned()
        } else {
            bundle.exports.join(", ")
        };
        return Err(Failure::new(
            format!(
                "Workflow \"{}\" is to be the class {}, but {} exports {exports}.",
                workflow.name,
                workflow.class_name,
                project.config.main.display()
            ),
            format!(
                "Export it: export class {} extends WorkflowEntrypoint {{ … }}; or correct \"class_name\" in {}.",
                workflow.class_name,
                project.file.display()
            ),
        ));
    }
    Ok(())
}
