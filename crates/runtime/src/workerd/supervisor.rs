//! All processes of this server: which run is where, and who keeps which Worker version.

use super::config::Egress;
use super::keeper::{Ask, Door, Keeper, PublicSocket, Way};
use super::process::Spawner;
use super::run_dir;
use super::tracer::Sink;
use crate::{
    BindingHost, Checked, Command, Firing, Reports, RunId, Runtime, Scheduled, TraceSink, WorkerError,
    WorkerId, WorkerSource, WorkerSpec,
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// Settings of [`Workerd`].
#[derive(Debug, Clone)]
pub struct WorkerdConfig {
    /// The workerd executable.
    pub binary: PathBuf,
    /// Where processes get their folders with configuration and sockets. Made when missing. Its path must be short:
    /// the path of a unix socket has at most 107 bytes. Several servers may share it.
    pub run_dir: PathBuf,
    /// A process without runs and requests is stopped after this time.
    pub idle: Duration,
    /// A process that is silent for this time is killed.
    pub heartbeat: Duration,
    /// Time for a process to answer after its start.
    pub start_timeout: Duration,
    /// Pause before a process that failed is started again; doubles up to `max_backoff`.
    pub min_backoff: Duration,
    /// The longest such pause.
    pub max_backoff: Duration,
    /// Which addresses user code may reach.
    pub egress: Egress,
}

impl WorkerdConfig {
    /// The defaults: 60 s idle, 30 s silence, 30 s to start, pauses of 100 ms to 30 s, public addresses only.
    pub fn new(binary: impl Into<PathBuf>, run_dir: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
            run_dir: run_dir.into(),
            idle: Duration::from_secs(60),
            heartbeat: Duration::from_secs(30),
            start_timeout: Duration::from_secs(30),
            min_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(30),
            egress: Egress::PublicOnly,
        }
    }
}

/// Runs user code on workerd processes.
pub struct Workerd {
    shared: Arc<Shared>,
    /// By version, and by the `ctx.props` that the entrypoints of the process have.
    keepers: Mutex<HashMap<(WorkerId, Props), mpsc::UnboundedSender<Ask>>>,
    handle: Handle,
}

/// JSON text of what entrypoints find in `ctx.props`.
pub(super) type Props = Option<Arc<str>>;

/// What all keepers have in common.
pub(super) struct Shared {
    pub(super) config: WorkerdConfig,
    pub(super) source: Arc<dyn WorkerSource>,
    pub(super) bindings: OnceLock<Arc<dyn BindingHost>>,
    /// For calls from one Worker to another.
    pub(super) workerd: OnceLock<Weak<Workerd>>,
    pub(super) traces: Sink,
    pub(super) reports: Reports,
    pub(super) routes: Arc<Routes>,
    pub(super) spawner: Spawner,
}

/// Which keeper a run is with.
#[derive(Debug, Default)]
pub(super) struct Routes(Mutex<HashMap<RunId, mpsc::UnboundedSender<Ask>>>);

impl Routes {
    /// Removes runs that have ended.
    pub(super) fn forget(&self, runs: impl IntoIterator<Item = RunId>) {
        let mut runs = runs.into_iter().peekable();
        if runs.peek().is_some() {
            let mut routes = self.0.lock();
            for run in runs {
                routes.remove(&run);
            }
        }
    }
}

impl fmt::Debug for Workerd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workerd")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

impl Workerd {
    /// A runtime without processes. It must be made inside of the tokio runtime that is to drive it.
    ///
    /// Calls of user code on workflow bindings fail until [`set_bindings`](Self::set_bindings): whoever serves them needs an
    /// engine, which needs this runtime first.
    ///
    /// # Errors
    /// Where `run_dir` cannot be made or belongs to another user, or no thread can be started.
    pub fn new(
        config: WorkerdConfig,
        source: Arc<dyn WorkerSource>,
        reports: Reports,
    ) -> io::Result<Arc<Self>> {
        run_dir::prepare(&config.run_dir)?;
        let handle = Handle::try_current().map_err(io::Error::other)?;
        let spawner = Spawner::new(handle.clone())?;
        let shared = Arc::new(Shared {
            config,
            source,
            bindings: OnceLock::new(),
            workerd: OnceLock::new(),
            traces: Sink::default(),
            reports,
            routes: Arc::default(),
            spawner,
        });
        let workerd = Arc::new(Self {
            shared,
            keepers: Mutex::default(),
            handle,
        });
        // Nobody else has set it.
        let _ = workerd.shared.workerd.set(Arc::downgrade(&workerd));
        Ok(workerd)
    }

    /// Says who serves the calls on workflow bindings. Only the first call counts.
    pub fn set_bindings(&self, bindings: Arc<dyn BindingHost>) {
        // A second host would be a mistake of composition; the first goes on serving.
        let _ = self.shared.bindings.set(bindings);
    }

    /// Says who takes what Workers do. Only the first call counts.
    pub fn set_traces(&self, traces: Arc<dyn TraceSink>) {
        // As with bindings.
        let _ = self.shared.traces.set(traces);
    }

    /// The socket on which the version's default export answers HTTP. The process stays while the socket is held.
    ///
    /// # Errors
    /// As [`Runtime::check`].
    pub async fn public_socket(&self, worker: &WorkerId) -> Result<PublicSocket, WorkerError> {
        self.socket(worker, Way::Public).await
    }

