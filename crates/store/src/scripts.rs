//! What is kept of scripts beside their code: deployments, settings, and what becomes of a script that is removed.

use crate::{ScriptRow, ScriptVersionRow, StoreError};
use async_trait::async_trait;
use cairn_core::Timestamp;

/// A version that takes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDeployment {
    /// Its id (a UUID).
    pub id: String,
    /// The account.
    pub account: String,
    /// The script.
    pub script: String,
    /// The version that new instances and requests use from now on.
    pub version: String,
    /// When.
    pub at: Timestamp,
    /// Who, from where, and why: encoded by the engine.
    pub details: String,
}

/// A deployment, as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentRow {
    /// Its id.
    pub id: String,
    /// The version.
    pub version: String,
    /// When.
    pub at: Timestamp,
    /// As given.
    pub details: String,
}

/// Scripts as a catalog: what is deployed since when, their settings, and their end.
#[async_trait]
pub trait ScriptStore: Send + Sync + 'static {
    /// Makes a version the one that new instances and requests use, and keeps that it was; `false` when the script has no such version.
    async fn deploy(&self, deployment: NewDeployment) -> Result<bool, StoreError>;

    /// Deployments of a script, newest first: those whose version is still there.
    async fn deployments(&self, account: &str, script: &str) -> Result<Vec<DeploymentRow>, StoreError>;

    /// Forgets a deployment of a script; whether there was one. What is deployed stays as it is.
    async fn forget_deployment(
        &self,
        account: &str,
        script: &str,
        deployment: &str,
    ) -> Result<bool, StoreError>;

    /// The scripts of an account, by name.
    async fn scripts(&self, account: &str) -> Result<Vec<ScriptRow>, StoreError>;

    /// A version of any script, without its code; of a script that was removed too, as long as the version is there.
    async fn script_version(&self, version: &str) -> Result<Option<ScriptVersionRow>, StoreError>;

    /// Keeps the settings of a script; `false` when there is no such script.
    async fn put_script_settings(
        &self,
        account: &str,
        script: &str,
        settings: &str,
    ) -> Result<bool, StoreError>;

    /// Removes a script with its deployments and settings; whether there was one. Its versions are nobody's from then on:
    /// [`Store::sweep_versions`](crate::Store::sweep_versions) removes those that no instance needs which has not ended.
    async fn delete_script(&self, account: &str, script: &str) -> Result<bool, StoreError>;

    /// Ids and metadata of versions of all scripts, in order of their ids, after the one that is named.
    async fn versions_after(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError>;

    /// Puts other metadata in the place of that of versions, all or none, and leaves no trace of the earlier in what it keeps.
    async fn replace_metadata(&self, versions: Vec<(String, String)>) -> Result<(), StoreError>;
}
