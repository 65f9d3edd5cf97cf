//! Clients that create as fast as they can, and clients that ask and command at a fixed rate meanwhile.

use crate::client::Client;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// After a refusal a client tries again so soon: sooner than it is told to.
const IMPATIENCE: Duration = Duration::from_millis(50);
/// Time between two questions of a client that asks.
const ASKED_EVERY: Duration = Duration::from_millis(50);
/// Time between two commands to an instance.
const COMMANDED_EVERY: Duration = Duration::from_millis(500);
/// Instances in one batch.
const BATCH: u64 = 50;
/// Bytes of large parameters.
pub(crate) const LARGE: usize = 100_000;
/// Where instances are.
pub(crate) const INSTANCES: &str = "/workflows/overload/instances";

/// What a client creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    OneStep,
    TenSteps,
    Large,
    Batch,
    /// It goes away without waiting for the answer.
    Rude,
}

impl Kind {
    /// Batches are a quarter of the clients and nearly all of the instances: they are created faster than anything can run.
    pub(crate) fn of(client: usize) -> Self {
        match client % 16 {
            0..4 => Self::Batch,
            4 => Self::Large,
            5 => Self::Rude,
            6..10 => Self::TenSteps,
            _ => Self::OneStep,
        }
    }

    fn params(self) -> String {
        match self {
            Self::OneStep | Self::Rude => r#"{"steps":1}"#.to_owned(),
            Self::Batch => r#"{"steps":4}"#.to_owned(),
            Self::TenSteps => r#"{"steps":10}"#.to_owned(),
            Self::Large => format!(r#"{{"steps":1,"filler":"{}"}}"#, "x".repeat(LARGE)),
        }
    }
}

/// What the clients share.
#[derive(Default)]
pub(crate) struct Load {
    ends: AtomicBool,
    /// Instances that were promised.
    pub(crate) accepted: AtomicU64,
    /// Requests that were refused.
    pub(crate) refused: AtomicU64,
    /// An instance that was created of late.
    newest: Mutex<Option<String>>,
}

/// The instances that a client was promised: the prefix of their ids, and their numbers.
pub(crate) struct Promised {
    pub(crate) prefix: String,
    pub(crate) numbers: Vec<u32>,
}

fn create(prefix: &str, number: u64, params: &str) -> String {
    format!(r#"{{"instance_id":"{prefix}{number}","params":{params}}}"#)
}

impl Load {
    /// Ends all clients after the request they are at.
    pub(crate) fn end(&self) {
        self.ends.store(true, Ordering::Relaxed);
    }

    fn goes_on(&self) -> bool {
        !self.ends.load(Ordering::Relaxed)
    }

    /// A client that creates.
    pub(crate) fn creates(self: &Arc<Self>, server: SocketAddr, client: usize) -> JoinHandle<Promised> {
        let load = Arc::clone(self);
        std::thread::spawn(move || match Kind::of(client) {
            Kind::Rude => load.create_and_leave(server, client),
            kind => load.create(server, (client, kind)),
        })
    }

    fn create(&self, server: SocketAddr, (number, kind): (usize, Kind)) -> Promised {
        let (params, prefix) = (kind.params(), format!("c{number}-"));
        let count = if kind == Kind::Batch { BATCH } else { 1 };
        let (mut client, mut numbers, mut next) = (Client::new(server), Vec::new(), 0_u64);
        while self.goes_on() {
            let asked = next..next + count;
            next += count;
            let creates: Vec<String> = asked
                .clone()
                .map(|number| create(&prefix, number, &params))
                .collect();
            let answer = if kind == Kind::Batch {
                client.post(&format!("{INSTANCES}/batch"), &format!("[{}]", creates.join(",")))
            } else {
                client.post(INSTANCES, &creates[0])
            };
            if answer.was_done() {
                self.accepted.fetch_add(count, Ordering::Relaxed);
                if next % 64 == 1 {
                    *self.newest.lock().unwrap() = Some(format!("{prefix}{}", asked.start));
                }
                numbers.extend(asked.map(|number| u32::try_from(number).unwrap()));
            } else {
                self.refused.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(IMPATIENCE);
            }
        }
        Promised { prefix, numbers }
    }

    /// Nothing is promised: what is there afterwards must be complete all the same.
    fn create_and_leave(&self, server: SocketAddr, number: usize) -> Promised {
        let (params, prefix) = (Kind::Rude.params(), format!("rude{number}-"));
        for number in 0.. {
            if !self.goes_on() {
                break;
            }
            Client::new(server).send_and_leave(INSTANCES, &create(&prefix, number, &params));
            std::thread::sleep(IMPATIENCE);
        }
        Promised {
            prefix,
            numbers: Vec::new(),
        }
    }

    /// A client that asks how an instance does, and each fourth time for a page of the list. Times count from when the question was due, so one that was
    /// late because of the one before is late.
    pub(crate) fn asks(self: &Arc<Self>, server: SocketAddr) -> JoinHandle<Vec<Duration>> {
        let load = Arc::clone(self);
        std::thread::spawn(move || {
            let mut client = Client::new(server);
            load.at_a_pace(ASKED_EVERY, |count| {
                let newest = load.newest.lock().unwrap().clone();
                let path = match newest {
                    Some(id) if count % 4 != 0 => format!("{INSTANCES}/{id}"),
                    _ => format!("{INSTANCES}?per_page=20"),
                };
                client.get(&path).result();
            })
        })
    }

    /// A client that pauses and resumes an instance.
    pub(crate) fn commands(self: &Arc<Self>, server: SocketAddr, id: &str) -> JoinHandle<Vec<Duration>> {
        let (load, path) = (Arc::clone(self), format!("{INSTANCES}/{id}/status"));
        std::thread::spawn(move || {
            let mut client = Client::new(server);
            load.at_a_pace(COMMANDED_EVERY, |count| {
                let body = if count % 2 == 0 {
                    r#"{"status":"pause"}"#
                } else {
                    r#"{"status":"resume"}"#
                };
                client.send("PATCH", &path, body).result();
            })
        })
    }

    fn at_a_pace(&self, pace: Duration, mut ask: impl FnMut(u64)) -> Vec<Duration> {
        let (mut times, mut due) = (Vec::new(), Instant::now());
        for count in 0.. {
            due += pace;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if !self.goes_on() {
                break;
            }
            ask(count);
            times.push(due.elapsed());
        }
        times
    }
}

/// How long things took.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn new(mut times: Vec<Duration>) -> Self {
        assert!(!times.is_empty());
        times.sort_unstable();
        Self(times)
    }

    /// The time within which so many hundredths of them came.
    pub(crate) fn within(&self, hundredths: usize) -> Duration {
        let place = (self.0.len() * hundredths).div_ceil(100);
        self.0[place.clamp(1, self.0.len()) - 1]
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [half, most, all] = [50, 99, 100].map(|hundredths| self.within(hundredths).as_secs_f64() * 1e3);
        write!(
            f,
            "p50 {half:.1} ms, p99 {most:.1} ms, longest {all:.1} ms of {}",
            self.0.len()
        )
    }
}
