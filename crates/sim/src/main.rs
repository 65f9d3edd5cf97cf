//! Runs many seeds, each twice, and prints the one command that repeats a failure.
//!
//! `cargo run --release -p cairn-sim -- --seeds 1000000 --jobs 2`; `… -- --seed 42` prints all that happens in one world. What was stopped
//! goes on with the `--from` that was printed last.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use clap::Parser;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Simulated worlds that try to break the engine.
#[derive(Parser)]
struct Options {
    /// How many seeds.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, alias = "start", default_value_t = 1)]
    from: u64,
    /// Threads; as many as there are processors when absent.
    #[arg(long, alias = "threads")]
    jobs: Option<usize>,
    /// Runs each seed once only: does not see whether the same happens twice.
    #[arg(long)]
    once: bool,
    /// Goes on until so many have failed.
    #[arg(long, default_value_t = 1)]
    failures: u64,
    /// Only this one, with all that happens and with the engine's log.
    #[arg(long)]
    seed: Option<u64>,
}

struct Sums {
    next: AtomicU64,
    executions: AtomicU64,
    undone: AtomicU64,
    crashes: AtomicU64,
    failed: AtomicU64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(seed) = options.seed {
        tracing_subscriber::fmt()
            .with_env_filter(std::env::var("RUST_LOG").unwrap_or_else(|_| "debug".into()))
            .with_writer(std::io::stderr)
            .without_time()
            .init();
        for line in cairn_sim::log(seed) {
            println!("{line}");
        }
        println!("{:#?}", cairn_sim::run(seed));
        return ExitCode::SUCCESS;
    }
    let begun = Instant::now();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let sums = Sums {
        next: AtomicU64::new(options.from),
        executions: AtomicU64::new(0),
        undone: AtomicU64::new(0),
        crashes: AtomicU64::new(0),
        failed: AtomicU64::new(0),
    };
    let failures: Vec<_> = std::thread::scope(|scope| {
        let work = || scope.spawn(|| work(&options, &sums));
        let threads: Vec<_> = (0..options.jobs.unwrap_or(processors)).map(|_| work()).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_default())
            .collect()
    });
    for failure in &failures {
        println!(
            "seed {} failed:\n  {}\nrepeat it: cargo run --release -p cairn-sim -- --seed {}",
            failure.seed,
            failure.violations.join("\n  "),
            failure.seed
        );
    }
    if !failures.is_empty() {
        return ExitCode::FAILURE;
    }
    println!(
        "{} seeds in {:.0?}: {} callbacks and {} rollback handlers executed, {} crashes: nothing lost, repeated or changed",
        options.seeds,
        Duration::from_millis(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)),
        sums.executions.load(Ordering::Relaxed),
        sums.undone.load(Ordering::Relaxed),
        sums.crashes.load(Ordering::Relaxed),
    );
    ExitCode::SUCCESS
}

/// How often it is said how far it is, in seeds.
const SAY_EVERY: u64 = 10_000;

/// Takes seeds until none is left, or too many have failed.
fn work(options: &Options, sums: &Sums) -> Vec<cairn_sim::Failure> {
    let mut failures = Vec::new();
    loop {
        let seed = sums.next.fetch_add(1, Ordering::Relaxed);
        if seed >= options.from + options.seeds || sums.failed.load(Ordering::Relaxed) >= options.failures {
            return failures;
        }
        if seed.is_multiple_of(SAY_EVERY) {
            let done = seed - options.from;
            eprintln!(
                "{done} of {} seeds; to go on from here: --from {seed}",
                options.seeds
            );
        }
        let ran = if options.once {
            cairn_sim::run(seed)
        } else {
            cairn_sim::run_twice(seed)
        };
        match ran {
            Ok(report) => {
                sums.executions.fetch_add(report.executions, Ordering::Relaxed);
                sums.undone.fetch_add(report.undone, Ordering::Relaxed);
                sums.crashes.fetch_add(report.crashes, Ordering::Relaxed);
            }
            Err(failure) => {
                eprintln!("seed {} failed", failure.seed);
                sums.failed.fetch_add(1, Ordering::Relaxed);
                failures.push(failure);
            }
        }
    }
}
