//! `cairn doctor`, `cairn completions` and `cairn man`.

use super::{RemoteArguments, ToolArguments};
use clap::Args;
use clap_complete::Shell;
use std::path::PathBuf;

/// Arguments of `cairn doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each check ends as ok, as a warning or as a problem, and says what to do. Exits with 1 if there is a
problem. Nothing is changed: the database is opened for reading, and the test of the disk writes a
small file that it removes.")]
pub(crate) struct DoctorArguments {
    /// The data directory of the server [default: as `cairn serve` finds it].
    #[arg(long, env = "CAIRN_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The configuration file of the server [default: cairn.toml, if there is one].
    #[arg(long, env = "CAIRN_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Leave out the server: check this machine alone.
    #[arg(long)]
    pub(crate) offline: bool,
    #[command(flatten)]
    pub(crate) tools: ToolArguments,
    #[command(flatten)]
    pub(crate) remote: RemoteArguments,
}

/// Arguments of `cairn completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
To install them:
  bash        cairn completions bash > ~/.local/share/bash-completion/completions/cairn
  zsh         cairn completions zsh > \"${fpath[1]}/_cairn\"
  fish        cairn completions fish > ~/.config/fish/completions/cairn.fish
  powershell  cairn completions powershell >> $PROFILE
  elvish      cairn completions elvish >> ~/.config/elvish/rc.elv")]
pub(crate) struct CompletionsArguments {
    /// The shell.
    pub(crate) shell: Shell,
}

/// Arguments of `cairn man`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cairn man | man -l -
  cairn man --dir /usr/local/share/man/man1")]
pub(crate) struct ManArguments {
    /// Write cairn.1 and a page for each command into this folder, instead of cairn.1 to standard output.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}
