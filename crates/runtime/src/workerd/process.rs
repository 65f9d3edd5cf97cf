//! One workerd process: spawned so that it cannot outlive cairn, its output logged, its sockets in a folder of its own.

use super::config::{CONFIG_FILE, HOST_SOCKET, PUBLIC_SOCKET, SCHEDULED_SOCKET, door_name};
use super::run_dir::PREFIX;
use crate::WorkerError;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fs::Permissions;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Lines of output kept for error messages.
const KEPT_LINES: usize = 40;
/// Bytes after which a line of output is broken.
const LONGEST_LINE: usize = 16 << 10;
/// Time for the output of a process that has ended to be read.
const OUTPUT_GRACE: Duration = Duration::from_secs(2);

/// Spawns processes from one thread that lives as long as it does.
///
/// Linux kills a child with `PR_SET_PDEATHSIG` when the *thread* that forked it ends. A worker thread of the async
/// runtime may end at any time; this one ends with cairn, however cairn ends.
#[derive(Debug)]
pub(super) struct Spawner {
    requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
struct Request {
    command: Command,
    reply: oneshot::Sender<io::Result<Child>>,
}

impl Spawner {
    /// Starts the thread; children belong to the async runtime `handle`.
    pub(super) fn new(handle: Handle) -> io::Result<Self> {
        let (requests, incoming) = mpsc::channel::<Request>();
        std::thread::Builder::new()
            .name("cairn-spawner".into())
            .spawn(move || {
                let _guard = handle.enter();
                for mut request in incoming {
                    let child = request.command.spawn();
                    // The caller may have given up; the child is killed when it is dropped.
                    drop(request.reply.send(child));
                }
            })?;
        Ok(Self { requests })
    }

