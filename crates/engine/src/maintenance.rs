//! Housekeeping: the node's lease, instances whose retention is over, versions that nothing needs, and schedules.

use crate::Shared;
use crate::signal::Signal;
use crate::{schedules, versions};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Finished instances removed by one write: few, so that the writer is never busy with them for long.
const EXPIRE_BATCH: usize = 50;
const EXPIRE_EVERY: Duration = Duration::from_secs(10);
/// Pause after any write has failed: extending the lease is also what shows that the store writes again.
const RENEW_RETRY: Duration = Duration::from_secs(1);

/// Starts the housekeeping; it ends when the set is dropped.
pub(crate) fn start(shared: &Arc<Shared>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(beat(Arc::clone(shared)));
    tasks.spawn(renew(Arc::clone(shared)));
    tasks.spawn(expire(Arc::clone(shared)));
    tasks.spawn(versions::sweep(Arc::clone(shared)));
    tasks.spawn(schedules::keep(Arc::clone(shared)));
    tasks.spawn(crate::crons::keep(Arc::clone(shared)));
    tasks
}

/// Other nodes may have made something due, or have gone. And whoever asks how this node does sees by it that the heartbeat beats, whatever the store does.
async fn beat(shared: Arc<Shared>) {
    let mut interval = tokio::time::interval(Duration::from_millis(shared.settings.lease_millis / 3));
    loop {
        interval.tick().await;
        shared.signal(Signal::Due);
    }
}

async fn renew(shared: Arc<Shared>) {
    let every = Duration::from_millis(shared.settings.lease_millis / 3);
    let mut interval = tokio::time::interval(every);
    loop {
        tokio::select! {
            biased;
            _ = interval.tick() => {}
            () = shared.pulse.failed() => tokio::time::sleep(every.min(RENEW_RETRY)).await,
        }
        let until = shared.clock.now().plus(shared.settings.lease_millis);
        let renewed = shared.store.renew(shared.node, until).await;
        shared.pulse.wrote(&renewed);
        if let Err(error) = renewed {
            tracing::error!(%error, "the lease of this node could not be extended; trying again");
        }
    }
}

async fn expire(shared: Arc<Shared>) {
    let mut interval = tokio::time::interval(EXPIRE_EVERY);
    loop {
        interval.tick().await;
        loop {
            let begun = tokio::time::Instant::now();
            match shared.store.expire(shared.clock.now(), EXPIRE_BATCH).await {
                // Others get as much time of the writer as this.
                Ok(EXPIRE_BATCH..) => tokio::time::sleep(begun.elapsed()).await,
                Ok(_) => break,
                Err(error) => {
                    tracing::error!(%error, "instances whose retention is over could not be removed");
                    break;
                }
            }
        }
    }
}
