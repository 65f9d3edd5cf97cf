//! Runs user code on workerd, under supervision.
//!
//! The engine hands [`Command`]s to a [`Runtime`] and receives [`Report`]s. [`Workerd`](workerd::Workerd) is the real one: a
//! process per deployed Worker version, one multiplexed WebSocket each (PROTOCOL.md). [`scripted`] stands in for it
//! in simulations.

mod binding;
mod command;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod guarded;
mod report;
pub mod scripted;
mod trace;
pub mod value;
mod worker;
pub mod workerd;

pub use binding::{
    BindingCall, BindingError, BindingEvent, BindingHost, BindingMethod, BindingReply, CreateOptions,
    EventSource, PieceSource, ServiceCall, StreamCall, SubscribeCall,
};
pub use command::{
    Command, Company, Firing, FirstAttempts, Known, KnownStep, Outcome, RunRollback, StartRun,
};
pub use frame::CHUNK_BYTES;
pub use guarded::Guarded;
pub use report::{Fault, Report, ReportKind, Reports};
pub use trace::{RunTrace, Trace, TraceSink, TracedLine, TracedWorker};
pub use value::{CorruptValue, PREVIEW_BYTES, StoredStream, Value};
pub use worker::{
    Binding, Checked, Module, ModuleKind, Scheduled, WorkerError, WorkerId, WorkerSource, WorkerSpec,
    WorkflowExport,
};

use async_trait::async_trait;
use std::sync::Arc;

/// One run of one instance on one process; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

/// Something that runs user code.
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// Hands over commands, in order. Never blocks and never fails: what cannot be done comes back as
    /// [`ReportKind::Lost`].
    fn perform(&self, commands: Vec<Command>);

    /// Starts a Worker version to see whether it runs, before anything is stored. It may be left running for use.
    ///
    /// # Errors
    /// [`WorkerError::Code`] with what is wrong with the code, [`WorkerError::Process`] when it cannot be tried now.
    async fn check(&self, worker: Arc<WorkerSpec>) -> Result<Checked, WorkerError>;

    /// Calls the `scheduled` handler of a version, and waits until it is done.
    ///
    /// # Errors
    /// [`WorkerError`] where it cannot be called, or its process ended meanwhile.
    async fn scheduled(&self, worker: &WorkerId, firing: &Firing) -> Result<Scheduled, WorkerError> {
        let (_, cron) = (worker, &firing.cron);
        Err(WorkerError::Process(format!(
            "the schedule \"{cron}\" cannot be fired: this runtime has no handlers"
        )))
    }

    /// Stops the process of a version that nothing needs any more (a refused upload, a deleted script).
    fn retire(&self, worker: &WorkerId);
}
