//! Keeps the process of one Worker version: started when needed, watched, stopped when idle, started again with pauses.

use super::binding_server::BindingServer;
use super::config;
use super::connection::{self, Connection, Context, Out};
use super::process::{Home, Process};
use super::services::Services;
use super::supervisor::{Props, Shared, started};
use super::tracer::Tracer;
use super::waiting::Waiting;
use super::{memory, verdict};
use crate::{
    Checked, Command, Company, Fault, Report, ReportKind, RunId, TracedWorker, WorkerError, WorkerId,
    WorkerSpec,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use verdict::Death;

/// What is asked of a keeper.
#[derive(Debug)]
pub(super) enum Ask {
    Commands(Vec<Command>),
    /// With the version itself, which the source may not know yet.
    Check(Arc<WorkerSpec>, oneshot::Sender<Result<Checked, WorkerError>>),
    Socket(Way, oneshot::Sender<Result<PublicSocket, WorkerError>>),
    Retire(oneshot::Sender<()>),
}

/// Which socket of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// The default export, for requests from outside.
    Public,
    /// Where schedules fire.
    Scheduled,
    /// An export, for other Workers; the default one when absent.
    Entrypoint(Option<Arc<str>>),
}

/// What a service binding names of a Worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Door {
    /// The export; the default one when absent.
    pub(super) entrypoint: Option<Arc<str>>,
    /// What it finds in `ctx.props`.
    pub(super) props: Props,
}

/// A socket of a Worker, such as that of its default export. The process is kept from idling while this is held; when it ends for another
/// reason, connections are refused and a new one must be asked for.
#[derive(Debug)]
pub struct PublicSocket {
    path: PathBuf,
    _user: Arc<()>,
}

impl PublicSocket {
    /// Path of the unix socket, which speaks HTTP/1.1.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether a keeper goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Retired,
}

/// What a keeper keeps.
#[derive(Debug)]
pub(super) struct Post {
    worker: WorkerId,
    props: Props,
    /// Whom the process is for.
    company: Company,
    /// Set while the process has so much memory that new runs should have another one.
    pub(super) worn: Arc<AtomicBool>,
}

impl Post {
    pub(super) fn new(worker: WorkerId, props: Props, company: Company) -> Self {
        Self {
            worker,
            props,
            company,
            worn: Arc::default(),
        }
    }
}

pub(super) struct Keeper {
    worker: WorkerId,
    props: Props,
    company: Company,
    worn: Arc<AtomicBool>,
    shared: Arc<Shared>,
    incoming: mpsc::UnboundedReceiver<Ask>,
    /// The version, when someone has brought it along.
    given: Option<Arc<WorkerSpec>>,
    /// What waits for a process.
    commands: Waiting,
    checks: Vec<oneshot::Sender<Result<Checked, WorkerError>>>,
    sockets: Vec<(Way, oneshot::Sender<Result<PublicSocket, WorkerError>>)>,
    retiring: Option<oneshot::Sender<()>>,
    failures: u32,
    not_before: Instant,
}

/// A process that has said hello.
struct Running {
    process: Process,
    connection: Connection,
    checked: Checked,
    /// Cloned into each [`PublicSocket`].
    users: Arc<()>,
    _bindings: BindingServer,
    _services: Services,
    since: Instant,
}

impl Shared {
    /// Reports runs as lost.
    pub(super) fn lose(&self, runs: impl IntoIterator<Item = RunId>, reason: &str) {
        let lost = ReportKind::Lost {
            reason: reason.to_owned(),
        };
        self.end(runs, &lost);
    }

    /// Reports the end of runs.
    fn end(&self, runs: impl IntoIterator<Item = RunId>, kind: &ReportKind) {
        let ended = |run| Report {
            run,
            kind: kind.clone(),
        };
        let reports: Vec<Report> = runs.into_iter().map(ended).collect();
        self.routes.forget(reports.iter().map(|report| report.run));
        if !reports.is_empty() {
            // Nobody listens any more when cairn shuts down.
            let _ = self.reports.send(reports);
        }
    }
}

/// How long a process must have lived for its end to be no failure of its start.
const PROVEN: Duration = Duration::from_secs(60);

