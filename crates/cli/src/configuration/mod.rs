//! The configuration of `cairn serve`: flags before the environment before a file before defaults, with everything that is wrong told at once.
//!
//! The keys of the file are the long flags of `serve`, and the tables of settings. What the file says is given to the parser of the command line as
//! flags, where neither a flag nor a variable says otherwise; so whatever `serve` learns to take, the file takes.

mod effective;
mod file;
mod flag;
mod near;
mod problem;
#[cfg(test)]
mod reference;

pub(crate) use effective::show;

use crate::args::Arguments;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use problem::{Place, Problem};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The commands that read the file.
const COMMANDS: [&str; 2] = ["serve", "config"];
/// Read when no file is named, if it is there.
const DEFAULT_FILE: &str = "cairn.toml";
const FILE_VARIABLE: &str = "CAIRN_CONFIG";
const SETTINGS_VARIABLE: &str = "CAIRN_SET";
const SETTINGS_FLAG: &str = "set";

/// The command line, with what the file says.
pub(crate) struct Configured {
    /// As if all had been given as flags.
    pub(crate) arguments: Arguments,
    /// Where the values of `serve` come from.
    pub(crate) sources: Sources,
}

/// Why there is no command line.
pub(crate) enum Refused {
    /// The flags themselves; or help was asked for.
    Flags(clap::Error),
    /// The file, the environment, or how they go together.
    Configuration(Vec<Problem>),
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Flag,
    Variable(String),
    File(Place),
    Default,
}

/// Where the values come from: of flags by their long names, of settings by theirs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    pub(crate) file: Option<PathBuf>,
    pub(crate) flags: BTreeMap<String, Source>,
    /// Each assignment, the last of a name counts.
    pub(crate) settings: Vec<(String, Source)>,
    /// The values of `serve`.
    pub(crate) matches: Option<ArgMatches>,
}

/// Variables of the environment by name.
pub(crate) type Environment = dyn Fn(&str) -> Option<OsString>;

/// The command line of this process.
///
/// # Errors
/// [`Refused`]
pub(crate) fn read() -> Result<Configured, Refused> {
    read_from(std::env::args_os().collect(), &|name| std::env::var_os(name), Path::new(""))
}

/// The configuration that `serve` has without flags but for a file that is named; or what is wrong with it, a mistake a line.
///
/// # Errors
/// The mistakes.
pub(crate) fn of_serve(file: Option<&Path>) -> Result<Configured, String> {
    let mut given: Vec<OsString> = vec!["cairn".into(), "serve".into()];
    if let Some(file) = file {
        given.extend(["--config".into(), file.into()]);
    }
    let configured = read_from(given, &|name| std::env::var_os(name), Path::new(""));
    configured.map_err(|refused| match refused {
        Refused::Flags(error) => error.to_string(),
        Refused::Configuration(problems) => {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            lines.join("\n")
        }
    })
}

