//! `cairn serve`.

use super::{SettingArguments, WorkerdArgument};
use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

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
