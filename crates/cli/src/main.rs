//! The cairn command. [`main`] is the table of contents: one line a subcommand.

mod args;
mod bundle;
mod client;
mod deploy;
mod dev;
mod failure;
mod local;
mod project;
mod run;
mod serve;
mod signals;
mod steps;
mod terminal;
mod tools;

use args::{Arguments, Command};
use clap::Parser;
use std::process::ExitCode;
use terminal::{Terminal, Tone};
use tracing_subscriber::EnvFilter;

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
    let arguments = Arguments::parse();
    let terminal = Terminal::stderr();
    start_log(&arguments, &terminal);
    let outcome = match &arguments.command {
        Command::Serve(arguments) => serve::serve(arguments, &terminal).await,
        Command::Run(arguments) => run::run(arguments, &terminal).await,
        Command::Dev(arguments) => dev::dev(arguments, &terminal).await,
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
    };
    let level = match arguments.verbose {
        0 => quiet,
        1 => "info",
        2 => "info,cairn=debug,cairn_server=debug,cairn_engine=debug,cairn_runtime=debug,cairn_store=debug",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("CAIRN_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(terminal.has_colour())
        .with_writer(terminal.clone())
        .init();
}
