//! Concurrency keys of accounts: names with a limit.

use crate::{StoreError, WorkflowPage};
use async_trait::async_trait;
use cairn_core::Timestamp;

/// A concurrency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Its id (a UUID).
    pub id: String,
    /// The account.
    pub account: String,
    /// Its name, unique in the account.
    pub name: String,
    /// Steps that may hold it at once.
    pub limit: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change.
    pub modified_at: Timestamp,
}

/// Concurrency keys. All methods are atomic and durable when they return `Ok`.
#[async_trait]
pub trait KeyStore: Send + Sync + 'static {
    /// Keeps a new key; `false`, and nothing has changed, when the account has one of this name.
    async fn add_key(&self, key: KeyRow) -> Result<bool, StoreError>;

    /// A page of the keys of an account, by name, and how many there are.
    async fn keys(&self, account: &str, page: WorkflowPage) -> Result<(Vec<KeyRow>, u64), StoreError>;

    /// One of them.
    async fn key(&self, account: &str, id: &str) -> Result<Option<KeyRow>, StoreError>;

    /// Changes the limit of a key, which is returned as it is then; none when there is no such key.
    async fn limit_key(
        &self,
        account: &str,
        id: &str,
        change: (u32, Timestamp),
    ) -> Result<Option<KeyRow>, StoreError>;

    /// Removes a key, which is returned as it was; none when there is no such key.
    async fn remove_key(&self, account: &str, id: &str) -> Result<Option<KeyRow>, StoreError>;
}
