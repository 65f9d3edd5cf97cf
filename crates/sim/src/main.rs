//! Runs many seeds, each twice, and prints the one command that repeats a failure.
//!
//! `cargo run --release -p cairn-sim -- --seeds 100000`, `… -- --seed 42` for one with the engine's log.

#![allow(clippy::print_stdout)]

use clap::Parser;

/// Simulated worlds that try to break the engine.
#[derive(Parser)]
struct Options {
    /// How many seeds.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    start: u64,
    /// Only this one, with the engine's log.
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if let Some(seed) = options.seed {
        tracing_subscriber::fmt()
            .with_env_filter("debug")
            .with_writer(std::io::stderr)
            .without_time()
            .init();
        println!("{:#?}", cairn_sim::run(seed));
        return Ok(());
    }
    let (mut executions, mut crashes) = (0, 0);
    for seed in options.start..options.start + options.seeds {
        match (cairn_sim::run(seed), cairn_sim::run(seed)) {
            (Ok(first), Ok(second)) if first == second => {
                executions += first.executions;
                crashes += first.crashes;
            }
            (Ok(first), Ok(second)) => {
                anyhow::bail!("seed {seed} is not deterministic: {first:?}, {second:?}")
            }
            (Err(failure), _) | (_, Err(failure)) => anyhow::bail!(
                "seed {} failed:\n  {}\nrepeat it: cargo run --release -p cairn-sim -- --seed {}",
                failure.seed,
                failure.violations.join("\n  "),
                failure.seed
            ),
        }
    }
    println!(
        "{} seeds, {executions} callbacks executed, {crashes} crashes: nothing lost, repeated or changed",
        options.seeds
    );
    Ok(())
}
