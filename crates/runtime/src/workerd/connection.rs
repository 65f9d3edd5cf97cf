//! The WebSocket to one process: frames out in batches, frames in checked against the runs that were started on it.

use super::rooms::Routes;
use super::tracer::Tracer;
use crate::frame::{FrameWriter, Message as In, ProtocolError, decode, ping};
use crate::{Checked, Command, Report, ReportKind, Reports, RunId};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Error as SocketError, Message, Utf8Bytes};

type Socket = WebSocketStream<UnixStream>;

/// Bytes of the largest frame that is read: the shim closes a frame at 4 Mi characters and sends no result of more than 32 Mi,
/// with up to three bytes each.
const LARGEST_FRAME: usize = 128 << 20;

/// Bytes read at a time: the frame of a busy turn. The buffer is filled with zeros before each read, so a larger one costs more than it saves.
const READ_BUFFER: usize = 16 << 10;

/// Pieces of streams that a process may have sent without having been told that they are kept. Bounds what they cost in memory, on
/// both sides.
const WINDOW: u32 = 16;
/// Pieces of streams that a process may have asked for and not received.
const PULLS: u32 = 16;

/// What is to be written.
#[derive(Debug)]
pub(super) enum Out {
    Commands(Vec<Command>),
    /// That there is room for pieces of streams again.
    Credit,
    Ping(u64),
}

/// The runs on a connection.
#[derive(Debug)]
pub(super) struct Runs(Mutex<RunTable>);

#[derive(Debug)]
struct RunTable {
    live: HashMap<RunId, LiveRun>,
    /// Runs that were told to stop, with the number of the next ping: what they reported before they knew is void.
    stopped: HashMap<RunId, u64>,
    /// Pieces of streams that may be sent again, and the process has not been told.
    credit: u32,
    /// Pieces of streams that are under way.
    chunks: u32,
    /// Pieces of streams that are asked for.
    pulls: u32,
    next_ping: u64,
    heard_at: Instant,
}

#[derive(Debug)]
struct LiveRun {
    name: RunName,
    /// Its part in [`RunTable::chunks`].
    chunks: u32,
    /// Its part in [`RunTable::pulls`].
    pulls: u32,
}

/// What a run is called in the log.
#[derive(Debug)]
pub(super) struct RunName {
    pub(super) class_name: String,
    pub(super) workflow: String,
    pub(super) instance: String,
}

impl Runs {
    fn new() -> Self {
        let (live, stopped) = (HashMap::new(), HashMap::new());
        Self(Mutex::new(RunTable {
            live,
            stopped,
            credit: 0,
            chunks: 0,
            pulls: 0,
            next_ping: 1,
            heard_at: Instant::now(),
        }))
    }

    /// Notes what commands do to runs, before they are sent.
    pub(super) fn expect(&self, commands: &[Command]) {
        let mut table = self.0.lock();
        for command in commands {
            match command {
                Command::Start(start) => {
                    let name = RunName {
                        class_name: start.class_name.clone(),
                        workflow: start.workflow_name.clone(),
                        instance: start.instance_id.clone(),
                    };
                    let run = LiveRun {
                        name,
                        chunks: 0,
                        pulls: 0,
                    };
                    table.live.insert(start.run, run);
                }
                Command::Stop { run } => {
                    if table.remove(*run) {
                        let next_ping = table.next_ping;
                        table.stopped.insert(*run, next_ping);
                    }
                }
                Command::Attempt { .. }
                | Command::Rollback(_)
                | Command::Settle { .. }
                | Command::Hold { .. }
                | Command::Unhold { .. }
                | Command::Halt { .. } => {}
                Command::Kept { run, chunks } => table.kept(*run, *chunks),
                Command::Piece { run, .. } => table.answered(*run),
            }
        }
    }

    /// How many more pieces of streams the process may send than it was told so far; it is told now.
    fn take_credit(&self) -> u32 {
        std::mem::take(&mut self.0.lock().credit)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().live.is_empty()
    }

