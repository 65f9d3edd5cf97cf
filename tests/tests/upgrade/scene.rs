//! The instances of a fixture: how each comes into its state, and what must become of it later.

use cairn_tests::{Rest, until};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

/// What executes or waits in a fixture has this long until it is done.
const LATER: Duration = Duration::from_secs(30);
/// What is paused has this long, as its time begins again when it is resumed.
const SOON_MILLIS: u64 = 6_000;
/// The year 2120.
const FAR_MILLIS: u64 = 4_733_510_400_000;
/// The migration that brought rollbacks, schedules, streams and limited concurrency together.
pub(crate) const ROLLBACKS: u32 = 5;
/// The one that brought tokens, secrets, deployments and the schedules of Workers.
pub(crate) const CONTROL_PLANE: u32 = 10;
/// A secret of the Worker.
pub(crate) const SECRET: &str = "unspeakable";

/// What must become of an instance in a later release.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Then {
    /// Nothing: it stays as it is.
    Stays,
    /// It goes on and has this output.
    Completes(&'static str),
    /// The same, once it has its event.
    CompletesWithEvent(&'static str),
    /// The same, once it is resumed.
    CompletesWhenResumed(&'static str),
    /// Its rollback goes on.
    IsUndone,
}

/// An instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene {
    pub(crate) id: &'static str,
    pub(crate) workflow: &'static str,
    /// The first schema with what it needs.
    pub(crate) since: u32,
    shape: &'static str,
    /// The state in the fixture.
    pub(crate) status: &'static str,
    pub(crate) then: Then,
}

const fn scene(id: &'static str, shape: &'static str, status: &'static str, then: Then) -> Scene {
    Scene {
        id,
        workflow: "flow",
        since: 1,
        shape,
        status,
        then,
    }
}

const fn recent(id: &'static str, shape: &'static str, status: &'static str, then: Then) -> Scene {
    Scene {
        since: ROLLBACKS,
        ..scene(id, shape, status, then)
    }
}

const fn narrow(id: &'static str, status: &'static str) -> Scene {
    let scene = recent(id, "executes", status, Then::Completes("[1,2,3]"));
    Scene {
        workflow: "narrow",
        ..scene
    }
}

/// All of them. `LATER` begins with the first, so those that take a while to come about are at the beginning.
pub(crate) const SCENES: [Scene; 23] = [
    scene("complete", "values", "complete", Then::Stays),
    scene("errored", "fails", "errored", Then::Stays),
    scene("terminated", "event", "terminated", Then::Stays),
    scene("far", "sleeps", "waiting", Then::Stays),
    scene(
        "waits",
        "event",
        "waiting",
        Then::CompletesWithEvent(r#"["one","later","one",SECRET]"#),
    ),
    scene(
        "begun-again",
        "event",
        "waiting",
        Then::CompletesWithEvent(r#"["one","later","one",SECRET]"#),
    ),
    scene(
        "newer-version",
        "event",
        "waiting",
        Then::CompletesWithEvent(r#"["two","later","two",SECRET]"#),
    ),
    recent("undone", "undone", "errored", Then::Stays),
    recent("cut-off", "stream", "terminated", Then::Stays),
    recent("stream", "stream", "complete", Then::Stays),
    recent(
        "stream-waits",
        "stream",
        "waiting",
        Then::CompletesWithEvent("[263144,125110]"),
    ),
    scene("buffered", "buffered", "waiting", Then::Completes(r#""early""#)),
    scene(
        "late",
        "late",
        "waiting",
        Then::Completes(r#""caught: WorkflowTimeoutError: Execution timed out after TIMEOUTms""#),
    ),
    scene("retries", "retries", "waiting", Then::Completes("2")),
    scene("sleeps", "sleeps", "waiting", Then::Completes("2")),
    scene("paused", "sleeps", "paused", Then::CompletesWhenResumed("2")),
    scene("nested", "nested", "running", Then::Completes("2")),
    scene("executes", "executes", "running", Then::Completes("[1,2,3]")),
    scene(
        "pausing",
        "executes",
        "waitingForPause",
        Then::CompletesWhenResumed("[1,2,3]"),
    ),
    recent("rolling-back", "undone", "rollingBack", Then::IsUndone),
    narrow("narrow-1", "running"),
    narrow("narrow-2", "queued"),
    narrow("narrow-3", "queued"),
];

pub(crate) fn now_millis() -> u64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

pub(crate) fn is_final(status: &str) -> bool {
    ["complete", "errored", "terminated"].contains(&status)
}

impl Scene {
    pub(crate) fn path(&self) -> String {
        format!("/workflows/{}/instances/{}", self.workflow, self.id)
    }

    /// What REST shows of it.
    pub(crate) async fn details(&self, rest: &Rest) -> Value {
        rest.get(&self.path()).await.result().clone()
    }

    /// Brings it into its state.
    pub(crate) async fn begin(&self, rest: &Rest, written_at: u64) {
        let later = written_at + u64::try_from(LATER.as_millis()).unwrap();
        let until = match self.id {
            "far" => FAR_MILLIS,
            "undone" => 0,
            "paused" => now_millis() + SOON_MILLIS,
            _ => later,
        };
        let waits = ["stream-waits", "cut-off"].contains(&self.id);
        let params = json!({ "shape": self.shape, "until": until, "waits": waits });
        let create = json!({ "instance_id": self.id, "params": params });
        let path = format!("/workflows/{}/instances", self.workflow);
        rest.post(&path, &create).await.result();
        match self.id {
            "terminated" | "cut-off" => {
                self.until_status(rest, "waiting").await;
                self.change(rest, "terminate").await;
            }
            "begun-again" => {
                self.until_status(rest, "waiting").await;
                self.send(rest, "first").await;
                self.until_status(rest, "complete").await;
                self.change(rest, "restart").await;
            }
            "buffered" => {
                self.until_status(rest, "waiting").await;
                self.send(rest, "early").await;
            }
            "paused" => {
                self.until_status(rest, "waiting").await;
                self.change(rest, "pause").await;
            }
            "pausing" => {
                self.until_steps(rest, 3).await;
                self.change(rest, "pause").await;
            }
            "executes" | "narrow-1" => self.until_steps(rest, 3).await,
            "nested" => self.until_steps(rest, 2).await,
            _ => {}
        }
    }

    /// Waits until it is in its state.
    pub(crate) async fn is_there(&self, rest: &Rest) {
        self.until_status(rest, self.status).await;
    }

    async fn until_status(&self, rest: &Rest, status: &str) {
        until(&format!("{} is {status}", self.id), || async {
            (self.details(rest).await["status"] == status).then_some(())
        })
        .await;
    }

    async fn until_steps(&self, rest: &Rest, count: usize) {
        until(&format!("{} has {count} steps", self.id), || async {
            let details = self.details(rest).await;
            (details["steps"].as_array().unwrap().len() >= count).then_some(())
        })
        .await;
    }

    /// Changes its state.
    pub(crate) async fn change(&self, rest: &Rest, status: &str) {
        let path = format!("{}/status", self.path());
        let change = json!({ "status": status });
        let changed = rest.send(Method::PATCH, &path, Some(&change)).await;
        changed.expect("the server answers").result();
    }

    /// Sends it its event.
    pub(crate) async fn send(&self, rest: &Rest, payload: &str) {
        let path = format!("{}/events/go", self.path());
        rest.post(&path, &json!(payload)).await.result();
    }
}
