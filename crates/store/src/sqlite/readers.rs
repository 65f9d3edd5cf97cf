//! Threads that read beside the writer, each with a connection of its own.

use crate::StoreError;
use parking_lot::Mutex;
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

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
    loop {
        let job = queue.lock().recv();
        match job {
            Ok(job) => job(connection),
            Err(_) => return,
        }
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
