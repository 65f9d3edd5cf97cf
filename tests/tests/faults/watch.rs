//! What the tests of user code and of the network look at.

use cairn_tests::{Cairn, Rest, Running, TOKEN, within};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// A server with these settings.
pub(crate) async fn serve(cairn: &Cairn, data: &Path, settings: &[&str]) -> (Running, Rest) {
    let mut arguments = vec![
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--egress",
        "any",
        "--data-dir",
    ];
    arguments.push(data.to_str().unwrap());
    for setting in settings {
        arguments.extend(["--set", setting]);
    }
    let mut command = cairn.command(&arguments);
    command.env("CAIRN_ROOT_TOKEN", TOKEN).env("CAIRN_LOG", "info");
    let mut server = Running::watch(command);
    let rest = server.rest().await;
    (server, rest)
}

/// A number by the environment, or the short form of a test.
pub(crate) fn size(variable: &str, short: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable} is a number")),
        Err(_) => short,
    }
}

/// Where an instance is in the API.
pub(crate) fn path(workflow: &str, id: &str) -> String {
    format!("/workflows/{workflow}/instances/{id}")
}

/// Creates an instance.
pub(crate) async fn create(rest: &Rest, workflow: &str, id: &str, params: Value) {
    let create = json!({ "instance_id": id, "params": params });
    rest.post(&format!("/workflows/{workflow}/instances"), &create)
        .await
        .result();
}

/// Waits for the end of an instance.
pub(crate) async fn ended(rest: &Rest, workflow: &str, id: &str) -> Value {
    let path = path(workflow, id);
    within(Duration::from_secs(150), &format!("{id} ends"), || async {
        let instance = rest.get(&path).await.result().clone();
        ["complete", "errored"]
            .contains(&instance["status"].as_str().unwrap())
            .then_some(instance)
    })
    .await
}

/// Memory of a process, MiB: a line of its status, such as `VmRSS` or `VmHWM`; 0 when it is gone.
pub(crate) fn memory(pid: u32, line: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|found| found.strip_prefix(line));
    let kibibytes = line.and_then(|rest| {
        rest.trim_matches([':', '\t', ' '])
            .split(' ')
            .next()?
            .parse::<u64>()
            .ok()
    });
    kibibytes.unwrap_or(0) >> 10
}
