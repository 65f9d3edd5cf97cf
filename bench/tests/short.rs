//! The bench itself works: next to nothing of each workload, on Cairn and on every peer, gives a figure everywhere. How fast is not tested.
//!
//! The peers are wanted where `CI=true`; elsewhere what is not installed is not tested, and the test says so.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what it misses"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The program beside the bench's own; `cargo test --workspace` has built it.
fn cairn() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_BIN_EXE_cairn-bench")).parent().unwrap();
    or_skip(folder.join("cairn"), "cargo build -p cairn-cli")
}

fn or_skip(path: PathBuf, remedy: &str) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    let missing = format!("{} is missing: {remedy}", path.display());
    assert!(std::env::var("CI").is_err(), "{missing}");
    println!("skipped: {missing}");
    None
}

#[track_caller]
fn bench(cairn: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_cairn-bench"))
        .arg("--cairn")
        .arg(cairn)
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let progress = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{progress}");
    said
}

/// `1,234.5` as a number.
fn number(text: &str) -> f64 {
    let digits = text.trim().replace(',', "");
    let number = digits.parse::<f64>();
    number.unwrap_or_else(|_| panic!("{text:?} is no figure"))
}

#[test]
fn cairn_alone_has_a_figure_for_each_workload() {
    let Some(cairn) = cairn() else { return };
    let said = bench(&cairn, &["--rounds", "1", "--only", "sequential,latency"]);
    let rows: Vec<&str> = said.lines().skip(1).collect();
    assert_eq!(rows.len(), 3, "{said}");
    for row in rows {
        // The name has a width of its own; the figure follows.
        let figure = row[58..].split_whitespace().next().unwrap();
        assert!(number(figure) > 0.0, "{row}");
    }
}

#[test]
fn sleepers_cost_and_lateness_have_figures_and_none_wakes_early() {
    let Some(cairn) = cairn() else { return };
    // An instance that wakes before its time makes the command fail.
    let said = bench(
        &cairn,
        &["--only", "sleepers", "--sleeping", "1000", "--due", "300"],
    );
    let late = said.lines().filter(|row| row.contains("    late, 300")).count();
    assert_eq!(late, 2, "{said}");
    assert!(
        said.contains("resident MiB of cairn with 1000 sleeping"),
        "{said}"
    );
}

#[test]
fn many_finished_instances_are_compared_with_few() {
    let Some(cairn) = cairn() else { return };
    let said = bench(
        &cairn,
        &["--only", "million", "--finished", "2000", "--rounds", "1"],
    );
    let ratios = said
        .lines()
        .filter_map(|row| row.split_whitespace().last()?.parse::<f64>().ok());
    assert_eq!(ratios.filter(|ratio| *ratio > 0.0).count(), 15, "{said}");
}

#[test]
fn every_peer_has_a_figure_beside_cairn_for_each_workload() {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/node_modules");
    let peers = or_skip(modules, "npm install --no-save --ignore-scripts, in bench/peers");
    let (Some(cairn), Some(_)) = (cairn(), peers) else {
        return;
    };
    let said = bench(&cairn, &["--peers", "all", "--short", "--rounds", "1"]);
    let mut rows = said.lines().take_while(|line| !line.is_empty());
    let header = "|  | Cairn | Restate | DBOS | OpenWorkflow | wrangler dev | workerd serve | Cairn : best peer | goal |";
    assert_eq!(rows.next(), Some(header), "{said}");
    let rows: Vec<&str> = rows.skip(1).collect();
    assert_eq!(rows.len(), 5, "{said}");
    for row in rows {
        let cells: Vec<&str> = row.split('|').skip(2).take(6).collect();
        for cell in cells {
            assert!(number(cell) > 0.0, "{row}");
        }
    }
}
