//! End to end: the real binary, real workerd, the examples, and what a user does wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "this is a test; the lints know only functions marked as one"
)]

mod backup;
mod bad_input;
mod cli;
mod concurrency;
mod dev;
mod drain;
mod examples;
mod graphs;
mod health;
mod processes;
mod projects;
mod saga;
mod schedules;
mod secrets;
mod services;
mod streams;
mod subscribe;
mod testing;
