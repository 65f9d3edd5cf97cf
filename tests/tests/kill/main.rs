//! `cairn` is killed at thirty random moments while 200 instances run steps, sleep, retry and wait for events, and is started again each time.
//!
//! Every step has an effect outside: it reports a nonce, fresh at each execution, and returns it. So at the end
//! - every instance is complete;
//! - what the store has as a step's result is what the workflow saw, in its output;
//! - the last nonce reported for a step is that result: no execution came after the one that was stored.
//!
//! `CAIRN_TEST_SEED` repeats the moments of a run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "this is a test; the lints know only functions marked as one"
)]

use cairn_tests::{Cairn, Recorder, Reply, Rest, Scratch, cairn, within};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

const INSTANCES: usize = 200;
const KILLS: usize = 30;
const ROUNDS: usize = 3;
/// Instances whose creation is asked for in each life of the server, until all are there.
const CREATED_A_LIFE: usize = 20;
/// Instances that are sent their event in each life; the others wait on, so that no life is without work.
const SENT_A_LIFE: usize = 4;

/// A small generator of numbers (splitmix64): the moments have to be repeatable, not good.
struct Random(u64);

impl Random {
    /// Seeded by `CAIRN_TEST_SEED`, else by the time.
    fn seeded() -> Self {
        let given = std::env::var("CAIRN_TEST_SEED").ok();
        let seed = match given {
            Some(text) => text.parse().expect("CAIRN_TEST_SEED is a number"),
            None => std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos().into(),
        };
        println!("CAIRN_TEST_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// What the test has asked for and had confirmed.
struct Progress {
    recorder: String,
    created: usize,
    sent: BTreeSet<usize>,
    unknown: usize,
}

fn id(instance: usize) -> String {
    format!("i{instance:03}")
}

fn path(instance: usize) -> String {
    format!("/workflows/survivor/instances/{}", id(instance))
}

impl Progress {
    /// Creates some instances; false when the server went away meanwhile.
    async fn create(&mut self, rest: &Rest, random: &mut Random, count: usize) -> bool {
        for instance in self.created..(self.created + count).min(INSTANCES) {
            let naps: Vec<u64> = (0..ROUNDS).map(|_| 200 + random.below(4_000)).collect();
            let params = json!({ "recorder": self.recorder, "naps": naps });
            let create = json!({ "instance_id": id(instance), "params": params });
            let Some(answer) = rest
                .send(Method::POST, "/workflows/survivor/instances", Some(&create))
                .await
            else {
                return false;
            };
            // An earlier life may have created it and died before it could say so.
            assert!(
                answer.body["success"] == true || answer.code() == 10405,
                "{}",
                answer.body
            );
            self.created = instance + 1;
        }
        true
    }

    /// Sends some instances their event, whatever they do right now; false when the server went away meanwhile. An event that was sent twice, since
    /// the first answer got lost, does no harm: one is waited for.
    async fn send(&mut self, rest: &Rest, count: usize) -> bool {
        let due: Vec<usize> = (0..self.created)
            .filter(|instance| !self.sent.contains(instance))
            .take(count)
            .collect();
        for instance in due {
            let payload = json!({ "for": id(instance) });
            let Some(answer) = rest
                .send(
                    Method::POST,
                    &format!("{}/events/go", path(instance)),
                    Some(&payload),
                )
                .await
            else {
                return false;
            };
            if answer.status == 504 {
                // It was accepted and what became of it is not known: asked again in the next life.
                self.unknown += 1;
                continue;
            }
            answer.result();
            self.sent.insert(instance);
        }
        true
    }
}

/// One life of the server, from start to SIGKILL, at a moment that may also be before it listens.
async fn live_and_die(cairn: &Cairn, data: &Path, random: &mut Random, progress: &mut Progress) {
    let mut server = cairn.start_server(data);
    let begun = Instant::now();
    let moment = Duration::from_millis(20 + random.below(1_100));
    let work = async {
        let rest = server.rest().await;
        let is_alive = progress.create(&rest, random, CREATED_A_LIFE).await;
        assert!(
            is_alive && progress.send(&rest, SENT_A_LIFE).await,
            "nobody has killed the server yet"
        );
        std::future::pending::<()>().await;
    };
    let died = tokio::time::timeout(moment, work).await;
    assert!(died.is_err());
    println!(
        "killed after {:?}; {} created, {} sent",
        begun.elapsed(),
        progress.created,
        progress.sent.len()
    );
    server.kill().await;
}

/// The nonces that were reported for each step of each instance, in order.
fn executions(recorder: &Recorder) -> BTreeMap<(String, String), Vec<String>> {
    let mut executions: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for request in recorder.seen() {
        let report: Value = serde_json::from_str(&request.body).unwrap();
        let text = |key: &str| report[key].as_str().unwrap().to_owned();
        executions
            .entry((text("instance"), text("step")))
            .or_default()
            .push(text("nonce"));
    }
    executions
}

/// Checks one instance, and gives how many executions its steps took.
async fn check(rest: &Rest, instance: usize, executions: &BTreeMap<(String, String), Vec<String>>) -> usize {
    let details = rest.get(&path(instance)).await;
    let output: Value = serde_json::from_str(details.result()["output"].as_str().unwrap()).unwrap();
    assert_eq!(output["event"], json!({ "for": id(instance) }));
    let seen = output["seen"].as_object().unwrap();
    assert_eq!(seen.len(), ROUNDS * 4 + 1);
    let mut count = 0;
    for (step, nonce) in seen {
        let query = format!(
            "{}/step?type=step&name={}",
            path(instance),
            step.replace(' ', "%20")
        );
        let stored = rest.get(&query).await;
        assert_eq!(
            &stored.result()["output"],
            nonce,
            "{} {step}: stored and seen",
            id(instance)
        );
        let reported = &executions[&(id(instance), step.clone())];
        assert_eq!(
            Some(reported.last().unwrap().as_str()),
            nonce.as_str(),
            "{} {step} ran again after it was stored: {reported:?}",
            id(instance)
        );
        count += reported.len();
    }
    count
}

#[tokio::test]
async fn nothing_is_lost_and_nothing_runs_again_over_thirty_kills() {
    let cairn = cairn!();
    let mut random = Random::seeded();
    let recorder = Recorder::start(|nth, _| {
        // So that many a kill finds steps in the middle.
        Reply::new(200, "").after(Duration::from_millis((nth as u64 * 7) % 50))
    })
    .await;
    let data = Scratch::new();
    let (server, rest) = cairn.serve(data.path()).await;
    rest.deploy("survivor", "Survivor", include_str!("survivor.js"))
        .await;
    server.kill().await;

    let mut progress = Progress {
        recorder: recorder.url("/"),
        created: 0,
        sent: BTreeSet::new(),
        unknown: 0,
    };
    for _ in 0..KILLS {
        live_and_die(&cairn, data.path(), &mut random, &mut progress).await;
    }

    let (server, rest) = cairn.serve(data.path()).await;
    assert!(progress.create(&rest, &mut random, INSTANCES).await);
    while progress.sent.len() < INSTANCES {
        assert!(progress.send(&rest, INSTANCES).await);
    }
    for instance in 0..INSTANCES {
        within(
            Duration::from_secs(180),
            &format!("{} completes", id(instance)),
            || async {
                let details = rest.get(&format!("{}?simple=true", path(instance))).await;
                let status = details.result()["status"].as_str().unwrap();
                assert!(
                    !["errored", "terminated", "paused"].contains(&status),
                    "{}",
                    details.body
                );
                (status == "complete").then_some(())
            },
        )
        .await;
    }
    let executions = executions(&recorder);
    let mut count = 0;
    for instance in 0..INSTANCES {
        count += check(&rest, instance, &executions).await;
    }
    let least = INSTANCES * (ROUNDS * 5 + 1);
    println!("{} events with an unknown outcome", progress.unknown);
    println!("{count} executions of steps where {least} would do without kills");
    server.stop().await.expect(0);
}
