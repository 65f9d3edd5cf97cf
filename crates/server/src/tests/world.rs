//! A router with a store in memory and a fake runtime.

use super::contract;
use crate::access::{Access, AccessSettings, ClientAddress};
use crate::app::{App, router};
use crate::auth::{self, Auth};
use crate::bodies::Bodies;
use crate::body::BodyLimits;
use crate::health::Health;
use crate::hosts::{Handlers, WorkerConnection, WorkerDoor};
use crate::jobs::Jobs;
use crate::serve::{Entrance, serve};
use crate::subscribers::Subscribers;
use crate::testing::{self, TestSupport};
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use cairn_engine::{Clock, Engine, Parts, Settings, SystemClock, Timestamp};
use cairn_runtime::{Checked, Command, Runtime, WorkerError, WorkerId, WorkerSpec};
use cairn_store::memory::MemoryStore;
use http_body_util::BodyExt;
use serde_json::Value as Json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tower::ServiceExt;

/// The root token of these tests.
pub(super) const TOKEN: &str = "secret";
/// Where their routes begin.
pub(super) const ACCOUNT: &str = "/client/v4/accounts/acc";

/// A clock that stands until it is put forward.
pub(super) struct StepClock(AtomicI64);

impl StepClock {
    pub(super) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000, Ordering::Relaxed);
    }
}

impl Clock for StepClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// Accepts every script whose main module does not say `throw`. Its runs never come to an end by themselves.
struct IdleRuntime;

#[async_trait]
impl Runtime for IdleRuntime {
    fn perform(&self, _commands: Vec<Command>) {}

    async fn check(&self, worker: Arc<WorkerSpec>) -> Result<Checked, WorkerError> {
        let main = worker
            .modules
            .iter()
            .find(|module| module.name == worker.main_module)
            .unwrap();
        let code = String::from_utf8(main.content.to_vec()).unwrap();
        if code.contains("throw") {
            return Err(WorkerError::Code(
                "Uncaught Error: at start\n  at index.js:1:7".into(),
            ));
        }
        if code.contains("unavailable") {
            return Err(WorkerError::Process("no process can be started".into()));
        }
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Ok(Checked {
            workflow_classes: names(&["MyWorkflow"]),
            exports: if code.contains("no default") {
                names(&["MyWorkflow"])
            } else {
                names(&["MyWorkflow", "default"])
            },
            startup_millis: 7,
        })
    }

    fn retire(&self, _worker: &WorkerId) {}
}

/// Workers that answer each request with its own first line and headers.
struct EchoDoor;

#[async_trait]
impl WorkerDoor for EchoDoor {
    async fn connect(&self, _version: &str) -> Result<WorkerConnection, String> {
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if far.read(&mut byte).await.unwrap_or(0) == 0 {
                    return;
                }
                head.push(byte[0]);
            }
            let text = String::from_utf8(head).unwrap().to_ascii_lowercase();
            if text.contains("upgrade: websocket") {
                let switched =
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                far.write_all(switched.as_bytes()).await.unwrap();
                return;
            }
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nKeep-Alive: x\r\n\r\n{text}",
                text.len()
            );
            far.write_all(answer.as_bytes()).await.unwrap();
        });
        Ok(WorkerConnection {
            stream: Box::new(near),
            guard: Box::new(()),
        })
    }
}

/// A door that breaks in the middle of a request.
struct PanickingDoor;

#[async_trait]
impl WorkerDoor for PanickingDoor {
    async fn connect(&self, _version: &str) -> Result<WorkerConnection, String> {
        panic!("a defect");
    }
}

/// A server without a socket.
pub(super) struct World {
    router: Router,
    pub(super) engine: Engine,
    pub(super) store: Arc<MemoryStore>,
    /// What tokens and the audit log take for the time.
    pub(super) clock: Arc<StepClock>,
}

/// An answer, read.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) headers: axum::http::HeaderMap,
    pub(super) text: String,
}

