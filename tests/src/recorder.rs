//! An HTTP server in the test: what Workers call to have an effect outside, and what keeps count of it.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Path and query.
    pub path: String,
    /// The header `idempotency-key`.
    pub idempotency_key: Option<String>,
    /// The body.
    pub body: String,
}

/// What a request is answered with.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
    /// How long it takes.
    pub delay: Duration,
}

impl Reply {
    /// A reply.
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            body: body.into(),
            delay: Duration::ZERO,
        }
    }

    /// The same reply, after a while.
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
}

/// A server that answers and remembers.
#[derive(Debug)]
pub struct Recorder {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Recorder {
    /// Answers the nth request, from 0, with what `reply` makes of it.
    pub async fn start(reply: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let reply = Arc::new(reply);
        let all = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                let (seen, reply) = (Arc::clone(&all), Arc::clone(&reply));
                let service =
                    service_fn(move |request| answer(request, Arc::clone(&seen), Arc::clone(&reply)));
                // A client that was killed ends its connection in the middle: nothing to tell.
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, seen }
    }

    /// Its URL with a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Forgets the requests so far: the next one is the first again.
    pub fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }
}

async fn answer<F: Fn(usize, &Seen) -> Reply>(
    request: Request<Incoming>,
    all: Arc<Mutex<Vec<Seen>>>,
    reply: Arc<F>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let path = request.uri().to_string();
    let key = request.headers().get("idempotency-key");
    let idempotency_key = key.map(|value| value.to_str().unwrap_or_default().to_owned());
    let body = request.into_body().collect().await?.to_bytes();
    let seen = Seen {
        path,
        idempotency_key,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let reply = {
        let mut all = all.lock().unwrap();
        let reply = reply(all.len(), &seen);
        all.push(seen);
        reply
    };
    tokio::time::sleep(reply.delay).await;
    let response = Response::builder().status(reply.status);
    Ok(response.body(Full::from(reply.body)).unwrap())
}
