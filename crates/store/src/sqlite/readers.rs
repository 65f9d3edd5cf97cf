//! Threads that read beside the writer, each with a connection of its own.

use crate::StoreError;
use parking_lot::Mutex;
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Without anything to do for so long, a connection lets go of its pages. Less than what is between two extensions of a node's lease.
pub(super) const REST: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// The way to the readers. Cheap to clone.
#[derive(Clone)]
pub(super) struct Readers {
    jobs: Sender<Job>,
}

impl Readers {
    /// Starts a thread for each connection; they end when the last clone is dropped.
    pub(super) fn start(connections: Vec<Connection>) -> Result<(Self, Vec<JoinHandle<()>>), StoreError> {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let threads = connections
            .into_iter()
            .map(|connection| {
                let queue = Arc::clone(&queue);
                std::thread::Builder::new()
                    .name("cairn-read".to_owned())
                    .spawn(move || work(&connection, &queue))
                    .map_err(|error| StoreError::Unavailable(format!("no thread for reading: {error}")))
            })
            .collect::<Result<_, _>>()?;
        Ok((Self { jobs }, threads))
    }

    /// Reads, then calls `done`. Never waits.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        done: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        // Without a receiver the store is closing; then `done` is dropped, which its caller sees.
        let _ = self.jobs.send(Box::new(move |connection| done(read(connection))));
    }
}

fn work(connection: &Connection, queue: &Mutex<Receiver<Job>>) {
    let mut has_read = false;
    loop {
        match next(queue, has_read) {
            Ok(job) => {
                job(connection);
                has_read = true;
            }
            Err(RecvTimeoutError::Timeout) => {
                rest(connection);
                has_read = false;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Waits for something to do; for so long only when there are pages to let go of.
fn next(queue: &Mutex<Receiver<Job>>, has_read: bool) -> Result<Job, RecvTimeoutError> {
    if !has_read {
        return queue.lock().recv().map_err(RecvTimeoutError::from);
    }
    // Another thread may be waiting with the lock in its hand for as long.
    match queue.try_lock_for(REST) {
        Some(queue) => queue.recv_timeout(REST),
        None => Err(RecvTimeoutError::Timeout),
    }
}

/// Lets go of the pages that a connection keeps in memory: a server that has nothing to do needs none.
pub(super) fn rest(connection: &Connection) {
    if let Err(error) = connection.execute_batch("PRAGMA shrink_memory") {
        tracing::warn!(%error, "the database's pages could not be let go of; they stay in memory");
    }
}

/// Runs several statements on one state of the database.
pub(super) fn snapshot<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction = connection.unchecked_transaction()?;
    let found = read(&transaction)?;
    transaction.commit()?;
    Ok(found)
}
