//! Serves the workflow bindings of one process: HTTP on a unix socket that only its internal Worker (`js/sys.js`) talks to.
//!
//! The account comes from the process, and the workflow must be one that its Worker binds: what the request says of it is
//! checked, not believed.

use super::binding_events;
use super::supervisor::Shared;
use super::tracer::Tracer;
use crate::{
    Binding, BindingCall, BindingError, BindingMethod, BindingReply, CreateOptions, EventSource, PieceSource,
    StreamCall, SubscribeCall, Value, WorkerError, WorkerSpec,
};
use bytes::Bytes;
use cairn_core::{DurationInput, RestartFrom, RollbackView, StepKey, StepKind, Undo, parse_duration};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

/// Bytes of the largest request.
const LARGEST_REQUEST: usize = 64 << 20;
/// Most instances of one batch.
const LARGEST_BATCH: usize = 100;

/// The server of one process; ends when dropped.
#[derive(Debug)]
pub(super) struct BindingServer(JoinHandle<()>);

impl Drop for BindingServer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Service {
    shared: Arc<Shared>,
    tracer: Tracer,
    account: String,
    workflows: BTreeSet<String>,
}

impl BindingServer {
    /// Listens on `path`, for the Worker `spec`.
    ///
    /// # Errors
    /// [`WorkerError::Process`] where the socket cannot be made.
    pub(super) fn start(
        path: &Path,
        (shared, tracer): (Arc<Shared>, Tracer),
        spec: &WorkerSpec,
    ) -> Result<Self, WorkerError> {
        let listener = UnixListener::bind(path).map_err(|error| {
            WorkerError::Process(format!(
                "the socket {} could not be made: {error}",
                path.display()
            ))
        })?;
        let bound = spec.bindings.iter().filter_map(|binding| match binding {
            Binding::Workflow { workflow_name, .. } => Some(workflow_name.clone()),
            Binding::Text { .. }
            | Binding::Json { .. }
            | Binding::Data { .. }
            | Binding::Wasm { .. }
            | Binding::Service { .. } => None,
        });
        let exported = spec.exports.iter().map(|export| export.workflow_name.clone());
        let service = Arc::new(Service {
            shared,
            tracer,
            account: spec.account.clone(),
            workflows: bound.chain(exported).collect(),
        });
        Ok(Self(tokio::spawn(accept(listener, service))))
    }
}

async fn accept(listener: UnixListener, service: Arc<Service>) {
    // Connections end with the server.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&service)));
                }
                Err(error) => tracing::warn!(%error, "a call on a workflow binding could not be accepted"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: UnixStream, service: Arc<Service>) {
    let answer = service_fn(|request| answer(request, Arc::clone(&service)));
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answer)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection of a workflow binding broke");
    }
}

async fn answer(
    request: Request<Incoming>,
    service: Arc<Service>,
) -> Result<Response<UnsyncBoxBody<Bytes, BindingError>>, Infallible> {
    let called = if request.uri().path() == "/trace" {
        service.trace(request).await
    } else {
        service.call(request).await
    };
    let (text, status) = match called {
        Ok(Answered::Reply(reply)) => (reply_text(&reply), StatusCode::OK),
        Ok(Answered::Followed(followed)) => (json!({ "followed": followed }).to_string(), StatusCode::OK),
        Ok(Answered::Events(source)) => return Ok(Response::new(binding_events::body(source))),
        Ok(Answered::Pieces(source)) => return Ok(Response::new(binding_events::pieces(source))),
        Err(error) => (
            json!({ "failure": error.message }).to_string(),
            StatusCode::BAD_REQUEST,
        ),
    };
    let whole = Full::new(text.into()).map_err(|never: Infallible| match never {});
    let mut response = Response::new(whole.boxed_unsync());
    *response.status_mut() = status;
    Ok(response)
}

/// What a call is answered with.
enum Answered {
    Reply(BindingReply),
    /// Whether anybody follows the Worker.
    Followed(bool),
    Events(Box<dyn EventSource>),
    Pieces(Box<dyn PieceSource>),
}

fn refuse(message: impl Into<String>) -> BindingError {
    BindingError {
        message: message.into(),
    }
}

/// All bytes of a request.
async fn whole_body(request: Request<Incoming>) -> Result<Bytes, BindingError> {
    let body = Limited::new(request.into_body(), LARGEST_REQUEST).collect().await;
    let body = body.map_err(|error| refuse(format!("(body) the call could not be read: {error}")))?;
    Ok(body.to_bytes())
}

