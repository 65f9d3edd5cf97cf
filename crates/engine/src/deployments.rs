//! Deployments of scripts: which version takes over, by whom and why, and what was deployed before.

use crate::{Author, Engine, EngineError};
use cairn_core::Timestamp;
use cairn_store::{DeploymentRow, NewDeployment, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Who made a deployment, and why.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// Who.
    pub author: Author,
    /// Annotations such as `workers/message`: a JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Box<RawValue>>,
}

/// A deployment.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// Its id.
    pub id: String,
    /// The version.
    pub version: String,
    /// When.
    pub at: Timestamp,
    /// By whom and why.
    pub origin: Origin,
}

impl Deployment {
    fn read(row: DeploymentRow) -> Result<Self, EngineError> {
        let origin = serde_json::from_str(&row.details).map_err(|error| {
            EngineError::Store(StoreError::Corrupt(format!(
                "details of the deployment {}: {error}",
                row.id
            )))
        })?;
        Ok(Self {
            id: row.id,
            version: row.version,
            at: row.at,
            origin,
        })
    }
}

impl Engine {
    /// Makes a version the one that new instances and requests use, even when it is already.
    ///
    /// # Errors
    /// [`EngineError::VersionNotFound`]
    pub async fn deploy(
        &self,
        account: &str,
        script: &str,
        (version, origin): (&str, &Origin),
    ) -> Result<Deployment, EngineError> {
        let details =
            serde_json::to_string(origin).map_err(|error| EngineError::InvalidInput(error.to_string()))?;
        let deployment = NewDeployment {
            id: uuid::Uuid::new_v4().to_string(),
            account: account.into(),
            script: script.into(),
            version: version.into(),
            at: self.shared.clock.now(),
            details,
        };
        if !self.shared.store.deploy(deployment.clone()).await? {
            return Err(EngineError::VersionNotFound(version.into()));
        }
        self.move_on(account, script).await?;
        Ok(Deployment {
            id: deployment.id,
            version: deployment.version,
            at: deployment.at,
            origin: origin.clone(),
        })
    }

    /// Deployments of a script, newest first; those whose version is still kept.
    ///
    /// # Errors
    /// [`EngineError::Store`]
    pub async fn deployments(&self, account: &str, script: &str) -> Result<Vec<Deployment>, EngineError> {
        let rows = self.shared.store.deployments(account, script).await?;
        rows.into_iter().map(Deployment::read).collect()
    }

    /// Forgets a deployment; whether there was one.
    ///
    /// # Errors
    /// [`EngineError::InvalidInput`] when it is the newest, which is in use.
    pub async fn forget_deployment(
        &self,
        account: &str,
        script: &str,
        deployment: &str,
    ) -> Result<bool, EngineError> {
        let store = &self.shared.store;
        let newest = store.deployments(account, script).await?.into_iter().next();
        if newest.is_some_and(|newest| newest.id == deployment) {
            return Err(EngineError::InvalidInput(
                "the newest deployment is in use and cannot be deleted; deploy another version first".into(),
            ));
        }
        Ok(store.forget_deployment(account, script, deployment).await?)
    }
}
