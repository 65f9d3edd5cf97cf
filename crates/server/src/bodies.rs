//! How many bytes of request bodies are held at once, of all requests together (`limits.body_bytes_waiting`).
//!
//! Each body has a limit of its own; without a common one, as many clients as there may be connections could take all memory with bodies that are
//! allowed. What comes in beyond is not kept, and its request is answered with 429.

use axum::body::Body;
use bytes::Bytes;
use cairn_api::{ApiError, Failure};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

/// The bodies of all requests.
#[derive(Debug, Clone)]
pub(crate) struct Bodies {
    limit: u64,
    held: Arc<AtomicU64>,
}

/// What one request holds, until it is answered.
#[derive(Debug)]
pub(crate) struct Meter {
    bodies: Bodies,
    bytes: AtomicU64,
    is_refused: AtomicBool,
}

/// A body whose bytes are counted.
struct Metered {
    body: Body,
    meter: Arc<Meter>,
}

#[derive(Debug, thiserror::Error)]
#[error("too many bytes of request bodies are held already")]
struct TooMany;

impl Bodies {
    /// So many bytes at once.
    pub(crate) fn at_most(limit: u64) -> Self {
        Self {
            limit,
            held: Arc::default(),
        }
    }

    /// A meter for one request.
    pub(crate) fn meter(&self) -> Arc<Meter> {
        Arc::new(Meter {
            bodies: self.clone(),
            bytes: AtomicU64::new(0),
            is_refused: AtomicBool::new(false),
        })
    }
}

impl Meter {
    /// Counts the bytes of this body from now on.
    pub(crate) fn count(self: &Arc<Self>, body: Body) -> Body {
        if body.is_end_stream() {
            return body;
        }
        Body::new(Metered {
            body,
            meter: Arc::clone(self),
        })
    }

    /// Why its body was not read to the end, if it was for want of room.
    pub(crate) fn refusal(&self) -> Option<Failure> {
        let is_refused = self.is_refused.load(Ordering::Relaxed);
        is_refused.then(|| {
            let limit = self.bodies.limit;
            Failure::new(
                ApiError::Overloaded,
                format!("{limit} bytes of request bodies are held already (setting limits.body_bytes_waiting); try again in a second"),
            )
        })
    }

    /// Whether there is room for more. A body that is there alone may be as large as its own limit allows.
    fn take(&self, more: u64) -> Result<(), TooMany> {
        let held = self.bodies.held.fetch_add(more, Ordering::Relaxed) + more;
        let own = self.bytes.fetch_add(more, Ordering::Relaxed) + more;
        if held > self.bodies.limit && held > own {
            self.is_refused.store(true, Ordering::Relaxed);
            return Err(TooMany);
        }
        Ok(())
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let bytes = self.bytes.load(Ordering::Relaxed);
        self.bodies.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
            && let Err(error) = self.meter.take(data.len() as u64)
        {
            return Poll::Ready(Some(Err(axum::Error::new(error))));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn read(meter: &Arc<Meter>, bytes: usize) -> bool {
        let body = meter.count(Body::from(vec![0; bytes]));
        body.collect().await.is_ok()
    }

    #[tokio::test]
    async fn what_is_held_is_bounded_and_given_back() {
        let bodies = Bodies::at_most(100);
        let (one, two, three) = (bodies.meter(), bodies.meter(), bodies.meter());
        assert!(read(&one, 60).await && read(&two, 40).await);
        assert!(!read(&three, 1).await);
        assert_eq!(three.refusal().unwrap().error, ApiError::Overloaded);
        assert!(two.refusal().is_none());
        drop((two, three));
        let three = bodies.meter();
        assert!(read(&three, 40).await);
        assert!(three.refusal().is_none());
    }

    #[tokio::test]
    async fn one_alone_may_be_larger() {
        let bodies = Bodies::at_most(100);
        let alone = bodies.meter();
        assert!(read(&alone, 1_000).await);
        let other = bodies.meter();
        assert!(!read(&other, 1).await);
        drop((alone, other));
        assert!(read(&bodies.meter(), 1).await);
    }
}
