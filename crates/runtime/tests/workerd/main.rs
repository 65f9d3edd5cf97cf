//! The runtime with real workerd processes.
//!
//! They need the executable: the environment variable `CAIRN_WORKERD`, or the npm package `workerd` in a `node_modules`
//! folder upwards of this crate. Without it they are skipped; with `CI=true` they fail.

mod bindings;
mod harness;
mod logs;
mod processes;
mod runs;
mod throughput;
mod values;
