//! The codec of values: bytes as they are stored, and JSON text from clients.

use crate::{Fault, Verdict, require};
use bytes::Bytes;
use cairn_runtime::Value;
use serde_json::Value as Json;

/// The bytes are a value as it is stored; without the first, they may be JSON text.
pub(crate) fn check(bytes: &[u8]) -> Result<Verdict, Fault> {
    if let Some(text) = bytes.get(1..).and_then(|rest| std::str::from_utf8(rest).ok()) {
        from_json(text)?;
    }
    match Value::from_stored(Bytes::copy_from_slice(bytes)) {
        Ok(value) => {
            require(value.as_bytes() == bytes, || {
                "a value is not the bytes it was read from".into()
            })?;
            readable(&value)?;
            Ok(Verdict::Accepted)
        }
        Err(error) => Ok(Verdict::Refused(error.to_string())),
    }
}

fn from_json(text: &str) -> Result<(), Fault> {
    let Ok(value) = Value::from_json(text) else {
        return Ok(());
    };
    let again = Value::from_stored(value.as_bytes().clone());
    require(again.as_ref() == Ok(&value), || {
        format!("{text:?} cannot be stored: {again:?}")
    })?;
    // What JSON readers understand is the same value before and after.
    if let Ok(json) = serde_json::from_str::<Json>(text) {
        let shown = serde_json::from_str::<Json>(&value.to_json_text());
        require(
            shown.is_ok_and(|shown| shown == json || depth(&json) > 100),
            || format!("{text:?} is shown as {}", value.to_json_text()),
        )?;
    }
    readable(&value)
}

fn depth(json: &Json) -> usize {
    match json {
        Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Json::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => 0,
    }
}

/// What holds of every value there is.
pub(crate) fn readable(value: &Value) -> Result<(), Fault> {
    let text = value.to_json_text();
    // Numbers may be larger than serde_json's own reader takes, so only the form is looked at.
    let parsed = serde_json::from_str::<&serde_json::value::RawValue>(&text);
    require(parsed.is_ok(), || {
        format!("{value:?} is shown as {text:?}: {parsed:?}")
    })?;
    let nested = text_depth(&text);
    require(nested <= 100, || {
        format!("{value:?} is shown nested {nested} levels deep")
    })?;
    let plain = value.clone().without_stream();
    require(plain.as_stream().is_none(), || {
        format!("{value:?} is a stream without its stream")
    })?;
    require(plain.to_json_text() == text, || {
        format!("{value:?} is shown differently as {plain:?}")
    })?;
    let stored = Value::from_stored(plain.as_bytes().clone());
    require(stored.as_ref() == Ok(&plain), || {
        format!("{plain:?} cannot be stored: {stored:?}")
    })?;
    if let Some(stream) = value.as_stream() {
        let again = Value::stream(&stream);
        require(again.as_stream().as_ref() == Some(&stream), || {
            format!("{value:?} is another stream when it is written: {again:?}")
        })?;
    }
    for frame in cairn_runtime::fuzzing::framed(value)? {
        require(
            serde_json::from_slice::<Vec<&serde_json::value::RawValue>>(&frame).is_ok(),
            || format!("{value:?} in a frame: {}", String::from_utf8_lossy(&frame)),
        )?;
    }
    Ok(())
}

/// Levels of nesting of a valid JSON text.
fn text_depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
