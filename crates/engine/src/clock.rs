//! The only place that knows what time it is.

use cairn_core::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

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
    fn it_goes_forward_only_and_not_too_far() {
        let clock = ShiftedClock::over(Stopped);
        assert_eq!(clock.now(), Timestamp(7));
        assert!(clock.advance(3) && clock.advance(10));
        assert_eq!((clock.now(), clock.shift_millis()), (Timestamp(20), 13));
        assert!(!clock.advance(u64::MAX) && !clock.advance(SHIFT_MAX_MILLIS));
        assert_eq!(clock.now(), Timestamp(20));
    }
}
