//! The bench: `cargo run --release -p cairn-bench`.
//!
//! Starts the release build of `cairn serve` (build it first: `cargo build --release`) on a fresh data directory, deploys one small Worker, and measures over HTTP,
//! as a client would, with every write synced to disk. See docs/performance.md for what the figures mean. `--rounds 3` prints medians.

#![allow(clippy::print_stdout, reason = "a table is what it is for")]

mod alone;
mod figures;
mod server;
mod workloads;

use alone::Workload;
use anyhow::Context;
use clap::Parser;
use std::path::PathBuf;

/// Steps, creations, latency and memory of a running cairn.
#[derive(Debug, Parser)]
struct Options {
    /// The program to measure.
    #[arg(long, default_value = "target/release/cairn")]
    cairn: PathBuf,
    /// Where the database is made; must be on the disk that is meant.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// How often each workload runs; medians are printed.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only these workloads.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Workload>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    anyhow::ensure!(
        options.cairn.exists(),
        "{} does not exist; build it first: cargo build --release",
        options.cairn.display()
    );
    let scratch = tempfile::tempdir().context("no temporary directory")?;
    let data_dir = options
        .data_dir
        .clone()
        .unwrap_or_else(|| scratch.path().join("data"));
    let rounds = options.rounds.max(1);
    alone::run(&options.cairn, &data_dir, rounds, &options.only).await
}
