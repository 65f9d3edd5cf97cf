//! The comparison as Markdown: figures, ratios and goals, CPU time, what was compared and on what.

use crate::compare::{Metric, Plan, Results, Series};
use crate::figures::percentile;
use crate::load::{CLIENTS, STEPS};
use crate::machine::Machine;
use crate::system::System;
use std::fmt::Write as _;

/// What Cairn has to reach against the best peer.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Goal {
    /// At least so many times its rate.
    AtLeast(f64),
    /// At most this part of its time.
    AtMost(f64),
    /// Shown for information.
    None { smaller_is_better: bool },
}

impl Metric {
    fn goal(self) -> Goal {
        match self {
            Self::Sequential => Goal::AtLeast(3.0),
            Self::Concurrent | Self::Create => Goal::AtLeast(5.0),
            Self::LatencyMedian => Goal::AtMost(0.5),
            Self::LatencyTail => Goal::None {
                smaller_is_better: true,
            },
        }
    }

    fn smaller_is_better(self) -> bool {
        match self.goal() {
            Goal::AtLeast(_) => false,
            Goal::AtMost(_) => true,
            Goal::None { smaller_is_better } => smaller_is_better,
        }
    }

    fn title(self, plan: &Plan) -> String {
        let counts = plan.counts(System::Cairn);
        match self {
            Self::Sequential => format!("(a) steps/s, one instance of {} steps", thousands(counts.steps)),
            Self::Concurrent => format!(
                "(b) steps/s, {} instances of {STEPS} steps, {} in flight",
                thousands(counts.instances),
                thousands(counts.in_flight)
            ),
            Self::LatencyMedian => "(c) start to end of a one-step instance, p50 ms".to_owned(),
            Self::LatencyTail => "(c) the same, p99 ms".to_owned(),
            Self::Create => format!("(d) creations/s over HTTP, {CLIENTS} clients"),
        }
    }

    /// What CPU time is told for.
    fn operation(self) -> Option<&'static str> {
        match self {
            Self::Sequential => Some("(a) a step"),
            Self::Concurrent => Some("(b) a step"),
            Self::LatencyMedian => Some("(c) an instance"),
            Self::LatencyTail => None,
            Self::Create => Some("(d) a creation, its run included as far as it came"),
        }
    }
}

/// The whole report.
pub(crate) fn markdown(plan: &Plan, results: &Results, machine: &Machine) -> String {
    let mut text = String::new();
    figures(&mut text, plan, results);
    text.push_str("\nAll rounds, from the lowest to the highest:\n\n");
    rounds(&mut text, plan, results);
    text.push_str(
        "\nMilliseconds of CPU an operation, medians, by program (client: the load generator):\n\n",
    );
    cpu(&mut text, plan, results);
    text.push_str("\nWhat was compared:\n\n");
    systems(&mut text, plan, results);
    let Machine {
        cores,
        memory_gib,
        file_system,
        sync_ms,
        nice,
        load,
    } = machine;
    let rounds = plan.rounds;
    let _ = write!(
        text,
        "\nMachine: {cores} cores, {memory_gib:.0} GiB, {file_system}; writing 4 KiB with one fdatasync takes {sync_ms:.2} ms (median); load before the start {load}. \
         Priority: nice {nice} and the default policy for the load generator and every system. {rounds} rounds in turns, medians; one system runs at a time.\n"
    );
    if file_system == "tmpfs" {
        text.push_str(
            "\n**The data was in memory: nothing here is durable. Choose a disk with `--data-dir`.**\n",
        );
    }
    if !results.failures.is_empty() {
        text.push_str("\nFailed:\n\n");
        for failure in &results.failures {
            let _ = writeln!(text, "- {}", failure.replace('\n', " "));
        }
    }
    text
}

fn header(text: &mut String, first: &str, plan: &Plan, more: &[&str]) {
    let names = plan.systems.iter().map(|system| system.name());
    let columns: Vec<&str> = std::iter::once(first)
        .chain(names)
        .chain(more.iter().copied())
        .collect();
    let _ = writeln!(text, "| {} |", columns.join(" | "));
    let _ = writeln!(text, "|---|{}", "---:|".repeat(columns.len() - 1));
}

fn figures(text: &mut String, plan: &Plan, results: &Results) {
    header(text, "", plan, &["Cairn : best peer", "goal"]);
    for metric in Metric::ALL {
        let median = |system: System| median(results.series.get(&(system, metric)));
        let cells: Vec<String> = plan
            .systems
            .iter()
            .map(|system| median(*system).map_or_else(|| "–".to_owned(), figure))
            .collect();
        let peers = plan.systems.iter().filter(|system| **system != System::Cairn);
        let known = peers.filter_map(|system| Some((*system, median(*system)?)));
        let best = known.reduce(|best, next| {
            let is_better = (next.1 < best.1) == metric.smaller_is_better();
            if is_better { next } else { best }
        });
        let ratio = median(System::Cairn).zip(best);
        let (shown, goal) = match ratio {
            Some((own, (system, best))) => (
                format!("{:.2} × {}", own / best, system.name()),
                verdict(metric.goal(), own / best),
            ),
            None => ("–".to_owned(), verdict(metric.goal(), f64::NAN)),
        };
        let title = metric.title(plan);
        let _ = writeln!(text, "| {title} | {} | {shown} | {goal} |", cells.join(" | "));
    }
}

