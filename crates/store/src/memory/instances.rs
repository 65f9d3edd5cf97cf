//! Instances in memory: rows, leases, journals, inboxes.

use super::as_read;
use crate::instance::{DUE_AT_ONCE, expires_at};
use crate::{
    Claim, Commit, CommitError, CreateError, InboxMessage, InboxNo, InstanceFilter, InstanceNo, InstancePage,
    InstanceRow, JournalEntry, JournalPage, Lease, NewInstance, NewMessage, NodeId, Repin, SendError,
    SortOrder, Start, StatusCounts, StreamNo, StreamWrite,
};
use bytes::Bytes;
use cairn_core::{Seq, Status, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub(super) struct Instances {
    last_instance: i64,
    last_message: i64,
    last_node: i64,
    /// Ends of the node leases.
    nodes: BTreeMap<NodeId, Timestamp>,
    by_no: BTreeMap<InstanceNo, Instance>,
    by_id: BTreeMap<(i64, String), InstanceNo>,
    /// The unheld instances that are due at some time.
    due: BTreeSet<(Timestamp, InstanceNo)>,
}

struct Instance {
    row: InstanceRow,
    epoch: i64,
    holding: Holding,
    journal: Vec<(Vec<u8>, Option<Bytes>)>,
    inbox: BTreeMap<InboxNo, (Vec<u8>, Option<Bytes>)>,
    streams: BTreeMap<(StreamNo, u32), Bytes>,
    expires_at: Option<Timestamp>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Holding {
    Held(NodeId),
    Free { wake_at: Option<Timestamp> },
}

impl Instances {
    pub(super) fn create(
        &mut self,
        new: NewInstance,
        claim: Option<NodeId>,
    ) -> Result<(InstanceNo, Option<Lease>), CreateError> {
        let key = (new.workflow, new.id.clone());
        if self.by_id.contains_key(&key) {
            return Err(CreateError::Exists);
        }
        self.last_instance += 1;
        let no = InstanceNo(self.last_instance);
        let parked = new.start == Start::Parked;
        let claim = claim.filter(|_| !parked);
        let lease = claim.map(|node| Lease { node, epoch: 1 });
        let instance = Instance {
            epoch: if lease.is_some() { 1 } else { 0 },
            holding: Holding::Free { wake_at: None },
            journal: vec![(new.entry, Some(new.params))],
            inbox: BTreeMap::new(),
            streams: BTreeMap::new(),
            expires_at: None,
            row: InstanceRow {
                no,
                workflow: new.workflow,
                id: new.id,
                version: new.version,
                script_version: new.script_version,
                class_name: new.class_name,
                trigger: new.trigger,
                status: Status::Queued,
                created_at: new.created_at,
                modified_at: new.created_at,
                started_at: None,
                ended_at: None,
                success_retention_millis: new.success_retention_millis,
                error_retention_millis: new.error_retention_millis,
            },
        };
        self.by_id.insert(key, no);
        self.by_no.insert(no, instance);
        self.hold(
            no,
            match claim {
                Some(node) => Holding::Held(node),
                None => Holding::Free {
                    wake_at: (!parked).then_some(new.created_at),
                },
            },
        );
        Ok((no, lease))
    }

    /// The only place where an instance changes hands: keeps `due` true.
    fn hold(&mut self, no: InstanceNo, holding: Holding) {
        let Some(instance) = self.by_no.get_mut(&no) else {
            return;
        };
        if let Holding::Free {
            wake_at: Some(wake_at),
        } = instance.holding
        {
            self.due.remove(&(wake_at, no));
        }
        instance.holding = holding;
        if let Holding::Free {
            wake_at: Some(wake_at),
        } = holding
        {
            self.due.insert((wake_at, no));
        }
    }

    pub(super) fn commit(&mut self, commit: Commit) -> Result<(), CommitError> {
        let no = commit.instance;
        let Some(instance) = self.by_no.get_mut(&no) else {
            return Err(CommitError::Fenced);
        };
        if instance.holding != Holding::Held(commit.lease.node)
            || instance.epoch != commit.lease.epoch
            || instance.journal.len() as u64 != commit.next_seq.0
        {
            return Err(CommitError::Fenced);
        }
        instance.journal.extend(commit.entries);
        let row = &mut instance.row;
        if row.status != commit.status {
            row.modified_at = commit.at;
        }
        row.status = commit.status;
        row.started_at = commit.started_at;
        row.ended_at = commit.ended_at;
        if let Some(Repin {
            version,
            script_version,
            class_name,
        }) = commit.repin
        {
            row.version = version;
            row.script_version = script_version;
            row.class_name = class_name;
        }
        instance.expires_at = expires_at(
            row.status,
            row.ended_at.unwrap_or(commit.at),
            row.success_retention_millis,
            row.error_retention_millis,
        );
        if let Some(consumed) = commit.consumed {
            instance.inbox.retain(|message, _| *message > consumed);
        }
        if let Some(release) = commit.release {
            let wake_at = if instance.inbox.is_empty() {
                release.wake_at
            } else {
                Some(DUE_AT_ONCE)
            };
            self.hold(no, Holding::Free { wake_at });
        }
        Ok(())
    }

    pub(super) fn claim(&mut self, claim: Claim) -> Vec<(InstanceNo, Lease)> {
        let lost: Vec<InstanceNo> = self
            .by_no
            .iter()
            .filter(|(_, instance)| match instance.holding {
                Holding::Held(node) => {
                    node != claim.node && self.nodes.get(&node).is_some_and(|until| *until < claim.now)
                }
                Holding::Free { .. } => false,
            })
            .map(|(no, _)| *no)
            .collect();
        for no in lost {
            self.hold(
                no,
                Holding::Free {
                    wake_at: Some(DUE_AT_ONCE),
                },
            );
        }
        let due: Vec<InstanceNo> = self
            .due
            .iter()
            .take_while(|(wake_at, _)| *wake_at <= claim.now)
            .take(claim.limit)
            .map(|(_, no)| *no)
            .collect();
        due.into_iter()
            .filter_map(|no| Some((no, self.claim_one(claim.node, no)?)))
            .collect()
    }

    pub(super) fn claim_parked(
        &mut self,
        node: NodeId,
        workflow: i64,
        limit: usize,
    ) -> Vec<(InstanceNo, Lease)> {
        let mut parked: Vec<(bool, InstanceNo)> = self
            .parked(workflow)
            .map(|row| (row.status == Status::Queued, row.no))
            .collect();
        parked.sort_unstable();
        parked
            .into_iter()
            .take(limit)
            .filter_map(|(_, no)| Some((no, self.claim_one(node, no)?)))
            .collect()
    }

    /// The instances that wait for a slot.
    pub(super) fn parked(&self, workflow: i64) -> impl Iterator<Item = &InstanceRow> {
        self.by_no
            .values()
            .filter(move |instance| {
                let row = &instance.row;
                row.workflow == workflow
                    && matches!(row.status, Status::Queued | Status::Waiting)
                    && instance.holding == (Holding::Free { wake_at: None })
            })
            .map(|instance| &instance.row)
    }

    /// The versions that instances which have not ended are pinned to.
    pub(super) fn pinned(&self) -> BTreeSet<String> {
        let live = self.by_no.values().map(|instance| &instance.row);
        live.filter(|row| !row.status.is_final())
            .flat_map(|row| [row.version.clone(), row.script_version.clone()])
            .collect()
    }

    /// How many hold a slot.
    pub(super) fn running(&self, workflow: i64) -> u64 {
        let counts = self.counts(workflow);
        let holding = Status::ALL.iter().filter(|status| status.holds_slot());
        holding.map(|status| counts.of(*status)).sum()
    }

    pub(super) fn claim_one(&mut self, node: NodeId, no: InstanceNo) -> Option<Lease> {
        let instance = self.by_no.get_mut(&no)?;
        if matches!(instance.holding, Holding::Held(holder) if holder != node) {
            return None;
        }
        instance.epoch += 1;
        let epoch = instance.epoch;
        self.hold(no, Holding::Held(node));
        Some(Lease { node, epoch })
    }

    pub(super) fn is_held(&self, no: InstanceNo) -> bool {
        let instance = self.by_no.get(&no);
        instance.is_some_and(|instance| matches!(instance.holding, Holding::Held(_)))
    }

    pub(super) fn held(&self, node: NodeId) -> Vec<InstanceNo> {
        let held = self
            .by_no
            .iter()
            .filter(|(_, instance)| instance.holding == Holding::Held(node));
        held.map(|(no, _)| *no).collect()
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(wake_at, _)| *wake_at)
    }

    pub(super) fn register(&mut self, until: Timestamp) -> NodeId {
        self.last_node += 1;
        let node = NodeId(self.last_node);
        self.nodes.insert(node, until);
        node
    }

    pub(super) fn renew(&mut self, node: NodeId, until: Timestamp) {
        self.last_node = self.last_node.max(node.0);
        self.nodes.insert(node, until);
    }

    pub(super) fn send(&mut self, message: NewMessage) -> Result<InboxNo, SendError> {
        let instance = self
            .by_no
            .get_mut(&message.instance)
            .ok_or(SendError::NoInstance)?;
        if instance.inbox.len() >= message.limit {
            return Err(SendError::Full { limit: message.limit });
        }
        self.last_message += 1;
        let no = InboxNo(self.last_message);
        instance.inbox.insert(no, (message.command, message.payload));
        if instance.holding
            != (Holding::Free {
                wake_at: Some(DUE_AT_ONCE),
            })
            && matches!(instance.holding, Holding::Free { .. })
        {
            self.hold(
                message.instance,
                Holding::Free {
                    wake_at: Some(DUE_AT_ONCE),
                },
            );
        }
        Ok(no)
    }

    pub(super) fn inbox(&self, no: InstanceNo, after: InboxNo) -> Vec<InboxMessage> {
        let Some(instance) = self.by_no.get(&no) else {
            return Vec::new();
        };
        instance
            .inbox
            .iter()
            .filter(|(message, _)| **message > after)
            .map(|(no, (command, payload))| InboxMessage {
                no: *no,
                command: command.clone(),
                payload: payload.clone(),
            })
            .collect()
    }

    pub(super) fn journal(&self, no: InstanceNo) -> Vec<JournalEntry> {
        let Some(instance) = self.by_no.get(&no) else {
            return Vec::new();
        };
        instance
            .journal
            .iter()
            .zip(0..)
            .map(|((entry, payload), seq)| JournalEntry {
                seq: Seq(seq),
                entry: entry.clone(),
                payload: payload.as_ref().map(as_read),
            })
            .collect()
    }

    pub(super) fn journal_from(&self, no: InstanceNo, from: Seq, max_bytes: usize) -> Option<JournalPage> {
        let journal = &self.by_no.get(&no)?.journal;
        let mut entries = Vec::new();
        let mut bytes = 0;
        let behind = usize::try_from(from.0).unwrap_or(usize::MAX);
        for ((entry, payload), seq) in journal.iter().zip(0..).skip(behind) {
            if bytes > 0 && bytes >= max_bytes {
                break;
            }
            bytes += entry.len() + payload.as_ref().map_or(0, Bytes::len) + 1;
            entries.push(JournalEntry {
                seq: Seq(seq),
                entry: entry.clone(),
                payload: payload.as_ref().map(as_read),
            });
        }
        Some(JournalPage {
            entries,
            end: Seq(journal.len() as u64),
        })
    }

    pub(super) fn payload(&self, no: InstanceNo, seq: Seq) -> Option<Bytes> {
        let (_, payload) = self.by_no.get(&no)?.journal.get(usize::try_from(seq.0).ok()?)?;
        payload.clone()
    }

    pub(super) fn write_stream(&mut self, write: StreamWrite) -> Result<(), CommitError> {
        match write {
            StreamWrite::Append {
                instance,
                lease,
                stream,
                index,
                bytes,
            } => {
                let held = self.by_no.get_mut(&instance).filter(|instance| {
                    instance.holding == Holding::Held(lease.node) && instance.epoch == lease.epoch
                });
                let held = held.ok_or(CommitError::Fenced)?;
                held.streams.insert((stream, index), bytes);
            }
            StreamWrite::Drop {
                instance,
                from,
                until,
                keep,
            } => {
                if let Some(instance) = self.by_no.get_mut(&instance) {
                    let stays = |stream: &StreamNo| !(from..until).contains(stream) || keep.contains(stream);
                    instance.streams.retain(|(stream, _), _| stays(stream));
                }
            }
        }
        Ok(())
    }

    pub(super) fn stream_chunk(&self, no: InstanceNo, stream: StreamNo, index: u32) -> Option<Bytes> {
        self.by_no.get(&no)?.streams.get(&(stream, index)).cloned()
    }

    pub(super) fn row(&self, no: InstanceNo) -> Option<InstanceRow> {
        self.by_no.get(&no).map(|instance| instance.row.clone())
    }

    pub(super) fn find(&self, workflow: i64, id: &str) -> Option<InstanceRow> {
        self.row(*self.by_id.get(&(workflow, id.to_owned()))?)
    }

    pub(super) fn list(&self, workflow: i64, filter: &InstanceFilter) -> InstancePage {
        let matching = |row: &&InstanceRow| {
            row.workflow == workflow
                && filter.status.is_none_or(|status| row.status == status)
                && filter.created_from.is_none_or(|from| row.created_at >= from)
                && filter.created_until.is_none_or(|until| row.created_at <= until)
        };
        let mut rows: Vec<&InstanceRow> = self
            .by_no
            .values()
            .map(|instance| &instance.row)
            .filter(matching)
            .collect();
        let total = rows.len() as u64;
        match filter.order {
            SortOrder::OldestFirst => rows.retain(|row| filter.after.is_none_or(|after| row.no > after)),
            SortOrder::NewestFirst => {
                rows.retain(|row| filter.after.is_none_or(|after| row.no < after));
                rows.reverse();
            }
        }
        let offset = usize::try_from(filter.offset).unwrap_or(usize::MAX);
        let mut rest = rows.into_iter().skip(offset);
        let page = rest.by_ref().take(filter.limit).cloned().collect();
        InstancePage {
            rows: page,
            total,
            more: rest.next().is_some(),
        }
    }

    pub(super) fn counts(&self, workflow: i64) -> StatusCounts {
        let mut counts = StatusCounts::default();
        for instance in self
            .by_no
            .values()
            .filter(|instance| instance.row.workflow == workflow)
        {
            counts.0[instance.row.status as usize] += 1;
        }
        counts
    }

    pub(super) fn delete(&mut self, no: InstanceNo) -> Option<InstanceRow> {
        self.hold(no, Holding::Free { wake_at: None });
        let instance = self.by_no.remove(&no)?;
        self.by_id
            .remove(&(instance.row.workflow, instance.row.id.clone()));
        Some(instance.row)
    }

    /// Removes the instances of a workflow; returns those that were held.
    pub(super) fn delete_all(&mut self, workflow: i64) -> Vec<InstanceNo> {
        let of_workflow: Vec<(InstanceNo, Holding)> = self
            .by_no
            .values()
            .filter(|instance| instance.row.workflow == workflow)
            .map(|instance| (instance.row.no, instance.holding))
            .collect();
        for (no, _) in &of_workflow {
            self.delete(*no);
        }
        of_workflow
            .into_iter()
            .filter(|(_, holding)| matches!(holding, Holding::Held(_)))
            .map(|(no, _)| no)
            .collect()
    }

    pub(super) fn expire(&mut self, now: Timestamp, limit: usize) -> usize {
        let mut expired: Vec<(Timestamp, InstanceNo)> = self
            .by_no
            .iter()
            .filter(|(_, instance)| {
                matches!(instance.holding, Holding::Free { .. }) && instance.inbox.is_empty()
            })
            .filter_map(|(no, instance)| Some((instance.expires_at?, *no)))
            .filter(|(expires_at, _)| *expires_at <= now)
            .collect();
        expired.sort_unstable();
        expired.truncate(limit);
        for (_, no) in &expired {
            self.delete(*no);
        }
        expired.len()
    }
}
