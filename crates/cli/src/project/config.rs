//! What cairn takes from a wrangler configuration.

use super::reader::Table;
use crate::failure::Failure;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// What cairn takes from a wrangler configuration. Keys that only matter on Cloudflare's network (routes, placement, observability) are passed over.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// The script's name.
    pub(crate) name: String,
    /// The entry module, absolute.
    pub(crate) main: PathBuf,
    /// `YYYY-MM-DD`
    pub(crate) compatibility_date: String,
    /// Compatibility flags.
    pub(crate) compatibility_flags: Vec<String>,
    /// The workflows bound or exported.
    pub(crate) workflows: Vec<WorkflowConfig>,
    /// `services`: other Workers.
    pub(crate) services: Vec<ServiceConfig>,
    /// `triggers.crons`: when the Worker's `scheduled` handler is called; none when the file says nothing of it.
    pub(crate) crons: Option<Vec<String>>,
    /// `vars`
    pub(crate) vars: Map<String, Value>,
    /// Which imports stay modules of their own.
    pub(crate) rules: Vec<ModuleRule>,
    /// `define`: what the bundler replaces.
    pub(crate) define: Vec<(String, String)>,
    /// `alias`: imports that stand for others.
    pub(crate) alias: Vec<(String, String)>,
    /// `tsconfig`, absolute, when it is not the nearest one.
    pub(crate) tsconfig: Option<PathBuf>,
    /// `minify`
    pub(crate) minify: bool,
}

/// One entry of `workflows`, or an export of type `workflow`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WorkflowConfig {
    /// The name in `env`; an export has none.
    pub(crate) binding: Option<String>,
    /// The workflow's name.
    pub(crate) name: String,
    /// Its class.
    pub(crate) class_name: String,
    /// The script that has it, when it is another one.
    pub(crate) script_name: Option<String>,
    /// `limits`, `concurrency`, `schedules`, `default_retention` and `jurisdiction`, as the API takes them.
    pub(crate) settings: Map<String, Value>,
}

/// One entry of `services`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ServiceConfig {
    /// The name in `env`.
    pub(crate) binding: String,
    /// The Worker.
    pub(crate) service: String,
    /// Its class, when it is not the default export.
    pub(crate) entrypoint: Option<String>,
    /// What the class is told of the caller.
    pub(crate) props: Option<Map<String, Value>>,
}

/// That files which end so stay modules of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModuleRule {
    /// The end of the file's name, with its dot.
    pub(crate) ending: String,
    /// The media type under which the module is uploaded.
    pub(crate) media_type: &'static str,
}

const TEXT: &str = "text/plain";
const DATA: &str = "application/octet-stream";
const WASM: &str = "application/wasm";

/// Wrangler's rules when a project gives none.
const DEFAULT_RULES: [(&str, &str); 5] = [
    (".txt", TEXT),
    (".html", TEXT),
    (".sql", TEXT),
    (".bin", DATA),
    (".wasm", WASM),
];

impl Config {
    /// Takes what matters from the parsed file.
    ///
    /// # Errors
    /// When something is missing or of the wrong kind.
    pub(super) fn read(file: &Path, folder: &Path, entries: &Map<String, Value>) -> Result<Self, Failure> {
        let top = Table {
            file,
            place: "",
            entries,
        };
        let name = top.required("name", "my-worker")?.to_owned();
        let main = top.required("main", "src/index.ts")?;
        let main = entry_module(&top, folder, main)?;
        let date = top.required("compatibility_date", "2026-11-01")?.to_owned();
        Ok(Self {
            workflows: workflows(&top, &name)?,
            main,
            compatibility_date: date,
            compatibility_flags: top.texts("compatibility_flags")?,
            services: services(&top)?,
            crons: crons(&top)?,
            vars: top.entries("vars")?.cloned().unwrap_or_default(),
            rules: rules(&top)?,
            define: pairs(&top, "define")?,
            alias: pairs(&top, "alias")?,
            tsconfig: top.text("tsconfig")?.map(|path| folder.join(path)),
            minify: top.is_set("minify")?,
            name,
        })
    }

    /// The workflows whose class is in this script.
    pub(crate) fn own_workflows(&self) -> impl Iterator<Item = &WorkflowConfig> {
        self.workflows
            .iter()
            .filter(|workflow| workflow.script_name.is_none())
    }

    /// Those that this script defines, each once: one that is declared as an export is not defined by its bindings too.
    pub(crate) fn defined_workflows(&self) -> impl Iterator<Item = &WorkflowConfig> {
        let declares = |name: &str| {
            self.workflows
                .iter()
                .any(|other| other.binding.is_none() && other.name == name)
        };
        self.own_workflows()
            .filter(move |workflow| workflow.binding.is_none() || !declares(&workflow.name))
    }
}

fn entry_module(top: &Table<'_>, folder: &Path, main: &str) -> Result<PathBuf, Failure> {
    let path = folder.join(main);
    if path.is_file() {
        return Ok(path);
    }
    Err(Failure::new(
        format!(
            "\"main\" in {} is \"{main}\", but there is no file {}.",
            top.file.display(),
            path.display()
        ),
        "Give the path of the entry module, relative to the configuration file.",
    ))
}

