//! Back-pressure: what may be on its way into the store, and how many instances may be queued there.
//!
//! A creation is admitted or refused at once, before anything of it is written; what was admitted is counted until the store has answered. How long the
//! queue of an account is, the store knows: it is asked now and then, and what was created since is counted as queued.

use crate::{EngineError, Settings, Shared};
use cairn_store::NewInstance;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const INSTANCES_SETTING: &str = "limits.creations_waiting";
const BYTES_SETTING: &str = "limits.creation_bytes_waiting";
/// How long it is believed how many are queued.
const BELIEVED: Duration = Duration::from_secs(1);
/// The same while the queue is full.
const BELIEVED_WHEN_FULL: Duration = Duration::from_millis(50);
/// Accounts remembered; those of which nothing is on its way need not be.
const REMEMBERED: usize = 10_000;
/// How often the log says that creations are refused.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// What is on its way into the store, and what is queued there.
#[derive(Default)]
pub(crate) struct Admission(Mutex<Book>);

#[derive(Default)]
struct Book {
    on_its_way: Load,
    queues: HashMap<String, Queue>,
    said_at: Option<Instant>,
    refused: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Load {
    instances: usize,
    bytes: usize,
}

/// The queue of an account.
#[derive(Debug, Clone, Copy, Default)]
struct Queue {
    on_its_way: usize,
    /// As the store said last.
    known: u64,
    /// Admitted since it was asked, or on its way then.
    since: u64,
    asked_at: Option<Instant>,
}

/// A creation that was admitted; counts until it is dropped.
pub(crate) struct Admitted {
    shared: Arc<Shared>,
    account: String,
    load: Load,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut book = self.shared.admission.0.lock();
        book.on_its_way.instances -= self.load.instances;
        book.on_its_way.bytes -= self.load.bytes;
        if let Some(queue) = book.queues.get_mut(&self.account) {
            queue.on_its_way -= self.load.instances;
        }
    }
}

impl Load {
    fn of(new: &[NewInstance]) -> Self {
        Self {
            instances: new.len(),
            bytes: new.iter().map(|new| new.params.len()).sum(),
        }
    }
}

impl Queue {
    fn is_full(&self, count: usize, limit: u64) -> bool {
        self.known + self.since + count as u64 > limit
    }

    /// Whether the store is to be asked; whoever is told so asks it.
    fn must_ask(&mut self, now: Instant, is_full: bool) -> bool {
        let believed = if is_full { BELIEVED_WHEN_FULL } else { BELIEVED };
        let is_known = self.asked_at.is_some_and(|at| now.duration_since(at) < believed);
        if !is_known {
            self.asked_at = Some(now);
            self.since = self.on_its_way as u64;
        }
        !is_known
    }
}

impl Book {
    /// Counts a creation, unless that would be too much.
    fn enter(&mut self, settings: &Settings, account: &str, load: Load) -> Result<(), EngineError> {
        let Load { instances, bytes } = self.on_its_way;
        let (most, most_bytes) = (settings.creations_waiting, settings.creation_bytes_waiting);
        // One that is larger than the limit goes through alone.
        if instances > 0 && instances + load.instances > most {
            return Err(EngineError::Overloaded {
                what: "instances",
                limit: most,
                setting: INSTANCES_SETTING,
            });
        }
        if instances > 0 && bytes + load.bytes > most_bytes {
            return Err(EngineError::Overloaded {
                what: "bytes of parameters",
                limit: most_bytes,
                setting: BYTES_SETTING,
            });
        }
        let queue = self.queues.entry(account.to_owned()).or_default();
        if queue.is_full(load.instances, settings.queued_instances) {
            return Err(EngineError::QueueFull {
                limit: settings.queued_instances,
            });
        }
        queue.since += load.instances as u64;
        queue.on_its_way += load.instances;
        self.on_its_way = Load {
            instances: instances + load.instances,
            bytes: bytes + load.bytes,
        };
        Ok(())
    }

