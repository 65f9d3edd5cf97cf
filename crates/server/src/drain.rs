//! What is left of a request body when its answer is ready.
//!
//! An answer that overtakes its request is often lost: the connection is closed on what the client still sends, and the client sees
//! that instead of the answer. So a rest of moderate size is read before the answer goes out.

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body as _, Frame, SizeHint};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Bytes that are read for nothing; whoever sends more loses the connection.
const DRAIN_BYTES: usize = 8 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Where the rest of a body comes back to.
#[derive(Clone, Default)]
pub(crate) struct Rest(Arc<Mutex<Option<Body>>>);

/// A body that gives back what was not read of it.
struct Lent {
    body: Option<Body>,
    rest: Rest,
}

impl Rest {
    /// Lends a body out. One that the client has not begun to send (it waits for `100 Continue`) is not asked for later.
    pub(crate) fn lend(&self, body: Body, headers: &HeaderMap) -> Body {
        if headers.contains_key(header::EXPECT) || body.is_end_stream() {
            return body;
        }
        Body::new(Lent {
            body: Some(body),
            rest: self.clone(),
        })
    }

    /// Reads what was not read.
    pub(crate) async fn drain(&self) {
        let Some(body) = self.0.lock().take().filter(|body| !body.is_end_stream()) else {
            return;
        };
        // However it ends, the answer is ready.
        let _ = tokio::time::timeout(DRAIN_TIME, Limited::new(body, DRAIN_BYTES).collect()).await;
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.rest.0.lock() = self.body.take();
    }
}

impl hyper::body::Body for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{StreamExt, stream};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn the_rest_is_read_once() {
        let sent = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&sent);
        let chunks = stream::iter(0..5).map(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>(Bytes::from_static(b"xx"))
        });
        let rest = Rest::default();
        let mut lent = rest.lend(Body::from_stream(chunks), &HeaderMap::new());
        lent.frame().await.unwrap().unwrap();
        drop(lent);
        assert_eq!(sent.load(Ordering::Relaxed), 1);
        rest.drain().await;
        assert_eq!(sent.load(Ordering::Relaxed), 5);
        rest.drain().await;
    }

    #[tokio::test]
    async fn a_body_without_end_is_given_up() {
        let chunks = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![0; 1 << 20])));
        let rest = Rest::default();
        drop(rest.lend(Body::from_stream(chunks), &HeaderMap::new()));
        rest.drain().await;
    }
}
