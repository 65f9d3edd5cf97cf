//! The server as stories see it: sometimes there, sometimes gone, and back again.

use crate::outside::Outside;
use cairn_tests::{Answer, Raw, Rest};
use reqwest::Method;
use serde_json::Value;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A request that has no answer by then hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What all stories share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    /// Where steps report their effects.
    pub(crate) recorder: String,
    /// No story begins after it.
    pub(crate) until: Instant,
    outside: Mutex<Outside>,
    server: watch::Sender<Option<Rest>>,
}

/// What became of a request that is sent once.
#[derive(Debug)]
pub(crate) enum Asked {
    Answered(Answer),
    /// The server died, or said that it does not know.
    NotKnown,
}

/// An answer that was asked for until it came.
#[derive(Debug)]
pub(crate) struct Insisted {
    pub(crate) answer: Answer,
    /// An earlier try had an outcome that is not known: it may have been done already.
    pub(crate) was_lost: bool,
}

impl World {
    pub(crate) fn new(seed: u64, recorder: String, until: Instant) -> Self {
        Self {
            seed,
            recorder,
            until,
            outside: Mutex::new(Outside::new()),
            server: watch::Sender::new(None),
        }
    }

    pub(crate) fn outside(&self) -> MutexGuard<'_, Outside> {
        self.outside.lock().unwrap()
    }

    /// A server is there, or none.
    pub(crate) fn is_now(&self, server: Option<Rest>) {
        self.server.send_replace(server);
    }

    async fn server(&self) -> Rest {
        let mut server = self.server.subscribe();
        let there = server.wait_for(Option::is_some).await;
        there.unwrap().clone().unwrap()
    }

    /// Sends a request once.
    pub(crate) async fn once(&self, method: Method, path: &str, body: Option<&Value>) -> Asked {
        let rest = self.server().await;
        let answer = tokio::time::timeout(PATIENCE, rest.send(method, path, body)).await;
        match answer.unwrap_or_else(|_| panic!("no answer in {PATIENCE:?}: {path} {body:?}")) {
            Some(answer) if ![503, 504].contains(&answer.status) => Asked::Answered(answer),
            Some(_) | None => {
                // Time to go for a server that was killed.
                tokio::time::sleep(Duration::from_millis(20)).await;
                Asked::NotKnown
            }
        }
    }

    /// Sends a request until it is answered.
    pub(crate) async fn insist(&self, method: Method, path: &str, body: Option<&Value>) -> Insisted {
        let mut was_lost = false;
        loop {
            match self.once(method.clone(), path, body).await {
                Asked::Answered(answer) => return Insisted { answer, was_lost },
                Asked::NotKnown => was_lost = true,
            }
        }
    }

    /// `GET`
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.insist(Method::GET, path, None).await.answer
    }

    /// `GET` of what is no envelope.
    pub(crate) async fn raw(&self, path: &str) -> Raw {
        loop {
            if let Some(raw) = self.server().await.try_raw(path).await {
                return raw;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
