//! `cairn token` and `cairn audit`.

use super::{ConsentArgument, RemoteArguments};
use clap::{Args, Subcommand, ValueEnum};

/// Arguments of `cairn token`.
#[derive(Debug, Args)]
pub(crate) struct TokenArguments {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
    #[command(flatten)]
    pub(crate) remote: RemoteArguments,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token. It is printed once and kept as a hash only.
    Create(TokenCreateArguments),
    /// List the tokens that there are, newest first; never their values.
    #[command(visible_alias = "ls")]
    List,
    /// Revoke tokens: requests with them are refused from now on.
    Revoke {
        /// Their ids, as `cairn token list` shows them.
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        #[command(flatten)]
        consent: ConsentArgument,
    },
}

/// Arguments of `cairn token create`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cairn token create ci --scope write --expires 90d
  cairn token create dashboard --scope read --workflow order --workflow refund
  cairn token create operations --scope admin --all-accounts
  export CAIRN_API_TOKEN=$(cairn token create ci --scope write)

The token alone goes to standard output, the rest to standard error.")]
pub(crate) struct TokenCreateArguments {
    /// For the reader: who or what uses it.
    pub(crate) name: String,
    /// What it may do; each may what those before it may.
    #[arg(long, value_enum)]
    pub(crate) scope: ScopeArgument,
    /// It is for every account, also those to come, not only for the one of --account.
    #[arg(long)]
    pub(crate) all_accounts: bool,
    /// It may use this workflow alone; may be given several times.
    #[arg(long = "workflow", value_name = "NAME", conflicts_with = "all_accounts")]
    pub(crate) workflows: Vec<String>,
    /// Until when it is good: a span (12h, 90d), a date (2026-12-31, midnight UTC) or a full time [default: for ever].
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Option<String>,
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScopeArgument {
    /// Read.
    Read,
    /// Read and change.
    Write,
    /// Also make and revoke tokens, and read the audit log.
    Admin,
}

/// Arguments of `cairn audit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cairn audit --limit 20
  cairn audit --all-accounts --json | jq 'select(.method == \"DELETE\")'

It is kept by the server; an entry without a status was not answered, and may have been done.")]
pub(crate) struct AuditArguments {
    /// At most this many, newest first.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: usize,
    /// Of every account, not only of the one of --account.
    #[arg(long)]
    pub(crate) all_accounts: bool,
    #[command(flatten)]
    pub(crate) remote: RemoteArguments,
}
