//! Scripts beside their code, in memory: deployments, settings, removal.

use super::MemoryStore;
use super::catalog::version_row;
use crate::{DeploymentRow, NewDeployment, ScriptRow, ScriptStore, ScriptVersionRow, StoreError};
use async_trait::async_trait;

#[async_trait]
impl ScriptStore for MemoryStore {
    async fn deploy(&self, new: NewDeployment) -> Result<bool, StoreError> {
        let catalog = &mut self.state.lock().catalog;
        let Some(script) = catalog.find_mut(&new.account, &new.script) else {
            return Ok(false);
        };
        if !script.versions.iter().any(|(_, kept)| kept.id == new.version) {
            return Ok(false);
        }
        script.row.deployed = Some((new.version.clone(), new.at));
        script.row.modified_at = new.at;
        script.deployments.push(DeploymentRow {
            id: new.id,
            version: new.version,
            at: new.at,
            details: new.details,
        });
        Ok(true)
    }

    async fn deployments(&self, account: &str, script: &str) -> Result<Vec<DeploymentRow>, StoreError> {
        let catalog = &self.state.lock().catalog;
        let found = catalog.find(account, script);
        let newest_first = found.map(|script| script.deployments.iter().rev().cloned().collect());
        Ok(newest_first.unwrap_or_default())
    }

    async fn forget_deployment(
        &self,
        account: &str,
        script: &str,
        deployment: &str,
    ) -> Result<bool, StoreError> {
        let catalog = &mut self.state.lock().catalog;
        let Some(script) = catalog.find_mut(account, script) else {
            return Ok(false);
        };
        let before = script.deployments.len();
        script.deployments.retain(|row| row.id != deployment);
        Ok(script.deployments.len() < before)
    }

    async fn scripts(&self, account: &str) -> Result<Vec<ScriptRow>, StoreError> {
        let catalog = &self.state.lock().catalog;
        let mut rows: Vec<ScriptRow> = catalog
            .scripts
            .iter()
            .map(|script| &script.row)
            .filter(|row| row.account == account)
            .cloned()
            .collect();
        rows.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(rows)
    }

    async fn script_version(&self, version: &str) -> Result<Option<ScriptVersionRow>, StoreError> {
        let catalog = &self.state.lock().catalog;
        let found = catalog.version(version);
        Ok(found.map(|(number, version)| version_row(*number, version)))
    }

    async fn put_script_settings(
        &self,
        account: &str,
        script: &str,
        settings: &str,
    ) -> Result<bool, StoreError> {
        let catalog = &mut self.state.lock().catalog;
        let found = catalog.find_mut(account, script);
        Ok(found
            .map(|script| settings.clone_into(&mut script.row.settings))
            .is_some())
    }

    async fn delete_script(&self, account: &str, script: &str) -> Result<bool, StoreError> {
        let catalog = &mut self.state.lock().catalog;
        let place = catalog
            .scripts
            .iter()
            .position(|known| known.row.account == account && known.row.name == script);
        if let Some(place) = place {
            let mut removed = catalog.scripts.remove(place);
            removed.crons.clear();
            catalog.deleted.push(removed);
        }
        Ok(place.is_some())
    }

    async fn versions_after(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let catalog = &self.state.lock().catalog;
        let all = catalog.scripts.iter().chain(&catalog.deleted);
        let mut rows: Vec<(String, String)> = all
            .flat_map(|script| &script.versions)
            .map(|(_, version)| (version.id.clone(), version.metadata.clone()))
            .filter(|(id, _)| after.is_none_or(|after| id.as_str() > after))
            .collect();
        rows.sort();
        rows.truncate(limit);
        Ok(rows)
    }

    async fn replace_metadata(&self, versions: Vec<(String, String)>) -> Result<(), StoreError> {
        let catalog = &mut self.state.lock().catalog;
        let all = catalog.scripts.iter_mut().chain(&mut catalog.deleted);
        for (_, kept) in all.flat_map(|script| &mut script.versions) {
            if let Some((_, metadata)) = versions.iter().find(|(id, _)| *id == kept.id) {
                kept.metadata.clone_from(metadata);
            }
        }
        Ok(())
    }
}
