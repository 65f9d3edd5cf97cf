//! A PostgreSQL of the bench's own, with its default durability: fsync and synchronous_commit are on.

use crate::processes::Group;
use crate::start::free_port;
use anyhow::{Context, ensure};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::Duration;
use tokio::process::Command;

/// A running cluster.
#[derive(Debug)]
pub(crate) struct Postgres {
    group: Group,
    port: u16,
}

/// The user and group PostgreSQL runs as. It refuses to run as root.
type Owner = Option<(u32, u32)>;

impl Postgres {
    /// Makes a cluster in `folder` and starts it.
    pub(crate) async fn start(programs: &Path, folder: &Path) -> anyhow::Result<Self> {
        let owner = owner()?;
        let data = folder.join("postgres");
        fs::create_dir(&data)?;
        if let Some((user, group)) = owner {
            chown(&data, Some(user), Some(group))?;
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        }
        let mut initdb = command(programs, "initdb", owner, folder);
        initdb
            .arg("-D")
            .arg(&data)
            .args(["-A", "trust", "-U", "postgres", "--no-locale", "-E", "UTF8"]);
        run(initdb, "initdb").await?;
        let port = free_port()?;
        let mut postgres = command(programs, "postgres", owner, folder);
        postgres.arg("-D").arg(&data);
        let port_setting = format!("port={port}");
        for setting in [
            port_setting.as_str(),
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "shared_buffers=512MB",
            "max_connections=200",
            "max_wal_size=4GB",
        ] {
            postgres.args(["-c", setting]);
        }
        let mut group = Group::start("postgres", postgres, folder)?;
        let log = folder.join("postgres.log");
        group
            .wait_until(async || {
                let said = fs::read_to_string(&log)?;
                let is_ready = said.contains("ready to accept connections");
                ensure!(is_ready, "it does not accept connections");
                Ok(())
            })
            .await?;
        Ok(Self { group, port })
    }

    pub(crate) fn id(&self) -> Option<u32> {
        self.group.id()
    }

    pub(crate) fn url(&self) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// A fast shutdown, so that no shared memory is left behind.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.group.stop(Signal::INT).await
    }
}

/// What is dropped before it was stopped gets a moment to give back its shared memory, which would outlive it.
impl Drop for Postgres {
    fn drop(&mut self) {
        self.group.signal(Signal::QUIT);
        for _ in 0..20 {
            if self.group.has_ended() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn command(programs: &Path, name: &str, owner: Owner, folder: &Path) -> Command {
    let mut command = Command::new(programs.join(name));
    command.current_dir(folder).env("LC_ALL", "C").kill_on_drop(true);
    if let Some((user, group)) = owner {
        command.uid(user).gid(group);
    }
    command
}

async fn run(mut command: Command, name: &str) -> anyhow::Result<()> {
    let output = command.output().await.with_context(|| name.to_owned())?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} failed: {said}");
    Ok(())
}

/// Nobody else unless this is root; then the user `postgres`, or `nobody`.
fn owner() -> anyhow::Result<Owner> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let of = |wanted: &str| {
        users.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let is_wanted = fields.first() == Some(&wanted);
            let ids = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
            is_wanted.then_some(ids)
        })
    };
    of("postgres").or_else(|| of("nobody")).map(Some).context(
        "PostgreSQL does not run as root, and there is neither a user postgres nor nobody: run the bench as another user",
    )
}
