//! How long finished instances are kept: as the instance says, else the version of its workflow, else the account, else the setting
//! `limits.retention_millis` (behaviour §4).

use crate::instances::corrupt;
use crate::{CreateInstance, Engine, EngineError, Shared, WorkflowSettings};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How long instances of an account are kept where nothing nearer to them says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountRetention {
    /// After success and termination, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_millis: Option<u64>,
    /// After an error, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_millis: Option<u64>,
}

/// How long an instance is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// After success and termination, milliseconds.
    pub success_millis: u64,
    /// After an error, milliseconds.
    pub error_millis: u64,
}

/// What accounts have said, as far as it was asked for.
#[derive(Default)]
pub(crate) struct KnownRetention(Mutex<HashMap<String, AccountRetention>>);

/// Accounts remembered.
const REMEMBERED: usize = 10_000;

impl KnownRetention {
    fn get(&self, account: &str) -> Option<AccountRetention> {
        self.0.lock().get(account).copied()
    }

    fn set(&self, account: &str, retention: AccountRetention) {
        let mut known = self.0.lock();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(account.into(), retention);
    }
}

fn key(account: &str) -> String {
    format!("account/{account}/default_retention")
}

impl Shared {
    /// What instances of an account get that say nothing, and whose workflow says nothing.
    pub(crate) async fn retention_of(&self, account: &str) -> Result<Retention, EngineError> {
        let asked = self.account_retention(account).await?;
        let default = self.settings.retention_millis;
        Ok(Retention {
            success_millis: asked.success_millis.unwrap_or(default),
            error_millis: asked.error_millis.unwrap_or(default),
        })
    }

    async fn account_retention(&self, account: &str) -> Result<AccountRetention, EngineError> {
        if let Some(known) = self.retention.get(account) {
            return Ok(known);
        }
        let stored = self.store.setting(&key(account)).await?;
        let retention: AccountRetention = match stored {
            Some(text) => {
                serde_json::from_str(&text).map_err(|error| corrupt("retention of an account", error))?
            }
            None => AccountRetention::default(),
        };
        self.retention.set(account, retention);
        Ok(retention)
    }
}

impl Retention {
    /// What a new instance gets, in an account whose retention this is.
    pub(crate) fn for_instance(self, workflow: &WorkflowSettings, create: &CreateInstance) -> Self {
        let success = create
            .success_retention_millis
            .or(workflow.success_retention_millis);
        let error = create.error_retention_millis.or(workflow.error_retention_millis);
        Self {
            success_millis: success.unwrap_or(self.success_millis),
            error_millis: error.unwrap_or(self.error_millis),
        }
    }
}

impl Engine {
    /// How long instances of an account are kept that say nothing, and whose workflow says nothing.
    ///
    /// # Errors
    /// [`EngineError::Store`]
    pub async fn retention(&self, account: &str) -> Result<Retention, EngineError> {
        self.shared.retention_of(account).await
    }

    /// Changes that for instances to come; what is absent stays.
    ///
    /// # Errors
    /// [`EngineError::Store`]
    pub async fn put_retention(
        &self,
        account: &str,
        change: AccountRetention,
    ) -> Result<Retention, EngineError> {
        let shared = &self.shared;
        let known = shared.account_retention(account).await?;
        let retention = AccountRetention {
            success_millis: change.success_millis.or(known.success_millis),
            error_millis: change.error_millis.or(known.error_millis),
        };
        let text = serde_json::to_string(&retention)
            .map_err(|error| EngineError::InvalidInput(error.to_string()))?;
        shared.store.put_setting(&key(account), &text).await?;
        shared.retention.set(account, retention);
        shared.retention_of(account).await
    }
}
