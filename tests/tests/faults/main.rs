//! What breaks around the server, with the real binary and real workerd: the disk, the clock, the network, and user code.
//!
//! Each test has a row in docs/reliability.md.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "these are tests; the lints know only functions marked as one"
)]

mod code;
mod connections;
mod events;
mod machine;
mod stream;
mod watch;
