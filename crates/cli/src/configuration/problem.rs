//! What is wrong with a configuration, and how that is told.

use super::{Source, Sources};
use crate::terminal::{Terminal, Tone};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where something is said in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) file: PathBuf,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    place: Option<Place>,
    /// Where it is said, for people, when that is no place in a file.
    elsewhere: String,
    text: String,
}

impl Problem {
    pub(super) fn in_file(place: Place, key: Option<&str>, text: String) -> Self {
        let text = match key {
            Some(key) => format!("{key}: {text}"),
            None => text,
        };
        Self {
            place: Some(place),
            elsewhere: String::new(),
            text,
        }
    }

    pub(super) fn of_file(path: &Path, text: String) -> Self {
        Self {
            place: None,
            elsewhere: path.display().to_string(),
            text,
        }
    }

    pub(super) fn of_variable(name: &str, value: &str, expected: &str) -> Self {
        Self {
            place: None,
            elsewhere: format!("environment variable {name}"),
            text: format!("it is \"{value}\"; it must be {expected}"),
        }
    }

    /// A setting in a variable; `reason` is a whole sentence.
    pub(super) fn of_setting(variable: &str, reason: &str) -> Self {
        Self {
            place: None,
            elsewhere: format!("environment variable {variable}"),
            text: reason.to_owned(),
        }
    }

    pub(super) fn of_flag(long: &str, value: &str, reason: &str) -> Self {
        Self {
            place: None,
            elsewhere: format!("--{long}={value}"),
            text: reason.to_owned(),
        }
    }

    /// The line of the file it is in.
    pub(super) fn line(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.line)
    }

    fn of_source(long: &str, source: Option<&Source>, text: String) -> Self {
        match source {
            Some(Source::File(place)) => Self::in_file(place.clone(), Some(long), text),
            Some(Source::Variable(name)) => Self {
                place: None,
                elsewhere: format!("environment variable {name}"),
                text,
            },
            Some(Source::Flag | Source::Default) | None => Self {
                place: None,
                elsewhere: format!("--{long}"),
                text,
            },
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.text),
            None => write!(f, "{}: {}", self.elsewhere, self.text),
        }
    }
}

/// All problems, as the user reads them.
pub(super) fn listing(problems: &[Problem], terminal: &Terminal) -> String {
    let lines: Vec<String> = problems.iter().map(|problem| format!("  {problem}")).collect();
    let count = match problems.len() {
        1 => "one mistake".to_owned(),
        many => format!("{many} mistakes"),
    };
    format!(
        "{} the configuration has {count}:\n\n{}\n\nCorrect what is listed and try again. `cairn config` shows what is in force and where it comes from; \
         docs/configuration.md has all keys.",
        terminal.paint(Tone::Bad, "error:"),
        lines.join("\n")
    )
}

/// What does not go together, wherever the values come from.
pub(super) fn between(values: &BTreeMap<String, String>, sources: &Sources) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut tell = |long: &str, text: String| {
        problems.push(Problem::of_source(long, sources.flags.get(long), text));
    };
    for (one, other, what) in [
        ("tls-cert", "tls-key", "the private key of the certificate"),
        ("tls-key", "tls-cert", "the certificate of the key"),
    ] {
        if values.contains_key(one) && !values.contains_key(other) {
            tell(one, format!("it wants {other} beside it, {what}"));
        }
    }
    let is_on = |long: &str| values.get(long).is_some_and(|value| value == "true");
    let listens: Option<SocketAddr> = values.get("listen").and_then(|text| text.parse().ok());
    if let Some(address) = listens
        && !address.ip().is_loopback()
        && !values.contains_key("tls-cert")
        && !is_on("behind-proxy")
    {
        tell(
            "listen",
            format!(
                "{address} can be reached from other machines, for which there must be TLS: give tls-cert and tls-key, or behind-proxy where a \
                 proxy ends TLS"
            ),
        );
    }
    for long in ["tls-cert", "tls-key", "workerd"] {
        if let Some(path) = values.get(long).filter(|path| !Path::new(path).is_file()) {
            tell(long, format!("there is no file {path}"));
        }
    }
    problems
}