/// For how many failures in a row one counts at most that user code has brought about.
const FAULT_FAILURES: u32 = 3;

impl Keeper {
    pub(super) fn new(post: Post, shared: Arc<Shared>, incoming: mpsc::UnboundedReceiver<Ask>) -> Self {
        Self {
            worker: post.worker,
            props: post.props,
            company: post.company,
            worn: post.worn,
            shared,
            incoming,
            given: None,
            commands: Waiting::default(),
            checks: Vec::new(),
            sockets: Vec::new(),
            retiring: None,
            failures: 0,
            not_before: Instant::now(),
        }
    }

    /// Serves until retired.
    pub(super) async fn run(mut self) {
        while self.wait_for_work().await == Flow::On {
            match self.start().await {
                Ok(running) => {
                    if self.serve(running).await == Flow::Retired {
                        break;
                    }
                }
                Err(error) => self.give_up(&error),
            }
        }
        self.close();
    }

    /// Waits until a process is wanted and the pause after a failure is over.
    async fn wait_for_work(&mut self) -> Flow {
        loop {
            let wanted = !(self.commands.is_empty() && self.checks.is_empty() && self.sockets.is_empty());
            let pause = self.not_before.saturating_duration_since(Instant::now());
            tokio::select! {
                biased;
                ask = self.incoming.recv() => match ask.map(|ask| self.take_in(ask)) {
                    None | Some(Flow::Retired) => return Flow::Retired,
                    Some(Flow::On) => {}
                },
                () = tokio::time::sleep(pause), if wanted => return Flow::On,
            }
        }
    }

    /// Keeps what is asked until there is a process.
    fn take_in(&mut self, ask: Ask) -> Flow {
        match ask {
            Ask::Commands(commands) => self.commands.extend(commands),
            Ask::Check(spec, reply) => {
                self.given = Some(spec);
                self.checks.push(reply);
            }
            Ask::Socket(way, reply) => self.sockets.push((way, reply)),
            Ask::Retire(reply) => return self.retire(reply),
        }
        Flow::On
    }

    /// The same for all that was asked while the process started.
    fn take_in_all(&mut self) -> Flow {
        while let Ok(ask) = self.incoming.try_recv() {
            if self.take_in(ask) == Flow::Retired {
                return Flow::Retired;
            }
        }
        Flow::On
    }

    /// Starts a process and waits for its hello.
    async fn start(&mut self) -> Result<Running, WorkerError> {
        let since = Instant::now();
        let spec = match self.given.take() {
            Some(spec) => spec,
            None => self.shared.source.worker(&self.worker).await?,
        };
        let config = &self.shared.config;
        let home = self.prepare(&spec).await?;
        let traced = TracedWorker {
            account: spec.account.clone(),
            script: spec.script.clone(),
            version: self.worker.0.to_string(),
        };
        let tracer = Tracer::new(traced, Arc::clone(&self.shared.traces));
        let bindings = BindingServer::start(
            &home.binding_socket(),
            (Arc::clone(&self.shared), tracer.clone()),
            &spec,
        )?;
        let services = Services::start(home.path(), &self.shared, &spec)?;
        let script: Arc<str> = spec.script.as_str().into();
        let mut process = Process::start(&self.shared.spawner, &config.binary, home, &script).await?;
        let (reports, routes) = (self.shared.reports.clone(), Arc::clone(&self.shared.routes));
        let context = Context {
            reports,
            routes,
            tracer,
        };
        let path = process.home.host_socket();
        let connected = tokio::select! {
            connected = connection::connect(&path, context) => connected,
            () = tokio::time::sleep(config.start_timeout) => {
                Err(format!("it did not answer within {} seconds", config.start_timeout.as_secs_f32()))
            }
        };
        match connected {
            Ok((connection, hello)) => {
                let startup_millis = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::debug!(worker = %self.worker, script = spec.script, pid = process.id(), startup_millis, "workerd started");
                let checked = Checked {
                    startup_millis,
                    ..hello
                };
                Ok(Running {
                    process,
                    connection,
                    checked,
                    users: Arc::new(()),
                    _bindings: bindings,
                    _services: services,
                    since,
                })
            }
            Err(reason) => {
                // A process that fails closes its sockets just before it ends.
                let ended = tokio::time::timeout(Duration::from_secs(1), process.ended())
                    .await
                    .is_ok();
                let output = process.kill().await;
                Err(startup_error(&reason, &output, ended))
            }
        }
    }

