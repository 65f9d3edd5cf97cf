//! A few hundred worlds on every test run; `cargo run --release -p cairn-sim -- --seeds 100000` for more.

#[test]
fn nothing_is_lost_repeated_or_changed() {
    let worlds = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let threads: Vec<_> = (0..worlds)
        .map(|thread| {
            std::thread::spawn(move || {
                for seed in (1..=200).filter(|seed| seed % worlds == thread) {
                    cairn_sim::run(seed).unwrap_or_else(|failure| panic!("{failure:#?}"));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_seed_is_a_world() {
    for seed in [7, 77, 777] {
        assert_eq!(cairn_sim::run(seed).unwrap(), cairn_sim::run(seed).unwrap());
    }
}

/// Worlds in which something was wrong once.
#[test]
fn seeds_that_found_something() {
    // 1: asked to be woken at once, for ever. 10: held without knowing. 45: a command whose outcome nobody told.
    // 14: a message left unread by a driver on its way out. 64: an outcome that user code saw before it was durable.
    for seed in [1, 10, 14, 45, 64, 133] {
        cairn_sim::run(seed).unwrap();
    }
}
