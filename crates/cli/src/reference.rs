//! The second half of docs/cli.md, from the definition of the command line: a test keeps it true.

use crate::args::Arguments;
use clap::{Arg, Command, CommandFactory as _};
use std::fmt::Write as _;
use std::path::Path;

/// What stands before the part that is made.
const MARK: &str = "<!-- What follows is made from the command line itself: UPDATE_EXPECT=1 cargo test -p cairn-cli reference -->\n";

/// Options that every command has, or many; told once.
const COMMON: [&str; 8] = [
    "help",
    "version",
    "verbose",
    "url",
    "account",
    "token_file",
    "ca_file",
    "json",
];

/// Commands whose arguments are told in docs/configuration.md.
const ELSEWHERE: [&str; 2] = ["cairn serve", "cairn config"];

fn all() -> String {
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    let mut text = "\n## All commands\n\n| command | |\n|---|---|\n".to_owned();
    let mut pages = String::new();
    for inner in command.get_subcommands() {
        walk(inner, "cairn", (&mut text, &mut pages));
    }
    text + &pages
}

fn walk(command: &Command, path: &str, (table, pages): (&mut String, &mut String)) {
    let path = format!("{path} {}", command.get_name());
    let mut inner = command.get_subcommands().peekable();
    if inner.peek().is_none() {
        if ELSEWHERE.contains(&path.as_str()) {
            let _ = writeln!(table, "| [`{path}`](configuration.md) | {} |", about(command));
            return;
        }
        let anchor = path.replace(' ', "-");
        let _ = writeln!(table, "| [`{path}`](#{anchor}) | {} |", about(command));
        page(command, &path, pages);
    }
    for command in inner {
        walk(command, &path, (table, pages));
    }
}

fn about(command: &Command) -> String {
    cell(&command.get_about().map(ToString::to_string).unwrap_or_default())
}

fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

fn page(command: &Command, path: &str, pages: &mut String) {
    let _ = write!(
        pages,
        "\n### {path}\n\n{}.\n\n",
        about(command).trim_end_matches('.')
    );
    let _ = writeln!(pages, "```sh\n{}\n```", usage(command, path));
    let arguments: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| !COMMON.contains(&argument.get_id().as_str()) && !argument.is_hide_set())
        .collect();
    if !arguments.is_empty() {
        pages.push_str("\n| | |\n|---|---|\n");
    }
    for argument in arguments {
        let _ = writeln!(pages, "| `{}` | {} |", name(argument), explained(argument));
    }
    if let Some(after) = command.get_after_help() {
        let _ = write!(pages, "\n```text\n{}\n```\n", after.to_string().trim_end());
    }
}

/// The command with its arguments that have places.
fn usage(command: &Command, path: &str) -> String {
    let mut usage = path.to_owned();
    for argument in command.get_positionals() {
        let name = name(argument);
        let _ = match argument.is_required_set() {
            true => write!(usage, " {name}"),
            false => write!(usage, " [{name}]"),
        };
    }
    usage
}

fn name(argument: &Arg) -> String {
    let values = argument.get_value_names().unwrap_or_default();
    let value = values.first().map(ToString::to_string).unwrap_or_default();
    let takes_value = argument.get_action().takes_values();
    match argument.get_long() {
        None => value,
        Some(long) if takes_value => format!("--{long} {value}"),
        Some(long) => format!("--{long}"),
    }
}

fn explained(argument: &Arg) -> String {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let mut text = help.trim_end_matches('.').to_owned();
    let words: Vec<String> = argument
        .get_possible_values()
        .iter()
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !words.is_empty() && argument.get_action().takes_values() {
        let _ = write!(text, ": {}", words.join(", "));
    }
    let defaults: Vec<String> = argument
        .get_default_values()
        .iter()
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    if !defaults.is_empty() && argument.get_action().takes_values() {
        let _ = write!(text, " [default: {}]", defaults.join(", "));
    }
    if let Some(variable) = argument.get_env() {
        let _ = write!(text, " [`{}`]", variable.to_string_lossy());
    }
    cell(&text)
}

#[test]
fn the_reference_says_what_the_command_line_is() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let (head, made) = text.split_once(MARK).unwrap();
    let expected = all();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&file, format!("{head}{MARK}{expected}")).unwrap();
        return;
    }
    assert!(
        made == expected,
        "docs/cli.md is behind the command line: UPDATE_EXPECT=1 cargo test -p cairn-cli reference"
    );
}

#[test]
fn every_command_and_argument_is_explained() {
    fn check(command: &Command) {
        assert!(
            command.get_about().is_some(),
            "{} is not explained",
            command.get_name()
        );
        for argument in command.get_arguments() {
            assert!(
                argument.get_help().is_some(),
                "{} of {} is not explained",
                argument.get_id(),
                command.get_name()
            );
        }
        command.get_subcommands().for_each(check);
    }
    let mut command = Arguments::command();
    command.build();
    check(&command);
}

#[test]
fn help_fits_a_terminal_of_a_hundred_columns() {
    fn check(command: &Command) {
        let after = command.get_after_help().map(ToString::to_string);
        for line in after.iter().flat_map(|text| text.lines()) {
            assert!(line.chars().count() <= 100, "{}: {line}", command.get_name());
        }
        command.get_subcommands().for_each(check);
    }
    check(&Arguments::command());
}
