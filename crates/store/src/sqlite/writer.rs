//! The one thread that writes: everything that waits goes into one transaction, with one flush to disk (group commit).

use super::transaction::{Numbers, Transaction};
use super::{remove, stream, vacuum};
use crate::StoreError;
use rusqlite::Connection;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

/// Requests in one transaction. More of them would save no more flushes, only keep the first one waiting.
const BATCH: usize = 1024;
/// Instances of removed workflows that one transaction sweeps along.
const SWEEP: usize = 50;
/// Without requests for so long, the writer has time to tidy up.
const QUIET: Duration = Duration::from_millis(20);

/// The way to the writer. Cheap to clone.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: Sender<Box<dyn Job>>,
    tidy: watch::Receiver<Tidy>,
}

/// Whether the writer has tidied up after its last request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tidy {
    No,
    Yes,
}

/// A request that waits for its transaction.
trait Job: Send {
    /// Does it. An error before anything was written is its own affair; one after fails the transaction.
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> Result<(), StoreError>;

    /// Tells the caller, after the commit or with what prevented it.
    fn answer(self: Box<Self>, prevented: Option<&StoreError>);
}

struct Request<W, T, A> {
    work: Option<W>,
    outcome: Option<Result<T, StoreError>>,
    answer: A,
}

impl<W, T, A> Job for Request<W, T, A>
where
    W: FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send,
    T: Send,
    A: FnOnce(Result<T, StoreError>) + Send,
{
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> Result<(), StoreError> {
        let Some(work) = self.work.take() else {
            return Ok(());
        };
        match work(transaction) {
            Ok(done) => {
                self.outcome = Some(Ok(done));
                Ok(())
            }
            Err(error) => {
                self.outcome = Some(Err(error.clone()));
                Err(error)
            }
        }
    }

    fn answer(self: Box<Self>, prevented: Option<&StoreError>) {
        let Self { outcome, answer, .. } = *self;
        match (outcome, prevented) {
            (Some(Err(error)), _) => answer(Err(error)),
            (_, Some(error)) => answer(Err(error.clone())),
            (Some(Ok(done)), None) => answer(Ok(done)),
            (None, None) => answer(Err(StoreError::Unavailable(
                "the request was not tried".to_owned(),
            ))),
        }
    }
}

impl Writer {
    /// Starts the thread; it ends when the last clone is dropped and all requests are answered.
    pub(super) fn start(connection: Connection) -> Result<(Self, JoinHandle<()>), StoreError> {
        let numbers = Numbers::load(&connection)?;
        let (jobs, queue) = channel();
        let (tidied, tidy) = watch::channel(Tidy::No);
        let thread = std::thread::Builder::new()
            .name("cairn-write".to_owned())
            .spawn(move || write(&connection, numbers, (&queue, &tidied)))
            .map_err(|error| StoreError::Unavailable(format!("no thread for writing: {error}")))?;
        Ok((Self { jobs, tidy }, thread))
    }

    /// Waits until nothing is left to tidy up.
    pub(super) async fn tidied(mut self) {
        // An error means that the store is closed, and tidies up no more.
        let _ = self.tidy.wait_for(|tidy| *tidy == Tidy::Yes).await;
    }

    /// Has `work` done in the next transaction, then calls `answer`. Never waits.
    pub(super) fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
        answer: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        // Without a receiver the store is closing; then `answer` is dropped, which its caller sees.
        let _ = self.jobs.send(Box::new(Request {
            work: Some(work),
            outcome: None,
            answer,
        }));
    }
}

fn write(
    connection: &Connection,
    mut numbers: Numbers,
    (queue, tidied): (&Receiver<Box<dyn Job>>, &watch::Sender<Tidy>),
) {
    let (mut may_sweep, mut may_vacuum, mut is_closing) = (true, true, false);
    let mut jobs: Vec<Box<dyn Job>> = Vec::new();
    while !is_closing {
        let sweeping = may_sweep && numbers.has_waste();
        if !sweeping {
            match next(queue, may_vacuum) {
                Next::Job(job) => jobs.push(job),
                Next::Quiet => {
                    may_vacuum = vacuum::step(connection).unwrap_or_else(|error| {
                        tracing::warn!(%error, "room in the database could not be given back to the disk; trying again later");
                        false
                    });
                    if !may_vacuum {
                        tidied.send_replace(Tidy::Yes);
                    }
                    continue;
                }
                Next::End => break,
            }
        }
        while jobs.len() < BATCH {
            match queue.try_recv() {
                Ok(job) => jobs.push(job),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    is_closing = true;
                    break;
                }
            }
        }
        if !may_vacuum {
            tidied.send_replace(Tidy::No);
        }
        let outcome = run(connection, &mut numbers, &mut jobs, sweeping);
        // A sweep that fails is tried again with the next request, not in a loop of its own.
        (may_sweep, may_vacuum) = (outcome.is_ok(), true);
        for job in jobs.drain(..) {
            job.answer(outcome.as_ref().err());
        }
    }
    // Leaves a file without a log behind. If that fails, the next start reads the log.
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        tracing::warn!(%error, "the write-ahead log could not be folded into the database at the end; the next start does it");
    }
}

/// What comes next.
enum Next {
    Job(Box<dyn Job>),
    /// Nothing for a while.
    Quiet,
    End,
}

/// Waits for a request, or for a quiet moment that is wanted.
fn next(queue: &Receiver<Box<dyn Job>>, wants_quiet: bool) -> Next {
    if !wants_quiet {
        return queue.recv().map_or(Next::End, Next::Job);
    }
    match queue.recv_timeout(QUIET) {
        Ok(job) => Next::Job(job),
        Err(RecvTimeoutError::Timeout) => Next::Quiet,
        Err(RecvTimeoutError::Disconnected) => Next::End,
    }
}

/// One transaction, wholly or not at all.
fn run(
    connection: &Connection,
    numbers: &mut Numbers,
    jobs: &mut [Box<dyn Job>],
    sweeping: bool,
) -> Result<(), StoreError> {
    let outcome = attempt(connection, numbers, jobs, sweeping);
    if let Err(error) = &outcome {
        tracing::error!(%error, requests = jobs.len(), "a transaction failed; nothing of it was kept");
        numbers.distrust();
        if !connection.is_autocommit() {
            // Should this fail as well, so does the next BEGIN, and it is tried again.
            let _ = connection.execute_batch("ROLLBACK");
        }
    }
    outcome.map_err(|error| StoreError::Unavailable(error.to_string()))
}

fn attempt(
    connection: &Connection,
    numbers: &mut Numbers,
    jobs: &mut [Box<dyn Job>],
    sweeping: bool,
) -> Result<(), StoreError> {
    numbers.refresh(connection)?;
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let mut transaction = Transaction::new(connection, numbers);
    for job in jobs {
        let changes = connection.total_changes();
        if let Err(error) = job.apply(&mut transaction)
            && (connection.is_autocommit() || connection.total_changes() != changes)
        {
            return Err(error);
        }
    }
    if sweeping {
        remove::sweep(&mut transaction, SWEEP)?;
        stream::sweep(&mut transaction)?;
    }
    transaction.finish()?;
    connection.prepare_cached("COMMIT")?.execute([])?;
    Ok(())
}