    /// One of the sockets of a version's process.
    pub(super) async fn socket(&self, worker: &WorkerId, way: Way) -> Result<PublicSocket, WorkerError> {
        let ask = |reply| Ask::Socket(way, reply);
        self.ask((worker, None), ask).await
    }

    /// The socket on which an entrypoint of a version is reached by other Workers. Entrypoints with `ctx.props` of their own have processes
    /// of their own: a socket has the same props for everybody who calls.
    pub(super) async fn door(&self, worker: &WorkerId, door: Door) -> Result<PublicSocket, WorkerError> {
        let ask = |reply| Ask::Socket(Way::Entrypoint(door.entrypoint), reply);
        self.ask((worker, door.props), ask).await
    }

    /// Stops all processes and waits for their end; runs on them are lost.
    pub async fn shutdown(&self) {
        let keepers: Vec<_> = self.keepers.lock().drain().map(|(_, keeper)| keeper).collect();
        futures_util::future::join_all(keepers.into_iter().map(retire)).await;
    }

    async fn ask<T>(
        &self,
        (worker, props): (&WorkerId, Props),
        ask: impl FnOnce(oneshot::Sender<Result<T, WorkerError>>) -> Ask,
    ) -> Result<T, WorkerError> {
        let retired = || WorkerError::Process(format!("Worker version {worker} has been stopped"));
        let (reply, answer) = oneshot::channel();
        self.keeper(worker, props)
            .send(ask(reply))
            .map_err(|_| retired())?;
        answer.await.map_err(|_| retired())?
    }

    fn keeper(&self, worker: &WorkerId, props: Props) -> mpsc::UnboundedSender<Ask> {
        let mut keepers = self.keepers.lock();
        let key = (worker.clone(), props);
        if let Some(keeper) = keepers.get(&key).filter(|keeper| !keeper.is_closed()) {
            return keeper.clone();
        }
        let (asks, incoming) = mpsc::unbounded_channel();
        let keeper = Keeper::new(key.clone(), Arc::clone(&self.shared), incoming);
        self.handle.spawn(keeper.run());
        keepers.insert(key, asks.clone());
        asks
    }
}

impl Drop for Workerd {
    /// Stops the processes without waiting for their end.
    fn drop(&mut self) {
        for (_, keeper) in self.keepers.lock().drain() {
            // An error means that it has ended already.
            let _ = keeper.send(Ask::Retire(oneshot::channel().0));
        }
    }
}

async fn retire(keeper: mpsc::UnboundedSender<Ask>) {
    let (reply, done) = oneshot::channel();
    if keeper.send(Ask::Retire(reply)).is_ok() {
        // An error means that it has ended already.
        let _ = done.await;
    }
}

#[async_trait]
impl Runtime for Workerd {
    fn perform(&self, commands: Vec<Command>) {
        let mut batches: Vec<(mpsc::UnboundedSender<Ask>, Vec<Command>)> = Vec::new();
        {
            let mut routes = self.shared.routes.0.lock();
            for command in commands {
                let run = command.run();
                let keeper = match &command {
                    Command::Start(start) => {
                        let keeper = self.keeper(&start.worker, None);
                        routes.insert(run, keeper.clone());
                        Some(keeper)
                    }
                    Command::Stop { .. } => routes.remove(&run),
                    Command::Attempt { .. }
                    | Command::Rollback(_)
                    | Command::Settle { .. }
                    | Command::Hold { .. }
                    | Command::Unhold { .. }
                    | Command::Kept { .. }
                    | Command::Halt { .. }
                    | Command::Piece { .. } => routes.get(&run).cloned(),
                };
                // A run that has ended needs to be told nothing.
                let Some(keeper) = keeper else { continue };
                match batches.iter_mut().find(|(of, _)| of.same_channel(&keeper)) {
                    Some((_, batch)) => batch.push(command),
                    None => batches.push((keeper, vec![command])),
                }
            }
        }
        for (keeper, batch) in batches {
            if let Err(unsent) = keeper.send(Ask::Commands(batch)) {
                // The version was retired in between.
                if let Ask::Commands(batch) = unsent.0 {
                    self.shared
                        .lose(batch.iter().filter_map(started), "its Worker version was stopped");
                }
            }
        }
    }

    async fn check(&self, worker: Arc<WorkerSpec>) -> Result<Checked, WorkerError> {
        let id = worker.id.clone();
        self.ask((&id, None), |reply| Ask::Check(worker, reply)).await
    }

    async fn scheduled(&self, worker: &WorkerId, firing: &Firing) -> Result<Scheduled, WorkerError> {
        self.fire(worker, firing).await
    }

    fn retire(&self, worker: &WorkerId) {
        let mut keepers = self.keepers.lock();
        for (_, keeper) in keepers.extract_if(|(of, _), _| of == worker) {
            // An error means that it has ended already.
            let _ = keeper.send(Ask::Retire(oneshot::channel().0));
        }
    }
}

/// The run that a command starts.
pub(super) fn started(command: &Command) -> Option<RunId> {
    match command {
        Command::Start(start) => Some(start.run),
        Command::Attempt { .. }
        | Command::Rollback(_)
        | Command::Settle { .. }
        | Command::Hold { .. }
        | Command::Unhold { .. }
        | Command::Kept { .. }
        | Command::Halt { .. }
        | Command::Piece { .. }
        | Command::Stop { .. } => None,
    }
}
