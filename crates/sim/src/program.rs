//! The programs that instances run: a tree of step calls, decided by a seed, the same in every run.

use crate::random::Random;

/// What a workflow does.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// `step.do`
    Do(Work),
    /// `step.sleep`
    Sleep {
        /// The step's name.
        name: String,
        /// How long.
        millis: u64,
    },
    /// `step.waitForEvent`, whose timeout is caught.
    Wait {
        /// The step's name.
        name: String,
        /// Of which type.
        event_type: String,
        /// How long.
        timeout_millis: u64,
    },
    /// `Promise.all`
    All(Vec<Vec<Self>>),
}

/// The callback of a `step.do`.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    /// The step's name.
    pub(crate) name: String,
    /// Attempts that throw before one returns.
    pub(crate) failures: u32,
    /// `retries.limit`; with a limit below `failures` the step fails, which the program catches.
    pub(crate) limit: u32,
    /// `retries.delay`
    pub(crate) delay_millis: u64,
    /// `timeout`
    pub(crate) timeout_millis: u64,
    /// How long the callback takes.
    pub(crate) work_millis: u64,
    /// Steps that the callback calls itself.
    pub(crate) inner: Vec<Op>,
}

/// Event types in use.
pub(crate) const EVENT_TYPES: [&str; 2] = ["go", "stop"];

/// A program.
pub(crate) fn program(random: &Random) -> Vec<Op> {
    ops(random, 0, "s")
}

fn ops(random: &Random, depth: u32, prefix: &str) -> Vec<Op> {
    let count = random.between(1, if depth == 0 { 6 } else { 3 });
    (0..count)
        .map(|number| op(random, depth, &format!("{prefix}{number}")))
        .collect()
}

fn op(random: &Random, depth: u32, name: &str) -> Op {
    match random.below(if depth < 2 { 10 } else { 8 }) {
        0..=4 => Op::Do(work(random, depth, name)),
        5 => Op::Sleep {
            name: name.into(),
            millis: pause(random),
        },
        6 | 7 => Op::Wait {
            name: name.into(),
            event_type: EVENT_TYPES[usize::from(random.chance(30))].into(),
            timeout_millis: random.between(1, 120_000),
        },
        _ => {
            let branches = random.between(2, 4);
            Op::All(
                (0..branches)
                    .map(|branch| ops(random, depth + 1, &format!("{name}.{branch}.")))
                    .collect(),
            )
        }
    }
}

fn work(random: &Random, depth: u32, name: &str) -> Work {
    let failures = if random.chance(70) {
        0
    } else {
        u32::try_from(random.below(4)).unwrap_or(0)
    };
    let inner = if depth < 2 && random.chance(10) {
        ops(random, 2, &format!("{name}!"))
    } else {
        Vec::new()
    };
    Work {
        name: name.into(),
        failures,
        limit: u32::try_from(random.between(0, 30)).unwrap_or(0),
        delay_millis: if random.chance(30) {
            0
        } else {
            random.between(1, 5_000)
        },
        timeout_millis: if random.chance(90) {
            600_000
        } else {
            random.between(1, 2_000)
        },
        work_millis: if random.chance(60) {
            0
        } else {
            random.between(1, 3_000)
        },
        inner,
    }
}

fn pause(random: &Random) -> u64 {
    match random.below(4) {
        0 => 0,
        1 => random.between(1, 2_000),
        2 => random.between(2_000, 20_000),
        _ => random.between(20_000, 7_200_000),
    }
}
