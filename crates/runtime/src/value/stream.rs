//! The stream form: what the journal keeps of a stream that a step has returned. Its pieces are in the store.

use super::CorruptValue;
use serde::{Deserialize, Serialize};

/// Bytes at the beginning of a stream that its preview is made of.
pub const PREVIEW_BYTES: usize = 4 * PREVIEW_CHARS;
/// Characters of a preview.
const PREVIEW_CHARS: usize = 1_024;
const CUT_MARK: &str = "[truncated output]";

/// A stream in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredStream {
    /// Names it within its instance.
    #[serde(rename = "stream")]
    pub number: u64,
    /// Its pieces.
    pub chunks: u32,
    /// Its length.
    pub bytes: u64,
    /// What clients see of it: its beginning, where it is text.
    pub preview: String,
}

impl StoredStream {
    /// A stream that begins with `head`: its first [`PREVIEW_BYTES`], or all of it.
    pub fn new(number: u64, (chunks, bytes): (u32, u64), head: &[u8]) -> Self {
        Self {
            number,
            chunks,
            bytes,
            preview: preview(head, bytes),
        }
    }

    pub(super) fn parse(body: &str) -> Result<Self, CorruptValue> {
        serde_json::from_str(body).map_err(|error| CorruptValue(error.to_string()))
    }
}

/// The beginning as text (behaviour §3.2).
fn preview(head: &[u8], bytes: u64) -> String {
    let head = &head[..head.len().min(PREVIEW_BYTES)];
    let is_part = bytes > head.len() as u64;
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A character may stand across the end of a part.
        Err(error) if is_part && error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return format!("[ReadableStream (binary): {bytes} bytes]"),
    };
    match text.char_indices().nth(PREVIEW_CHARS) {
        Some((end, _)) => format!("{}{CUT_MARK}", &text[..end]),
        None if is_part => format!("{text}{CUT_MARK}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_shown_and_cut() {
        assert_eq!(preview(b"", 0), "");
        assert_eq!(preview("héllo".as_bytes(), 6), "héllo");
        assert_eq!(preview(&[b'x'; 1_024], 1_024), "x".repeat(1_024));
        let cut = format!("{}{CUT_MARK}", "x".repeat(1_024));
        assert_eq!(preview(&[b'x'; 1_025], 1_025), cut);
        assert_eq!(preview(&[b'x'; 4_096], 1 << 30), cut);
        // 4,096 bytes end within the last of 1,366 characters; 1,024 of them are shown.
        let wide = "€".repeat(2_000);
        assert_eq!(
            preview(&wide.as_bytes()[..4_096], 6_000),
            format!("{}{CUT_MARK}", "€".repeat(1_024))
        );
    }

    #[test]
    fn what_is_no_text_is_described() {
        assert_eq!(preview(&[0xff, 0xfe], 2), "[ReadableStream (binary): 2 bytes]");
        // The last character is not whole, and nothing follows.
        assert_eq!(
            preview(&[b'a', 0xe2, 0x82], 3),
            "[ReadableStream (binary): 3 bytes]"
        );
        assert_eq!(
            preview(&[0xff; 4_096], 5_000),
            "[ReadableStream (binary): 5000 bytes]"
        );
    }
}
