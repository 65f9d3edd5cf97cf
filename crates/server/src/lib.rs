//! The HTTP door: routes, authentication, composition.
//!
//! [`Server::start`] puts store, runtime and engine together and listens; [`Server::run_until`] answers. The way of a request: `serve` (the
//! connection) → `app` (the way in) → `route` (which route) → `routes` (its handler) → the engine.

mod access;
mod answer;
mod app;
mod auth;
pub mod backup;
mod bindings;
mod bodies;
mod body;
mod door;
mod drain;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod health;
mod heart;
mod hosts;
mod idlers;
mod jobs;
mod query;
mod route;
mod routes;
mod serve;
mod settings;
mod stop;
mod subscribers;
mod tails;
mod testing;
mod tls;
mod upload;

#[cfg(test)]
mod tests;

pub use access::{AccessSettings, ClientAddress};
pub use auth::Auth;
pub use cairn_engine::{Engine, KeySource, Settings};
pub use cairn_runtime::workerd::Egress;
pub use cairn_store::sqlite::examine::{Examined, Soundness, examine};
pub use error::ServerError;
pub use settings::{SettingError, SettingInfo, settings, settings_reference};
pub use stop::Drain;
pub use testing::TestSupport;
pub use tls::{TlsError, TlsFiles};

use access::Access;
use app::App;
use bindings::Bindings;
use bodies::Bodies;
use body::BodyLimits;
use cairn_engine::{Clock, Parts, Secrets, StoredWorkers, SystemClock};
use cairn_runtime::workerd::{Workerd, WorkerdConfig};
use cairn_store::sqlite::SqliteStore;
use cairn_store::{Store, StoreError};
use health::Health;
use heart::Heart;
use hosts::Handlers;
use jobs::Jobs;
use serve::Entrance;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use subscribers::Subscribers;
use tails::Tails;
use tls::Tls;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// The file in the data directory with the key of secrets, when none was given.
const SECRETS_KEY_FILE: &str = "secrets.key";

/// What a server is made of.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Who may ask.
    pub auth: Auth,
    /// The key that the secrets of scripts are encrypted with.
    pub secrets_key: KeySource,
    /// The workerd executable.
    pub workerd: PathBuf,
    /// Where processes have their sockets; its path must be short. A folder of the system's temporary directory when absent.
    pub run_dir: Option<PathBuf>,
    /// Which addresses user code may reach.
    pub egress: Egress,
    /// A process without work is stopped after this time.
    pub process_idle: Duration,
    /// Whether tests may put the clock forward and replace what instances do.
    pub testing: TestSupport,
    /// Limits and sizes of the engine.
    pub settings: Settings,
    /// Certificate and key; plain HTTP without, which addresses of other machines want a proxy for.
    pub tls: Option<TlsFiles>,
    /// Who says where requests come from. A proxy is taken to end TLS.
    pub client_address: ClientAddress,
    /// How it ends when it is asked to.
    pub drain: Drain,
    /// Limits of tokens and of the audit log.
    pub access: AccessSettings,
    /// Bytes of an uploaded script, all modules together (`limits.script_bytes`).
    pub script_bytes: usize,
    /// Bytes of any other body (`limits.json_bytes`).
    pub json_bytes: usize,
    /// Bytes of all bodies that are held at once (`limits.body_bytes_waiting`).
    pub body_bytes_waiting: u64,
    /// Memory of a process, MiB (`limits.process_mebibytes`).
    pub process_mebibytes: u64,
    /// How long a process may be silent (`limits.silence_millis`).
    pub silence_millis: u64,
    /// How long a connection may be silent (`limits.idle_connection_millis`).
    pub idle_connection_millis: u64,
}

