//! The `cairn` binary: started, watched, killed.

use crate::{Rest, tools, until};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// The token of servers that tests start.
pub const TOKEN: &str = "token-of-the-tests";

/// The binary under test.
#[derive(Debug, Clone)]
pub struct Cairn {
    path: PathBuf,
}

/// A command that has ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// What it printed as its result.
    pub stdout: String,
    /// What it told.
    pub stderr: String,
}

impl Ended {
    /// Panics unless it ended with this code.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }
}

/// A command that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    said: Said,
    drained: JoinHandle<()>,
    stdout: JoinHandle<String>,
}

/// What a command says, as it says it.
#[derive(Debug, Default)]
struct Said(Arc<Mutex<String>>);

impl Said {
    fn so_far(&self) -> String {
        self.0.lock().map(|text| text.clone()).unwrap_or_default()
    }
}

impl Cairn {
    /// The binary at a path, or the one that `CAIRN_TEST_BINARY` names instead.
    pub fn new(path: &str) -> Self {
        crate::tls_provider();
        Self {
            path: std::env::var_os("CAIRN_TEST_BINARY").map_or_else(|| path.into(), PathBuf::from),
        }
    }

    /// A command in a plain environment. Tools are those of the tests' own node_modules when they are there; else cairn fetches them.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CAIRN_") {
                command.env_remove(name);
            }
        }
        for (variable, file) in tools() {
            if file.is_file() {
                command.env(variable, file);
            }
        }
        command
    }

    /// Starts `cairn` with these arguments.
    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::watch(self.command(arguments))
    }

    /// Runs `cairn` to its end.
    pub async fn run(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).end().await
    }

    /// Runs `cairn run` with the data in `data_dir`.
    pub async fn run_project(&self, project: &Path, data_dir: &Path, more: &[&str]) -> Ended {
        self.start_project(project, data_dir, more).end().await
    }

    /// Starts `cairn run` with the data in `data_dir`.
    pub fn start_project(&self, project: &Path, data_dir: &Path, more: &[&str]) -> Running {
        let mut arguments = vec!["run", project.to_str().unwrap()];
        arguments.extend(["--data-dir", data_dir.to_str().unwrap()]);
        arguments.extend(more);
        self.start(&arguments)
    }

    /// Starts `cairn serve` on a free port.
    pub fn start_server(&self, data_dir: &Path) -> Running {
        self.start_server_with(data_dir, &[])
    }

    /// The same with more arguments.
    pub fn start_server_with(&self, data_dir: &Path, more: &[&str]) -> Running {
        let data_dir = data_dir.to_str().unwrap();
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0", "--egress", "any"]);
        command
            .args(["--data-dir", data_dir])
            .args(more)
            .env("CAIRN_ROOT_TOKEN", TOKEN);
        Running::watch(command)
    }

    /// Starts `cairn serve` and waits until it answers.
    pub async fn serve(&self, data_dir: &Path) -> (Running, Rest) {
        let mut server = self.start_server(data_dir);
        let rest = server.rest().await;
        (server, rest)
    }
}

/// The native programs in the tests' own node_modules.
fn tools() -> [(&'static str, PathBuf); 2] {
    [
        ("CAIRN_WORKERD", tools::workerd()),
        ("CAIRN_ESBUILD", tools::esbuild()),
    ]
}

impl Running {
    /// Starts a command and keeps what it says.
    pub fn watch(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the binary starts");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut out = child.stdout.take().unwrap();
        let said = Said::default();
        let text = Arc::clone(&said.0);
        Self {
            child,
            said,
            drained: tokio::spawn(async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    let mut text = text.lock().unwrap();
                    text.push_str(&line);
                    text.push('\n');
                }
            }),
            stdout: tokio::spawn(async move {
                let mut text = String::new();
                out.read_to_string(&mut text).await.unwrap();
                text
            }),
        }
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        self.said.so_far()
    }

    /// Waits until it has said `text`, and gives all it said.
    pub async fn until_said(&mut self, text: &str) -> String {
        let said = &self.said;
        let child = &mut self.child;
        until(&format!("cairn says {text:?}"), || {
            let said = said.so_far();
            let ended = child.try_wait().unwrap();
            async move {
                let is_said = said.contains(text);
                assert!(
                    is_said || ended.is_none(),
                    "cairn ended ({ended:?}) before it said {text:?}:\n{said}"
                );
                is_said.then_some(said)
            }
        })
        .await
    }

    /// Where it listens, once it does.
    pub async fn address(&mut self) -> SocketAddr {
        let said = self.until_said("/client/v4").await;
        let (before, _) = said.split_once("/client/v4").unwrap();
        let (_, address) = before.rsplit_once("http://").unwrap();
        address
            .parse()
            .unwrap_or_else(|error| panic!("{address}: {error}"))
    }

    /// Its REST API, once it answers.
    pub async fn rest(&mut self) -> Rest {
        Rest::new(self.address().await, TOKEN)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        let pid = self.child.id().expect("it still runs");
        // SAFETY: kill(2) only takes numbers. The process is ours and has not been waited for, so its id is its own.
        let sent = unsafe { libc::kill(i32::try_from(pid).unwrap(), signal) };
        assert_eq!(sent, 0);
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it still runs")
    }

    /// Ends it as a power cut would: at once, whatever it does.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to stop, and waits until it has.
    pub async fn stop(self) -> Ended {
        self.signal(libc::SIGTERM);
        self.end().await
    }

    /// Whether it has ended, and how.
    pub fn try_end(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end.
    pub async fn end(mut self) -> Ended {
        let ended = tokio::time::timeout(Duration::from_secs(120), self.child.wait()).await;
        let Ok(status) = ended else {
            panic!("cairn did not end:\n{}", self.said());
        };
        self.drained.await.unwrap();
        Ended {
            code: status.unwrap().code(),
            stdout: self.stdout.await.unwrap(),
            stderr: self.said.so_far(),
        }
    }

    /// The processes it has started that run now. Linux only.
    pub fn children(&self) -> Vec<u32> {
        let parent = self.child.id().expect("it still runs");
        let processes = fs::read_dir("/proc").unwrap().flatten();
        processes
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| parent_of(*pid) == Some(parent))
            .collect()
    }
}

/// A test that fails shows what its commands said.
impl Drop for Said {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- cairn said:\n{}", self.so_far());
        }
    }
}

/// The parent of a process that runs; one that has ended and waits to be collected does not.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let (_, after) = stat.rsplit_once(") ")?;
    let mut fields = after.split(' ');
    let state = fields.next()?;
    if state == "Z" {
        None
    } else {
        fields.next()?.parse().ok()
    }
}

/// Whether a process is alive.
pub fn is_alive(pid: u32) -> bool {
    parent_of(pid).is_some()
}
