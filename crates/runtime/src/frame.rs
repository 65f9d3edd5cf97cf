//! Frames between cairn and a process (PROTOCOL.md): commands out, messages in.

mod decode;
mod encode;

pub(crate) use decode::{Level, Log, Message, ProtocolError, decode};
pub(crate) use encode::{FrameWriter, ping};

/// A message may have this many bytes; workerd takes no more than 32 MiB.
pub(crate) const LARGEST_MESSAGE: usize = 32 << 20;
/// A frame that has reached this many bytes is closed.
const FULL_FRAME: usize = 4 << 20;

#[cfg(test)]
mod tests;
