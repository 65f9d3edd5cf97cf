//! `cairn run` and `cairn dev`.

use super::{SettingArguments, ToolArguments};
use clap::Args;
use std::path::PathBuf;

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
