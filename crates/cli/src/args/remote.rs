//! Which server a command talks to, as whom, and in which form it answers: the same arguments for every command that asks a server.

use clap::Args;
use std::path::PathBuf;

/// The server, and the form of the answer.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Server and output")]
pub(crate) struct RemoteArguments {
    /// Where the server is [default: CLOUDFLARE_API_BASE_URL, else http://127.0.0.1:8787].
    #[arg(
        long,
        env = "CAIRN_URL",
        value_name = "URL",
        global = true,
        hide_env_values = true
    )]
    pub(crate) url: Option<String>,
    /// The account [default: CLOUDFLARE_ACCOUNT_ID, else local].
    #[arg(
        long,
        env = "CAIRN_ACCOUNT",
        value_name = "ID",
        global = true,
        hide_env_values = true
    )]
    pub(crate) account: Option<String>,
    /// A file with the API token [default: the token itself in CAIRN_API_TOKEN or CLOUDFLARE_API_TOKEN].
    #[arg(
        long,
        env = "CAIRN_API_TOKEN_FILE",
        value_name = "FILE",
        global = true,
        hide_env_values = true
    )]
    pub(crate) token_file: Option<PathBuf>,
    /// A file with the certificates (PEM) to trust instead of the system's own.
    #[arg(
        long,
        env = "CAIRN_CA_FILE",
        value_name = "FILE",
        global = true,
        hide_env_values = true
    )]
    pub(crate) ca_file: Option<PathBuf>,
    /// Print the API's own objects as JSON, one a line, instead of text for people.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// Consent to what cannot be undone.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ConsentArgument {
    /// Do not ask; needed where there is no terminal to ask on.
    #[arg(long, short)]
    pub(crate) yes: bool,
}
