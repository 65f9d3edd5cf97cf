//! Takes up instances from the store and makes them ready to be driven.

use crate::instances::corrupt;
use crate::passed::Ticket;
use crate::signal::{ClaimAnswer, Loaded, ParkedAnswer, Signal};
use crate::{EngineError, Shared};
use bytes::Bytes;
use cairn_core::{Entry, Record, Seq, Timestamp};
use cairn_store::{
    Claim, Claimed, Commit, InboxNo, InstanceNo, InstanceRow, JournalEntry, Lease, Payload, Release,
    StoreError,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long an instance that cannot be read is left alone, milliseconds.
const SET_ASIDE_MILLIS: u64 = 60_000;
/// How long the store is left alone after it failed.
const RETRY: Duration = Duration::from_secs(1);
/// Claims under way at once while more is due than one of them takes: one is written while another is read and a third is driven.
const AT_ONCE: usize = 3;

/// The claims of what is due that are under way.
#[derive(Default)]
pub(crate) struct UnderWay {
    claims: Vec<Begun>,
    last: ClaimNo,
    /// Whether the last answer had as many as were asked for.
    more_is_due: bool,
}

/// Which claim it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ClaimNo(u64);

struct Begun {
    no: ClaimNo,
    limit: usize,
    /// What has become due since it began.
    due: Option<Timestamp>,
}

impl UnderWay {
    /// Whether another may begin.
    pub(crate) fn may_begin(&self) -> bool {
        self.claims.len() < if self.more_is_due { AT_ONCE } else { 1 }
    }

    /// Whether the last answer had as many as were asked for.
    pub(crate) fn more_is_due(&self) -> bool {
        self.more_is_due
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// How many instances they may bring.
    pub(crate) fn expected(&self) -> usize {
        self.claims.iter().map(|begun| begun.limit).sum()
    }

    pub(crate) fn begin(&mut self, limit: usize) -> ClaimNo {
        self.last = ClaimNo(self.last.0 + 1);
        self.claims.push(Begun {
            no: self.last,
            limit,
            due: None,
        });
        self.last
    }

    /// Something is due at `at` that they may not have seen.
    pub(crate) fn due(&mut self, at: Timestamp) {
        for begun in &mut self.claims {
            begun.due = Some(begun.due.map_or(at, |known| known.min(at)));
        }
    }

    /// One is answered; what has become due since it began.
    pub(crate) fn end(&mut self, answer: &ClaimAnswer) -> Option<Timestamp> {
        let place = self.claims.iter().position(|begun| begun.no == answer.claim)?;
        let begun = self.claims.swap_remove(place);
        self.more_is_due = answer.taken >= begun.limit;
        begun.due
    }
}

/// Claims what is due, up to `limit`, and answers with [`Signal::Claimed`].
pub(crate) fn claim_due(shared: &Arc<Shared>, no: ClaimNo, limit: usize) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let claim = Claim {
            node: shared.node,
            now: shared.clock.now(),
            limit,
        };
        let mut taken = 0;
        let begun = shared.passed.begin();
        let result = match shared.store.claim(claim).await {
            Ok(claimed) => {
                taken = claimed.len();
                Ok(load_all(&shared, (claimed, &begun)).await)
            }
            Err(error) => Err(error),
        };
        let next_due = shared.store.next_due().await.unwrap_or_else(|error| {
            tracing::error!(%error, "cannot see what is due next; looking again soon");
            Some(shared.clock.now().plus(1_000))
        });
        shared.signal(Signal::Claimed(ClaimAnswer {
            claim: no,
            result,
            taken,
            next_due,
        }));
    });
}

/// Claims parked instances of a workflow, up to `asked`, and answers with [`Signal::ClaimedParked`].
pub(crate) fn claim_parked(shared: &Arc<Shared>, workflow: i64, asked: usize) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let begun = shared.passed.begin();
        let result = match shared.store.claim_parked(shared.node, workflow, asked).await {
            Ok(claimed) => Ok(ParkedAnswer {
                gave_any: !claimed.is_empty(),
                loaded: load_all(&shared, (claimed, &begun)).await,
            }),
            Err(error) => {
                tracing::error!(%error, "instances that wait for a slot could not be claimed; trying again");
                tokio::time::sleep(RETRY).await;
                Err(error)
            }
        };
        shared.signal(Signal::ClaimedParked {
            workflow,
            asked,
            result,
        });
    });
}

/// Why one instance is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It has a message. If this node holds it, another claim is bringing it, and a second would start it twice.
    Mail,
    /// This node holds it and knows nothing of it any more.
    Lost,
}