impl Config {
    /// The defaults: 127.0.0.1:8787, a token that is made at first start, public addresses only, 60 seconds idle.
    pub fn new(data_dir: impl Into<PathBuf>, workerd: impl Into<PathBuf>) -> Self {
        let limits = BodyLimits::default();
        let data_dir = data_dir.into();
        Self {
            secrets_key: KeySource::Own(data_dir.join(SECRETS_KEY_FILE)),
            data_dir,
            listen: SocketAddr::from(([127, 0, 0, 1], 8787)),
            auth: Auth::Token(None),
            workerd: workerd.into(),
            run_dir: None,
            egress: Egress::PublicOnly,
            process_idle: Duration::from_secs(60),
            testing: TestSupport::Absent,
            settings: Settings::default(),
            tls: None,
            client_address: ClientAddress::Peer,
            drain: Drain::default(),
            access: AccessSettings::default(),
            script_bytes: limits.script_bytes,
            json_bytes: limits.json_bytes,
            body_bytes_waiting: 256 << 20,
            process_mebibytes: 1_024,
            silence_millis: 30_000,
            idle_connection_millis: 60_000,
        }
    }
}

/// A server that listens.
pub struct Server {
    engine: Engine,
    store: Arc<dyn Store>,
    runtime: Arc<Workerd>,
    bindings: Arc<Bindings>,
    entrance: Entrance,
    address: SocketAddr,
    app: Arc<App>,
    new_token: Option<String>,
    heart: Heart,
    drain: Drain,
    /// Ends when the database cannot be used any more.
    lost: Lost,
}

type Lost = Pin<Box<dyn Future<Output = StoreError> + Send>>;

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Refuses to be open to other machines without tokens, or without TLS.
fn check_openness(config: &Config) -> Result<(), ServerError> {
    if config.listen.ip().is_loopback() {
        return Ok(());
    }
    if config.auth == Auth::Open {
        return Err(ServerError::OpenToAll(config.listen));
    }
    if config.tls.is_none() && config.client_address == ClientAddress::Peer {
        return Err(ServerError::NeedsTls(config.listen));
    }
    Ok(())
}

fn body_limits(config: &Config) -> BodyLimits {
    BodyLimits {
        json_bytes: config.json_bytes,
        script_bytes: config.script_bytes,
        ..BodyLimits::default()
    }
}

