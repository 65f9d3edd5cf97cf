//! What the server takes of the machine, second by second.

use crate::load::Load;
use cairn_tests::Running;
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// One look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Resident memory of cairn.
    pub(crate) cairn_mib: u64,
    /// Resident memory of its processes together.
    pub(crate) workerd_mib: u64,
    /// Size of the write-ahead log.
    pub(crate) wal_mib: u64,
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
}

/// Looks each second for so long, and prints twenty of the looks.
pub(crate) async fn watch(server: &Running, data: &Path, (load, seconds): (&Load, u64)) -> Vec<Look> {
    let wal = data.join("cairn.db-wal");
    let mut looks: Vec<Look> = Vec::new();
    for second in 1..=seconds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let look = Look {
            cairn_mib: resident_mib(server.pid()),
            workerd_mib: server.children().into_iter().map(resident_mib).sum(),
            wal_mib: fs::metadata(&wal).map_or(0, |metadata| metadata.len() >> 20),
            accepted: load.accepted.load(Ordering::Relaxed),
            refused: load.refused.load(Ordering::Relaxed),
        };
        if second % (seconds / 20).max(1) == 0 {
            println!("{second:4} s: {look}");
        }
        looks.push(look);
    }
    looks
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cairn_mib,
            workerd_mib,
            wal_mib,
            accepted,
            refused,
        } = self;
        write!(
            f,
            "cairn {cairn_mib} MiB, workerd {workerd_mib} MiB, log {wal_mib} MiB, {accepted} instances accepted, {refused} requests refused"
        )
    }
}

/// Resident memory of a process; 0 when it has ended.
fn resident_mib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib: u64 = line
        .and_then(|line| line.split_ascii_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0);
    kib >> 10
}
