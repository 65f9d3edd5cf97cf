//! Starting each system on a folder of its own, and stopping it.

use crate::door::{Door, Speech};
use crate::postgres::Postgres;
use crate::processes::Group;
use crate::server::Server;
use crate::system::System;
use crate::tools::Tools;
use anyhow::Context;
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::process::Command;

/// A system that answers.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) door: Door,
    cairn: Option<Server>,
    /// The processes of a peer, in the order they were started.
    groups: Vec<Group>,
    postgres: Option<Postgres>,
}

impl Running {
    /// The processes of the system, without their descendants.
    pub(crate) fn roots(&self) -> Vec<u32> {
        let cairn = self.cairn.as_ref().and_then(Server::id);
        let database = self.postgres.as_ref().and_then(Postgres::id);
        let groups = self.groups.iter().filter_map(Group::id);
        groups.chain(cairn).chain(database).collect()
    }

    /// What the processes of a peer said last.
    pub(crate) fn last_words(&self) -> String {
        let said: Vec<String> = self.groups.iter().map(Group::last_words).collect();
        said.join("\n")
    }

    /// Ends all of it. Its data is of no further use, so what has no clean end is killed.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        if let Some(server) = self.cairn {
            server.stop().await?;
        }
        for mut group in self.groups.into_iter().rev() {
            group.stop(Signal::KILL).await?;
        }
        if let Some(postgres) = self.postgres {
            postgres.stop().await?;
        }
        Ok(())
    }
}

/// Starts a system on an empty folder and waits until it takes work.
pub(crate) async fn start(system: System, tools: &Tools, folder: &Path) -> anyhow::Result<Running> {
    match system {
        System::Cairn => cairn(tools, folder).await,
        System::Restate => restate(tools, folder).await,
        System::Dbos => dbos(tools, folder).await,
        System::OpenWorkflow => openworkflow(tools, folder).await,
        System::WranglerDev => wrangler_dev(tools, folder).await,
        System::Workerd => workerd(tools, folder).await,
    }
}

async fn cairn(tools: &Tools, folder: &Path) -> anyhow::Result<Running> {
    let server = Server::start(&tools.cairn, folder).await?;
    server.deploy().await?;
    Ok(Running {
        door: server.door()?,
        cairn: Some(server),
        groups: Vec::new(),
        postgres: None,
    })
}

async fn restate(tools: &Tools, folder: &Path) -> anyhow::Result<Running> {
    let (ingress, admin, node, service) = (free_port()?, free_port()?, free_port()?, free_port()?);
    let configuration = format!(
        "base-dir = {base:?}\nnode-name = \"bench\"\nbind-ip = \"127.0.0.1\"\nbind-port = {node}\n\
         [ingress]\nbind-address = \"127.0.0.1:{ingress}\"\n[admin]\nbind-address = \"127.0.0.1:{admin}\"\n",
        base = folder.join("data"),
    );
    let file = folder.join("restate.toml");
    fs::write(&file, configuration)?;
    let mut endpoint = Command::new(&tools.node);
    endpoint
        .arg(tools.peers.join("restate.mjs"))
        .arg(service.to_string());
    let endpoint = Group::start("restate-service", endpoint, folder)?;
    let mut server = Command::new(tools.restate());
    server
        .arg("--config-file")
        .arg(&file)
        .current_dir(folder)
        .env("RESTATE_DISABLE_TELEMETRY", "true")
        .env("DO_NOT_TRACK", "1");
    let mut server = Group::start("restate-server", server, folder)?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let register = format!("http://127.0.0.1:{admin}/deployments");
    let deployment = serde_json::json!({ "uri": format!("http://127.0.0.1:{service}") });
    server
        .wait_until(async || {
            let answer = client.post(&register).json(&deployment).send().await?;
            answer.error_for_status()?;
            Ok(())
        })
        .await?;
    let door = Door {
        address: format!("127.0.0.1:{ingress}"),
        speech: Speech::Restate,
    };
    peer(door, vec![endpoint, server], None).await
}

async fn dbos(tools: &Tools, folder: &Path) -> anyhow::Result<Running> {
    let postgres = Postgres::start(&tools.postgres, folder).await?;
    library("dbos", tools, folder, postgres.url(), Some(postgres)).await
}

async fn openworkflow(tools: &Tools, folder: &Path) -> anyhow::Result<Running> {
    let file = folder.join("openworkflow.db").display().to_string();
    library("openworkflow", tools, folder, file, None).await
}

/// An engine that is a library, in a process with `door.mjs`.
async fn library(
    name: &str,
    tools: &Tools,
    folder: &Path,
    database: String,
    postgres: Option<Postgres>,
) -> anyhow::Result<Running> {
    let port = free_port()?;
    let mut command = Command::new(&tools.node);
    command
        .arg("--disable-warning=ExperimentalWarning")
        .arg(tools.peers.join(format!("{name}.mjs")))
        .args([port.to_string(), database])
        .current_dir(folder);
    let group = Group::start(name, command, folder)?;
    let door = Door {
        address: format!("127.0.0.1:{port}"),
        speech: Speech::Library,
    };
    peer(door, vec![group], postgres).await
}

async fn wrangler_dev(tools: &Tools, folder: &Path) -> anyhow::Result<Running> {
    let port = free_port()?;
    let project = worker(tools, folder)?;
    let mut command = Command::new(&tools.node);
    command
        .arg(tools.module("wrangler/bin/wrangler.js"))
        .args(["dev", "--local", "--ip", "127.0.0.1", "--log-level", "error"])
        .args(["--port", &port.to_string(), "--inspector-port", "0"])
        .current_dir(&project)
        .env("HOME", folder)
        .env("XDG_CONFIG_HOME", folder)
        .env("WRANGLER_SEND_METRICS", "false")
        .env("CI", "1")
        .env("NO_COLOR", "1");
    of_worker(port, Group::start("wrangler-dev", command, folder)?).await
}

async fn workerd(tools: &Tools, folder: &Path) -> anyhow::Result<Running> {
    let port = free_port()?;
    let project = worker(tools, folder)?;
    let mut command = Command::new(tools.workerd());
    command
        .args(["serve", "--experimental", "wrangler.jsonc"])
        .args(["--socket-addr", &format!("http=127.0.0.1:{port}")])
        .current_dir(&project)
        .env("WORKERD_ESBUILD", tools.esbuild());
    of_worker(port, Group::start("workerd", command, folder)?).await
}

/// A copy of the Worker; both engines keep their data beside it.
fn worker(tools: &Tools, folder: &Path) -> anyhow::Result<std::path::PathBuf> {
    let project = folder.join("worker");
    fs::create_dir(&project)?;
    for file in ["index.js", "wrangler.jsonc"] {
        let from = tools.peers.join("worker").join(file);
        fs::copy(&from, project.join(file)).with_context(|| from.display().to_string())?;
    }
    Ok(project)
}

async fn of_worker(port: u16, group: Group) -> anyhow::Result<Running> {
    let door = Door {
        address: format!("127.0.0.1:{port}"),
        speech: Speech::Worker,
    };
    peer(door, vec![group], None).await
}

/// Waits until a first instance has run.
async fn peer(door: Door, mut groups: Vec<Group>, postgres: Option<Postgres>) -> anyhow::Result<Running> {
    let last = groups.last_mut().context("a peer has a process")?;
    last.wait_until(async || {
        let mut connection = door.connect().await?;
        door.run(&mut connection, 1, Duration::ZERO).await
    })
    .await?;
    Ok(Running {
        door,
        cairn: None,
        groups,
        postgres,
    })
}

/// A port nobody listens on.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.port())
}
