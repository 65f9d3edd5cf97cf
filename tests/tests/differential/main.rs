//! The same small workflows on cairn and on Cloudflare's two public engines, side by side: what differs is in `differences.toml`, with a
//! reason, or the test fails. It fails as well when something there no longer differs.
//!
//! The tools come from `npm install` in `tests/`. Without them the test is skipped with a message, and fails where `CI=true`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a test; the lints know only functions marked as one"
)]

mod compare;
mod engines;
mod suite;
mod table;

use std::fmt::Write as _;
use suite::Outcome;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_difference_is_known() {
    let Some(Outcome {
        unknown,
        stale,
        summary,
    }) = suite::run().await
    else {
        return;
    };
    println!("{summary}");
    let mut told = String::new();
    for line in unknown.iter().chain(&stale) {
        writeln!(told, "{line}").unwrap();
    }
    assert!(
        told.is_empty(),
        "{told}\n{} differences are not in tests/differential/differences.toml, and {} that are there no longer show",
        unknown.len(),
        stale.len()
    );
}

#[test]
fn the_documented_table_is_the_one_that_is_checked() {
    let path = cairn_tests::root().join("docs/differences.md");
    let documented = std::fs::read_to_string(&path).unwrap_or_default();
    let table = suite::table().markdown();
    assert!(
        documented.contains(&table),
        "docs/differences.md should have\n\n{table}"
    );
}
