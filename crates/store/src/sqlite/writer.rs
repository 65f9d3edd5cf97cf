//! Writing: everything that waits goes into one transaction, with one flush to disk (group commit), on a thread of its own. What is small and finds nobody
//! writing or waiting is written at once by whoever brings it: a step alone does not wake two threads.

use super::fold::Folding;
use super::readers::{REST, rest};
use super::transaction::{Numbers, Transaction};
use super::trouble::{self, Trouble};
use super::{remove, stream, vacuum};
use crate::StoreError;
use parking_lot::Mutex;
use rusqlite::Connection;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Requests in one transaction. More of them would save no more flushes, only keep the first one waiting.
const BATCH: usize = 1024;
/// Instances of removed workflows that one transaction sweeps along.
const SWEEP: usize = 50;
/// Without requests for so long, the writer has time to tidy up.
const QUIET: Duration = Duration::from_millis(20);

/// What creations of one transaction may weigh together: so much takes some milliseconds, and what runs waits no longer for its commits, however many
/// creations wait.
const CREATIONS: usize = 256;

/// The way to the writer. Cheap to clone.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: Sender<Box<dyn Job>>,
    /// Requests that were handed to the thread and are not answered.
    waiting: Arc<AtomicUsize>,
    desk: Arc<Mutex<Desk>>,
    tidy: watch::Receiver<Tidy>,
    lost: watch::Receiver<Option<StoreError>>,
}

/// What it takes to write. Whoever holds it writes.
struct Desk {
    connection: Connection,
    numbers: Numbers,
    folding: Folding,
    trouble: Trouble,
    wrote_at: Instant,
    /// What the thread does with the next quiet moment.
    leisure: Leisure,
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

    /// What it weighs, if it may be put off for what runs; nothing if it may not.
    fn weight(&self) -> usize;

    /// Tells the caller, after the commit or with what prevented it.
    fn answer(self: Box<Self>, prevented: Option<&StoreError>);
}

struct Request<W, T, A> {
    work: Option<W>,
    outcome: Option<Result<T, StoreError>>,
    answer: A,
    weight: usize,
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

    fn weight(&self) -> usize {
        self.weight
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
        let desk = Desk {
            numbers: Numbers::load(&connection)?,
            folding: Folding::take_over(&mut connection)?,
            trouble: Trouble::none("writing to the database"),
            wrote_at: Instant::now(),
            leisure: Leisure::Tidy,
            connection,
        };
        let (desk, waiting) = (Arc::new(Mutex::new(desk)), Arc::new(AtomicUsize::new(0)));
        let (jobs, queue) = channel();
        let (tidied, tidy) = watch::channel(Tidy::No);
        let (losing, lost) = watch::channel(None);
        let (on_desk, answered) = (Arc::clone(&desk), Arc::clone(&waiting));
        let thread = std::thread::Builder::new()
            .name("cairn-write".to_owned())
            .spawn(move || {
                let told = write(&on_desk, (&queue, &answered), &tidied);
                if let Err(error) = told {
                    losing.send_replace(Some(error.clone()));
                    refuse(&queue, &error);
                }
            })
            .map_err(|error| StoreError::Unavailable(format!("no thread for writing: {error}")))?;
        let writer = Self {
            jobs,
            waiting,
            desk,
            tidy,
            lost,
        };
        Ok((writer, thread))
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
        self.submit_weighed(0, work, answer);
    }

