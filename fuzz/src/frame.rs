//! Frames from a process.

use crate::value::readable;
use crate::{Fault, Verdict, require};
use cairn_runtime::fuzzing::messages;

/// The bytes are a frame as it comes from the socket.
pub(crate) fn check(bytes: &[u8]) -> Result<Verdict, Fault> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Ok(Verdict::Refused("not UTF-8".into()));
    };
    let read = messages(text);
    for value in &read.values {
        readable(value)?;
    }
    require(messages(text) == read, || {
        format!("read twice, {text:?} is two frames")
    })?;
    match read.refusal {
        None => {
            let raw: Result<Vec<&serde_json::value::RawValue>, _> = serde_json::from_str(text);
            require(raw.is_ok_and(|raw| raw.len() == read.count), || {
                format!("{} messages were read of {text:?}", read.count)
            })?;
            Ok(Verdict::Accepted)
        }
        Some(refusal) => Ok(Verdict::Refused(refusal)),
    }
}
