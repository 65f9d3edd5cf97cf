//! Cairn and its peers side by side: one system at a time, in turns, each turn on a fresh folder of the same disk.
//!
//! A turn starts the system, warms it up, runs the four workloads and stops it, so that what idles takes nothing from what is measured. Rounds follow each
//! other: whatever changes on the machine meanwhile meets all of them.

use crate::figures::percentile;
use crate::load::{self, STEPS};
use crate::processes::Cpu;
use crate::start::{Running, start};
use crate::system::{Counts, System};
use crate::tools::{Tools, first_line};
use anyhow::Context;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// The longest one workload may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Metric {
    Sequential,
    Concurrent,
    LatencyMedian,
    LatencyTail,
    Create,
}

impl Metric {
    pub(crate) const ALL: [Self; 5] = [
        Self::Sequential,
        Self::Concurrent,
        Self::LatencyMedian,
        Self::LatencyTail,
        Self::Create,
    ];
}

/// All that was measured of one metric on one system.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series {
    /// One figure a round.
    pub(crate) figures: Vec<f64>,
    /// Milliseconds of CPU an operation, by the name of the program, one figure a round.
    pub(crate) cpu: BTreeMap<String, Vec<f64>>,
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) series: BTreeMap<(System, Metric), Series>,
    /// What each system consists of, with versions.
    pub(crate) versions: BTreeMap<System, String>,
    /// What went wrong.
    pub(crate) failures: Vec<String>,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) systems: Vec<System>,
    pub(crate) rounds: usize,
    /// The same counts for all, or each system its own.
    pub(crate) counts: Option<Counts>,
}

impl Plan {
    pub(crate) fn counts(&self, system: System) -> Counts {
        self.counts.unwrap_or_else(|| system.counts())
    }
}

/// Measures. A system that fails in a turn is noted and the others go on.
pub(crate) async fn run(plan: &Plan, tools: &Tools, data_dir: &Path) -> anyhow::Result<Results> {
    let mut results = Results::default();
    for system in &plan.systems {
        let versions = tools.versions(*system)?;
        results.versions.insert(*system, versions);
    }
    for round in 1..=plan.rounds {
        for system in &plan.systems {
            let name = system.name();
            let begun = Instant::now();
            eprint!("round {round} of {}: {name:<14}", plan.rounds);
            let folder = data_dir.join(format!("{}-{round}", system.slug()));
            let done = turn(*system, plan.counts(*system), tools, &folder, &mut results).await;
            if let Err(error) = done {
                results.failures.push(format!("{name}, round {round}: {error:#}"));
                eprint!(" FAILED: {error:#}");
            }
            eprintln!(" ({:.0} s)", begun.elapsed().as_secs_f64());
            // A database that stays would only fill the disk.
            let _ = fs::remove_dir_all(&folder);
        }
    }
    Ok(results)
}

async fn turn(
    system: System,
    counts: Counts,
    tools: &Tools,
    folder: &Path,
    results: &mut Results,
) -> anyhow::Result<()> {
    fs::create_dir(folder).with_context(|| folder.display().to_string())?;
    let running = start(system, tools, folder).await?;
    let measured = measure(system, counts, &running, results).await;
    let measured = measured.with_context(|| format!("it said last: {}", running.last_words()));
    running.stop().await?;
    measured
}

async fn measure(
    system: System,
    counts: Counts,
    running: &Running,
    results: &mut Results,
) -> anyhow::Result<()> {
    let door = &running.door;
    // Starts processes, fills caches, lets just-in-time compilers compile.
    timely(load::concurrent(door, (counts.instances / 25).max(4), 50)).await?;
    timely(load::sequential(door, counts.steps / 2)).await?;
    timely(load::latency(door, counts.samples / 20)).await?;
    if system == System::Cairn {
        name_workerd(running, results)?;
    }
    let mut turn = Turn {
        system,
        running,
        results,
    };
    let seconds = turn
        .watch(
            Metric::Sequential,
            counts.steps,
            load::sequential(door, counts.steps),
        )
        .await?;
    turn.note(Metric::Sequential, rate(counts.steps, seconds));
    let steps = counts.instances * STEPS;
    let work = load::concurrent(door, counts.instances, counts.in_flight);
    let seconds = turn.watch(Metric::Concurrent, steps, work).await?;
    turn.note(Metric::Concurrent, rate(steps, seconds));
    let work = load::latency(door, counts.samples);
    let samples = turn.watch(Metric::LatencyMedian, counts.samples, work).await?;
    turn.note(Metric::LatencyMedian, percentile(&samples, 50));
    turn.note(Metric::LatencyTail, percentile(&samples, 99));
    let work = load::create(door, counts.creations);
    let seconds = turn.watch(Metric::Create, counts.creations, work).await?;
    turn.note(Metric::Create, rate(counts.creations, seconds));
    Ok(())
}

/// One turn of one system.
struct Turn<'turn> {
    system: System,
    running: &'turn Running,
    results: &'turn mut Results,
}

impl Turn<'_> {
    /// Does the work and notes the CPU time that all processes have taken for it.
    async fn watch<T>(
        &mut self,
        metric: Metric,
        operations: u64,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let snapshot = || (Cpu::of(&self.running.roots()), Cpu::of_one(std::process::id()));
        let (system_before, client_before) = snapshot();
        let done = timely(work).await?;
        let (system_after, client_after) = snapshot();
        let mut used = system_after.since(&system_before);
        used.insert(
            "client".to_owned(),
            client_after.since(&client_before).values().sum(),
        );
        let series = self.results.series.entry((self.system, metric)).or_default();
        for (program, millis) in used {
            #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
            let each = millis / operations as f64;
            series.cpu.entry(program).or_default().push(each);
        }
        Ok(done)
    }

    fn note(&mut self, metric: Metric, figure: f64) {
        let series = self.results.series.entry((self.system, metric)).or_default();
        series.figures.push(figure);
        eprint!(" {figure:.*}", if figure < 100.0 { 2 } else { 0 });
    }
}

async fn timely<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let done = tokio::time::timeout(PATIENCE, work).await;
    done.with_context(|| format!("a workload took more than {} s", PATIENCE.as_secs()))?
}

/// Adds the workerd that Cairn has started to what is told of it.
fn name_workerd(running: &Running, results: &mut Results) -> anyhow::Result<()> {
    let Some(program) = Cpu::of(&running.roots()).program("workerd") else {
        return Ok(());
    };
    let workerd = first_line(&program, "--version")?;
    if let Some(versions) = results.versions.get_mut(&System::Cairn)
        && !versions.contains("workerd")
    {
        versions.push_str(", ");
        versions.push_str(&workerd);
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn rate(operations: u64, seconds: f64) -> f64 {
    operations as f64 / seconds
}
