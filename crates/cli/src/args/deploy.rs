//! `cairn deploy`.

use super::{RemoteArguments, ToolArguments};
use clap::Args;
use std::path::PathBuf;

/// Arguments of `cairn deploy`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cairn deploy                            the project in this folder, to http://127.0.0.1:8787
  cairn deploy examples/order --dry-run   what would be deployed
  cairn deploy --url https://cairn.example --secrets-file production.env --tag v1.4.0

Secrets stay as they are unless --secrets-file names new ones. The file .dev.vars is for `cairn run`
and `cairn dev` alone and is not deployed.")]
pub(crate) struct DeployArguments {
    /// The folder of a wrangler project, or its configuration file.
    #[arg(default_value = ".")]
    pub(crate) project: PathBuf,
    /// Deploy under this name instead of the configuration's.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Bundle and check, print what would be deployed, and send nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// A file with secrets: NAME=value lines, or a JSON object of strings.
    #[arg(long, value_name = "FILE")]
    pub(crate) secrets_file: Option<PathBuf>,
    /// What this version is about, shown in the list of versions.
    #[arg(long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// A tag of this version, such as a release or a commit.
    #[arg(long, value_name = "TEXT")]
    pub(crate) tag: Option<String>,
    #[command(flatten)]
    pub(crate) tools: ToolArguments,
    #[command(flatten)]
    pub(crate) remote: RemoteArguments,
}
