//! `.dev.vars`: the secrets of a project on this machine, a line each, `NAME=value`.

use crate::failure::Failure;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Reads `.dev.vars` of a folder; none when there is no such file.
///
/// # Errors
/// When it cannot be read or a line is not `NAME=value`.
pub(super) fn read(folder: &Path) -> Result<Vec<(String, String)>, Failure> {
    let path = folder.join(".dev.vars");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(Failure::new(
                format!("{} cannot be read: {error}.", path.display()),
                "Make it a readable UTF-8 file, or remove it.",
            ));
        }
    };
    parse(&text).map_err(|line| {
        Failure::new(
            format!("{}:{line} is not NAME=value.", path.display()),
            "Write one secret a line; quote values that hold line breaks or #.",
        )
    })
}

/// Reads a file of secrets that a user names: `NAME=value` lines, or a JSON object of strings.
///
/// # Errors
/// When it cannot be read or is neither.
pub(crate) fn read_file(path: &Path) -> Result<Vec<(String, String)>, Failure> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| {
        Failure::new(
            format!("The secrets in {shown} cannot be read: {error}."),
            "Give a readable UTF-8 file with --secrets-file.",
        )
    })?;
    if text.trim_start().starts_with('{') {
        let read: Result<BTreeMap<String, String>, _> = serde_json::from_str(&text);
        return read.map(|pairs| pairs.into_iter().collect()).map_err(|error| {
            Failure::new(
                format!("{shown} is no JSON object of strings: {error}."),
                "Write it as {\"NAME\": \"value\"}, or as NAME=value lines.",
            )
        });
    }
    parse(&text).map_err(|line| {
        Failure::new(
            format!("{shown}:{line} is not NAME=value."),
            "Write one secret a line, or a JSON object of strings; quote values that hold line breaks or #.",
        )
    })
}

/// The pairs, later ones over earlier ones; or the number of the line that is none.
fn parse(text: &str) -> Result<Vec<(String, String)>, usize> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let line_number = text[..text.len() - rest.len()].matches('\n').count() + 1;
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            rest = after;
            continue;
        }
        let (name, begun) = line.split_once('=').ok_or(line_number)?;
        let name = name.trim().trim_start_matches("export ").trim();
        if !is_name(name) {
            return Err(line_number);
        }
        // A quoted value may go on over the following lines.
        let value_at = line.len() - begun.trim_start().len();
        let (value, after) = match quoted(&rest[value_at..]) {
            Some(found) => found,
            None => (unquoted(begun), after),
        };
        pairs.retain(|(earlier, _)| earlier != name);
        pairs.push((name.to_owned(), value));
        rest = after;
    }
    Ok(pairs)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// A value in quotes and what follows its line. Only double quotes know escapes.
fn quoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| "\"'`".contains(*c))?;
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' if quote == '"' => match characters.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                other @ ('"' | '\\') => value.push(other),
                other => value.extend(['\\', other]),
            },
            character if character == quote => {
                let after = &text[at + 1..];
                return Some((value, after.split_once('\n').map_or("", |(_, after)| after)));
            }
            character => value.push(character),
        }
    }
    None
}

/// A bare value ends at a comment.
fn unquoted(text: &str) -> String {
    text.split(" #").next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.into(), value.into())
    }

    #[test]
    fn lines_quotes_comments_and_repeats_are_read() {
        let text = "# local\nA=1\nexport B = two words # why\n\nC=\"x\\n\\\"y\\\"\" # quoted\nD='a # b'\nE=\"first\nsecond\"\nA=3\nF=";
        let expected = [
            pair("B", "two words"),
            pair("C", "x\n\"y\""),
            pair("D", "a # b"),
            pair("E", "first\nsecond"),
            pair("A", "3"),
            pair("F", ""),
        ];
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn a_line_that_is_no_pair_is_named() {
        assert_eq!(parse("A=1\nwhat is this\n"), Err(2));
        assert_eq!(parse("A=\"x\ny\"\n=3"), Err(3));
    }

    #[test]
    fn a_file_of_secrets_has_lines_or_is_json() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |text: &str| {
            fs::write(file.path(), text).unwrap();
            read_file(file.path()).map_err(|failure| failure.to_string())
        };
        assert_eq!(read("A=1\n").unwrap(), [pair("A", "1")]);
        assert_eq!(read(" {\"A\": \"x=1\"}").unwrap(), [pair("A", "x=1")]);
        assert!(
            read("{\"A\": 1}")
                .unwrap_err()
                .contains("no JSON object of strings")
        );
        assert!(read("A=1\nB").unwrap_err().contains(":2 is not NAME=value"));
    }

    #[test]
    fn a_quote_that_never_ends_is_part_of_the_value() {
        assert_eq!(parse("A=\"x\nB=2").unwrap(), [pair("A", "\"x"), pair("B", "2")]);
    }
}