fn workflows(top: &Table<'_>, script: &str) -> Result<Vec<WorkflowConfig>, Failure> {
    let mut workflows = Vec::new();
    for (place, entries) in top.tables("workflows")? {
        let table = Table {
            place: &place,
            entries,
            ..*top
        };
        workflows.push(WorkflowConfig {
            binding: Some(table.required("binding", "MY_WORKFLOW")?.to_owned()),
            name: table.required("name", "my-workflow")?.to_owned(),
            class_name: table.required("class_name", "MyWorkflow")?.to_owned(),
            script_name: table
                .text("script_name")?
                .filter(|name| *name != script)
                .map(str::to_owned),
            settings: settings(&table)?,
        });
    }
    for (class, export) in top.entries("exports")?.into_iter().flatten() {
        let place = format!("exports.{class}");
        let Some(entries) = export
            .as_object()
            .filter(|entry| entry.get("type") == Some(&json!("workflow")))
        else {
            continue;
        };
        let table = Table {
            place: &place,
            entries,
            ..*top
        };
        workflows.push(WorkflowConfig {
            binding: None,
            name: table.required("name", "my-workflow")?.to_owned(),
            class_name: class.clone(),
            script_name: None,
            settings: settings(&table)?,
        });
    }
    refuse_duplicates(top, &workflows)?;
    Ok(workflows)
}

fn services(top: &Table<'_>) -> Result<Vec<ServiceConfig>, Failure> {
    let mut services = Vec::new();
    for (place, entries) in top.tables("services")? {
        let table = Table {
            place: &place,
            entries,
            ..*top
        };
        services.push(ServiceConfig {
            binding: table.required("binding", "MY_SERVICE")?.to_owned(),
            service: table.required("service", "my-other-worker")?.to_owned(),
            entrypoint: table.text("entrypoint")?.map(str::to_owned),
            props: table.entries("props")?.cloned(),
        });
    }
    Ok(services)
}

fn crons(top: &Table<'_>) -> Result<Option<Vec<String>>, Failure> {
    let Some(entries) = top.entries("triggers")? else {
        return Ok(None);
    };
    let table = Table {
        place: "triggers",
        entries,
        ..*top
    };
    match table.value("crons") {
        None => Ok(None),
        Some(_) => table.texts("crons").map(Some),
    }
}

fn refuse_duplicates(top: &Table<'_>, workflows: &[WorkflowConfig]) -> Result<(), Failure> {
    for (index, workflow) in workflows.iter().enumerate() {
        let twin = workflows[..index].iter().find(|earlier| {
            earlier.name == workflow.name && earlier.class_name != workflow.class_name
                || earlier.binding.is_some() && earlier.binding == workflow.binding
        });
        if let Some(twin) = twin {
            return Err(Failure::new(
                format!(
                    "{} defines a workflow twice: \"{}\" of class {} and \"{}\" of class {}.",
                    top.file.display(),
                    twin.name,
                    twin.class_name,
                    workflow.name,
                    workflow.class_name
                ),
                "Give each workflow a \"name\" and a \"binding\" of its own.",
            ));
        }
    }
    Ok(())
}

/// The settings as the API takes them: `schedules` is a string or a list in the file and a list of objects there.
fn settings(table: &Table<'_>) -> Result<Map<String, Value>, Failure> {
    let mut settings = Map::new();
    for key in ["limits", "concurrency", "default_retention"] {
        if let Some(entries) = table.entries(key)? {
            settings.insert(key.into(), entries.clone().into());
        }
    }
    if let Some(jurisdiction) = table.text("jurisdiction")? {
        settings.insert("jurisdiction".into(), jurisdiction.into());
    }
    let crons = match table.value("schedules") {
        None => Vec::new(),
        Some(Value::String(cron)) => vec![cron.clone()],
        Some(_) => table.texts("schedules")?,
    };
    if !crons.is_empty() {
        let crons: Vec<Value> = crons.into_iter().map(|cron| json!({ "cron": cron })).collect();
        settings.insert("schedules".into(), crons.into());
    }
    Ok(settings)
}

/// The project's rules, then wrangler's own.
fn rules(top: &Table<'_>) -> Result<Vec<ModuleRule>, Failure> {
    let mut rules = Vec::new();
    for (place, entries) in top.tables("rules")? {
        let table = Table {
            place: &place,
            entries,
            ..*top
        };
        let media_type = match table.required("type", "Text")? {
            "Text" => TEXT,
            "Data" => DATA,
            "CompiledWasm" => WASM,
            // Source code goes through the bundler whatever a rule says.
            _ => continue,
        };
        for glob in table.texts("globs")? {
            rules.push(ModuleRule {
                ending: ending(&table, &glob)?,
                media_type,
            });
        }
    }
    for (ending, media_type) in DEFAULT_RULES {
        if rules.iter().all(|rule| rule.ending != ending) {
            rules.push(ModuleRule {
                ending: ending.into(),
                media_type,
            });
        }
    }
    Ok(rules)
}

/// `**/*.md` says `.md`.
fn ending(table: &Table<'_>, glob: &str) -> Result<String, Failure> {
    let name = glob.rsplit('/').next().unwrap_or(glob);
    let ending = name.strip_prefix('*').unwrap_or_default();
    let is_plain = ending.len() > 1
        && ending.starts_with('.')
        && ending[1..]
            .chars()
            .all(|c| c.is_alphanumeric() || "-_".contains(c));
    if is_plain {
        return Ok(ending.to_owned());
    }
    Err(Failure::new(
        format!(
            "\"{}.globs\" in {} has \"{glob}\", which cairn cannot follow.",
            table.place,
            table.file.display()
        ),
        "Name the files by their ending: \"**/*.md\".",
    ))
}

fn pairs(top: &Table<'_>, key: &str) -> Result<Vec<(String, String)>, Failure> {
    let Some(entries) = top.entries(key)? else {
        return Ok(Vec::new());
    };
    let pair = |(name, value): (&String, &Value)| {
        let text = value
            .as_str()
            .ok_or_else(|| top.wrong(&format!("{key}.{name}"), "a string", value))?;
        Ok((name.clone(), text.to_owned()))
    };
    entries.iter().map(pair).collect()
}