/// Claims one instance and answers with [`Signal::ClaimedOne`].
pub(crate) fn claim_one(shared: &Arc<Shared>, instance: InstanceNo, reason: Reason) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let begun = shared.passed.begin();
        let claimed = match reason {
            Reason::Mail => shared.store.claim_free(shared.node, instance).await,
            Reason::Lost => shared.store.claim_one(shared.node, instance).await,
        };
        let result = match claimed {
            Ok(Some(claimed)) => Ok(load_all(&shared, (vec![claimed], &begun))
                .await
                .pop()
                .map(Box::new)),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        shared.signal(Signal::ClaimedOne(instance, result));
    });
}

/// Asks what this node holds and answers with [`Signal::Held`].
pub(crate) fn list_held(shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let held = shared.store.held(shared.node).await;
        shared.signal(Signal::Held(held));
    });
}

/// Reads the inbox of a held instance and answers with [`Signal::Inbox`].
pub(crate) fn read_inbox(shared: &Arc<Shared>, (instance, lease): (InstanceNo, Lease), after: InboxNo) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let messages = shared.store.inbox(instance, after).await;
        shared.signal(Signal::Inbox(instance, lease, messages));
    });
}

async fn load_all(shared: &Shared, (claimed, begun): (Vec<Claimed>, &Arc<Ticket>)) -> Vec<Loaded> {
    let mut loaded = Vec::with_capacity(claimed.len());
    for claimed in claimed {
        let (row, lease, end) = (
            claimed.row.clone(),
            claimed.lease,
            Seq(claimed.journal.len() as u64),
        );
        match load(shared, (claimed, begun)).await {
            Ok(ready) => loaded.push(ready),
            Err(error) => {
                tracing::error!(%error, instance = row.id, "an instance cannot be taken up; it is tried again in a minute");
                set_aside(shared, &row, (lease, end)).await;
            }
        }
    }
    loaded
}

async fn load(shared: &Shared, (mut claimed, begun): (Claimed, &Arc<Ticket>)) -> Result<Loaded, EngineError> {
    let repin = shared.follow_latest(&mut claimed).await?;
    let limits = shared.limits_of_row(&claimed.row).await?;
    let decoded: Result<Vec<Entry>, _> = claimed
        .journal
        .iter()
        .map(|line| Entry::decode(&line.entry))
        .collect();
    let journal = decoded.map_err(|error| corrupt("journal", error))?;
    // Nothing before a restart counts, but the parameters.
    let begin = journal
        .iter()
        .rposition(|entry| entry.record == Record::Restarted)
        .unwrap_or(0);
    let mut values = BTreeMap::new();
    for line in claimed
        .journal
        .iter()
        .take(1)
        .chain(claimed.journal.iter().skip(begin.max(1)))
    {
        if let Some(value) = value(shared, claimed.row.no, line).await? {
            values.insert(line.seq, value);
        }
    }
    let bytes: u64 = values.values().map(|value| value.len() as u64).sum();
    Ok(Loaded {
        weight: shared.scale.put(bytes),
        row: claimed.row,
        workflow_name: claimed.workflow_name,
        limits,
        lease: claimed.lease,
        journal,
        values,
        inbox: claimed.inbox,
        _begun: Arc::clone(begun),
        repin,
    })
}

async fn value(
    shared: &Shared,
    instance: InstanceNo,
    line: &JournalEntry,
) -> Result<Option<Bytes>, StoreError> {
    match &line.payload {
        None => Ok(None),
        Some(Payload::Inline(bytes)) => Ok(Some(bytes.clone())),
        Some(Payload::Apart { .. }) => match shared.store.payload(instance, line.seq).await? {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(StoreError::Corrupt(format!(
                "the value at {} is missing",
                Seq(line.seq.0).0
            ))),
        },
    }
}

/// Gives back an instance that cannot be read, without changing anything but when it is due.
async fn set_aside(shared: &Shared, row: &InstanceRow, (lease, end): (Lease, Seq)) {
    let now = shared.clock.now();
    let commit = Commit {
        instance: row.no,
        lease,
        next_seq: end,
        entries: Vec::new(),
        status: row.status,
        started_at: row.started_at,
        ended_at: row.ended_at,
        at: now,
        consumed: None,
        release: Some(Release {
            wake_at: Some(now.plus(SET_ASIDE_MILLIS)),
        }),
        repin: None,
    };
    if let Err(error) = shared.store.commit(vec![commit]).await {
        tracing::error!(%error, "an unreadable instance could not be given back; it is tried again soon");
        shared.signal(Signal::LostTrack);
    }
}