    /// The same, for what may be put off while what weighs nothing is done: a transaction has only so much of it.
    pub(super) fn submit_weighed<T: Send + 'static>(
        &self,
        weight: usize,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
        answer: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        self.hand_over(Box::new(Request {
            work: Some(work),
            outcome: None,
            answer,
            weight,
        }));
    }

    /// The same for what is small: when nobody writes or waits it is done before this returns, which takes as long as a flush to disk.
    pub(super) fn submit_small<T: Send + 'static>(
        &self,
        weight: usize,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
        answer: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        let job: Box<dyn Job> = Box::new(Request {
            work: Some(work),
            outcome: None,
            answer,
            weight,
        });
        let desk = if self.waiting.load(Ordering::Acquire) == 0 {
            self.desk.try_lock()
        } else {
            None
        };
        let Some(mut desk) = desk.filter(|desk| desk.is_in_use()) else {
            return self.hand_over(job);
        };
        let mut jobs = [job];
        let outcome = desk.run(&mut jobs, Sweeping::No);
        let has_more_to_do = desk.folding.is_due() || desk.numbers.has_waste();
        drop(desk);
        for job in jobs {
            job.answer(outcome.as_ref().err());
        }
        if has_more_to_do {
            self.hand_over(Box::new(Nudge));
        }
    }

    fn hand_over(&self, job: Box<dyn Job>) {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        // Without a receiver the store is closing; then its answer is dropped, which its caller sees.
        let _ = self.jobs.send(job);
    }
}

/// Nothing but a reason for the thread to look what is to be done.
struct Nudge;

impl Job for Nudge {
    fn apply(&mut self, _: &mut Transaction<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    fn weight(&self) -> usize {
        0
    }

    fn answer(self: Box<Self>, _: Option<&StoreError>) {}
}

/// Whether a transaction sweeps along what was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sweeping {
    No,
    Yes,
}

/// Writes until the store closes, or until nothing can be written any more.
fn write(
    desk: &Mutex<Desk>,
    (queue, waiting): (&Receiver<Box<dyn Job>>, &AtomicUsize),
    tidied: &watch::Sender<Tidy>,
) -> Result<(), StoreError> {
    let (mut may_sweep, mut is_closing) = (true, false);
    let (mut jobs, mut put_off): (Vec<Box<dyn Job>>, PutOff) = (Vec::new(), PutOff::new());
    while !is_closing || !put_off.is_empty() {
        let (sweeping, leisure) = desk.lock().plans(may_sweep);
        if sweeping == Sweeping::No && put_off.is_empty() {
            match next(queue, leisure) {
                Next::Job(job) if job.weight() > 0 => put_off.push_back(job),
                Next::Job(job) => jobs.push(job),
                Next::Quiet => {
                    if desk.lock().rest() != Leisure::Tidy {
                        tidied.send_replace(Tidy::Yes);
                    }
                    continue;
                }
                Next::End => break,
            }
        }
        is_closing = gather(queue, &mut jobs, &mut put_off) == Queue::Closed;
        if leisure != Leisure::Tidy {
            tidied.send_replace(Tidy::No);
        }
        let mut desk = desk.lock();
        let outcome = desk.run(&mut jobs, sweeping);
        // A sweep that fails is tried again with the next request, not in a loop of its own.
        may_sweep = outcome.is_ok();
        let answered = jobs.len();
        for job in jobs.drain(..) {
            job.answer(outcome.as_ref().err());
        }
        if let Err(error) = desk.fold() {
            put_off.into_iter().for_each(|job| job.answer(Some(&error)));
            return Err(error);
        }
        drop(desk);
        waiting.fetch_sub(answered, Ordering::AcqRel);
    }
    // Leaves a file without a log behind. If that fails, the next start reads the log.
    if let Err(error) = desk
        .lock()
        .connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    {
        tracing::warn!(%error, "the write-ahead log could not be folded into the database at the end; the next start does it");
    }
    Ok(())
}

impl Desk {
    /// Whether the thread looks after what is written here without being told of it.
    fn is_in_use(&self) -> bool {
        self.leisure == Leisure::Tidy && !self.numbers.has_waste()
    }

    fn plans(&self, may_sweep: bool) -> (Sweeping, Leisure) {
        let sweeping = if may_sweep && self.numbers.has_waste() {
            Sweeping::Yes
        } else {
            Sweeping::No
        };
        (sweeping, self.leisure)
    }

