//! What is measured.

use crate::server::Server;
use anyhow::bail;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How often a figure is asked for while something is awaited: rarely enough not to be the load.
const ASK_EVERY: Duration = Duration::from_millis(5);
const BATCH: u64 = 100;

/// Starts the Worker's process and fills the caches.
pub(crate) async fn warm_up(server: &Server) -> anyhow::Result<()> {
    concurrent(server, 200, 50).await?;
    Ok(())
}

/// Steps/s of one instance with so many steps, by the server's own times of start and end.
pub(crate) async fn sequential(server: &Server, steps: u32) -> anyhow::Result<f64> {
    let created = server
        .post(
            "workflows/steps/instances",
            &json!({ "params": { "steps": steps } }),
        )
        .await?;
    let path = "workflows/steps/instances?per_page=1";
    loop {
        tokio::time::sleep(ASK_EVERY * 4).await;
        let rows = server.get(path).await?;
        let row = &rows[0];
        if row["id"] != created["id"] {
            bail!("another instance was created meanwhile");
        }
        match row["status"].as_str() {
            Some("complete") => return Ok(f64::from(steps) / seconds_between(row)?),
            Some("errored") => bail!("the instance failed: {row}"),
            _ => {}
        }
    }
}

fn seconds_between(row: &Value) -> anyhow::Result<f64> {
    let millis = |key: &str| row[key].as_str().and_then(millis_of_day);
    match (millis("started_on"), millis("ended_on")) {
        (Some(start), Some(end)) => Ok((end - start).rem_euclid(86_400_000.0).max(1.0) / 1_000.0),
        _ => bail!("an instance without times: {row}"),
    }
}

/// Milliseconds since midnight of `…THH:MM:SS.mmmZ`.
fn millis_of_day(text: &str) -> Option<f64> {
    let time = text.split_once('T')?.1.strip_suffix('Z')?;
    let mut parts = time.split(':').map(str::parse::<f64>);
    let (hours, minutes, seconds) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    Some((hours * 3_600.0 + minutes * 60.0 + seconds) * 1_000.0)
}

/// Steps/s of so many instances of 10 steps, a number of them in flight at any time, from the first creation to the last end.
pub(crate) async fn concurrent(server: &Server, instances: u64, in_flight: u64) -> anyhow::Result<f64> {
    let before = complete(server).await?;
    let (mut created, begun) = (0, Instant::now());
    loop {
        let done = complete(server).await? - before;
        if done >= instances {
            #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
            return Ok((instances * 10) as f64 / begun.elapsed().as_secs_f64());
        }
        let room = (in_flight - (created - done)).min(instances - created).min(BATCH);
        if room > 0 {
            let batch: Vec<Value> = (0..room).map(|_| json!({ "params": { "steps": 10 } })).collect();
            server
                .post("workflows/steps/instances/batch", &Value::Array(batch))
                .await?;
            created += room;
        } else {
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

async fn complete(server: &Server) -> anyhow::Result<u64> {
    let workflow = server.get("workflows/steps").await?;
    Ok(workflow["instances"]["complete"].as_u64().unwrap_or(0))
}

/// Milliseconds from sending the creation to the first answer that says `complete`, one after the other.
pub(crate) async fn latency(server: &Server, samples: usize) -> anyhow::Result<Vec<f64>> {
    let mut figures = Vec::with_capacity(samples);
    for _ in 0..samples {
        let begun = Instant::now();
        let created = server
            .post("workflows/steps/instances", &json!({ "params": { "steps": 1 } }))
            .await?;
        let path = format!(
            "workflows/steps/instances/{}?simple=true",
            created["id"].as_str().unwrap_or_default()
        );
        while server.get(&path).await?["status"] != "complete" {}
        figures.push(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(figures)
}

/// Creations/s by so many clients that each wait for their answer; the instances sleep.
pub(crate) async fn create(server: &Server, instances: u64, clients: u64) -> anyhow::Result<f64> {
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    for _ in 0..clients {
        let (client, url) = (
            server.client.clone(),
            format!("{}/workflows/sleeper/instances", server.base),
        );
        let share = instances / clients;
        tasks.spawn(async move {
            for _ in 0..share {
                let answer = client.post(&url).json(&json!({})).send().await?;
                anyhow::ensure!(answer.status().is_success(), "{}", answer.text().await?);
                answer.bytes().await?;
            }
            Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    Ok((instances / clients * clients) as f64 / begun.elapsed().as_secs_f64())
}

/// Waits until at least so many instances sleep and have left memory.
pub(crate) async fn sleepers(server: &Server, instances: u64) -> anyhow::Result<()> {
    let waiting = async || {
        anyhow::Ok(
            server.get("workflows/sleeper").await?["instances"]["waiting"]
                .as_u64()
                .unwrap_or(0),
        )
    };
    let missing = instances.saturating_sub(waiting().await?);
    create(server, missing.next_multiple_of(64), 64).await?;
    while waiting().await? < instances {
        tokio::time::sleep(ASK_EVERY * 20).await;
    }
    // A run leaves memory when it has been quiet for a second.
    tokio::time::sleep(Duration::from_secs(3)).await;
    Ok(())
}
