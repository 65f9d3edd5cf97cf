//! The only place that knows what time it is.

use cairn_core::Timestamp;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of time.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The system's clock for as long as it goes on. When it is set back, this one goes on at half its speed until it is right again: it never shows the same
/// moment twice, so nothing is told as before what it came after, and nothing waits until the old time comes again. When it is set forward this one is too.
#[derive(Debug)]
pub struct SteadyClock {
    begun: Instant,
    shown: Mutex<Shown>,
}

/// What a clock has shown last.
#[derive(Debug, Default)]
struct Shown {
    /// The time that was shown, since the epoch.
    time: Duration,
    /// When, by a clock that nobody sets.
    at: Duration,
}

impl Shown {
    /// Shows the time again, `at` a later moment by the clock that nobody sets.
    fn next(&mut self, system: Duration, at: Duration) -> Duration {
        let least = self.time + at.saturating_sub(self.at) / 2;
        *self = Self {
            time: system.max(least),
            at: at.max(self.at),
        };
        self.time
    }
}

impl SteadyClock {
    /// A clock that is right.
    pub fn new() -> Self {
        Self {
            begun: Instant::now(),
            shown: Mutex::default(),
        }
    }
}

impl Default for SteadyClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        // Whoever asks first is answered with the earlier time.
        let mut shown = self.shown.lock();
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = shown.next(system, self.begun.elapsed());
        Timestamp(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The farthest a clock is put forward, milliseconds: a hundred years.
const SHIFT_MAX_MILLIS: u64 = 36_525 * 86_400_000;

/// A clock that a test puts forward: it goes on from there. It is never put back.
pub struct ShiftedClock {
    under: Box<dyn Clock>,
    shift_millis: AtomicU64,
}

impl ShiftedClock {
    /// A clock that shows the time of another one until it is put forward.
    pub fn over(clock: impl Clock) -> Self {
        Self {
            under: Box::new(clock),
            shift_millis: AtomicU64::new(0),
        }
    }

    /// By how much it has been put forward, milliseconds.
    pub fn shift_millis(&self) -> u64 {
        self.shift_millis.load(Ordering::Relaxed)
    }

    /// Puts it forward; `false`, and nothing has changed, when that would be more than a hundred years in all.
    ///
    /// What becomes due by that is found by [`Engine::clock_was_set`](crate::Engine::clock_was_set).
    pub fn advance(&self, millis: u64) -> bool {
        let allowed = |sum: &u64| *sum <= SHIFT_MAX_MILLIS;
        self.shift_millis
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |shift| {
                shift.checked_add(millis).filter(allowed)
            })
            .is_ok()
    }
}

impl std::fmt::Debug for ShiftedClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShiftedClock")
            .field("shift_millis", &self.shift_millis())
            .finish_non_exhaustive()
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        self.under.now().plus(self.shift_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Stopped;

    impl Clock for Stopped {
        fn now(&self) -> Timestamp {
            Timestamp(7)
        }
    }

    #[test]
    fn set_forward_it_follows_and_set_back_it_goes_slower() {
        let seconds = Duration::from_secs;
        let mut shown = Shown::default();
        let mut next = |system: u64, at: u64| shown.next(seconds(system), seconds(at)).as_secs_f64();
        assert_eq!(next(10_000, 5), 10_000.0);
        assert_eq!(next(10_002, 7), 10_002.0);
        // An hour forward, and back after ten seconds.
        assert_eq!(next(13_604, 9), 13_604.0);
        assert_eq!(next(13_614, 19), 13_614.0);
        assert_eq!(next(10_016, 21), 13_615.0);
        assert_eq!(next(10_116, 121), 13_665.0);
        // Right again after twice the hour.
        assert_eq!(next(17_216, 7_221), 17_216.0);
        assert_eq!(next(17_217, 7_222), 17_217.0);
    }

    #[test]
    fn it_does_not_stand_still_however_often_it_is_asked() {
        let mut shown = Shown::default();
        shown.next(Duration::from_secs(3_600), Duration::ZERO);
        for micros in 1..=1_000 {
            shown.next(Duration::ZERO, Duration::from_micros(micros));
        }
        let gone = shown.time - Duration::from_secs(3_600);
        assert_eq!(gone, Duration::from_micros(500));
    }

    #[test]
    fn it_goes_forward_only_and_not_too_far() {
        let clock = ShiftedClock::over(Stopped);
        assert_eq!(clock.now(), Timestamp(7));
        assert!(clock.advance(3) && clock.advance(10));
        assert_eq!((clock.now(), clock.shift_millis()), (Timestamp(20), 13));
        assert!(!clock.advance(u64::MAX) && !clock.advance(SHIFT_MAX_MILLIS));
        assert_eq!(clock.now(), Timestamp(20));
    }
}