fn verdict(goal: Goal, ratio: f64) -> String {
    let (wanted, is_met) = match goal {
        Goal::AtLeast(wanted) => (format!("≥ {wanted} ×"), ratio >= wanted),
        Goal::AtMost(wanted) => (format!("≤ {wanted} ×"), ratio <= wanted),
        Goal::None { .. } => return String::new(),
    };
    let said = match (ratio.is_nan(), is_met) {
        (true, _) => "not measured",
        (false, true) => "met",
        (false, false) => "**missed**",
    };
    format!("{wanted}: {said}")
}

fn rounds(text: &mut String, plan: &Plan, results: &Results) {
    header(text, "", plan, &[]);
    for metric in Metric::ALL {
        let _ = write!(text, "| {} |", metric.title(plan));
        for system in &plan.systems {
            let mut all = results
                .series
                .get(&(*system, metric))
                .map_or_else(Vec::new, |series| series.figures.clone());
            all.sort_by(f64::total_cmp);
            let shown: Vec<String> = all.into_iter().map(figure).collect();
            let _ = write!(text, " {} |", shown.join(" / "));
        }
        text.push('\n');
    }
}

fn cpu(text: &mut String, plan: &Plan, results: &Results) {
    header(text, "", plan, &[]);
    for metric in Metric::ALL {
        let Some(operation) = metric.operation() else {
            continue;
        };
        let _ = write!(text, "| {operation} |");
        for system in &plan.systems {
            let series = results.series.get(&(*system, metric));
            let programs = series.into_iter().flat_map(|series| &series.cpu);
            let shown: Vec<String> = programs
                .map(|(program, figures)| (program, percentile(figures, 50)))
                .filter(|(_, millis)| *millis >= 0.000_5)
                .map(|(program, millis)| format!("{program} {millis:.3}"))
                .collect();
            let _ = write!(text, " {} |", shown.join(", "));
        }
        text.push('\n');
    }
}

fn systems(text: &mut String, plan: &Plan, results: &Results) {
    text.push_str("| system | versions | durable by | asked through | (a) steps; (b) instances, in flight; (c) instances; (d) creations |\n");
    text.push_str("|---|---|---|---|---|\n");
    for system in &plan.systems {
        let counts = plan.counts(*system);
        let versions = results.versions.get(system).map_or("", String::as_str);
        let _ = writeln!(
            text,
            "| {} | {versions} | {} | {} | {}; {}, {}; {}; {} |",
            system.name(),
            system.durability(),
            system.door(),
            thousands(counts.steps),
            thousands(counts.instances),
            thousands(counts.in_flight),
            thousands(counts.samples),
            thousands(counts.creations),
        );
    }
}

fn median(series: Option<&Series>) -> Option<f64> {
    let figures = &series?.figures;
    (!figures.is_empty()).then(|| percentile(figures, 50))
}

/// Three digits that matter are enough.
fn figure(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.2}")
    } else if value < 100.0 {
        format!("{value:.1}")
    } else {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate that was measured"
        )]
        thousands(value.round() as u64)
    }
}

/// `1234567` as `1,234,567`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|group| std::str::from_utf8(group).ok())
        .collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(figures: &[(System, Metric, &[f64])]) -> Results {
        let mut results = Results::default();
        for (system, metric, figures) in figures {
            let series = results.series.entry((*system, *metric)).or_default();
            series.figures = figures.to_vec();
        }
        results
    }

    #[track_caller]
    fn row(metric: Metric, own: &[f64], restate: &[f64], dbos: &[f64]) -> String {
        let plan = Plan {
            systems: vec![System::Cairn, System::Restate, System::Dbos],
            rounds: 3,
            counts: None,
        };
        let results = results(&[
            (System::Cairn, metric, own),
            (System::Restate, metric, restate),
            (System::Dbos, metric, dbos),
        ]);
        let mut text = String::new();
        figures(&mut text, &plan, &results);
        let title = metric.title(&plan);
        let line = text.lines().find(|line| line.contains(&title)).unwrap();
        line.split_once(&title).unwrap().1.to_owned()
    }

    #[test]
    fn rates_are_compared_with_the_highest_and_times_with_the_lowest() {
        assert_eq!(
            row(Metric::Sequential, &[1.0, 3_000.0, 9_999.0], &[500.0], &[1_000.0]),
            " | 3,000 | 500 | 1,000 | 3.00 × DBOS | ≥ 3 ×: met |"
        );
        assert_eq!(
            row(Metric::LatencyMedian, &[4.0], &[7.0], &[8.0]),
            " | 4.00 | 7.00 | 8.00 | 0.57 × Restate | ≤ 0.5 ×: **missed** |"
        );
    }

    #[test]
    fn what_failed_is_not_a_figure() {
        assert_eq!(
            row(Metric::Create, &[5_000.0], &[], &[1_000.0]),
            " | 5,000 | – | 1,000 | 5.00 × DBOS | ≥ 5 ×: met |"
        );
        assert_eq!(
            row(Metric::Create, &[], &[500.0], &[]),
            " | – | 500 | – | – | ≥ 5 ×: not measured |"
        );
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(figure(0.123_4), "0.12");
    }
}
