//! The runtime with real workerd processes.
//!
//! They need the executable: the environment variable `CAIRN_WORKERD`, or the npm package `workerd` in a `node_modules`
//! folder upwards of this crate. Without it they are skipped; with `CI=true` they fail.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests, with helpers outside of test functions"
)]

mod bindings;
mod harness;
mod logs;
mod processes;
mod rollbacks;
mod runs;
mod services;
mod streams;
mod subscriptions;
mod throughput;
mod values;
