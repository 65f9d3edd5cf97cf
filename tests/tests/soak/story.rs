//! The life of one instance as its client brings it about: created, sent events, paused, ended, begun again; and looked at in the end.

use crate::journal::{self, Expected};
use crate::random::Random;
use crate::world::{Asked, World};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The workflows; their scripts have the same names, so each has a process of its own.
pub(crate) const WORKFLOWS: [&str; 2] = ["soak-a", "soak-b"];
const SHAPES: [&str; 9] = [
    "line", "flaky", "fan", "nest", "nap", "mail", "saga", "stream", "family",
];
const NUMBERS: u64 = 6;
/// An instance that does nothing for so long is stuck.
const STUCK: Duration = Duration::from_secs(120);
/// What the server may still do about a request whose outcome is not known.
const SETTLED: Duration = Duration::from_secs(3);

/// How long user code may not have heard yet of a pause that is in force: a step without a result begins at once, and cairn's word that it must not may
/// cross that.
const CROSSING_MILLIS: i64 = 500;

/// What its client does to an instance meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Control {
    Nothing,
    Pauses(u64),
    Terminate { rollback: bool },
    Restart { from: Option<&'static str> },
    Mails,
}

/// Now, as user code counts: Unix time in milliseconds.
fn unix_millis() -> i64 {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

struct Story<'a> {
    world: &'a World,
    random: Random,
    shape: &'static str,
    id: String,
    path: String,
    mails: u64,
    expected: Expected,
}

/// Lives through the story of this number. Panics when something is not as it must be.
pub(crate) async fn live(world: &World, number: u64) {
    let mut random = Random::of(world.seed, number + 1);
    let shape = SHAPES[usize::try_from(random.below(9)).unwrap()];
    let workflow = WORKFLOWS[usize::try_from(random.below(2)).unwrap()];
    let id = format!("{shape}-{number}");
    let path = format!("/workflows/{workflow}/instances/{id}");
    let mails = 2 + random.below(4);
    let mut story = Story {
        world,
        random,
        shape,
        id,
        path,
        mails,
        expected: Expected::default(),
    };
    let control = story.plan();
    story.create(workflow).await;
    story.steer(&control).await;
    story.end().await;
    if shape == "family" {
        let other = WORKFLOWS.iter().find(|other| **other != workflow).unwrap();
        story.path = format!("/workflows/{other}/instances/{}-child", story.id);
        story.id.push_str("-child");
        story.shape = "mail";
        story.mails = 1;
        story.expected = Expected::default();
        story.end().await;
    }
}

