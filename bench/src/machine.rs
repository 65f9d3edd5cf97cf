//! What the figures were made on: cores, memory, the disk's sync, the priority of everything.

use anyhow::Context;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use crate::figures::percentile;

const SYNCS: u64 = 400;
const BLOCK: usize = 4_096;

/// A machine as the table tells of it.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) memory_gib: f64,
    pub(crate) file_system: String,
    /// Median milliseconds of writing 4 KiB and one fdatasync, in a file that has its size already.
    pub(crate) sync_ms: f64,
    /// The niceness the bench runs with, and thereby all it starts.
    pub(crate) nice: i32,
    /// The load of the machine before the bench began.
    pub(crate) load: String,
}

impl Machine {
    /// Looks, and measures the disk of `data_dir`.
    pub(crate) fn look(data_dir: &Path) -> anyhow::Result<Self> {
        let read = |path: &str| fs::read_to_string(path).with_context(|| format!("{path}: this needs Linux"));
        let kib: f64 = read("/proc/meminfo")?
            .lines()
            .find_map(|line| {
                line.strip_prefix("MemTotal:")?
                    .trim()
                    .strip_suffix(" kB")?
                    .parse()
                    .ok()
            })
            .context("/proc/meminfo has no MemTotal")?;
        let load = read("/proc/loadavg")?;
        Ok(Self {
            cores: std::thread::available_parallelism()?.get(),
            memory_gib: kib / 1_048_576.0,
            file_system: file_system(data_dir, &read("/proc/mounts")?)?,
            sync_ms: sync_ms(data_dir)?,
            nice: rustix::process::getpriority_process(None)?,
            load: load.split(' ').next().unwrap_or_default().to_owned(),
        })
    }
}

/// The kind of file system a folder is on: that of the longest mount point above it.
fn file_system(folder: &Path, mounts: &str) -> anyhow::Result<String> {
    let folder = folder.canonicalize()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let above = mounts.filter(|(point, _)| folder.starts_with(point));
    let (_, kind) = above
        .max_by_key(|(point, _)| point.len())
        .context("no mount point")?;
    Ok(kind.to_owned())
}

fn sync_ms(folder: &Path) -> anyhow::Result<f64> {
    let file = tempfile::tempfile_in(folder)?;
    let block = [7; BLOCK];
    for at in 0..SYNCS {
        file.write_all_at(&block, at * BLOCK as u64)?;
    }
    file.sync_all()?;
    let mut figures = Vec::new();
    for at in 0..SYNCS {
        let begun = Instant::now();
        file.write_all_at(&block, at * BLOCK as u64)?;
        file.sync_data()?;
        figures.push(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(percentile(&figures, 50))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_on_the_file_system_that_is_mounted_nearest() {
        let mounts = "/dev/a / ext4 rw 0 0\nproc /proc proc rw 0 0\n";
        assert_eq!(file_system(Path::new("/proc/self"), mounts).unwrap(), "proc");
        assert_eq!(file_system(Path::new("/usr"), mounts).unwrap(), "ext4");
    }
}
