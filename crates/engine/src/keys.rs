//! Concurrency keys of accounts: kept here, not enforced yet.

use crate::{Engine, EngineError};
use cairn_store::{KeyRow, WorkflowPage};

impl Engine {
    /// A page of the concurrency keys of an account, by name, and how many there are.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn concurrency_keys(
        &self,
        account: &str,
        page: WorkflowPage,
    ) -> Result<(Vec<KeyRow>, u64), EngineError> {
        Ok(self.shared.store.keys(account, page).await?)
    }

    /// One of them; none when there is no such key.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn concurrency_key(&self, account: &str, id: &str) -> Result<Option<KeyRow>, EngineError> {
        Ok(self.shared.store.key(account, id).await?)
    }

    /// Makes a concurrency key; none when the account has one of this name. Whoever calls has checked name and limit.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn add_concurrency_key(
        &self,
        account: &str,
        (name, limit): (String, u32),
    ) -> Result<Option<KeyRow>, EngineError> {
        let now = self.shared.clock.now();
        let key = KeyRow {
            id: uuid::Uuid::new_v4().to_string(),
            account: account.into(),
            name,
            limit,
            created_at: now,
            modified_at: now,
        };
        let added = self.shared.store.add_key(key.clone()).await?;
        Ok(added.then_some(key))
    }

    /// Changes the limit of a concurrency key; none when there is no such key.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn limit_concurrency_key(
        &self,
        account: &str,
        (id, limit): (&str, u32),
    ) -> Result<Option<KeyRow>, EngineError> {
        let change = (limit, self.shared.clock.now());
        Ok(self.shared.store.limit_key(account, id, change).await?)
    }

    /// Removes a concurrency key, which is returned as it was; none when there is no such key.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn remove_concurrency_key(
        &self,
        account: &str,
        id: &str,
    ) -> Result<Option<KeyRow>, EngineError> {
        Ok(self.shared.store.remove_key(account, id).await?)
    }
}
