//! What the fuzz targets (`fuzz/`) reach of the inside of this crate. No part of its interface.

use crate::frame::{FrameWriter, Message, decode};
use crate::{Command, Outcome, ReportKind, RunId, Value};
use cairn_core::CallId;

/// A frame, as far as it was read.
#[derive(Debug, PartialEq)]
pub struct ReadFrame {
    /// How many messages it had.
    pub count: usize,
    /// The values in them.
    pub values: Vec<Value>,
    /// Why it was refused, if it was.
    pub refusal: Option<String>,
}

/// Reads a frame from a process.
pub fn messages(frame: &str) -> ReadFrame {
    let (mut count, mut values) = (0, Vec::new());
    let read = decode(frame, |message| {
        count += 1;
        if let Message::Report {
            kind: ReportKind::AttemptSucceeded { output, .. } | ReportKind::Returned { output },
            ..
        } = message
        {
            values.push(output);
        }
        Ok(())
    });
    ReadFrame {
        count,
        values,
        refusal: read.err().map(|error| error.to_string()),
    }
}

/// The frames with which a value is handed to a run.
///
/// # Errors
/// Where it is too large for one.
pub fn framed(value: &Value) -> Result<Vec<Vec<u8>>, String> {
    let mut writer = FrameWriter::default();
    let settle = Command::Settle {
        run: RunId(1),
        call: CallId(2),
        outcome: Outcome::Value(value.clone().without_stream()),
    };
    writer.push(&settle).map_err(|error| error.to_string())?;
    Ok(writer.take())
}

/// What a message of Cap'n Proto's RPC protocol is read as, and whether putting each id where it stands leaves it as it is.
///
/// # Errors
/// Why it cannot be read.
pub fn rpc_message(bytes: &[u8]) -> Result<(String, bool), String> {
    crate::workerd::examine_message(bytes)
}
