//! Processes: those the bench starts, and the CPU time of a process with all its descendants.

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// How long a process may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(20);

/// How long it may take to be ready.
const START: Duration = Duration::from_secs(60);

/// A process with all it has started. What is left of it when this is dropped is killed.
#[derive(Debug)]
pub(crate) struct Group {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Group {
    /// Starts it, its output in a file of `folder`.
    pub(crate) fn start(name: &str, mut command: Command, folder: &Path) -> anyhow::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = fs::File::create(&log).with_context(|| log.display().to_string())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} could not be started"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Tries until it succeeds. An error, with what the process wrote, when it ends before or a minute goes by.
    pub(crate) async fn wait_until(
        &mut self,
        mut attempt: impl AsyncFnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let Err(error) = attempt().await else {
                return Ok(());
            };
            if let Some(status) = self.child.try_wait()? {
                bail!("{} has ended ({status}):\n{}", self.name, self.last_words());
            }
            if begun.elapsed() > START {
                let said = self.last_words();
                bail!("{} was not ready within a minute: {error:#}\n{said}", self.name);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The end of what it wrote.
    pub(crate) fn last_words(&self) -> String {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Asks it to end with `signal`, and kills what is left after a while.
    pub(crate) async fn stop(&mut self, signal: Signal) -> anyhow::Result<()> {
        let group = pid(&self.child);
        self.signal(signal);
        let _ = tokio::time::timeout(GRACE, self.child.wait()).await;
        if let Some(group) = group {
            // An error says that nothing is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
        self.child.wait().await?;
        Ok(())
    }

    /// Sends it a signal; nothing when it has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = pid(&self.child) {
            let _ = kill_process(pid, signal);
        }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = pid(&self.child) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

fn pid(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()?).ok()?)
}

/// CPU time used so far, by process.
#[derive(Debug, Default)]
pub(crate) struct Cpu(BTreeMap<u32, (String, u64)>);

impl Cpu {
    /// Of these processes and all that descend from them.
    pub(crate) fn of(roots: &[u32]) -> Self {
        let all: BTreeMap<u32, Stat> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, Stat::of(pid)?)))
            .collect();
        let descends = |mut pid: u32| {
            while !roots.contains(&pid) {
                match all.get(&pid) {
                    Some(stat) if stat.parent != 0 => pid = stat.parent,
                    Some(_) | None => return false,
                }
            }
            true
        };
        let of_them = all.iter().filter(|(pid, _)| descends(**pid));
        Self(
            of_them
                .map(|(pid, stat)| (*pid, (stat.name.clone(), stat.ticks)))
                .collect(),
        )
    }

    /// Of this process alone.
    pub(crate) fn of_one(pid: u32) -> Self {
        let stat = Stat::of(pid).map(|stat| (pid, (stat.name, stat.ticks)));
        Self(stat.into_iter().collect())
    }

    /// Milliseconds since `before`, by the name of the program.
    pub(crate) fn since(&self, before: &Self) -> BTreeMap<String, f64> {
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let tick = 1_000.0 / rustix::param::clock_ticks_per_second() as f64;
        let mut used = BTreeMap::new();
        for (pid, (name, ticks)) in &self.0 {
            let earlier = before.0.get(pid).map_or(0, |(_, ticks)| *ticks);
            #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
            let millis = ticks.saturating_sub(earlier) as f64 * tick;
            *used.entry(name.clone()).or_insert(0.0) += millis;
        }
        used
    }

    /// The program of the first of them with this name.
    pub(crate) fn program(&self, wanted: &str) -> Option<PathBuf> {
        let (pid, _) = self.0.iter().find(|(_, (name, _))| name == wanted)?;
        fs::read_link(format!("/proc/{pid}/exe")).ok()
    }
}

/// A line of /proc/PID/stat.
#[derive(Debug)]
struct Stat {
    name: String,
    parent: u32,
    ticks: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (start, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let program = fs::read_link(format!("/proc/{pid}/exe")).ok();
        let program = program.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        let name = program.or_else(|| Some(start.split_once('(')?.1.to_owned()))?;
        Some(Self {
            name,
            parent: fields.get(1)?.parse().ok()?,
            ticks: fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_that_of_a_process_and_its_descendants() {
        let own = std::process::id();
        let before = Cpu::of(&[own]);
        assert!(before.0.contains_key(&own));
        assert!(!before.0.contains_key(&1));
        let mut sum = 0_u64;
        while Cpu::of(&[own]).since(&before).values().sum::<f64>() < 20.0 {
            sum = (0..100_000_u64).fold(sum, |sum, number| sum.wrapping_mul(31) ^ number);
        }
        assert_ne!(sum, 1);
    }
}
