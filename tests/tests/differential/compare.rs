//! What differs between two results of one case, as a list of small differences, each with the name of its place.

use serde_json::{Map, Value};

/// One thing that two engines show differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Where: the keys on the way to it, with dots. An event or a step is named by what it is, not by its position; one that only one side has,
    /// also by what comes before it.
    pub(crate) field: String,
    /// What cairn shows, as JSON, or `absent`.
    pub(crate) cairn: String,
    /// What the other one shows.
    pub(crate) theirs: String,
}

/// All differences between two results.
pub(crate) fn differences(cairn: &Value, theirs: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", cairn, theirs, &mut found);
    found
}

fn text(value: Option<&Value>) -> String {
    value.map_or_else(|| "absent".to_owned(), Value::to_string)
}

fn add(field: &str, cairn: Option<&Value>, theirs: Option<&Value>, found: &mut Vec<Difference>) {
    found.push(Difference {
        field: field.to_owned(),
        cairn: text(cairn),
        theirs: text(theirs),
    });
}

fn below(field: &str, key: &str) -> String {
    if field.is_empty() {
        key.to_owned()
    } else {
        format!("{field}.{key}")
    }
}

fn compare(field: &str, cairn: &Value, theirs: &Value, found: &mut Vec<Difference>) {
    match (cairn, theirs) {
        (Value::Object(ours), Value::Object(others)) => objects(field, ours, others, found),
        (Value::Array(ours), Value::Array(others))
            if ours.iter().chain(others).all(|item| head(item).is_some()) =>
        {
            sequences(field, ours, others, found);
        }
        (Value::Array(ours), Value::Array(others)) if ours.len() == others.len() => {
            for (i, (one, other)) in ours.iter().zip(others).enumerate() {
                compare(&below(field, &i.to_string()), one, other, found);
            }
        }
        _ if cairn == theirs => {}
        _ => add(field, Some(cairn), Some(theirs), found),
    }
}

fn objects(field: &str, ours: &Map<String, Value>, others: &Map<String, Value>, found: &mut Vec<Difference>) {
    let mut keys: Vec<&String> = ours.keys().chain(others.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let place = below(field, key);
        match (ours.get(key), others.get(key)) {
            (Some(one), Some(other)) => compare(&place, one, other, found),
            (one, other) => add(&place, one, other, found),
        }
    }
}

/// What an event or a step is, which is how those of two engines are found to be the same; none for other values.
fn head(item: &Value) -> Option<String> {
    let kind = item.get("type")?.as_str()?;
    let name = item
        .get("stepName")
        .or_else(|| item.get("name"))
        .and_then(Value::as_str);
    let attempt = item.get("attempt").map(Value::to_string);
    let parts = [Some(kind.to_owned()), name.map(str::to_owned), attempt];
    Some(parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
}

/// Compares two sequences whose items have heads: the longest common sequence of heads is paired, the rest is absent on one side.
fn sequences(field: &str, ours: &[Value], others: &[Value], found: &mut Vec<Difference>) {
    let (a, b): (Vec<_>, Vec<_>) = (ours.iter().map(head).collect(), others.iter().map(head).collect());
    let mut common = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i][j] = if a[i] == b[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let place = |head: &Option<String>| below(field, head.as_deref().unwrap_or_default());
    // What only one side has is named with what comes before it there.
    let after = |heads: &[Option<String>], at: usize| {
        let before = at.checked_sub(1).and_then(|at| heads[at].as_deref());
        let before = before.and_then(|head| head.split(' ').next());
        format!("{} after {}", place(&heads[at]), before.unwrap_or("nothing"))
    };
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            compare(&place(&a[i]), &ours[i], &others[j], found);
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && common[i + 1][j] >= common[i][j + 1]) {
            add(&after(&a, i), Some(&ours[i]), None, found);
            i += 1;
        } else {
            add(&after(&b, j), None, Some(&others[j]), found);
            j += 1;
        }
    }
}