    /// All runs that have not ended; they are over.
    pub(super) fn take_all(&self) -> Vec<RunId> {
        self.0.lock().live.drain().map(|(run, _)| run).collect()
    }

    /// When the process was last heard.
    pub(super) fn heard_at(&self) -> Instant {
        self.0.lock().heard_at
    }

    /// The number of a new ping.
    pub(super) fn next_ping(&self) -> u64 {
        let mut table = self.0.lock();
        table.next_ping += 1;
        table.next_ping - 1
    }
}

/// A connection whose process has said hello.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) runs: Arc<Runs>,
    pub(super) out: mpsc::UnboundedSender<Out>,
    /// Ends with the connection and says why.
    pub(super) reader: JoinHandle<String>,
    writer: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
        self.writer.abort();
    }
}

/// What a connection serves.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) reports: Reports,
    pub(super) routes: Arc<Routes>,
    pub(super) tracer: Tracer,
}

/// Connects and waits for the hello.
///
/// # Errors
/// Text that says why there is no connection.
pub(super) async fn connect(path: &Path, context: Context) -> Result<(Connection, Checked), String> {
    let stream = UnixStream::connect(path)
        .await
        .map_err(|error| error.to_string())?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(LARGEST_FRAME))
        .max_frame_size(Some(LARGEST_FRAME));
    let request = tokio_tungstenite::client_async_with_config("ws://cairn/", stream, Some(config));
    let (socket, _) = request.await.map_err(|error| error.to_string())?;
    let (sink, mut stream) = socket.split();
    let hello = match stream.next().await {
        Some(Ok(Message::Text(text))) => read_hello(&text)?,
        Some(Ok(_)) => return Err("the first frame is no text".into()),
        Some(Err(error)) => return Err(error.to_string()),
        None => return Err("the connection was closed".into()),
    };
    let runs = Arc::new(Runs::new());
    let (out, queue) = mpsc::unbounded_channel();
    let writer = tokio::spawn(write(sink, queue, Arc::clone(&runs), context.clone()));
    let reader = tokio::spawn(read(stream, (Arc::clone(&runs), out.downgrade()), context));
    Ok((
        Connection {
            runs,
            out,
            reader,
            writer,
        },
        hello,
    ))
}

fn read_hello(frame: &str) -> Result<Checked, String> {
    let mut hello = None;
    let read = decode(frame, |message| match message {
        In::Hello(first) if hello.is_none() => {
            hello = Some(first);
            Ok(())
        }
        _ => Err(ProtocolError("expected a hello".into())),
    });
    read.map_err(|error| error.to_string())?;
    let hello = hello.ok_or("the first frame is empty")?;
    Ok(Checked {
        workflow_classes: hello.workflows,
        exports: hello.exports,
        startup_millis: 0,
    })
}

async fn read(
    mut stream: SplitStream<Socket>,
    (runs, out): (Arc<Runs>, mpsc::WeakUnboundedSender<Out>),
    context: Context,
) -> String {
    loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => {
                let (reports, result) = check(&text, &runs, &context.tracer);
                context.routes.forget(
                    reports
                        .iter()
                        .filter(|report| is_last(report))
                        .map(|report| report.run),
                );
                if runs.0.lock().credit > 0
                    && let Some(out) = out.upgrade()
                {
                    // When the writer has ended this ends too.
                    let _ = out.send(Out::Credit);
                }
                // Nobody listens any more when cairn shuts down.
                if !reports.is_empty() && context.reports.send(reports).is_err() {
                    return "cairn is shutting down".into();
                }
                if let Err(error) = result {
                    return format!("it broke the protocol: {error}");
                }
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Binary(_) | Message::Frame(_))) => {
                return "it broke the protocol: a frame is text".into();
            }
            Some(Ok(Message::Close(frame))) => {
                let reason = frame.map(|frame| frame.reason.to_string()).unwrap_or_default();
                return format!("it closed the connection: {reason}");
            }
            Some(Err(error)) => return format!("the connection broke: {error}"),
            None => return "the connection ended".into(),
        }
    }
}

