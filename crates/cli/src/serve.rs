//! `cairn serve`: the server on its own.

use crate::Exit;
use crate::args::{EgressArgument, ServeArguments};
use crate::failure::Failure;
use crate::local::{cannot_start, take_settings};
use crate::signals::stop_wanted;
use crate::terminal::Terminal;
use crate::tools::{self, Tool};
use cairn_server::{Auth, ClientAddress, Config, Egress, Server, TlsFiles};
use std::path::Path;
use std::time::Duration;

/// The environment variable with the token; not a flag, which every user of the machine could read.
const TOKEN_VARIABLE: &str = "CAIRN_ROOT_TOKEN";

/// Runs the command.
///
/// # Errors
/// When the server cannot start or does not end well.
pub(crate) async fn serve(arguments: &ServeArguments, terminal: &Terminal) -> Result<Exit, Failure> {
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
        ..Config::new(&arguments.data_dir, workerd.path)
    };
    take_settings(&mut config, &arguments.settings)?;
    let server = Server::start(config)
        .await
        .map_err(|error| cannot_start(&error))?;
    terminal.line(&greeting(&server, arguments));
    server.run_until(stop_wanted()).await;
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
