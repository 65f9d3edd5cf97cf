//! Who follows the events of which instance, on this node: called when something has been written, so that nobody need look in vain.

use cairn_store::InstanceNo;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::watch;

/// All followers. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Followers(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// How many there are: the hot path asks no more than whether it is 0.
    count: AtomicUsize,
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    by_instance: HashMap<InstanceNo, watch::Sender<()>>,
    is_over: bool,
}

/// One follower's ear. Who drops it follows no more.
#[derive(Debug)]
pub(crate) struct News {
    followers: Followers,
    instance: InstanceNo,
    calls: watch::Receiver<()>,
}

impl Followers {
    /// One more, of an instance; none when all have been sent home.
    pub(crate) fn join(&self, instance: InstanceNo) -> Option<News> {
        let mut calls = self.0.calls.lock();
        if calls.is_over {
            return None;
        }
        self.0.count.fetch_add(1, Ordering::SeqCst);
        let call = calls
            .by_instance
            .entry(instance)
            .or_insert_with(|| watch::Sender::new(()));
        Some(News {
            followers: self.clone(),
            instance,
            calls: call.subscribe(),
        })
    }

    /// Whether nobody follows anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.count.load(Ordering::SeqCst) == 0
    }

    /// Calls those who follow an instance: its journal goes on, or it is gone.
    pub(crate) fn call(&self, instance: InstanceNo) {
        if self.is_empty() {
            return;
        }
        if let Some(call) = self.0.calls.lock().by_instance.get(&instance) {
            call.send_replace(());
        }
    }

    /// Calls everybody.
    pub(crate) fn call_all(&self) {
        for call in self.0.calls.lock().by_instance.values() {
            call.send_replace(());
        }
    }

    /// Sends everybody home, for good.
    pub(crate) fn end(&self) {
        let mut calls = self.0.calls.lock();
        calls.is_over = true;
        calls.by_instance.clear();
    }
}

impl News {
    /// What has been called so far is known. To be said before looking, so that nothing is missed.
    pub(crate) fn mark_read(&mut self) {
        self.calls.mark_unchanged();
    }

    /// Waits for a call; none when there will be no more.
    pub(crate) async fn come(&mut self) -> Option<()> {
        self.calls.changed().await.ok()
    }
}

impl Drop for News {
    fn drop(&mut self) {
        let mut calls = self.followers.0.calls.lock();
        self.followers.0.count.fetch_sub(1, Ordering::SeqCst);
        // Its own ear is still counted.
        let is_last = |call: &watch::Sender<()>| call.receiver_count() <= 1;
        if calls.by_instance.get(&self.instance).is_some_and(is_last) {
            calls.by_instance.remove(&self.instance);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    const ONE: InstanceNo = InstanceNo(1);
    const OTHER: InstanceNo = InstanceNo(2);

    fn heard(news: &mut News) -> Poll<Option<()>> {
        pin!(news.come()).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_call_is_heard_by_all_who_follow_the_instance() {
        let followers = Followers::default();
        let (mut first, mut second) = (followers.join(ONE).unwrap(), followers.join(ONE).unwrap());
        let mut other = followers.join(OTHER).unwrap();
        followers.call(ONE);
        assert_eq!(heard(&mut first), Poll::Ready(Some(())));
        assert_eq!(heard(&mut first), Poll::Pending);
        assert_eq!(heard(&mut second), Poll::Ready(Some(())));
        assert_eq!(heard(&mut other), Poll::Pending);
        followers.call_all();
        assert_eq!(heard(&mut other), Poll::Ready(Some(())));
    }

    #[test]
    fn a_call_between_two_looks_is_not_missed() {
        let followers = Followers::default();
        let mut news = followers.join(ONE).unwrap();
        news.mark_read();
        followers.call(ONE);
        assert_eq!(heard(&mut news), Poll::Ready(Some(())));
        followers.call(ONE);
        news.mark_read();
        assert_eq!(heard(&mut news), Poll::Pending);
    }

    #[test]
    fn nothing_is_left_of_those_who_went() {
        let followers = Followers::default();
        let (first, second) = (followers.join(ONE).unwrap(), followers.join(ONE).unwrap());
        drop(first);
        assert!(!followers.is_empty());
        assert_eq!(followers.0.calls.lock().by_instance.len(), 1);
        drop(second);
        assert!(followers.is_empty());
        assert!(followers.0.calls.lock().by_instance.is_empty());
    }

    #[test]
    fn at_the_end_all_are_sent_home() {
        let followers = Followers::default();
        let mut news = followers.join(ONE).unwrap();
        followers.end();
        assert_eq!(heard(&mut news), Poll::Ready(None));
        assert!(followers.join(ONE).is_none());
        drop(news);
        assert!(followers.is_empty());
    }
}
