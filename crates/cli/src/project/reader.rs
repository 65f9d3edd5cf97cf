//! Reads typed values out of a parsed configuration, with errors that name the place.

use crate::failure::Failure;
use serde_json::{Map, Value};
use std::path::Path;

/// One table of a configuration and where it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    /// The file.
    pub(super) file: &'a Path,
    /// The table's place, empty for the top: `workflows[0]`.
    pub(super) place: &'a str,
    /// What is in it.
    pub(super) entries: &'a Map<String, Value>,
}

/// A table and its place.
pub(super) type Placed<'a> = (String, &'a Map<String, Value>);

impl<'a> Table<'a> {
    /// The place of one of its keys.
    fn place_of(&self, key: &str) -> String {
        if self.place.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.place)
        }
    }

    /// The value of a key; null counts as absent.
    pub(super) fn value(&self, key: &str) -> Option<&'a Value> {
        self.entries.get(key).filter(|value| !value.is_null())
    }

    /// A string that need not be there.
    ///
    /// # Errors
    /// When it is something else.
    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, Failure> {
        self.value(key)
            .map(|value| value.as_str().ok_or_else(|| self.wrong(key, "a string", value)))
            .transpose()
    }

    /// A string that must be there.
    ///
    /// # Errors
    /// When it is not; `example` is what might be written.
    pub(super) fn required(&self, key: &str, example: &str) -> Result<&'a str, Failure> {
        let text = self.text(key)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| {
            Failure::new(
                format!("{} has no \"{}\".", self.file.display(), self.place_of(key)),
                format!("Add it, for example \"{key}\": \"{example}\"."),
            )
        })
    }

    /// A boolean, false when absent.
    ///
    /// # Errors
    /// When it is something else.
    pub(super) fn is_set(&self, key: &str) -> Result<bool, Failure> {
        self.value(key).map_or(Ok(false), |value| {
            value
                .as_bool()
                .ok_or_else(|| self.wrong(key, "true or false", value))
        })
    }

    /// A list of strings, empty when absent.
    ///
    /// # Errors
    /// When it is something else.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>, Failure> {
        let wrong = |value| self.wrong(key, "a list of strings", value);
        let Some(value) = self.value(key) else {
            return Ok(Vec::new());
        };
        let items = value.as_array().ok_or_else(|| wrong(value))?;
        items
            .iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| wrong(value)))
            .collect()
    }

    /// A table, none when absent.
    ///
    /// # Errors
    /// When it is something else.
    pub(super) fn entries(&self, key: &str) -> Result<Option<&'a Map<String, Value>>, Failure> {
        self.value(key)
            .map(|value| {
                value
                    .as_object()
                    .ok_or_else(|| self.wrong(key, "an object", value))
            })
            .transpose()
    }

    /// A list of tables with their places, empty when absent.
    ///
    /// # Errors
    /// When it is something else.
    pub(super) fn tables(&self, key: &str) -> Result<Vec<Placed<'a>>, Failure> {
        let wrong = |value| self.wrong(key, "a list of objects", value);
        let Some(value) = self.value(key) else {
            return Ok(Vec::new());
        };
        let items = value.as_array().ok_or_else(|| wrong(value))?;
        let table = |(index, item): (usize, &'a Value)| {
            let entries = item.as_object().ok_or_else(|| wrong(value))?;
            Ok((format!("{}[{index}]", self.place_of(key)), entries))
        };
        items.iter().enumerate().map(table).collect()
    }

    /// That a key holds something else than it should.
    pub(super) fn wrong(&self, key: &str, expected: &str, found: &Value) -> Failure {
        let kind = match found {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        Failure::new(
            format!(
                "\"{}\" in {} must be {expected}, but is {kind}.",
                self.place_of(key),
                self.file.display()
            ),
            "Change it as wrangler's documentation of this key says.",
        )
    }
}
