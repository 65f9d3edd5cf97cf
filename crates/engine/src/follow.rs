//! Following an instance: its events so far, then those that come (behaviour §7).
//!
//! A [`Subscription`] reads the journal page by page and tells it as events. Who has read to the end waits for the committer to say that
//! there is more; nobody polls but as a fallback, for what happens on other nodes.

use crate::followers::News;
use crate::instances::corrupt;
use crate::{Engine, EngineError, Shared};
use bytes::Bytes;
use cairn_core::{Entry, EventKind, EventTeller, EventType, InstanceEvent, Restart, Seq, Visibility};
use cairn_runtime::Value;
use cairn_store::{InstanceNo, JournalPage, Payload};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a journal that a follower reads at a time.
const PAGE_BYTES: usize = 1 << 20;
/// How long a follower waits before it looks again without having been called.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Which events a subscriber wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Follow {
    /// Those with a number above this.
    pub cursor: u64,
    /// Those of these types; all when absent.
    pub filter: Option<BTreeSet<EventType>>,
    /// How far.
    pub reach: Reach,
}

/// How far a subscriber follows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reach {
    /// To the end of the instance.
    #[default]
    End,
    /// To what is there when it gets there.
    Now,
}

/// An event with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The event.
    pub event: InstanceEvent,
    /// The value it names: parameters or output.
    pub value: Option<ToldValue>,
}

/// The value of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToldValue {
    /// The value.
    Shown(Value),
    /// The beginning of a stream, as far as it is shown.
    Stream {
        /// The text.
        preview: String,
    },
    /// User code said that it is sensitive.
    Redacted,
}

/// The events of one instance. Ends when dropped.
pub struct Subscription {
    shared: Arc<Shared>,
    instance: InstanceNo,
    id: String,
    follow: Follow,
    teller: EventTeller,
    pending: VecDeque<InstanceEvent>,
    /// Values of the page that was read last.
    values: BTreeMap<Seq, Bytes>,
    news: News,
    ended: bool,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Follows an instance from its first event on. What a restart wiped is left out, its numbers are not used again.
    ///
    /// # Errors
    /// [`EngineError::WorkflowNotFound`], [`EngineError::InstanceNotFound`]
    pub async fn subscribe(
        &self,
        account: &str,
        workflow: &str,
        (id, follow): (&str, Follow),
    ) -> Result<Subscription, EngineError> {
        let (_, row) = self.instance_row(account, workflow, id).await?;
        let shared = Arc::clone(&self.shared);
        let mut subscription = Subscription {
            news: shared.followers.join(row.no).ok_or(EngineError::ShuttingDown)?,
            teller: EventTeller::new(&shared.settings.limits),
            shared,
            instance: row.no,
            id: row.id,
            follow,
            pending: VecDeque::new(),
            values: BTreeMap::new(),
            ended: false,
        };
        subscription.begin().await?;
        Ok(subscription)
    }
}

impl Subscription {
    /// The id of the instance.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The next event, once there is one; none after the end of the instance, or where [`Reach::Now`] ends. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// [`EngineError::InstanceNotFound`] when the instance is deleted meanwhile, [`EngineError::ShuttingDown`].
    pub async fn next(&mut self) -> Result<Option<Told>, EngineError> {
        while !self.ended {
            let Some(event) = self.pending.front() else {
                self.refill().await?;
                continue;
            };
            let event_type = event.kind.event_type();
            let passes = |filter: &BTreeSet<EventType>| filter.contains(&event_type);
            let is_wanted = event.id > self.follow.cursor && self.follow.filter.as_ref().is_none_or(passes);
            let value = if is_wanted {
                self.value(&event.kind).await?
            } else {
                None
            };
            self.ended = event_type.is_final();
            if let Some(event) = self.pending.pop_front().filter(|_| is_wanted) {
                return Ok(Some(Told { event, value }));
            }
        }
        Ok(None)
    }

    /// Reads the beginning. Where that is not all, the rest is searched for restarts first: events that they wipe are not told.
    async fn begin(&mut self) -> Result<(), EngineError> {
        let first = self.page(Seq(0)).await?;
        let mut read = Seq(first.entries.len() as u64);
        let mut restarts = Vec::new();
        while read < first.end {
            let page = self.page(read).await?;
            for line in page.entries {
                let entry = Entry::decode(&line.entry).map_err(|error| corrupt("journal", error))?;
                restarts.extend(Restart::of(line.seq, &entry));
                read = Seq(line.seq.0 + 1);
            }
        }
        self.teller.expect(restarts);
        self.tell(first)
    }

    /// Waits until the journal goes on, and tells what is there.
    async fn refill(&mut self) -> Result<(), EngineError> {
        loop {
            self.news.mark_read();
            let page = self.page(self.teller.next_seq()).await?;
            if !page.entries.is_empty() {
                return self.tell(page);
            }
            if self.follow.reach == Reach::Now {
                self.ended = true;
                return Ok(());
            }
            // Having waited for long is as good a reason to look as having been called.
            if let Ok(None) = tokio::time::timeout(LOOK_AGAIN, self.news.come()).await {
                return Err(EngineError::ShuttingDown);
            }
        }
    }

    async fn page(&self, from: Seq) -> Result<JournalPage, EngineError> {
        let page = self.shared.store.journal_from(self.instance, from, PAGE_BYTES);
        let gone = || EngineError::InstanceNotFound(self.id.clone());
        page.await?.ok_or_else(gone)
    }

    fn tell(&mut self, page: JournalPage) -> Result<(), EngineError> {
        self.values.clear();
        for line in page.entries {
            let entry = Entry::decode(&line.entry).map_err(|error| corrupt("journal", error))?;
            let told = self.teller.tell(&entry, &mut self.pending);
            told.map_err(|error| corrupt("journal", error))?;
            if let Some(Payload::Inline(bytes)) = line.payload {
                self.values.insert(line.seq, bytes);
            }
        }
        Ok(())
    }

    async fn value(&self, kind: &EventKind) -> Result<Option<ToldValue>, EngineError> {
        let (seq, visibility) = match kind {
            EventKind::WorkflowStarted { params } => (*params, Visibility::Shown),
            EventKind::WorkflowCompleted { output } => (*output, Visibility::Shown),
            EventKind::StepCompleted {
                output, visibility, ..
            } => (*output, *visibility),
            _ => return Ok(None),
        };
        if visibility == Visibility::Redacted {
            return Ok(Some(ToldValue::Redacted));
        }
        let bytes = match self.values.get(&seq) {
            Some(bytes) => bytes.clone(),
            None => {
                let stored = self.shared.store.payload(self.instance, seq).await?;
                stored.ok_or_else(|| EngineError::InstanceNotFound(self.id.clone()))?
            }
        };
        let value = Value::from_stored(bytes).map_err(|error| corrupt("value", error))?;
        Ok(match value.as_stream() {
            Some(stream) => Some(ToldValue::Stream {
                preview: stream.preview,
            }),
            None if value.is_undefined() => None,
            None => Some(ToldValue::Shown(value)),
        })
    }
}
