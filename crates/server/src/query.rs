//! Query strings: read by name, unknown names ignored, every value checked.

use crate::answer::bad;
use crate::route::decode;
use cairn_api::{Failure, OffsetPage, PER_PAGE_MAX};
use std::fmt::Display;
use std::str::FromStr;

/// The parameters of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the part of a URL after `?`.
    pub(crate) fn parse(raw: Option<&str>) -> Result<Self, Failure> {
        let mut pairs = Vec::new();
        for part in raw.unwrap_or("").split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let plain = |text: &str| decode(&text.replace('+', " "));
            match (plain(name), plain(value)) {
                (Some(name), Some(value)) => pairs.push((name, value)),
                _ => return Err(bad(format!("the query parameter \"{part}\" is badly escaped"))),
            }
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter that may be given once.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Failure> {
        let mut values = self.0.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.as_str());
        match values.next() {
            None => Ok(value),
            Some(_) => Err(bad(format!("the query parameter \"{name}\" is given twice"))),
        }
    }

    /// The values of a parameter that may be given more than once.
    pub(crate) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        let values = self.0.iter().filter(move |(known, _)| known == name);
        values.map(|(_, value)| value.as_str())
    }

    /// The same, read as something.
    pub(crate) fn value<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, Failure> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let parsed = text
            .parse()
            .map_err(|error| bad(format!("the query parameter \"{name}\" is \"{text}\": {error}")));
        parsed.map(Some)
    }

    /// One of several words.
    pub(crate) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Failure> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(Some(*value));
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        Err(bad(format!(
            "the query parameter \"{name}\" is \"{text}\"; it must be one of {}",
            known.join(", ")
        )))
    }

    /// `page` and `per_page`.
    pub(crate) fn offset_page(&self, default_per_page: u64) -> Result<OffsetPage, Failure> {
        Ok(OffsetPage {
            page: self.page()?.unwrap_or(1),
            per_page: self.per_page(default_per_page)?,
        })
    }

    /// `page`
    pub(crate) fn page(&self) -> Result<Option<u64>, Failure> {
        let page: Option<u64> = self.value("page")?;
        match page {
            Some(0) => Err(bad("the query parameter \"page\" is 0; pages are counted from 1")),
            page => Ok(page),
        }
    }

    /// `per_page`
    pub(crate) fn per_page(&self, default: u64) -> Result<u64, Failure> {
        let per_page: u64 = self.value("per_page")?.unwrap_or(default);
        if (1..=PER_PAGE_MAX).contains(&per_page) {
            return Ok(per_page);
        }
        Err(bad(format!(
            "the query parameter \"per_page\" is {per_page}; it must be from 1 to {PER_PAGE_MAX}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_unescaped() {
        let query = Query::parse(Some(
            "status=waiting&date_start=2026-01-01T00%3A00%3A00.000Z&a+b=c%2Bd&",
        ))
        .unwrap();
        assert_eq!(query.text("date_start"), Ok(Some("2026-01-01T00:00:00.000Z")));
        assert_eq!(query.text("a b"), Ok(Some("c+d")));
        assert_eq!(query.text("nope"), Ok(None));
        assert!(Query::parse(Some("a=%zz")).is_err());
    }

    #[test]
    fn numbers_and_words_are_checked() {
        let query = Query::parse(Some("page=0&per_page=101&order=up&x=1&x=2")).unwrap();
        assert!(query.page().is_err());
        assert!(
            query
                .per_page(10)
                .unwrap_err()
                .explanation
                .contains("from 1 to 100")
        );
        assert!(
            query
                .word("order", &[("asc", 1), ("desc", 2)])
                .unwrap_err()
                .explanation
                .contains("asc, desc")
        );
        assert!(query.text("x").is_err());
        assert!(Query::parse(Some("page=1e3")).unwrap().page().is_err());
    }

    #[test]
    fn an_empty_query_is_the_default() {
        let page = Query::parse(Some("")).unwrap().offset_page(10).unwrap();
        assert_eq!((page.page, page.per_page), (1, 10));
    }
}