impl Story<'_> {
    fn plan(&mut self) -> Control {
        let pauses = Control::Pauses(1 + self.random.below(3));
        match (self.shape, self.random.below(8)) {
            ("mail", _) => Control::Mails,
            ("saga", 0..3) => Control::Terminate { rollback: true },
            (_, 0..2) => pauses,
            ("saga" | "stream" | "family", _) => Control::Nothing,
            (_, 2) => Control::Terminate { rollback: false },
            (_, 3..5) => Control::Restart {
                from: [None, Some("mark 1"), Some("mark 2")][usize::try_from(self.random.below(3)).unwrap()],
            },
            _ => Control::Nothing,
        }
    }

    async fn create(&mut self, workflow: &str) {
        let numbers: Vec<u64> = (0..NUMBERS).map(|_| 1 + self.random.below(100)).collect();
        let params = json!({ "recorder": self.world.recorder, "shape": self.shape, "numbers": numbers, "mails": self.mails });
        let create = json!({ "instance_id": self.id, "params": params });
        let path = format!("/workflows/{workflow}/instances");
        let created = self.world.insist(Method::POST, &path, Some(&create)).await;
        let is_there = created.was_lost && created.answer.code() == 10405;
        assert!(
            is_there || created.answer.body["success"] == true,
            "{}: {}",
            self.id,
            created.answer.body
        );
    }

    fn note(&self, what: &str) {
        self.world.outside().note(Some(&self.id), what);
    }

    async fn wait(&mut self, below_millis: u64) {
        let millis = self.random.below(below_millis);
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    async fn status(&self) -> String {
        let details = self.world.get(&format!("{}?simple=true", self.path)).await;
        details.result()["status"].as_str().unwrap().to_owned()
    }

    async fn steer(&mut self, control: &Control) {
        match control {
            Control::Nothing => {}
            Control::Mails => self.send_mails().await,
            Control::Pauses(count) => {
                for _ in 0..*count {
                    self.wait(1_500).await;
                    self.pause().await;
                }
            }
            Control::Terminate { rollback } => {
                self.wait(3_000).await;
                self.terminate(*rollback).await;
            }
            Control::Restart { from } => {
                self.wait(4_000).await;
                self.restart(*from).await;
            }
        }
    }

    /// Sends events, each once, whatever the instance does, until it has ended.
    async fn send_mails(&mut self) {
        for number in 1.. {
            self.wait(900).await;
            if number % 3 == 0 && journal::is_final(&self.status().await) {
                return;
            }
            let payload = json!({ "number": number });
            let path = format!("{}/events/mail", self.path);
            match self.world.once(Method::POST, &path, Some(&payload)).await {
                Asked::Answered(answer) => {
                    answer.result();
                    self.expected.accepted.push(number);
                }
                Asked::NotKnown => {
                    self.expected.perhaps.insert(number);
                }
            }
            assert!(number < 500, "{} does not take its events", self.id);
            if number % 5 == 0 {
                self.pause().await;
            }
        }
    }

    /// Pauses, sees that nothing is executed, and resumes.
    async fn pause(&mut self) {
        let path = format!("{}/status", self.path);
        let pause = json!({ "status": "pause" });
        self.note("pause");
        let paused = self.world.insist(Method::PATCH, &path, Some(&pause)).await;
        if paused.answer.body["success"] != true {
            // It is undoing its steps, or has ended.
            assert_eq!(paused.answer.status, 409, "{}", paused.answer.body);
            return;
        }
        let begun = Instant::now();
        loop {
            let status = self.status().await;
            if journal::is_final(&status) || status == "rollingBack" {
                return;
            }
            if status == "paused" {
                break;
            }
            assert!(
                begun.elapsed() < STUCK,
                "{} is to be paused and is {status}",
                self.id
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // What was sent before may arrive later: the workerd that sent it may have been killed, and the way from there is long on a busy machine.
        let since = unix_millis() + CROSSING_MILLIS;
        self.wait(1_000).await;
        let status = self.status().await;
        if let Some(seen) = self.world.outside().instances.get(&self.id) {
            assert!(
                status == "paused" && seen.last_sent <= since,
                "{} executed something while it was paused, which must not be after {since}; now it is {status}; its reports:\n  {}",
                self.id,
                seen.story()
            );
        }
        let resume = json!({ "status": "resume" });
        self.note("resume");
        let resumed = self.world.insist(Method::PATCH, &path, Some(&resume)).await;
        let is_done =
            resumed.answer.body["success"] == true || (resumed.was_lost && resumed.answer.status == 409);
        assert!(is_done, "{}: {}", self.id, resumed.answer.body);
    }

    /// Once: what is rolling back already would end at once.
    async fn terminate(&mut self, rollback: bool) {
        let path = format!("{}/status", self.path);
        let terminate = json!({ "status": "terminate", "rollback": rollback });
        self.expected.may_be_terminated = true;
        self.note("terminate");
        match self.world.once(Method::PATCH, &path, Some(&terminate)).await {
            Asked::Answered(answer) if answer.body["success"] == true => {
                self.expected.is_terminated = true;
                self.expected.may_break_off = answer.result()["status"] == "terminated";
            }
            Asked::Answered(answer) => assert_eq!(answer.status, 409, "{}: {}", self.id, answer.body),
            Asked::NotKnown => {
                self.expected.may_break_off = true;
                tokio::time::sleep(SETTLED).await;
            }
        }
    }

    /// Begins it again, in the middle or after its end.
    async fn restart(&mut self, from: Option<&str>) {
        let marker = format!("{}-1", from.unwrap_or("mark 1"));
        let before: BTreeSet<String> = {
            let mut outside = self.world.outside();
            let seen = outside.instances.entry(self.id.clone()).or_default();
            seen.restarts += 1;
            let steps = seen.steps.iter().filter(|((_, step), _)| *step == marker);
            steps
                .flat_map(|(_, step)| step.nonces())
                .map(str::to_owned)
                .collect()
        };
        let from = from.map_or(Value::Null, |name| json!({ "name": name }));
        let restart = json!({ "status": "restart", "from": from });
        let path = format!("{}/status", self.path);
        self.note(&format!("restart from {from}"));
        match self.world.once(Method::PATCH, &path, Some(&restart)).await {
            Asked::Answered(answer) if answer.body["success"] == true => {
                self.note("restarted");
                self.expected.restarted = Some((marker, before));
            }
            Asked::Answered(answer) => assert_eq!(answer.status, 409, "{}: {}", self.id, answer.body),
            Asked::NotKnown => tokio::time::sleep(SETTLED).await,
        }
    }

    /// Waits for its end and compares its journal with what was seen outside.
    async fn end(&mut self) {
        let mut last = (0, Instant::now());
        while !journal::is_final(&self.status().await) {
            self.wait(600).await;
            let sent = self
                .world
                .outside()
                .instances
                .get(&self.id)
                .map_or(0, |seen| seen.last_sent);
            if sent != last.0 {
                last = (sent, Instant::now());
            }
            if last.1.elapsed() > STUCK {
                let details = self.world.get(&self.path).await;
                panic!("{} does nothing for {STUCK:?}: {}", self.id, details.body);
            }
        }
        if self.expected.may_be_terminated {
            // A report may have been on its way.
            tokio::time::sleep(SETTLED).await;
        }
        let seen = self.world.outside().end(&self.id);
        self.expected.steps = match self.shape {
            "line" => Some(2 + 2 * NUMBERS),
            "flaky" => Some(2 + 2 * 4),
            "fan" => Some(2 + 2 * 9),
            "nap" => Some(2 + 2 * 3),
            "mail" => Some(1 + self.mails),
            "stream" => Some(1 + 4),
            "family" => Some(1 + 3),
            _ => None,
        };
        self.expected.undoes = self.shape == "saga";
        self.expected.mails = self.shape == "mail" && !self.id.ends_with("child");
        let details = self.world.get(&self.path).await;
        let details = details.result();
        let journal = journal::read(self.world, &self.path, details).await;
        if let Err(wrong) = journal::check(details, &journal, &seen, &self.expected) {
            panic!(
                "{}: {wrong}\nits journal: {details:#}\nits reports:\n  {}",
                self.id,
                seen.story()
            );
        }
    }
}
