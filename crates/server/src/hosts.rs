//! Requests by the host name of a Worker: `http://<script>.localhost:<port>/` reaches its `fetch` handler.

use crate::app::App;
use crate::auth::host_of;
use crate::routes::script_settings::KeptSettings;
use async_trait::async_trait;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri, header};
use cairn_engine::{Engine, EngineError, ScriptRow};
use cairn_runtime::Guarded;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::any::Any;
use std::collections::HashMap;
use tokio::io::{AsyncRead, AsyncWrite};

/// Labels below this domain name Workers.
const DOMAIN: &str = ".localhost";

/// Which Worker a host names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkerName {
    script: String,
    account: Option<String>,
}

/// A byte stream to a Worker.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection to a Worker's `fetch` handler.
pub(crate) struct WorkerConnection {
    pub(crate) stream: Box<dyn Stream>,
    /// Keeps the process from idling while it is held.
    pub(crate) guard: Box<dyn Any + Send + Sync>,
}

/// Where Workers are reached.
#[async_trait]
pub(crate) trait WorkerDoor: Send + Sync {
    /// Connects to the `fetch` handler of a version.
    async fn connect(&self, version: &str) -> Result<WorkerConnection, String>;
}

/// Which versions have a default export, once it was looked up: versions never change, and to look is to read the whole version.
#[derive(Debug, Default)]
pub(crate) struct Handlers(Mutex<HashMap<String, bool>>);

/// Versions remembered; all are forgotten when there are more.
const HANDLERS_MAX: usize = 10_000;

impl Handlers {
    async fn answers(&self, engine: &Engine, version: &str) -> Result<bool, EngineError> {
        if let Some(known) = self.0.lock().get(version) {
            return Ok(*known);
        }
        let metadata = engine.script_metadata(version).await?;
        let answers = metadata.exports.iter().any(|export| export == "default");
        let mut known = self.0.lock();
        if known.len() >= HANDLERS_MAX {
            known.clear();
        }
        known.insert(version.to_owned(), answers);
        Ok(answers)
    }
}

/// The Worker that a request names by its host, if it does.
pub(crate) fn worker_host(uri: &Uri, headers: &HeaderMap) -> Option<WorkerName> {
    let host = host_of(uri, headers)?;
    let labels = host.strip_suffix(DOMAIN).filter(|labels| !labels.is_empty())?;
    let (script, account) = match labels.split_once('.') {
        Some((script, account)) => (script.to_owned(), Some(account.to_owned())),
        None => (labels.to_owned(), None),
    };
    Some(WorkerName { script, account })
}

