//! The one thread that writes: everything that waits goes into one transaction, with one flush to disk (group commit).

use super::fold::Folding;
use super::transaction::{Numbers, Transaction};
use super::trouble::{self, Trouble};
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
    lost: watch::Receiver<Option<StoreError>>,
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
    pub(super) fn start(mut connection: Connection) -> Result<(Self, JoinHandle<()>), StoreError> {
        let numbers = Numbers::load(&connection)?;
        let folding = Folding::take_over(&mut connection)?;
        let (jobs, queue) = channel();
        let (tidied, tidy) = watch::channel(Tidy::No);
        let (losing, lost) = watch::channel(None);
        let thread = std::thread::Builder::new()
            .name("cairn-write".to_owned())
            .spawn(move || {
                let told = write(&connection, (numbers, folding), (&queue, &tidied));
                if let Err(error) = told {
                    losing.send_replace(Some(error.clone()));
                    refuse(&queue, &error);
                }
            })
            .map_err(|error| StoreError::Unavailable(format!("no thread for writing: {error}")))?;
        Ok((Self { jobs, tidy, lost }, thread))
    }

    /// Waits until nothing can be written any more before the next start, and says why. Does not end otherwise, and does not keep the thread.
    pub(super) fn lost(&self) -> impl Future<Output = StoreError> + Send + 'static + use<> {
        let mut lost = self.lost.clone();
        async move {
            let told = lost.wait_for(Option::is_some).await.map(|lost| lost.clone());
            match told {
                Ok(Some(error)) => error,
                // The store is closed, which is no loss.
                Ok(None) | Err(_) => std::future::pending().await,
            }
        }
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

/// Writes until the store closes, or until nothing can be written any more.
fn write(
    connection: &Connection,
    (mut numbers, mut folding): (Numbers, Folding),
    (queue, tidied): (&Receiver<Box<dyn Job>>, &watch::Sender<Tidy>),
) -> Result<(), StoreError> {
    let mut trouble = Trouble::none("writing to the database");
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
        let outcome = run(connection, (&mut numbers, &mut trouble), &mut jobs, sweeping);
        // A sweep that fails is tried again with the next request, not in a loop of its own.
        (may_sweep, may_vacuum) = (outcome.is_ok(), true);
        for job in jobs.drain(..) {
            job.answer(outcome.as_ref().err());
        }
        folding.fold(connection)?;
    }
    // Leaves a file without a log behind. If that fails, the next start reads the log.
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        tracing::warn!(%error, "the write-ahead log could not be folded into the database at the end; the next start does it");
    }
    Ok(())
}

/// Answers everybody with why nothing can be written any more, until the store closes.
fn refuse(queue: &Receiver<Box<dyn Job>>, error: &StoreError) {
    tracing::error!(%error, "nothing is written any more");
    while let Ok(job) = queue.recv() {
        job.answer(Some(error));
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
    (numbers, trouble): (&mut Numbers, &mut Trouble),
    jobs: &mut [Box<dyn Job>],
    sweeping: bool,
) -> Result<(), StoreError> {
    let Err(failed) = attempt(connection, numbers, jobs, sweeping) else {
        trouble.over();
        return Ok(());
    };
    let words = match &failed.error {
        StoreError::Unavailable(words) => trouble::with_cause(words, connection),
        other => other.to_string(),
    };
    trouble.again(&words);
    numbers.distrust();
    if !connection.is_autocommit() {
        // Should this fail as well, so does the next BEGIN, and it is tried again.
        let _ = connection.execute_batch("ROLLBACK");
    }
    match failed.kept {
        Kept::Nothing => Err(StoreError::Unavailable(words)),
        Kept::NotKnown if is_overwritten(connection) => Err(StoreError::Unavailable(words)),
        Kept::NotKnown => Err(StoreError::Unknown(words)),
    }
}

/// A transaction that failed.
struct Failed {
    error: StoreError,
    kept: Kept,
}

/// What there may be of a transaction that failed.
enum Kept {
    Nothing,
    /// The log has it and the disk did not confirm it: if the process ends before anything else is written there, the next start takes it for done.
    NotKnown,
}

impl<E: Into<StoreError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            kept: Kept::Nothing,
        }
    }
}

/// Writes a transaction that changes nothing in the place of one that may have been kept: when that is confirmed, the other is gone.
fn is_overwritten(connection: &Connection) -> bool {
    let sql = "UPDATE counter SET value = value WHERE name = 'node'";
    connection.is_autocommit() && connection.execute(sql, []).is_ok()
}

fn attempt(
    connection: &Connection,
    numbers: &mut Numbers,
    jobs: &mut [Box<dyn Job>],
    sweeping: bool,
) -> Result<(), Failed> {
    numbers.refresh(connection)?;
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let mut transaction = Transaction::new(connection, numbers);
    for job in jobs {
        let changes = connection.total_changes();
        if let Err(error) = job.apply(&mut transaction)
            && (connection.is_autocommit() || connection.total_changes() != changes)
        {
            return Err(error.into());
        }
    }
    if sweeping {
        remove::sweep(&mut transaction, SWEEP)?;
        stream::sweep(&mut transaction)?;
    }
    transaction.finish()?;
    let committed = connection.prepare_cached("COMMIT")?.execute([]);
    committed.map_err(|error| Failed {
        kept: if trouble::may_be_kept(&error) {
            Kept::NotKnown
        } else {
            Kept::Nothing
        },
        error: error.into(),
    })?;
    Ok(())
}
