//! Why a server does not start.

use cairn_engine::EngineError;
use cairn_store::StoreError;
use std::net::SocketAddr;

/// Why a server does not start. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Open mode wants a loopback address.
    #[error(
        "without a token, only loopback addresses can be listened on; {0} is none: listen on 127.0.0.1, or use a token"
    )]
    OpenToAll(SocketAddr),
    /// The address cannot be had.
    #[error(
        "{address} cannot be listened on: {error}; another server may have it: choose another with --listen"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The runtime cannot be set up.
    #[error("workerd cannot be prepared: {0}")]
    Runtime(std::io::Error),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine does not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
}
