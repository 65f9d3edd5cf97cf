//! `cairn serve`: the server on its own.

use crate::Exit;
use crate::args::{ConfigArguments, EgressArgument, ServeArguments};
use crate::configuration::{self, Sources};
use crate::failure::Failure;
use crate::local::{cannot_start, take_settings};
use crate::signals::stop_wanted;
use crate::terminal::Terminal;
use crate::tools::{self, Tool};
use cairn_server::{Auth, ClientAddress, Config, Drain, Egress, KeySource, Server, TlsFiles};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

/// The environment variable with the token; not a flag, which every user of the machine could read.
const TOKEN_VARIABLE: &str = "CAIRN_ROOT_TOKEN";

/// The environment variable with the key of secrets, for the same reason.
const SECRETS_KEY_VARIABLE: &str = "CAIRN_SECRETS_KEY";

/// Runs the command.
///
/// # Errors
/// When the server cannot start or does not end well.
pub(crate) async fn serve(
    arguments: &ServeArguments,
    sources: &Sources,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    if arguments.check {
        terminal.line(match &sources.file {
            Some(_) => "The configuration is in order.",
            None => "The configuration is in order; no file was read.",
        });
        return Ok(Exit::Complete);
    }
    if let Some(file) = &sources.file {
        tracing::info!(file = %file.display(), "the configuration was read");
    }
    let token = std::env::var(TOKEN_VARIABLE)
        .ok()
        .filter(|token| !token.is_empty());
    let workerd = arguments.workerd.workerd.as_deref();
    let workerd = tools::find(Tool::Workerd, workerd, Path::new("."), terminal).await?;
    let mut config = Config {
        listen: arguments.listen,
        auth: Auth::Token(token),
        tls: tls_files(arguments),
        client_address: if arguments.behind_proxy {
            ClientAddress::Proxy
        } else {
            ClientAddress::Peer
        },
        egress: match arguments.egress {
            EgressArgument::Public => Egress::PublicOnly,
            EgressArgument::Any => Egress::Any,
        },
        process_idle: Duration::from_secs(arguments.process_idle),
        drain: Drain {
            delay: Duration::from_secs(arguments.drain_delay),
            timeout: Duration::from_secs(arguments.drain_timeout),
        },
        ..Config::new(&arguments.data_dir, workerd.path)
    };
    if let Some(key) = secrets_key(arguments)? {
        config.secrets_key = key;
    }
    take_settings(&mut config, &arguments.settings)?;
    let server = Server::start(config)
        .await
        .map_err(|error| cannot_start(&error))?;
    terminal.line(&greeting(&server, arguments));
    crate::memory::keep_returning();
    server.run_until(stop_wanted()).await.map_err(|error| {
        Failure::new(
            format!("The server had to stop: {error}"),
            "What was confirmed is kept; docs/reliability.md says what a failing disk does.",
        )
    })?;
    Ok(Exit::Complete)
}

/// Where the key of secrets is, when it was said.
fn secrets_key(arguments: &ServeArguments) -> Result<Option<KeySource>, Failure> {
    let key = std::env::var(SECRETS_KEY_VARIABLE)
        .ok()
        .filter(|key| !key.is_empty());
    match (key, &arguments.secrets_key_file) {
        (Some(_), Some(file)) => Err(Failure::new(
            format!(
                "The key of secrets is given twice: in {SECRETS_KEY_VARIABLE} and in the file {}.",
                file.display()
            ),
            "Leave one of them out.",
        )),
        (Some(key), None) => Ok(Some(KeySource::Text(key))),
        (None, Some(file)) => Ok(Some(KeySource::File(file.clone()))),
        (None, None) => Ok(None),
    }
}

/// Prints the configuration.
///
/// # Errors
/// When standard output does not take it.
pub(crate) fn config(_: &ConfigArguments, sources: &Sources) -> Result<Exit, Failure> {
    let written = std::io::stdout()
        .lock()
        .write_all(configuration::show(sources).as_bytes());
    written.map_err(|error| {
        Failure::new(
            format!("Standard output cannot be written: {error}."),
            "Send the output elsewhere and try again.",
        )
    })?;
    Ok(Exit::Complete)
}

fn tls_files(arguments: &ServeArguments) -> Option<TlsFiles> {
    Some(TlsFiles {
        certificate: arguments.tls_cert.clone()?,
        key: arguments.tls_key.clone()?,
    })
}

fn greeting(server: &Server, arguments: &ServeArguments) -> String {
    let (scheme, address) = (server.scheme(), server.address());
    let token = match server.new_token() {
        Some(token) => {
            format!("This is the root token. It is shown this once; only its hash is kept.\n\n  {token}\n\n")
        }
        None => String::new(),
    };
    let shown = server.new_token().unwrap_or("…");
    format!(
        "cairn listens on {scheme}://{address}, with its data in {}.\n\n{token}To deploy with wrangler:\n\n  \
         CLOUDFLARE_API_BASE_URL={scheme}://{address}/client/v4 CLOUDFLARE_API_TOKEN={shown} CLOUDFLARE_ACCOUNT_ID=local npx wrangler deploy\n",
        arguments.data_dir.display()
    )
}
