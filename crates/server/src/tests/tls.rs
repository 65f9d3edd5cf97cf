//! TLS: a real client, and everybody else.

use super::world::World;
use crate::serve::{Entrance, serve};
use crate::tls::{Tls, TlsFiles};
use crate::{ClientAddress, Config, Server, ServerError};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A certificate for localhost, written with its key.
fn certificate(dir: &Path) -> (TlsFiles, CertificateDer<'static>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles {
        certificate: dir.join("cert.pem"),
        key: dir.join("key.pem"),
    };
    std::fs::write(&files.certificate, cert.pem()).unwrap();
    std::fs::write(&files.key, signing_key.serialize_pem()).unwrap();
    (files, cert.der().clone())
}

async fn listen(tls: Arc<Tls>, handshake: Duration) -> SocketAddr {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let entrance = Entrance {
        handshake,
        ..Entrance::new(listener, Some(tls))
    };
    tokio::spawn(serve(entrance, world.router(), std::future::pending()));
    address
}

async fn connect(
    address: SocketAddr,
    trusted: CertificateDer<'static>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// What `/healthz` answers over TLS.
async fn health(address: SocketAddr, trusted: CertificateDer<'static>) -> String {
    let mut stream = connect(address, trusted).await.unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

const PATIENT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_client_is_served_and_others_do_not_disturb() {
    let dir = tempfile::tempdir().unwrap();
    let (files, trusted) = certificate(dir.path());
    let address = listen(Arc::new(Tls::load(files).unwrap()), PATIENT).await;
    assert!(health(address, trusted.clone()).await.starts_with("HTTP/1.1 200"));
    // Who does not trust the certificate goes away in the middle of the handshake.
    let (_, other) = certificate(tempfile::tempdir().unwrap().path());
    assert!(connect(address, other).await.is_err());
    // Who says nothing is waited for, and nobody behind him.
    let silent = TcpStream::connect(address).await.unwrap();
    // Who speaks HTTP gets no HTTP back, and the end of the connection.
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    // The rest of the request may be answered with a reset.
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
    assert!(health(address, trusted).await.starts_with("HTTP/1.1 200"));
    drop(silent);
}

#[tokio::test]
async fn a_handshake_has_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let (files, trusted) = certificate(dir.path());
    let address = listen(Arc::new(Tls::load(files).unwrap()), Duration::from_millis(300)).await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    // The beginning of a handshake, and no more.
    slow.write_all(&[0x16, 0x03, 0x01, 0x02]).await.unwrap();
    let mut answer = Vec::new();
    let end = tokio::time::timeout(PATIENT, slow.read_to_end(&mut answer)).await;
    assert!(end.is_ok(), "the connection was kept");
    assert_eq!(answer, b"");
    assert!(health(address, trusted).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn new_files_are_taken_up_and_broken_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let (files, first) = certificate(dir.path());
    let tls = Arc::new(Tls::load(files.clone()).unwrap());
    let address = listen(Arc::clone(&tls), PATIENT).await;
    assert!(!tls.look().unwrap());
    std::fs::write(&files.certificate, "nothing").unwrap();
    assert!(tls.look().is_err());
    assert!(!tls.look().unwrap(), "said once");
    assert!(health(address, first.clone()).await.starts_with("HTTP/1.1 200"));
    let (_, second) = certificate(dir.path());
    assert!(tls.look().unwrap());
    assert!(health(address, second).await.starts_with("HTTP/1.1 200"));
    assert!(connect(address, first).await.is_err());
}

#[test]
fn what_is_wrong_with_the_files_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let (good, _) = certificate(dir.path());
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let other_key = write("other.pem", &KeyPair::generate().unwrap().serialize_pem());
    let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let (locked, empty) = (write("locked.pem", locked), write("empty.pem", ""));
    let broken = write("broken.pem", "-----BEGIN CERTIFICATE-----\n????\n");
    let said = |certificate: &Path, key: &Path| {
        let files = TlsFiles {
            certificate: certificate.into(),
            key: key.into(),
        };
        Tls::load(files).map(|_| ()).unwrap_err().to_string()
    };
    let missing = dir.path().join("missing.pem");
    for (text, part) in [
        (
            said(&missing, &good.key),
            "missing.pem (--tls-cert) cannot be read",
        ),
        (
            said(&good.certificate, &missing),
            "missing.pem (--tls-key) cannot be read",
        ),
        (said(&empty, &good.key), "-----BEGIN CERTIFICATE-----"),
        (said(&broken, &good.key), "holds no certificate"),
        (said(&good.key, &good.key), "holds no certificate"),
        (said(&good.certificate, &good.certificate), "holds no private key"),
        (said(&good.certificate, &locked), "passphrase"),
        (
            said(&good.certificate, &other_key),
            "is not the key of the first certificate",
        ),
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn other_machines_are_served_over_tls_or_through_a_proxy() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        listen: SocketAddr::from(([0, 0, 0, 0], 0)),
        run_dir: Some(dir.path().join("run")),
        ..Config::new(dir.path().join("data"), "/nonexistent/workerd")
    };
    let error = Server::start(config.clone()).await.unwrap_err();
    assert!(matches!(error, ServerError::NeedsTls(_)), "{error}");
    for word in ["--tls-cert", "--tls-key", "--behind-proxy", "127.0.0.1"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    let (files, _) = certificate(dir.path());
    let over_tls = Config {
        tls: Some(files.clone()),
        ..config.clone()
    };
    let behind_proxy = Config {
        client_address: ClientAddress::Proxy,
        ..config.clone()
    };
    for good in [over_tls, behind_proxy] {
        let server = Server::start(good).await.unwrap();
        server.run_until(std::future::ready(())).await.unwrap();
    }
    let unreadable = Config {
        tls: Some(TlsFiles {
            key: dir.path().join("none"),
            ..files
        }),
        ..config
    };
    assert!(matches!(
        Server::start(unreadable).await.unwrap_err(),
        ServerError::Tls(_)
    ));
}
