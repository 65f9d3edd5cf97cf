//! Carries the Cap'n Proto connection of one binding of one process to the processes it leads to.

use super::directory::{Directory, Link};
use super::message::{self, CapabilityKind, Failure, Kind, Message, Returned};
use super::switch::{BOOTSTRAP_OF_TARGET, BOOTSTRAP_QUESTION, Broken, Out, Slot, Switch};
use crate::WorkerId;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long a connection to a target is kept when nothing is open on it.
const LINGER: Duration = Duration::from_secs(1);
/// Messages that were read and not looked at.
const WAITING: usize = 64;

/// What happens to a tunnel.
enum Happened {
    Caller(Message),
    CallerEnded(String),
    Target(Slot, Message),
    TargetEnded(Slot, String),
}

/// A connection to a target, from our side.
struct Line {
    version: WorkerId,
    outgoing: mpsc::UnboundedSender<Bytes>,
    idle_since: Option<Instant>,
}

struct Tunnel {
    directory: Arc<Directory>,
    switch: Switch,
    lines: BTreeMap<Slot, Line>,
    last_slot: u64,
    happenings: mpsc::Sender<Happened>,
    to_caller: mpsc::UnboundedSender<Bytes>,
    tasks: JoinSet<()>,
}

/// Carries messages until the caller ends the connection.
pub(super) async fn run<S>(caller: S, directory: Arc<Directory>)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (reader, writer) = split(caller);
    let (happenings, mut happened) = mpsc::channel(WAITING);
    let (to_caller, outgoing) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(read_caller(reader, happenings.clone()));
    tasks.spawn(write(writer, outgoing));
    let mut tunnel = Tunnel {
        directory,
        switch: Switch::default(),
        lines: BTreeMap::new(),
        last_slot: 0,
        happenings,
        to_caller,
        tasks,
    };
    loop {
        let until = tunnel.next_end();
        let next = async {
            match until {
                Some(until) => tokio::time::timeout_at(until, happened.recv()).await.ok(),
                None => Some(happened.recv().await),
            }
        };
        match next.await {
            None => {}
            Some(None) => break,
            Some(Some(Happened::CallerEnded(reason))) => {
                tracing::debug!(reason, "a connection between Workers ended");
                break;
            }
            Some(Some(happened)) => {
                if let Err(error) = tunnel.take(happened).await {
                    tracing::warn!(%error, "a connection between Workers was broken off");
                    break;
                }
            }
        }
        tunnel.send();
        tunnel.look_after();
    }
}

impl Tunnel {
    /// An error ends the connection of the caller.
    async fn take(&mut self, happened: Happened) -> Result<(), Broken> {
        match happened {
            Happened::Caller(message) => match message.kind()? {
                Some(kind) if self.switch.is_start(&kind) => {
                    let slot = self.slot().await;
                    self.switch.start(slot, kind, message)?;
                }
                Some(kind) => self.switch.take_from_caller(kind, message)?,
                None => return Err(Broken::Unexpected),
            },
            Happened::CallerEnded(_) => {}
            Happened::Target(slot, message) => {
                let kind = message.kind().map_err(Broken::from);
                let taken = kind.and_then(|kind| match kind {
                    Some(kind) => self.switch.take_from_target(slot, kind, message),
                    None => Err(Broken::Unexpected),
                });
                if let Err(error) = taken {
                    self.end(slot, &error.to_string());
                }
            }
            Happened::TargetEnded(slot, reason) => self.end(slot, &reason),
        }
        Ok(())
    }

    fn end(&mut self, slot: Slot, reason: &str) {
        // A line that was closed on purpose is not there any more.
        if self.lines.remove(&slot).is_some() {
            self.switch
                .lost(slot, Failure::Disconnected, &format!("jsg.Error: {reason}"));
        }
    }

    /// The line to what is deployed now. When there is nothing it leads nowhere, and says why.
    async fn slot(&mut self) -> Slot {
        let version = match self.directory.deployed().await {
            Ok(version) => version,
            Err(reason) => {
                let slot = self.new_slot();
                self.switch.refuse(slot, &format!("jsg.Error: {reason}"));
                return slot;
            }
        };
        let known = self.lines.iter_mut().find(|(_, line)| line.version == version);
        if let Some((slot, line)) = known
            && !line.outgoing.is_closed()
        {
            line.idle_since = None;
            return *slot;
        }
        let slot = self.new_slot();
        let (outgoing, messages) = mpsc::unbounded_channel();
        // An error means that the tunnel is over.
        let _ = outgoing.send(message::bootstrap(BOOTSTRAP_QUESTION));
        let (directory, happenings) = (Arc::clone(&self.directory), self.happenings.clone());
        let target = version.clone();
        self.tasks.spawn(async move {
            let reason = match directory.link(&target).await {
                Ok(link) => carry(link, messages, (slot, &happenings)).await,
                Err(reason) => reason,
            };
            // An error means that the tunnel is over.
            let _ = happenings.send(Happened::TargetEnded(slot, reason)).await;
        });
        let line = Line {
            version,
            outgoing,
            idle_since: None,
        };
        self.lines.insert(slot, line);
        slot
    }

