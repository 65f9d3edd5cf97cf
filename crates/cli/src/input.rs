//! What a user gives beside names: JSON on the command line, from a file or from standard input; and consent.

use crate::args::ConsentArgument;
use crate::failure::Failure;
use crate::terminal::Terminal;
use serde_json::value::RawValue;
use std::fs;
use std::io::{self, BufRead, IsTerminal, Read, Write};

/// Reads JSON: as given, from the file after `@`, or from standard input for `-`.
///
/// # Errors
/// When it cannot be read or is no JSON; `name` is what it is for.
pub(crate) fn json(given: &str, name: &str) -> Result<Box<RawValue>, Failure> {
    let (text, place) = if given == "-" {
        let mut text = String::new();
        let read = io::stdin().lock().read_to_string(&mut text);
        (read.map(|_| text), "standard input".to_owned())
    } else if let Some(file) = given.strip_prefix('@') {
        (fs::read_to_string(file), file.to_owned())
    } else {
        (Ok(given.to_owned()), format!("{given:?}"))
    };
    let text = text.map_err(|error| {
        Failure::new(
            format!("{name} cannot be read from {place}: {error}."),
            "Give JSON, @FILE for a readable file with JSON, or - for standard input.",
        )
    })?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::new(
            format!("{name} is not JSON: {error}, in {place}."),
            "Quote it for the shell: '{\"name\":\"Ada\"}'. A text is JSON in its quotes: '\"Ada\"'.",
        )
    })
}

/// A string among parameters is sent as JSON text: bare, the API would read it as JSON itself.
pub(crate) fn as_params(params: &RawValue) -> Box<RawValue> {
    if params.get().starts_with('"') {
        // Text always has a JSON form; were there none, the parameters as they are would be the next best.
        return serde_json::value::to_raw_value(params.get()).unwrap_or_else(|_| params.to_owned());
    }
    params.to_owned()
}

/// What the user says to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    /// Go on.
    Given,
    /// Do not.
    Refused,
}

/// Asks before something is done that cannot be undone.
///
/// # Errors
/// When there is no terminal to ask on and `--yes` was not given.
pub(crate) fn consent(
    argument: ConsentArgument,
    terminal: &Terminal,
    question: &str,
) -> Result<Consent, Failure> {
    if argument.yes {
        return Ok(Consent::Given);
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::new(
            format!("{question} There is no terminal to ask on."),
            "Add --yes to do it without being asked.",
        ));
    }
    terminal.write(format!("{question} [y/N] ").as_bytes());
    let _ = io::stderr().flush();
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    let is_yes = read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
    if is_yes {
        return Ok(Consent::Given);
    }
    terminal.line("Nothing was done.");
    Ok(Consent::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_comes_from_the_command_line_or_a_file_and_keeps_its_order() {
        assert_eq!(
            json("{\"b\":1,\"a\":2}", "PARAMS").unwrap().get(),
            "{\"b\":1,\"a\":2}"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "[1.50]\n").unwrap();
        let given = format!("@{}", file.path().display());
        assert_eq!(json(&given, "PARAMS").unwrap().get(), "[1.50]");
    }

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        let failure = json("{name:1}", "PARAMS").unwrap_err().to_string();
        assert!(
            failure.contains("PARAMS is not JSON: key must be a string"),
            "{failure}"
        );
        let failure = json("@/no/such/file", "PAYLOAD").unwrap_err().to_string();
        assert!(
            failure.contains("PAYLOAD cannot be read from /no/such/file"),
            "{failure}"
        );
    }

    #[test]
    fn a_string_survives_the_api_reading_json() {
        let sent = |text: &str| as_params(&json(text, "PARAMS").unwrap()).get().to_owned();
        assert_eq!(sent("\"7\""), r#""\"7\"""#);
        assert_eq!(sent("{\"b\":1,\"a\":2}"), "{\"b\":1,\"a\":2}");
    }
}
