//! Connections: accepted, bounded, and ended in order.

use crate::access::{Peer, Scheme};
use crate::idlers::{Idlers, Seat};
use crate::tls::Tls;
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt;

/// Fewer than this are worth a word at the start.
const FEW_CONNECTIONS: u32 = 8_192;
/// Connections at a time where there are file descriptors for them. For more, those that are idle make room.
const CONNECTIONS_MAX: u32 = 16_384;
/// File descriptors that are left to everything else.
const FILES_RESERVED: u64 = 256;
/// Time for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the headers of a request to arrive, also on a connection that is kept open, where nothing else is said.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// Time that requests under way have after the end was asked for, at least.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after the system refused a connection, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often that is said.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(10);

/// Where connections come from, and how they are met.
pub(crate) struct Entrance {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<Arc<Tls>>,
    /// Connections at a time.
    pub(crate) most: u32,
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
            most: CONNECTIONS_MAX,
            handshake: HANDSHAKE_TIMEOUT,
            headers: HEADER_TIMEOUT,
            drain: DRAIN_TIMEOUT,
        }
    }

    /// So many connections at a time.
    pub(crate) fn at_most(self, most: u32) -> Self {
        Self { most, ..self }
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

/// Has the system allow this process as many files as it may have, and tells how many connections that is enough for.
pub(crate) fn connections_max() -> u32 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files stays as it is");
            limit.current
        }
    };
    // No limit at all, or a larger one than is wanted.
    let Some(files) = files else {
        return CONNECTIONS_MAX;
    };
    let reserved = FILES_RESERVED.max(files / 4).min(files / 2);
    let most = u32::try_from(files - reserved).map_or(CONNECTIONS_MAX, |most| most.min(CONNECTIONS_MAX));
    if most < FEW_CONNECTIONS {
        tracing::info!(
            files,
            connections = most,
            "fewer connections than usual are taken: the system allows few open files (ulimit -Hn, LimitNOFILE)"
        );
    }
    most.max(1)
}

/// Serves until `shutdown`, then lets requests under way end.
pub(crate) async fn serve(entrance: Entrance, router: Router, shutdown: impl Future<Output = ()>) {
    let (end, ending) = watch::channel(());
    let (most, mut complained) = (entrance.most, None);
    let room = Arc::new(Semaphore::new(most as usize));
    let idlers = Arc::new(Idlers::default());
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&entrance.listener, (&room, &idlers), &mut complained) => accepted,
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
                (ending.clone(), permit, idlers.sit()),
            );
        }
    }
    let patience = entrance.drain;
    drop((entrance, end));
    tokio::select! {
        // All of them: no connection is left.
        _ = room.acquire_many(most) => {}
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
    (room, idlers): (&Arc<Semaphore>, &Idlers),
    complained: &mut Option<Instant>,
) -> Option<(TcpStream, Peer, OwnedSemaphorePermit)> {
    let mut complain = |connections: &str, error: &dyn std::fmt::Display| {
        if complained.is_none_or(|at: Instant| at.elapsed() >= COMPLAINT_PAUSE) {
            *complained = Some(Instant::now());
            tracing::warn!(error = %error, "{connections}");
        }
    };
    // First who wants in, then the place: nobody has to go for a connection that does not come.
    let (stream, peer) = match listener.accept().await {
        Ok(accepted) => accepted,
        Err(error) => {
            let out_of_files = [
                Some(Errno::MFILE.raw_os_error()),
                Some(Errno::NFILE.raw_os_error()),
            ];
            if out_of_files.contains(&error.raw_os_error()) {
                complain(
                    "no file is left for a new connection: idle ones are closed; allow the server more open files (ulimit -n, LimitNOFILE)",
                    &error,
                );
                idlers.evict();
            } else {
                complain("a connection was not accepted", &error);
            }
            tokio::time::sleep(ACCEPT_PAUSE).await;
            return None;
        }
    };
    if let Ok(permit) = Arc::clone(room).try_acquire_owned() {
        return Some((stream, Peer(peer), permit));
    }
    complain("all connections are taken", &"idle ones are closed for new ones");
    // Where none is idle, all of them work, and one will end.
    idlers.evict();
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    Some((stream, Peer(peer), permit))
}

fn connection(
    (stream, peer): (TcpStream, Peer),
    (meeting, router): (Meeting, Router),
    (mut ending, permit, seat): (watch::Receiver<()>, OwnedSemaphorePermit, Arc<Seat>),
) {
    // Answers are small and written whole. A failure only costs time.
    let _ = stream.set_nodelay(true);
    tokio::spawn(async move {
        let _permit = permit;
        let headers = meeting.headers;
        let Some(tls) = meeting.tls else {
            return converse(stream, ((peer, Scheme::Http), router), (headers, ending, seat)).await;
        };
        let handshake = tokio::time::timeout(meeting.handshake, tls.acceptor().accept(stream));
        let met = tokio::select! {
            met = handshake => met,
            () = seat.evicted() => return,
            _ = ending.changed() => return,
        };
        match met {
            Ok(Ok(stream)) => {
                converse(stream, ((peer, Scheme::Https), router), (headers, ending, seat)).await;
            }
            Ok(Err(error)) => tracing::debug!(peer = %peer.0, %error, "a TLS handshake failed"),
            Err(_) => tracing::debug!(peer = %peer.0, "a TLS handshake took too long"),
        }
    });
}

/// Answers the requests of a connection.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ((peer, scheme), router): ((Peer, Scheme), Router),
    (headers, mut ending, seat): (Duration, watch::Receiver<()>, Arc<Seat>),
) {
    let busy = Arc::clone(&seat);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        let router = router.clone();
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(scheme);
        let work = busy.work();
        async move {
            let Ok(response) = router.oneshot(request.map(Body::new)).await;
            Ok::<_, Infallible>(response.map(|body| work.until_sent(body)))
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
        () = seat.evicted() => return,
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