impl Service {
    /// What handlers of the Worker have done, told by `js/tail.js`.
    async fn trace(&self, request: Request<Incoming>) -> Result<Answered, BindingError> {
        let body = whole_body(request).await?;
        let items: Vec<serde_json::Value> = serde_json::from_slice(&body)
            .map_err(|error| refuse(format!("(body) the trace is malformed: {error}")))?;
        Ok(Answered::Followed(self.tracer.handlers(items)))
    }

    async fn call(&self, request: Request<Incoming>) -> Result<Answered, BindingError> {
        if request.method() != Method::POST {
            return Err(refuse("(body) a call is a POST"));
        }
        let body = whole_body(request).await?;
        let asked: Asked<'_> = serde_json::from_slice(&body)
            .map_err(|error| refuse(format!("(body) the call is malformed: {error}")))?;
        if !self.workflows.contains(&asked.workflow) {
            return Err(refuse(format!(
                "(workflow.not_found) no binding to workflow \"{}\"",
                asked.workflow
            )));
        }
        let Some(host) = self.shared.bindings.get() else {
            return Err(refuse("(internal) cairn is still starting; try again"));
        };
        let (account, workflow) = (self.account.clone(), asked.workflow.clone());
        if asked.method == "subscribe" {
            let call = asked.subscribe((account, workflow))?;
            return host.subscribe(call).await.map(Answered::Events);
        }
        if asked.method == "stream" {
            let call = asked.stream((account, workflow))?;
            return host.stream(call).await.map(Answered::Pieces);
        }
        let call = BindingCall {
            account,
            workflow,
            method: asked.method()?,
        };
        host.call(call).await.map(Answered::Reply)
    }
}

/// A call as `js/sys.js` writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked<'a> {
    workflow: String,
    method: String,
    id: Option<String>,
    #[serde(borrow)]
    options: Option<Vec<OptionsWire<'a>>>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    #[serde(borrow)]
    payload: Option<(&'a str, &'a RawValue)>,
    cursor: Option<u64>,
    filter: Option<Vec<String>>,
    count: Option<usize>,
    #[serde(default)]
    rollback: bool,
    from: Option<FromWire>,
    entry: Option<u64>,
}

/// The step to restart from.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FromWire {
    name: String,
    count: u32,
    #[serde(rename = "type")]
    kind: KindWire,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum KindWire {
    Do,
    Sleep,
    WaitForEvent,
}

