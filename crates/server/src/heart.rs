//! The thread that engine and processes live on.
//!
//! A step is a chain of short tasks (frame, decision, commit, frame). On one thread of their own they follow each other without waking other threads and
//! without standing behind requests.

use std::future::Future;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// How long a stop waits for a task that does not yield.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// A runtime of one thread, stopped when dropped.
pub(crate) struct Heart(Option<Runtime>);

impl Heart {
    pub(crate) fn new() -> std::io::Result<Self> {
        let builder = &mut Builder::new_multi_thread();
        Ok(Self(Some(
            builder
                .worker_threads(1)
                .thread_name("cairn-engine")
                .enable_all()
                .build()?,
        )))
    }

    /// Runs this to its end on the thread; whatever it spawns stays there.
    pub(crate) async fn run<F>(&self, future: F) -> std::io::Result<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        match &self.0 {
            Some(runtime) => runtime.spawn(future).await.map_err(std::io::Error::other),
            None => Err(std::io::Error::other("the engine's thread has ended")),
        }
    }
}

impl Heart {
    /// Stops the thread and waits until what ran on it is gone. Blocks.
    pub(crate) fn stop(mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_timeout(STOP_PATIENCE);
        }
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        // Waiting for it here could block a thread that serves requests.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