    async fn spawn(&self, command: Command) -> io::Result<Child> {
        let (reply, child) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts processes has ended");
        self.requests
            .send(Request { command, reply })
            .map_err(|_| gone())?;
        child.await.map_err(|_| gone())?
    }
}

/// The private folder of a process.
#[derive(Debug)]
pub(super) struct Home {
    folder: TempDir,
    /// Named exports that have sockets.
    entrypoints: Vec<String>,
}

impl Home {
    /// Makes a folder that only this user can enter.
    pub(super) fn new(run_dir: &Path, entrypoints: Vec<String>) -> io::Result<Self> {
        let builder = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(run_dir);
        Ok(Self {
            folder: builder?,
            entrypoints,
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn host_socket(&self) -> PathBuf {
        self.path().join("host")
    }

    pub(super) fn public_socket(&self) -> PathBuf {
        self.path().join("public")
    }

    pub(super) fn scheduled_socket(&self) -> PathBuf {
        self.path().join("scheduled")
    }

    pub(super) fn binding_socket(&self) -> PathBuf {
        self.path().join("cairn")
    }

    pub(super) fn entrypoints(&self) -> &[String] {
        &self.entrypoints
    }

    /// The socket of an export, for other Workers; none where there is no such export.
    pub(super) fn door_socket(&self, entrypoint: Option<&str>) -> Option<PathBuf> {
        let number = match entrypoint {
            None | Some("default") => 0,
            Some(name) => 1 + self.entrypoints.iter().position(|known| known == name)?,
        };
        Some(self.path().join(door_name(number)))
    }

    /// The sockets of a process: their names in the configuration, and where they are.
    fn sockets(&self) -> Vec<(String, PathBuf)> {
        let doors = (0..=self.entrypoints.len())
            .map(|number| (door_name(number), self.path().join(door_name(number))));
        let fixed = [
            (HOST_SOCKET.to_owned(), self.host_socket()),
            (PUBLIC_SOCKET.to_owned(), self.public_socket()),
            (SCHEDULED_SOCKET.to_owned(), self.scheduled_socket()),
        ];
        fixed.into_iter().chain(doors).collect()
    }
}

/// A process that runs, and what it says.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) home: Home,
    child: Child,
    output: Output,
}

impl Process {
    /// Starts workerd on the configuration in `home`. Its sockets accept connections at once and answer when it is ready.
    pub(super) async fn start(
        spawner: &Spawner,
        binary: &Path,
        home: Home,
        script: &Arc<str>,
    ) -> Result<Self, WorkerError> {
        let failed = |what: &str, error: io::Error| WorkerError::Process(format!("{what}: {error}"));
        let bind = |path: PathBuf| {
            UnixListener::bind(&path)
                .map_err(|error| failed(&format!("the socket {} could not be made", path.display()), error))
        };
        let sockets = home.sockets().into_iter();
        let sockets: Vec<(String, UnixListener)> = sockets
            .map(|(name, path)| Ok((name, bind(path)?)))
            .collect::<Result<_, WorkerError>>()?;
        let command = command(binary, &home, &sockets);
        let child = spawner.spawn(command).await;
        let mut child = child.map_err(|error| {
            failed(
                &format!("workerd ({}) could not be started", binary.display()),
                error,
            )
        })?;
        let output = Output::follow(&mut child, script);
        Ok(Self { home, child, output })
    }

    /// Waits for the end of the process.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Kills the process and waits for its end. Returns its last lines of output.
    pub(super) async fn kill(mut self) -> String {
        if let Err(error) = self.child.kill().await {
            tracing::error!(%error, "a workerd process could not be killed");
        }
        self.output.last_lines().await
    }

    /// Its id in the system, while it runs.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }
}

fn command(binary: &Path, home: &Home, sockets: &[(String, UnixListener)]) -> Command {
    let mut command = Command::new(binary);
    command.arg("serve").current_dir(home.path());
    for (name, listener) in sockets {
        command.arg(format!("--socket-fd={name}={}", listener.as_raw_fd()));
    }
    command.arg(CONFIG_FILE);
    command.env_clear();
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.kill_on_drop(true);
    // A process group of its own: an interrupt from the terminal is for cairn, which then stops its processes.
    command.process_group(0);
    let parent = std::process::id();
    let inherited: Vec<RawFd> = sockets.iter().map(|(_, listener)| listener.as_raw_fd()).collect();
    // SAFETY: between fork and exec only system calls are made that are safe there; nothing is allocated.
    unsafe {
        command.pre_exec(move || prepare_child(parent, &inherited));
    }
    command
}

/// Runs in the child before exec: it must die with cairn, and keep its listening sockets.
fn prepare_child(parent: u32, inherited: &[RawFd]) -> io::Result<()> {
    // SAFETY: plain system calls on numbers.
    unsafe {
        // Other systems have nothing like it: there a killed cairn leaves its processes behind.
        #[cfg(target_os = "linux")]
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
            return Err(io::Error::last_os_error());
        }
        // When memory runs out, it is a process that goes, not cairn. Where the file cannot be written, nothing is lost.
        #[cfg(target_os = "linux")]
        {
            let file = libc::open(
                c"/proc/self/oom_score_adj".as_ptr(),
                libc::O_WRONLY | libc::O_CLOEXEC,
            );
            if file >= 0 {
                libc::write(file, c"500".as_ptr().cast(), 3);
                libc::close(file);
            }
        }
        // Cairn may have died in between.
        if u32::try_from(libc::getppid()) != Ok(parent) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        for fd in inherited {
            if libc::fcntl(*fd, libc::F_SETFD, 0) != 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}

/// The output of a process: logged line by line, the last lines kept.
#[derive(Debug)]
struct Output {
    lines: Arc<Mutex<VecDeque<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Output {
    fn follow(child: &mut Child, script: &Arc<str>) -> Self {
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let (lines, script) = (Arc::clone(&lines), Arc::clone(script));
            readers.push(tokio::spawn(each_line(stdout, move |line| {
                tracing::info!(target: "cairn::user", script = &*script, "{line}");
                keep(&lines, line);
            })));
        }
        if let Some(stderr) = child.stderr.take() {
            let (lines, script) = (Arc::clone(&lines), Arc::clone(script));
            readers.push(tokio::spawn(each_line(stderr, move |line| {
                complain(&script, &line);
                keep(&lines, line);
            })));
        }
        Self { lines, readers }
    }

    /// The last lines of a process that has ended.
    async fn last_lines(self) -> String {
        let all = futures_util::future::join_all(self.readers);
        // Late output is missing from a message; that is all.
        let _ = tokio::time::timeout(OUTPUT_GRACE, all).await;
        let lines = self.lines.lock();
        lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// Logs a line of standard error. User code sees no more of a refused address than "internal error", so the log must be clear.
fn complain(script: &str, line: &str) {
    let refused = line
        .split_once("connecting to ")
        .and_then(|(_, rest)| rest.split_once(" is not allowed"));
    match refused {
        Some((address, _)) => tracing::warn!(
            target: "cairn::user",
            script,
            "a request to {address} was refused: Workers may reach public addresses only (cairn serve --egress any lets them reach all)"
        ),
        // Addresses in workerd itself: of no use to anybody here.
        None if line.starts_with("stack: ") => tracing::debug!(target: "cairn::user", script, "{line}"),
        None => tracing::warn!(target: "cairn::user", script, "{line}"),
    }
}

fn keep(lines: &Mutex<VecDeque<String>>, line: String) {
    let mut lines = lines.lock();
    if lines.len() == KEPT_LINES {
        lines.pop_front();
    }
    lines.push_back(line);
}

async fn each_line<R: AsyncRead + Unpin>(reader: R, mut take: impl FnMut(String)) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        let (used, ended) = match reader.fill_buf().await {
            Ok([]) | Err(_) => break,
            Ok(bytes) => match bytes.iter().position(|byte| *byte == b'\n') {
                Some(at) => {
                    line.extend_from_slice(&bytes[..at]);
                    (at + 1, true)
                }
                None => {
                    line.extend_from_slice(bytes);
                    (bytes.len(), line.len() >= LONGEST_LINE)
                }
            },
        };
        reader.consume(used);
        if ended {
            take(String::from_utf8_lossy(&line).into_owned());
            line.clear();
        }
    }
    if !line.is_empty() {
        take(String::from_utf8_lossy(&line).into_owned());
    }
}
