//! The events of an instance as the server tells them: a WebSocket over the same HTTP client, so that TLS and proxies are the same.

use crate::client::{Api, RequestError, instance_path, unwrap};
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Method, StatusCode, Upgraded, header};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// The instance was deleted.
const CLOSE_DELETED: u16 = 4_404;
const CLOSE_NORMAL: u16 = 1_000;
const CLOSE_AWAY: u16 = 1_001;

/// What to be told.
#[derive(Debug, Clone)]
pub(super) struct Ask<'a> {
    pub(super) workflow: &'a str,
    pub(super) id: &'a str,
    /// Only events with a number above it.
    pub(super) cursor: u64,
    /// Only these types; all when empty.
    pub(super) types: &'a [String],
    pub(super) reach: Reach,
}

/// How far to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// To the end of the instance.
    End,
    /// What there is now.
    Now,
}

/// A piece of news.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// An event, as JSON.
    Event(String),
    /// There is no more.
    Over,
    /// The instance was deleted.
    Deleted,
    /// The connection ended before its time: connect again.
    Lost(String),
    /// The server cannot tell the events.
    Broken(String),
}

/// A subscription.
pub(super) struct Events(WebSocketStream<Upgraded>);

impl Events {
    /// Subscribes.
    ///
    /// # Errors
    /// [`RequestError`]
    pub(super) async fn connect(api: &Api, ask: &Ask<'_>) -> Result<Self, RequestError> {
        let key = generate_key();
        let account = crate::client::segment(api.account());
        let instance = instance_path(ask.workflow, ask.id);
        let mut query = vec![("cursor", ask.cursor.to_string())];
        query.extend(ask.types.iter().map(|kind| ("filter", kind.clone())));
        if ask.reach == Reach::Now {
            query.push(("follow", "false".into()));
        }
        let response = api
            .request_at(
                Method::GET,
                &format!("/client/v4/accounts/{account}{instance}/subscribe"),
            )
            .query(&query)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, &key)
            .send()
            .await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let status = response.status();
            unwrap(response).await?;
            return Err(RequestError::Broken(format!(
                "the server answered {status} instead of opening a WebSocket; a proxy before it must pass them on"
            )));
        }
        let accept = response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
        if accept.is_none_or(|accept| accept.as_bytes() != derive_accept_key(key.as_bytes()).as_bytes()) {
            return Err(RequestError::Broken(
                "the server's WebSocket handshake is wrong".into(),
            ));
        }
        let upgraded = response.upgrade().await?;
        let socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;
        Ok(Self(socket))
    }

    /// The next piece of news.
    pub(super) async fn next(&mut self) -> Heard {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Heard::Event(text.as_str().to_owned()),
                Some(Ok(Message::Close(Some(frame)))) => {
                    let reason = frame.reason.as_str().to_owned();
                    return match u16::from(frame.code) {
                        CLOSE_NORMAL => Heard::Over,
                        CLOSE_DELETED => Heard::Deleted,
                        CLOSE_AWAY => Heard::Lost(reason),
                        _ => Heard::Broken(reason),
                    };
                }
                // Pings are answered when the next message is read or written.
                Some(Ok(Message::Ping(_))) => {
                    if let Err(error) = self.0.flush().await {
                        return Heard::Lost(error.to_string());
                    }
                }
                Some(Ok(Message::Binary(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(None))) | None => {
                    return Heard::Lost("the connection ended".into());
                }
                Some(Err(error)) => return Heard::Lost(error.to_string()),
            }
        }
    }
}
