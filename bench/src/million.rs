//! (f) What a million finished instances cost those that run, and those who look: two servers side by side, one with few of them and one with many,
//! measured in turns.

use crate::figures::percentile;
use crate::server::Server;
use crate::sleepers::post;
use crate::workloads;
use anyhow::Context;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// Finished instances in the store that is compared with.
const FEW: u64 = 1_000;
/// Instances made by one request.
const BATCH: u64 = 100;
/// Instances that run at a time while a store is filled.
const IN_FLIGHT: u64 = 2_000;
/// Instances that are created and run to measure how fast that is.
const CREATED: u64 = 5_000;
/// Requests of each kind whose median is told.
const ASKED: usize = 41;
/// How often it is told how far the filling is.
const TELL_EVERY: u64 = 100_000;

/// Measures on two servers of its own and prints a line for each figure: with few, with many, and the ratio.
pub(crate) async fn run(
    cairn: &Path,
    data_dir: &Path,
    (finished, rounds): (u64, usize),
) -> anyhow::Result<()> {
    let few = Server::start(cairn, &data_dir.join("few")).await?;
    let mut many = Server::start(cairn, &data_dir.join("many")).await?;
    for (server, count) in [(&few, FEW), (&many, finished)] {
        server.deploy().await?;
        workloads::warm_up(server).await?;
        flow(server, count).await?;
    }
    let begun = Instant::now();
    many.restart().await?;
    let started = begun.elapsed();
    workloads::warm_up(&many).await?;
    println!(
        "{:<44} {:>12} {:>12} {:>7}",
        "(f)",
        format!("{FEW} finished"),
        finished,
        "ratio"
    );
    let mut figures = Figures::default();
    for _ in 0..rounds {
        for (side, server) in [(Side::Few, &few), (Side::Many, &many)] {
            figures.note(
                "steps/s, one instance of 1,000 steps",
                side,
                workloads::sequential(server, 1_000).await?,
            );
            figures.note(
                "steps/s, 1,000 instances, 100 in flight",
                side,
                workloads::concurrent(server, 1_000, 100).await?,
            );
            figures.note("instances/s, created and run", side, flow(server, CREATED).await?);
        }
    }
    let asked = (requests(&few, FEW).await?, requests(&many, finished).await?);
    for ((name, of_few), (_, of_many)) in asked.0.iter().zip(&asked.1) {
        for _ in 0..ASKED {
            for (side, server, path) in [(Side::Few, &few, of_few), (Side::Many, &many, of_many)] {
                let begun = Instant::now();
                server.get(path).await?;
                figures.note(name, side, begun.elapsed().as_secs_f64() * 1_000.0);
            }
        }
    }
    figures.print();
    println!(
        "start of the server with {finished}: {:.0} ms",
        started.as_secs_f64() * 1_000.0
    );
    let bytes = std::fs::metadata(data_dir.join("many/cairn.db"))?.len();
    println!("database: {} bytes an instance", bytes / finished.max(1));
    few.stop().await?;
    many.stop().await
}

/// Creates so many instances that have nothing to do and waits until they have ended; how many a second.
async fn flow(server: &Server, count: u64) -> anyhow::Result<f64> {
    let url = format!("{}/workflows/nothing/instances/batch", server.base);
    let before = ended(server).await?;
    let (mut created, begun) = (0, Instant::now());
    loop {
        let done = ended(server).await? - before;
        if done >= count {
            #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
            return Ok(count as f64 / begun.elapsed().as_secs_f64());
        }
        let room = (IN_FLIGHT - (created - done)).min(count - created).min(BATCH);
        if room == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
            continue;
        }
        let batch: Vec<Value> = (0..room).map(|_| json!({})).collect();
        post(&server.client, &url, &Value::Array(batch)).await?;
        created += room;
        if created.is_multiple_of(TELL_EVERY) {
            eprintln!(
                "{created} of {count} are created after {:.0} s",
                begun.elapsed().as_secs_f64()
            );
        }
    }
}

async fn ended(server: &Server) -> anyhow::Result<u64> {
    let workflow = server.get("workflows/nothing").await?;
    Ok(workflow["instances"]["complete"].as_u64().unwrap_or(0))
}

/// What is asked for: pages at the begin, in the middle and at the end, by status, by date, and what is told of one.
async fn requests(server: &Server, count: u64) -> anyhow::Result<Vec<(&'static str, String)>> {
    let list = "workflows/nothing/instances?per_page=100";
    let (middle, last) = (count / 200 + 1, count / 100);
    let rows = server.get(&format!("{list}&page={middle}")).await?;
    let text = |row: usize, key: &str| {
        rows[row][key]
            .as_str()
            .map(str::to_owned)
            .context("a page with fewer rows")
    };
    let (id, newer, older) = (text(0, "id")?, text(0, "created_on")?, text(99, "created_on")?);
    Ok(vec![
        ("first page, ms", list.to_owned()),
        ("page in the middle, ms", format!("{list}&page={middle}")),
        ("last page, ms", format!("{list}&page={last}")),
        ("first page by status, ms", format!("{list}&status=complete")),
        (
            "page in the middle by status, ms",
            format!("{list}&status=complete&page={middle}"),
        ),
        (
            "page by status of which there is none, ms",
            format!("{list}&status=errored"),
        ),
        ("page of running ones, ms", format!("{list}&status=running")),
        (
            "page by dates, ms",
            format!("{list}&date_start={older}&date_end={newer}"),
        ),
        (
            "page of the later half by date, ms",
            format!("{list}&date_start={newer}"),
        ),
        (
            "page by date and status, ms",
            format!("{list}&status=complete&date_start={older}"),
        ),
        ("workflow with its counts, ms", "workflows/nothing".to_owned()),
        ("one instance, ms", format!("workflows/nothing/instances/{id}")),
    ])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Few,
    Many,
}

/// Figures of both sides by name, in the order they were first told.
#[derive(Debug, Default)]
struct Figures(Vec<(&'static str, [Vec<f64>; 2])>);

impl Figures {
    fn note(&mut self, name: &'static str, side: Side, figure: f64) {
        let place = self.0.iter().position(|(known, _)| *known == name);
        let place = place.unwrap_or_else(|| {
            self.0.push((name, [Vec::new(), Vec::new()]));
            self.0.len() - 1
        });
        self.0[place].1[usize::from(side == Side::Many)].push(figure);
    }

    fn print(&self) {
        for (name, [few, many]) in &self.0 {
            let (few, many) = (percentile(few, 50), percentile(many, 50));
            let digits = if few < 100.0 { 2 } else { 0 };
            println!(
                "{name:<44} {few:>12.digits$} {many:>12.digits$} {:>7.2}",
                many / few
            );
        }
    }
}
