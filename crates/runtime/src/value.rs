//! Values of user code, encoded: everything the structured clone algorithm holds.
//!
//! The first byte says the form. `j`: the rest is the value as JSON text (the fast path: only what JSON keeps
//! unchanged). `g`: the rest is a JSON text in the graph form of PROTOCOL.md. `s`: the rest is the JSON text of a
//! [`StoredStream`]. The JavaScript side is `js/value.js`.

mod date;
mod graph;
mod plain;
mod render;
mod stream;

pub use stream::{PREVIEW_BYTES, StoredStream};

use bytes::Bytes;
use serde_json::value::RawValue;

/// An encoded value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(Bytes);

/// Bytes that are no encoded value: a broken database, a broken frame or JSON text that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an encoded value: {0}")]
pub struct CorruptValue(pub(crate) String);

/// The forms of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Graph,
    Stream,
}

impl Form {
    fn of(byte: u8) -> Option<Self> {
        match byte {
            b'j' => Some(Self::Json),
            b'g' => Some(Self::Graph),
            b's' => Some(Self::Stream),
            _ => None,
        }
    }
}

impl Value {
    /// The value of a JSON text.
    ///
    /// # Errors
    /// [`CorruptValue`] where it is no JSON.
    pub fn from_json(text: &str) -> Result<Self, CorruptValue> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| CorruptValue(error.to_string()))?;
        Ok(Self::join(b'j', raw.get()))
    }

    /// The value with these bytes, which need not be trusted.
    ///
    /// # Errors
    /// [`CorruptValue`] where they are not what [`as_bytes`](Self::as_bytes) gives.
    pub fn from_stored(bytes: Bytes) -> Result<Self, CorruptValue> {
        let form = bytes.first().copied().and_then(Form::of);
        let form = form.ok_or_else(|| CorruptValue("it must begin with 'j', 'g' or 's'".into()))?;
        let body = std::str::from_utf8(&bytes[1..]).map_err(|error| CorruptValue(error.to_string()))?;
        match form {
            Form::Json => {
                serde_json::from_str::<&RawValue>(body).map_err(|error| CorruptValue(error.to_string()))?;
            }
            Form::Graph => {
                graph::parse(body)?;
            }
            Form::Stream => {
                StoredStream::parse(body)?;
            }
        }
        Ok(Self(bytes))
    }

    /// The value of a frame's `form, body`. Streams do not come this way: a process cannot name one.
    pub(crate) fn from_frame(form: &str, body: &RawValue) -> Result<Self, CorruptValue> {
        match form {
            "j" => Ok(Self::join(b'j', body.get())),
            "g" => {
                graph::parse(body.get())?;
                Ok(Self::join(b'g', body.get()))
            }
            _ => Err(CorruptValue(format!("form {form:?}, expected \"j\" or \"g\""))),
        }
    }

    fn join(form: u8, body: &str) -> Self {
        let mut bytes = Vec::with_capacity(body.len() + 1);
        bytes.push(form);
        bytes.extend_from_slice(body.as_bytes());
        Self(bytes.into())
    }

    /// `{}`
    pub fn empty_object() -> Self {
        Self(Bytes::from_static(b"j{}"))
    }

    /// `undefined`
    pub fn undefined() -> Self {
        Self(Bytes::from_static(b"g[[\"u\"]]"))
    }

    /// A stream that a step has returned.
    pub fn stream(stream: &StoredStream) -> Self {
        // Text and numbers can always be written.
        Self::join(b's', &serde_json::to_string(stream).unwrap_or_default())
    }

    /// The stream, where it is one.
    pub fn as_stream(&self) -> Option<StoredStream> {
        match self.parts() {
            (b's', body) => serde_json::from_slice(body).ok(),
            _ => None,
        }
    }

    /// What it is to somebody who reads no streams: of a stream, the preview.
    #[must_use]
    pub fn without_stream(self) -> Self {
        match self.as_stream() {
            Some(_) => Self::join(b'j', &self.to_json_text()),
            None => self,
        }
    }

    /// Whether it is `undefined`.
    pub fn is_undefined(&self) -> bool {
        self.0 == Self::undefined().0
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Number of bytes.
    #[expect(clippy::len_without_is_empty, reason = "a value is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Form and body as they stand in a frame.
    pub(crate) fn parts(&self) -> (u8, &[u8]) {
        self.0
            .split_first()
            .map_or((b'j', b"null"), |(form, body)| (*form, body))
    }

    /// The value as JSON text for clients to read (behaviour §3.2): what JSON cannot hold is described, such as
    /// `"[Uint8Array(3 bytes)]"`, and of a stream its preview; cycles, very deep and very large parts are cut. Nested at most 100 levels deep.
    pub fn to_json_text(&self) -> String {
        let (form, body) = self.parts();
        // Checked when the value was made, by every constructor.
        let body = std::str::from_utf8(body).unwrap_or("null");
        match Form::of(form) {
            Some(Form::Graph) => {
                graph::parse(body).map_or_else(|_| "null".into(), |nodes| render::render(&nodes))
            }
            Some(Form::Stream) => {
                let preview = StoredStream::parse(body).map(|stream| stream.preview);
                serde_json::to_string(&preview.unwrap_or_default()).unwrap_or_default()
            }
            Some(Form::Json) | None => plain::for_reading(body),
        }
    }
}

#[cfg(test)]
mod tests;
