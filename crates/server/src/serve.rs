//! Connections: accepted, bounded, and ended in order.

use crate::access::{Peer, Scheme};
use crate::tls::Tls;
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt;

/// Connections at a time; more wait until one ends.
const CONNECTIONS_MAX: u32 = 8_192;
/// Time for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the headers of a request to arrive, also on a connection that is kept open, where nothing else is said.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// Time that requests under way have after the end was asked for, at least.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after the system refused a connection, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where connections come from, and how they are met.
pub(crate) struct Entrance {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<Arc<Tls>>,
    /// Time for a TLS handshake.
    pub(crate) handshake: Duration,
    /// Time for the headers of a request.
    pub(crate) headers: Duration,
    /// Time that requests under way have after the end was asked for.
    pub(crate) drain: Duration,
}

impl Entrance {
    /// With the patience that there is by default.
    pub(crate) fn new(listener: TcpListener, tls: Option<Arc<Tls>>) -> Self {
        Self {
            listener,
            tls,
            handshake: HANDSHAKE_TIMEOUT,
            headers: HEADER_TIMEOUT,
            drain: DRAIN_TIMEOUT,
        }
    }

    /// A connection may send nothing for so long, between requests and before the first.
    pub(crate) fn silent_for(self, headers: Duration) -> Self {
        Self {
            headers,
            handshake: headers.min(HANDSHAKE_TIMEOUT),
            ..self
        }
    }

    /// Requests under way have this time after the end was asked for, if it is more than the least.
    pub(crate) fn drained_within(self, timeout: Duration) -> Self {
        Self {
            drain: timeout.max(DRAIN_TIMEOUT),
            ..self
        }
    }
}

/// Serves until `shutdown`, then lets requests under way end.
pub(crate) async fn serve(entrance: Entrance, router: Router, shutdown: impl Future<Output = ()>) {
    let (end, ending) = watch::channel(());
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&entrance.listener, &room) => accepted,
            () = &mut shutdown => break,
        };
        if let Some((stream, peer, permit)) = accepted {
            let meeting = Meeting {
                tls: entrance.tls.clone(),
                handshake: entrance.handshake,
                headers: entrance.headers,
            };
            connection(
                (stream, peer),
                (meeting, router.clone()),
                (ending.clone(), permit),
            );
        }
    }
    let patience = entrance.drain;
    drop((entrance, end));
    tokio::select! {
        // All of them: no connection is left.
        _ = room.acquire_many(CONNECTIONS_MAX) => {}
        () = tokio::time::sleep(patience) => {
            tracing::warn!("requests were still under way after {} seconds; they are cut off", patience.as_secs());
        }
    }
}

/// How a connection is met.
struct Meeting {
    tls: Option<Arc<Tls>>,
    handshake: Duration,
    headers: Duration,
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, Peer, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, Peer(peer), permit)),
        Err(error) => {
            tracing::warn!(%error, "a connection was not accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

fn connection(
    (stream, peer): (TcpStream, Peer),
    (meeting, router): (Meeting, Router),
    (mut ending, permit): (watch::Receiver<()>, OwnedSemaphorePermit),
) {
    // Answers are small and written whole. A failure only costs time.
    let _ = stream.set_nodelay(true);
    tokio::spawn(async move {
        let _permit = permit;
        let headers = meeting.headers;
        let Some(tls) = meeting.tls else {
            return converse(stream, ((peer, Scheme::Http), router), (headers, ending)).await;
        };
        let handshake = tokio::time::timeout(meeting.handshake, tls.acceptor().accept(stream));
        let met = tokio::select! {
            met = handshake => met,
            _ = ending.changed() => return,
        };
        match met {
            Ok(Ok(stream)) => converse(stream, ((peer, Scheme::Https), router), (headers, ending)).await,
            Ok(Err(error)) => tracing::debug!(peer = %peer.0, %error, "a TLS handshake failed"),
            Err(_) => tracing::debug!(peer = %peer.0, "a TLS handshake took too long"),
        }
    });
}

/// Answers the requests of a connection.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ((peer, scheme), router): ((Peer, Scheme), Router),
    (headers, mut ending): (Duration, watch::Receiver<()>),
) {
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        let router = router.clone();
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(scheme);
        async move {
            let Ok(response) = router.oneshot(request.map(Body::new)).await;
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(headers)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let outcome = tokio::select! {
        outcome = &mut connection => outcome,
        // The sender was dropped.
        _ = ending.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended");
    }
}
