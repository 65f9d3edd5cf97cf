//! Measures the SQLite store, with every commit flushed to disk.
//!
//! ```text
//! cargo run --release -p cairn-store --example store_bench [DIRECTORY] [SECONDS] [ONLY]
//! ```
//!
//! DIRECTORY is where the database is made (default: the system's directory for temporary files; choose a real disk),
//! SECONDS how long each line is measured (default 3), ONLY a word of the lines wanted. A commit is what one step of a workflow takes: two entries of 40 bytes,
//! one with a value of 50 bytes. Lines: commits by 100 callers with one commit a call; commits by one and by four callers with
//! 100 commits a call; the same while 200,000 other instances lie in the file; creations by 100 callers and in batches;
//! whole lives (created, one step, ended) by 100 callers; reads of a row by 100 callers; commits while 20,000 instances and more expire.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use bytes::Bytes;
use cairn_core::{Seq, Status, Timestamp};
use cairn_store::sqlite::SqliteStore;
use cairn_store::{
    Commit, InstanceNo, Lease, NewInstance, NewWorkflow, NodeId, Release, Start, Store, Trigger,
};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

struct Bench {
    store: Arc<SqliteStore>,
    workflow: i64,
    node: NodeId,
    time: Duration,
    ids: AtomicU64,
    only: String,
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let parent = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds = arguments.next().map_or(3.0, |seconds| seconds.parse().unwrap());
    let directory = tempfile::tempdir_in(parent).unwrap();
    let store = Arc::new(SqliteStore::open(directory.path()).unwrap());
    let workflow = store
        .put_workflow(NewWorkflow {
            account: "a".to_owned(),
            name: "w".to_owned(),
            id: "w".to_owned(),
            version: "v".to_owned(),
            script: "s".to_owned(),
            class_name: "C".to_owned(),
            at: NOW,
            settings: String::new(),
            schedules: Vec::new(),
        })
        .await
        .unwrap()
        .no;
    let node = store.register(Timestamp(i64::MAX)).await.unwrap();
    let bench = Arc::new(Bench {
        store,
        workflow,
        node,
        time: Duration::from_secs_f64(seconds),
        ids: AtomicU64::new(0),
        only: arguments.next().unwrap_or_default(),
    });

    bench.commits(100, 1).await;
    bench.commits(1, 100).await;
    bench.commits(4, 100).await;
    bench.creations(100, 1).await;
    bench.creations(1, 100).await;
    bench.lives(100).await;
    while bench.ids.load(Ordering::Relaxed) < 200_000 {
        bench.create(1_000).await;
    }
    println!("{} instances in the file:", bench.ids.load(Ordering::Relaxed));
    bench.commits(100, 1).await;
    bench.commits(4, 100).await;
    bench.creations(100, 1).await;
    bench.lives(100).await;
    bench.reads(100).await;
    bench.commits_while_instances_expire(100).await;
    let size = std::fs::metadata(bench.store.path()).unwrap().len();
    println!("{:>9} MB in the file", size / 1_000_000);
}

