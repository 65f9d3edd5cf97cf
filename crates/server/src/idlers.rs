//! Connections that say nothing, the oldest first: they make room where there is none.

use axum::body::Body;
use cairn_runtime::Guarded;
use hyper::body::Body as _;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Notify;

/// The connections on which no request is under way.
#[derive(Debug, Default)]
pub(crate) struct Idlers(Mutex<Idle>);

#[derive(Debug, Default)]
struct Idle {
    next: u64,
    since: BTreeMap<u64, Arc<Notify>>,
}

/// A connection, idle until it says otherwise.
#[derive(Debug)]
pub(crate) struct Seat {
    idlers: Arc<Idlers>,
    /// Its place among the idle ones; none while a request is under way.
    place: Mutex<Option<u64>>,
    end: Arc<Notify>,
}

impl Idlers {
    /// A new connection.
    pub(crate) fn sit(self: &Arc<Self>) -> Arc<Seat> {
        let seat = Seat {
            idlers: Arc::clone(self),
            place: Mutex::new(None),
            end: Arc::default(),
        };
        seat.rest();
        Arc::new(seat)
    }

    /// Ends the connection that has been idle for the longest; whether there was one.
    pub(crate) fn evict(&self) -> bool {
        let oldest = self.0.lock().since.pop_first();
        if let Some((_, end)) = &oldest {
            end.notify_one();
        }
        oldest.is_some()
    }
}

impl Seat {
    /// A request is under way until what is returned is dropped.
    pub(crate) fn work(self: &Arc<Self>) -> Work {
        self.leave();
        Work(Arc::clone(self))
    }

    /// Waits until the connection has to go.
    pub(crate) async fn evicted(&self) {
        self.end.notified().await;
    }

    fn rest(&self) {
        let mut idle = self.idlers.0.lock();
        idle.next += 1;
        let place = idle.next;
        idle.since.insert(place, Arc::clone(&self.end));
        drop(idle);
        *self.place.lock() = Some(place);
    }

    fn leave(&self) {
        if let Some(place) = self.place.lock().take() {
            self.idlers.0.lock().since.remove(&place);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A request that is under way.
#[derive(Debug)]
pub(crate) struct Work(Arc<Seat>);

impl Work {
    /// Goes on until the body has been sent.
    pub(crate) fn until_sent(self, body: Body) -> Body {
        if body.is_end_stream() {
            return body;
        }
        Body::new(Guarded::new(body, self))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.rest();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[test]
    fn who_has_been_idle_for_the_longest_goes_first() {
        let idlers = Arc::new(Idlers::default());
        let seats: Vec<_> = (0..3).map(|_| idlers.sit()).collect();
        // The first one has said something since.
        drop(seats[0].work());
        assert!(idlers.evict() && idlers.evict());
        let gone = |seat: &Arc<Seat>| seat.evicted().now_or_never().is_some();
        assert_eq!(seats.iter().map(gone).collect::<Vec<_>>(), [false, true, true]);
    }

    #[test]
    fn a_request_under_way_is_let_be_until_its_answer_is_sent() {
        let idlers = Arc::new(Idlers::default());
        let seat = idlers.sit();
        let body = seat.work().until_sent(Body::from("answer"));
        assert!(!idlers.evict());
        drop(body);
        assert!(idlers.evict());
        let (other, work) = (idlers.sit(), seat.work());
        drop((other, seat));
        assert!(!idlers.evict(), "who has left is not idle");
        drop(work);
        assert!(!idlers.evict());
    }
}
