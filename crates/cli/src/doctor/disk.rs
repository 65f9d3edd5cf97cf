//! The disk of the data directory: writable, with room, fast enough, and of a kind that keeps what it is given.

use super::{Finding, bytes};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const CHECK: &str = "disk";
/// Below this there is no working.
const ROOM_NEEDED: u64 = 64 << 20;
/// Below this it is time to act.
const ROOM_WANTED: u64 = 1 << 30;
/// Writes that are timed.
const WRITES: usize = 16;
/// Bytes of each.
const WRITE_BYTES: usize = 4096;
/// A step waits for a write at least, so this is felt.
const SLOW: Duration = Duration::from_millis(20);

/// What kind of file system it is, as far as that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Local,
    /// In memory: gone with the machine.
    Memory,
    /// Over a network: locks and logs of SQLite do not hold.
    Network(&'static str),
    /// Provided by another program, which may be anything.
    Foreign(&'static str),
}

/// Checks the disk of a data directory, which need not exist.
pub(super) fn check(data_dir: &Path) -> Vec<Finding> {
    let place = existing(data_dir);
    let mut findings = vec![room(&place)];
    findings.push(match timed(&place) {
        Ok(times) => speed(&times),
        Err(error) => Finding::problem(
            CHECK,
            format!("{} cannot be written: {error}", place.display()),
            "Make it writable for the user that cairn runs as, or name another folder with --data-dir.",
        ),
    });
    findings.extend(kind(&place).and_then(|kind| of_kind(kind, &place)));
    findings
}

/// The folder itself, or the nearest above it that exists.
fn existing(data_dir: &Path) -> PathBuf {
    let absolute = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    let found = absolute.ancestors().find(|folder| folder.is_dir());
    found.unwrap_or(Path::new("/")).to_owned()
}

fn room(place: &Path) -> Finding {
    let free = match free(place) {
        Ok(free) => free,
        Err(error) => {
            return Finding::warning(
                CHECK,
                format!("how much room {} has cannot be told: {error}", place.display()),
                "Look for yourself with df.",
            );
        }
    };
    let what = format!("{} free in {}", bytes(free), place.display());
    let next = "Make room: instances that have ended can be deleted with `cairn instances delete --all-finished`, and sooner by their retention.";
    if free < ROOM_NEEDED {
        Finding::problem(CHECK, what, next)
    } else if free < ROOM_WANTED {
        Finding::warning(CHECK, what, next)
    } else {
        Finding::ok(CHECK, what)
    }
}

#[cfg(unix)]
fn free(place: &Path) -> io::Result<u64> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(place.as_os_str().as_bytes()).map_err(io::Error::other)?;
    let mut stats = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with a zero byte and lives during the call; statvfs fills the structure when it returns 0.
    let stats = unsafe {
        if libc::statvfs(path.as_ptr(), stats.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        stats.assume_init()
    };
    #[allow(clippy::useless_conversion, reason = "the types differ between systems")]
    let (blocks, size) = (u64::from(stats.f_bavail), u64::from(stats.f_frsize));
    Ok(blocks.saturating_mul(size))
}

#[cfg(not(unix))]
fn free(_: &Path) -> io::Result<u64> {
    Err(io::Error::other("this system is not asked"))
}

/// How long writes take until they are on disk.
fn timed(place: &Path) -> io::Result<Vec<Duration>> {
    let mut file = tempfile::Builder::new()
        .prefix(".cairn-doctor-")
        .tempfile_in(place)?;
    let mut times = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let begun = Instant::now();
        file.write_all(&[0; WRITE_BYTES])?;
        file.as_file().sync_data()?;
        times.push(begun.elapsed());
    }
    fs::remove_file(file.path())?;
    Ok(times)
}

fn speed(times: &[Duration]) -> Finding {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let middle = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    let worst = sorted.last().copied().unwrap_or_default();
    let millis = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    let what = format!(
        "a write is on disk after {}, at worst {}",
        millis(middle),
        millis(worst)
    );
    if middle > SLOW {
        return Finding::warning(
            CHECK,
            format!("{what}; each step of a workflow waits for one"),
            "Use a local SSD; disks of virtual machines are often limited and can be had faster.",
        );
    }
    Finding::ok(CHECK, what)
}

#[cfg(target_os = "linux")]
fn kind(place: &Path) -> Option<Kind> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(place.as_os_str().as_bytes()).ok()?;
    let mut stats = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: as with statvfs.
    let stats = unsafe {
        if libc::statfs(path.as_ptr(), stats.as_mut_ptr()) != 0 {
            return None;
        }
        stats.assume_init()
    };
    // Magic numbers are 32 bits; the field is wider, and signed on some machines.
    Some(of_magic(stats.f_type as u32))
}

#[cfg(not(target_os = "linux"))]
fn kind(_: &Path) -> Option<Kind> {
    None
}

/// The kind that statfs(2) tells by a number.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "asked on Linux alone"))]
fn of_magic(magic: u32) -> Kind {
    match magic {
        0x0102_1994 | 0x8584_58f6 => Kind::Memory,
        0x6969 => Kind::Network("NFS"),
        0xff53_4d42 | 0xfe53_4d42 | 0x517b => Kind::Network("SMB"),
        0x00c3_6400 => Kind::Network("Ceph"),
        0x5346_414f | 0x6b41_4653 => Kind::Network("AFS"),
        0x0bd0_0bd0 => Kind::Network("Lustre"),
        0x0116_1970 => Kind::Network("GFS2"),
        0x0102_1997 => Kind::Foreign("9p"),
        0x6573_5546 => Kind::Foreign("FUSE"),
        0x6a65_6a63 => Kind::Foreign("virtiofs"),
        _ => Kind::Local,
    }
}

fn of_kind(kind: Kind, place: &Path) -> Option<Finding> {
    let place = place.display();
    match kind {
        Kind::Local => None,
        Kind::Memory => Some(Finding::warning(
            CHECK,
            format!("{place} is in memory: all is gone when the machine restarts"),
            "Name a folder on a disk with --data-dir.",
        )),
        Kind::Network(name) => Some(Finding::problem(
            CHECK,
            format!("{place} is on a network file system ({name}), where the database cannot be kept safe"),
            "Name a folder on a disk of this machine with --data-dir.",
        )),
        Kind::Foreign(name) => Some(Finding::warning(
            CHECK,
            format!("{place} is on {name}, which may or may not keep what it was told to keep"),
            "Name a folder on a disk of this machine with --data-dir, if you can.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn a_folder_that_is_not_there_yet_is_checked_where_it_would_be() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(existing(&folder.path().join("a/b")), folder.path());
        let findings = check(&folder.path().join("a/b"));
        assert!(findings.len() >= 2, "{findings:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn slow_disks_are_told_by_their_usual_write() {
        let fast = Duration::from_millis(1);
        let slow = Duration::from_millis(50);
        assert_eq!(speed(&[fast, fast, slow]).state, State::Ok);
        let finding = speed(&[slow, slow, fast]);
        assert_eq!(finding.state, State::Warning);
        assert!(finding.what.contains("50.0 ms"), "{}", finding.what);
    }

    #[test]
    fn the_network_is_no_place_for_a_database() {
        let state = |magic| of_kind(of_magic(magic), Path::new("/d")).map(|finding| finding.state);
        assert_eq!(state(0x6969), Some(State::Problem));
        assert_eq!(state(0x0102_1994), Some(State::Warning));
        assert_eq!(state(0xef53), None);
    }
}
