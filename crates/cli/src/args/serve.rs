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
    /// The certificate for HTTPS, in PEM, with those between it and a root. An address of other machines wants one.
    #[arg(long, env = "CAIRN_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its private key, in PEM, without a passphrase.
    #[arg(long, env = "CAIRN_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// A proxy in front ends TLS, and says in X-Forwarded-For where requests come from: nobody else can reach this address.
    #[arg(long, env = "CAIRN_BEHIND_PROXY")]
    pub(crate) behind_proxy: bool,
    /// A file with the key that secrets of Workers are encrypted with: 32 bytes in base64. CAIRN_SECRETS_KEY may hold the key itself.
    /// Without either a key is made in the data directory when the first secret comes.
    #[arg(long, env = "CAIRN_SECRETS_KEY_FILE", value_name = "FILE")]
    pub(crate) secrets_key_file: Option<PathBuf>,
    /// Which addresses the code of Workers may reach.
    #[arg(long, env = "CAIRN_EGRESS", value_enum, default_value_t = EgressArgument::Public)]
    pub(crate) egress: EgressArgument,
    /// Seconds in which requests are still answered after the wish to stop, while /readyz says 503: the time a load balancer takes to notice.
    #[arg(long, env = "CAIRN_DRAIN_DELAY", default_value_t = 0, value_name = "SECONDS")]
    pub(crate) drain_delay: u64,
    /// Seconds that steps and requests under way have to end when the server stops; steps that take longer are attempted again.
    #[arg(
        long,
        env = "CAIRN_DRAIN_TIMEOUT",
        default_value_t = 25,
        value_name = "SECONDS"
    )]
    pub(crate) drain_timeout: u64,
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
    /// A file with flags as keys and settings as tables [default: cairn.toml, if there is one].
    #[arg(long, env = "CAIRN_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Check the configuration and end.
    #[arg(long)]
    pub(crate) check: bool,
}

/// Arguments of `cairn config`.
#[derive(Debug, Args)]
pub(crate) struct ConfigArguments {
    #[command(flatten)]
    pub(crate) serve: ServeArguments,
}

/// Which addresses the code of Workers may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EgressArgument {
    /// Public addresses: not this machine, not its network.
    Public,
    /// Any address.
    Any,
}