fn is_last(report: &Report) -> bool {
    matches!(report.kind, ReportKind::Returned { .. } | ReportKind::Lost { .. })
}

/// Reads a frame: its messages that may be believed, and whether it is sound.
fn check(frame: &str, runs: &Runs, tracer: &Tracer) -> (Vec<Report>, Result<(), ProtocolError>) {
    let mut table = runs.0.lock();
    table.heard_at = Instant::now();
    let mut reports = Vec::new();
    let mut turn = tracer.turn();
    let result = decode(frame, |message| match message {
        In::Report { run, kind } => {
            let report = Report { run, kind };
            let is_known = table.knows(run)?;
            table.count(&report)?;
            if !is_known {
                return Ok(());
            }
            if let ReportKind::Raised(raised) = &report.kind {
                turn.raised(run, table.name(run), &raised.error);
            }
            if is_last(&report) {
                table.remove(run);
            }
            reports.push(report);
            Ok(())
        }
        In::Log(log) => {
            if table.knows(log.run)? {
                turn.log(table.name(log.run), log);
            }
            Ok(())
        }
        In::Pong(number) => {
            table.stopped.retain(|_, ping| *ping > number);
            Ok(())
        }
        In::Hello(_) => Err(ProtocolError("a second hello".into())),
    });
    (reports, result)
}

impl RunTable {
    fn name(&self, run: RunId) -> Option<&RunName> {
        self.live.get(&run).map(|run| &run.name)
    }

    /// Ends a run; whether there was one. What it had under way of streams is void.
    fn remove(&mut self, run: RunId) -> bool {
        let Some(run) = self.live.remove(&run) else {
            return false;
        };
        self.chunks = self.chunks.saturating_sub(run.chunks);
        self.credit += run.chunks;
        self.pulls = self.pulls.saturating_sub(run.pulls);
        true
    }

    /// Pieces of streams of a run are dealt with.
    fn kept(&mut self, run: RunId, chunks: u32) {
        if let Some(run) = self.live.get_mut(&run) {
            let kept = chunks.min(run.chunks);
            run.chunks -= kept;
            self.chunks = self.chunks.saturating_sub(kept);
            self.credit += kept;
        }
    }

    /// A run is sent a piece of a stream that it has asked for.
    fn answered(&mut self, run: RunId) {
        if let Some(run) = self.live.get_mut(&run)
            && run.pulls > 0
        {
            run.pulls -= 1;
            self.pulls = self.pulls.saturating_sub(1);
        }
    }

