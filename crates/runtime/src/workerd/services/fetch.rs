//! `fetch()` on a service binding: one HTTP request, handed on to what is deployed now.

use super::super::keeper::PublicSocket;
use super::directory::{CAPNP_HOST, Directory};
use crate::Guarded;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HeaderValue, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// A connection that becomes something else than HTTP.
pub(super) enum Upgrade {
    /// It carries Cap'n Proto.
    Tunnel(OnUpgrade),
    /// It is a WebSocket to a Worker, whose process is kept from idling.
    Socket {
        caller: OnUpgrade,
        target: OnUpgrade,
        guard: PublicSocket,
    },
}

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// Answers a request on a binding's socket.
pub(super) async fn answer(
    mut request: Request<Incoming>,
    directory: Arc<Directory>,
    upgrades: mpsc::UnboundedSender<Upgrade>,
) -> Result<Response<Body>, Infallible> {
    if request.method() == Method::CONNECT {
        let is_ours = request
            .uri()
            .authority()
            .is_some_and(|authority| authority.as_str() == CAPNP_HOST);
        if !is_ours {
            return Ok(plain(
                StatusCode::NOT_IMPLEMENTED,
                "connect() on a service binding is not available",
            ));
        }
        // An error means that the connection is over.
        let _ = upgrades.send(Upgrade::Tunnel(hyper::upgrade::on(&mut request)));
        return Ok(Response::new(text("")));
    }
    match forward(request, &directory, upgrades).await {
        Ok(response) => Ok(response),
        Err(reason) => {
            tracing::warn!(reason, "a request of a Worker to another failed");
            Ok(plain(StatusCode::BAD_GATEWAY, &reason))
        }
    }
}

async fn forward(
    mut request: Request<Incoming>,
    directory: &Directory,
    upgrades: mpsc::UnboundedSender<Upgrade>,
) -> Result<Response<Body>, String> {
    let version = directory.deployed().await?;
    let guard = directory.socket(&version).await?;
    let stream = UnixStream::connect(guard.path())
        .await
        .map_err(|error| format!("the Worker could not be reached: {error}"))?;
    let (mut sender, connection) = http1::Builder::new()
        .preserve_header_case(true)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| format!("the Worker does not answer: {error}"))?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection to a Worker ended");
        }
    });
    let caller = request
        .headers()
        .contains_key(UPGRADE)
        .then(|| hyper::upgrade::on(&mut request));
    let response = sender.send_request(request).await;
    let mut response =
        response.map_err(|error| format!("the Worker ended the connection: {error}; its log may say why"))?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(caller) = caller
    {
        let target = hyper::upgrade::on(&mut response);
        let upgrade = Upgrade::Socket {
            caller,
            target,
            guard,
        };
        // An error means that the connection is over.
        let _ = upgrades.send(upgrade);
        return Ok(response.map(|_| text("")));
    }
    Ok(response.map(|body| Guarded::new(body, guard).boxed_unsync()))
}

fn text(text: &str) -> Body {
    Full::new(Bytes::copy_from_slice(text.as_bytes()))
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

fn plain(status: StatusCode, reason: &str) -> Response<Body> {
    let mut response = Response::new(text(reason));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
