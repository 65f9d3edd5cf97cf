//! Where the calls of one binding lead: what is deployed now, and the socket of its process.

use super::super::keeper::{Door, PublicSocket};
use super::super::supervisor::Shared;
use crate::{ServiceCall, WorkerError, WorkerId};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use tokio::net::UnixStream;

/// The host that workerd's own connections name, on both sides.
pub(in super::super) const CAPNP_HOST: &str = "cairn";

/// The target of one binding.
pub(super) struct Directory {
    shared: Arc<Shared>,
    account: String,
    service: String,
    door: Door,
}

/// A connection to a target's entrypoint, in Cap'n Proto.
pub(super) struct Link {
    pub(super) stream: TokioIo<Upgraded>,
    /// Keeps the process from idling while it is held.
    pub(super) guard: PublicSocket,
}

impl Directory {
    pub(super) fn new(shared: Arc<Shared>, (account, service): (String, String), door: Door) -> Self {
        Self {
            shared,
            account,
            service,
            door,
        }
    }

    /// The version that is deployed now; or what to tell the caller.
    pub(super) async fn deployed(&self) -> Result<WorkerId, String> {
        let host = self.shared.bindings.get();
        let host = host.ok_or("cairn is still starting; try again")?;
        let call = ServiceCall {
            account: self.account.clone(),
            script: self.service.clone(),
        };
        host.service(call).await.map_err(|error| error.message)
    }

    /// The socket of a version's entrypoint; its process is started when needed.
    pub(super) async fn socket(&self, worker: &WorkerId) -> Result<PublicSocket, String> {
        let workerd = self.shared.workerd.get().and_then(std::sync::Weak::upgrade);
        let workerd = workerd.ok_or("the server is shutting down")?;
        workerd
            .door(worker, self.door.clone())
            .await
            .map_err(|error| match error {
                WorkerError::NoEntrypoint(_) => format!("the Worker \"{}\" {error}", self.service),
                WorkerError::Code(_) | WorkerError::Process(_) | WorkerError::Unknown(_) => {
                    format!("the Worker \"{}\" could not be started: {error}", self.service)
                }
            })
    }

    /// Connects to a version's entrypoint.
    pub(super) async fn link(&self, worker: &WorkerId) -> Result<Link, String> {
        let guard = self.socket(worker).await?;
        let failed = |error: &dyn std::fmt::Display| {
            format!("the Worker \"{}\" could not be reached: {error}", self.service)
        };
        let stream = UnixStream::connect(guard.path())
            .await
            .map_err(|error| failed(&error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(&error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to a Worker ended");
            }
        });
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri(CAPNP_HOST)
            .body(Empty::<bytes::Bytes>::new())
            .map_err(|error| failed(&error))?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| failed(&error))?;
        if response.status() != StatusCode::OK {
            return Err(failed(&format!("it answered {}", response.status())));
        }
        let stream = hyper::upgrade::on(response)
            .await
            .map_err(|error| failed(&error))?;
        Ok(Link {
            stream: TokioIo::new(stream),
            guard,
        })
    }
}
