//! Tokens and the audit log in memory.

use super::MemoryStore;
use crate::StoreError;
use crate::access::{AccessStore, AuditEnd, AuditFilter, AuditNo, AuditRow, NewAudit, TokenRow};
use async_trait::async_trait;
use cairn_core::Timestamp;
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Access {
    tokens: BTreeMap<String, TokenRow>,
    last_entry: i64,
    entries: BTreeMap<AuditNo, AuditRow>,
}

#[async_trait]
impl AccessStore for MemoryStore {
    async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        Ok(self.state.lock().access.tokens.values().cloned().collect())
    }

    async fn add_token(&self, token: TokenRow) -> Result<(), StoreError> {
        let tokens = &mut self.state.lock().access.tokens;
        if tokens
            .values()
            .any(|known| known.id == token.id || known.hash == token.hash)
        {
            return Err(StoreError::Refused(format!(
                "there is a token {} already",
                token.id
            )));
        }
        tokens.insert(token.id.clone(), token);
        Ok(())
    }

    async fn remove_token(&self, id: &str) -> Result<bool, StoreError> {
        Ok(self.state.lock().access.tokens.remove(id).is_some())
    }

    async fn token_used(&self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        if let Some(token) = self.state.lock().access.tokens.get_mut(id) {
            token.used_at = token.used_at.max(Some(at));
        }
        Ok(())
    }

    async fn accounts(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.state.lock().catalog.accounts().into_iter().collect())
    }

    async fn begin_audit(&self, entry: NewAudit) -> Result<AuditNo, StoreError> {
        let access = &mut self.state.lock().access;
        access.last_entry += 1;
        let no = AuditNo(access.last_entry);
        access.entries.insert(
            no,
            AuditRow {
                no,
                at: entry.at,
                account: entry.account,
                details: entry.details,
                status: None,
            },
        );
        Ok(no)
    }

    async fn end_audit(&self, no: AuditNo, end: AuditEnd) -> Result<(), StoreError> {
        if let Some(entry) = self.state.lock().access.entries.get_mut(&no) {
            entry.account = end.account;
            entry.details = end.details;
            entry.status = Some(end.status);
        }
        Ok(())
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>, StoreError> {
        let is_asked = |row: &&AuditRow| {
            let in_accounts = filter.accounts.as_ref().is_none_or(|accounts| {
                row.account
                    .as_ref()
                    .is_some_and(|account| accounts.contains(account))
            });
            in_accounts && filter.before.is_none_or(|before| row.no < before)
        };
        let state = self.state.lock();
        let rows = state.access.entries.values().rev().filter(is_asked);
        Ok(rows.take(filter.limit).cloned().collect())
    }

    async fn trim_audit(&self, before: Timestamp, keep: u64, limit: usize) -> Result<usize, StoreError> {
        let access = &mut self.state.lock().access;
        let until = access
            .last_entry
            .saturating_sub(i64::try_from(keep).unwrap_or(i64::MAX));
        let oldest = access.entries.values().take(limit);
        let doomed: Vec<AuditNo> = oldest
            .filter(|row| row.no.0 <= until || row.at < before)
            .map(|row| row.no)
            .collect();
        for no in &doomed {
            access.entries.remove(no);
        }
        Ok(doomed.len())
    }
}
