//! Live events of an instance: a WebSocket with one event a message, and tokens for web pages (behaviour §7).

use super::words;
use crate::answer::{Answer, bad, done, engine};
use crate::app::Call;
use crate::subscribers::Place;
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use axum::http::header;
use axum::response::IntoResponse as _;
use cairn_api::{ApiError, Failure, SubscribeToken};
use cairn_engine::{Clock as _, EngineError, EventType, Follow, Reach, Subscription, SystemClock};
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How often a silent connection is tried.
const PING_EVERY: Duration = Duration::from_secs(30);
/// How long a subscriber may leave what it is sent unread.
const SEND_PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of the largest message a subscriber may send; none is expected.
const RECEIVE_MAX: usize = 4 * 1_024;
/// The instance was deleted; closes with 4000 and more are an application's own.
const CLOSE_DELETED: u16 = 4_404;
/// The words of `follow`.
const REACHES: [(&str, Reach); 2] = [("true", Reach::End), ("false", Reach::Now)];

/// `GET …/instances/:id/subscribe`
pub(super) async fn subscribe(call: &Call, (account, workflow, id): Place<'_>) -> Answer {
    let follow = Follow {
        cursor: call.query.value("cursor")?.unwrap_or(0),
        filter: filter(call)?,
        reach: call.query.word("follow", &REACHES)?.unwrap_or_default(),
    };
    let upgrade = call.upgrade.lock().take();
    let Some(upgrade) = upgrade else {
        // Whether there is such an instance is worth knowing first.
        call.engine()
            .instance_row(account, workflow, id)
            .await
            .map_err(engine)?;
        return Err(not_a_websocket(call));
    };
    let room = call.app.subscribers.enter()?;
    let subscription = call.engine().subscribe(account, workflow, (id, follow)).await;
    let subscription = subscription.map_err(engine)?;
    let upgrade = upgrade.max_message_size(RECEIVE_MAX).max_frame_size(RECEIVE_MAX);
    Ok(upgrade
        .on_upgrade({
            let app = Arc::clone(&call.app);
            async move |socket| {
                serve(socket, subscription, app.health.draining()).await;
                drop(room);
            }
        })
        .into_response())
}

/// `GET …/instances/:id/subscribe/token`
pub(super) async fn token(call: &Call, (account, workflow, id): Place<'_>) -> Answer {
    call.engine()
        .instance_row(account, workflow, id)
        .await
        .map_err(engine)?;
    let (token, until) = call
        .app
        .subscribers
        .token((account, workflow, id), SystemClock.now());
    done(SubscribeToken {
        token,
        expires_on: words::time(until),
    })
}

fn filter(call: &Call) -> Result<Option<BTreeSet<EventType>>, Failure> {
    let mut types = BTreeSet::new();
    for word in call.query.texts("filter") {
        let known = EventType::from_word(word).ok_or_else(|| {
            let all: Vec<&str> = EventType::ALL.iter().map(|known| known.as_str()).collect();
            bad(format!(
                "the query parameter \"filter\" is \"{word}\"; it must be one of {}",
                all.join(", ")
            ))
        })?;
        types.insert(known);
    }
    Ok(Some(types).filter(|types| !types.is_empty()))
}

fn not_a_websocket(call: &Call) -> Failure {
    let asked = call.headers.contains_key(header::UPGRADE);
    let text = if asked {
        "the request asks for a WebSocket in a way that is not understood; it must be version 13 over HTTP/1.1, with Connection: Upgrade and Sec-WebSocket-Key"
    } else {
        "events are told over a WebSocket: connect with ws:// or wss:// (Upgrade: websocket)"
    };
    Failure::new(ApiError::Body, text)
}

/// Tells events until the last one, or until the subscriber goes.
async fn serve(mut socket: WebSocket, mut subscription: Subscription, stopping: impl Future<Output = ()>) {
    let mut stopping = pin!(stopping);
    let mut ping = interval(PING_EVERY);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping.reset();
    let close = loop {
        let message = tokio::select! {
            told = subscription.next() => match told {
                Ok(Some(told)) => Message::text(told.to_json_text(subscription.id())),
                Ok(None) => break close(close_code::NORMAL, "there is no more"),
                Err(error) => break close_of(&error),
            },
            received = socket.recv() => match received {
                // What a subscriber says has no meaning here; pings are answered by the library.
                Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
            () = &mut stopping => break close_of(&EngineError::ShuttingDown),
            _ = ping.tick() => Message::Ping(Default::default()),
        };
        let sent = timeout(SEND_PATIENCE, socket.send(message)).await;
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
    };
    // Whoever is gone by now has read all there was.
    let _ = timeout(SEND_PATIENCE, socket.send(close)).await;
}

fn close(code: u16, reason: &str) -> Message {
    Message::Close(Some(CloseFrame {
        code,
        reason: reason.into(),
    }))
}

fn close_of(error: &EngineError) -> Message {
    match error {
        EngineError::InstanceNotFound(_) => close(CLOSE_DELETED, "the instance was deleted"),
        EngineError::ShuttingDown => close(close_code::AWAY, "the server is stopping; connect again"),
        error => {
            tracing::error!(%error, "events could not be told");
            close(
                close_code::ERROR,
                "the events cannot be read; the server's log has the details",
            )
        }
    }
}