impl Bench {
    /// Callers at the same time, each doing `work` again and again; prints what they did a second.
    async fn measure<F>(self: &Arc<Self>, what: &str, callers: usize, work: impl Fn(Arc<Self>, Instant) -> F)
    where
        F: Future<Output = (u64, Vec<Duration>)> + Send + 'static,
    {
        if !what.contains(&self.only) {
            return;
        }
        let begin = Instant::now();
        let tasks: Vec<_> = (0..callers)
            .map(|_| tokio::spawn(work(Arc::clone(self), begin + self.time)))
            .collect();
        let (mut done, mut times) = (0, Vec::new());
        for task in tasks {
            let (count, took) = task.await.unwrap();
            done += count;
            times.extend(took);
        }
        let a_second = done as f64 / begin.elapsed().as_secs_f64();
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        println!(
            "{a_second:>9.0} {what}/s   p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }

    async fn commits(self: &Arc<Self>, callers: usize, batch: usize) {
        let what = format!("commits ({callers} callers, {batch} a call)");
        self.measure(&what, callers, |bench, end| async move {
            let mut held: Vec<Commit> = bench.create(batch).await.into_iter().map(step).collect();
            let (mut done, mut times) = (0, Vec::new());
            while Instant::now() < end {
                let begin = Instant::now();
                let outcomes = bench.store.commit(held.clone()).await.unwrap();
                times.push(begin.elapsed());
                assert!(outcomes.iter().all(Result::is_ok));
                held.iter_mut().for_each(|commit| commit.next_seq.0 += 2);
                done += batch as u64;
            }
            (done, times)
        })
        .await;
    }

    async fn creations(self: &Arc<Self>, callers: usize, batch: usize) {
        let what = format!("creations ({callers} callers, {batch} a call)");
        self.measure(&what, callers, |bench, end| async move {
            let (mut done, mut times) = (0, Vec::new());
            while Instant::now() < end {
                let begin = Instant::now();
                bench.create(batch).await;
                times.push(begin.elapsed());
                done += batch as u64;
            }
            (done, times)
        })
        .await;
    }

    async fn lives(self: &Arc<Self>, callers: usize) {
        let what = format!("lives of one step ({callers} callers)");
        self.measure(&what, callers, |bench, end| async move {
            let (mut done, mut times) = (0, Vec::new());
            while Instant::now() < end {
                let begin = Instant::now();
                let commit = step(bench.create(1).await.remove(0));
                bench.store.commit(vec![commit.clone()]).await.unwrap()[0].unwrap();
                let end = Commit {
                    next_seq: Seq(3),
                    status: Status::Complete,
                    ended_at: Some(NOW),
                    release: Some(Release { wake_at: None }),
                    ..commit
                };
                bench.store.commit(vec![end]).await.unwrap()[0].unwrap();
                times.push(begin.elapsed());
                done += 1;
            }
            (done, times)
        })
        .await;
    }

    async fn reads(self: &Arc<Self>, callers: usize) {
        let what = format!("reads of a row ({callers} callers)");
        self.measure(&what, callers, |bench, end| async move {
            let (mut done, mut times) = (0, Vec::new());
            while Instant::now() < end {
                let begin = Instant::now();
                let row = bench
                    .store
                    .instance(bench.workflow, &id(done * 997 % 200_000))
                    .await
                    .unwrap();
                assert!(row.is_some());
                times.push(begin.elapsed());
                done += 1;
            }
            (done, times)
        })
        .await;
    }

    /// Commits while finished instances are removed, 50 a write with as long a pause, as the engine does it.
    async fn commits_while_instances_expire(self: &Arc<Self>, callers: usize) {
        let mut ends = Vec::new();
        for _ in 0..20 {
            let created = self.create(1_000).await.into_iter().map(step);
            let end = |commit: Commit| Commit {
                status: Status::Complete,
                ended_at: Some(NOW),
                release: Some(Release { wake_at: None }),
                ..commit
            };
            ends.extend(self.store.commit(created.map(end).collect()).await.unwrap());
        }
        assert!(ends.iter().all(Result::is_ok));
        let bench = Arc::clone(self);
        let expiry = tokio::spawn(async move {
            let (mut removed, mut longest) = (0, Duration::ZERO);
            loop {
                let begin = Instant::now();
                let count = bench.store.expire(Timestamp(i64::MAX), 50).await.unwrap();
                longest = longest.max(begin.elapsed());
                removed += count;
                if count == 0 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                } else {
                    tokio::time::sleep(begin.elapsed()).await;
                }
                if removed >= 20_000 && count == 0 {
                    break;
                }
            }
            (removed, longest)
        });
        self.commits(callers, 1).await;
        let (removed, longest) = expiry.await.unwrap();
        println!("          {removed} instances expired meanwhile, the longest write took {longest:.1?}");
    }

    async fn create(&self, count: usize) -> Vec<(InstanceNo, Lease)> {
        let first = self.ids.fetch_add(count as u64, Ordering::Relaxed);
        let instances = (first..first + count as u64)
            .map(|n| NewInstance {
                workflow: self.workflow,
                id: id(n),
                version: "v".to_owned(),
                script_version: "s".to_owned(),
                class_name: "C".to_owned(),
                trigger: Trigger::Api,
                created_at: NOW,
                success_retention_millis: 1,
                error_retention_millis: 1,
                entry: vec![1; 20],
                params: Bytes::from_static(&[2; 50]),
                start: Start::Now,
            })
            .collect();
        let created = self.store.create(instances, Some(self.node)).await.unwrap();
        created
            .into_iter()
            .map(|created| {
                let (no, lease) = created.unwrap();
                (no, lease.unwrap())
            })
            .collect()
    }
}

/// Spread as random ids are.
fn id(n: u64) -> String {
    format!("{:016x}-{n:08x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn step((instance, lease): (InstanceNo, Lease)) -> Commit {
    Commit {
        instance,
        lease,
        next_seq: Seq(1),
        entries: vec![
            (vec![3; 40], None),
            (vec![4; 40], Some(Bytes::from_static(&[5; 50]))),
        ],
        status: Status::Running,
        started_at: Some(NOW),
        ended_at: None,
        at: NOW,
        consumed: None,
        release: None,
        repin: None,
    }
}