fn read_from(
    given: Vec<OsString>,
    environment: &Environment,
    folder: &Path,
) -> Result<Configured, Refused> {
    let lenient = Arguments::command()
        .ignore_errors(true)
        .try_get_matches_from(&given);
    // What is asked for is help, or is wrong in a way that the strict parser tells.
    let Some((command, seen)) = lenient.as_ref().ok().and_then(ArgMatches::subcommand) else {
        return strict(given, Sources::default());
    };
    if !COMMANDS.contains(&command) {
        return strict(given, Sources::default());
    }
    let at = given.iter().position(|argument| argument == command);
    let Some(at) = at else {
        return strict(given, Sources::default());
    };
    let mut problems = Vec::new();
    let flags = flag::all();
    let read = file::find(seen, environment, folder).and_then(|path| match path {
        Some(path) => file::read(&path, &flags).map(Some),
        None => Ok(None),
    });
    let read = read.unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    let mut sources = Sources::default();
    let mut injected = Vec::new();
    let mut values = BTreeMap::new();
    let (path, from_file, settings) = match read {
        Some(read) => {
            problems.extend(read.problems);
            (Some(read.path), read.flags, read.settings)
        }
        None => (None, BTreeMap::new(), Vec::new()),
    };
    sources.file = path;
    for flag in &flags {
        let is_flag = seen.try_contains_id(&flag.id).unwrap_or(false)
            && seen.value_source(&flag.id) == Some(ValueSource::CommandLine);
        let variable = flag.variable.as_deref().and_then(|name| Some((name, environment(name)?)));
        let source = match (is_flag, variable, from_file.get(&flag.long)) {
            (true, ..) => {
                values.insert(flag.long.clone(), flag.raw(seen));
                Source::Flag
            }
            (false, Some((name, value)), _) => {
                let text = value.to_string_lossy().into_owned();
                if let Err(expected) = flag.check(&text) {
                    problems.push(Problem::of_variable(name, &text, &expected));
                }
                values.insert(flag.long.clone(), text);
                Source::Variable(name.to_owned())
            }
            (false, None, Some((value, place))) => {
                injected.extend(flag.as_argument(value));
                values.insert(flag.long.clone(), value.clone());
                Source::File(place.clone())
            }
            (false, None, None) => {
                values.extend(flag.default.clone().map(|value| (flag.long.clone(), value)));
                Source::Default
            }
        };
        sources.flags.insert(flag.long.clone(), source);
    }
    problems.extend(problem::between(&values, &sources));
    for (assignment, place) in settings {
        injected.push(format!("--{SETTINGS_FLAG}={assignment}").into());
        sources.settings.push((assignment, Source::File(place)));
    }
    take_settings(seen, environment, (&mut injected, &mut sources, &mut problems));
    if !problems.is_empty() {
        problems.sort();
        return Err(Refused::Configuration(problems));
    }
    let mut given = given;
    given.splice(at + 1..at + 1, injected);
    strict(given, sources)
}

/// Settings of the environment, which flags would otherwise hide altogether, then those of flags.
fn take_settings(
    seen: &ArgMatches,
    environment: &Environment,
    (injected, sources, problems): (&mut Vec<OsString>, &mut Sources, &mut Vec<Problem>),
) {
    if let Some(variable) = environment(SETTINGS_VARIABLE) {
        let text = variable.to_string_lossy().into_owned();
        for assignment in text.split(',').filter(|text| !text.is_empty()) {
            if let Err(error) = flag::check_setting(assignment) {
                problems.push(Problem::of_variable(SETTINGS_VARIABLE, assignment, &error));
            }
            injected.push(format!("--{SETTINGS_FLAG}={assignment}").into());
            let source = Source::Variable(SETTINGS_VARIABLE.to_owned());
            sources.settings.push((assignment.to_owned(), source));
        }
    }
    if seen.value_source(SETTINGS_FLAG) != Some(ValueSource::CommandLine) {
        return;
    }
    for assignment in seen.get_many::<String>(SETTINGS_FLAG).into_iter().flatten() {
        if let Err(error) = flag::check_setting(assignment) {
            problems.push(Problem::of_flag(SETTINGS_FLAG, assignment, &error));
        }
        sources.settings.push((assignment.clone(), Source::Flag));
    }
}

fn strict(given: Vec<OsString>, mut sources: Sources) -> Result<Configured, Refused> {
    let matches = Arguments::command()
        .try_get_matches_from(given)
        .map_err(Refused::Flags)?;
    let arguments = Arguments::from_arg_matches(&matches).map_err(Refused::Flags)?;
    sources.matches = matches.subcommand().map(|(_, matches)| matches.clone());
    Ok(Configured { arguments, sources })
}

impl Refused {
    /// Tells what is wrong, and with which code the process ends.
    pub(crate) fn tell(&self, terminal: &crate::terminal::Terminal) -> u8 {
        match self {
            Self::Flags(error) => {
                // A closed standard output is no reason to say more.
                let _ = error.print();
                u8::try_from(error.exit_code()).unwrap_or(2)
            }
            Self::Configuration(problems) => {
                terminal.line(&problem::listing(problems, terminal));
                2
            }
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
