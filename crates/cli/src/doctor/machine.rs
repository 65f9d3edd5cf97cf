//! The machine: file descriptors, memory, clock.

use super::{Finding, bytes};
use std::time::{Duration, Instant, SystemTime};

/// Open files below which a busy server comes to its limit.
const FILES_WANTED: u64 = 4096;
const FILES_NEEDED: u64 = 256;
/// Memory that the server and a process or two of Workers want.
const MEMORY_WANTED: u64 = 512 << 20;
/// A clock that goes on is this near to the other one.
const DRIFT: Duration = Duration::from_millis(250);

/// File descriptors and memory.
pub(super) fn limits() -> Vec<Finding> {
    [files(), memory()].into_iter().flatten().collect()
}

#[cfg(unix)]
fn files() -> Option<Finding> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: getrlimit only fills the structure it is given.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return None;
    }
    #[allow(clippy::useless_conversion, reason = "the types differ between systems")]
    Some(of_files(u64::from(limit.rlim_cur)))
}

#[cfg(not(unix))]
fn files() -> Option<Finding> {
    None
}

fn of_files(limit: u64) -> Finding {
    let what = if limit == u64::MAX {
        "as many files as wanted may be open".to_owned()
    } else {
        format!("{limit} files may be open at once")
    };
    let next = "Raise it: `ulimit -n 65536` in the shell that starts the server, or LimitNOFILE=65536 in its systemd unit.";
    if limit < FILES_NEEDED {
        Finding::problem("files", what, next)
    } else if limit < FILES_WANTED {
        Finding::warning(
            "files",
            format!("{what}; each connection and each process needs some"),
            next,
        )
    } else {
        Finding::ok("files", what)
    }
}

fn memory() -> Option<Finding> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let machine = available(&text)?;
    // What a container may still take.
    let number = |file: &str| {
        let text = std::fs::read_to_string(format!("/sys/fs/cgroup/{file}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let group = number("memory.max").zip(number("memory.current"));
    let free = match group {
        Some((most, used)) => machine.min(most.saturating_sub(used)),
        None => machine,
    };
    Some(of_memory(free))
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

fn of_memory(free: u64) -> Finding {
    let what = format!("{} of memory available", bytes(free));
    if free < MEMORY_WANTED {
        return Finding::warning(
            "memory",
            what,
            "Each Worker in use is a process of 50 MiB and more; give the machine or the container more memory.",
        );
    }
    Finding::ok("memory", what)
}

/// Two clocks that should agree on how time passes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    wall: SystemTime,
    steady: Instant,
}

impl Clocks {
    /// Looks at both.
    pub(super) fn start() -> Self {
        Self {
            wall: SystemTime::now(),
            steady: Instant::now(),
        }
    }

    /// Looks again, and at what the system says of its time.
    pub(super) fn check(self) -> Finding {
        let steady = self.steady.elapsed();
        let wall = SystemTime::now().duration_since(self.wall).ok();
        of_clocks(wall, steady, synchronized())
    }
}

fn of_clocks(wall: Option<Duration>, steady: Duration, synchronized: Option<bool>) -> Finding {
    let jumped = wall.is_none_or(|wall| wall.abs_diff(steady) > DRIFT);
    let next = "Have the time kept by NTP: `timedatectl set-ntp true`, or chrony. Sleeps and schedules go by this clock.";
    if jumped {
        return Finding::warning("clock", "the time was changed while it was looked at", next);
    }
    match synchronized {
        Some(true) => Finding::ok("clock", "goes steadily and is synchronized"),
        Some(false) => Finding::warning("clock", "goes steadily, but is not synchronized", next),
        None => Finding::ok("clock", "goes steadily"),
    }
}

/// Whether the kernel says that something keeps its time right; none where it does not say.
#[cfg(target_os = "linux")]
fn synchronized() -> Option<bool> {
    // SAFETY: all zeros is a valid timex, and modes 0 only asks.
    let (state, status) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex.status)
    };
    (state >= 0).then_some(status & libc::STA_UNSYNC == 0)
}

#[cfg(not(target_os = "linux"))]
fn synchronized() -> Option<bool> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn few_files_are_told() {
        assert_eq!(of_files(64).state, State::Problem);
        assert_eq!(of_files(1024).state, State::Warning);
        assert_eq!(of_files(u64::MAX).state, State::Ok);
    }

    #[test]
    fn memory_is_what_is_available() {
        let text = "MemTotal: 9 kB\nMemAvailable:    2048 kB\n";
        assert_eq!(available(text), Some(2 << 20));
        assert_eq!(of_memory(2 << 20).state, State::Warning);
        assert_eq!(of_memory(4 << 30).state, State::Ok);
    }

    #[test]
    fn a_clock_that_jumps_or_is_left_alone_is_told() {
        let second = Duration::from_secs(1);
        assert_eq!(of_clocks(Some(second), second, Some(true)).state, State::Ok);
        assert_eq!(of_clocks(Some(second), second, Some(false)).state, State::Warning);
        assert_eq!(
            of_clocks(Some(second * 9), second, Some(true)).state,
            State::Warning
        );
        assert_eq!(of_clocks(None, second, None).state, State::Warning);
    }
}
