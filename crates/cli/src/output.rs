//! Results on standard output: text for people, or the API's own objects as JSON, one a line. Nothing else goes there.

use crate::failure::Failure;
use serde_json::value::RawValue;
use std::io::{self, IsTerminal, Write};

/// The form of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Where results go.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    form: Form,
    has_colour: bool,
}

impl Output {
    /// Standard output; with `--json` or without.
    pub(crate) fn of(json: bool) -> Self {
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            form: if json { Form::Json } else { Form::Text },
            has_colour: !is_plain && io::stdout().is_terminal(),
        }
    }

    /// The form.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// How pieces of text look here.
    pub(crate) fn style(&self) -> Style {
        Style {
            has_colour: self.has_colour,
        }
    }

    /// Prints text, with a line break at its end.
    ///
    /// # Errors
    /// When standard output takes no more.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        let mut bytes = text.as_bytes().to_vec();
        if !text.ends_with('\n') {
            bytes.push(b'\n');
        }
        self.bytes(&bytes)
    }

    /// Prints an object of the API as one line, or what `text` makes of it.
    ///
    /// # Errors
    /// When standard output takes no more.
    pub(crate) fn result(
        &self,
        object: &RawValue,
        text: impl FnOnce(Style) -> String,
    ) -> Result<(), Failure> {
        match self.form {
            Form::Json => self.text(object.get()),
            Form::Text => self.text(&text(self.style())),
        }
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// When standard output takes no more.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
        written.map_err(|error| {
            Failure::new(
                format!("The result cannot be written to standard output: {error}."),
                "Give it somewhere to go, and run the command again.",
            )
        })
    }
}

/// How pieces of text look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// Whether there are colours.
    pub(crate) has_colour: bool,
}

/// A look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Plain,
    Good,
    Warning,
    Bad,
    Faint,
    Strong,
}

impl Style {
    /// Without colours.
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self { has_colour: false };

    /// `text` with a look, if there are colours.
    pub(crate) fn paint(self, look: Look, text: &str) -> String {
        let code = match look {
            Look::Good => "32",
            Look::Warning => "33",
            Look::Bad => "31",
            Look::Faint => "2",
            Look::Strong => "1",
            Look::Plain => return text.to_owned(),
        };
        if self.has_colour && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A piece of text with its look.
pub(crate) type Cell = (Look, String);

/// A cell without a look of its own.
pub(crate) fn cell(text: impl Into<String>) -> Cell {
    (Look::Plain, text.into())
}

/// Columns under headings, as wide as they must be.
pub(crate) fn table(style: Style, headings: &[&str], rows: &[Vec<Cell>]) -> String {
    let heading = headings
        .iter()
        .map(|text| (Look::Faint, (*text).to_owned()))
        .collect::<Vec<_>>();
    let all: Vec<&Vec<Cell>> = std::iter::once(&heading).chain(rows).collect();
    let width = |column: usize| {
        let cells = all.iter().filter_map(|row| row.get(column));
        cells.map(|(_, text)| text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let mut text = String::new();
    for row in all {
        let mut line = String::new();
        for (column, (look, content)) in row.iter().enumerate() {
            line.push_str(&style.paint(*look, content));
            if column + 1 < row.len() {
                let used = content.chars().count();
                line.push_str(&" ".repeat(widths.get(column).map_or(0, |width| width - used) + 2));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Names and values, one a line, the values below each other. What is empty is left out.
pub(crate) fn facts(style: Style, facts: &[(&str, Cell)]) -> String {
    let shown = facts.iter().filter(|(_, (_, value))| !value.is_empty());
    let width = shown
        .clone()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for (name, (look, value)) in shown {
        let padded = format!("{name:width$}");
        text.push_str(&format!(
            "{}  {}\n",
            style.paint(Look::Faint, &padded),
            style.paint(*look, value)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_end_without_blanks() {
        let rows = [
            vec![cell("order"), (Look::Good, "complete".into()), cell("")],
            vec![cell("ü"), cell("x"), cell("last")],
        ];
        assert_eq!(
            table(Style::PLAIN, &["NAME", "STATE", ""], &rows),
            "NAME   STATE\norder  complete\nü      x         last\n"
        );
    }

    #[test]
    fn colours_do_not_count_as_width() {
        let style = Style { has_colour: true };
        let text = table(style, &["A"], &[vec![(Look::Bad, "x".into())]]);
        assert_eq!(text, "\u{1b}[2mA\u{1b}[0m\n\u{1b}[31mx\u{1b}[0m\n");
    }

    #[test]
    fn facts_without_a_value_are_left_out() {
        let text = facts(
            Style::PLAIN,
            &[("name", cell("a")), ("gone", cell("")), ("longer", cell("b"))],
        );
        assert_eq!(text, "name    a\nlonger  b\n");
    }
}
