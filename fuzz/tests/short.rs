//! Every target on its seeds and on changed ones, always the same: what it finds can be found again.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "this is a test; the lints know only functions marked as one"
)]

use cairn_fuzz::{Mutator, TARGETS, Target, Verdict, seeds};
use std::collections::HashSet;
use std::panic;

/// Changed inputs of each target; seconds, not minutes.
const INPUTS: usize = 40_000;
/// Inputs that are kept because they were answered in a new way.
const KEPT_MAX: usize = 2_000;

fn target(name: &str) -> Target {
    let found = TARGETS.into_iter().find(|target| target.name == name);
    found.unwrap_or_else(|| panic!("there is no target {name}"))
}

fn check(target: Target, input: &[u8]) -> Verdict {
    let checked = panic::catch_unwind(|| (target.check)(input));
    let shown = || String::from_utf8_lossy(input).into_owned();
    match checked {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(fault)) => panic!("{}: {fault}\nin {input:?}\n{}", target.name, shown()),
        Err(_) => panic!("{} panics on {input:?}\n{}", target.name, shown()),
    }
}

/// The kind of an answer: its words without what they quote.
fn kind(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accepted => "accepted".into(),
        Verdict::Refused(words) => {
            let unquoted = words.split(['"', '`', '\'']).step_by(2);
            let plain =
                unquoted.flat_map(|part| part.chars().filter(|c| c.is_ascii_alphabetic() || *c == ' '));
            plain.take(60).collect()
        }
    }
}

fn run(name: &str, inputs: usize) {
    let target = target(name);
    let seeds = seeds(name).unwrap();
    assert!(seeds.len() >= 5, "{name} has too few seeds");
    let mut kinds = HashSet::new();
    for seed in &seeds {
        kinds.insert(kind(&check(target, seed)));
    }
    assert!(kinds.contains("accepted"), "no seed of {name} is right");
    let mut mutator = Mutator::new(1, seeds);
    let (mut accepted, mut kept) = (0, 0);
    for _ in 0..inputs {
        let input = mutator.next_input();
        let verdict = check(target, &input);
        accepted += usize::from(verdict == Verdict::Accepted);
        if kinds.insert(kind(&verdict)) && kept < KEPT_MAX {
            kept += 1;
            mutator.keep(input);
        }
    }
    println!(
        "{name}: {inputs} inputs, {accepted} accepted, {} kinds of answers",
        kinds.len()
    );
    assert!(
        accepted > inputs / 200,
        "{name}: nearly everything was refused: {accepted}"
    );
    assert!(kinds.len() > 8, "{name}: hardly anything was tried: {kinds:?}");
}

#[test]
fn cron() {
    run("cron", INPUTS);
}

#[test]
fn value() {
    run("value", INPUTS);
}

#[test]
fn frame() {
    run("frame", INPUTS);
}

#[test]
fn rpc() {
    run("rpc", INPUTS);
}

#[test]
fn upload() {
    run("upload", INPUTS / 4);
}