    /// Makes the folder of a process, with its configuration.
    async fn prepare(&self, spec: &Arc<WorkerSpec>) -> Result<Home, WorkerError> {
        let (run_dir, egress) = (self.shared.config.run_dir.clone(), self.shared.config.egress);
        let (spec, props) = (Arc::clone(spec), self.props.clone());
        let prepared = tokio::task::spawn_blocking(move || {
            let home = Home::new(&run_dir, spec.entrypoints.clone()).map_err(|error| {
                WorkerError::Process(format!(
                    "no folder could be made in {}: {error}",
                    run_dir.display()
                ))
            })?;
            config::write(&home, (&spec, props.as_deref()), egress)?;
            Ok(home)
        });
        prepared
            .await
            .map_err(|error| WorkerError::Process(error.to_string()))?
    }

    /// No process: whoever waited for it is told.
    fn give_up(&mut self, error: &WorkerError) {
        tracing::warn!(worker = %self.worker, %error, "workerd did not start");
        let runs: Vec<RunId> = self.commands.take().iter().filter_map(started).collect();
        self.shared.lose(runs, &error.to_string());
        // An error means that nobody waits any more.
        for reply in self.checks.drain(..) {
            let _ = reply.send(Err(error.clone()));
        }
        for (_, reply) in self.sockets.drain(..) {
            let _ = reply.send(Err(error.clone()));
        }
        self.back_off();
    }

    fn back_off(&mut self) {
        let config = &self.shared.config;
        self.not_before = Instant::now() + pause_after(self.failures, config.min_backoff, config.max_backoff);
        self.failures = self.failures.saturating_add(1);
    }

    /// Serves with a process until it ends.
    async fn serve(&mut self, mut running: Running) -> Flow {
        let asked = self.take_in_all();
        running.send(self.commands.take());
        self.given = None;
        for reply in self.checks.drain(..) {
            let _ = reply.send(Ok(running.checked.clone()));
        }
        for (way, reply) in self.sockets.drain(..) {
            let _ = reply.send(running.socket(&way));
        }
        self.worn.store(false, Ordering::Relaxed);
        let (flow, mut end) = match asked {
            Flow::On => self.watch(&mut running).await,
            Flow::Retired => (Flow::Retired, End::Stopped),
        };
        let runs = running.connection.runs.take_all();
        let lived = running.since.elapsed();
        if let End::Died(Death::Broke { status, .. }) = &mut end {
            // A process that ends closes its sockets just before.
            let ended = tokio::time::timeout(Duration::from_secs(1), running.process.ended()).await;
            *status = ended.ok().and_then(Result::ok);
        }
        let output = running.process.kill().await;
        match end {
            End::Stopped => {
                self.failures = 0;
                self.shared.lose(runs, "its Worker version was stopped");
            }
            End::Died(death) => {
                let reason = death.reason(&self.shared.config);
                tracing::warn!(worker = %self.worker, reason, output, runs = runs.len(), "a workerd process ended");
                let is_worn = self.worn.load(Ordering::Relaxed);
                let kind = match death.error((&output, is_worn), &self.shared.config) {
                    Some(error) => ReportKind::Faulted(Fault {
                        error,
                        others: runs.len().saturating_sub(1),
                        company: self.company,
                    }),
                    None => ReportKind::Lost {
                        reason: format!("the process of its Worker ended: {reason}"),
                    },
                };
                self.shared.end(runs, &kind);
                if lived > PROVEN {
                    self.failures = 0;
                }
                if matches!(kind, ReportKind::Faulted(_)) {
                    // It can start. Who did it will not be on the next one, and the others need not wait for long.
                    self.failures = self.failures.min(FAULT_FAILURES);
                }
                self.back_off();
            }
        }
        flow
    }

