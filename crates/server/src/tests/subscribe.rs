//! Live events over a real WebSocket.

use super::world::{TOKEN, World};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value as Json, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

const PATIENCE: Duration = Duration::from_secs(30);

/// A subscriber, or the status and the body of the refusal.
async fn connect(
    address: SocketAddr,
    path: &str,
    bearer: Option<&str>,
) -> Result<WebSocketStream<TcpStream>, (u16, Json)> {
    let url = format!("ws://{address}/client/v4/accounts/acc/workflows/w/instances/{path}");
    let mut request = url.into_client_request().unwrap();
    if let Some(token) = bearer {
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
    }
    let stream = TcpStream::connect(address).await.unwrap();
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => {
            let body = response.body().as_deref().unwrap_or_default();
            Err((
                response.status().as_u16(),
                serde_json::from_slice(body).unwrap_or_default(),
            ))
        }
        Err(error) => panic!("{error}"),
    }
}

/// The next event: number and type; or with which code the connection was closed.
async fn next(socket: &mut WebSocketStream<TcpStream>) -> Result<(u64, String), u16> {
    loop {
        let message = tokio::time::timeout(PATIENCE, socket.next())
            .await
            .unwrap()
            .unwrap();
        match message.unwrap() {
            Message::Text(text) => {
                let event: Json = serde_json::from_str(&text).unwrap();
                assert_eq!(event["instanceId"], "one");
                return Ok((
                    event["eventId"].as_u64().unwrap(),
                    event["type"].as_str().unwrap().into(),
                ));
            }
            Message::Close(frame) => return Err(frame.unwrap().code.into()),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn terminate(world: &World) {
    let body = json!({ "status": "terminate" }).to_string();
    world
        .call("PATCH", "/workflows/w/instances/one/status", &body)
        .await
        .result();
}

async fn with_instance() -> (World, SocketAddr) {
    let world = World::deployed().await;
    let body = json!({ "instance_id": "one", "params": { "a": 1 } }).to_string();
    world.call("POST", "/workflows/w/instances", &body).await.result();
    let address = world.listen().await;
    (world, address)
}

fn event(id: u64, name: &str) -> Result<(u64, String), u16> {
    Ok((id, name.to_owned()))
}

#[tokio::test]
async fn events_come_until_the_end() {
    let (world, address) = with_instance().await;
    let mut socket = connect(address, "one/subscribe", Some(TOKEN)).await.unwrap();
    assert_eq!(next(&mut socket).await, event(1, "workflow_queued"));
    assert_eq!(next(&mut socket).await, event(2, "workflow_started"));
    assert_eq!(next(&mut socket).await, event(3, "workflow_running"));
    // What a subscriber says is not listened to.
    socket.send(Message::text("hello")).await.unwrap();
    terminate(&world).await;
    assert_eq!(next(&mut socket).await, event(4, "workflow_terminated"));
    assert_eq!(next(&mut socket).await, Err(1000));
}

#[tokio::test]
async fn a_cursor_and_a_filter() {
    let (world, address) = with_instance().await;
    let path = "one/subscribe?cursor=1&filter=workflow_queued&filter=workflow_running";
    let mut socket = connect(address, path, Some(TOKEN)).await.unwrap();
    assert_eq!(next(&mut socket).await, event(3, "workflow_running"));
    terminate(&world).await;
    assert_eq!(next(&mut socket).await, Err(1000));
}

#[tokio::test]
async fn a_deleted_instance_closes_with_a_code_of_its_own() {
    let (world, address) = with_instance().await;
    let path = "one/subscribe?filter=workflow_running";
    let mut socket = connect(address, path, Some(TOKEN)).await.unwrap();
    assert_eq!(next(&mut socket).await, event(3, "workflow_running"));
    world
        .call("DELETE", "/workflows/w/instances/one", "")
        .await
        .result();
    assert_eq!(next(&mut socket).await, Err(4404));
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let (world, address) = with_instance().await;
    let path = "one/subscribe?filter=workflow_running";
    let mut socket = connect(address, path, Some(TOKEN)).await.unwrap();
    assert_eq!(next(&mut socket).await, event(3, "workflow_running"));
    world.engine.shutdown().await;
    assert_eq!(next(&mut socket).await, Err(1001));
}

#[tokio::test]
async fn a_token_for_web_pages() {
    let (world, address) = with_instance().await;
    let made = world
        .get("/workflows/w/instances/one/subscribe/token")
        .await
        .result();
    let token = made["token"].as_str().unwrap();
    assert!(made["expires_on"].is_string());
    let path = format!("one/subscribe?token={token}");
    let mut socket = connect(address, &path, None).await.unwrap();
    assert_eq!(next(&mut socket).await, event(1, "workflow_queued"));
    for (path, bearer) in [
        (path.replace(token, "wrong"), None),
        (path.replace(token, "wrong"), Some(TOKEN)),
        (path.replace("one/", "other/"), None),
        ("one/subscribe".to_owned(), None),
        (format!("one/subscribe/token?token={token}"), None),
    ] {
        let refused = connect(address, &path, bearer).await.unwrap_err();
        assert_eq!((refused.0, &refused.1["success"]), (401, &json!(false)), "{path}");
    }
    let missing = world.get("/workflows/w/instances/nope/subscribe/token").await;
    assert_eq!(missing.failure().0, 404);
}

#[tokio::test]
async fn refusals_are_envelopes() {
    let (world, address) = with_instance().await;
    for (path, status) in [
        ("nope/subscribe", 404),
        ("one/subscribe?cursor=-1", 400),
        ("one/subscribe?cursor=x", 400),
        ("one/subscribe?filter=nope", 400),
    ] {
        let refused = connect(address, path, Some(TOKEN)).await.unwrap_err();
        assert_eq!(
            (refused.0, &refused.1["success"]),
            (status, &json!(false)),
            "{path}"
        );
    }
    let plain = world.get("/workflows/w/instances/one/subscribe").await;
    assert_eq!(plain.failure().0, 400);
    assert!(
        plain.explanation().contains("WebSocket"),
        "{}",
        plain.explanation()
    );
    assert_eq!(
        world
            .get("/workflows/w/instances/nope/subscribe")
            .await
            .failure()
            .0,
        404
    );
    let posted = world
        .call("POST", "/workflows/w/instances/one/subscribe", "")
        .await;
    assert_eq!(posted.failure().0, 405);
}
