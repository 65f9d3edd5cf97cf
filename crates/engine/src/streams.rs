//! Hands pieces of streams to the store, in order, beside the commits: while one write is under way the next batch collects. And reads them.

use crate::Shared;
use crate::signal::{CommitFailure, Signal};
use cairn_runtime::RunId;
use cairn_store::{InstanceNo, Lease, StreamNo, StreamWrite};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Writes taken up at a time; full pieces of so many are 16 MiB.
const BATCH_MAX: usize = 64;

/// A write of streams, for a run.
pub(crate) struct Write {
    pub(crate) write: StreamWrite,
    pub(crate) run: RunId,
}

/// What became of a piece.
pub(crate) struct Kept {
    pub(crate) instance: InstanceNo,
    pub(crate) lease: Lease,
    pub(crate) run: RunId,
    pub(crate) stream: StreamNo,
    pub(crate) result: Result<(), CommitFailure>,
}

/// A piece that a run has asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pull {
    pub(crate) instance: InstanceNo,
    pub(crate) lease: Lease,
    pub(crate) run: RunId,
    /// Names the request.
    pub(crate) pull: u32,
    pub(crate) stream: StreamNo,
    pub(crate) index: u32,
}

/// Starts the writer; it ends when the sender is dropped.
pub(crate) fn start(shared: Arc<Shared>) -> mpsc::UnboundedSender<Write> {
    let (sender, mut writes) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut batch = Vec::new();
        while writes.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let kept = write(&shared, std::mem::take(&mut batch)).await;
            if !kept.is_empty() {
                shared.signal(Signal::StreamsKept(kept));
            }
        }
    });
    sender
}

/// What became of the pieces in a batch, in order.
async fn write(shared: &Shared, batch: Vec<Write>) -> Vec<Kept> {
    let pieces: Vec<_> = batch
        .iter()
        .map(|Write { write, run }| match write {
            StreamWrite::Append {
                instance,
                lease,
                stream,
                ..
            } => Some((*instance, *lease, *run, *stream)),
            StreamWrite::Drop { .. } => None,
        })
        .collect();
    let writes = batch.into_iter().map(|write| write.write).collect();
    let mut results = match shared.store.write_streams(writes).await {
        Ok(results) => results.into_iter().map(|result| result.map_err(Into::into)).collect(),
        Err(error) => {
            // What was to be dropped stays until its instance has another stream, or is removed.
            tracing::error!(%error, writes = pieces.len(), "streams could not be written; their instances will be taken up again");
            vec![Err(CommitFailure::Store(error)); pieces.len()]
        }
    }
    .into_iter();
    let mut kept = Vec::new();
    for piece in pieces {
        let missing =
            || Err(cairn_store::StoreError::Corrupt("the store answered too few writes".into()).into());
        let result = results.next().unwrap_or_else(missing);
        if let Some((instance, lease, run, stream)) = piece {
            kept.push(Kept {
                instance,
                lease,
                run,
                stream,
                result,
            });
        }
    }
    kept
}

/// Reads a piece; the answer comes as a signal.
pub(crate) fn read(shared: &Arc<Shared>, pull: Pull) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let read = shared
            .store
            .stream_chunk(pull.instance, pull.stream, pull.index)
            .await;
        shared.signal(Signal::Pulled(pull, read));
    });
}
