//! The workloads (a) to (d), the same for every system.

use crate::door::{Door, Ends};
use anyhow::Context;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Clients that create at the same time.
pub(crate) const CLIENTS: u64 = 64;

/// Steps of an instance of (b).
pub(crate) const STEPS: u64 = 10;

/// Between two questions for the status of an instance that takes long: asking without a pause would be the load.
const PAUSE: Duration = Duration::from_millis(5);

/// How often ends are counted where they are counted.
const COUNT_EVERY: Duration = Duration::from_millis(10);

/// (a) Seconds from starting one instance to learning of its end.
pub(crate) async fn sequential(door: &Door, steps: u64) -> anyhow::Result<f64> {
    let mut connection = door.connect().await?;
    let begun = Instant::now();
    door.run(&mut connection, steps, PAUSE).await?;
    Ok(begun.elapsed().as_secs_f64())
}

/// (b) Seconds from the first creation to the last end.
pub(crate) async fn concurrent(door: &Door, instances: u64, in_flight: u64) -> anyhow::Result<f64> {
    match door.ends() {
        Ends::Answered => answered(door, instances, in_flight).await,
        Ends::Counted => counted(door, instances, in_flight).await,
    }
}

/// (c) Milliseconds from the creation to the end of a one-step instance, one after the other.
pub(crate) async fn latency(door: &Door, samples: u64) -> anyhow::Result<Vec<f64>> {
    let mut connection = door.connect().await?;
    let mut figures = Vec::new();
    for _ in 0..samples {
        let begun = Instant::now();
        door.run(&mut connection, 1, Duration::ZERO).await?;
        figures.push(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(figures)
}

/// (d) Seconds for so many creations by [`CLIENTS`] that each wait for their answer. The instances have no steps and run meanwhile.
pub(crate) async fn create(door: &Door, creations: u64) -> anyhow::Result<f64> {
    let unlimited = Semaphore::new(Semaphore::MAX_PERMITS);
    let mut creators = Creators::new(door, creations, 0, unlimited).await?;
    let begun = Instant::now();
    creators.go();
    while let Some(done) = creators.tasks.join_next().await {
        done??;
    }
    Ok(begun.elapsed().as_secs_f64())
}

/// One connection for each instance that is in flight: its request is answered at its end.
async fn answered(door: &Door, instances: u64, in_flight: u64) -> anyhow::Result<f64> {
    let next = Arc::new(AtomicU64::new(0));
    let mut connections = Vec::new();
    for _ in 0..in_flight.min(instances) {
        connections.push(door.connect().await?);
    }
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    for mut connection in connections {
        let (next, door) = (Arc::clone(&next), door.clone());
        tasks.spawn(async move {
            while next.fetch_add(1, Ordering::Relaxed) < instances {
                door.run(&mut connection, STEPS, PAUSE).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(begun.elapsed().as_secs_f64())
}

/// A few connections create as long as there is room in flight; the counted ends make room.
async fn counted(door: &Door, instances: u64, in_flight: u64) -> anyhow::Result<f64> {
    let mut counter = door.connect().await?;
    let before = door.ended(&mut counter).await?;
    let room = Semaphore::new(usize::try_from(in_flight)?);
    let mut creators = Creators::new(door, instances, STEPS, room).await?;
    let begun = Instant::now();
    let mut count = tokio::time::interval(COUNT_EVERY);
    creators.go();
    let mut ended = 0;
    while ended < instances {
        tokio::select! {
            Some(done) = creators.tasks.join_next() => done??,
            _ = count.tick() => {
                let now = door.ended(&mut counter).await? - before;
                creators.room.add_permits(usize::try_from(now - ended)?);
                ended = now;
            }
        }
    }
    Ok(begun.elapsed().as_secs_f64())
}

/// Clients with open connections that create until all is created.
struct Creators {
    door: Door,
    steps: u64,
    total: u64,
    room: Arc<Semaphore>,
    connections: Vec<crate::http::Connection>,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Creators {
    async fn new(door: &Door, total: u64, steps: u64, room: Semaphore) -> anyhow::Result<Self> {
        let mut connections = Vec::new();
        for _ in 0..CLIENTS.min(total) {
            connections.push(door.connect().await?);
        }
        Ok(Self {
            door: door.clone(),
            steps,
            total,
            room: Arc::new(room),
            connections,
            tasks: JoinSet::new(),
        })
    }

    fn go(&mut self) {
        let next = Arc::new(AtomicU64::new(0));
        for mut connection in self.connections.drain(..) {
            let request = self.door.start(self.steps);
            let (next, room, total) = (Arc::clone(&next), Arc::clone(&self.room), self.total);
            self.tasks.spawn(async move {
                while next.fetch_add(1, Ordering::Relaxed) < total {
                    room.acquire().await.context("no room is ever made")?.forget();
                    connection.ask(&request).await?;
                }
                Ok(())
            });
        }
    }
}
