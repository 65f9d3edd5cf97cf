//! `cairn config`: what is in force, and where each value comes from.

use super::flag::{self, Flag, Kind};
use super::{Source, Sources};
use cairn_server::settings;
use std::fmt::Write as _;

impl Source {
    fn shown(&self) -> String {
        match self {
            Self::Flag => "flag".to_owned(),
            Self::Variable(name) => name.clone(),
            Self::File(place) => format!("{}:{}", place.file.display(), place.line),
            Self::Default => "default".to_owned(),
        }
    }
}

/// The configuration in force, as a file that says the same.
pub(crate) fn show(sources: &Sources) -> String {
    let mut out = match &sources.file {
        Some(file) => format!("# From {}, the environment and flags.\n", file.display()),
        None => "# No file was read.\n".to_owned(),
    };
    for flag in flag::all() {
        let source = sources
            .flags
            .get(&flag.long)
            .map_or_else(|| "default".to_owned(), Source::shown);
        // Writing to a text does not fail.
        let _ = match value(&flag, sources) {
            Some(value) => writeln!(out, "{} = {value} # {source}", flag.long),
            None => writeln!(out, "# {} = (none) # {source}", flag.long),
        };
    }
    let mut table = "";
    let mut all = settings();
    all.sort_by_key(|setting| setting.name.split('.').next());
    for setting in all {
        let (of, name) = setting.name.split_once('.').unwrap_or(("", setting.name));
        if of != table {
            table = of;
            let _ = write!(out, "\n[{table}]\n");
        }
        let said = sources.settings.iter().rev().find_map(|(assignment, source)| {
            let (said, value) = assignment.split_once('=')?;
            (said.trim() == setting.name).then(|| (value.trim().replace('_', ""), source.shown()))
        });
        let (value, source) = said.unwrap_or_else(|| (setting.default.to_string(), "default".to_owned()));
        let _ = writeln!(out, "{name} = {value} # {source}");
    }
    out
}

fn value(flag: &Flag, sources: &Sources) -> Option<String> {
    let matches = sources.matches.as_ref()?;
    let raw = flag.raw(matches);
    if raw.is_empty() {
        return None;
    }
    if flag.is_secret {
        return Some("\"(hidden)\"".to_owned());
    }
    Some(match flag.kind {
        Kind::Number | Kind::Switch => raw,
        Kind::Text | Kind::Path => quoted(&raw),
        Kind::List => {
            let values: Vec<String> = raw.split('\n').map(quoted).collect();
            format!("[{}]", values.join(", "))
        }
    })
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
