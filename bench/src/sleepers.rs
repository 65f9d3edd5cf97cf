//! (e) Many sleeping instances: what they cost in memory and CPU, and how late those wake that are due in the same second.

use crate::figures::{percentile, row};
use crate::processes::Cpu;
use crate::server::Server;
use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;

/// Instances made by one request.
const BATCH: u64 = 100;
/// Clients that create, or ask what became of an instance.
const CLIENTS: usize = 4;
/// By then a server that has nothing to do has let go of what it does not need.
const REST: Duration = Duration::from_secs(14);
/// How long the CPU of sleepers is watched.
const WATCH: Duration = Duration::from_secs(5);
/// How long those that are due may take altogether before something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Instances that sleep.
    pub(crate) sleeping: u64,
    /// Of those, instances that are due in the same second.
    pub(crate) due: u64,
}

/// When those wake that are due in the same second.
#[derive(Debug, Clone, Copy)]
enum Due {
    Spread,
    AtOnce,
}

/// Measures on a server of its own and prints a line for each figure. Fails when an instance wakes before its time.
pub(crate) async fn run(cairn: &Path, data_dir: &Path, sizes: Sizes) -> anyhow::Result<()> {
    let server = Server::start(cairn, data_dir).await?;
    server.deploy().await?;
    crate::workloads::concurrent(&server, 2_000, 100).await?;
    tokio::time::sleep(REST).await;
    let before = resident(&server)?;
    let far = now() + 24 * 3_600_000;
    let begun = Instant::now();
    create(&server, sizes.sleeping, move |_| far).await?;
    wait_for(&server, "waiting", sizes.sleeping).await?;
    let created = begun.elapsed().as_secs_f64();
    tokio::time::sleep(REST).await;
    let after = resident(&server)?;
    print_memory(sizes.sleeping, (&before, &after));
    let id = server.id().context("the server has ended")?;
    let cpu = Cpu::of(&[id]);
    tokio::time::sleep(WATCH).await;
    for (program, millis) in Cpu::of(&[id]).since(&cpu) {
        row(
            &format!("    CPU of {program} while they sleep, ms/s"),
            millis / WATCH.as_secs_f64(),
            "",
        );
    }
    row(
        "    creations/s of sleeping instances, in batches",
        figure(sizes.sleeping) / created,
        "",
    );
    for (due, name) in [
        (Due::Spread, "spread over a second"),
        (Due::AtOnce, "at the same moment"),
    ] {
        let late = wake(&server, sizes.due, due).await?;
        row(
            &format!("    late, {} {name}, p50 ms", sizes.due),
            percentile(&late, 50),
            "",
        );
        row("        the same, p99 ms", percentile(&late, 99), "1000");
        row("        the same, most", percentile(&late, 100), "");
    }
    server.stop().await
}

fn print_memory(sleeping: u64, (before, after): (&BTreeMap<String, f64>, &BTreeMap<String, f64>)) {
    for (program, mib) in after {
        let earlier = before.get(program).copied().unwrap_or_default();
        row(
            &format!("(e) resident MiB of {program} with {sleeping} sleeping"),
            *mib,
            "",
        );
        row("    the same before them", earlier, "");
        let each = (mib - earlier) * 1_024.0 / figure(sleeping);
        row(
            "    KiB for each",
            each,
            if program == "cairn" { "1" } else { "" },
        );
    }
}

/// Lets so many become due and says how many milliseconds late each went on: by the server's journal, and by the clock of user code if that says more.
async fn wake(server: &Server, count: u64, due: Due) -> anyhow::Result<Vec<f64>> {
    let done_before = counted(server, "complete").await?;
    // Further away than a run stays in memory for, and so much further as creating them may take.
    let second = (now() / 1_000 + 14 + i64::try_from(count)? / 1_000) * 1_000;
    let at = move |i: u64| match due {
        Due::Spread => second + i64::try_from(i * 1_000 / count).unwrap_or_default(),
        Due::AtOnce => second,
    };
    create(server, count, at).await?;
    let left = second - now();
    ensure!(
        left > 11_000,
        "creating {count} instances took too long here; ask for fewer (--due)"
    );
    tokio::time::sleep(Duration::from_millis(left.unsigned_abs())).await;
    wait_for(server, "complete", done_before + count).await?;
    let mut late = Vec::new();
    for result in details(server, done_before, count).await? {
        late.push(lateness(&result)?);
    }
    ensure!(
        late.len() as u64 == count,
        "{} of {count} instances are listed",
        late.len()
    );
    Ok(late)
}

/// What is told of the instances that have completed since there were `done_before` of them.
async fn details(server: &Server, done_before: u64, count: u64) -> anyhow::Result<Vec<Value>> {
    let mut ids = Vec::new();
    while (ids.len() as u64) < count {
        let page = ids.len() as u64 / BATCH + 1;
        let path = format!("workflows/napper/instances?status=complete&per_page={BATCH}&page={page}");
        let rows = server.get(&path).await?;
        let rows = rows.as_array().context("no rows")?;
        ensure!(
            !rows.is_empty(),
            "{} instances completed, {done_before} before; {} are listed",
            count,
            ids.len()
        );
        ids.extend(rows.iter().filter_map(|row| Some(row["id"].as_str()?.to_owned())));
    }
    ids.truncate(usize::try_from(count)?);
    let mut tasks = JoinSet::new();
    for share in ids.chunks(ids.len().div_ceil(CLIENTS).max(1)) {
        let (share, client, base) = (share.to_vec(), server.client.clone(), server.base.clone());
        tasks.spawn(async move {
            let mut found = Vec::with_capacity(share.len());
            for id in share {
                let answer = client
                    .get(format!("{base}/workflows/napper/instances/{id}"))
                    .send()
                    .await?;
                let mut body: Value = serde_json::from_slice(&answer.error_for_status()?.bytes().await?)?;
                found.push(body["result"].take());
            }
            anyhow::Ok(found)
        });
    }
    let mut all = Vec::new();
    while let Some(found) = tasks.join_next().await {
        all.extend(found??);
    }
    Ok(all)
}

