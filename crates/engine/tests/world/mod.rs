//! An engine on the memory store, with the test as user code. Time is stepped: nothing here waits for a real clock.

#![allow(dead_code, reason = "each test file uses some of it")]

use bytes::Bytes;
use cairn_core::{CallId, CallRequest, Callback, ConfigInput, DurationInput, StepCall};
use cairn_engine::{
    Clock, CreateInstance, CreatedInstance, EarlierSecrets, Engine, EngineError, Module, ModuleKind, Parts,
    PutWorkflow, Settings, ShiftedClock, Status, StepKey, StepKind, Timestamp, Trigger, Upload, Value,
    WorkflowSettings,
};
use cairn_runtime::scripted::Scripted;
use cairn_runtime::{Checked, Command, Report, ReportKind, RunId, StartRun};
use cairn_store::{MemoryStore, Store};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

pub(crate) const ACCOUNT: &str = "a";

struct StepClock(Instant);

impl Clock for StepClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_700_000_000_000 + i64::try_from(self.0.elapsed().as_millis()).unwrap())
    }
}

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) runtime: Arc<Scripted>,
    pub(crate) clock: Arc<ShiftedClock>,
    /// The runs that have started and not been stopped or ended, by instance.
    pub(crate) runs: BTreeMap<String, StartRun>,
    /// Everything the engine asked of the runtime since it was last looked at.
    pub(crate) commands: Vec<Command>,
}

impl World {
    pub(crate) async fn new(settings: Settings) -> Self {
        let world = Self::on(MemoryStore::new(), settings, Instant::now()).await;
        world.deploy("flow", WorkflowSettings::default()).await;
        world
    }

    pub(crate) async fn on(store: impl Store + 'static, settings: Settings, begun: Instant) -> Self {
        let (reporter, reports) = tokio::sync::mpsc::unbounded_channel();
        let classes = ["Flow".to_owned()];
        let checked = Checked {
            workflow_classes: classes.clone().into(),
            exports: classes.into(),
            startup_millis: 1,
        };
        let runtime = Scripted::new(reporter, checked);
        let clock = Arc::new(ShiftedClock::over(StepClock(begun)));
        let store: Arc<dyn cairn_store::Store> = Arc::new(store);
        let parts = Parts {
            secrets: Arc::new(cairn_engine::Secrets::in_memory(Arc::clone(&store))),
            store,
            runtime: Arc::clone(&runtime) as _,
            reports,
            clock: Arc::clone(&clock) as _,
            settings,
        };
        Self {
            engine: Engine::start(parts).await.unwrap(),
            runtime,
            clock,
            runs: BTreeMap::new(),
            commands: Vec::new(),
        }
    }

    /// A new version of the script, deployed, and workflow `name` on it; the script version.
    pub(crate) async fn deploy(&self, name: &str, settings: WorkflowSettings) -> String {
        let version = self.upload("index.js").await;
        self.put(name, settings).await;
        version
    }

    /// A new version of the script, deployed.
    pub(crate) async fn upload(&self, main_module: &str) -> String {
        let uploaded = self
            .engine
            .upload_script(ACCOUNT, "script", upload(main_module))
            .await
            .unwrap();
        self.engine
            .deploy_version(ACCOUNT, "script", &uploaded.version)
            .await
            .unwrap();
        uploaded.version
    }

    pub(crate) async fn put(&self, name: &str, settings: WorkflowSettings) {
        let put = PutWorkflow {
            script: "script".into(),
            class_name: "Flow".into(),
            settings,
        };
        self.engine.put_workflow(ACCOUNT, name, put).await.unwrap();
    }

    pub(crate) async fn limit(&self, name: &str, concurrency: Option<u32>) {
        self.put(
            name,
            WorkflowSettings {
                concurrency,
                ..WorkflowSettings::default()
            },
        )
        .await;
    }

    pub(crate) async fn try_create(
        &self,
        workflow: &str,
        ids: &[&str],
    ) -> Result<Vec<Result<CreatedInstance, EngineError>>, EngineError> {
        let creates = ids.iter().map(|id| CreateInstance {
            id: Some((*id).into()),
            ..CreateInstance::default()
        });
        self.engine
            .create(ACCOUNT, workflow, (Trigger::Api, creates.collect()))
            .await
    }

