//! Lists of the API, page after page.

use crate::client::{Api, RequestError, read};
use crate::failure::Failure;
use crate::remote::Remote;
use reqwest::Method;
use serde_json::value::RawValue;

/// The most that a page may have.
const PAGE: usize = 100;

/// How much of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// All of it.
    All,
    /// Its beginning.
    AtMost(usize),
}

/// A list to be fetched.
#[derive(Debug)]
pub(crate) struct Pages {
    path: String,
    query: Vec<(&'static str, String)>,
    want: Want,
}

/// A list, or its beginning.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Its elements as they were sent.
    pub(crate) rows: Vec<Box<RawValue>>,
    /// How many there are in all.
    pub(crate) total: u64,
}

impl Pages {
    /// The list at a path of the account.
    pub(crate) fn new(path: String, query: Vec<(&'static str, String)>, want: Want) -> Self {
        Self { path, query, want }
    }

    /// Fetches it: by cursor where the server gives one, else by the number of the page.
    ///
    /// # Errors
    /// [`RequestError`]
    pub(crate) async fn fetch(&self, api: &Api) -> Result<Found, RequestError> {
        let mut found = Found::default();
        let mut place: Option<(&str, String)> = None;
        for number in 1.. {
            let left = match self.want {
                Want::All => PAGE,
                Want::AtMost(limit) => limit.saturating_sub(found.rows.len()).min(PAGE),
            };
            if left == 0 && number > 1 {
                break;
            }
            // Pages by number must all be of one size.
            let size = match self.want {
                Want::AtMost(limit) if limit < PAGE => left.max(1),
                Want::AtMost(_) | Want::All => PAGE,
            };
            let request = api
                .request(Method::GET, &self.path)
                .query(&self.query)
                .query(&[("per_page", size)])
                .query(&place.iter().collect::<Vec<_>>());
            let reply = api.reply(request).await?;
            let rows: Vec<Box<RawValue>> = read(&reply.result)?;
            let is_short = rows.len() < size;
            found.rows.extend(rows.into_iter().take(left));
            let info = reply.info.unwrap_or_default();
            found.total = info.total_count.max(found.rows.len() as u64);
            if is_short {
                break;
            }
            place = match info.cursor {
                Some(cursor) => Some(("cursor", cursor)),
                // Without a cursor the list has ended, or is one of numbered pages alone.
                None if found.rows.len() as u64 >= found.total => break,
                None => Some(("page", (number + 1).to_string())),
            };
        }
        Ok(found)
    }
}

impl Found {
    /// Prints it as JSON, an element a line.
    ///
    /// # Errors
    /// When standard output takes no more.
    pub(crate) fn print_lines(&self, remote: &Remote) -> Result<(), Failure> {
        let mut text = String::new();
        for row in &self.rows {
            text.push_str(row.get());
            text.push('\n');
        }
        remote.output.bytes(text.as_bytes())
    }

    /// Says that there is more than is shown.
    pub(crate) fn tell_the_rest(&self, remote: &Remote, what: &str) {
        let shown = self.rows.len() as u64;
        if self.total > shown {
            remote.terminal.line(&format!(
                "These are {shown} of {} {what}; --limit shows more.",
                self.total
            ));
        }
    }
}
