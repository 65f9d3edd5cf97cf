//! The clients people have, unmodified: wrangler and Cloudflare's SDKs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "this is a test; the lints know only functions marked as one"
)]

mod harness;
mod openapi;
mod python;
mod sdk;
mod tail;
mod typescript;
mod wrangler;
mod wrangler_bindings;
mod wrangler_older;
mod wrangler_scripts;
