//! Work that goes on to its end, whether who began it waits for it or not.
//!
//! A client may go away at any moment, and its request is dropped where it stands. What has begun to be written must be taken up all the same.

use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::runtime::Handle;

/// A future that is finished by a task of its own if it is dropped before its end. Costs nothing else.
struct Carried<F: Future<Output: Send> + Send + 'static>(Option<Pin<Box<F>>>);

impl<F: Future<Output: Send> + Send + 'static> Future for Carried<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Some(work) = &mut self.0 else {
            // It has been answered; nobody asks again.
            return Poll::Pending;
        };
        let polled = work.as_mut().poll(context);
        if polled.is_ready() {
            self.0 = None;
        }
        polled
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Carried<F> {
    fn drop(&mut self) {
        // Without a runtime the process ends; the next start finds what was written.
        if let (Some(work), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

/// Does it to its end, whatever becomes of the caller.
pub(crate) async fn to_the_end<F: Future<Output: Send> + Send + 'static>(work: F) -> F::Output {
    Carried(Some(Box::pin(work))).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn who_waits_is_answered() {
        assert_eq!(to_the_end(async { 7 }).await, 7);
    }

    #[tokio::test]
    async fn it_goes_on_when_nobody_waits() {
        let done = Arc::new(AtomicU32::new(0));
        let (begin, begun) = oneshot::channel::<()>();
        let (told, end) = oneshot::channel();
        let counter = Arc::clone(&done);
        let work = async move {
            begun.await.unwrap();
            counter.fetch_add(1, Ordering::Relaxed);
            told.send(()).unwrap();
        };
        let mut waiting = Box::pin(to_the_end(work));
        tokio::select! {
            biased;
            () = &mut waiting => panic!("it has not begun"),
            () = std::future::ready(()) => {}
        }
        drop(waiting);
        begin.send(()).unwrap();
        end.await.unwrap();
        assert_eq!(done.load(Ordering::Relaxed), 1);
    }
}
