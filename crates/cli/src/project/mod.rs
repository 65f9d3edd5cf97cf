//! A wrangler project: its configuration file and its local secrets.

mod bindings;
mod config;
mod reader;
mod secrets;

pub(crate) use config::{Config, ModuleRule, WorkflowConfig};
pub(crate) use secrets::read_file as read_secrets;

use crate::failure::Failure;
use serde_json::{Map, Value};
use std::fs;
use std::path::{Path, PathBuf};

/// The configuration files, in the order in which wrangler looks for them.
const FILES: [&str; 3] = ["wrangler.jsonc", "wrangler.json", "wrangler.toml"];

/// A wrangler project as it is on disk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Project {
    /// Its folder, absolute.
    pub(crate) folder: PathBuf,
    /// The configuration file.
    pub(crate) file: PathBuf,
    /// What that says.
    pub(crate) config: Config,
    /// `.dev.vars`
    pub(crate) secrets: Vec<(String, String)>,
}

impl Project {
    /// Reads the project at `path`: its folder, or its configuration file.
    ///
    /// # Errors
    /// When there is none, when it does not parse, or when it asks for what cairn does not have.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let file = configuration_file(path)?;
        let text = fs::read_to_string(&file).map_err(|error| {
            Failure::new(
                format!("{} cannot be read: {error}.", file.display()),
                "Make it a readable UTF-8 file.",
            )
        })?;
        let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
        let table = parse(&file, &text)?;
        bindings::refuse_unsupported(&file, &table)?;
        let config = Config::read(&file, &folder, &table)?;
        Ok(Self {
            secrets: secrets::read(&folder)?,
            folder,
            file,
            config,
        })
    }

    /// The workflow to start: the one named, or the only one.
    ///
    /// # Errors
    /// When there is none, no such one, or a choice.
    pub(crate) fn workflow(&self, name: Option<&str>) -> Result<&WorkflowConfig, Failure> {
        let own: Vec<&WorkflowConfig> = self.config.defined_workflows().collect();
        let names = || {
            own.iter()
                .map(|workflow| workflow.name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        match (name, own.as_slice()) {
            (_, []) => Err(Failure::new(
                format!("{} defines no workflow.", self.file.display()),
                "Add one: \"workflows\": [{ \"binding\": \"MY_WORKFLOW\", \"name\": \"my-workflow\", \"class_name\": \"MyWorkflow\" }]",
            )),
            (None, [only]) => Ok(only),
            (None, _) => Err(Failure::new(
                format!("{} defines several workflows: {}.", self.file.display(), names()),
                "Say which one to run with --workflow NAME.",
            )),
            (Some(name), all) => all
                .iter()
                .copied()
                .find(|workflow| workflow.name == name)
                .ok_or_else(|| {
                    Failure::new(
                        format!("{} defines no workflow \"{name}\".", self.file.display()),
                        format!("Give one that it defines with --workflow: {}.", names()),
                    )
                }),
        }
    }
}

fn configuration_file(path: &Path) -> Result<PathBuf, Failure> {
    let absolute = fs::canonicalize(path).map_err(|error| {
        Failure::new(
            format!("There is no project at {}: {error}.", path.display()),
            "Give the folder of a wrangler project, for example: cairn run examples/hello",
        )
    })?;
    if absolute.is_file() {
        return Ok(absolute);
    }
    let found = FILES
        .iter()
        .map(|name| absolute.join(name))
        .find(|file| file.is_file());
    found.ok_or_else(|| {
        Failure::new(
            format!(
                "{} is no wrangler project: it has no {}.",
                path.display(),
                FILES.join(", no ")
            ),
            "Give the folder that holds one of these files.",
        )
    })
}

fn parse(file: &Path, text: &str) -> Result<Map<String, Value>, Failure> {
    let is_toml = file.extension().is_some_and(|extension| extension == "toml");
    let value = if is_toml {
        parse_toml(file, text)?
    } else {
        parse_jsonc(file, text)?
    };
    match value {
        Value::Object(table) => Ok(table),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Failure::new(
                format!("{} is not a configuration: it holds no object.", file.display()),
                "Make it an object: { \"name\": …, \"main\": …, \"compatibility_date\": …, \"workflows\": […] }",
            ))
        }
    }
}

fn parse_jsonc(file: &Path, text: &str) -> Result<Value, Failure> {
    let options = jsonc_parser::ParseOptions {
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        ..Default::default()
    };
    jsonc_parser::parse_to_serde_value(text, &options).map_err(|error| {
        syntax(
            file,
            (error.line_display(), error.column_display()),
            &error.kind().to_string(),
        )
    })
}

fn parse_toml(file: &Path, text: &str) -> Result<Value, Failure> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let before = &text[..error.span().map_or(0, |span| span.start.min(text.len()))];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        syntax(file, (line, column), error.message())
    })?;
    Ok(Value::Object(
        table.into_iter().map(|(key, value)| (key, json(value))).collect(),
    ))
}

/// The same in JSON; dates, which `compatibility_date` may be written as, become strings.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(is_true) => is_true.into(),
        toml::Value::Datetime(date) => Value::String(date.to_string()),
        toml::Value::Array(items) => items.into_iter().map(json).collect(),
        toml::Value::Table(table) => {
            Value::Object(table.into_iter().map(|(key, value)| (key, json(value))).collect())
        }
    }
}

fn syntax(file: &Path, (line, column): (usize, usize), reason: &str) -> Failure {
    Failure::new(
        format!("{}:{line}:{column} does not parse: {reason}.", file.display()),
        "Mend the file at that place.",
    )
}

#[cfg(test)]
mod tests;
