//! The envelope around every answer (behaviour §1).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What every answer under `/client/v4` is wrapped in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// Whether the request was done.
    pub success: bool,
    /// Why not; empty on success.
    pub errors: Vec<ErrorMessage>,
    /// Remarks: objects on success, strings on failure, as Cloudflare has it.
    pub messages: Vec<Note>,
    /// The result; null on failure, and where there is nothing to say.
    pub result: Option<T>,
    /// Where in a list the result stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_info: Option<ResultInfo>,
}

/// An error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorMessage {
    /// Its number, the same for every error of its kind.
    pub code: u32,
    /// Its name, or text for the reader.
    pub message: String,
}

/// A remark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Note {
    /// On failure: what happened and what to do, for the reader.
    Text(String),
    /// On success.
    Coded(ErrorMessage),
}

/// Where in a list a page stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ResultInfo {
    /// Elements on this page.
    pub count: u64,
    /// Elements a page may have.
    pub per_page: u64,
    /// Elements on all pages.
    pub total_count: u64,
    /// Number of the page, from 1; offset paging only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub page: Option<u64>,
    /// Number of pages; offset paging only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub total_pages: Option<u64>,
    /// To be passed back for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cursor: Option<String>,
}

impl<T> Envelope<T> {
    /// The answer to a request that was done.
    pub fn success(result: T) -> Self {
        Self {
            success: true,
            errors: Vec::new(),
            messages: Vec::new(),
            result: Some(result),
            result_info: None,
        }
    }

    /// A page of a list.
    pub fn page(result: T, info: ResultInfo) -> Self {
        Self {
            result_info: Some(info),
            ..Self::success(result)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_has_all_keys_but_result_info() {
        let text = serde_json::to_string(&Envelope::success(1)).unwrap();
        assert_eq!(text, r#"{"success":true,"errors":[],"messages":[],"result":1}"#);
    }

    #[test]
    fn notes_of_both_forms_are_read() {
        let text = r#"{"success":false,"errors":[{"code":1,"message":"a"}],"messages":["b",{"code":2,"message":"c"}],"result":null}"#;
        let read: Envelope<u8> = serde_json::from_str(text).unwrap();
        assert_eq!(read.messages[0], Note::Text("b".into()));
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
}
