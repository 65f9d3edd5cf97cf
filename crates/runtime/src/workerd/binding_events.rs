//! The events of an instance as the body of an answer to `js/subscription.js`: JSON texts, each ended by a record separator,
//! which stands in no JSON. The reader's pace is the writer's; a reader that goes away ends the subscription.

use crate::{BindingError, BindingEvent, EventSource};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde_json::json;
use std::convert::Infallible;

const SEPARATOR: char = '\u{1e}';

/// The events until their end, or until one cannot be had.
pub(super) fn body(source: Box<dyn EventSource>) -> UnsyncBoxBody<Bytes, Infallible> {
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

fn event_text(BindingEvent { fields, value }: &BindingEvent) -> String {
    let Some((name, value)) = value else {
        return format!("{{\"event\":{fields}}}");
    };
    let (form, body) = value.parts();
    // A value is checked to be UTF-8 when it is made.
    let body = std::str::from_utf8(body).unwrap_or("null");
    let form = char::from(form);
    format!("{{\"event\":{fields},\"value\":[\"{name}\",\"{form}\",{body}]}}")
}