impl Server {
    /// Opens the store, takes up what is due, and listens. Requests are answered from [`Server::run_until`] on.
    ///
    /// # Errors
    /// [`ServerError`], each saying what to do.
    pub async fn start(config: Config) -> Result<Self, ServerError> {
        check_openness(&config)?;
        let limits = body_limits(&config);
        let most = serve::connections_max();
        let tls = config.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
        let cannot_listen = |error| ServerError::Listen {
            address: config.listen,
            error,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        let data_dir = config.data_dir.clone();
        let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&data_dir)).await;
        let opened = opened.map_err(|error| ServerError::Runtime(std::io::Error::other(error)))?;
        let store = Arc::new(opened?);
        let lost: Lost = Box::pin(store.lost()?);
        let secrets = Arc::new(Secrets::open(Arc::clone(&store) as _, config.secrets_key.clone()).await?);
        let (gate, new_token) = auth::set_up(config.auth.clone(), store.as_ref()).await?;
        let access = (config.access, config.client_address, Arc::new(SystemClock) as _);
        let access = Access::set_up(gate, Arc::clone(&store) as _, access).await?;
        let store: Arc<dyn Store> = store;
        let heart = Heart::new().map_err(ServerError::Runtime)?;
        let (clock, testing) = testing::clock(config.testing);
        let started = heart
            .run(start_engine(
                workerd_config(&config),
                (Arc::clone(&store), secrets, clock),
                config.settings,
            ))
            .await;
        let (engine, runtime) = started.map_err(ServerError::Runtime)??;
        let bindings = Arc::new(Bindings::new(engine.clone()));
        runtime.set_bindings(Arc::clone(&bindings) as _);
        let tails = Arc::new(Tails::default());
        runtime.set_traces(Arc::clone(&tails) as _);
        let door = Arc::new(door::Processes(Arc::clone(&runtime)));
        let app = Arc::new(App {
            engine: engine.clone(),
            access,
            door,
            limits,
            bodies: Bodies::at_most(config.body_bytes_waiting),
            jobs: Jobs::default(),
            handlers: Handlers::default(),
            subscribers: Subscribers::new()?,
            tails,
            testing,
            address,
            health: Health::new(config.workerd.clone()),
        });
        Ok(Self {
            engine,
            store,
            runtime,
            bindings,
            entrance: Entrance::new(listener, tls)
                .at_most(most)
                .drained_within(config.drain.timeout)
                .silent_for(Duration::from_millis(config.idle_connection_millis)),
            address,
            app,
            new_token,
            heart,
            drain: config.drain,
            lost,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https` with a certificate, `http` without.
    pub fn scheme(&self) -> &'static str {
        if self.entrance.tls.is_some() {
            "https"
        } else {
            "http"
        }
    }

    /// The root token, when it was made just now: it is kept as a hash only and cannot be shown again.
    pub fn new_token(&self) -> Option<&str> {
        self.new_token.as_deref()
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Answers requests until `shutdown`; then lets those and the steps under way end ([`Drain`]), stops the engine and all processes, and closes the
    /// store. Does the same by itself when the disk fails in a way that only a start mends.
    ///
    /// # Errors
    /// Why it ended by itself.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let Self {
            engine,
            runtime,
            bindings,
            entrance,
            app,
            store,
            heart,
            drain,
            lost,
            ..
        } = self;
        let mut failure = None;
        let shutdown = async {
            tokio::select! {
                () = shutdown => {}
                error = lost => failure = Some(error),
            }
        };
        let tails = Arc::clone(&app.tails);
        let router = app::router(Arc::clone(&app));
        let mut chores = JoinSet::new();
        if let Some(tls) = &entrance.tls {
            chores.spawn(Arc::clone(tls).keep_looking());
        }
        let tidied = Arc::clone(&app);
        chores.spawn(async move { tidied.access.tidy().await });
        let (closing, closed) = oneshot::channel();
        tokio::join!(
            serve::serve(
                entrance,
                router,
                stop::announced(shutdown, (&app, drain), closing)
            ),
            stop::finish_steps(&app, drain, closed),
        );
        chores.shutdown().await;
        tails.close();
        engine.shutdown().await;
        runtime.shutdown().await;
        bindings.close();
        drop((engine, runtime));
        // The last holder folds the log into the file, which blocks.
        let closed = tokio::task::spawn_blocking(move || {
            heart.stop();
            drop(store);
        })
        .await;
        if let Err(error) = closed {
            // What was committed is in the log, and found at the next start.
            tracing::error!(%error, "the database was not closed in order");
        }
        failure.map_or(Ok(()), |error| Err(error.into()))
    }
}

async fn start_engine(
    workerd: WorkerdConfig,
    (store, secrets, clock): (Arc<dyn Store>, Arc<Secrets>, Arc<dyn Clock>),
    settings: Settings,
) -> Result<(Engine, Arc<Workerd>), ServerError> {
    let (reporter, reports) = mpsc::unbounded_channel();
    let workers = Arc::new(StoredWorkers::new(Arc::clone(&store), Arc::clone(&secrets)));
    let runtime = Workerd::new(workerd, workers, reporter).map_err(ServerError::Runtime)?;
    let parts = Parts {
        store,
        runtime: Arc::clone(&runtime) as _,
        reports,
        clock,
        secrets,
        settings,
    };
    Ok((Engine::start(parts).await?, runtime))
}

fn workerd_config(config: &Config) -> WorkerdConfig {
    let run_dir = config
        .run_dir
        .clone()
        .unwrap_or_else(cairn_runtime::workerd::default_run_dir);
    let mut workerd = WorkerdConfig::new(&config.workerd, run_dir);
    workerd.idle = config.process_idle;
    workerd.egress = config.egress;
    workerd.memory_mebibytes = config.process_mebibytes;
    workerd.heartbeat = Duration::from_millis(config.silence_millis);
    workerd
}
