//! The server inside this process, for `run` and `dev`: open, and on the loopback interface alone.

use crate::args::SettingArguments;
use crate::client::Api;
use crate::failure::Failure;
use cairn_server::{Auth, Config, Egress, Server, ServerError, TestSupport};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server that runs in this process until it is stopped.
pub(crate) struct Local {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Its API.
    pub(crate) api: Api,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ServerError>>,
}

impl Local {
    /// Starts a server on a port of the loopback interface; 0 takes a free one.
    ///
    /// # Errors
    /// When the data directory or the port cannot be used.
    pub(crate) async fn start(
        data_dir: &Path,
        port: u16,
        (workerd, settings): (PathBuf, &SettingArguments),
    ) -> Result<Self, Failure> {
        prepare(data_dir)?;
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut config = Config {
            listen,
            auth: Auth::Open,
            egress: Egress::Any,
            testing: TestSupport::Present,
            ..Config::new(data_dir, workerd)
        };
        take_settings(&mut config, settings)?;
        let server = Server::start(config)
            .await
            .map_err(|error| cannot_start(&error))?;
        let address = server.address();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run_until(async move {
            // A dropped sender means the same as a message: nobody is left who wants the server.
            let _ = stopped.await;
        }));
        Ok(Self {
            api: Api::local(address)?,
            address,
            stop,
            task,
        })
    }

    /// Stops it: what is committed stays, runs go on at the next start.
    ///
    /// # Errors
    /// When it did not end well.
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        // An error means that it has ended by itself; the task tells why.
        let _ = self.stop.send(());
        let ended = self.task.await.map_err(|error| error.to_string());
        ended
            .and_then(|ended| ended.map_err(|error| error.to_string()))
            .map_err(|error| {
                Failure::new(
                    format!("The server did not end well: {error}."),
                    "What was committed is kept; start again to go on.",
                )
            })
    }
}

/// Makes a data directory that version control leaves alone.
fn prepare(data_dir: &Path) -> Result<(), Failure> {
    let ignore = data_dir.join(".gitignore");
    let made = fs::create_dir_all(data_dir).and_then(|()| {
        if ignore.exists() {
            Ok(())
        } else {
            fs::write(&ignore, "*\n")
        }
    });
    made.map_err(|error| {
        Failure::new(
            format!(
                "The data directory {} cannot be used: {error}.",
                data_dir.display()
            ),
            "Make it writable, or give another one with --data-dir.",
        )
    })
}

/// The server's own message; it says what to do.
pub(crate) fn cannot_start(error: &ServerError) -> Failure {
    Failure::new(
        format!("The server cannot start: {error}"),
        "Another data directory can be given with --data-dir; CAIRN_LOG=debug shows more.",
    )
}

/// Takes the settings of the command line.
///
/// # Errors
/// At the first that is none.
pub(crate) fn take_settings(config: &mut Config, arguments: &SettingArguments) -> Result<(), Failure> {
    for assignment in &arguments.set {
        let taken = config.set(assignment);
        taken.map_err(|error| {
            Failure::new(error.to_string(), "Correct --set (or CAIRN_SET) and try again.")
        })?;
    }
    Ok(())
}
