//! An end in order: first the load balancer is told, then nobody new is let in, then what is under way ends, then what does not end is cut off.

use crate::app::App;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, interval_at, sleep, timeout};

/// How often the log says what is waited for.
const REMIND_EVERY: Duration = Duration::from_secs(5);
/// Time for subscribers to take the end of their connection.
const FAREWELL: Duration = Duration::from_secs(2);

/// How a server ends when it is asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// How long requests are still accepted while `/readyz` says no.
    pub delay: Duration,
    /// How long callbacks of steps and requests that are under way may take to end.
    pub timeout: Duration,
}

impl Default for Drain {
    /// At once.
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            timeout: Duration::ZERO,
        }
    }
}

/// Waits for the wish to stop, then says that the server is not ready; ends when nobody new is to be let in, and says so to `closing`.
pub(crate) async fn announced(
    wish: impl Future<Output = ()>,
    (app, drain): (&App, Drain),
    closing: oneshot::Sender<()>,
) {
    wish.await;
    app.health.drain();
    if drain.delay > Duration::ZERO {
        tracing::info!(
            seconds = drain.delay.as_secs_f32(),
            "stopping: not ready any more, but requests are still answered"
        );
        sleep(drain.delay).await;
    }
    tracing::info!("stopping: nobody new is let in");
    // An error means that nobody drains the engine.
    let _ = closing.send(());
}

/// Lets what executes end, once `closed`.
pub(crate) async fn finish_steps(app: &App, drain: Drain, closed: oneshot::Receiver<()>) {
    if closed.await.is_err() {
        return;
    }
    if drain.timeout > Duration::ZERO {
        let begun = Instant::now();
        let drained = timeout(drain.timeout, drain_engine(app)).await;
        match drained {
            Ok(()) => tracing::info!(
                seconds = begun.elapsed().as_secs_f32(),
                "stopping: no step is under way"
            ),
            Err(_) => tracing::warn!(
                instances = app.engine.held(),
                seconds = drain.timeout.as_secs_f32(),
                "stopping: steps of these instances have not ended; they are attempted again after the next start"
            ),
        }
    }
    if timeout(FAREWELL, app.subscribers.gone()).await.is_err() {
        tracing::warn!("stopping: some subscribers do not take the end of their connection");
    }
}

async fn drain_engine(app: &App) {
    let mut reminder = interval_at(Instant::now() + REMIND_EVERY, REMIND_EVERY);
    let drained = app.engine.drain();
    tokio::pin!(drained);
    loop {
        tokio::select! {
            () = &mut drained => return,
            _ = reminder.tick() => {
                tracing::info!(instances = app.engine.held(), "stopping: waiting for steps of these instances");
            }
        }
    }
}