impl From<FromWire> for StepKey {
    fn from(FromWire { name, count, kind }: FromWire) -> Self {
        let kind = match kind {
            KindWire::Do => StepKind::Do,
            KindWire::Sleep => StepKind::Sleep,
            KindWire::WaitForEvent => StepKind::WaitForEvent,
        };
        Self { kind, name, count }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct OptionsWire<'a> {
    id: Option<String>,
    #[serde(borrow)]
    params: Option<(&'a str, &'a RawValue)>,
    success_retention: Option<DurationWire>,
    error_retention: Option<DurationWire>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum DurationWire {
    Millis(f64),
    Text(String),
}

impl Asked<'_> {
    fn subscribe(self, (account, workflow): (String, String)) -> Result<SubscribeCall, BindingError> {
        Ok(SubscribeCall {
            account,
            workflow,
            id: self.id.ok_or_else(|| refuse("(body) the call has no id"))?,
            cursor: self.cursor.unwrap_or(0),
            filter: self.filter,
        })
    }

    fn stream(self, (account, workflow): (String, String)) -> Result<StreamCall, BindingError> {
        Ok(StreamCall {
            account,
            workflow,
            id: self.id.ok_or_else(|| refuse("(body) the call has no id"))?,
            entry: self.entry.ok_or_else(|| refuse("(body) the call has no entry"))?,
        })
    }

    fn method(self) -> Result<BindingMethod, BindingError> {
        let missing = |what: &str| refuse(format!("(body) the call has no {what}"));
        let id = self.id.ok_or_else(|| missing("id"));
        let options = self.options.ok_or_else(|| missing("options"));
        Ok(match self.method.as_str() {
            "get" => BindingMethod::Get { id: id? },
            "create" => BindingMethod::Create(single(options?)?),
            "createBatch" => BindingMethod::CreateBatch(batch(options?, self.count)?),
            "status" => BindingMethod::Status { id: id? },
            "pause" => BindingMethod::Pause { id: id? },
            "resume" => BindingMethod::Resume { id: id? },
            "terminate" => BindingMethod::Terminate {
                id: id?,
                undo: if self.rollback { Undo::Steps } else { Undo::Nothing },
            },
            "restart" => BindingMethod::Restart {
                id: id?,
                from: self
                    .from
                    .map_or(RestartFrom::Beginning, |from| RestartFrom::Step(from.into())),
            },
            "delete" => BindingMethod::Delete { id: id? },
            "sendEvent" => BindingMethod::SendEvent {
                id: id?,
                event_type: self.event_type.ok_or_else(|| missing("type"))?,
                payload: read_value(self.payload.ok_or_else(|| missing("payload"))?)?,
            },
            other => return Err(refuse(format!("(body) there is no method \"{other}\""))),
        })
    }
}

fn single(options: Vec<OptionsWire<'_>>) -> Result<CreateOptions, BindingError> {
    let mut options = options.into_iter();
    match (options.next(), options.next()) {
        (Some(one), None) => one.read(),
        _ => Err(refuse("(body) create makes one instance")),
    }
}

/// The instances of a batch: as many alike as `count` says, or one for each of the options.
fn batch(options: Vec<OptionsWire<'_>>, count: Option<usize>) -> Result<Vec<CreateOptions>, BindingError> {
    let Some(count) = count else {
        return options.into_iter().map(OptionsWire::read).collect();
    };
    if count > LARGEST_BATCH {
        return Err(refuse(format!(
            "(body) a batch has at most {LARGEST_BATCH} instances"
        )));
    }
    Ok(vec![single(options)?; count])
}

impl OptionsWire<'_> {
    fn read(self) -> Result<CreateOptions, BindingError> {
        Ok(CreateOptions {
            id: self.id,
            params: self.params.map(read_value).transpose()?,
            success_retention_millis: self.success_retention.map(DurationWire::millis).transpose()?,
            error_retention_millis: self.error_retention.map(DurationWire::millis).transpose()?,
        })
    }
}

impl DurationWire {
    fn millis(self) -> Result<u64, BindingError> {
        let duration = match self {
            Self::Millis(millis) => DurationInput::Millis(millis),
            Self::Text(text) => DurationInput::Text(text),
        };
        let millis = parse_duration(&duration)
            .ok()
            .and_then(|millis| u64::try_from(millis).ok());
        millis.ok_or_else(|| {
            refuse(
                "(body) Duration must be a number or a string in format '{{number}} {{unit}}' where unit is \
                 second(s), minute(s), etc.",
            )
        })
    }
}

fn read_value((form, body): (&str, &RawValue)) -> Result<Value, BindingError> {
    Value::from_frame(form, body).map_err(|error| refuse(format!("(body) {error}")))
}

fn reply_text(reply: &BindingReply) -> String {
    match reply {
        BindingReply::Done => "{}".into(),
        BindingReply::Ids(ids) => json!({ "ids": ids }).to_string(),
        BindingReply::Status {
            status,
            error,
            output,
            rollback,
        } => {
            let mut text = format!("{{\"status\":\"{}\"", status.as_str());
            if let Some(error) = error {
                let (name, message) = (json!(error.name), json!(error.message));
                text.push_str(&format!(",\"error\":{{\"name\":{name},\"message\":{message}}}"));
            }
            if let Some(output) = output {
                let (form, body) = output.parts();
                // A value is checked to be UTF-8 when it is made.
                let body = std::str::from_utf8(body).unwrap_or("null");
                text.push_str(&format!(",\"output\":[\"{}\",{body}]", char::from(form)));
            }
            if let Some(rollback) = rollback {
                text.push_str(&format!(",\"rollback\":{}", rollback_text(rollback)));
            }
            text.push('}');
            text
        }
    }
}

/// Null until the rollback has ended.
fn rollback_text(rollback: &RollbackView) -> serde_json::Value {
    match &rollback.outcome {
        None => serde_json::Value::Null,
        Some(Ok(())) => json!({ "outcome": "complete", "error": null }),
        Some(Err(error)) => {
            json!({ "outcome": "failed", "error": { "name": error.name, "message": error.message } })
        }
    }
}
