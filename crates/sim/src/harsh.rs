//! What only some worlds have: a second node, clocks that are set, calls that take minutes, a node that is cut off from the store.

use crate::client::Whims;
use crate::link::{Gate, Link, Manners, Reads, Writers};
use crate::model::{Company, Model, Versions};
use crate::random::Random;
use crate::run::pause;
use cairn_engine::{Clock, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Chance of such a world, percent.
const HARSH_PERCENT: u64 = 60;
/// What tells its numbers from those of the rest of the world.
const LABEL: u64 = 0x5851_F42D_4C95_7F2D;
const HOUR_MILLIS: u64 = 3_600_000;

/// What only some worlds have.
pub(crate) struct Harsh {
    pub(crate) random: Random,
    pub(crate) company: Company,
    /// How many nodes come and go beside the first.
    pub(crate) neighbours: u64,
    pub(crate) manners: Manners,
    /// How often clocks are set.
    pub(crate) clock_steps: u32,
    /// How often a node is cut off from the store.
    cuts: u64,
    pub(crate) whims: Whims,
    pub(crate) versions: Versions,
}

impl Harsh {
    /// What the world of a seed has of it, if anything.
    pub(crate) fn of(seed: u64) -> Option<Self> {
        let random = Random::new(seed ^ LABEL);
        if !random.chance(HARSH_PERCENT) {
            return None;
        }
        let company = if random.chance(60) {
            Company::Neighbours
        } else {
            Company::Alone
        };
        let slow = [0, 0, 2, 20][usize::try_from(random.below(4)).unwrap_or(0)];
        Some(Self {
            company,
            neighbours: random.between(1, 4),
            manners: Manners {
                faults: 0,
                reads: if random.chance(60) {
                    Reads::Late
                } else {
                    Reads::Prompt
                },
                writers: if random.chance(50) {
                    Writers::One
                } else {
                    Writers::Many
                },
                slow,
            },
            clock_steps: if random.chance(40) {
                u32::try_from(random.between(1, 6)).unwrap_or(1)
            } else {
                0
            },
            cuts: if random.chance(50) {
                random.between(1, 5)
            } else {
                0
            },
            whims: match (random.chance(50), company) {
                (false, _) => Whims::None,
                (true, Company::Neighbours) => Whims::Some,
                (true, Company::Alone) => Whims::All,
            },
            versions: if random.chance(30) {
                Versions::Followed
            } else {
                Versions::Pinned
            },
            random,
        })
    }

    /// By how much a clock is set, milliseconds: an hour at most.
    pub(crate) fn step(&self) -> i64 {
        let most = if self.random.chance(50) {
            HOUR_MILLIS
        } else {
            60_000
        };
        let millis = i64::try_from(self.random.between(1, most)).unwrap_or(1);
        if self.random.chance(50) { millis } else { -millis }
    }

    /// Cuts a node off from the store now and then: its calls fail, or wait.
    pub(crate) fn cut_off(&self, link: Arc<Link>, random: Random) -> impl Future<Output = ()> + 'static {
        let cuts = self.cuts;
        async move {
            for _ in 0..cuts {
                pause(random.between(100, 900_000)).await;
                link.set(if random.chance(60) {
                    Gate::Hanging
                } else {
                    Gate::Refusing
                });
                let most = if random.chance(50) { 10_000 } else { 1_200_000 };
                pause(random.between(1, most)).await;
                link.set(Gate::Open);
            }
        }
    }
}

/// The simulated clock of a node: it goes on where its last life ended, and may be set.
pub(crate) struct SimClock {
    pub(crate) base: Duration,
    pub(crate) start: Instant,
    /// By how much it is wrong, milliseconds.
    pub(crate) offset: Arc<AtomicI64>,
    pub(crate) model: Model,
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let now = self.base + self.start.elapsed();
        let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX) + self.offset.load(Ordering::Relaxed);
        self.model.clock_shows(now);
        Timestamp(now)
    }
}
