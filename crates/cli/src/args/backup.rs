//! `cairn backup` and `cairn restore`.

use clap::Args;
use std::path::PathBuf;

/// Arguments of `cairn backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArguments {
    /// The data directory of the server, which may run.
    #[arg(long, env = "CAIRN_DATA_DIR", default_value = ".cairn", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// The folder to make. Nothing that exists is overwritten.
    #[arg(value_name = "FOLDER")]
    pub(crate) to: PathBuf,
}

/// Arguments of `cairn restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    /// The folder of a backup.
    #[arg(value_name = "FOLDER")]
    pub(crate) from: PathBuf,
    /// The data directory to restore; no server may be using it.
    #[arg(long, env = "CAIRN_DATA_DIR", default_value = ".cairn", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Keep a database that is there beside the restored one, under a name with the date.
    #[arg(long)]
    pub(crate) force: bool,
}