    /// One transaction, wholly or not at all.
    fn run(&mut self, jobs: &mut [Box<dyn Job>], sweeping: Sweeping) -> Result<(), StoreError> {
        let to_change = (&mut self.numbers, &mut self.trouble);
        let outcome = run(&self.connection, to_change, jobs, sweeping);
        (self.wrote_at, self.leisure) = (Instant::now(), Leisure::Tidy);
        outcome
    }

    fn fold(&mut self) -> Result<(), StoreError> {
        let folded = self.folding.fold(&self.connection);
        if folded.is_err() {
            // From now on the thread answers everybody.
            self.leisure = Leisure::Done;
        }
        folded
    }

    /// Uses a moment without requests, if it was one without writing too.
    fn rest(&mut self) -> Leisure {
        if self.wrote_at.elapsed() >= QUIET {
            self.leisure = self.leisure.spend(&self.connection);
        }
        self.leisure
    }
}

/// Requests that wait until there is a place for them in a transaction.
type PutOff = VecDeque<Box<dyn Job>>;

/// Whether more requests may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Queue {
    Open,
    Closed,
}

/// Collects what one transaction does: what weighs nothing first, then as much of the rest as may be.
fn gather(queue: &Receiver<Box<dyn Job>>, jobs: &mut Vec<Box<dyn Job>>, put_off: &mut PutOff) -> Queue {
    let mut state = Queue::Open;
    while jobs.len() < BATCH {
        match queue.try_recv() {
            Ok(job) if job.weight() > 0 => put_off.push_back(job),
            Ok(job) => jobs.push(job),
            Err(TryRecvError::Empty) => break,
            Err(TryRecvError::Disconnected) => {
                state = Queue::Closed;
                break;
            }
        }
    }
    let mut weight = 0;
    while weight < CREATIONS
        && let Some(job) = put_off.pop_front()
    {
        weight += job.weight();
        jobs.push(job);
    }
    state
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

/// What a quiet moment is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leisure {
    /// Giving room in the file back to the disk.
    Tidy,
    /// Then letting go of pages in memory.
    Rest,
    /// Nothing is left to do.
    Done,
}

impl Leisure {
    fn begins_after(self) -> Option<Duration> {
        match self {
            Self::Tidy => Some(QUIET),
            Self::Rest => Some(REST),
            Self::Done => None,
        }
    }

    /// Uses it, and says what the next is good for.
    fn spend(self, connection: &Connection) -> Self {
        match self {
            Self::Tidy => match vacuum::step(connection) {
                Ok(true) => Self::Tidy,
                Ok(false) => Self::Rest,
                Err(error) => {
                    tracing::warn!(%error, "room in the database could not be given back to the disk; trying again later");
                    Self::Rest
                }
            },
            Self::Rest | Self::Done => {
                rest(connection);
                Self::Done
            }
        }
    }
}

/// Waits for a request, or for a quiet moment that is good for something.
fn next(queue: &Receiver<Box<dyn Job>>, leisure: Leisure) -> Next {
    let Some(patience) = leisure.begins_after() else {
        return queue.recv().map_or(Next::End, Next::Job);
    };
    match queue.recv_timeout(patience) {
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
    sweeping: Sweeping,
) -> Result<(), StoreError> {
    let changes = connection.total_changes();
    let Err(failed) = attempt(connection, numbers, jobs, sweeping) else {
        // What changes nothing is not written.
        if connection.total_changes() != changes {
            trouble.over();
        }
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

/// Writes another transaction in the place of one that may have been kept: when that is confirmed, the other is gone.
fn is_overwritten(connection: &Connection) -> bool {
    // It has to change something: what is the same is not written.
    let sql = "INSERT INTO counter VALUES ('unconfirmed', 1) ON CONFLICT DO UPDATE SET value = value + 1";
    connection.is_autocommit() && connection.execute(sql, []).is_ok()
}

fn attempt(
    connection: &Connection,
    numbers: &mut Numbers,
    jobs: &mut [Box<dyn Job>],
    sweeping: Sweeping,
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
    if sweeping == Sweeping::Yes {
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
