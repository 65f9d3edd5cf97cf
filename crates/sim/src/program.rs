//! The programs that instances run: a tree of step calls, decided by a seed, the same in every run.

use crate::random::Random;
use cairn_core::{StepKey, StepKind};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a workflow does.
#[derive(Debug)]
pub(crate) struct Program {
    /// Its steps and what is around them.
    pub(crate) ops: Arc<Vec<Op>>,
    /// How `run()` ends, if no step ends it.
    pub(crate) ending: Ending,
    /// What is known of a step, by kind and name; one for each time the name is used.
    specs: BTreeMap<(StepKind, String), Vec<Spec>>,
}

/// How `run()` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It returns.
    Returns,
    /// It throws.
    Throws,
    /// It returns what cannot be kept.
    Dies,
}

/// What a step is, for whoever watches.
#[derive(Debug, Clone)]
pub(crate) enum Spec {
    /// `step.do`
    Do(Arc<Work>),
    /// `step.sleep`, milliseconds
    Sleep(u64),
    /// `step.waitForEvent`: type and timeout
    Wait(String, u64),
}

/// What a workflow does next.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// `step.do`
    Do(Arc<Work>),
    /// `step.sleep`
    Sleep {
        /// The step's name.
        name: String,
        /// How long.
        millis: u64,
    },
    /// `step.waitForEvent`
    Wait {
        /// The step's name.
        name: String,
        /// Of which type.
        event_type: String,
        /// How long.
        timeout_millis: u64,
        /// What a timeout does to the program.
        fate: Fate,
    },
    /// `Promise.all`
    All(Vec<Arc<Vec<Self>>>),
    /// `Promise.race`; the losers go on.
    Race(Vec<Arc<Vec<Self>>>),
    /// Steps that nobody waits for.
    Apart(Arc<Vec<Self>>),
    /// Work outside of steps, milliseconds.
    Outside(u64),
}

/// What the failure of a step does to the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is caught.
    Caught,
    /// It ends `run()`.
    Thrown,
}

/// A function that fails a few times, with the configuration of its attempts.
#[derive(Debug, Clone)]
pub(crate) struct Attempts {
    /// Attempts that throw before one returns.
    pub(crate) failures: u32,
    /// The attempt that throws what must not be retried, if any.
    pub(crate) never_again: Option<u32>,
    /// Whether a configuration is given; without one the defaults hold.
    pub(crate) config: Given,
    /// `retries.limit`
    pub(crate) limit: u32,
    /// `retries.delay`
    pub(crate) delay: Delay,
    /// `retries.backoff`
    pub(crate) backoff: Backoff,
    /// `timeout`
    pub(crate) timeout_millis: u64,
    /// How long it takes.
    pub(crate) work_millis: u64,
}

/// Whether something is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Given {
    /// It is.
    Yes,
    /// The defaults hold.
    No,
}

/// `retries.delay`
#[derive(Debug, Clone, Copy)]
pub(crate) enum Delay {
    /// Milliseconds.
    Fixed(u64),
    /// A function: what it says, and after which attempt it throws instead.
    Asked {
        /// Milliseconds, times the attempt.
        millis: u64,
        /// The attempt after which it throws.
        throws_after: Option<u32>,
    },
}

/// `retries.backoff`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backoff {
    Constant,
    Linear,
    Exponential,
}

/// A `step.do`.
#[derive(Debug)]
pub(crate) struct Work {
    /// The step's name.
    pub(crate) name: String,
    /// Its callback.
    pub(crate) callback: Attempts,
    /// Steps that the callback calls itself.
    pub(crate) inner: Arc<Vec<Op>>,
    /// What its failure does.
    pub(crate) fate: Fate,
    /// What it returns.
    pub(crate) output: Output,
    /// Its rollback handler, if it has one.
    pub(crate) handler: Option<Handler>,
}

/// What a callback returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// A number.
    Small,
    /// More than a small limit allows.
    Large,
    /// A stream of so many pieces.
    Stream(u32),
}

/// A rollback handler.
#[derive(Debug)]
pub(crate) struct Handler {
    /// What it does.
    pub(crate) function: Attempts,
    /// Whether a run that has its handlers only registers it.
    pub(crate) memory: Memory,
}

/// Whether user code is the same in every run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// The handler is registered by every run.
    Faithful,
    /// Only by runs that go on.
    Forgetful,
}