    /// Serves with a process; returns when it is to be ended or has ended.
    async fn watch(&mut self, running: &mut Running) -> (Flow, End) {
        let config = self.shared.config.clone();
        let period = (config.heartbeat / 3)
            .min(config.idle / 2)
            .max(Duration::from_millis(10));
        let mut tick = tokio::time::interval(period);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks = tokio::time::interval(memory::LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked = Instant::now();
        let (mut idle_since, mut is_left, mut silence) = (None, false, Silence::default());
        loop {
            if is_left && running.is_idle() {
                return (Flow::Retired, End::Stopped);
            }
            tokio::select! {
                ask = self.incoming.recv(), if !is_left => match ask {
                    // Nobody has anything more to ask, but what is under way goes on.
                    None => is_left = true,
                    Some(Ask::Commands(commands)) => {
                        let begins = commands.iter().any(|command| started(command).is_some());
                        running.send(commands);
                        // Runs that leave much behind would be too many before the next look.
                        if begins && looked.elapsed() >= memory::LOOK_AT_MOST_EVERY {
                            looks.reset_immediately();
                        }
                    }
                    // An error means that nobody waits any more.
                    Some(Ask::Check(_, reply)) => drop(reply.send(Ok(running.checked.clone()))),
                    Some(Ask::Socket(way, reply)) => drop(reply.send(running.socket(&way))),
                    Some(Ask::Retire(reply)) => return (self.retire(reply), End::Stopped),
                },
                reason = &mut running.connection.reader => {
                    let reason = reason.unwrap_or_else(|error| error.to_string());
                    return (Flow::On, End::Died(Death::Broke { reason, status: None }));
                }
                _ = looks.tick() => {
                    looked = Instant::now();
                    if let Some(end) = self.look_at_memory(running) {
                        return (Flow::On, end);
                    }
                }
                _ = tick.tick() => {
                    if silence.lasts(running.connection.runs.heard_at(), config.heartbeat) {
                        return (Flow::On, End::Died(Death::Silent));
                    }
                    running.ping();
                    idle_since = running.is_idle().then(|| idle_since.unwrap_or_else(Instant::now));
                    if idle_since.is_some_and(|since| since.elapsed() >= config.idle) {
                        tracing::debug!(worker = %self.worker, "an idle workerd process is stopped");
                        return (Flow::On, End::Stopped);
                    }
                }
            }
        }
    }

    /// Whether a process has too much memory: then it ends. One that has much is left to the runs it has, and ends when it has none.
    fn look_at_memory(&self, running: &Running) -> Option<End> {
        let most = self.shared.config.memory_mebibytes;
        let mebibytes = memory::resident_mebibytes(running.process.id()?)?;
        if mebibytes > most {
            return Some(End::Died(Death::Memory { mebibytes }));
        }
        let is_worn = mebibytes > most / 4 * 3;
        if is_worn != self.worn.swap(is_worn, Ordering::Relaxed) && is_worn {
            tracing::info!(worker = %self.worker, mebibytes, "a workerd process has much memory; new runs get another one");
        }
        (is_worn && running.is_idle()).then_some(End::Stopped)
    }

    fn retire(&mut self, reply: oneshot::Sender<()>) -> Flow {
        self.retiring = Some(reply);
        Flow::Retired
    }

    /// Refuses what still comes in, and is done.
    fn close(&mut self) {
        self.incoming.close();
        let mut commands = self.commands.take();
        while let Ok(ask) = self.incoming.try_recv() {
            match ask {
                Ask::Commands(more) => commands.extend(more),
                // Whoever asks sees the channel close.
                Ask::Check(..) | Ask::Socket(..) | Ask::Retire(_) => {}
            }
        }
        self.shared.lose(
            commands.iter().filter_map(started),
            "its Worker version was stopped",
        );
        if let Some(reply) = self.retiring.take() {
            // An error means that nobody waits any more.
            let _ = reply.send(());
        }
    }
}

/// The pause before a new start after so many failures before the last one.
fn pause_after(failures: u32, min: Duration, max: Duration) -> Duration {
    min.saturating_mul(2_u32.saturating_pow(failures)).min(max)
}

/// How long a process has said nothing, as far as cairn has listened: when cairn itself stood still, the process is asked again first.
#[derive(Default)]
struct Silence {
    /// How often it was asked since it was heard.
    asked: u32,
    heard_at: Option<Instant>,
}

impl Silence {
    /// Whether it is silent for longer than it may be. To be asked at each ping.
    fn lasts(&mut self, heard_at: Instant, longest: Duration) -> bool {
        if self.heard_at.replace(heard_at) != Some(heard_at) {
            self.asked = 0;
        }
        self.asked += 1;
        self.asked > 2 && heard_at.elapsed() > longest
    }
}

/// Why a process is over.
enum End {
    /// It was idle or is not wanted any more.
    Stopped,
    Died(Death),
}

impl Running {
    fn send(&self, commands: Vec<Command>) {
        if !commands.is_empty() {
            self.connection.runs.expect(&commands);
            // When the writer has ended the reader has too, or will: the runs are lost then.
            let _ = self.connection.out.send(Out::Commands(commands));
        }
    }

