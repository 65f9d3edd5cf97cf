//! Tokens and the audit log: what the door keeps beside the memory of the engine.

use crate::StoreError;
use async_trait::async_trait;
use cairn_core::Timestamp;

/// Bytes of the hash of a token: SHA-256.
pub const TOKEN_HASH_BYTES: usize = 32;

/// A token, without the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Its id.
    pub id: String,
    /// What the token hashes to.
    pub hash: [u8; TOKEN_HASH_BYTES],
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used; kept now and then only.
    pub used_at: Option<Timestamp>,
    /// Name, scope, accounts, expiry: encoded by the server.
    pub details: String,
}

/// Number of an entry of the audit log. Later entries have higher ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditNo(pub i64);

/// An entry to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAudit {
    /// When.
    pub at: Timestamp,
    /// The account it concerns, if it concerns one.
    pub account: Option<String>,
    /// Who asked for what: encoded by the server.
    pub details: String,
}

/// How a change ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEnd {
    /// The account it concerns, as far as it is known by now.
    pub account: Option<String>,
    /// Who asked for what, as far as it is known by now.
    pub details: String,
    /// The status of the answer.
    pub status: u16,
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number.
    pub no: AuditNo,
    /// When.
    pub at: Timestamp,
    /// The account it concerns, if it concerns one.
    pub account: Option<String>,
    /// As given.
    pub details: String,
    /// The status of the answer; none while there is no answer.
    pub status: Option<u16>,
}

/// Which entries are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditFilter {
    /// Those of these accounts; all, also those that concern no account, when absent.
    pub accounts: Option<Vec<String>>,
    /// Those with lower numbers.
    pub before: Option<AuditNo>,
    /// At most so many.
    pub limit: usize,
}

/// What the door keeps. All methods are atomic and durable when they return `Ok`.
#[async_trait]
pub trait AccessStore: Send + Sync + 'static {
    /// All tokens, in order of their ids.
    async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError>;

    /// Keeps a new token.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when there is one of this id or hash; nothing has changed then.
    async fn add_token(&self, token: TokenRow) -> Result<(), StoreError>;

    /// Removes a token; whether it existed.
    async fn remove_token(&self, id: &str) -> Result<bool, StoreError>;

    /// Keeps that a token was used; never goes back. One that is gone stays gone.
    async fn token_used(&self, id: &str, at: Timestamp) -> Result<(), StoreError>;

    /// The accounts that have scripts or workflows, in order.
    async fn accounts(&self) -> Result<Vec<String>, StoreError>;

    /// Keeps that a change begins.
    async fn begin_audit(&self, entry: NewAudit) -> Result<AuditNo, StoreError>;

    /// Keeps how a change ended. An entry that is gone stays gone.
    async fn end_audit(&self, no: AuditNo, end: AuditEnd) -> Result<(), StoreError>;

    /// Entries of the audit log, newest first.
    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>, StoreError>;

    /// Looks at the oldest `limit` entries, and removes those from before `before` and those that have `keep` newer ones; how many.
    async fn trim_audit(&self, before: Timestamp, keep: u64, limit: usize) -> Result<usize, StoreError>;
}