impl Answered {
    pub(super) fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The result of a request that was done.
    pub(super) fn result(&self) -> Json {
        let json = self.json();
        assert_eq!(json["success"], true, "{json}");
        assert_eq!(
            (&json["errors"], &json["messages"]),
            (&Json::Array(vec![]), &Json::Array(vec![]))
        );
        json["result"].clone()
    }

    /// Status, code and message of one that was not; checks the rest of the envelope.
    pub(super) fn failure(&self) -> (u16, u64, String) {
        let json = self.json();
        assert_eq!(
            (&json["success"], &json["result"]),
            (&Json::Bool(false), &Json::Null),
            "{json}"
        );
        assert!(
            json["messages"].as_array().unwrap().iter().all(Json::is_string),
            "{json}"
        );
        let error = &json["errors"][0];
        (
            self.status.as_u16(),
            error["code"].as_u64().unwrap(),
            error["message"].as_str().unwrap().into(),
        )
    }

    /// The explanation beside the error.
    pub(super) fn explanation(&self) -> String {
        self.json()["messages"][0].as_str().unwrap_or_default().into()
    }
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(
            (Auth::Token(Some(TOKEN.into())), TestSupport::Absent),
            BodyLimits::default(),
            Arc::new(EchoDoor),
        )
        .await
    }

    /// With the routes of tests.
    pub(super) async fn for_tests() -> Self {
        Self::with(
            (Auth::Token(Some(TOKEN.into())), TestSupport::Present),
            BodyLimits::default(),
            Arc::new(EchoDoor),
        )
        .await
    }

    pub(super) async fn open() -> Self {
        Self::with(
            (Auth::Open, TestSupport::Present),
            BodyLimits::default(),
            Arc::new(EchoDoor),
        )
        .await
    }

    pub(super) async fn limited(limits: BodyLimits) -> Self {
        Self::with(
            (Auth::Token(Some(TOKEN.into())), TestSupport::Absent),
            limits,
            Arc::new(EchoDoor),
        )
        .await
    }

    pub(super) async fn panicking() -> Self {
        Self::with(
            (Auth::Token(Some(TOKEN.into())), TestSupport::Absent),
            BodyLimits::default(),
            Arc::new(PanickingDoor),
        )
        .await
    }

    async fn with(auth: (Auth, TestSupport), limits: BodyLimits, door: Arc<dyn WorkerDoor>) -> Self {
        Self::with_settings(auth, (limits, |_| {}), door).await
    }

    async fn with_settings(
        (auth, test_support): (Auth, TestSupport),
        (limits, tune): (BodyLimits, fn(&mut Settings)),
        door: Arc<dyn WorkerDoor>,
    ) -> Self {
        let store = Arc::new(MemoryStore::new());
        let (gate, _) = auth::set_up(auth, store.as_ref()).await.unwrap();
        let step_clock = Arc::new(StepClock(AtomicI64::new(SystemClock.now().0)));
        let access = (
            AccessSettings::default(),
            ClientAddress::Peer,
            Arc::clone(&step_clock) as _,
        );
        let access = Access::set_up(gate, Arc::clone(&store) as _, access)
            .await
            .unwrap();
        let (_, reports) = mpsc::unbounded_channel();
        let (clock, testing) = testing::clock(test_support);
        let mut settings = Settings {
            inbox_messages: 3,
            ..Settings::default()
        };
        tune(&mut settings);
        let secrets = Arc::new(cairn_engine::Secrets::in_memory(Arc::clone(&store) as _));
        let engine = Engine::start(Parts {
            store: Arc::clone(&store) as _,
            runtime: Arc::new(IdleRuntime),
            reports,
            clock,
            secrets,
            settings,
        })
        .await
        .unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 8787));
        Self {
            engine: engine.clone(),
            store,
            clock: step_clock,
            router: router(Arc::new(App {
                engine,
                access,
                door,
                limits,
                bodies: Bodies::at_most(1 << 30),
                jobs: Jobs::default(),
                handlers: Handlers::default(),
                tails: Arc::default(),
                subscribers: Subscribers::new().unwrap(),
                testing,
                address,
                health: Health::new(std::env::current_exe().unwrap()),
            })),
        }
    }

    /// Listens on a port of this machine, for as long as the test runs.
    pub(super) async fn listen(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(
            Entrance::new(listener, None),
            self.router.clone(),
            std::future::pending(),
        ));
        address
    }

    /// Sends a request as it is.
    pub(super) async fn send(&self, request: Request<Body>) -> Answered {
        let Ok(response) = self.router.clone().oneshot(request).await;
        read(response).await
    }

    /// A request with some token, to any path.
    pub(super) async fn ask(&self, token: &str, (method, path): (&str, &str), body: &str) -> Answered {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Body::from(body.to_owned()))
            .unwrap();
        self.send(request).await
    }

    pub(super) fn router(&self) -> Router {
        self.router.clone()
    }

    /// What the clock of tokens shows.
    pub(super) fn clock_millis(&self) -> i64 {
        self.clock.now().0
    }

    /// Makes a token; its id, and the token.
    pub(super) async fn token(&self, body: &str) -> (String, String) {
        let made = self.ask(TOKEN, ("POST", "/cairn/v1/tokens"), body).await.result();
        (
            made["id"].as_str().unwrap().into(),
            made["value"].as_str().unwrap().into(),
        )
    }

    /// A request with the token, to a path below the account.
    pub(super) async fn call(&self, method: &str, path: &str, body: &str) -> Answered {
        let request = Request::builder()
            .method(method)
            .uri(format!("{ACCOUNT}{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            .body(Body::from(body.to_owned()))
            .unwrap();
        let answered = self.send(request).await;
        contract::hold(method, &format!("{ACCOUNT}{path}"), (body, &answered));
        answered
    }

    pub(super) async fn get(&self, path: &str) -> Answered {
        self.call("GET", path, "").await
    }

    /// An upload with this metadata and main module.
    pub(super) async fn upload(
        &self,
        (method, path): (&str, &str),
        (metadata, code): (&str, &str),
    ) -> Answered {
        let body = form(metadata, code);
        let request = Request::builder()
            .method(method)
            .uri(format!("{ACCOUNT}{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=----b")
            .body(Body::from(body))
            .unwrap();
        self.send(request).await
    }

    /// A world with the script `s` deployed and the workflow `w` defined.
    pub(super) async fn deployed() -> Self {
        Self::new().await.prepared().await
    }

    /// The same, with settings of the engine changed.
    pub(super) async fn tuned(tune: fn(&mut Settings)) -> Self {
        let auth = (Auth::Token(Some(TOKEN.into())), TestSupport::Absent);
        let world = Self::with_settings(auth, (BodyLimits::default(), tune), Arc::new(EchoDoor)).await;
        world.prepared().await
    }

    async fn prepared(self) -> Self {
        let world = self;
        world
            .upload(("PUT", "/workers/scripts/s"), (METADATA, "export {}"))
            .await
            .result();
        world
            .call(
                "PUT",
                "/workflows/w",
                r#"{"script_name":"s","class_name":"MyWorkflow"}"#,
            )
            .await
            .result();
        world
    }
}

/// Metadata of an upload that is fine.
pub(super) const METADATA: &str = r#"{"main_module":"index.js","compatibility_date":"2026-08-01","compatibility_flags":[],
    "code_update_strategy":{"mode":"deferred","max_delay":300},"keep_bindings":["secret_text","secret_key"],
    "bindings":[{"type":"workflow","name":"MY_WF","workflow_name":"w","class_name":"MyWorkflow"},
                {"type":"secret_text","name":"KEY","text":"hidden"}]}"#;

/// A multipart body as wrangler writes it.
pub(super) fn form(metadata: &str, code: &str) -> String {
    format!(
        "------b\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{metadata}\r\n\
         ------b\r\nContent-Disposition: form-data; name=\"index.js\"; filename=\"index.js\"\r\n\
         Content-Type: application/javascript+module\r\n\r\n{code}\r\n------b--\r\n"
    )
}

async fn read(response: Response<Body>) -> Answered {
    let (parts, body) = response.into_parts();
    let bytes = tokio::time::timeout(Duration::from_secs(30), body.collect())
        .await
        .unwrap()
        .unwrap()
        .to_bytes();
    Answered {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}
