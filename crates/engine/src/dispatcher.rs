//! The heartbeat.

use crate::Shared;
use crate::signal::Signal;
use cairn_runtime::Report;
use std::sync::Arc;
use tokio::sync::mpsc;

pub(crate) fn start(
    _shared: Arc<Shared>,
    _signals: mpsc::UnboundedReceiver<Signal>,
    _reports: mpsc::UnboundedReceiver<Vec<Report>>,
) {
}
