//! The command line. Each command's arguments are in a file of their own; here is what they share.

mod run;
mod serve;

pub(crate) use run::{DevArguments, RunArguments};
pub(crate) use serve::{EgressArgument, ServeArguments};

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Durable workflows on your own machines, with the API, the classes and the tools of Cloudflare Workflows.
#[derive(Debug, Parser)]
#[command(name = "cairn", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Say more on standard error; twice for still more. CAIRN_LOG takes filters such as `cairn_engine=debug`.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server that wrangler and the SDKs talk to.
    Serve(ServeArguments),
    /// Run one instance of a project's workflow to its end and print its output.
    Run(RunArguments),
    /// Serve a project on this machine and deploy it again whenever it changes.
    Dev(DevArguments),
}

/// Limits.
#[derive(Debug, Args)]
pub(crate) struct SettingArguments {
    /// A limit, such as limits.steps=25000; may be given several times. A name that is none prints all there are.
    #[arg(
        long = "set",
        env = "CAIRN_SET",
        value_name = "NAME=VALUE",
        value_delimiter = ','
    )]
    pub(crate) set: Vec<String>,
}

impl SettingArguments {
    /// These, after a default of the command's own.
    pub(crate) fn after(&self, default: &str) -> Self {
        let set = [default.to_owned()].into_iter().chain(self.set.iter().cloned());
        Self { set: set.collect() }
    }
}

/// Where the runtime is.
#[derive(Debug, Args)]
pub(crate) struct WorkerdArgument {
    /// The native workerd program [default: found in node_modules or on PATH, else fetched once with npm].
    #[arg(long, env = "CAIRN_WORKERD", value_name = "FILE")]
    pub(crate) workerd: Option<PathBuf>,
}

/// Where the tools are.
#[derive(Debug, Args)]
pub(crate) struct ToolArguments {
    #[command(flatten)]
    pub(crate) workerd: WorkerdArgument,
    /// The native esbuild program [default: as with workerd].
    #[arg(long, env = "CAIRN_ESBUILD", value_name = "FILE")]
    pub(crate) esbuild: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
