//! `cairn workflows`.

use super::{ConsentArgument, RemoteArguments};
use clap::{Args, Subcommand};

/// Arguments of `cairn workflows`.
#[derive(Debug, Args)]
pub(crate) struct WorkflowsArguments {
    #[command(subcommand)]
    pub(crate) command: WorkflowsCommand,
    #[command(flatten)]
    pub(crate) remote: RemoteArguments,
}

/// What to do with workflows.
#[derive(Debug, Subcommand)]
pub(crate) enum WorkflowsCommand {
    /// List the workflows of the account.
    #[command(visible_alias = "ls")]
    List {
        /// Only those whose name has this part.
        #[arg(long, value_name = "PART")]
        search: Option<String>,
    },
    /// Show one workflow: its class, its schedules, its instances by state.
    Describe {
        /// Its name.
        workflow: String,
    },
    /// List the versions of a workflow, newest first.
    Versions {
        /// Its name.
        workflow: String,
        /// At most this many.
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: usize,
    },
    /// Delete a workflow with all its instances.
    Delete {
        /// Its name.
        workflow: String,
        #[command(flatten)]
        consent: ConsentArgument,
    },
    /// Start an instance of a workflow.
    Trigger(TriggerArguments),
}

/// Arguments of `cairn workflows trigger`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cairn workflows trigger order '{\"item\":\"boat\"}' --id order-17
  cairn workflows trigger order @params.json
  jq .order mail.json | cairn workflows trigger order -
  cairn workflows trigger order --wait   its output on standard output; exits with 1 if it fails")]
pub(crate) struct TriggerArguments {
    /// The workflow's name.
    pub(crate) workflow: String,
    /// The parameters, event.payload in the workflow: JSON, @FILE with JSON, or - for standard input.
    #[arg(value_name = "PARAMS")]
    pub(crate) params: Option<String>,
    /// The same, as an option.
    #[arg(long = "params", value_name = "PARAMS", conflicts_with = "params")]
    pub(crate) params_option: Option<String>,
    /// The instance's id [default: one is made up].
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
    /// Follow the instance to its end and print its output.
    #[arg(long)]
    pub(crate) wait: bool,
}
