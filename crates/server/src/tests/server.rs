//! A whole server: files, a socket, an orderly end. No Worker is started.

use crate::{Auth, Config, Server, ServerError};
use std::net::SocketAddr;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

fn config(data_dir: &Path, auth: Auth) -> Config {
    Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        run_dir: Some(data_dir.join("run")),
        auth,
        ..Config::new(data_dir, "/nonexistent/workerd")
    }
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// As in a process of its own: the store is let go of with the last task.
fn in_a_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

#[test]
fn it_answers_until_it_is_told_to_end_and_starts_again() {
    let dir = tempfile::tempdir().unwrap();
    in_a_runtime(serve_once(dir.path()));
    // The token is kept, as a hash; the file is free again.
    in_a_runtime(async {
        let again = Server::start(config(dir.path(), Auth::Token(None)))
            .await
            .unwrap();
        assert_eq!(again.new_token(), None);
        again.run_until(std::future::ready(())).await.unwrap();
    });
}

async fn serve_once(dir: &Path) {
    let server = Server::start(config(dir, Auth::Token(None))).await.unwrap();
    let (address, token) = (server.address(), server.new_token().unwrap().to_owned());
    let (end, ended) = oneshot::channel::<()>();
    let running = tokio::spawn(server.run_until(async {
        let _ = ended.await;
    }));
    let request = format!(
        "GET /client/v4/accounts/a/workflows HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    assert!(ask(address, &request).await.contains("\"success\":true"));
    let garbage = ask(address, "garbage\r\n\r\n").await;
    assert!(garbage.starts_with("HTTP/1.1 400"), "{garbage}");
    // A connection that is kept open does not hold up the end.
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 8];
    idle.read_exact(&mut first).await.unwrap();
    end.send(()).unwrap();
    running.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn without_a_token_only_this_machine_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let config = Config {
        listen: everywhere,
        ..config(dir.path(), Auth::Open)
    };
    let error = Server::start(config).await.unwrap_err();
    assert!(matches!(error, ServerError::OpenToAll(_)));
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn what_another_has_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(config(dir.path(), Auth::Open)).await.unwrap();
    let same_address = Config {
        listen: server.address(),
        ..config(dir.path(), Auth::Open)
    };
    assert!(matches!(
        Server::start(same_address).await.unwrap_err(),
        ServerError::Listen { .. }
    ));
    let same_data = Server::start(config(dir.path(), Auth::Open)).await.unwrap_err();
    assert!(
        same_data.to_string().contains("in use by another cairn"),
        "{same_data}"
    );
    server.run_until(std::future::ready(())).await.unwrap();
}
