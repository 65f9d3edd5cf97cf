//! Names that are nearly right.

/// The name that is nearest to a wrong one, if one is near enough to be meant.
pub(super) fn nearest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    let wrong = wrong.replace('_', "-");
    let near = |name: &&'a str| {
        let plain = name.replace('_', "-");
        // Who writes the last part of a name alone means it.
        let last = plain.rsplit('.').next().unwrap_or(&plain);
        distance(&wrong, &plain).min(distance(&wrong, last) + 1)
    };
    let best = known.iter().min_by_key(|name| near(name))?;
    (near(best) <= 1 + wrong.len() / 4).then_some(*best)
}

/// How many letters must be put in, left out or changed.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, left) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in to.iter().enumerate() {
            let changed = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_meant() {
        let known = [
            "listen",
            "data-dir",
            "process-idle",
            "limits.steps",
            "limits.state_bytes",
        ];
        for (wrong, meant) in [
            ("listne", Some("listen")),
            ("data_dir", Some("data-dir")),
            ("process-idel", Some("process-idle")),
            ("limits.step", Some("limits.steps")),
            ("steps", Some("limits.steps")),
            ("state_bytes", Some("limits.state_bytes")),
            ("colour", None),
            ("x", None),
        ] {
            assert_eq!(nearest(wrong, &known), meant, "{wrong}");
        }
    }

    #[test]
    fn distances() {
        for (from, to, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("kitten", "sitting", 3),
            ("ab", "ba", 2),
        ] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }
}
