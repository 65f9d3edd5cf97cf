//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
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

/// Arguments of `cairn serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// Where everything is kept.
    #[arg(long, env = "CAIRN_DATA_DIR", default_value = ".cairn", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// The address to listen on.
    #[arg(
        long,
        env = "CAIRN_LISTEN",
        default_value = "127.0.0.1:8787",
        value_name = "ADDRESS"
    )]
    pub(crate) listen: SocketAddr,
    /// Which addresses the code of Workers may reach.
    #[arg(long, env = "CAIRN_EGRESS", value_enum, default_value_t = EgressArgument::Public)]
    pub(crate) egress: EgressArgument,
    /// Seconds after which a Worker's process without work is stopped.
    #[arg(
        long,
        env = "CAIRN_PROCESS_IDLE",
        default_value_t = 60,
        value_name = "SECONDS"
    )]
    pub(crate) process_idle: u64,
    #[command(flatten)]
    pub(crate) settings: SettingArguments,
    #[command(flatten)]
    pub(crate) workerd: WorkerdArgument,
}

/// Which addresses the code of Workers may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EgressArgument {
    /// Public addresses: not this machine, not its network.
    Public,
    /// Any address.
    Any,
}

/// Arguments of `cairn run`.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The folder of a wrangler project, or its configuration file.
    pub(crate) project: PathBuf,
    /// Which of its workflows; needed when it has several.
    #[arg(long, value_name = "NAME")]
    pub(crate) workflow: Option<String>,
    /// The parameters, `event.payload` in the workflow.
    #[arg(long, value_name = "JSON")]
    pub(crate) params: Option<String>,
    /// The instance's id. If there is one, it goes on where it stopped.
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
    /// Where everything is kept [default: .cairn in the project].
    #[arg(long, env = "CAIRN_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: SettingArguments,
    #[command(flatten)]
    pub(crate) tools: ToolArguments,
}

/// Arguments of `cairn dev`.
#[derive(Debug, Args)]
pub(crate) struct DevArguments {
    /// The folder of a wrangler project, or its configuration file.
    #[arg(default_value = ".")]
    pub(crate) project: PathBuf,
    /// The port on this machine; 0 takes a free one.
    #[arg(long, default_value_t = 8787)]
    pub(crate) port: u16,
    /// Where everything is kept [default: .cairn in the project].
    #[arg(long, env = "CAIRN_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: SettingArguments,
    #[command(flatten)]
    pub(crate) tools: ToolArguments,
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
