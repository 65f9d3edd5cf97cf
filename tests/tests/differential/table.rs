//! The table of known differences: `tests/differential/differences.toml`, of which `docs/differences.md` shows what people want to know.

use crate::compare::Difference;
use crate::engines::Kind;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// All known differences.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    difference: Vec<Entry>,
}

/// One row: something that is known to differ, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// What it is about.
    what: String,
    /// The names of the cases it shows in, `*` standing for anything.
    cases: Vec<String>,
    /// What each engine does, in words.
    cairn: String,
    wrangler: String,
    workerd: String,
    /// Why cairn does what it does.
    reason: String,
    /// How it shows.
    at: Vec<Pattern>,
    /// The engines on which these cases then take another course: their events, steps and marks are not compared with cairn's.
    #[serde(default)]
    course: Vec<Column>,
}

/// An engine beside cairn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Column {
    Wrangler,
    Workerd,
}

/// What tells the course of an instance.
const COURSE: [&str; 5] = ["events", "steps", "listed", "marks", "numbers"];

/// How a difference shows in the result of a case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pattern {
    /// The place, `*` standing for anything.
    field: String,
    /// What cairn shows there: JSON or `absent`, `*` standing for anything.
    cairn: String,
    /// What the others show; not given for one that shows what cairn does.
    wrangler: Option<String>,
    workerd: Option<String>,
}

/// Which patterns have been seen, and in which cases.
#[derive(Debug, Default)]
pub(crate) struct Seen(BTreeSet<(usize, usize, Kind, String)>);

impl Pattern {
    fn theirs(&self, kind: Kind) -> Option<&str> {
        match kind {
            Kind::Cairn => None,
            Kind::Wrangler => self.wrangler.as_deref(),
            Kind::Workerd => self.workerd.as_deref(),
        }
    }

    fn explains(&self, kind: Kind, found: &Difference) -> bool {
        self.theirs(kind).is_some_and(|theirs| {
            glob(&self.field, &found.field) && glob(&self.cairn, &found.cairn) && glob(theirs, &found.theirs)
        })
    }
}

impl Entry {
    fn has_other_course(&self, kind: Kind, found: &Difference) -> bool {
        let differs = self.course.iter().any(|column| match column {
            Column::Wrangler => kind == Kind::Wrangler,
            Column::Workerd => kind == Kind::Workerd,
        });
        let mut keys = found.field.split('.');
        differs && keys.next() == Some("instances") && keys.nth(1).is_some_and(|key| COURSE.contains(&key))
    }
}

impl Table {
    /// Reads the table.
    pub(crate) fn read(text: &str) -> Self {
        toml::from_str(text).unwrap_or_else(|error| panic!("differences.toml: {error}"))
    }

    /// Whether a difference is known. What explains it has been seen.
    pub(crate) fn explains(&self, case: &str, kind: Kind, found: &Difference, seen: &mut Seen) -> bool {
        let mut known = false;
        for (row, entry) in self.difference.iter().enumerate() {
            if !entry.cases.iter().any(|name| glob(name, case)) {
                continue;
            }
            known |= entry.has_other_course(kind, found);
            for (column, pattern) in entry.at.iter().enumerate() {
                if pattern.explains(kind, found) {
                    known = true;
                    seen.0.insert((row, column, kind, case.to_owned()));
                }
            }
        }
        known
    }

    /// What the table says and nothing has shown, of the cases that were run: what is over must leave the table.
    pub(crate) fn stale(&self, ran: &BTreeSet<String>, is_whole: bool, seen: &Seen) -> Vec<String> {
        let mut stale = Vec::new();
        for (row, entry) in self.difference.iter().enumerate() {
            let in_row = |case: &str| seen.0.iter().any(|(at, _, _, by)| *at == row && glob(case, by));
            for name in &entry.cases {
                let wanted = if name.contains('*') {
                    is_whole
                } else {
                    is_whole || ran.contains(name)
                };
                if wanted && !in_row(name) {
                    stale.push(format!("\"{}\" does not show in {name}", entry.what));
                }
            }
            for (column, pattern) in entry.at.iter().enumerate() {
                for kind in [Kind::Wrangler, Kind::Workerd] {
                    let was_seen = seen
                        .0
                        .iter()
                        .any(|(r, c, k, _)| (*r, *c, *k) == (row, column, kind));
                    if is_whole && pattern.theirs(kind).is_some() && !was_seen {
                        stale.push(format!(
                            "\"{}\": {} does not show {}",
                            entry.what,
                            kind.name(),
                            pattern.field
                        ));
                    }
                }
            }
        }
        stale
    }

    /// The rows as Markdown, as `docs/differences.md` has them.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from(
            "| what differs | Cairn | wrangler dev | workerd | why | cases |\n|---|---|---|---|---|---|\n",
        );
        for entry in &self.difference {
            let Entry {
                what,
                cairn,
                wrangler,
                workerd,
                reason,
                ..
            } = entry;
            let cases = entry
                .cases
                .iter()
                .map(|case| format!("`{case}`"))
                .collect::<Vec<_>>();
            let row = [what, cairn, wrangler, workerd, reason, &cases.join(" ")]
                .map(|cell| cell.replace('|', "\\|"));
            writeln!(text, "| {} |", row.join(" | ")).unwrap();
        }
        text
    }
}

/// Whether `text` is as `pattern` says, in which `*` stands for any text.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = text.find(part) else {
            return false;
        };
        text = &text[at + part.len()..];
    }
    text.ends_with(last)
}

#[test]
fn a_star_stands_for_any_text() {
    for (pattern, text, is_match) in [
        ("*", "", true),
        ("a*c", "abc", true),
        ("a*c", "abd", false),
        ("a*b*c", "aXbYc", true),
        ("ab*ba", "aba", false),
        ("abc", "ab", false),
    ] {
        assert_eq!(glob(pattern, text), is_match, "{pattern} {text}");
    }
}
