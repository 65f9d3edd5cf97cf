//! What the black-box tests share: the real binary, an HTTP server for Workers to talk to, and the REST API.
//!
//! Everything here panics with a message when the world is not as a test wants it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "this crate is part of the tests"
)]

mod binary;
mod project;
mod recorder;
mod rest;
mod tools;
mod wait;

pub use binary::{Cairn, Ended, Running, TOKEN, is_alive};
pub use project::{Scratch, example, root};
pub use recorder::{Recorder, Reply, Seen};
pub use rest::{Answer, Raw, Rest};
pub use tools::{Wrangler, clients, esbuild, python_tool, workerd};
pub use wait::{until, within};

/// Lets HTTP clients of this process be made: reqwest is built without cryptography of its own, because the command brings ring.
pub fn tls_provider() {
    // A second call finds it done.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The `cairn` binary of this build. Only tests that are targets of cairn-cli can name it.
#[macro_export]
macro_rules! cairn {
    () => {
        $crate::Cairn::new(env!("CARGO_BIN_EXE_cairn"))
    };
}
