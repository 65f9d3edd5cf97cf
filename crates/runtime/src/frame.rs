//! Frames between cairn and a process (PROTOCOL.md): commands out, messages in.

mod decode;
mod encode;

pub(crate) use decode::{Level, Log, Message, ProtocolError, decode};
pub(crate) use encode::{FrameWriter, ping};

/// The largest piece of a stream, in bytes.
pub const CHUNK_BYTES: usize = 256 << 10;

/// workerd takes no frame that is larger (bytes).
const LARGEST_FRAME: usize = 32 << 20;
/// A frame that has reached this many bytes is closed.
const FULL_FRAME: usize = 4 << 20;
/// The largest value that can be handed to a run, in bytes: limits of results, payloads and parameters must not be higher.
pub const LARGEST_VALUE: usize = LARGEST_FRAME - FULL_FRAME - (1 << 20);

#[cfg(test)]
mod tests;
