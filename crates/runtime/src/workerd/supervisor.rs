//! All processes of this server: which run is where, and who keeps which Worker version.

use super::config::Egress;
use super::keeper::{Ask, Door, Keeper, Post, PublicSocket, Way};
use super::process::Spawner;
use super::rooms::Routes;
use super::run_dir;
use super::tracer::Sink;
use crate::{
    BindingHost, Checked, Command, Company, Firing, Reports, RunId, Runtime, Scheduled, TraceSink,
    WorkerError, WorkerId, WorkerSource, WorkerSpec,
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
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
    /// A process that has more memory than this is killed, MiB. Above three quarters of it new runs get a new process.
    pub memory_mebibytes: u64,
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
    /// The defaults: 60 s idle, 30 s silence, 1 GiB, 30 s to start, pauses of 100 ms to 30 s, public addresses only.
    pub fn new(binary: impl Into<PathBuf>, run_dir: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
            run_dir: run_dir.into(),
            idle: Duration::from_secs(60),
            heartbeat: Duration::from_secs(30),
            memory_mebibytes: 1_024,
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
    keepers: Mutex<HashMap<(WorkerId, Props), Kept>>,
    /// Those whose process was worn: they end when their runs have.
    replaced: Mutex<Vec<(WorkerId, mpsc::WeakUnboundedSender<Ask>)>>,
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

/// A keeper that takes what is new.
struct Kept {
    asks: mpsc::UnboundedSender<Ask>,
    /// Set while its process has so much memory that the next run should have another one.
    worn: Arc<AtomicBool>,
}

impl Kept {
    fn is_fit(&self) -> bool {
        !self.asks.is_closed() && !self.worn.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// Posts a new keeper, which goes on for as long as somebody has its sender and its process has something to do.
    pub(super) fn keep(
        self: &Arc<Self>,
        handle: &Handle,
        post: Post,
    ) -> (mpsc::UnboundedSender<Ask>, Arc<AtomicBool>) {
        let (asks, incoming) = mpsc::unbounded_channel();
        let worn = Arc::clone(&post.worn);
        handle.spawn(Keeper::new(post, Arc::clone(self), incoming).run());
        (asks, worn)
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
            routes: Arc::new(Routes::new(handle.clone())),
            spawner,
        });
        shared.routes.set_shared(&shared);
        let workerd = Arc::new(Self {
            shared,
            keepers: Mutex::default(),
            replaced: Mutex::default(),
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
        let keepers: Vec<_> = self.keepers.lock().drain().map(|(_, kept)| kept.asks).collect();
        let others = self.others(None);
        futures_util::future::join_all(keepers.into_iter().chain(others).map(retire)).await;
    }

    /// The keepers that take nothing new, and those of rooms: all, or those of one version.
    fn others(&self, of: Option<&WorkerId>) -> Vec<mpsc::UnboundedSender<Ask>> {
        let is_meant = |worker: &WorkerId| of.is_none_or(|of| of == worker);
        let mut others = self.shared.routes.close_rooms(of);
        let mut replaced = self.replaced.lock();
        let meant = replaced.extract_if(.., |(worker, _)| is_meant(worker));
        others.extend(meant.filter_map(|(_, keeper)| keeper.upgrade()));
        others
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
        if let Some(kept) = keepers.get(&key).filter(|kept| kept.is_fit()) {
            return kept.asks.clone();
        }
        let post = Post::new(key.0.clone(), key.1.clone(), Company::Any);
        let (asks, worn) = self.shared.keep(&self.handle, post);
        let kept = Kept {
            asks: asks.clone(),
            worn,
        };
        if let Some(before) = keepers.insert(key, kept) {
            let mut replaced = self.replaced.lock();
            replaced.retain(|(_, keeper)| keeper.strong_count() > 0);
            replaced.push((worker.clone(), before.asks.downgrade()));
        }
        asks
    }

    /// To whom a command goes; nobody where its run has ended and needs to be told nothing, or waits for its process.
    fn addressee(&self, command: Command) -> Option<(mpsc::UnboundedSender<Ask>, Command)> {
        let routes = &self.shared.routes;
        let run = command.run();
        match &command {
            Command::Start(start) => match start.company {
                Company::Any => {
                    let keeper = self.keeper(&start.worker, None);
                    routes.insert(run, keeper.clone());
                    Some((keeper, command))
                }
                Company::AtMost(most) => {
                    let worker = start.worker.clone();
                    routes.begin(&worker, most, command);
                    None
                }
            },
            Command::Stop { .. } => {
                let addressee = routes.keeper(command);
                routes.forget([run]);
                addressee
            }
            Command::Attempt { .. }
            | Command::Rollback(_)
            | Command::Settle { .. }
            | Command::Hold { .. }
            | Command::Unhold { .. }
            | Command::Kept { .. }
            | Command::Halt { .. }
            | Command::Piece { .. } => routes.keeper(command),
        }
    }
}

impl Drop for Workerd {
    /// Stops the processes without waiting for their end.
    fn drop(&mut self) {
        let keepers: Vec<_> = self.keepers.lock().drain().map(|(_, kept)| kept.asks).collect();
        for keeper in keepers.into_iter().chain(self.others(None)) {
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
        for command in commands {
            let Some((keeper, command)) = self.addressee(command) else {
                continue;
            };
            match batches.iter_mut().find(|(of, _)| of.same_channel(&keeper)) {
                Some((_, batch)) => batch.push(command),
                None => batches.push((keeper, vec![command])),
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
        let mut kept = self.keepers.lock();
        let keepers: Vec<_> = kept.extract_if(|(of, _), _| of == worker).collect();
        drop(kept);
        let asks = keepers.into_iter().map(|(_, kept)| kept.asks);
        for keeper in asks.chain(self.others(Some(worker))) {
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
