//! A `cairn serve` of the bench's own, and requests to it.

use crate::door::{Door, Speech};
use anyhow::{Context, bail};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

const TOKEN: &str = "bench-token-of-this-run-only-0123456789";
const SCRIPT: &str = "bench";

/// The Worker: one class for each workload.
const WORKER: &str = r#"
import { WorkflowEntrypoint } from "cloudflare:workers";
export class Steps extends WorkflowEntrypoint {
  async run(event, step) {
    let sum = 0;
    for (let i = 0; i < event.payload.steps; i++) sum += await step.do(`step ${i}`, async () => i);
    return sum;
  }
}
export class Sleeper extends WorkflowEntrypoint {
  async run(event, step) {
    await step.sleep("nap", "1 hour");
  }
}
export class Napper extends WorkflowEntrypoint {
  async run(event, step) {
    await step.sleepUntil("nap", new Date(event.payload.until));
    return await step.do("wake", async () => Date.now() - event.payload.until);
  }
}
export class Nothing extends WorkflowEntrypoint {
  async run() { return 0; }
}
export default { fetch() { return new Response("bench"); } };
"#;

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    program: PathBuf,
    data_dir: PathBuf,
    child: Child,
    pub(crate) base: String,
    pub(crate) client: reqwest::Client,
}

impl Server {
    pub(crate) async fn start(program: &Path, data_dir: &Path) -> anyhow::Result<Self> {
        let (child, base) = spawn(program, data_dir)?;
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert(
            "authorization",
            format!("Bearer {TOKEN}").parse().context("the token")?,
        );
        // Where cairn is built along, reqwest has TLS but no cryptography of its own. Fails when it was done before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().default_headers(headers).build()?;
        let server = Self {
            program: program.into(),
            data_dir: data_dir.into(),
            child,
            base,
            client,
        };
        server.wait_until_ready().await?;
        Ok(server)
    }

    async fn wait_until_ready(&self) -> anyhow::Result<()> {
        let url = self.base.replace("/client/v4/accounts/bench", "/healthz");
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(60) {
            if self
                .client
                .get(&url)
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!(
            "the server did not answer within a minute; run it by hand: {} serve",
            self.program.display()
        )
    }

    /// The same server anew, on the same data.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        (self.child, self.base) = spawn(&self.program, &self.data_dir)?;
        self.wait_until_ready().await
    }

    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    pub(crate) async fn deploy(&self) -> anyhow::Result<()> {
        let metadata =
            json!({ "main_module": "index.js", "compatibility_date": "2026-11-01", "bindings": [] });
        let metadata = Part::text(metadata.to_string()).mime_str("application/json")?;
        let module = Part::text(WORKER)
            .file_name("index.js")
            .mime_str("application/javascript+module")?;
        let form = Form::new().part("metadata", metadata).part("index.js", module);
        let put = self
            .client
            .put(format!("{}/workers/scripts/{SCRIPT}", self.base))
            .multipart(form);
        result(put.send().await?).await?;
        let workflows = [
            ("steps", "Steps"),
            ("sleeper", "Sleeper"),
            ("napper", "Napper"),
            ("nothing", "Nothing"),
        ];
        for (name, class_name) in workflows {
            let body = json!({ "script_name": SCRIPT, "class_name": class_name });
            result(
                self.client
                    .put(format!("{}/workflows/{name}", self.base))
                    .json(&body)
                    .send()
                    .await?,
            )
            .await?;
        }
        Ok(())
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        result(self.client.get(format!("{}/{path}", self.base)).send().await?).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        result(
            self.client
                .post(format!("{}/{path}", self.base))
                .json(body)
                .send()
                .await?,
        )
        .await
    }

    /// The server's process.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Where the load generator asks.
    pub(crate) fn door(&self) -> anyhow::Result<Door> {
        let (address, account) = self
            .base
            .strip_prefix("http://")
            .and_then(|rest| rest.split_once('/'))
            .context("the base has a path")?;
        Ok(Door {
            address: address.to_owned(),
            speech: Speech::Cairn {
                account: format!("/{account}"),
                token: TOKEN.to_owned(),
            },
        })
    }

    /// Resident memory of the server itself, without the processes of user code.
    pub(crate) fn resident_mib(&self) -> anyhow::Result<f64> {
        let pid = self.child.id().context("the server has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("this needs Linux")?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("no VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    }
}

fn spawn(program: &Path, data_dir: &Path) -> anyhow::Result<(Child, String)> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    // What the server says is of no interest here, but for who looks for an error.
    std::fs::create_dir_all(data_dir).with_context(|| data_dir.display().to_string())?;
    let log = std::fs::File::create(data_dir.join("bench.log"))?;
    let child = Command::new(program)
        .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
        .arg(data_dir)
        .env("CAIRN_ROOT_TOKEN", TOKEN)
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("the server could not be started")?;
    Ok((child, format!("http://127.0.0.1:{port}/client/v4/accounts/bench")))
}

async fn result(answer: reqwest::Response) -> anyhow::Result<Value> {
    let status = answer.status();
    let mut body: Value = serde_json::from_slice(&answer.bytes().await?)?;
    if !status.is_success() {
        bail!("{status}: {}", body["errors"]);
    }
    Ok(body["result"].take())
}
