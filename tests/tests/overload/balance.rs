//! What is there in the end, against what was promised.

use crate::client::Client;
use crate::load::{INSTANCES, LARGE, Promised};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long nothing may come to an end while something is open.
const STUCK: Duration = Duration::from_secs(60);

/// Waits until nothing is queued and nothing runs; how long it took.
pub(crate) fn drain(client: &mut Client) -> Duration {
    let (begun, mut progress) = (Instant::now(), (u64::MAX, Instant::now()));
    loop {
        let counts = client.get("/workflows/overload").result()["instances"].take();
        let count = |status: &str| counts[status].as_u64().unwrap_or(0);
        let open = count("queued") + count("running");
        if open == 0 {
            assert_eq!(count("errored"), 0, "{counts}");
            return begun.elapsed();
        }
        if open < progress.0 {
            progress = (open, Instant::now());
        }
        assert!(progress.1.elapsed() < STUCK, "nothing goes on: {counts}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Exactly what was promised is there, and complete; beside it only what clients asked for that did not wait for the answer.
pub(crate) fn all_is_there(client: &mut Client, promised: &[Promised]) {
    let mut missing: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    for Promised { prefix, numbers } in promised {
        let numbers: BTreeSet<u32> = numbers.iter().copied().collect();
        missing.insert(prefix, numbers);
    }
    each_instance(client, |id, status| {
        if id == "commanded" {
            return;
        }
        assert_eq!(status, "complete", "{id}");
        let (client, number) = id.split_at(id.find('-').unwrap() + 1);
        let promised = missing.get_mut(client).unwrap();
        let was_promised = promised.remove(&number.parse().unwrap());
        assert!(
            was_promised || id.starts_with("rude"),
            "{id} was refused and is there"
        );
    });
    let lost: usize = missing.values().map(BTreeSet::len).sum();
    assert_eq!(lost, 0, "{missing:?} were promised and are not there");
}

fn each_instance(client: &mut Client, mut see: impl FnMut(&str, &str)) {
    let mut cursor = String::new();
    loop {
        let mut page = client
            .get(&format!("{INSTANCES}?per_page=100{cursor}"))
            .envelope();
        for row in page["result"].take().as_array().unwrap() {
            see(row["id"].as_str().unwrap(), row["status"].as_str().unwrap());
        }
        match page["result_info"]["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return,
        }
    }
}

/// Of some of each client's instances: each step was executed once, and the output is what the steps gave.
pub(crate) fn once(client: &mut Client, promised: &[Promised], of_each: usize) {
    for Promised { prefix, numbers } in promised {
        for number in numbers.iter().step_by(numbers.len().div_ceil(of_each).max(1)) {
            let id = format!("{prefix}{number}");
            let told = client.get(&format!("{INSTANCES}/{id}")).result();
            let steps = told["steps"].as_array().unwrap();
            for step in steps {
                assert_eq!(step["attempts"].as_array().unwrap().len(), 1, "{id}: {step}");
            }
            let nonces: Vec<&Value> = steps.iter().map(|step| &step["output"]).collect();
            let output = match &told["output"] {
                Value::String(text) => serde_json::from_str(text).unwrap(),
                output => output.clone(),
            };
            let nonces: Vec<String> = nonces.into_iter().map(plain).collect();
            let returned: Vec<String> = output["nonces"].as_array().unwrap().iter().map(plain).collect();
            assert_eq!(nonces, returned, "{id}");
            assert!(output["bytes"] == 0 || output["bytes"] == LARGE, "{id}");
        }
    }
}

/// A value as text, whether it is shown as itself or as its JSON.
fn plain(value: &Value) -> String {
    let text = value.as_str().unwrap();
    text.trim_matches('"').to_owned()
}