    /// Whether the store is to be asked how many are queued.
    fn must_ask(&mut self, now: Instant, (account, count, limit): (&str, usize, u64)) -> bool {
        if self.queues.len() >= REMEMBERED && !self.queues.contains_key(account) {
            self.queues.retain(|_, queue| queue.on_its_way > 0);
        }
        let queue = self.queues.entry(account.to_owned()).or_default();
        let is_full = queue.is_full(count, limit);
        queue.must_ask(now, is_full)
    }

    /// Notes a refusal; how many there were since it was said last, when it is time to say it.
    fn refuse(&mut self, now: Instant) -> Option<u64> {
        self.refused += 1;
        let is_said = self.said_at.is_some_and(|at| now.duration_since(at) < SAID_EVERY);
        if is_said {
            return None;
        }
        self.said_at = Some(now);
        Some(std::mem::take(&mut self.refused))
    }
}

impl Shared {
    /// Admits a creation, or refuses it.
    ///
    /// # Errors
    /// [`EngineError::Overloaded`], [`EngineError::QueueFull`]: nothing is counted then.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        account: &str,
        new: &[NewInstance],
    ) -> Result<Admitted, EngineError> {
        let (load, limit) = (Load::of(new), self.settings.queued_instances);
        let queue = (account, load.instances, limit);
        if self.admission.0.lock().must_ask(Instant::now(), queue) {
            let known = self.store.queued(account).await?;
            if let Some(queue) = self.admission.0.lock().queues.get_mut(account) {
                queue.known = known;
            }
        }
        let mut book = self.admission.0.lock();
        if let Err(error) = book.enter(&self.settings, account, load) {
            let said = book.refuse(Instant::now());
            drop(book);
            if let Some(refused) = said {
                tracing::warn!(account, refused, reason = %error, "creations are refused with 429; this is said once a minute at most");
            }
            return Err(error);
        }
        Ok(Admitted {
            shared: Arc::clone(self),
            account: account.to_owned(),
            load,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            creations_waiting: 10,
            creation_bytes_waiting: 1_000,
            queued_instances: 100,
            ..Settings::default()
        }
    }

    fn enter(book: &mut Book, instances: usize, bytes: usize) -> Option<&'static str> {
        match book.enter(&settings(), "a", Load { instances, bytes }) {
            Ok(()) => None,
            Err(EngineError::Overloaded { setting, .. }) => Some(setting),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn what_is_on_its_way_is_bounded() {
        let mut book = Book::default();
        assert_eq!(enter(&mut book, 9, 0), None);
        assert_eq!(enter(&mut book, 2, 0), Some(INSTANCES_SETTING));
        assert_eq!(enter(&mut book, 1, 1_001), Some(BYTES_SETTING));
        assert_eq!(enter(&mut book, 1, 1_000), None);
        assert_eq!(enter(&mut book, 1, 0), Some(INSTANCES_SETTING));
    }

    #[test]
    fn one_that_is_larger_goes_through_alone() {
        let mut book = Book::default();
        assert_eq!(enter(&mut book, 50, 5_000), None);
        assert_eq!(enter(&mut book, 1, 0), Some(INSTANCES_SETTING));
    }

    #[test]
    fn the_store_is_asked_once_a_second_and_sooner_when_the_queue_is_full() {
        let (mut book, begin) = (Book::default(), Instant::now());
        let at = |millis| begin + Duration::from_millis(millis);
        assert!(book.must_ask(at(0), ("a", 1, 2)));
        assert!(!book.must_ask(at(999), ("a", 1, 2)));
        assert!(book.must_ask(at(1_000), ("a", 1, 2)));
        book.enter(
            &settings(),
            "a",
            Load {
                instances: 2,
                bytes: 0,
            },
        )
        .unwrap();
        assert!(!book.must_ask(at(1_049), ("a", 1, 2)));
        assert!(book.must_ask(at(1_050), ("a", 1, 2)));
    }

    #[test]
    fn refusals_are_said_once_a_minute_with_how_many_there_were() {
        let (mut book, begin) = (Book::default(), Instant::now());
        assert_eq!(book.refuse(begin), Some(1));
        assert_eq!(book.refuse(begin + Duration::from_secs(59)), None);
        assert_eq!(book.refuse(begin + Duration::from_secs(60)), Some(2));
    }
}