    fn new_slot(&mut self) -> Slot {
        self.last_slot += 1;
        Slot(self.last_slot)
    }

    /// Sends what the switch has for the others. Who does not take it any more is about to be known to have ended.
    fn send(&mut self) {
        for out in self.switch.take_out() {
            match out {
                Out::Caller(bytes) => drop(self.to_caller.send(bytes)),
                Out::Target(slot, bytes) => {
                    if let Some(line) = self.lines.get(&slot) {
                        let _ = line.outgoing.send(bytes);
                    }
                }
            }
        }
        // Tasks that have ended are forgotten.
        while self.tasks.try_join_next().is_some() {}
    }

    /// Closes lines that have been idle for long enough: a process with a line does not idle.
    fn look_after(&mut self) {
        let now = Instant::now();
        let switch = &mut self.switch;
        self.lines.retain(|slot, line| {
            if !switch.is_idle(*slot) {
                line.idle_since = None;
                return true;
            }
            let since = *line.idle_since.get_or_insert(now);
            let stays = now < since + LINGER;
            if !stays {
                switch.close(*slot);
            }
            stays
        });
    }

    fn next_end(&self) -> Option<Instant> {
        let idle = self.lines.values().filter_map(|line| line.idle_since);
        idle.min().map(|since| since + LINGER)
    }
}

async fn read_caller<S: AsyncRead>(mut reader: ReadHalf<S>, happenings: mpsc::Sender<Happened>) {
    loop {
        let happened = match Message::read(&mut reader).await {
            Ok(Some(message)) => Happened::Caller(message),
            Ok(None) => Happened::CallerEnded("it was closed".into()),
            Err(error) => Happened::CallerEnded(error.to_string()),
        };
        let is_over = matches!(happened, Happened::CallerEnded(_));
        if happenings.send(happened).await.is_err() || is_over {
            return;
        }
    }
}

async fn write<S: AsyncWrite>(mut writer: WriteHalf<S>, mut outgoing: mpsc::UnboundedReceiver<Bytes>) {
    while let Some(bytes) = outgoing.recv().await {
        // The reader of the same connection tells that it is over.
        if writer.write_all(&bytes).await.is_err() {
            return;
        }
    }
    let _ = writer.shutdown().await;
}

/// Reads the answer to the first question. That the first export has the first number is relied upon.
async fn expect_bootstrap(reader: &mut (impl AsyncRead + Unpin)) -> Result<(), String> {
    let message = Message::read(reader).await.map_err(|error| error.to_string())?;
    let message = message.ok_or("the process of the Worker ended")?;
    match message.kind() {
        Ok(Some(Kind::Return {
            answer,
            returned: Returned::Results(results),
            ..
        })) if answer.value == BOOTSTRAP_QUESTION => match results.first().map(|result| result.kind) {
            Some(CapabilityKind::Sender(id)) if id.value == BOOTSTRAP_OF_TARGET => Ok(()),
            _ => Err("the Worker's process has an unknown way of answering".into()),
        },
        _ => Err("the Worker's process did not answer as it should".into()),
    }
}

/// Carries messages to and from a target until either side ends it; says why. The target's process is kept from idling meanwhile.
async fn carry(
    link: Link,
    messages: mpsc::UnboundedReceiver<Bytes>,
    (slot, happenings): (Slot, &mpsc::Sender<Happened>),
) -> String {
    let Link { stream, guard } = link;
    let (mut reader, writer) = split(stream);
    let read = async {
        if let Err(reason) = expect_bootstrap(&mut reader).await {
            return reason;
        }
        loop {
            match Message::read(&mut reader).await {
                Ok(Some(message)) => {
                    if happenings.send(Happened::Target(slot, message)).await.is_err() {
                        return "the connection was closed".to_owned();
                    }
                }
                Ok(None) => return "the process of the Worker ended while the call was under way".to_owned(),
                Err(error) => return format!("the connection to the Worker broke: {error}"),
            }
        }
    };
    let reason = tokio::select! {
        reason = read => reason,
        () = write(writer, messages) => "the connection was closed".to_owned(),
    };
    drop(guard);
    reason
}