/// Hands a request to a Worker and streams its answer back.
pub(crate) async fn forward(app: &App, name: &WorkerName, request: Request) -> Response<Body> {
    let row = match find(app, name).await {
        Ok(row) => row,
        Err((status, text)) => return plain(status, text),
    };
    match KeptSettings::of(&row) {
        Ok(settings) if settings.reachable() => {}
        Ok(_) => {
            let text = format!(
                "the Worker \"{}\" does not answer by its host name: that was turned off; set workers_dev to true and deploy it",
                row.name
            );
            return absent(app, name, text);
        }
        Err(error) => return plain(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
    let Some((version, _)) = row.deployed else {
        return absent(
            app,
            name,
            format!("the Worker \"{}\" has no deployed version", row.name),
        );
    };
    match app.handlers.answers(&app.engine, &version).await {
        Ok(true) => {}
        Ok(false) => {
            let text = format!(
                "the Worker \"{}\" has no default export, so it does not answer requests; \
                 add `export default {{ async fetch(request, env) {{ … }} }}` to its main module",
                row.name
            );
            return absent(app, name, text);
        }
        Err(error) => return plain(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
    match app.door.connect(&version).await {
        Ok(connection) => exchange(connection, request).await,
        Err(error) => {
            tracing::warn!(script = row.name, error, "a Worker could not be reached");
            let why = if app.access.is_open() {
                error
            } else {
                "the server's log says why".into()
            };
            plain(
                StatusCode::BAD_GATEWAY,
                format!("the Worker \"{}\" could not be started: {why}", row.name),
            )
        }
    }
}

/// Why a Worker does not answer, on a developer's own machine. Everybody else is told the same whatever there is.
fn absent(app: &App, name: &WorkerName, why: String) -> Response<Body> {
    let text = if app.access.is_open() {
        why
    } else {
        nobody(&name.script)
    };
    plain(StatusCode::NOT_FOUND, text)
}

fn nobody(script: &str) -> String {
    format!(
        "no Worker of the name \"{script}\" answers here: one answers that is deployed, has a default export with a fetch handler, \
         and whose workers_dev is not false"
    )
}

/// The Worker of this name; where several accounts have one and none is named, the oldest that is deployed.
async fn find(app: &App, name: &WorkerName) -> Result<ScriptRow, (StatusCode, String)> {
    let rows = app.engine.scripts_named(&name.script).await;
    let mut rows = rows.map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    if let Some(account) = &name.account {
        rows.retain(|row| row.account.eq_ignore_ascii_case(account));
    }
    let chosen = rows.iter().position(|row| row.deployed.is_some()).unwrap_or(0);
    if chosen < rows.len() {
        return Ok(rows.swap_remove(chosen));
    }
    Err((StatusCode::NOT_FOUND, nobody(&name.script)))
}

fn plain(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text + "\n"));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

async fn exchange(
    WorkerConnection { stream, guard }: WorkerConnection,
    mut request: Request,
) -> Response<Body> {
    let (mut sender, connection) = match http1::handshake(TokioIo::new(stream)).await {
        Ok(pair) => pair,
        Err(error) => {
            return plain(
                StatusCode::BAD_GATEWAY,
                format!("the Worker does not answer: {error}"),
            );
        }
    };
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection to a Worker ended");
        }
    });
    let upgrade = is_upgrade(request.headers()).then(|| hyper::upgrade::on(&mut request));
    prepare(&mut request, upgrade.is_some());
    let mut response = match sender.send_request(request).await {
        Ok(response) => response,
        Err(error) => {
            return plain(
                StatusCode::BAD_GATEWAY,
                format!("the Worker ended the connection: {error}; its log may say why"),
            );
        }
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(client) = upgrade
    {
        let worker = hyper::upgrade::on(&mut response);
        tokio::spawn(async move {
            let _guard = guard;
            if let (Ok(client), Ok(worker)) = (client.await, worker.await) {
                // Either side may hang up at any time.
                let _ =
                    tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(worker)).await;
            }
        });
        return response.map(|_| Body::empty());
    }
    strip_hop_by_hop(response.headers_mut());
    response.map(|body| Body::new(Guarded::new(body, guard)))
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    let connection = headers
        .get(header::CONNECTION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    headers.contains_key(header::UPGRADE)
        && connection
            .split(',')
            .any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
}

/// A request as the Worker is to see it: the path in origin form, the host kept.
fn prepare(request: &mut Request, is_upgrade: bool) {
    if let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(header::HOST, host);
    }
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
    if !is_upgrade {
        strip_hop_by_hop(request.headers_mut());
    }
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ] {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(host: &str) -> Option<(String, Option<String>)> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        worker_host(&Uri::from_static("/x"), &headers).map(|name| (name.script, name.account))
    }

    #[test]
    fn names_of_workers() {
        assert_eq!(host("my-worker.localhost:8787"), Some(("my-worker".into(), None)));
        assert_eq!(
            host("My-Worker.acc.LOCALHOST"),
            Some(("my-worker".into(), Some("acc".into())))
        );
        for other in ["localhost:8787", "127.0.0.1", "x.example", ".localhost"] {
            assert_eq!(host(other), None, "{other}");
        }
    }

    #[test]
    fn hop_by_hop_headers_stay_here() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, x-secret"),
            ("x-secret", "1"),
            ("te", "trailers"),
            ("x-other", "2"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["x-other"]);
    }
}
