//! How much memory a process has.

use std::time::Duration;

/// How often a process is looked at on which no run begins. A reading costs microseconds.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often at most, when runs begin.
pub(super) const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(10);

/// Resident memory of a process, MiB; none where the system does not tell, or the process is gone.
#[cfg(target_os = "linux")]
pub(super) fn resident_mebibytes(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    // SAFETY: a plain system call on a number.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
    Some(resident_pages(&text)?.saturating_mul(page) >> 20)
}

/// Other systems are not asked.
#[cfg(not(target_os = "linux"))]
pub(super) fn resident_mebibytes(_pid: u32) -> Option<u64> {
    None
}

#[cfg(target_os = "linux")]
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_second_number_is_what_is_resident() {
        assert_eq!(resident_pages("25714 1723 1402 12 0 620 0\n"), Some(1_723));
        assert_eq!(resident_pages("25714"), None);
        assert!(resident_mebibytes(std::process::id()).is_some_and(|mebibytes| mebibytes > 0));
        assert_eq!(resident_mebibytes(u32::MAX), None);
    }
}
