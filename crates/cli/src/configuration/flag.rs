//! The flags of `cairn serve`, as the file and the reference know them.

use crate::args::Arguments;
use cairn_server::Config;
use clap::builder::Resettable;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory};
use std::any::TypeId;
use std::ffi::OsString;
use std::path::PathBuf;

/// Flags that are no configuration.
const OTHERS: [&str; 6] = [
    "config",
    "check",
    "help",
    "version",
    "verbose",
    super::SETTINGS_FLAG,
];

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Path,
    Number,
    Switch,
    List,
}

/// A flag of `serve`, and a key of the file.
#[derive(Debug, Clone)]
pub(super) struct Flag {
    pub(super) id: String,
    pub(super) long: String,
    pub(super) kind: Kind,
    pub(super) variable: Option<String>,
    pub(super) default: Option<String>,
    /// What the help shows for the value.
    pub(super) shown: String,
    /// The words it may be, if there are few.
    pub(super) words: Vec<String>,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for the reference, which a test makes")
    )]
    pub(super) about: String,
    /// Values are not shown.
    pub(super) is_secret: bool,
}

/// The command whose flags are the keys.
fn serve() -> Command {
    let mut all = Arguments::command();
    all.build();
    all.find_subcommand("serve").cloned().unwrap_or_default()
}

/// All flags, in the order of the help.
pub(super) fn all() -> Vec<Flag> {
    let of = |argument: &Arg| {
        let long = argument.get_long()?;
        (!OTHERS.contains(&long)).then(|| Flag::of(argument, long))
    };
    serve().get_arguments().filter_map(of).collect()
}

/// Whether a setting of the form `name=value` can be taken, or why not.
pub(super) fn check_setting(assignment: &str) -> Result<(), String> {
    let set = Config::new("", "").set(assignment);
    set.map_err(|error| error.to_string())
}

impl Flag {
    fn of(argument: &Arg, long: &str) -> Self {
        let names = argument.get_value_names().unwrap_or_default();
        let defaults = argument.get_default_values();
        let kind = kind(argument);
        Self {
            id: argument.get_id().as_str().to_owned(),
            long: long.to_owned(),
            kind,
            variable: argument.get_env().map(|name| name.to_string_lossy().into_owned()),
            default: match kind {
                Kind::Switch => Some("false".to_owned()),
                _ => defaults.first().map(|value| value.to_string_lossy().into_owned()),
            },
            shown: names.first().map(ToString::to_string).unwrap_or_default(),
            words: match kind {
                Kind::Switch => Vec::new(),
                _ => argument
                    .get_possible_values()
                    .iter()
                    .map(|value| value.get_name().to_owned())
                    .collect(),
            },
            about: argument.get_help().map(ToString::to_string).unwrap_or_default(),
            is_secret: argument.is_hide_env_values_set() || is_secret(long),
        }
    }

    /// What a value must be, for people.
    pub(super) fn expected(&self) -> String {
        if !self.words.is_empty() {
            let words: Vec<String> = self.words.iter().map(|word| format!("\"{word}\"")).collect();
            return format!("one of {}", words.join(", "));
        }
        match self.kind {
            Kind::Text if self.shown == "ADDRESS" => {
                "an address in quotes, such as \"127.0.0.1:8787\"".to_owned()
            }
            Kind::Text => "a text in quotes".to_owned(),
            Kind::Path => "a path in quotes".to_owned(),
            Kind::Number => "a whole number without quotes".to_owned(),
            Kind::Switch => "true or false".to_owned(),
            Kind::List => "a list of texts, such as [\"a\", \"b\"]".to_owned(),
        }
    }

    /// Whether the parser of the command line takes a value, or why not.
    pub(super) fn check(&self, value: &str) -> Result<(), String> {
        if self.kind == Kind::Switch {
            // Variables may say more than `true` and `false`; the parser knows what.
            return self.probe(format!("--{}", self.long).into(), Some(value));
        }
        self.probe(format!("--{}={value}", self.long).into(), None)
    }

    fn probe(&self, argument: OsString, switch: Option<&str>) -> Result<(), String> {
        if let Some(value) = switch {
            let known = [
                "true", "false", "1", "0", "yes", "no", "on", "off", "t", "f", "y", "n",
            ];
            return if known.contains(&value.to_ascii_lowercase().as_str()) {
                Ok(())
            } else {
                Err(self.expected())
            };
        }
        let alone = |argument: Arg| {
            argument
                .env(None::<&'static str>)
                .requires(Resettable::Reset)
                .conflicts_with(Resettable::Reset)
                .required(false)
        };
        let parsed = serve()
            .mut_args(alone)
            .try_get_matches_from([OsString::from("serve"), argument]);
        match parsed {
            Ok(_) => Ok(()),
            Err(error) => Err(self.reason(&error)),
        }
    }

    /// What the parser says, without what is said elsewhere.
    fn reason(&self, error: &clap::Error) -> String {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        match first.rsplit_once("': ") {
            Some((_, reason)) if self.words.is_empty() => format!("{} ({reason})", self.expected()),
            _ => self.expected(),
        }
    }

    /// The flags that say what the file says.
    pub(super) fn as_argument(&self, value: &str) -> Vec<OsString> {
        match self.kind {
            Kind::Switch if value == "true" => vec![format!("--{}", self.long).into()],
            Kind::Switch => Vec::new(),
            Kind::List => value
                .split('\n')
                .map(|value| format!("--{}={value}", self.long).into())
                .collect(),
            Kind::Text | Kind::Path | Kind::Number => vec![format!("--{}={value}", self.long).into()],
        }
    }

    /// The value as it was given.
    pub(super) fn raw(&self, matches: &ArgMatches) -> String {
        if self.kind == Kind::Switch {
            return matches.get_flag(&self.id).to_string();
        }
        let raw = matches.try_get_raw(&self.id).ok().flatten();
        let raw: Vec<String> = raw
            .into_iter()
            .flatten()
            .map(|value| value.to_string_lossy().into_owned())
            .collect();
        raw.join("\n")
    }
}

fn kind(argument: &Arg) -> Kind {
    match argument.get_action() {
        ArgAction::SetTrue | ArgAction::SetFalse => return Kind::Switch,
        ArgAction::Append => return Kind::List,
        _ => {}
    }
    let value = argument.get_value_parser().type_id();
    let numbers = [
        TypeId::of::<u8>(),
        TypeId::of::<u16>(),
        TypeId::of::<u32>(),
        TypeId::of::<u64>(),
        TypeId::of::<usize>(),
        TypeId::of::<i64>(),
    ];
    if numbers.iter().any(|number| value == *number) {
        Kind::Number
    } else if value == TypeId::of::<PathBuf>() {
        Kind::Path
    } else {
        Kind::Text
    }
}

fn is_secret(long: &str) -> bool {
    let names = ["token", "password", "secret", "passphrase"];
    names.iter().any(|name| long.ends_with(name))
}
