//! Tokens and the audit log: Cairn's own routes below `/cairn/v1`, and what Cloudflare's route says of a token.
//!
//! - `POST /cairn/v1/tokens` takes [`TokenCreate`], gives [`TokenInfo`] with its `value`, this once
//! - `GET /cairn/v1/tokens?page=&per_page=` gives a page of [`TokenInfo`], newest first
//! - `GET /cairn/v1/tokens/:id` gives [`TokenInfo`]
//! - `DELETE /cairn/v1/tokens/:id` gives [`TokenRevoked`]
//! - `GET /cairn/v1/audit?account=&before=&limit=` gives a list of [`AuditEntry`], newest first
//! - `GET /client/v4/user/tokens/verify` gives [`TokenVerified`]

use crate::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Stands for every account in [`TokenCreate::accounts`], also those to come.
pub const ALL_ACCOUNTS: &str = "*";

/// What a token may do. Each may what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenScope {
    /// Read.
    Read,
    /// Read and change.
    Write,
    /// Also make and revoke tokens, and read the audit log, of its accounts.
    Admin,
}

/// Body of `POST /cairn/v1/tokens`. Unknown fields are refused: a misspelt limit would be none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenCreate {
    /// For the reader: who or what uses it.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// What it may do.
    pub scope: TokenScope,
    /// Its accounts, or [`ALL_ACCOUNTS`] alone.
    #[schema(min_items = 1, max_items = 100)]
    pub accounts: Vec<String>,
    /// The only workflows it may see and use; all of its accounts when absent. Only with one account, and not with `admin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflows: Option<Vec<String>>,
    /// From when on it is good no more; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_on: Option<Time>,
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenInfo {
    /// Its id, by which it is revoked. Not the token.
    pub id: String,
    /// As given.
    pub name: String,
    /// What it may do.
    pub scope: TokenScope,
    /// Its accounts, or [`ALL_ACCOUNTS`] alone.
    pub accounts: Vec<String>,
    /// The only workflows it may see and use; all of its accounts when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub workflows: Option<Vec<String>>,
    /// Whether it is good now.
    pub status: TokenStatus,
    /// When it was made.
    pub created_on: Time,
    /// From when on it is good no more.
    #[serde(default)]
    #[schema(required)]
    pub expires_on: Option<Time>,
    /// When it was last used, to within some minutes.
    #[serde(default)]
    #[schema(required)]
    pub last_used_on: Option<Time>,
    /// The token itself: in the answer to its creation, and never again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub value: Option<String>,
}

/// Whether a token is good now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenStatus {
    /// It is.
    Active,
    /// Not any more.
    Expired,
}

/// Answer of `DELETE /cairn/v1/tokens/:id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenRevoked {
    /// The token's id.
    pub id: String,
}

/// Answer of `GET /client/v4/user/tokens/verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenVerified {
    /// The token's id; `root` for the root token.
    pub id: String,
    /// Whether it is good now.
    pub status: TokenStatus,
    /// From when on it is good no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub expires_on: Option<Time>,
}

/// A change that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Rises with time; `before` of the next page.
    pub id: i64,
    /// When it was asked for.
    pub at: Time,
    /// Who asked.
    pub actor: AuditActor,
    /// The client's address, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub address: Option<String>,
    /// `PUT`, `POST`, `PATCH` or `DELETE`.
    pub method: String,
    /// Which route, such as `/accounts/:account/workflows/:workflow`.
    pub route: String,
    /// The account it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub account: Option<String>,
    /// The script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub script: Option<String>,
    /// The workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub workflow: Option<String>,
    /// The instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub instance: Option<String>,
    /// What else names it: a version, a secret, a token's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub detail: Option<String>,
    /// The HTTP status of the answer; absent when the server stopped, or the client left, before there was one: then it may have been done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub status: Option<u16>,
}

/// Who asked for a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditActor {
    /// The token's id; `root` for the root token, `local` where no token is wanted.
    pub id: String,
    /// The token's name.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_limit_is_refused() {
        let good = r#"{"name":"ci","scope":"write","accounts":["a"],"workflows":["w"],"expires_on":"2027-01-01T00:00:00Z"}"#;
        let read: TokenCreate = serde_json::from_str(good).unwrap();
        assert_eq!(read.workflows, Some(vec!["w".to_owned()]));
        for wrong in [
            good.replace("workflows", "workflow"),
            good.replace("expires_on", "expires"),
            good.replace("\"accounts\":[\"a\"],", ""),
            good.replace("\"write\"", "\"Write\""),
        ] {
            assert!(serde_json::from_str::<TokenCreate>(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn scopes_are_in_order() {
        assert!(TokenScope::Read < TokenScope::Write && TokenScope::Write < TokenScope::Admin);
    }
}