/// How late an instance went on after its sleep.
fn lateness(instance: &Value) -> anyhow::Result<f64> {
    let due = instance["params"]["until"]
        .as_i64()
        .context("no time in the parameters")?;
    let steps = instance["steps"].as_array().context("no steps")?;
    let is_wake = |step: &&Value| step["name"].as_str().is_some_and(|name| name.starts_with("wake"));
    let step = steps.iter().find(is_wake).context("no step after the sleep")?;
    let started = step["start"]
        .as_str()
        .and_then(unix_millis)
        .context("a step without a start")?;
    let output = match &instance["output"] {
        Value::String(text) => text.parse()?,
        other => other.as_i64().context("the output is no number")?,
    };
    if started < due || output < 0 {
        bail!("an instance woke before its time: {instance}");
    }
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    Ok(output.max(started - due) as f64)
}

/// Milliseconds since 1970 of `YYYY-MM-DDTHH:MM:SS.mmmZ`.
fn unix_millis(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let (clock, millis) = time.split_once('.').unwrap_or((time, "0"));
    let mut clock = clock.split(':').map(str::parse::<i64>);
    let (hours, minutes, seconds) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    // Days since 1970, with years that begin in March so that a leap day is the last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    Some((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1_000 + millis.parse::<i64>().ok()?)
}

/// Creates so many that sleep until the time that `until` says.
async fn create(
    server: &Server,
    count: u64,
    until: impl Fn(u64) -> i64 + Send + Copy + 'static,
) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for client in 0..CLIENTS as u64 {
        let (http, url) = (
            server.client.clone(),
            format!("{}/workflows/napper/instances/batch", server.base),
        );
        tasks.spawn(async move {
            for first in (client * BATCH..count).step_by(CLIENTS * BATCH as usize) {
                let batch: Vec<Value> = (first..count.min(first + BATCH))
                    .map(|i| json!({ "params": { "until": until(i) } }))
                    .collect();
                post(&http, &url, &Value::Array(batch)).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// Sends a creation, again while the server says that it has too much to do.
pub(crate) async fn post(http: &reqwest::Client, url: &str, body: &Value) -> anyhow::Result<()> {
    loop {
        let answer = http.post(url).json(body).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        if status == reqwest::StatusCode::TOO_MANY_REQUESTS {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        ensure!(status.is_success(), "{status}: {text}");
        return Ok(());
    }
}

async fn wait_for(server: &Server, status: &str, count: u64) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let counted = counted(server, status).await?;
        if counted >= count {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "{counted} of {count} instances are {status} after a minute"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn counted(server: &Server, status: &str) -> anyhow::Result<u64> {
    let workflow = server.get("workflows/napper").await?;
    Ok(workflow["instances"][status].as_u64().unwrap_or(0))
}

/// Resident MiB by program: of the server and of the processes of user code.
fn resident(server: &Server) -> anyhow::Result<BTreeMap<String, f64>> {
    let id = server.id().context("the server has ended")?;
    let mut found = BTreeMap::from([("cairn".to_owned(), server.resident_mib()?)]);
    for task in std::fs::read_dir(format!("/proc/{id}/task"))?.flatten() {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            let status = std::fs::read_to_string(format!("/proc/{child}/status")).unwrap_or_default();
            let field = |name: &str| {
                status
                    .lines()
                    .find_map(|line| line.strip_prefix(name))
                    .map(str::trim)
            };
            let kib = field("VmRSS:").and_then(|text| text.trim_end_matches(" kB").parse::<f64>().ok());
            if let (Some(name), Some(kib)) = (field("Name:"), kib) {
                *found.entry(name.to_owned()).or_default() += kib / 1_024.0;
            }
        }
    }
    Ok(found)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn figure(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(unix_millis("1970-01-01T00:00:00.000Z"), Some(0));
        assert_eq!(unix_millis("2000-02-29T12:34:56.789Z"), Some(951_827_696_789));
        assert_eq!(unix_millis("yesterday"), None);
    }

    #[test]
    fn an_instance_that_wakes_early_is_an_error() {
        let instance = |start: &str, output: &str| json!({ "params": { "until": 1_000 }, "output": output, "steps": [{ "name": "wake-1", "start": start }] });
        assert_eq!(
            lateness(&instance("1970-01-01T00:00:01.250Z", "100")).unwrap(),
            250.0
        );
        assert!(lateness(&instance("1970-01-01T00:00:00.999Z", "100")).is_err());
        assert!(lateness(&instance("1970-01-01T00:00:01.250Z", "-1")).is_err());
    }
}
