//! Service bindings: what one Worker asks of another goes from process to process through here.
//!
//! Each binding of a process has a socket of its own that only this process can reach, so a process reaches what its version binds and
//! nothing else. workerd sends plain HTTP for `fetch()`, and one CONNECT for a connection that carries all RPC, in Cap'n Proto.
//! Where either leads is asked anew for each request and each RPC session.

mod directory;
mod fetch;
mod message;
mod switch;
#[cfg(test)]
mod tests;
mod tunnel;

pub(super) use directory::CAPNP_HOST;
pub(crate) use message::examine as examine_message;

use super::keeper::Door;
use super::supervisor::Shared;
use crate::{Binding, WorkerError, WorkerSpec};
use directory::Directory;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

/// The sockets of the service bindings of one process; they end when this is dropped.
#[derive(Debug)]
pub(super) struct Services(Vec<JoinHandle<()>>);

impl Drop for Services {
    fn drop(&mut self) {
        for listener in &self.0 {
            listener.abort();
        }
    }
}

/// The socket of the service binding with this number.
pub(super) fn socket(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("s{number}"))
}

impl Services {
    /// Listens for the service bindings of `spec`, in order.
    ///
    /// # Errors
    /// [`WorkerError::Process`] where a socket cannot be made.
    pub(super) fn start(folder: &Path, shared: &Arc<Shared>, spec: &WorkerSpec) -> Result<Self, WorkerError> {
        let mut listeners = Self(Vec::new());
        for binding in &spec.bindings {
            let Binding::Service {
                service,
                entrypoint,
                props,
                ..
            } = binding
            else {
                continue;
            };
            let path = socket(folder, listeners.0.len());
            let listener = UnixListener::bind(&path).map_err(|error| {
                WorkerError::Process(format!(
                    "the socket {} could not be made: {error}",
                    path.display()
                ))
            })?;
            let door = Door {
                entrypoint: entrypoint.as_deref().map(Arc::from),
                props: props.as_deref().map(Arc::from),
            };
            let target = (spec.account.clone(), service.clone());
            let directory = Arc::new(Directory::new(Arc::clone(shared), target, door));
            listeners.0.push(tokio::spawn(accept(listener, directory)));
        }
        Ok(listeners)
    }
}

async fn accept(listener: UnixListener, directory: Arc<Directory>) {
    // Connections end with the listener.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&directory)));
                }
                Err(error) => tracing::warn!(%error, "a call on a service binding could not be accepted"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: UnixStream, directory: Arc<Directory>) {
    // What goes on after an upgrade ends with the connection's task.
    let (upgrades, mut upgraded) = tokio::sync::mpsc::unbounded_channel::<fetch::Upgrade>();
    let answer = service_fn(|request| fetch::answer(request, Arc::clone(&directory), upgrades.clone()));
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection of a service binding broke");
    }
    drop(upgrades);
    while let Some(upgrade) = upgraded.recv().await {
        go_on(upgrade, &directory).await;
    }
}

/// Serves a connection that is not HTTP any more.
async fn go_on(upgrade: fetch::Upgrade, directory: &Arc<Directory>) {
    let join = |caller: OnUpgrade| async move {
        caller
            .await
            .inspect_err(|error| tracing::debug!(%error, "a connection of a service binding broke"))
            .ok()
    };
    match upgrade {
        fetch::Upgrade::Tunnel(caller) => {
            if let Some(caller) = join(caller).await {
                tunnel::run(TokioIo::new(caller), Arc::clone(directory)).await;
            }
        }
        fetch::Upgrade::Socket {
            caller,
            target,
            guard,
        } => {
            if let (Some(caller), Some(target)) = (join(caller).await, join(target).await) {
                // Either side may hang up at any time.
                let _ =
                    tokio::io::copy_bidirectional(&mut TokioIo::new(caller), &mut TokioIo::new(target)).await;
            }
            drop(guard);
        }
    }
}
