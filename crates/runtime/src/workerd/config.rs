//! The workerd configuration of one Worker version, as a folder: a text file and the contents it embeds.
//!
//! Nothing that comes from outside stands in the text other than as an escaped string.

use super::process::Home;
use super::services::{self, CAPNP_HOST};
use super::shim;
use crate::{Binding, Module, ModuleKind, WorkerError, WorkerSpec, WorkflowExport};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

/// Which addresses user code may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Egress {
    /// Public addresses only: not this machine, not its network.
    #[default]
    PublicOnly,
    /// Public and private addresses, this machine's too.
    Any,
}

/// Names of the sockets in the configuration.
pub(super) const HOST_SOCKET: &str = "host";
pub(super) const PUBLIC_SOCKET: &str = "public";
pub(super) const SCHEDULED_SOCKET: &str = "scheduled";
/// The header in which `request.cf` travels from Worker to Worker.
const CF_HEADER: &str = "cairn-cf";
/// The header in which the scheme of a URL does.
const PROTO_HEADER: &str = "cairn-proto";

/// Name of the socket of an export: the default one is 0.
pub(super) fn door_name(number: usize) -> String {
    format!("d{number}")
}

/// File name of the configuration.
pub(super) const CONFIG_FILE: &str = "config.capnp";

const HEADER: &str = "using Workerd = import \"/workerd/workerd.capnp\";\n";

/// Flags that make `node:async_hooks` available; the shim needs it.
const ASYNC_HOOKS: [&str; 2] = ["nodejs_compat", "nodejs_als"];

/// Writes the configuration of a version into a folder.
///
/// # Errors
/// [`WorkerError::Code`] for names that cannot be, [`WorkerError::Process`] where files cannot be written.
pub(super) fn write(
    home: &Home,
    (spec, props): (&WorkerSpec, Option<&str>),
    egress: Egress,
) -> Result<(), WorkerError> {
    check(spec)?;
    let folder = home.path();
    let mut writer = Writer {
        folder,
        files: 0,
        services: Vec::new(),
    };
    let text = writer.config((spec, props), egress, &home.binding_socket());
    text.and_then(|text| fs::write(folder.join(CONFIG_FILE), text))
        .map_err(|error| {
            let folder = folder.display();
            WorkerError::Process(format!(
                "the configuration of workerd could not be written to {folder}: {error}"
            ))
        })
}

/// The name of a module as imports resolve to it: uploads may write it as a relative path.
fn plain_name(name: &str) -> &str {
    name.trim_start_matches("./")
}

/// Refuses names that would collide or that no module can have.
fn check(spec: &WorkerSpec) -> Result<(), WorkerError> {
    let code = |message: String| Err(WorkerError::Code(message));
    let mut seen = BTreeSet::new();
    for module in &spec.modules {
        let name = plain_name(&module.name);
        if name.is_empty() || name.chars().any(char::is_control) || name.split('/').any(|part| part == "..") {
            return code(format!(
                "a module cannot have the name {name:?}: it must be a path without \"..\""
            ));
        }
        if name.starts_with(shim::FOLDER) {
            return code(format!(
                "a module cannot have the name {name:?}: names that begin with \"__cairn\" are taken"
            ));
        }
        if !seen.insert(name) {
            return code(format!("there are two modules with the name {name:?}"));
        }
    }
    match spec
        .modules
        .iter()
        .find(|module| plain_name(&module.name) == plain_name(&spec.main_module))
    {
        Some(main) if main.kind == ModuleKind::EsModule => Ok(()),
        Some(_) => code(format!(
            "the main module {:?} must be an ECMAScript module",
            spec.main_module
        )),
        None => code(format!(
            "there is no module {:?}, which is named as the main module",
            spec.main_module
        )),
    }
}

struct Writer<'f> {
    folder: &'f Path,
    files: u32,
    /// Services that bindings lead to.
    services: Vec<String>,
}

