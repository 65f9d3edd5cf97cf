//! Workers reached on the public sockets of their processes.

use crate::hosts::{WorkerConnection, WorkerDoor};
use async_trait::async_trait;
use cairn_runtime::WorkerId;
use cairn_runtime::workerd::Workerd;
use std::sync::Arc;
use tokio::net::UnixStream;

/// The processes of this server.
pub(crate) struct Processes(pub(crate) Arc<Workerd>);

#[async_trait]
impl WorkerDoor for Processes {
    async fn connect(&self, version: &str) -> Result<WorkerConnection, String> {
        let worker = WorkerId(version.into());
        let socket = self
            .0
            .public_socket(&worker)
            .await
            .map_err(|error| error.to_string())?;
        let stream = UnixStream::connect(socket.path())
            .await
            .map_err(|error| error.to_string())?;
        Ok(WorkerConnection {
            stream: Box::new(stream),
            guard: Box::new(socket),
        })
    }
}
