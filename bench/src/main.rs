//! The bench: `cargo run --release -p cairn-bench`, and against others `cargo run --release -p cairn-bench -- --peers all`.
//!
//! Starts the release build of `cairn serve` (build it first: `cargo build --release`) on a fresh data directory, deploys one small Worker, and measures over HTTP,
//! as a client would, with every write synced to disk. See docs/performance.md for what the figures mean. `--rounds 3` prints medians.
//!
//! To read: `alone.rs` is Cairn against its floors; `compare.rs` is Cairn beside its peers, from `start.rs` (each system) by `load.rs` (the workloads, the same
//! for all, through `door.rs`) to `report.rs` (the table).

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tables and progress are what it is for"
)]

mod alone;
mod compare;
mod door;
mod figures;
mod http;
mod load;
mod machine;
mod million;
mod postgres;
mod processes;
mod report;
mod server;
mod sleepers;
mod start;
mod system;
mod tools;
mod workloads;

use alone::Workload;
use anyhow::{Context, ensure};
use clap::Parser;
use compare::Plan;
use machine::Machine;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use system::{Counts, Peer};
use tokio::signal::unix::{SignalKind, signal};
use tools::Tools;

/// Steps, creations, latency and memory of a running cairn.
#[derive(Debug, Parser)]
struct Options {
    /// The program to measure.
    #[arg(long, default_value = "target/release/cairn")]
    cairn: PathBuf,
    /// Where the databases are made; must be on the disk that is meant.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// How often each workload runs; medians are printed.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only these workloads.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Workload>,
    #[command(flatten)]
    sizes: alone::Sizes,
    /// Measure these beside Cairn and print a comparison as Markdown; progress goes to stderr.
    #[arg(long, value_enum, value_delimiter = ',', conflicts_with = "only")]
    peers: Vec<Peer>,
    /// Next to nothing of each workload: shows that everything works, not how fast.
    #[arg(long, requires = "peers")]
    short: bool,
}

// One thread for the load generator: the cores are for what it measures.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // What is dropped ends its processes.
    tokio::select! {
        done = run(options) => done,
        _ = interrupt.recv() => anyhow::bail!("interrupted"),
        _ = terminate.recv() => anyhow::bail!("terminated"),
    }
}

async fn run(options: Options) -> anyhow::Result<()> {
    ensure!(
        options.cairn.exists(),
        "{} does not exist; build it first: cargo build --release",
        options.cairn.display()
    );
    let rounds = options.rounds.max(1);
    let scratch = tempfile::tempdir().context("no temporary directory")?;
    let data_dir = options
        .data_dir
        .clone()
        .unwrap_or_else(|| scratch.path().join("data"));
    if options.peers.is_empty() {
        return alone::run(&options.cairn, &data_dir, (rounds, options.sizes), &options.only).await;
    }
    // PostgreSQL may run as another user, who has to get there.
    std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o755))?;
    std::fs::create_dir_all(&data_dir).with_context(|| data_dir.display().to_string())?;
    let plan = Plan {
        systems: Peer::systems(&options.peers),
        rounds,
        counts: options.short.then_some(Counts::SHORT),
    };
    compare(&plan, &options.cairn, &data_dir.canonicalize()?).await
}

async fn compare(plan: &Plan, cairn: &Path, data_dir: &Path) -> anyhow::Result<()> {
    let tools = Tools::find(cairn, &plan.systems)?;
    let machine = Machine::look(data_dir)?;
    let results = compare::run(plan, &tools, data_dir).await?;
    print!("{}", report::markdown(plan, &results, &machine));
    let failed = results.failures.len();
    ensure!(failed == 0, "{failed} turns failed, see the end of the report");
    Ok(())
}