    /// Holds a process to what it may have under way of streams.
    fn count(&mut self, report: &Report) -> Result<(), ProtocolError> {
        let run = self.live.get_mut(&report.run);
        match (&report.kind, run) {
            (ReportKind::Chunk { .. }, None) => self.credit += 1,
            (ReportKind::Chunk { .. }, Some(_)) if self.chunks >= WINDOW => {
                return Err(ProtocolError(format!(
                    "more than {WINDOW} pieces of streams are under way"
                )));
            }
            (ReportKind::Chunk { .. }, Some(run)) => {
                run.chunks += 1;
                self.chunks += 1;
            }
            (ReportKind::Pull { .. }, Some(_)) if self.pulls >= PULLS => {
                return Err(ProtocolError(format!(
                    "more than {PULLS} pieces of streams are asked for"
                )));
            }
            (ReportKind::Pull { .. }, Some(run)) => {
                run.pulls += 1;
                self.pulls += 1;
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether a run is live; false when it was stopped a moment ago.
    fn knows(&self, run: RunId) -> Result<bool, ProtocolError> {
        if self.live.contains_key(&run) {
            return Ok(true);
        }
        if self.stopped.contains_key(&run) {
            return Ok(false);
        }
        Err(ProtocolError(format!("run {} is not on this connection", run.0)))
    }
}

async fn write(
    mut sink: SplitSink<Socket, Message>,
    mut queue: mpsc::UnboundedReceiver<Out>,
    runs: Arc<Runs>,
    context: Context,
) {
    let mut batch = Vec::new();
    let mut frames = FrameWriter::default();
    while queue.recv_many(&mut batch, 256).await > 0 {
        for out in batch.drain(..) {
            match out {
                Out::Commands(commands) => {
                    for command in commands {
                        if let Err(error) = frames.push(&command) {
                            lose(command.run(), error.to_string(), &runs, &context);
                            // Has no value that could be too large.
                            let _ = frames.push(&Command::Stop { run: command.run() });
                        }
                    }
                }
                Out::Credit => {}
                Out::Ping(number) => {
                    // In order after all commands before it.
                    if send(&mut sink, &mut frames).await.is_err() {
                        return;
                    }
                    if sink.send(Message::text(ping(number))).await.is_err() {
                        return;
                    }
                }
            }
        }
        let credit = runs.take_credit();
        if credit > 0 {
            frames.credit(credit);
        }
        // The reader sees the same error and says it.
        if send(&mut sink, &mut frames).await.is_err() {
            return;
        }
    }
}

async fn send(sink: &mut SplitSink<Socket, Message>, frames: &mut FrameWriter) -> Result<(), SocketError> {
    for frame in frames.take() {
        let text = Utf8Bytes::try_from(Bytes::from(frame))
            .map_err(|error| SocketError::Io(std::io::Error::other(error)))?;
        sink.send(Message::Text(text)).await?;
    }
    Ok(())
}

/// A run that cannot be told what it must know.
fn lose(run: RunId, reason: String, runs: &Runs, context: &Context) {
    runs.expect(&[Command::Stop { run }]);
    context.routes.forget([run]);
    // Nobody listens any more when cairn shuts down.
    let _ = context.reports.send(vec![Report {
        run,
        kind: ReportKind::Lost { reason },
    }]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{StartRun, Value, WorkerId};
    use cairn_core::Timestamp;

    fn start(run: u64) -> Command {
        Command::Start(Box::new(StartRun {
            purpose: cairn_core::Purpose::Progress,
            first_attempts: crate::FirstAttempts::AtOnce,
            company: crate::Company::Any,
            run: RunId(run),
            worker: WorkerId("w".into()),
            class_name: "C".into(),
            workflow_name: "f".into(),
            instance_id: "i".into(),
            created_at: Timestamp(0),
            firing: None,
            params: Value::empty_object(),
            step_limit: 1,
            history: Vec::new(),
        }))
    }

    /// A Worker that nobody follows.
    fn nobody() -> Tracer {
        let worker = crate::TracedWorker {
            account: "a".into(),
            script: "s".into(),
            version: "v".into(),
        };
        Tracer::new(worker, Arc::default())
    }

    fn feed(runs: &Runs, frame: &str) -> (usize, bool) {
        let (reports, result) = check(frame, runs, &nobody());
        (reports.len(), result.is_ok())
    }

    const DONE_1: &str = r#"["done",1,1,1,"j",1]"#;

    #[test]
    fn only_runs_of_this_connection_are_believed() {
        let runs = Runs::new();
        assert_eq!(feed(&runs, &format!("[{DONE_1}]")), (0, false));
        runs.expect(&[start(1)]);
        assert_eq!(feed(&runs, &format!("[{DONE_1},{DONE_1}]")), (2, true));
        // What came before the breach counts.
        assert_eq!(
            feed(&runs, &format!(r#"[{DONE_1},["log",2,"","info","x"]]"#)),
            (1, false)
        );
        assert_eq!(
            feed(&runs, r#"[["hello",{"exports":[],"workflows":[]}]]"#),
            (0, false)
        );
    }

    #[test]
    fn a_run_that_has_ended_is_silent() {
        let runs = Runs::new();
        runs.expect(&[start(1), start(2)]);
        assert_eq!(feed(&runs, r#"[["returned",1,"j",1]]"#), (1, true));
        assert_eq!(feed(&runs, &format!("[{DONE_1}]")), (0, false));
        assert_eq!(
            feed(
                &runs,
                r#"[["raised",2,["E","m"],0,0],["returned",2,"j",1],["rebuilt",2]]"#
            ),
            (2, false)
        );
        assert!(runs.is_empty());
    }

    /// What a run says before it hears that it was stopped is void, not a breach; after it has heard, it is one.
    #[test]
    fn a_stopped_run_may_speak_until_it_has_heard() {
        let runs = Runs::new();
        runs.expect(&[start(1)]);
        let before = runs.next_ping();
        runs.expect(&[Command::Stop { run: RunId(1) }]);
        let after = runs.next_ping();
        assert_eq!(feed(&runs, &format!("[{DONE_1}]")), (0, true));
        assert_eq!(
            feed(&runs, &format!(r#"[["pong",{before}],{DONE_1}]"#)),
            (0, true)
        );
        assert_eq!(
            feed(&runs, &format!(r#"[["pong",{after}],{DONE_1}]"#)),
            (0, false)
        );
    }

    const CHUNK: &str = r#"["chunk",1,1,1,0,"AAAA"]"#;

    #[test]
    fn a_process_may_have_a_window_of_pieces_under_way() {
        let runs = Runs::new();
        runs.expect(&[start(1), start(2)]);
        let other = CHUNK.replace("[\"chunk\",1", "[\"chunk\",2");
        for _ in 0..WINDOW - 1 {
            assert_eq!(feed(&runs, &format!("[{CHUNK}]")), (1, true));
        }
        assert_eq!(feed(&runs, &format!("[{other}]")), (1, true));
        assert_eq!(
            feed(&runs, &format!("[{CHUNK}]")),
            (0, false),
            "the window is full"
        );
        assert_eq!(runs.take_credit(), 0);
        let kept = |run, chunks| Command::Kept {
            run: RunId(run),
            chunks,
        };
        // No more is given back than was sent.
        runs.expect(&[kept(1, 2), kept(2, 5)]);
        assert_eq!(runs.take_credit(), 3);
        assert_eq!(feed(&runs, &format!("[{CHUNK},{CHUNK},{CHUNK}]")), (3, true));
        assert_eq!(feed(&runs, &format!("[{other}]")), (0, false));
        // What a run had under way when it ended is void, and so is what it sends before it knows.
        runs.expect(&[Command::Stop { run: RunId(1) }]);
        assert_eq!(runs.take_credit(), WINDOW);
        assert_eq!(feed(&runs, &format!("[{CHUNK}]")), (0, true));
        assert_eq!(runs.take_credit(), 1);
        assert_eq!(
            feed(&runs, &format!(r#"[{other},["returned",2,"j",1]]"#)),
            (2, true)
        );
        assert_eq!(runs.take_credit(), 1);
    }

    #[test]
    fn a_process_may_ask_for_a_few_pieces_at_a_time() {
        let runs = Runs::new();
        runs.expect(&[start(1), start(2)]);
        let pull = r#"[["pull",1,1,5,0]]"#;
        for _ in 0..PULLS {
            assert_eq!(feed(&runs, pull), (1, true));
        }
        assert_eq!(feed(&runs, pull), (0, false));
        let piece = |run| Command::Piece {
            run: RunId(run),
            pull: 1,
            bytes: None,
        };
        runs.expect(&[piece(1), piece(2)]);
        assert_eq!(feed(&runs, pull), (1, true));
        assert_eq!(feed(&runs, pull), (0, false));
        runs.expect(&[Command::Stop { run: RunId(1) }]);
        assert_eq!(feed(&runs, &pull.replace("1,1,5", "2,1,5")), (1, true));
    }

    #[test]
    fn all_that_has_not_ended_is_lost() {
        let runs = Runs::new();
        runs.expect(&[start(1), start(2), start(3), Command::Stop { run: RunId(3) }]);
        feed(&runs, r#"[["returned",1,"j",1]]"#);
        assert_eq!(runs.take_all(), [RunId(2)]);
        assert!(runs.is_empty());
    }
}
