//! Probes: whether the server lives, and whether it can do its work. They ask for no token and tell nothing that is secret.

use crate::app::App;
use crate::health::{Health, Report};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, StatusCode, header};
use std::sync::Arc;

/// `GET /healthz`
pub(crate) async fn alive(State(app): State<Arc<App>>) -> Response<Body> {
    answer(&Health::alive(app.engine.health()))
}

/// `GET /readyz`
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response<Body> {
    answer(&app.health.ready(app.engine.health()))
}

fn answer(report: &Report) -> Response<Body> {
    let mut response = Response::new(Body::from(report.to_json_text()));
    if !report.is_good() {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
