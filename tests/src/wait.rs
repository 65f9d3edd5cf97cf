//! Waiting for the world, with an end.

use std::time::{Duration, Instant};

/// The longest that anything may take: a machine under load is slow, not wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again and again until there is something, and panics with `what` when there is nothing in time.
pub async fn until<T, F>(what: &str, look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    within(PATIENCE, what, look).await
}

/// The same with a time of its own.
pub async fn within<T, F>(patience: Duration, what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < patience, "not in {patience:?}: {what}");
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}