    pub(crate) async fn create(&self, workflow: &str, ids: &[&str]) {
        for created in self.try_create(workflow, ids).await.unwrap() {
            created.unwrap();
        }
    }

    /// Lets everything happen that happens within so many milliseconds of simulated time.
    pub(crate) async fn pass(&mut self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        for command in self.runtime.take() {
            match &command {
                Command::Start(start) => {
                    self.runs.insert(start.instance_id.clone(), (**start).clone());
                }
                Command::Stop { run } => self.runs.retain(|_, known| known.run != *run),
                _ => {}
            }
            self.commands.push(command);
        }
    }

    /// The instances whose user code runs, or waits in memory.
    pub(crate) fn running(&self) -> Vec<&str> {
        self.runs.keys().map(String::as_str).collect()
    }

    pub(crate) fn run(&self, id: &str) -> RunId {
        self.runs[id].run
    }

    pub(crate) fn report(&self, id: &str, kinds: Vec<ReportKind>) {
        let run = self.run(id);
        let reports = kinds.into_iter().map(|kind| Report { run, kind });
        assert!(self.runtime.report(reports.collect()));
    }

    pub(crate) async fn finish(&mut self, id: &str) {
        self.report(id, vec![returned("1")]);
        self.runs.remove(id);
        self.pass(10).await;
    }

    pub(crate) async fn status_in(&self, workflow: &str, id: &str) -> Status {
        let row = self.engine.instance_row(ACCOUNT, workflow, id).await;
        row.unwrap().1.status
    }

    pub(crate) async fn status(&self, id: &str) -> Status {
        self.status_in("flow", id).await
    }
}

pub(crate) fn upload(main_module: &str) -> Upload {
    Upload {
        main_module: main_module.into(),
        modules: vec![Module {
            name: main_module.into(),
            kind: ModuleKind::EsModule,
            content: Bytes::new(),
        }],
        bindings: Vec::new(),
        secrets: EarlierSecrets::Drop,
        compatibility_date: "2026-11-01".into(),
        compatibility_flags: Vec::new(),
        annotations: None,
        workflow_exports: Vec::new(),
    }
}

pub(crate) fn called(call: u32, (kind, name): (StepKind, &str), request: CallRequest) -> ReportKind {
    let key = StepKey {
        kind,
        name: name.into(),
        count: 1,
    };
    ReportKind::Called(StepCall {
        call: CallId(call),
        parent: None,
        key,
        request,
    })
}

/// A call that waits to be told.
pub(crate) fn ask(call: u32, name: &str) -> ReportKind {
    let request = CallRequest::Do {
        config: Ok(ConfigInput::default()),
        callback: Callback::Idle,
        rollback: None,
    };
    called(call, (StepKind::Do, name), request)
}

pub(crate) fn execute(call: u32, name: &str) -> ReportKind {
    let request = CallRequest::Do {
        config: Ok(ConfigInput::default()),
        callback: Callback::Executing,
        rollback: None,
    };
    called(call, (StepKind::Do, name), request)
}

pub(crate) fn sleep(call: u32, name: &str, millis: f64) -> ReportKind {
    let duration = DurationInput::Millis(millis);
    called(call, (StepKind::Sleep, name), CallRequest::Sleep { duration })
}

pub(crate) fn wait_for(call: u32, name: &str, timeout_millis: f64) -> ReportKind {
    let request = CallRequest::WaitForEvent {
        event_type: name.into(),
        timeout: Some(DurationInput::Millis(timeout_millis)),
    };
    called(call, (StepKind::WaitForEvent, name), request)
}

pub(crate) fn returned(json: &str) -> ReportKind {
    ReportKind::Returned {
        output: Value::from_json(json).unwrap(),
    }
}

pub(crate) fn succeeded(call: u32, json: &str) -> ReportKind {
    ReportKind::AttemptSucceeded {
        call: CallId(call),
        attempt: 1,
        output: Value::from_json(json).unwrap(),
    }
}
