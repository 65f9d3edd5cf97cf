//! The table of known differences, and how it is shown.

use super::shape::Shape;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

/// A difference between the two descriptions.
#[derive(Debug)]
pub(crate) struct Found {
    operation: String,
    place: String,
    reference: String,
    cairn: String,
}

impl Found {
    pub(crate) fn new(operation: &str, place: &str, (reference, cairn): (&str, &str)) -> Self {
        Self {
            operation: operation.into(),
            place: place.into(),
            reference: reference.into(),
            cairn: cairn.into(),
        }
    }
}

/// `differences.toml`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    difference: Vec<Row>,
    note: Vec<Note>,
}

/// Differences with one reason. `*` stands for anything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    what: String,
    reason: String,
    operations: Vec<String>,
    at: Vec<At>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct At {
    place: String,
    reference: String,
    cairn: String,
}

/// What no description shows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    what: String,
    operations: Vec<String>,
}

/// What the stars of the pattern stand for, if the text is what it says.
fn stars<'a>(pattern: &str, text: &'a str) -> Option<Vec<&'a str>> {
    let Some((start, rest)) = pattern.split_once('*') else {
        return (pattern == text).then(Vec::new);
    };
    let after = text.strip_prefix(start)?;
    let ends = after.char_indices().map(|(at, _)| at).chain([after.len()]);
    ends.into_iter().find_map(|end| {
        let mut found = vec![&after[..end]];
        found.extend(stars(rest, &after[end..])?);
        Some(found)
    })
}

/// Whether the text is what the pattern says.
fn fits(pattern: &str, text: &str) -> bool {
    stars(pattern, text).is_some()
}

impl Row {
    fn covers_operation(&self, operation: &str) -> bool {
        self.operations.iter().any(|pattern| fits(pattern, operation))
    }

    fn covers(&self, found: &Found) -> bool {
        self.covers_operation(&found.operation) && self.at.iter().any(|at| at.covers(found))
    }
}

impl At {
    /// Stars of the two types stand for the same, where both have as many.
    fn covers(&self, found: &Found) -> bool {
        let (reference, cairn) = (
            stars(&self.reference, &found.reference),
            stars(&self.cairn, &found.cairn),
        );
        match (reference, cairn) {
            (Some(reference), Some(cairn)) => {
                fits(&self.place, &found.place) && (reference.len() != cairn.len() || reference == cairn)
            }
            _ => false,
        }
    }
}

impl Table {
    pub(crate) fn read(path: &Path) -> Self {
        toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    /// Differences that no row has.
    pub(crate) fn unknown(&self, found: &[Found]) -> Vec<String> {
        let unknown = found
            .iter()
            .filter(|found| !self.difference.iter().any(|row| row.covers(found)));
        unknown
            .map(|found| {
                format!(
                    "{} at {}: reference {:?}, cairn {:?}",
                    found.operation, found.place, found.reference, found.cairn
                )
            })
            .collect()
    }

    /// Parts of rows that no difference has, and operations that are none.
    pub(crate) fn stale(&self, found: &[Found], cairn: &Shape) -> Vec<String> {
        let mut stale = Vec::new();
        for row in &self.difference {
            for pattern in &row.operations {
                let shows = |found: &&Found| fits(pattern, &found.operation) && row.covers(found);
                if !found.iter().any(|found| shows(&found)) {
                    stale.push(format!("{}: nothing of it in {pattern}", row.what));
                }
            }
            for at in &row.at {
                let shows = |found: &&Found| row.covers_operation(&found.operation) && at.covers(found);
                if !found.iter().any(|found| shows(&found)) {
                    stale.push(format!("{}: nothing at {}", row.what, at.place));
                }
            }
        }
        for note in &self.note {
            for pattern in &note.operations {
                if !cairn.keys().any(|operation| fits(pattern, operation)) {
                    stale.push(format!("{}: there is no {pattern}", note.what));
                }
            }
        }
        stale
    }

    /// What docs/api.md shows.
    pub(crate) fn markdown(&self, cairn: &Shape, found: &[Found]) -> String {
        let mut text = String::from(
            "\n## Operations\n\nPaths are below `/client/v4/accounts/{account_id}`. The numbers are those of the differences and notes below.\n\n",
        );
        text.push_str("| operation | state | differences | notes |\n|---|---|---|---|\n");
        for operation in cairn.keys().filter(|name| !name.starts_with('(')) {
            let of_it: Vec<&Found> = found
                .iter()
                .filter(|found| found.operation == *operation)
                .collect();
            let rows = self.difference.iter().enumerate();
            let rows = rows.filter(|(_, row)| of_it.iter().any(|found| row.covers(found)));
            let own: BTreeSet<usize> = rows
                .filter(|(_, row)| !row.is_general())
                .map(|(index, _)| index + 1)
                .collect();
            let notes = self.note.iter().enumerate();
            let notes =
                notes.filter(|(_, note)| note.operations.iter().any(|pattern| fits(pattern, operation)));
            let notes: BTreeSet<usize> = notes.map(|(index, _)| index + 1).collect();
            let state = if own.is_empty() {
                "as the reference"
            } else {
                "with differences"
            };
            let _ = writeln!(
                text,
                "| `{operation}` | {state} | {} | {} |",
                numbers("", &own),
                numbers("N", &notes)
            );
        }
        text.push_str("\n## Differences\n\n| | what differs | where | reference → Cairn | why |\n|---|---|---|---|---|\n");
        for (index, row) in self.difference.iter().enumerate() {
            let places: Vec<String> = row
                .at
                .iter()
                .map(|at| format!("`{}`: {} → {}", at.place, cell(&at.reference), cell(&at.cairn)))
                .collect();
            let operations: Vec<String> = row
                .operations
                .iter()
                .map(|operation| format!("`{operation}`"))
                .collect();
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} |",
                index + 1,
                row.what,
                operations.join("<br>"),
                places.join("<br>"),
                row.reason
            );
        }
        text.push_str("\n## Notes\n\n");
        for (index, note) in self.note.iter().enumerate() {
            let _ = writeln!(text, "- N{}: {}", index + 1, note.what);
        }
        text
    }
}

impl Row {
    /// Whether it says something of all operations alike.
    fn is_general(&self) -> bool {
        self.operations.iter().any(|pattern| pattern == "*")
    }
}

fn numbers(before: &str, numbers: &BTreeSet<usize>) -> String {
    let shown: Vec<String> = numbers.iter().map(|number| format!("{before}{number}")).collect();
    shown.join(", ")
}

/// Text of a type within a table.
fn cell(text: &str) -> String {
    match text {
        "*" => "anything".into(),
        text => format!("`{}`", text.replace('|', "\\|")),
    }
}
