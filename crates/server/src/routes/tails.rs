//! `…/scripts/:script/tails`: sessions of `wrangler tail`, and the WebSocket they are heard on.

use super::scripts::existing;
use super::words;
use crate::access::Scheme;
use crate::answer::{Answer, bad, done};
use crate::app::{App, Call};
use crate::body;
use crate::tails::{Listener, TailRow};
use axum::body::Body;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Path, State};
use axum::http::{Response, header};
use axum::response::IntoResponse as _;
use cairn_api::{ApiError, Failure, Tail, TailCreate};
use cairn_engine::{Clock as _, SystemClock};
use std::sync::Arc;
use std::time::Duration;

/// The protocol that clients ask for.
const PROTOCOL: &str = "trace-v1";
/// Where the WebSockets are.
pub(crate) const PATH: &str = "/cairn/v1/tails";
/// How long a listener may leave what it is sent unread.
const SEND_PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of the largest message a listener may send: its settings, which have no effect.
const RECEIVE_MAX: usize = 4 * 1_024;

/// `POST …/tails`
pub(super) async fn create(call: &Call, body: Body, (account, script): (&str, &str)) -> Answer {
    existing(call, account, script).await?;
    let bytes = body::bytes(body, &call.app.limits).await?;
    let asked = match bytes.trim_ascii() {
        [] => TailCreate::default(),
        text => serde_json::from_slice(text).map_err(|error| {
            bad(format!(
                "the body is not of the form {{\"filters\":[…]}} with filters such as {{\"outcome\":[\"exception\"]}}, \
                 {{\"method\":[\"GET\"]}}, {{\"header\":{{\"key\":…}}}}, {{\"query\":…}}, {{\"sampling_rate\":0.1}}: {error}"
            ))
        })?,
    };
    let row = call.app.tails.create((account, script), asked.filters)?;
    done(shown(call, &row))
}

/// `GET …/tails`
pub(super) async fn list(call: &Call, account: &str, script: &str) -> Answer {
    existing(call, account, script).await?;
    let rows = call.app.tails.list(account, script);
    done(rows.iter().map(|row| shown(call, row)).collect::<Vec<_>>())
}

/// `DELETE …/tails/:id`. Ending what has ended is no mistake: clients do it after the connection broke.
pub(super) async fn delete(call: &Call, (account, script): (&str, &str), id: &str) -> Answer {
    existing(call, account, script).await?;
    call.app.tails.delete((account, script), id);
    done(serde_json::Value::Null)
}

fn shown(call: &Call, row: &TailRow) -> Tail {
    let host = call
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .map_or_else(|| call.app.address.to_string(), str::to_owned);
    Tail {
        id: row.id.to_string(),
        url: format!("{}://{host}{PATH}/{}", socket_scheme(call), row.id),
        expires_at: words::time(row.expires_at),
    }
}

/// As the request came, also where a proxy ends TLS.
fn socket_scheme(call: &Call) -> &'static str {
    match call.visitor.scheme {
        Scheme::Https => "wss",
        Scheme::Http => "ws",
    }
}

/// `GET /cairn/v1/tails/:id`: the id, which nobody can guess, is what lets in.
pub(crate) async fn listen(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response<Body> {
    let gone = || {
        let text = "there is no such tail, or somebody listens already; begin a new one with wrangler tail";
        crate::answer::failed(&Failure::new(ApiError::NoRoute, text))
    };
    let Ok(upgrade) = upgrade else {
        return crate::answer::failed(&bad(
            "a tail is heard over a WebSocket: connect with ws:// or wss://",
        ));
    };
    let Some(listener) = app.tails.listen(&id) else {
        return gone();
    };
    listener.all_ears().await;
    let upgrade = upgrade
        .protocols([PROTOCOL])
        // wrangler does not mask what it sends.
        .accept_unmasked_frames(true)
        .max_message_size(RECEIVE_MAX)
        .max_frame_size(RECEIVE_MAX);
    upgrade
        .on_upgrade(move |socket| serve(app, socket, listener))
        .into_response()
}

/// Tells items until the session ends, or until the listener goes.
async fn serve(app: Arc<App>, mut socket: WebSocket, mut listener: Listener) {
    let left = listener.expires_at.millis_since(SystemClock.now());
    let expiry = tokio::time::sleep(Duration::from_millis(left));
    tokio::pin!(expiry);
    let (code, reason) = loop {
        let message = tokio::select! {
            item = listener.next() => match item {
                Some(text) => Message::text(text),
                None => break (close_code::NORMAL, "the tail was ended"),
            },
            received = socket.recv() => match received {
                Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
            () = app.health.draining() => break (close_code::AWAY, "the server is stopping"),
            () = &mut expiry => break (close_code::NORMAL, "the tail has expired"),
        };
        let sent = tokio::time::timeout(SEND_PATIENCE, socket.send(message)).await;
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
    };
    let close = Message::Close(Some(CloseFrame {
        code,
        reason: reason.into(),
    }));
    // Whoever is gone by now has read all there was.
    let _ = tokio::time::timeout(SEND_PATIENCE, socket.send(close)).await;
}
