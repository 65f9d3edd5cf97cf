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
    read_from(
        std::env::args_os().collect(),
        &|name| std::env::var_os(name),
        Path::new(""),
    )
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

fn read_from(given: Vec<OsString>, environment: &Environment, folder: &Path) -> Result<Configured, Refused> {
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
    let mut gathered = Gathered::default();
    gathered.read_file(seen, environment, folder);
    gathered.take_flags(seen, environment);
    let between = problem::between(&gathered.values, &gathered.sources);
    gathered.problems.extend(between);
    gathered.take_settings(seen, environment);
    if !gathered.problems.is_empty() {
        gathered.problems.sort();
        return Err(Refused::Configuration(gathered.problems));
    }
    let mut given = given;
    given.splice(at + 1..at + 1, gathered.injected);
    strict(given, gathered.sources)
}

/// What is said, wherever it is said.
#[derive(Default)]
struct Gathered {
    /// What the file says, and where.
    file: file::Read,
    /// Values of flags in force, by long name.
    values: BTreeMap<String, String>,
    /// What the parser of the command line is given beside the flags that are there.
    injected: Vec<OsString>,
    sources: Sources,
    problems: Vec<Problem>,
}

impl Gathered {
    fn read_file(&mut self, seen: &ArgMatches, environment: &Environment, folder: &Path) {
        let read = file::find(seen, environment, folder).and_then(|path| match path {
            Some(path) => file::read(&path, &flag::all()).map(Some),
            None => Ok(None),
        });
        match read {
            Ok(Some(mut read)) => {
                self.problems.append(&mut read.problems);
                self.sources.file = Some(read.path.clone());
                self.file = read;
            }
            Ok(None) => {}
            Err(problem) => self.problems.push(problem),
        }
    }

    fn take_flags(&mut self, seen: &ArgMatches, environment: &Environment) {
        for flag in flag::all() {
            let is_flag = seen.try_contains_id(&flag.id).unwrap_or(false)
                && seen.value_source(&flag.id) == Some(ValueSource::CommandLine);
            let variable = flag.variable.as_deref();
            let variable = variable.and_then(|name| Some((name, environment(name)?)));
            let (value, source) = match (is_flag, variable, self.file.flags.get(&flag.long)) {
                (true, ..) => (Some(flag.raw(seen)), Source::Flag),
                (false, Some((name, value)), _) => {
                    let text = value.to_string_lossy().into_owned();
                    if let Err(expected) = flag.check(&text) {
                        self.problems.push(Problem::of_variable(name, &text, &expected));
                    }
                    (Some(text), Source::Variable(name.to_owned()))
                }
                (false, None, Some((value, place))) => {
                    self.injected.extend(flag.as_argument(value));
                    (Some(value.clone()), Source::File(place.clone()))
                }
                (false, None, None) => (flag.default.clone(), Source::Default),
            };
            self.values.extend(value.map(|value| (flag.long.clone(), value)));
            self.sources.flags.insert(flag.long, source);
        }
    }

    /// Settings of the file, then those of the environment, which flags would otherwise hide altogether, then those of flags.
    fn take_settings(&mut self, seen: &ArgMatches, environment: &Environment) {
        for (assignment, place) in std::mem::take(&mut self.file.settings) {
            self.inject(assignment, Source::File(place));
        }
        let variable = environment(SETTINGS_VARIABLE).unwrap_or_default();
        let text = variable.to_string_lossy().into_owned();
        for assignment in text.split(',').filter(|text| !text.is_empty()) {
            if let Err(error) = flag::check_setting(assignment) {
                let problem = Problem::of_setting(SETTINGS_VARIABLE, &error);
                self.problems.push(problem);
            }
            self.inject(
                assignment.to_owned(),
                Source::Variable(SETTINGS_VARIABLE.to_owned()),
            );
        }
        if seen.value_source(SETTINGS_FLAG) != Some(ValueSource::CommandLine) {
            return;
        }
        for assignment in seen.get_many::<String>(SETTINGS_FLAG).into_iter().flatten() {
            if let Err(error) = flag::check_setting(assignment) {
                let problem = Problem::of_flag(SETTINGS_FLAG, assignment, &error);
                self.problems.push(problem);
            }
            self.sources.settings.push((assignment.clone(), Source::Flag));
        }
    }

    fn inject(&mut self, assignment: String, source: Source) {
        self.injected
            .push(format!("--{SETTINGS_FLAG}={assignment}").into());
        self.sources.settings.push((assignment, source));
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
