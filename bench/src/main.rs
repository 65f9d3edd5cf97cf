//! The bench: `cargo run --release -p cairn-bench`.
//!
//! Starts the release build of `cairn serve` (build it first: `cargo build --release`) on a fresh data directory, deploys one small Worker, and measures over HTTP,
//! as a client would, with every write synced to disk. See docs/performance.md for what the figures mean. `--rounds 3` prints medians.

#![allow(clippy::print_stdout)]

mod server;
mod workloads;

use anyhow::Context;
use clap::Parser;
use server::Server;
use std::path::PathBuf;

/// Steps, creations, latency and memory of a running cairn.
#[derive(Parser)]
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
    /// Only these: sequential, concurrent, latency, create, sleep.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
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
    let wants = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    let mut server = Server::start(&options.cairn, &data_dir).await?;
    server.deploy().await?;
    workloads::warm_up(&server).await?;
    println!("{:<58} {:>12}   floor", "workload", "median");
    let rounds = options.rounds;
    if wants("sequential") {
        let figures = repeat(rounds, async || workloads::sequential(&server, 1_000).await).await?;
        row(
            "(a) steps/s, one instance of 1,000 steps",
            percentile(&figures, 50),
            "1500",
        );
    }
    if wants("concurrent") {
        let figures = repeat(rounds, async || workloads::concurrent(&server, 1_000, 100).await).await?;
        row(
            "(b) steps/s, 1,000 instances of 10 steps, 100 in flight",
            percentile(&figures, 50),
            "10000",
        );
    }
    if wants("latency") {
        let samples = workloads::latency(&server, 200 * rounds).await?;
        row(
            "(c) start to complete of a one-step instance, p50 ms",
            percentile(&samples, 50),
            "4",
        );
        row("    the same, p99 ms", percentile(&samples, 99), "");
    }
    if wants("create") {
        let figures = repeat(rounds, async || workloads::create(&server, 5_000, 64).await).await?;
        row(
            "(d) creations/s over HTTP, 64 clients",
            percentile(&figures, 50),
            "3000",
        );
    }
    if wants("sleep") {
        server.restart().await?;
        let before = server.resident_mib()?;
        workloads::sleepers(&server, 10_000).await?;
        row(
            "(e) resident MiB of cairn with 10,000 sleeping instances",
            server.resident_mib()?,
            "150",
        );
        row("    the same before them", before, "");
    }
    server.stop().await
}

async fn repeat(
    rounds: usize,
    mut workload: impl AsyncFnMut() -> anyhow::Result<f64>,
) -> anyhow::Result<Vec<f64>> {
    let mut figures = Vec::with_capacity(rounds);
    for _ in 0..rounds.max(1) {
        figures.push(workload().await?);
    }
    Ok(figures)
}

fn percentile(figures: &[f64], percent: usize) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
        .get((sorted.len().saturating_sub(1) * percent + 50) / 100)
        .copied()
        .unwrap_or(f64::NAN)
}

fn row(name: &str, figure: f64, floor: &str) {
    let digits = if figure < 100.0 { 2 } else { 0 };
    println!("{name:<58} {figure:>12.digits$}   {floor}");
}