    fn ping(&self) {
        let _ = self
            .connection
            .out
            .send(Out::Ping(self.connection.runs.next_ping()));
    }

    fn socket(&self, way: &Way) -> Result<PublicSocket, WorkerError> {
        let home = &self.process.home;
        let path = match way {
            Way::Public => home.public_socket(),
            Way::Scheduled => home.scheduled_socket(),
            Way::Entrypoint(entrypoint) => home
                .door_socket(entrypoint.as_deref())
                .ok_or_else(|| no_entrypoint(home, entrypoint))?,
        };
        Ok(PublicSocket {
            path,
            _user: Arc::clone(&self.users),
        })
    }

    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.users) == 1 && self.connection.runs.is_empty()
    }
}

fn no_entrypoint(home: &Home, entrypoint: &Option<Arc<str>>) -> WorkerError {
    let wanted = entrypoint.as_deref().unwrap_or("default");
    let known: Vec<String> = home
        .entrypoints()
        .iter()
        .map(|name| format!("\"{name}\""))
        .collect();
    let known = if known.is_empty() {
        "it has the default one only".to_owned()
    } else {
        format!("it has the default one and {}", known.join(", "))
    };
    WorkerError::NoEntrypoint(format!("has no entrypoint \"{wanted}\"; {known}"))
}

/// What to say when a process did not start. Output about the Worker itself is for its author.
fn startup_error(reason: &str, output: &str, ended: bool) -> WorkerError {
    const MARK: &str = "service user: ";
    if ended && let Some(at) = output.find(MARK) {
        let message = output[at + MARK.len()..]
            .lines()
            .take_while(|line| !line.starts_with("Socket \""))
            .collect::<Vec<_>>();
        return WorkerError::Code(message.join("\n").trim().to_owned());
    }
    let output = if output.is_empty() {
        String::new()
    } else {
        format!("; its output: {output}")
    };
    WorkerError::Process(format!("workerd did not start: {reason}{output}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pause =
            |failures| pause_after(failures, Duration::from_millis(100), Duration::from_secs(30)).as_millis();
        assert_eq!(
            [0, 1, 2, 8, 9, 40, u32::MAX].map(pause),
            [100, 200, 400, 25_600, 30_000, 30_000, 30_000]
        );
    }

    #[test]
    fn who_was_not_asked_is_not_silent() {
        let mut silence = Silence::default();
        let longest = Duration::ZERO;
        let heard = Instant::now().checked_sub(Duration::from_secs(9)).unwrap();
        let asked: Vec<bool> = (0..4).map(|_| silence.lasts(heard, longest)).collect();
        assert_eq!(asked, [false, false, true, true]);
        assert!(!silence.lasts(Instant::now(), longest), "it was heard");
        assert!(!silence.lasts(heard, Duration::from_secs(60)));
    }

    #[test]
    fn only_what_concerns_the_worker_is_its_authors_business() {
        let output = "service user: Uncaught SyntaxError: Unexpected number\n  at index.js:2:22\nSocket \"host\" refers to service \"user\"";
        let error = startup_error("the connection ended", output, true);
        assert!(
            matches!(&error, WorkerError::Code(text) if text == "Uncaught SyntaxError: Unexpected number\n  at index.js:2:22")
        );
        assert!(matches!(
            startup_error("no answer", output, false),
            WorkerError::Process(_)
        ));
        let error = startup_error("the connection ended", "GLIBC_2.27 not found", true).to_string();
        assert_eq!(
            error,
            "workerd did not start: the connection ended; its output: GLIBC_2.27 not found"
        );
    }
}
