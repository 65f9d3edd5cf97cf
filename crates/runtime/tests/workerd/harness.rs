//! A runtime on a real workerd, and an engine that does as a test says.

use async_trait::async_trait;
use bytes::Bytes;
use cairn_core::{CallId, CallRequest, Callback, StepCall, Timestamp};
use cairn_runtime::workerd::{Workerd, WorkerdConfig};
use cairn_runtime::{
    Binding, Command, Firing, KnownStep, Module, ModuleKind, Outcome, Report, ReportKind, RunId,
    Runtime as _, StartRun, StoredStream, Value, WorkerError, WorkerId, WorkerSource, WorkerSpec,
};
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

const PATIENCE: Duration = Duration::from_secs(30);

/// The workerd executable, or `None` after saying that the test is skipped.
pub(crate) fn workerd() -> Option<PathBuf> {
    let given = std::env::var_os("CAIRN_WORKERD").map(PathBuf::from);
    let platform = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("macos", "aarch64") => "darwin-arm64",
        ("macos", _) => "darwin-64",
        (_, "aarch64") => "linux-arm64",
        _ => "linux-64",
    };
    let package = format!("node_modules/@cloudflare/workerd-{platform}/bin/workerd");
    let found = given.or_else(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        here.ancestors()
            .flat_map(|folder| [folder.join(&package), folder.join("tests").join(&package)])
            .find(|path| path.exists())
    });
    if found.is_none() {
        let message =
            "workerd was not found: set CAIRN_WORKERD, or npm install --no-save --ignore-scripts in tests/";
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{message}");
        println!("skipped: {message}");
    }
    found
}

/// Versions known by id.
#[derive(Debug, Default)]
pub(crate) struct Source(Mutex<Vec<Arc<WorkerSpec>>>);

impl Source {
    /// Makes one more version known.
    pub(crate) fn add(&self, spec: WorkerSpec) {
        self.0.lock().unwrap().push(Arc::new(spec));
    }
}

#[async_trait]
impl WorkerSource for Source {
    async fn worker(&self, id: &WorkerId) -> Result<Arc<WorkerSpec>, WorkerError> {
        let specs = self.0.lock().unwrap();
        specs
            .iter()
            .find(|spec| spec.id == *id)
            .cloned()
            .ok_or_else(|| WorkerError::Unknown(id.clone()))
    }
}

pub(crate) struct World {
    pub(crate) runtime: Arc<Workerd>,
    pub(crate) worker: WorkerId,
    pub(crate) spec: Arc<WorkerSpec>,
    reports: mpsc::UnboundedReceiver<Vec<Report>>,
    queue: VecDeque<Report>,
    last_run: u64,
    pub(crate) step_limit: u32,
    /// Pieces of the streams that callbacks have returned, by call.
    pub(crate) streams: HashMap<u32, Vec<Bytes>>,
    /// What the next runs are for.
    /// With whom its runs share processes.
    company: cairn_runtime::Company,
    pub(crate) purpose: cairn_core::Purpose,
    /// What the next runs come from.
    pub(crate) firing: Option<Firing>,
    run_dir: TempDir,
}

pub(crate) fn module(name: &str, kind: ModuleKind, content: impl Into<Bytes>) -> Module {
    Module {
        name: name.into(),
        kind,
        content: content.into(),
    }
}

/// A version with one module.
pub(crate) fn spec(code: &str) -> WorkerSpec {
    WorkerSpec {
        id: WorkerId("version-1".into()),
        account: "acc".into(),
        script: "script".into(),
        main_module: "index.js".into(),
        modules: vec![module("index.js", ModuleKind::EsModule, code.to_owned())],
        bindings: vec![Binding::Text {
            name: "GREETING".into(),
            text: "hello \"\\\n\u{1F600}".into(),
        }],
        exports: Vec::new(),
        entrypoints: Vec::new(),
        compatibility_date: "2026-10-01".into(),
        compatibility_flags: vec![],
    }
}

/// The body of a `run(event, step)` as a module with the class `Flow`.
pub(crate) fn flow(body: &str) -> String {
    format!(
        "import {{ WorkflowEntrypoint }} from 'cloudflare:workers';\n\
         import {{ NonRetryableError }} from 'cloudflare:workflows';\n\
         export class Flow extends WorkflowEntrypoint {{\n  async run(event, step) {{\n{body}\n  }}\n}}\n"
    )
}

impl World {
    /// A world with the class `Flow`, whose `run` has this body.
    pub(crate) fn with_flow(body: &str) -> Option<Self> {
        Self::with_spec(spec(&flow(body)), |_| {})
    }

    pub(crate) fn with_spec(spec: WorkerSpec, configure: impl FnOnce(&mut WorkerdConfig)) -> Option<Self> {
        let binary = workerd()?;
        // Another test has set it up already, if it fails.
        let _ = tracing_subscriber::registry().with(Lines).try_init();
        let run_dir = tempfile::Builder::new().prefix("cairn-test-").tempdir().unwrap();
        let mut config = WorkerdConfig::new(binary, run_dir.path());
        configure(&mut config);
        let spec = Arc::new(spec);
        let source = Arc::new(Source(Mutex::new(vec![Arc::clone(&spec)])));
        let (sender, reports) = mpsc::unbounded_channel();
        let runtime = Workerd::new(config, source, sender).unwrap();
        let worker = spec.id.clone();
        Some(Self {
            runtime,
            worker,
            spec,
            reports,
            queue: VecDeque::new(),
            last_run: 0,
            step_limit: 10_000,
            streams: HashMap::new(),
            company: cairn_runtime::Company::Any,
            purpose: cairn_core::Purpose::Progress,
            firing: None,
            run_dir,
        })
    }