impl Writer<'_> {
    /// An expression for content that is kept in a file of its own.
    fn embed(&mut self, content: &[u8]) -> io::Result<String> {
        self.files += 1;
        let name = format!("f{}", self.files);
        fs::write(self.folder.join(&name), content)?;
        Ok(format!("embed \"{name}\""))
    }

    fn config(
        &mut self,
        (spec, props): (&WorkerSpec, Option<&str>),
        egress: Egress,
        binding_socket: &Path,
    ) -> io::Result<String> {
        let allow = match egress {
            Egress::PublicOnly => "[\"public\"]",
            Egress::Any => "[\"public\", \"private\"]",
        };
        let cairn = string(&format!("unix:{}", binding_socket.display()));
        let user = self.user(spec)?;
        let services: String = self.services.drain(..).collect();
        let doors = doors(&spec.entrypoints, props);
        let sys = self.sys(!spec.exports.is_empty())?;
        let disk = self.disk(!spec.exports.is_empty())?;
        Ok(format!(
            "{HEADER}const config :Workerd.Config = (\n  services = [\n    \
             (name = \"user\", worker = ({user})),\n    \
             (name = \"sys\", worker = ({sys})),\n    \
             (name = \"cairn\", external = (address = {cairn}, http = ())),\n    \
             {services}{disk}(name = \"internet\", network = (allow = {allow}, tlsOptions = (trustBrowserCas = true))),\n  ],\n  \
             sockets = [\n    \
             (name = \"{HOST_SOCKET}\", address = \"unix:unused\", http = (), \
             service = (name = \"user\", entrypoint = \"{}\")),\n    \
             (name = \"{SCHEDULED_SOCKET}\", address = \"unix:unused\", http = (), \
             service = (name = \"user\", entrypoint = \"{}\")),\n    \
             {doors}(name = \"{PUBLIC_SOCKET}\", address = \"unix:unused\", http = (), service = \"user\"),\n  ],\n);\n",
            shim::ENTRYPOINT,
            shim::SCHEDULED,
        ))
    }

    fn user(&mut self, spec: &WorkerSpec) -> io::Result<String> {
        let mut modules = self.module(
            shim::MAIN,
            ModuleKind::EsModule,
            shim::main_module(plain_name(&spec.main_module)).as_bytes(),
        )?;
        for (name, content) in shim::MODULES {
            let name = format!("{}/{name}", shim::FOLDER);
            modules += &self.module(&name, ModuleKind::EsModule, content.as_bytes())?;
        }
        for Module { name, kind, content } in &spec.modules {
            modules += &self.module(plain_name(name), *kind, content)?;
        }
        let mut bindings = String::new();
        for binding in &spec.bindings {
            bindings += &self.binding(binding)?;
        }
        let mut flags: Vec<&str> = spec.compatibility_flags.iter().map(String::as_str).collect();
        if !flags.iter().any(|flag| ASYNC_HOOKS.contains(flag)) {
            flags.retain(|flag| *flag != "no_nodejs_als");
            flags.push("nodejs_als");
        }
        let flags: Vec<String> = flags.into_iter().map(string).collect();
        Ok(format!(
            "modules = [\n{modules}    ], compatibilityDate = {}, compatibilityFlags = [{}], bindings = [\n{bindings}    ], tails = [(name = \"sys\", entrypoint = \"Tail\")]{}",
            string(&spec.compatibility_date),
            flags.join(", "),
            exports(&spec.exports)
        ))
    }

    /// What workerd insists on for `ctx.exports`: a disk, on which nothing is ever kept.
    fn disk(&mut self, is_needed: bool) -> io::Result<String> {
        if !is_needed {
            return Ok(String::new());
        }
        let folder = self.folder.join("disk");
        fs::create_dir(&folder)?;
        let path = string(&folder.display().to_string());
        Ok(format!(
            "(name = \"disk\", disk = (path = {path}, writable = true)),\n     "
        ))
    }

    fn sys(&mut self, has_exports: bool) -> io::Result<String> {
        let storage = if has_exports {
            ", durableObjectStorage = (localDisk = \"disk\")"
        } else {
            ""
        };
        let mut modules = String::new();
        for (name, content) in shim::SYS_MODULES {
            modules += &self.module(name, ModuleKind::EsModule, content.as_bytes())?;
        }
        Ok(format!(
            "modules = [\n{modules}    ], compatibilityDate = \"{}\", globalOutbound = \"cairn\", \
             bindings = [(name = \"cairn\", service = \"cairn\")]{storage}",
            shim::SYS_DATE
        ))
    }

    fn module(&mut self, name: &str, kind: ModuleKind, content: &[u8]) -> io::Result<String> {
        let field = match kind {
            ModuleKind::EsModule => "esModule",
            ModuleKind::CommonJs => "commonJsModule",
            ModuleKind::Text => "text",
            ModuleKind::Data => "data",
            ModuleKind::Wasm => "wasm",
            ModuleKind::Json => "json",
        };
        Ok(format!(
            "      (name = {}, {field} = {}),\n",
            string(name),
            self.embed(content)?
        ))
    }

    fn binding(&mut self, binding: &Binding) -> io::Result<String> {
        let (name, value) = match binding {
            Binding::Text { name, text } => (name, format!("text = {}", self.embed(text.as_bytes())?)),
            Binding::Json { name, json } => (name, format!("json = {}", self.embed(json.as_bytes())?)),
            Binding::Data { name, content } => (name, format!("data = {}", self.embed(content)?)),
            Binding::Wasm { name, content } => (name, format!("wasmModule = {}", self.embed(content)?)),
            Binding::Service { name, .. } => (name, self.service()),
            Binding::Workflow { name, workflow_name } => {
                let service = binding_service(workflow_name);
                let inner = format!("innerBindings = [(name = \"fetcher\", service = {service})]");
                (
                    name,
                    format!("wrapped = (moduleName = \"cloudflare-internal:workflows-api\", {inner})"),
                )
            }
        };
        Ok(format!("      (name = {}, {value}),\n", string(name)))
    }

    /// A service that leads to cairn, on a socket of its own.
    fn service(&mut self) -> String {
        let number = self.services.len();
        let name = format!("service{number}");
        let address = format!("unix:{}", services::socket(self.folder, number).display());
        self.services.push(format!(
            "(name = \"{name}\", external = (address = {}, http = {})),\n    ",
            string(&address),
            between_workers()
        ));
        format!("service = \"{name}\"")
    }
}

