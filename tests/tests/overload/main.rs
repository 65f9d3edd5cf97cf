//! Clients create instances faster than they can run.
//!
//! Whatever happens, every answer is either that it was done or a 429 that says when to come again; memory and the log stay bounded; asking how an instance
//! does and commanding it stay fast; and in the end exactly those instances are there that were promised, each complete, each step executed once. Some clients
//! go away before they are answered; what they asked for is complete as well, if it is there.
//!
//! `CAIRN_OVERLOAD_SECONDS` is how long (docs/reliability.md has the long form), and `CAIRN_OVERLOAD_CLIENTS` how many clients create. The times are asserted
//! where `CAIRN_TEST_BINARY` names a release build; a debug build may take ten times as long.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "this is a test; the lints know only functions marked as one"
)]

mod balance;
mod client;
mod load;
mod watch;

use cairn_tests::{Rest, Running, Scratch, cairn};
use client::Client;
use load::{INSTANCES, Load, Promised, Times};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use watch::Look;

/// How long it lasts where nothing else is said.
const SECONDS: u64 = 8;
const CLIENTS: u64 = 32;
/// Clients that ask meanwhile.
const ASKING: usize = 4;
/// In the short form everything is small, so that every limit is met.
const SMALL: [&str; 5] = [
    "limits.queued_instances=1000",
    "limits.creations_waiting=60",
    "limits.creation_bytes_waiting=1000000",
    "limits.instances_in_memory=200",
    "limits.bytes_in_memory=2000000",
];
/// In the long form everything is as users have it, but the queue: two million would take as long to drain as to fill.
const LONG: [&str; 1] = ["limits.queued_instances=100000"];
/// A form that lasts longer is a long one.
const SHORT: usize = 60;

/// What may be taken of the machine.
const CAIRN_MIB: u64 = 512;
const WORKERD_MIB: u64 = 1_024;
const WAL_MIB: u64 = 64;
/// Within which 99 of 100 questions, and commands, are answered by a release build.
const ASKED_WITHIN: Duration = Duration::from_millis(100);
const COMMANDED_WITHIN: Duration = Duration::from_millis(1_000);
const DEBUG_FACTOR: u32 = 10;

fn variable(name: &str, default: u64) -> u64 {
    let text = std::env::var(name);
    text.map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

/// Starts a server with these settings and deploys the workflow.
async fn start(data: &Scratch, settings: &[&str]) -> (Running, Rest, SocketAddr) {
    let set: Vec<&str> = settings.iter().flat_map(|setting| ["--set", *setting]).collect();
    let mut server = cairn!().start_server_with(data.path(), &set);
    let (rest, address) = (server.rest().await, server.address().await);
    let bindings = json!([{ "type": "workflow", "name": "FLOW", "workflow_name": "overload", "class_name": "Overloaded" }]);
    let source = (include_str!("overloaded.js"), &bindings);
    rest.deploy_bound("overload", "Overloaded", source).await;
    (server, rest, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn more_is_created_than_can_run() {
    let seconds = variable("CAIRN_OVERLOAD_SECONDS", SECONDS);
    let clients = usize::try_from(variable("CAIRN_OVERLOAD_CLIENTS", CLIENTS)).unwrap();
    let settings = if seconds > SHORT as u64 {
        &LONG[..]
    } else {
        &SMALL[..]
    };
    let data = Scratch::new();
    let (server, rest, address) = start(&data, settings).await;
    let waiting = json!({ "instance_id": "commanded", "params": { "steps": 0, "wait": true } });
    rest.post(INSTANCES, &waiting).await.result();

    let load = Arc::new(Load::default());
    let creating: Vec<_> = (0..clients).map(|client| load.creates(address, client)).collect();
    let asking: Vec<_> = (0..ASKING).map(|_| load.asks(address)).collect();
    let commanding = load.commands(address, "commanded");
    let looks = watch::watch(&server, data.path(), (&load, seconds)).await;
    load.end();
    let promised: Vec<Promised> = creating
        .into_iter()
        .map(|client| client.join().unwrap())
        .collect();
    let asked = asking
        .into_iter()
        .flat_map(|client| client.join().unwrap())
        .collect();
    let (asked, commanded) = (Times::new(asked), Times::new(commanding.join().unwrap()));

    println!("questions: {asked}");
    println!("commands: {commanded}");
    let mut client = Client::new(address);
    println!("drained in {:?}", balance::drain(&mut client));
    balance::all_is_there(&mut client, &promised);
    balance::once(&mut client, &promised, 20);
    is_bounded(&looks);
    let slowness = if std::env::var_os("CAIRN_TEST_BINARY").is_some() {
        1
    } else {
        DEBUG_FACTOR
    };
    assert!(asked.within(99) < ASKED_WITHIN * slowness, "{asked}");
    assert!(commanded.within(99) < COMMANDED_WITHIN * slowness, "{commanded}");
    let said = server.stop().await.expect(0).stderr;
    let complaints = said.matches("creations are refused with 429").count() as u64;
    assert!((1..=2 + seconds / 60).contains(&complaints), "{said}");
}

/// What was taken of the machine is bounded, and does not grow for ever; and there was more to do than could be done.
fn is_bounded(looks: &[Look]) {
    let last = looks.last().unwrap();
    assert!(last.accepted > 0 && last.refused > 0, "{last}");
    let most = |looks: &[Look], of: fn(&Look) -> u64| looks.iter().map(of).max().unwrap();
    let (before, after) = looks.split_at(looks.len() / 2);
    for (of, limit, what) in [
        ((|look| look.cairn_mib) as fn(&Look) -> u64, CAIRN_MIB, "cairn"),
        (|look| look.workerd_mib, WORKERD_MIB, "workerd"),
        (|look| look.wal_mib, WAL_MIB, "the log"),
    ] {
        let (before, after) = (most(before, of), most(after, of));
        println!("{what}: at most {before} MiB in the first half, {after} MiB in the second");
        assert!(before.max(after) <= limit, "{what} has more than {limit} MiB");
        // In a short time nothing has come to rest.
        let is_steady = looks.len() <= SHORT || after <= before + before / 4 + 32;
        assert!(is_steady, "{what} grows");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_an_error_that_user_code_can_catch() {
    let data = Scratch::new();
    let settings = ["limits.queued_instances=5", "limits.instances_in_memory=1"];
    let (server, rest, _) = start(&data, &settings).await;
    let (status, errors) = rest.worker("overload", "/?count=20").await;
    assert_eq!(status, 200, "{errors}");
    let errors: Vec<String> = serde_json::from_str(&errors).unwrap();
    // One runs and five are queued; the first is one of both for a moment.
    assert!((14..=15).contains(&errors.len()), "{errors:?}");
    for error in &errors {
        assert!(
            error.contains("(workflow.queue_full)") && error.contains("limits.queued_instances"),
            "{error}"
        );
    }
    let answer = rest.post(INSTANCES, &json!({})).await;
    assert_eq!((answer.status, answer.code()), (429, 10496), "{}", answer.body);
    let batch = json!([{ "instance_id": "a" }, { "instance_id": "b" }]);
    let answer = rest.post(&format!("{INSTANCES}/batch"), &batch).await;
    assert_eq!((answer.status, answer.code()), (429, 10496), "{}", answer.body);
    assert_eq!(rest.get(&format!("{INSTANCES}/a")).await.status, 404);
    server.kill().await;
}
