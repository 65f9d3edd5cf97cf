//! The promises of [`Store`](crate::Store), as tests that run on every store.
