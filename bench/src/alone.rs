//! Cairn alone: each workload in its turn, against the floors of docs/performance.md.

use crate::figures::{percentile, row};
use crate::server::Server;
use crate::{million, sleepers, workloads};
use clap::ValueEnum;
use std::path::Path;

/// What can be measured. A new one is a variant here and an arm in [`measure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// (a) One instance of 1,000 steps.
    Sequential,
    /// (b) 1,000 instances of 10 steps, 100 in flight.
    Concurrent,
    /// (c) One instance of one step after the other.
    Latency,
    /// (d) Creations by 64 clients.
    Create,
    /// (e) 10,000 sleeping instances.
    Sleep,
    /// (e) 100,000 sleeping instances, and how late 10,000 wake that are due in the same second.
    Sleepers,
    /// (f) A thousand finished instances in the store against a million.
    Million,
}

/// How many instances the larger workloads have.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Sizes {
    /// Instances that sleep, in `sleepers`.
    #[arg(long, default_value_t = 100_000)]
    sleeping: u64,
    /// Instances that are due in the same second, in `sleepers`.
    #[arg(long, default_value_t = 10_000)]
    due: u64,
    /// Finished instances, in `million`.
    #[arg(long, default_value_t = 1_000_000)]
    finished: u64,
}

impl Workload {
    /// Whether it is measured on servers of its own.
    fn is_apart(self) -> bool {
        matches!(self, Self::Sleepers | Self::Million)
    }
}

/// What runs when nothing is chosen, in this order.
const USUAL: &[Workload] = &[
    Workload::Sequential,
    Workload::Concurrent,
    Workload::Latency,
    Workload::Create,
    Workload::Sleep,
];

/// Measures on one server with a fresh database and prints a line for each figure.
pub(crate) async fn run(
    cairn: &Path,
    data_dir: &Path,
    (rounds, sizes): (usize, Sizes),
    only: &[Workload],
) -> anyhow::Result<()> {
    let chosen = if only.is_empty() { USUAL } else { only };
    let (apart, chosen): (Vec<Workload>, Vec<Workload>) =
        chosen.iter().partition(|workload| workload.is_apart());
    for workload in apart {
        if workload == Workload::Sleepers {
            let (sleeping, due) = (sizes.sleeping, sizes.due);
            sleepers::run(
                cairn,
                &data_dir.join("sleepers"),
                sleepers::Sizes { sleeping, due },
            )
            .await?;
        } else {
            million::run(cairn, &data_dir.join("million"), (sizes.finished, rounds)).await?;
        }
    }
    if chosen.is_empty() {
        return Ok(());
    }
    let mut server = Server::start(cairn, data_dir).await?;
    server.deploy().await?;
    workloads::warm_up(&server).await?;
    println!("{:<58} {:>12}   floor", "workload", "median");
    for workload in chosen {
        measure(workload, &mut server, rounds).await?;
    }
    server.stop().await
}

async fn measure(workload: Workload, server: &mut Server, rounds: usize) -> anyhow::Result<()> {
    match workload {
        Workload::Sequential => {
            let figures = repeat(rounds, async || workloads::sequential(server, 1_000).await).await?;
            let median = percentile(&figures, 50);
            row("(a) steps/s, one instance of 1,000 steps", median, "1500");
        }
        Workload::Concurrent => {
            let figures = repeat(rounds, async || workloads::concurrent(server, 1_000, 100).await).await?;
            let name = "(b) steps/s, 1,000 instances of 10 steps, 100 in flight";
            row(name, percentile(&figures, 50), "10000");
        }
        Workload::Latency => {
            let samples = workloads::latency(server, 200 * rounds).await?;
            let name = "(c) start to complete of a one-step instance, p50 ms";
            row(name, percentile(&samples, 50), "4");
            row("    the same, p99 ms", percentile(&samples, 99), "");
        }
        Workload::Create => {
            let figures = repeat(rounds, async || workloads::create(server, 5_000, 64).await).await?;
            let median = percentile(&figures, 50);
            row("(d) creations/s over HTTP, 64 clients", median, "3000");
        }
        Workload::Sleep => {
            server.restart().await?;
            let before = server.resident_mib()?;
            workloads::sleepers(server, 10_000).await?;
            let name = "(e) resident MiB of cairn with 10,000 sleeping instances";
            row(name, server.resident_mib()?, "150");
            row("    the same before them", before, "");
        }
        // They have servers of their own.
        Workload::Sleepers | Workload::Million => {}
    }
    Ok(())
}

async fn repeat(
    rounds: usize,
    mut workload: impl AsyncFnMut() -> anyhow::Result<f64>,
) -> anyhow::Result<Vec<f64>> {
    let mut figures = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        figures.push(workload().await?);
    }
    Ok(figures)
}
