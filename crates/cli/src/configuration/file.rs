//! The file: TOML, whose keys are flags and whose tables are settings.

use super::flag::{self, Flag, Kind};
use super::near;
use super::problem::{Place, Problem};
use super::{DEFAULT_FILE, Environment, FILE_VARIABLE};
use cairn_server::{SettingInfo, settings};
use clap::ArgMatches;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

/// What a file says, and what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) path: PathBuf,
    /// Values of flags by long name, as a flag would have them.
    pub(super) flags: BTreeMap<String, (String, Place)>,
    /// Settings as `name=value`.
    pub(super) settings: Vec<(String, Place)>,
    pub(super) problems: Vec<Problem>,
}

/// The file to read: the one that is named, else the default if it is there.
///
/// # Errors
/// When the one that is named is not there.
pub(super) fn find(
    seen: &ArgMatches,
    environment: &Environment,
    folder: &Path,
) -> Result<Option<PathBuf>, Problem> {
    let named = seen.try_get_one::<PathBuf>("config").ok().flatten().cloned();
    let named = named.or_else(|| environment(FILE_VARIABLE).map(PathBuf::from));
    match named {
        Some(path) if folder.join(&path).is_file() => Ok(Some(folder.join(path))),
        Some(path) => Err(Problem::of_file(
            &path,
            "there is no such file; correct --config or CAIRN_CONFIG".to_owned(),
        )),
        None => Ok(Some(folder.join(DEFAULT_FILE)).filter(|path| path.is_file())),
    }
}

/// Reads and checks a file.
///
/// # Errors
/// When it cannot be read at all.
pub(super) fn read(path: &Path, flags: &[Flag]) -> Result<Read, Problem> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Problem::of_file(path, format!("it cannot be read: {error}")))?;
    let mut reader = Reader {
        text: &text,
        flags,
        settings: settings(),
        read: Read {
            path: path.to_owned(),
            ..Read::default()
        },
    };
    let (table, errors) = DeTable::parse_recoverable(&text);
    for error in &errors {
        let place = reader.place(error.span().map_or(0, |span| span.start));
        let problem = Problem::in_file(place, None, error.message().to_owned());
        reader.read.problems.push(problem);
    }
    // What a line that is no TOML was meant to say cannot be known.
    let broken: Vec<usize> = reader.read.problems.iter().filter_map(Problem::line).collect();
    for (key, value) in table.get_ref() {
        if !broken.contains(&reader.place(key.span().start).line) {
            reader.entry(key, value);
        }
    }
    Ok(reader.read)
}

struct Reader<'a> {
    text: &'a str,
    flags: &'a [Flag],
    settings: Vec<SettingInfo>,
    read: Read,
}

type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;

impl Reader<'_> {
    fn entry(&mut self, key: &Key<'_>, value: &Spanned<DeValue<'_>>) {
        let name = key.get_ref().as_ref();
        if let DeValue::Table(table) = value.get_ref() {
            for (inner, value) in table {
                self.setting((name, inner), value);
            }
            let is_table = self
                .settings
                .iter()
                .any(|setting| setting.name.split('.').next() == Some(name));
            if table.is_empty() && !is_table {
                self.unknown(key, name);
            }
            return;
        }
        let Some(flag) = self.flags.iter().find(|flag| flag.long == name).cloned() else {
            return self.unknown(key, name);
        };
        match self.value(&flag, value.get_ref()) {
            Ok(value) => {
                let place = self.place(key.span().start);
                self.read.flags.insert(flag.long, (value, place));
            }
            Err(reason) => self.wrong((value, name), reason),
        }
    }

    fn setting(&mut self, (table, key): (&str, &Key<'_>), value: &Spanned<DeValue<'_>>) {
        let name = format!("{table}.{}", key.get_ref());
        let Some(setting) = self.settings.iter().find(|setting| setting.name == name) else {
            return self.unknown(key, &name);
        };
        let is_switch = (setting.least, setting.most) == (0, 1);
        let text = match value.get_ref() {
            DeValue::Integer(number) => plain(number),
            DeValue::Boolean(on) if is_switch => u8::from(*on).to_string(),
            other => {
                let reason = format!(
                    "it must be a whole number without quotes, not {}",
                    described(other)
                );
                return self.wrong((value, &name), reason);
            }
        };
        let range = format!(
            "it must be a whole number from {} to {}",
            setting.least, setting.most
        );
        let assignment = format!("{name}={text}");
        match flag::check_setting(&assignment) {
            Ok(()) => {
                let place = self.place(key.span().start);
                self.read.settings.push((assignment, place));
            }
            Err(_) => self.wrong((value, &name), format!("it is {text}; {range}")),
        }
    }

    /// A value as a flag would have it.
    fn value(&self, flag: &Flag, value: &DeValue<'_>) -> Result<String, String> {
        let wrong = || format!("it must be {}, not {}", flag.expected(), described(value));
        let text = match (flag.kind, value) {
            (Kind::Switch, DeValue::Boolean(on)) => on.to_string(),
            (Kind::Number, DeValue::Integer(number)) => plain(number),
            (Kind::Text, DeValue::String(text)) => text.to_string(),
            (Kind::Path, DeValue::String(text)) => self.resolved(text),
            (Kind::List, DeValue::Array(values)) => {
                let texts: Option<Vec<&str>> = values.iter().map(|value| value.get_ref().as_str()).collect();
                texts.ok_or_else(wrong)?.join("\n")
            }
            _ => return Err(wrong()),
        };
        let pieces = match flag.kind {
            Kind::List => text.split('\n').collect(),
            _ => vec![text.as_str()],
        };
        for piece in pieces {
            flag.check(piece)
                .map_err(|expected| format!("it is \"{piece}\"; it must be {expected}"))?;
        }
        Ok(text)
    }

    /// Paths are relative to the folder of the file.
    fn resolved(&self, path: &str) -> String {
        let folder = self.read.path.parent().unwrap_or(Path::new(""));
        folder.join(path).to_string_lossy().into_owned()
    }

    fn unknown(&mut self, key: &Key<'_>, name: &str) {
        let flags = self.flags.iter().map(|flag| flag.long.as_str());
        let known: Vec<&str> = flags
            .chain(self.settings.iter().map(|setting| setting.name))
            .collect();
        let text = match near::nearest(name, &known) {
            Some(near) => format!("there is no such key; did you mean \"{near}\"?"),
            None => "there is no such key; docs/configuration.md has all".to_owned(),
        };
        let place = self.place(key.span().start);
        self.read.problems.push(Problem::in_file(place, Some(name), text));
    }

    fn wrong(&mut self, (value, name): (&Spanned<DeValue<'_>>, &str), reason: String) {
        let place = self.place(value.span().start);
        self.read
            .problems
            .push(Problem::in_file(place, Some(name), reason));
    }

    fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Place {
            file: self.read.path.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// A number as a flag takes it, whatever its base.
fn plain(number: &DeInteger<'_>) -> String {
    let value = i128::from_str_radix(number.as_str(), number.radix());
    value.map_or_else(|_| number.to_string(), |value| value.to_string())
}

fn described(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
