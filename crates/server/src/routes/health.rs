//! Whether the server lives, and whether it can do its work.

use crate::app::App;
use axum::extract::State;
use axum::http::StatusCode;
use cairn_engine::WorkflowPage;
use std::sync::Arc;

/// The process answers.
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// The database answers.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> (StatusCode, String) {
    match app
        .engine
        .workflows("", None, WorkflowPage { offset: 0, limit: 1 })
        .await
    {
        Ok(_) => (StatusCode::OK, "ready\n".into()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {error}\n")),
    }
}
