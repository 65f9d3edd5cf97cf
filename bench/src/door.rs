//! How an instance is started on each system, and how its end is learned, in the fastest way each has.

use crate::http::{Connection, Request};
use anyhow::bail;
use serde_json::Value;
use std::time::Duration;

/// The words a system understands.
#[derive(Debug, Clone)]
pub(crate) enum Speech {
    /// Cairn's REST API, with the path of the account and the token.
    Cairn { account: String, token: String },
    /// Restate's ingress.
    Restate,
    /// `bench/peers/door.mjs`.
    Library,
    /// `bench/peers/worker`.
    Worker,
}

/// Where a running system is asked.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    /// `127.0.0.1:port`
    pub(crate) address: String,
    pub(crate) speech: Speech,
}

/// How the load generator learns of the ends of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// A request for each instance is answered at its end.
    Answered,
    /// The system counts them, see [`Door::ended`].
    Counted,
}

impl Door {
    pub(crate) async fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(&self.address).await
    }

    pub(crate) fn ends(&self) -> Ends {
        match self.speech {
            Speech::Cairn { .. } | Speech::Worker => Ends::Counted,
            Speech::Restate | Speech::Library => Ends::Answered,
        }
    }

    /// Answered when the creation of an instance with so many steps is durable.
    pub(crate) fn start(&self, steps: u64) -> Request {
        let host = &self.address;
        let body = format!("{{\"steps\":{steps}}}");
        match &self.speech {
            Speech::Cairn { account, token } => {
                let path = format!("{account}/workflows/steps/instances");
                let body = format!("{{\"params\":{body}}}");
                Request::post(host, &path, &bearer(token), &body)
            }
            Speech::Restate => Request::post(host, "/Bench/steps/send", "", &body),
            Speech::Library => Request::post(host, "/start", "", &body),
            Speech::Worker => Request::get(host, &format!("/start?steps={steps}"), ""),
        }
    }

    /// Starts an instance and returns at its end. Where the status has to be asked for, `pause` is between one answer and the next question.
    pub(crate) async fn run(
        &self,
        connection: &mut Connection,
        steps: u64,
        pause: Duration,
    ) -> anyhow::Result<()> {
        let host = &self.address;
        let body = format!("{{\"steps\":{steps}}}");
        let request = match &self.speech {
            Speech::Cairn { account, token } => {
                let created = result(&connection.ask(&self.start(steps)).await?)?;
                let id = created["id"].as_str().unwrap_or_default();
                let path = format!("{account}/workflows/steps/instances/{id}?simple=true");
                let status = Request::get(host, &path, &bearer(token));
                return until_complete(connection, &status, pause).await;
            }
            Speech::Restate => Request::post(host, "/Bench/steps", "", &body),
            Speech::Library => Request::post(host, "/run", "", &body),
            Speech::Worker => {
                let pause = pause.as_millis();
                Request::get(host, &format!("/run?steps={steps}&pause={pause}"), "")
            }
        };
        connection.ask(&request).await?;
        Ok(())
    }

    /// How many instances have ended so far.
    pub(crate) async fn ended(&self, connection: &mut Connection) -> anyhow::Result<u64> {
        let host = &self.address;
        let counted = match &self.speech {
            Speech::Cairn { account, token } => {
                let path = format!("{account}/workflows/steps");
                let answer = connection.ask(&Request::get(host, &path, &bearer(token))).await?;
                result(&answer)?["instances"]["complete"].as_u64()
            }
            Speech::Worker => {
                let answer = connection.ask(&Request::get(host, "/ended", "")).await?;
                serde_json::from_slice::<Value>(&answer)?["ended"].as_u64()
            }
            Speech::Restate | Speech::Library => bail!("this system does not count"),
        };
        Ok(counted.unwrap_or(0))
    }
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

/// What an answer of Cairn's has in its envelope.
fn result(answer: &[u8]) -> anyhow::Result<Value> {
    let mut envelope: Value = serde_json::from_slice(answer)?;
    Ok(envelope["result"].take())
}

async fn until_complete(
    connection: &mut Connection,
    status: &Request,
    pause: Duration,
) -> anyhow::Result<()> {
    loop {
        let instance = result(&connection.ask(status).await?)?;
        match instance["status"].as_str() {
            Some("complete") => return Ok(()),
            Some("queued" | "running" | "waiting") if pause.is_zero() => {}
            Some("queued" | "running" | "waiting") => tokio::time::sleep(pause).await,
            _ => bail!("the instance will not complete: {instance}"),
        }
    }
}
