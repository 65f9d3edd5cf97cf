//! Values of user code, encoded: everything the structured clone algorithm holds.
//!
//! The first byte says the form. `j`: the rest is the value as JSON text (the fast path: only what JSON keeps
//! unchanged). `g`: the rest is a JSON text in the graph form of PROTOCOL.md. The JavaScript side is `js/value.js`.

use bytes::Bytes;

/// An encoded value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(Bytes);
