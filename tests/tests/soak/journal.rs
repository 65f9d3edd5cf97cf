//! The journal of an instance that has ended, compared with what the world outside saw of it.

use crate::outside::Seen;
use crate::world::World;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What must have become of an instance.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// It was told to be terminated.
    pub(crate) is_terminated: bool,
    /// It was perhaps.
    pub(crate) may_be_terminated: bool,
    /// That may have been while it was rolling back, which ends it at once.
    pub(crate) may_break_off: bool,
    /// It throws in the end, and its steps are undone.
    pub(crate) undoes: bool,
    /// It was told to begin again at this marker, which had these nonces before.
    pub(crate) restarted: Option<(String, BTreeSet<String>)>,
    /// How many steps its output names.
    pub(crate) steps: Option<u64>,
    /// It takes events.
    pub(crate) mails: bool,
    /// Events that were accepted, in the order they were sent.
    pub(crate) accepted: Vec<u64>,
    /// Events with an outcome that is not known.
    pub(crate) perhaps: BTreeSet<u64>,
}

/// Completed steps with their nonces.
pub(crate) type Journal = BTreeMap<String, String>;

macro_rules! demand {
    ($condition:expr, $($message:tt)*) => {
        if !$condition {
            return Err(format!($($message)*));
        }
    };
}

/// Whether an instance with this status has ended.
pub(crate) fn is_final(status: &str) -> bool {
    ["complete", "errored", "terminated"].contains(&status)
}

fn steps<'a>(details: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let steps = details["steps"].as_array().unwrap().iter();
    steps.filter(move |step| step["type"] == kind)
}

/// Reads the whole result of each completed step.
pub(crate) async fn read(world: &World, path: &str, details: &Value) -> Journal {
    let mut journal = Journal::new();
    for step in steps(details, "step").filter(|step| step["success"] == true) {
        let name = step["name"].as_str().unwrap();
        let query = format!("{path}/step?type=step&name={}", name.replace(' ', "%20"));
        let is_stream = step["output"]
            .as_str()
            .is_some_and(|output| !output.starts_with('{'));
        let nonce = if is_stream {
            let bytes = world.raw(&query).await.body;
            assert!(
                bytes.len() > 36 && bytes[36..].iter().all(|byte| *byte == b'x'),
                "{path} {name}"
            );
            String::from_utf8(bytes[..36].to_vec()).unwrap()
        } else {
            let answer = world.get(&query).await;
            answer.result()["output"]["nonce"].as_str().unwrap().to_owned()
        };
        journal.insert(name.to_owned(), nonce);
    }
    journal
}

/// Compares.
///
/// # Errors
/// What is not as it must be.
pub(crate) fn check(
    details: &Value,
    journal: &Journal,
    seen: &Seen,
    expected: &Expected,
) -> Result<(), String> {
    for (step, nonce) in journal {
        let key = seen.nonces.get(nonce);
        let key = key.ok_or_else(|| format!("{step} is {nonce} in the journal, and had no such effect"))?;
        demand!(key.1 == *step, "{step} has the result of {key:?}");
        let executed = &seen.steps[key];
        demand!(
            executed.is_last(nonce),
            "{step} is {nonce} in the journal, and was executed after it: {:?}",
            executed.nonces()
        );
    }
    let nonces: BTreeSet<String> = journal.values().cloned().collect();
    for ((_, name), step) in seen.in_scope(&nonces) {
        if let Some(told) = &step.told {
            demand!(
                journal.get(name) == Some(told),
                "{name} was told to be {told}, and is {:?}",
                journal.get(name)
            );
        }
    }
    if let Some((marker, before)) = &expected.restarted {
        let now = journal.get(marker);
        demand!(
            now.is_some_and(|now| !before.contains(now)),
            "it was to begin again at {marker}, which is {now:?} as before"
        );
    }
    let status = details["status"].as_str().unwrap_or_default();
    match status {
        "terminated" => demand!(expected.may_be_terminated, "it is terminated"),
        _ if expected.is_terminated => return Err(format!("it is {status}, not terminated")),
        "errored" => demand!(
            expected.undoes && details["error"]["message"] == "undo it",
            "it is errored"
        ),
        _ => {
            demand!(!expected.undoes, "it is {status}, not errored");
            output(details, journal, expected)?;
        }
    }
    let is_broken_off = expected.may_break_off && status == "terminated" && details["rollback"].is_null();
    if expected.undoes && !is_broken_off {
        undone(details, journal, seen)?;
    }
    Ok(())
}

fn output(details: &Value, journal: &Journal, expected: &Expected) -> Result<(), String> {
    let output: Value = serde_json::from_str(details["output"].as_str().unwrap_or_default())
        .map_err(|error| format!("its output: {error}"))?;
    let all = output["all"].as_array().cloned().unwrap_or_default();
    for told in &all {
        let (step, nonce) = (told[1].as_str().unwrap_or_default(), told[2].as_str());
        let kept = journal.get(step).map(String::as_str);
        demand!(
            kept == nonce,
            "its output has {step} as {nonce:?}, and the journal as {kept:?}"
        );
    }
    if let Some(steps) = expected.steps {
        demand!(
            all.len() as u64 == steps,
            "its output names {} steps, not {steps}",
            all.len()
        );
    }
    if expected.mails {
        let mails: Vec<u64> = output["mails"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_u64)
            .collect();
        mails_are_right(&mails, expected)?;
    }
    Ok(())
}

/// Events are consumed once, in their order, and none that was accepted is left out.
fn mails_are_right(mails: &[u64], expected: &Expected) -> Result<(), String> {
    let (accepted, perhaps) = (&expected.accepted, &expected.perhaps);
    let sent = format!("consumed {mails:?}, accepted {accepted:?}, not known {perhaps:?}");
    demand!(mails.is_sorted_by(|one, next| one < next), "out of order: {sent}");
    let is_sent = |mail: &u64| accepted.contains(mail) || perhaps.contains(mail);
    demand!(mails.iter().all(is_sent), "not sent: {sent}");
    let last = mails.last().copied().unwrap_or_default();
    let mut due = accepted.iter().filter(|mail| **mail <= last);
    demand!(due.all(|mail| mails.contains(mail)), "lost: {sent}");
    Ok(())
}

/// Every completed step was undone, the last one first.
fn undone(details: &Value, journal: &Journal, seen: &Seen) -> Result<(), String> {
    let told: Vec<&str> = steps(details, "rollback")
        .filter_map(|step| step["name"].as_str())
        .collect();
    demand!(
        told == seen.undone,
        "the journal says that {told:?} were undone; seen were {:?}",
        seen.undone
    );
    let outcome = &details["rollback"]["outcome"];
    demand!(
        outcome == "complete" || told.is_empty(),
        "its rollback is {outcome}"
    );
    let books = |names: &mut dyn Iterator<Item = &str>| -> Vec<String> {
        names
            .filter(|name| name.starts_with("book"))
            .map(str::to_owned)
            .collect()
    };
    let mut completed = books(&mut journal.keys().map(String::as_str));
    completed.reverse();
    let mut order = books(&mut told.iter().copied());
    // One that was executing is undone as well.
    order.retain(|name| journal.contains_key(name));
    demand!(
        order == completed,
        "{completed:?} were to be undone in this order, and were {order:?}"
    );
    for step in journal.keys().filter(|step| !step.starts_with("mark")) {
        demand!(told.contains(&step.as_str()), "{step} was not undone");
    }
    Ok(())
}
