//! What all requests share, and the way from a request to its handler.

use crate::access::audit::Entry;
use crate::access::{Access, Remarks, Visitor};
use crate::answer::{Answer, failed};
use crate::bodies::Bodies;
use crate::body::BodyLimits;
use crate::drain::Rest;
use crate::health::Health;
use crate::hosts::{self, Handlers, WorkerDoor};
use crate::jobs::Jobs;
use crate::query::Query;
use crate::route::{Route, TestRoute};
use crate::routes;
use crate::subscribers::Subscribers;
use crate::tails::Tails;
use crate::testing::Testing;
use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts as _, Request, State, WebSocketUpgrade};
use axum::http::{HeaderMap, Method, Response};
use axum::routing::get;
use cairn_api::{ApiError, Failure};
use cairn_engine::Engine;
use parking_lot::Mutex;
use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use tower_http::catch_panic::CatchPanicLayer;

/// What all requests share.
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) access: Access,
    pub(crate) door: Arc<dyn WorkerDoor>,
    pub(crate) limits: BodyLimits,
    pub(crate) bodies: Bodies,
    pub(crate) jobs: Jobs,
    pub(crate) handlers: Handlers,
    pub(crate) subscribers: Subscribers,
    pub(crate) tails: Arc<Tails>,
    /// What tests may do; none where the server is no developer's own.
    pub(crate) testing: Option<Testing>,
    /// Where this server listens; names the URLs of Workers.
    pub(crate) address: SocketAddr,
    /// Whether the server stops.
    pub(crate) health: Health,
}

/// One request to the API, without its path and body.
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    /// Who asks.
    pub(crate) visitor: Visitor,
    /// What the audit log is to say beside what the path says.
    pub(crate) remarks: Remarks,
    pub(crate) method: Method,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    /// The way to a WebSocket, until it is taken.
    pub(crate) upgrade: Upgrade,
}

/// The way to a WebSocket, when the request asks for one.
pub(crate) type Upgrade = Mutex<Option<WebSocketUpgrade>>;

impl Call {
    pub(crate) fn engine(&self) -> &Engine {
        &self.app.engine
    }

    /// That the route exists, but not for this method.
    pub(crate) fn wrong_method(&self, allowed: &str) -> Failure {
        let text = format!(
            "Method {} not available for that URI; it has {allowed}.",
            self.method
        );
        Failure {
            allowed: Some(allowed.replace(" and ", ", ")),
            ..Failure::new(ApiError::MethodNotAllowed, text)
        }
    }
}

/// The whole door.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/healthz", get(routes::health::alive))
        .route("/readyz", get(routes::health::ready))
        .route("/openapi.json", get(routes::openapi::show))
        .route(
            &format!("{}/{{id}}", routes::tails::PATH),
            get(routes::tails::listen),
        )
        .fallback(enter)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&app), to_worker))
        .layer(CatchPanicLayer::custom(panicked))
        .with_state(app)
}

/// Requests by the host name of a Worker go to the Worker, whatever their path.
async fn to_worker(
    State(app): State<Arc<App>>,
    request: Request,
    next: axum::middleware::Next,
) -> Response<Body> {
    match hosts::worker_host(request.uri(), request.headers()) {
        Some(name) => hosts::forward(&app, &name, request).await,
        None => next.run(request).await,
    }
}

async fn enter(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let rest = Rest::default();
    let (parts, body) = request.into_parts();
    let meter = app.bodies.meter();
    let body = meter.count(rest.lend(body, &parts.headers));
    let answer = handle(app, Request::from_parts(parts, body)).await;
    let is_stalled = matches!(&answer, Err(failure) if failure.error == ApiError::BodyTimeout);
    if !is_stalled {
        rest.drain().await;
    }
    answer.unwrap_or_else(|failure| failed(&meter.refusal().unwrap_or(failure)))
}

async fn handle(app: Arc<App>, request: Request) -> Answer {
    let (mut parts, body) = request.into_parts();
    let visitor = app.access.admit(&app.subscribers, &parts)?;
    let path = parts.uri.path();
    let route = match &app.testing {
        Some(_) => TestRoute::parse(path).map(Route::Test),
        None => None,
    };
    let route = route.or_else(|| Route::parse(path)).ok_or_else(|| {
        let shown = path.strip_prefix("/client/v4").unwrap_or(path);
        Failure::new(
            ApiError::NoRoute,
            format!("No route for the URI {} {shown}", parts.method),
        )
    })?;
    let entry = app.access.authorise(&visitor, &route, &parts.method)?;
    let query = Query::parse(parts.uri.query())?;
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
    let call = Call {
        app,
        visitor,
        remarks: Remarks::default(),
        method: parts.method,
        query,
        headers: parts.headers,
        upgrade: Mutex::new(upgrade.ok()),
    };
    match entry {
        None => dispatch(&call, body, route).await,
        Some(entry) => told(call, body, (route, entry)).await,
    }
}

/// A change that the audit log tells. It goes on to its end, whether the client waits for it or not.
async fn told(call: Call, body: Body, (route, entry): (Route, Entry)) -> Answer {
    let change = tokio::spawn(async move {
        let begun = call.app.access.begin(entry).await?;
        let answer = dispatch(&call, body, route).await;
        let status = match &answer {
            Ok(response) => response.status().as_u16(),
            Err(failure) => failure.error.status(),
        };
        call.app.access.end(begun, (status, &call.remarks)).await;
        answer
    });
    match change.await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(thrown) => std::panic::resume_unwind(thrown),
            Err(_) => Err(Failure::new(ApiError::Unavailable, "the server is stopping")),
        },
    }
}

async fn dispatch(call: &Call, body: Body, route: Route) -> Answer {
    match route {
        Route::User(route) => routes::user::handle(call, route).await,
        Route::Access(route) => routes::access::handle(call, body, route).await,
        Route::Test(route) => routes::testing::handle(call, body, route).await,
        Route::Script { account, route } => routes::scripts::handle(call, body, (&account, route)).await,
        Route::Workflow { account, route } => routes::workflows::handle(call, body, (&account, route)).await,
        Route::Instance {
            account,
            workflow,
            route,
        } => routes::instances::handle(call, body, (&account, &workflow, route)).await,
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer hands over what was thrown"
)]
fn panicked(thrown: Box<dyn Any + Send>) -> Response<Body> {
    let text = thrown
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| thrown.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    tracing::error!(
        panic = text,
        "a request handler panicked; this is a defect of cairn"
    );
    failed(&Failure::new(
        ApiError::Internal,
        "cairn has a defect; its log has the details. The server goes on",
    ))
}
