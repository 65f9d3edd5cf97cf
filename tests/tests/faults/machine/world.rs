//! A server on a machine that a test breaks, and Workers to run there.

use cairn_tests::{Answer, Cairn, Recorder, Reply, Rest, Running, Scratch, TOKEN, cairn, within};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// Longest that instances take to end once nothing is broken any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// Errors of the system, by number.
pub(crate) const EIO: i32 = libc::EIO;
pub(crate) const ENOSPC: i32 = libc::ENOSPC;
pub(crate) const EROFS: i32 = libc::EROFS;

/// The library, built once; none, with a message, where there is no C compiler or another system than Linux.
fn library() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("faults-{}.so", std::process::id()));
        let source = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/tests/faults/machine/faults.c"
        );
        let built = Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .arg(&target)
            .args([source, "-ldl", "-pthread"])
            .output();
        match built {
            Ok(output) => {
                assert!(
                    output.status.success(),
                    "{}",
                    String::from_utf8_lossy(&output.stderr)
                );
                Some(target)
            }
            Err(_) => None,
        }
    });
    if built.is_none() {
        assert!(std::env::var_os("CI").is_none(), "a C compiler is wanted");
        println!("skipped: there is no C compiler (cc)");
    }
    built.as_deref()
}

/// A machine: a folder for data, and what is broken.
pub(crate) struct Machine {
    cairn: Cairn,
    library: &'static Path,
    place: Scratch,
    pub(crate) data: PathBuf,
}

impl Machine {
    /// One that works; none where it cannot be broken.
    pub(crate) fn new() -> Option<Self> {
        if cfg!(not(target_os = "linux")) {
            println!("skipped: calls of the system are only made to fail on Linux");
            return None;
        }
        let place = Scratch::new();
        let machine = Self {
            cairn: cairn!(),
            library: library()?,
            data: place.path().join("data"),
            place,
        };
        machine.works();
        Some(machine)
    }

    fn rules(&self) -> PathBuf {
        self.place.path().join("faults")
    }

    /// From now on this is broken, and nothing else.
    pub(crate) fn breaks(&self, rules: &[String]) {
        // Renamed into its place: a half of it would be obeyed as well.
        let new = self.place.path().join("faults.new");
        std::fs::write(&new, rules.join("\n")).unwrap();
        std::fs::rename(new, self.rules()).unwrap();
    }

    /// From now on nothing is broken.
    pub(crate) fn works(&self) {
        self.breaks(&[]);
    }

    /// What fails on a disk that is read-only.
    pub(crate) fn read_only(&self) -> Vec<String> {
        let all = format!("{}*", self.data.display());
        ["write", "sync", "truncate", "open"]
            .map(|call| fails(call, EROFS, &all))
            .to_vec()
    }

    /// Another folder on this machine.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// A command on this machine.
    pub(crate) fn command(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = self.cairn.command(arguments);
        command
            .env("LD_PRELOAD", self.library)
            .env("CAIRN_TEST_FAULTS", self.rules());
        command
    }

    /// Starts a server on it.
    pub(crate) fn start(&self) -> Running {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0", "--egress", "any"]);
        command
            .arg("--data-dir")
            .arg(&self.data)
            .env("CAIRN_ROOT_TOKEN", TOKEN);
        Running::watch(command)
    }

    /// Starts a server on it and waits until it answers.
    pub(crate) async fn serve(&self) -> (Running, Rest) {
        let mut server = self.start();
        let rest = server.rest().await;
        (server, rest)
    }
}

/// A call fails always.
pub(crate) fn fails(call: &str, error: i32, file: &str) -> String {
    format!("fail {call} {error} {file} 0 -1")
}

/// A call fails once; `nth` tells it from others of this machine.
pub(crate) fn fails_once(call: &str, error: i32, (file, nth): (&str, usize)) -> String {
    format!("fail {call} {error} {file} 0 1 {nth}")
}

/// What `/readyz` says: the status, and what of the database.
pub(crate) async fn readiness(server: &mut Running) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/readyz", server.address().await);
    let response = client.get(url).send().await.unwrap();
    let status = response.status().as_u16();
    let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    (
        status,
        body["checks"]["database"].as_str().unwrap_or_default().to_owned(),
    )
}

/// A recorder of what steps do outside, and instances that do it.
pub(crate) struct Work {
    pub(crate) recorder: Recorder,
    count: usize,
}

impl Work {
    /// Deploys the Worker.
    pub(crate) async fn deploy(rest: &Rest) -> Self {
        rest.deploy("worker", "Steady", include_str!("steady.js")).await;
        Self {
            recorder: Recorder::start(|_, _| Reply::new(200, "")).await,
            count: 0,
        }
    }

    /// Asks for an instance of so many rounds; its id when it was accepted, and the refusal otherwise.
    pub(crate) async fn create(&mut self, rest: &Rest, rounds: usize, more: Value) -> Result<String, Answer> {
        let asked = self.create_or_gone(rest, rounds, more).await;
        asked.expect("the server answers")
    }

    /// The same, of a server that may be gone.
    pub(crate) async fn create_or_gone(
        &mut self,
        rest: &Rest,
        rounds: usize,
        more: Value,
    ) -> Option<Result<String, Answer>> {
        self.count += 1;
        let id = format!("i{:04}", self.count);
        let mut params = json!({ "recorder": self.recorder.url("/"), "rounds": rounds });
        for (key, value) in more.as_object().unwrap() {
            params[key] = value.clone();
        }
        let body = json!({ "instance_id": id, "params": params });
        let answer = rest
            .send(Method::POST, "/workflows/worker/instances", Some(&body))
            .await?;
        Some(if answer.body["success"] == true {
            Ok(id)
        } else {
            Err(answer)
        })
    }

    /// Waits until these are complete, and checks that what each saw of its steps is what was stored, once.
    pub(crate) async fn all_complete(&self, rest: &Rest, ids: &[String]) {
        for id in ids {
            let path = format!("/workflows/worker/instances/{id}");
            let output = within(PATIENCE, &format!("{id} completes"), || async {
                let details = rest.get(&path).await;
                let status = details.result()["status"].as_str().unwrap();
                assert!(!["errored", "terminated"].contains(&status), "{}", details.body);
                (status == "complete").then(|| details.result()["output"].clone())
            })
            .await;
            let seen: BTreeMap<String, String> = serde_json::from_str(output.as_str().unwrap()).unwrap();
            for (step, nonce) in seen {
                let executions = self.executions(id, &step);
                assert_eq!(
                    executions.last(),
                    Some(&nonce),
                    "{id} {step} ran again after it was stored: {executions:?}"
                );
            }
        }
    }

    /// The effects of a step, in order.
    pub(crate) fn executions(&self, id: &str, step: &str) -> Vec<String> {
        let seen = self.recorder.seen();
        let reports = seen
            .iter()
            .map(|request| serde_json::from_str::<Value>(&request.body).unwrap());
        reports
            .filter(|report| report["instance"] == id && report["step"] == step)
            .map(|report| report["nonce"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// The status of an instance.
pub(crate) async fn status(rest: &Rest, id: &str) -> String {
    let answer = rest
        .get(&format!("/workflows/worker/instances/{id}?simple=true"))
        .await;
    answer.result()["status"].as_str().unwrap().to_owned()
}

/// Waits until an instance has this status.
pub(crate) async fn until_status(rest: &Rest, id: &str, wanted: &str) {
    within(PATIENCE, &format!("{id} is {wanted}"), || async {
        (status(rest, id).await == wanted).then_some(())
    })
    .await;
}
