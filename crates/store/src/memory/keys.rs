//! Concurrency keys in memory.

use super::MemoryStore;
use crate::{KeyRow, KeyStore, StoreError, WorkflowPage};
use async_trait::async_trait;
use cairn_core::Timestamp;

#[async_trait]
impl KeyStore for MemoryStore {
    async fn add_key(&self, key: KeyRow) -> Result<bool, StoreError> {
        let keys = &mut self.state.lock().keys;
        let place = (key.account.clone(), key.name.clone());
        if keys.contains_key(&place) {
            return Ok(false);
        }
        keys.insert(place, key);
        Ok(true)
    }

    async fn keys(&self, account: &str, page: WorkflowPage) -> Result<(Vec<KeyRow>, u64), StoreError> {
        let keys = &self.state.lock().keys;
        let own: Vec<&KeyRow> = keys.values().filter(|key| key.account == account).collect();
        let skipped = usize::try_from(page.offset).unwrap_or(usize::MAX);
        let shown = own.iter().skip(skipped).take(page.limit);
        Ok((shown.copied().cloned().collect(), own.len() as u64))
    }

    async fn key(&self, account: &str, id: &str) -> Result<Option<KeyRow>, StoreError> {
        let keys = &self.state.lock().keys;
        let found = keys.values().find(|key| key.account == account && key.id == id);
        Ok(found.cloned())
    }

    async fn limit_key(
        &self,
        account: &str,
        id: &str,
        (limit, at): (u32, Timestamp),
    ) -> Result<Option<KeyRow>, StoreError> {
        let keys = &mut self.state.lock().keys;
        let found = keys
            .values_mut()
            .find(|key| key.account == account && key.id == id);
        Ok(found.map(|key| {
            (key.limit, key.modified_at) = (limit, at);
            key.clone()
        }))
    }

    async fn remove_key(&self, account: &str, id: &str) -> Result<Option<KeyRow>, StoreError> {
        let keys = &mut self.state.lock().keys;
        let found = keys
            .iter()
            .find(|(_, key)| key.account == account && key.id == id);
        let place = found.map(|(place, _)| place.clone());
        Ok(place.and_then(|place| keys.remove(&place)))
    }
}
