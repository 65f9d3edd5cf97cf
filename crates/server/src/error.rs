//! Why a server does not start.

use crate::tls::TlsError;
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
    /// Tokens and data would cross a network in the clear.
    #[error(
        "{0} can be reached from other machines, and tokens and data would cross the network unprotected: \
         give a certificate and its key with --tls-cert FILE --tls-key FILE; or, when a proxy in front ends TLS, \
         say so with --behind-proxy; or listen on 127.0.0.1"
    )]
    NeedsTls(SocketAddr),
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
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
