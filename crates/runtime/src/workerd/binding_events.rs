//! The events of an instance as the body of an answer to `js/subscription.js`: JSON texts, each ended by a record separator,
//! which stands in no JSON; and a stream that one of them tells of, as it is. The reader's pace is the writer's; a reader that goes away ends it.

use crate::{BindingError, BindingEvent, EventSource, PieceSource};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde_json::json;

const SEPARATOR: char = '\u{1e}';

/// The events until their end, or until one cannot be had.
pub(super) fn body(source: Box<dyn EventSource>) -> UnsyncBoxBody<Bytes, BindingError> {
    let texts = stream::unfold(Some(source), |source| async move {
        let mut source = source?;
        let (mut text, goes_on) = match source.next().await {
            Ok(Some(event)) => (event_text(&event), true),
            Ok(None) => ("{}".to_owned(), false),
            Err(BindingError { message }) => (json!({ "failure": message }).to_string(), false),
        };
        text.push(SEPARATOR);
        let frame = Ok(Frame::data(Bytes::from(text)));
        Some((frame, goes_on.then_some(source)))
    });
    StreamBody::new(texts).boxed_unsync()
}

/// The pieces of a stream. One that cannot be had breaks the connection, by which the reader learns of it.
pub(super) fn pieces(source: Box<dyn PieceSource>) -> UnsyncBoxBody<Bytes, BindingError> {
    let pieces = stream::unfold(Some(source), |source| async move {
        let mut source = source?;
        match source.next().await {
            Ok(Some(piece)) => Some((Ok(Frame::data(piece)), Some(source))),
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(%error, "a stream could not be read to its end");
                Some((Err(error), None))
            }
        }
    });
    StreamBody::new(pieces).boxed_unsync()
}

fn event_text(
    BindingEvent {
        fields,
        value,
        stream,
    }: &BindingEvent,
) -> String {
    if let Some(entry) = stream {
        return format!("{{\"event\":{fields},\"stream\":{entry}}}");
    }
    let Some((name, value)) = value else {
        return format!("{{\"event\":{fields}}}");
    };
    let (form, body) = value.parts();
    // A value is checked to be UTF-8 when it is made.
    let body = std::str::from_utf8(body).unwrap_or("null");
    let form = char::from(form);
    format!("{{\"event\":{fields},\"value\":[\"{name}\",\"{form}\",{body}]}}")
}
