//! Hands commits to the store, in order: while one write is under way the next batch collects.

use crate::Shared;
use crate::signal::{Committed, Signal};
use cairn_core::Seq;
use cairn_store::Commit;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Commits taken up by one write.
const BATCH_MAX: usize = 4_096;

/// Starts the committer; it ends when the sender is dropped.
pub(crate) fn start(shared: Arc<Shared>) -> mpsc::UnboundedSender<Commit> {
    let (sender, mut commits) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut batch = Vec::new();
        while commits.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let committed = write(&shared, std::mem::take(&mut batch)).await;
            if !shared.followers.is_empty() {
                for commit in committed.iter().filter(|commit| commit.result.is_ok()) {
                    shared.followers.call(commit.instance);
                }
            }
            shared.signal(Signal::Committed(committed));
        }
    });
    sender
}

async fn write(shared: &Shared, batch: Vec<Commit>) -> Vec<Committed> {
    let heads: Vec<_> = batch
        .iter()
        .map(|commit| {
            (
                commit.instance,
                commit.lease,
                Seq(commit.next_seq.0 + commit.entries.len() as u64),
            )
        })
        .collect();
    let results = shared.store.commit(batch).await;
    shared.pulse.wrote_some(&results);
    let mut results = match results {
        Ok(results) => results.into_iter().map(|result| result.map_err(Into::into)).collect::<Vec<_>>(),
        Err(error) => {
            tracing::error!(%error, commits = heads.len(), "a write failed; the instances will be taken up again");
            vec![Err(error.into()); heads.len()]
        }
    }
    .into_iter();
    let answer = |(instance, lease, end)| {
        let missing =
            || Err(cairn_store::StoreError::Corrupt("the store answered too few commits".into()).into());
        Committed {
            instance,
            lease,
            end,
            result: results.next().unwrap_or_else(missing),
        }
    };
    heads.into_iter().map(answer).collect()
}