/// Event types in use.
pub(crate) const EVENT_TYPES: [&str; 2] = ["go", "stop"];

/// What most programs of a world do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taste {
    /// A bit of everything.
    Everything,
    /// Rollbacks.
    Undoing,
    /// Events and waits.
    Events,
    /// Attempts that fail.
    Failures,
}

impl Program {
    /// The program of a seed.
    pub(crate) fn new(random: &Random, taste: Taste) -> Self {
        let ops = Arc::new(ops(random, 0, ("s", taste)));
        let undoing = taste == Taste::Undoing;
        let ending = match random.below(100) {
            0..=69 if undoing => Ending::Throws,
            0..=14 => Ending::Throws,
            97.. => Ending::Dies,
            _ => Ending::Returns,
        };
        let mut specs = BTreeMap::new();
        collect(&ops, &mut specs);
        Self { ops, ending, specs }
    }

    /// What is known of a step. Steps inside of callbacks are called again by each attempt.
    pub(crate) fn spec(&self, key: &StepKey) -> Option<&Spec> {
        let named = self.specs.get(&(key.kind, key.name.clone()))?;
        named.get((key.count as usize).checked_sub(1)?).or(named.last())
    }
}

/// The specs of ops, in the order in which user code uses a name.
fn collect(ops: &[Op], specs: &mut BTreeMap<(StepKind, String), Vec<Spec>>) {
    let mut add = |kind, name: &str, spec| specs.entry((kind, name.to_owned())).or_default().push(spec);
    for op in ops {
        match op {
            Op::Do(work) => add(StepKind::Do, &work.name, Spec::Do(Arc::clone(work))),
            Op::Sleep { name, millis } => add(StepKind::Sleep, name, Spec::Sleep(*millis)),
            Op::Wait {
                name,
                event_type,
                timeout_millis,
                ..
            } => {
                let spec = Spec::Wait(event_type.clone(), *timeout_millis);
                add(StepKind::WaitForEvent, name, spec);
            }
            Op::All(_) | Op::Race(_) | Op::Apart(_) | Op::Outside(_) => {}
        }
    }
    for op in ops {
        match op {
            Op::Do(work) => collect(&work.inner, specs),
            Op::All(branches) | Op::Race(branches) => {
                for branch in branches {
                    collect(branch, specs);
                }
            }
            Op::Apart(ops) => collect(ops, specs),
            Op::Sleep { .. } | Op::Wait { .. } | Op::Outside(_) => {}
        }
    }
}

fn ops(random: &Random, depth: u32, (prefix, taste): (&str, Taste)) -> Vec<Op> {
    let count = random.between(1, if depth == 0 { 6 } else { 3 });
    let inside = prefix.contains('!');
    let mut name = String::new();
    (0..count)
        .map(|number| {
            let unique = format!("{prefix}{number}");
            // Now and then a name is used again.
            if number == 0 || inside || random.chance(85) {
                name.clone_from(&unique);
            }
            op(random, depth, (&name, &unique, taste))
        })
        .collect()
}

fn op(random: &Random, depth: u32, (name, unique, taste): (&str, &str, Taste)) -> Op {
    let branches = |ops_of: &dyn Fn(u64) -> Vec<Op>| {
        (0..random.between(2, 4))
            .map(|branch| Arc::new(ops_of(branch)))
            .collect()
    };
    let branch = |branch: u64| ops(random, depth + 1, (&format!("{unique}.{branch}."), taste));
    let roll = match taste {
        Taste::Events if random.chance(40) => 60,
        Taste::Failures | Taste::Undoing if random.chance(30) => 0,
        Taste::Everything | Taste::Undoing | Taste::Events | Taste::Failures => {
            random.below(if depth < 2 { 100 } else { 80 })
        }
    };
    match roll {
        0..=46 => Op::Do(Arc::new(work(random, depth, (name, unique, taste)))),
        47..=57 => Op::Sleep {
            name: name.into(),
            millis: pause(random),
        },
        58..=77 => Op::Wait {
            name: name.into(),
            event_type: EVENT_TYPES[usize::from(random.chance(30))].into(),
            timeout_millis: match random.below(3) {
                0 => random.between(1, 3_000),
                1 => random.between(1, 30_000),
                _ => random.between(1, 600_000),
            },
            fate: if random.chance(95) {
                Fate::Caught
            } else {
                Fate::Thrown
            },
        },
        78 | 79 if depth == 0 => Op::Outside(random.between(0, 3_000)),
        78 | 79 => Op::Outside(0),
        80..=89 => Op::All(branches(&branch)),
        90..=94 => Op::Race(branches(&branch)),
        _ => Op::Apart(Arc::new(branch(0))),
    }
}

