//! The command line. Each command's arguments are in a file of their own; here is what they share.

mod access;
mod backup;
mod deploy;
mod instances;
mod machine;
mod remote;
mod run;
mod serve;
mod workflows;

pub(crate) use access::{AuditArguments, ScopeArgument, TokenArguments, TokenCommand, TokenCreateArguments};
pub(crate) use backup::{BackupArguments, RestoreArguments};
pub(crate) use deploy::DeployArguments;
pub(crate) use instances::{
    DeleteArguments, DescribeArguments, InstancesArguments, InstancesCommand, ListArguments, LogsArguments,
    OutputArguments, OutputKind, RestartArguments, SelectionArguments, SendEventArguments, StatusArgument,
    StepKindArgument, TerminateArguments,
};
pub(crate) use machine::{CompletionsArguments, DoctorArguments, ManArguments};
pub(crate) use remote::{ConsentArgument, RemoteArguments};
pub(crate) use run::{DevArguments, RunArguments};
pub(crate) use serve::{ConfigArguments, EgressArgument, ServeArguments};
pub(crate) use workflows::{TriggerArguments, WorkflowsArguments, WorkflowsCommand};

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

const EXIT_CODES: &str = "\
Exit codes:
  0    it was done
  1    it was done, and the outcome is bad: the instance failed, a check found a problem, or some
       of several could not be changed
  2    it could not be done: wrong arguments, no server, or the server refused
  130  you stopped it

Results go to standard output, everything else to standard error. `cairn man` prints the manual.";

/// Durable workflows on your own machines, with the API, the classes and the tools of Cloudflare Workflows.
#[derive(Debug, Parser)]
#[command(name = "cairn", version, max_term_width = 100, after_help = EXIT_CODES)]
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
    /// Print the configuration that `serve` would have with these flags, and where each value comes from.
    Config(ConfigArguments),
    /// Run one instance of a project's workflow to its end and print its output.
    Run(RunArguments),
    /// Serve a project on this machine and deploy it again whenever it changes.
    Dev(DevArguments),
    /// Bundle a project and deploy it, with its workflows, to a server.
    Deploy(DeployArguments),
    /// List, describe, delete and trigger workflows.
    Workflows(WorkflowsArguments),
    /// List, follow and steer instances of workflows.
    Instances(InstancesArguments),
    /// Make, list and revoke API tokens.
    Token(TokenArguments),
    /// Show who changed what.
    Audit(AuditArguments),
    /// Copy the data of a server, which may run, into a folder.
    Backup(BackupArguments),
    /// Put a backup into a data directory.
    Restore(RestoreArguments),
    /// Check this machine and the server, and say what to do.
    Doctor(DoctorArguments),
    /// Print the completions of a shell.
    Completions(CompletionsArguments),
    /// Print the manual, or write it into a folder.
    Man(ManArguments),
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
