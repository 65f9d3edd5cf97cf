//! Memory that was needed once goes back to the system.
//!
//! After a burst the allocator keeps what was freed, in pieces between what is still used: a server with a hundred thousand sleeping instances would hold what
//! it needed while they were awake. In quiet moments it is asked to return that.

use std::time::Duration;

/// How often it is looked whether the moment is good.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// Of that, the time of a processor that a quiet server uses at most.
const QUIET: Duration = Duration::from_millis(150);
/// Time of a processor since the last return that makes another worth while.
const WORTH: Duration = Duration::from_millis(20);

/// Keeps returning memory, on a thread of its own, for as long as the process lives.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn keep_returning() {
    let thread = std::thread::Builder::new()
        .name("cairn-memory".to_owned())
        .spawn(|| {
            let mut when = When::begun(used());
            loop {
                std::thread::sleep(LOOK_EVERY);
                if when.is_now(used()) {
                    // SAFETY: a plain call that takes the allocator's own locks.
                    unsafe {
                        libc::malloc_trim(0);
                    }
                }
            }
        });
    if let Err(error) = thread {
        tracing::warn!(%error, "there is no thread that returns memory to the system; it stays with cairn");
    }
}

/// Elsewhere the allocator does as it likes.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_returning() {}

/// The time of processors that this process has used.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn used() -> Duration {
    let mut used = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the structure is ours and lives during the call. If it fails, no time has passed.
    unsafe {
        libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut used);
    }
    Duration::new(
        used.tv_sec.unsigned_abs(),
        u32::try_from(used.tv_nsec).unwrap_or(0),
    )
}

/// When memory is returned: in quiet moments, if there was something to do since the last.
#[derive(Debug)]
struct When {
    seen: Duration,
    returned: Duration,
}

impl When {
    fn begun(used: Duration) -> Self {
        Self {
            seen: used,
            returned: Duration::ZERO,
        }
    }

    fn is_now(&mut self, used: Duration) -> bool {
        let is_quiet = used.saturating_sub(self.seen) <= QUIET;
        self.seen = used;
        if !is_quiet || used.saturating_sub(self.returned) < WORTH {
            return false;
        }
        self.returned = used;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_returned_once_after_each_burst() {
        let at = Duration::from_millis;
        let mut when = When::begun(at(30));
        assert!(when.is_now(at(31)), "what the start needed");
        assert!(!when.is_now(at(32)), "nothing has happened");
        assert!(!when.is_now(at(2_000)), "it is busy");
        assert!(!when.is_now(at(4_000)), "it is busy");
        assert!(when.is_now(at(4_050)), "it has become quiet");
        assert!(!when.is_now(at(4_055)));
    }
}