/// How Workers speak to each other.
fn between_workers() -> String {
    format!(
        "(capnpConnectHost = \"{CAPNP_HOST}\", cfBlobHeader = \"{CF_HEADER}\", forwardedProtoHeader = \"{PROTO_HEADER}\")"
    )
}

/// The sockets on which other Workers reach this one: one for each export.
fn doors(entrypoints: &[String], props: Option<&str>) -> String {
    let http = between_workers();
    let props = props.map_or_else(String::new, |props| {
        format!(", props = (json = {})", string(props))
    });
    let door = |(number, entrypoint): (usize, Option<&String>)| {
        let name = door_name(number);
        let entrypoint =
            entrypoint.map_or_else(String::new, |name| format!(", entrypoint = {}", string(name)));
        format!(
            "(name = \"{name}\", address = \"unix:unused\", http = {http}, service = (name = \"user\"{entrypoint}{props})),\n    "
        )
    };
    let named = entrypoints.iter().map(Some);
    std::iter::once(None).chain(named).enumerate().map(door).collect()
}

/// What serves the binding of a workflow.
fn binding_service(workflow: &str) -> String {
    let props = string(&json!({ "workflow": workflow }).to_string());
    format!("(name = \"sys\", entrypoint = \"WorkflowBinding\", props = (json = {props}))")
}

/// Workflows of `ctx.exports`. The engine that workerd asks for is never used: instances live in cairn.
fn exports(exports: &[WorkflowExport]) -> String {
    if exports.is_empty() {
        return String::new();
    }
    let workflow = |export: &WorkflowExport| {
        format!(
            "(className = {}, name = {}, bindingService = {})",
            string(&export.class_name),
            string(&export.workflow_name),
            binding_service(&export.workflow_name)
        )
    };
    let workflows: Vec<String> = exports.iter().map(workflow).collect();
    format!(
        ", workflowsEngine = (actorClass = (name = \"sys\", entrypoint = \"Engine\"), workflows = [{}])",
        workflows.join(", ")
    )
}

/// A string of the configuration language: printable ASCII stands for itself, all else is escaped.
fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                // Writing to memory does not fail.
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkerId;
    use bytes::Bytes;

    fn spec(modules: &[&str]) -> WorkerSpec {
        let module = |name: &&str| Module {
            name: (*name).to_owned(),
            kind: ModuleKind::EsModule,
            content: Bytes::from_static(b"export default {}"),
        };
        WorkerSpec {
            id: WorkerId("w".into()),
            account: "a".into(),
            script: "s".into(),
            main_module: "index.js".into(),
            modules: modules.iter().map(module).collect(),
            bindings: Vec::new(),
            exports: Vec::new(),
            entrypoints: Vec::new(),
            compatibility_date: "2026-01-01".into(),
            compatibility_flags: Vec::new(),
        }
    }

    #[test]
    fn strings_cannot_end_early() {
        assert_eq!(string("a\"b\\c\nd\u{e9}\0"), r#""a\"b\\c\x0ad\xc3\xa9\x00""#);
    }

    #[test]
    fn names_that_cannot_be() {
        assert!(check(&spec(&["index.js", "lib/a b.js"])).is_ok());
        assert!(check(&spec(&["./index.js", "./1a2b-add.wasm"])).is_ok());
        for bad in [
            "",
            "../x.js",
            "a/../b.js",
            "a\nb",
            "__cairn/host.js",
            "__cairn_main.js",
            "index.js",
        ] {
            assert!(
                matches!(check(&spec(&["index.js", bad])), Err(WorkerError::Code(_))),
                "{bad:?}"
            );
        }
        assert!(
            check(&spec(&["other.js"]))
                .unwrap_err()
                .to_string()
                .contains("there is no module \"index.js\"")
        );
    }
}
