//! Fires a schedule of a Worker: one request to the shim (`js/scheduled.js`), which answers when the handler and all it waits for are done.

use super::Workerd;
use super::keeper::Way;
use crate::{Firing, Scheduled, WorkerError, WorkerId};
use bytes::Bytes;
use cairn_core::ErrorInfo;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_LENGTH, HOST};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use tokio::net::UnixStream;

/// The longest a handler may take, as on Cloudflare.
const LONGEST: Duration = Duration::from_mins(15);
/// Bytes of the largest answer: names and messages of errors are cut long before.
const LARGEST_ANSWER: usize = 1 << 20;

/// What the shim answers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    failure: Option<(String, String)>,
    #[serde(default)]
    missing: bool,
}

impl Workerd {
    pub(super) async fn fire(&self, worker: &WorkerId, firing: &Firing) -> Result<Scheduled, WorkerError> {
        // Held until the handler is done: the process does not idle.
        let socket = self.socket(worker, Way::Scheduled).await?;
        let exchanged = tokio::time::timeout(LONGEST, exchange(socket.path(), firing)).await;
        let answer = match exchanged {
            Ok(Ok(answer)) => answer,
            // It may have done half its work: it is not called again.
            Ok(Err(error)) => {
                let message = format!("the process of its Worker ended meanwhile: {error}");
                return Ok(Scheduled::Failed(ErrorInfo::new("Error", &message)));
            }
            Err(_) => {
                let minutes = LONGEST.as_secs() / 60;
                let message = format!("it was not done after {minutes} minutes and has been stopped");
                return Ok(Scheduled::Failed(ErrorInfo::new("TimeoutError", &message)));
            }
        };
        let answer: Answer = serde_json::from_slice(&answer).map_err(|error| {
            WorkerError::Process(format!("the answer of the handler cannot be read: {error}"))
        })?;
        Ok(match answer {
            Answer { missing: true, .. } => Scheduled::Unhandled,
            Answer {
                failure: Some((name, message)),
                ..
            } => Scheduled::Failed(ErrorInfo::new(&name, &message)),
            Answer { failure: None, .. } => Scheduled::Done,
        })
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn exchange(path: &std::path::Path, firing: &Firing) -> Result<Bytes, Failed> {
    let stream = UnixStream::connect(path).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the exchange: a handler that is not waited for any more is stopped.
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to a Worker ended");
        }
    });
    let body = json!({ "cron": firing.cron, "scheduledTime": firing.scheduled_at.0 }).to_string();
    let request = Request::post("/")
        .header(HOST, "cairn")
        // For who follows the Worker (`js/tail.js`).
        .header("cairn-cron", &firing.cron)
        .header("cairn-time", firing.scheduled_at.0)
        .header(CONTENT_LENGTH, body.len())
        .body(Full::new(Bytes::from(body)))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let answer = Limited::new(response.into_body(), LARGEST_ANSWER)
        .collect()
        .await?
        .to_bytes();
    if status.is_success() {
        return Ok(answer);
    }
    Err(format!("it answered {status}").into())
}