    pub(crate) fn run_dir(&self) -> &Path {
        self.run_dir.path()
    }

    pub(crate) fn start(&mut self, params: &str) -> RunId {
        self.start_with(params, Vec::new())
    }

    /// The same in a room.
    pub(crate) fn start_in(&mut self, company: cairn_runtime::Company, params: &str) -> RunId {
        self.company = company;
        let run = self.start(params);
        self.company = cairn_runtime::Company::Any;
        run
    }

    pub(crate) fn start_with(&mut self, params: &str, history: Vec<KnownStep>) -> RunId {
        self.last_run += 1;
        let run = RunId(self.last_run);
        self.perform([Command::Start(Box::new(StartRun {
            purpose: self.purpose,
            first_attempts: cairn_runtime::FirstAttempts::AtOnce,
            company: self.company,
            run,
            worker: self.worker.clone(),
            class_name: "Flow".into(),
            workflow_name: "flow".into(),
            instance_id: format!("instance-{}", run.0),
            created_at: Timestamp(1_700_000_000_000),
            firing: self.firing.clone(),
            params: Value::from_json(params).unwrap(),
            step_limit: self.step_limit,
            history,
        }))]);
        run
    }

    pub(crate) fn perform<const N: usize>(&self, commands: [Command; N]) {
        self.runtime.perform(commands.into());
    }

    pub(crate) fn settle(&self, run: RunId, call: CallId, outcome: Outcome) {
        self.perform([Command::Settle { run, call, outcome }]);
    }

    /// The next reports that came together.
    pub(crate) async fn batch(&mut self) -> Vec<Report> {
        assert!(self.queue.is_empty(), "{:?}", self.queue);
        tokio::time::timeout(PATIENCE, self.reports.recv())
            .await
            .expect("a report in time")
            .unwrap()
    }

    /// The next report.
    pub(crate) async fn next(&mut self) -> ReportKind {
        while self.queue.is_empty() {
            self.queue = self.batch().await.into();
        }
        self.queue.pop_front().unwrap().kind
    }

    /// The next report, which is a step call.
    pub(crate) async fn called(&mut self) -> StepCall {
        match self.next().await {
            ReportKind::Called(call) => call,
            other => panic!("expected a call: {other:?}"),
        }
    }

    /// Goes on until the run ends, as an engine that keeps every result, wakes every sleep at once and starts what is
    /// idle; a failed attempt is its step's last.
    pub(crate) async fn finish(&mut self, run: RunId) -> ReportKind {
        loop {
            match self.next().await {
                ReportKind::Called(call) => match call.request {
                    CallRequest::Do {
                        callback: Callback::Executing,
                        ..
                    } => {}
                    CallRequest::Do {
                        callback: Callback::Idle,
                        ..
                    } => {
                        self.perform([Command::Attempt {
                            run,
                            call: call.call,
                            attempt: 1,
                        }]);
                    }
                    _ => self.settle(run, call.call, Outcome::Slept),
                },
                ReportKind::AttemptSucceeded { call, .. } => self.settle(run, call, Outcome::Stored),
                ReportKind::Chunk {
                    call, index, bytes, ..
                } => {
                    let pieces = self.streams.entry(call.0).or_default();
                    assert_eq!(pieces.len(), index as usize);
                    pieces.push(bytes);
                    self.perform([Command::Kept { run, chunks: 1 }]);
                }
                ReportKind::Streamed {
                    call, chunks, bytes, ..
                } => {
                    let pieces = self.streams.entry(call.0).or_default();
                    assert_eq!(pieces.len(), chunks as usize);
                    assert_eq!(pieces.iter().map(|piece| piece.len() as u64).sum::<u64>(), bytes);
                    let stream = StoredStream::new(u64::from(call.0), (chunks, bytes), b"");
                    self.settle(run, call, Outcome::Value(Value::stream(&stream)));
                }
                ReportKind::Pull { pull, stream, index } => {
                    let pieces = self.streams.get(&u32::try_from(stream).unwrap());
                    let bytes = pieces.and_then(|pieces| pieces.get(index as usize)).cloned();
                    self.perform([Command::Piece { run, pull, bytes }]);
                }
                ReportKind::AttemptFailed(failed) => {
                    self.settle(run, failed.call, Outcome::Failed(failed.error));
                }
                end => return end,
            }
        }
    }

    /// As [`finish`](Self::finish), for a run that returns: its output as clients read it.
    pub(crate) async fn output(&mut self, run: RunId) -> String {
        match self.finish(run).await {
            ReportKind::Returned { output } => output.to_json_text(),
            other => panic!("expected an output: {other:?}"),
        }
    }
}

/// Log lines of user code, by script.
static LINES: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// The lines of a script: level, workflow, instance, step and text.
pub(crate) fn lines_of(script: &str) -> Vec<String> {
    let lines = LINES.lock().unwrap();
    lines
        .iter()
        .filter(|(of, _)| of == script)
        .map(|(_, line)| line.clone())
        .collect()
}

struct Lines;

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != "cairn::user" {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Fields {
            script,
            workflow,
            instance,
            step,
            message,
        } = fields;
        let line = format!(
            "{} {workflow}/{instance} {step}: {message}",
            event.metadata().level()
        );
        LINES.lock().unwrap().push((script, line));
    }
}

#[derive(Default)]
struct Fields {
    script: String,
    workflow: String,
    instance: String,
    step: String,
    message: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "script" => self.script = value.into(),
            "workflow" => self.workflow = value.into(),
            "instance" => self.instance = value.into(),
            "step" => self.step = value.into(),
            _ => {}
        }
    }
}
