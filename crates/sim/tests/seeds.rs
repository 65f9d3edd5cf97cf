//! Worlds on every test run: 5,000 where `CI=true`, a few hundred elsewhere, each twice with the same outcome.
//! `cargo run --release -p cairn-sim -- --seeds 1000000` for more.

use std::sync::atomic::{AtomicU64, Ordering};

fn worlds() -> u64 {
    if std::env::var("CI").is_ok_and(|ci| ci == "true") {
        5_000
    } else {
        400
    }
}

#[test]
fn nothing_is_lost_repeated_or_changed() {
    let (next, worlds) = (AtomicU64::new(1), worlds());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > worlds {
                        return;
                    }
                    if let Err(failure) = cairn_sim::run_twice(seed) {
                        next.store(worlds, Ordering::Relaxed);
                        panic!("{failure:#?}");
                    }
                }
            });
        }
    });
}

/// Worlds in which something was wrong once.
#[test]
fn seeds_that_found_something() {
    // A client was told what became of his command before it was durable: his instance had changed hands while its inbox was read.
    // Another was told nothing: his message was read for an instance that was just leaving memory.
    // An instance had no slot, the store failed after writing it, and nobody looked for it.
    for seed in [20_294, 34_346, 11_931] {
        cairn_sim::run_twice(seed).unwrap();
    }
}
