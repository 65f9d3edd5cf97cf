//! The cairn command. [`main`] is the table of contents: one line a subcommand.

mod access;
mod args;
mod backup;
mod bundle;
mod client;
mod configuration;
mod deploy;
mod dev;
mod doctor;
mod failure;
mod follow;
mod input;
mod instances;
mod local;
mod log;
mod memory;
mod moment;
mod output;
mod pages;
mod project;
#[cfg(test)]
mod reference;
mod release;
mod remote;
mod run;
mod serve;
mod shell;
mod signals;
mod steps;
mod terminal;
mod tools;
mod workflows;

use args::{Arguments, Command};
use configuration::Configured;
use std::process::ExitCode;
use terminal::{Terminal, Tone};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The instance completed, or the server was stopped.
    Complete,
    /// The instance failed or was terminated.
    Errored,
    /// The user stopped it before its end.
    Stopped,
}

/// What the shell sees for a command that could not be carried out.
const UNUSABLE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let terminal = Terminal::stderr();
    let Configured { arguments, sources } = match configuration::read() {
        Ok(configured) => configured,
        Err(refused) => return ExitCode::from(refused.tell(&terminal)),
    };
    start_log(&arguments, &terminal);
    let outcome = match &arguments.command {
        Command::Serve(arguments) => serve::serve(arguments, &sources, &terminal).await,
        Command::Config(arguments) => serve::config(arguments, &sources),
        Command::Run(arguments) => run::run(arguments, &terminal).await,
        Command::Dev(arguments) => dev::dev(arguments, &terminal).await,
        Command::Deploy(arguments) => release::deploy(arguments, &terminal).await,
        Command::Workflows(arguments) => workflows::workflows(arguments, &terminal).await,
        Command::Instances(arguments) => instances::instances(arguments, &terminal).await,
        Command::Token(arguments) => access::token(arguments, &terminal).await,
        Command::Audit(arguments) => access::audit(arguments, &terminal).await,
        Command::Doctor(arguments) => doctor::doctor(arguments, &terminal).await,
        Command::Completions(arguments) => shell::completions(arguments),
        Command::Man(arguments) => shell::man(arguments),
        Command::Backup(arguments) => backup::backup(arguments, &terminal).await,
        Command::Restore(arguments) => backup::restore(arguments, &terminal).await,
    };
    match outcome {
        Ok(Exit::Complete) => ExitCode::SUCCESS,
        Ok(Exit::Errored) => ExitCode::FAILURE,
        Ok(Exit::Stopped) => ExitCode::from(130),
        Err(failure) => {
            let label = terminal.paint(Tone::Bad, "error:");
            terminal.line(&format!("{label} {failure}"));
            ExitCode::from(UNUSABLE)
        }
    }
}

/// The log goes to standard error. What user code prints with `console` is in it from the start, the server's own remarks only when asked for,
/// except that `serve` has nothing else to show.
fn start_log(arguments: &Arguments, terminal: &Terminal) {
    let quiet = match arguments.command {
        Command::Serve(_) => "info",
        Command::Run(_) | Command::Dev(_) => "warn,cairn::user=info",
        Command::Config(_)
        | Command::Deploy(_)
        | Command::Workflows(_)
        | Command::Instances(_)
        | Command::Token(_)
        | Command::Audit(_)
        | Command::Backup(_)
        | Command::Restore(_)
        | Command::Doctor(_)
        | Command::Completions(_)
        | Command::Man(_) => "warn",
    };
    let level = match arguments.verbose {
        0 => quiet,
        1 => "info",
        2 => "info,cairn=debug,cairn_server=debug,cairn_engine=debug,cairn_runtime=debug,cairn_store=debug",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("CAIRN_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(terminal.has_colour())
        .with_writer(terminal.clone())
        .with_filter(filter);
    if arguments.verbose >= 2 {
        return tracing_subscriber::registry().with(lines).init();
    }
    let sparing = log::Sparing::default();
    tracing_subscriber::registry()
        .with(lines.with_filter(sparing.clone()))
        .init();
    tokio::spawn(sparing.keep_telling());
}
