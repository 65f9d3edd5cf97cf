//! The three engines, each with a copy of the same Worker: cairn, `wrangler dev` and `workerd serve`.

use cairn_tests::{Scratch, Wrangler, cairn, esbuild, within, workerd};
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// The longest an engine may take until it answers, on a machine under load.
const START: Duration = Duration::from_secs(120);

/// The longest one case may take.
const CASE: Duration = Duration::from_secs(90);

/// One of the engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The engine under test.
    Cairn,
    /// The engine of `wrangler dev`.
    Wrangler,
    /// The engine inside workerd.
    Workerd,
}

impl Kind {
    /// How people call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cairn => "cairn",
            Self::Wrangler => "wrangler dev",
            Self::Workerd => "workerd",
        }
    }
}

/// An engine, its folder, and the process that runs it now.
#[derive(Debug)]
pub(crate) struct Engine {
    kind: Kind,
    project: Scratch,
    /// What is not its project: data, logs, the home of tools.
    aside: Scratch,
    port: u16,
    wrangler: Wrangler,
    http: reqwest::Client,
    process: Option<Group>,
}

/// A process with all it has started, killed at the end.
#[derive(Debug)]
struct Group {
    child: Child,
}

impl Group {
    fn start(mut command: Command, log: &Path) -> Self {
        let file = fs::File::options().create(true).append(true).open(log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .expect("the engine starts");
        Self { child }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.child.id() {
            // SAFETY: kill(2) only takes numbers. The child has not been waited for, so the group of its id is its own.
            unsafe { libc::kill(-i32::try_from(pid).unwrap_or(i32::MAX), libc::SIGKILL) };
        }
    }
}

/// A port nobody listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Copies the Worker of the suite, with one of its configurations as `wrangler.jsonc`.
fn copy(from: &Path, configuration: &str, to: &Path) {
    for entry in fs::read_dir(from).unwrap().flatten() {
        let name = entry.file_name();
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(to.join(&name)).unwrap();
            copy(&entry.path(), configuration, &to.join(&name));
        } else if name == configuration {
            fs::copy(entry.path(), to.join("wrangler.jsonc")).unwrap();
        } else if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "js")
        {
            fs::copy(entry.path(), to.join(&name)).unwrap();
        }
    }
}

/// A test that fails for want of an engine shows what it said.
impl Drop for Engine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = fs::read_to_string(self.log()).unwrap_or_default();
            eprintln!("--- {} said:\n{said}", self.kind.name());
        }
    }
}

impl Engine {
    /// Prepares an engine with the Worker in `source`.
    pub(crate) fn new(kind: Kind, source: &Path, configuration: &str, wrangler: Wrangler) -> Self {
        let project = Scratch::new();
        copy(source, configuration, project.path());
        cairn_tests::tls_provider();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(CASE)
            .build()
            .unwrap();
        Self {
            kind,
            project,
            aside: Scratch::new(),
            port: free_port(),
            wrangler,
            http,
            process: None,
        }
    }

    /// Which one it is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Starts it and waits until it answers.
    pub(crate) async fn start(&mut self) {
        let command = match self.kind {
            Kind::Cairn => self.cairn(),
            Kind::Wrangler => self.wrangler(),
            Kind::Workerd => self.workerd(),
        };
        let deployed = self.deployments();
        self.process = Some(Group::start(command, &self.log()));
        let what = format!("{} answers", self.kind.name());
        within(START, &what, || async {
            let answer = self.ask("/").await?;
            // Cairn's Worker answers before all of its workflows are there.
            let is_ready = self.kind != Kind::Cairn || self.deployments() > deployed;
            (answer["differential"] == true && is_ready).then_some(())
        })
        .await;
    }

    /// How often Cairn has said that everything is deployed.
    fn deployments(&self) -> usize {
        let said = fs::read_to_string(self.log()).unwrap_or_default();
        said.matches("To start an instance").count()
    }

    /// Ends it as a power cut would.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut group) = self.process.take() {
            let pid = group.child.id().expect("it still runs");
            // SAFETY: as in `drop`.
            unsafe { libc::kill(-i32::try_from(pid).unwrap(), libc::SIGKILL) };
            group.child.wait().await.unwrap();
        }
    }

    fn cairn(&self) -> Command {
        let port = self.port.to_string();
        let data = self.aside.path().join("data");
        let project = self.project.text();
        cairn!().command(&[
            "dev",
            project,
            "--port",
            &port,
            "--data-dir",
            data.to_str().unwrap(),
        ])
    }

    fn wrangler(&self) -> Command {
        let mut command = Command::new(&self.wrangler.node);
        command
            .arg(&self.wrangler.script)
            .args([
                "dev",
                "--local",
                "--ip",
                "127.0.0.1",
                "--port",
                &self.port.to_string(),
            ])
            .current_dir(self.project.path())
            .env("HOME", self.aside.path())
            .env("XDG_CONFIG_HOME", self.aside.path())
            .env("WRANGLER_SEND_METRICS", "false")
            .env("CI", "1")
            .env("NO_COLOR", "1");
        command
    }

    fn workerd(&self) -> Command {
        let mut command = Command::new(workerd());
        command
            .args(["serve", "--experimental", "wrangler.jsonc"])
            .arg("--socket-addr")
            .arg(format!("http=127.0.0.1:{}", self.port))
            .current_dir(self.project.path())
            .env("WORKERD_ESBUILD", esbuild());
        command
    }

    fn log(&self) -> PathBuf {
        self.aside.path().join("engine.log")
    }

    async fn get(&self, path: &str, host: Option<&str>) -> Option<Value> {
        let mut request = self.http.get(format!("http://127.0.0.1:{}{path}", self.port));
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let bytes = request.send().await.ok()?.bytes().await.ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Asks the Worker. Nothing when it does not answer with JSON.
    pub(crate) async fn ask(&self, path: &str) -> Option<Value> {
        let host = format!("differential.localhost:{}", self.port);
        let host = (self.kind == Kind::Cairn).then_some(host);
        self.get(path, host.as_deref()).await
    }

    /// What the engine's own API says of an instance; nothing where it has none, or no such instance.
    pub(crate) async fn describe(&self, workflow: &str, id: &str) -> Option<Value> {
        let api = match self.kind {
            Kind::Cairn => "/client/v4/accounts/local",
            Kind::Wrangler => "/cdn-cgi/local/explorer/api",
            Kind::Workerd => return None,
        };
        let mut answer = self
            .get(&format!("{api}/workflows/{workflow}/instances/{id}"), None)
            .await?;
        (answer["success"] == true).then(|| answer["result"].take())
    }
}