fn work(random: &Random, depth: u32, (name, unique, taste): (&str, &str, Taste)) -> Work {
    let failing = if taste == Taste::Failures { 60 } else { 25 };
    let inner = if depth < 2 && random.chance(10) {
        ops(random, 2, (&format!("{unique}!"), taste))
    } else {
        Vec::new()
    };
    let undone = if taste == Taste::Undoing { 75 } else { 15 };
    Work {
        name: name.into(),
        callback: attempts(random, failing),
        inner: Arc::new(inner),
        fate: if random.chance(if taste == Taste::Undoing { 70 } else { 92 }) {
            Fate::Caught
        } else {
            Fate::Thrown
        },
        output: match random.below(100) {
            0..=3 => Output::Large,
            4..=8 => Output::Stream(u32::try_from(random.between(0, 4)).unwrap_or(0)),
            _ => Output::Small,
        },
        handler: random.chance(undone).then(|| Handler {
            function: attempts(random, 30),
            memory: if random.chance(95) {
                Memory::Faithful
            } else {
                Memory::Forgetful
            },
        }),
    }
}

fn attempts(random: &Random, failing: u64) -> Attempts {
    let small = |low, high| u32::try_from(random.between(low, high)).unwrap_or(0);
    let failures = if random.chance(failing) { small(1, 4) } else { 0 };
    let given = if random.chance(85) { Given::Yes } else { Given::No };
    let millis = match random.below(3) {
        0 => 0,
        1 => random.between(1, 500),
        _ => random.between(1, 20_000),
    };
    let asked = Delay::Asked {
        millis,
        throws_after: random.chance(20).then(|| small(1, 3)),
    };
    let chosen = Attempts {
        failures,
        never_again: (failures > 0 && random.chance(15)).then(|| small(1, u64::from(failures))),
        config: given,
        limit: small(0, 6),
        delay: if random.chance(25) {
            asked
        } else {
            Delay::Fixed(millis)
        },
        backoff: [Backoff::Constant, Backoff::Linear, Backoff::Exponential][small(0, 2) as usize],
        timeout_millis: if random.chance(85) {
            600_000
        } else {
            random.between(1, 2_000)
        },
        work_millis: if random.chance(60) {
            0
        } else {
            random.between(1, 3_000)
        },
    };
    match given {
        Given::Yes => chosen,
        Given::No => Attempts {
            limit: 5,
            delay: Delay::Fixed(10_000),
            backoff: Backoff::Exponential,
            timeout_millis: 600_000,
            ..chosen
        },
    }
}

fn pause(random: &Random) -> u64 {
    match random.below(10) {
        0..=2 => 0,
        3..=5 => random.between(1, 2_000),
        6..=8 => random.between(2_000, 30_000),
        _ => random.between(30_000, 1_800_000),
    }
}

impl Attempts {
    /// Whether this attempt throws.
    pub(crate) fn throws(&self, attempt: u32) -> bool {
        attempt <= self.failures
    }

    /// Milliseconds after attempt `attempt` has failed, when nobody was asked.
    pub(crate) fn delay_after(&self, attempt: u32) -> u64 {
        let Delay::Fixed(millis) = self.delay else {
            return 0;
        };
        match self.backoff {
            Backoff::Constant => millis,
            Backoff::Linear => millis * u64::from(attempt),
            Backoff::Exponential => (1..attempt).fold(millis, |delay, _| delay.saturating_mul(2)),
        }
    }

    /// What the delay function says after attempt `attempt` has failed, if it is asked: milliseconds, or that it throws.
    pub(crate) fn asked(&self, attempt: u32) -> Option<Result<u64, ()>> {
        let Delay::Asked { millis, throws_after } = self.delay else {
            return None;
        };
        if attempt > self.limit || self.never_again == Some(attempt) {
            return None;
        }
        Some(match throws_after {
            Some(last) if attempt >= last => Err(()),
            _ => Ok(millis * u64::from(attempt)),
        })
    }
}
