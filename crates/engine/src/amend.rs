//! Scripts as they are: their versions whole, with secrets that can be read, to make another version of them.

use crate::script::ScriptMetadata;
use crate::{EarlierSecrets, Engine, EngineError, Module, ScriptBinding, Upload};
use cairn_store::{ScriptModules, ScriptRow, ScriptVersionRow, StoreError};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

fn subdomain_key(account: &str) -> String {
    format!("subdomain/{account}")
}

/// One lock for each script that is being changed: what is taken over from the newest version must still be its own when the next is made.
#[derive(Default)]
pub(crate) struct ScriptLocks(Mutex<HashMap<(String, String), ScriptLock>>);

type ScriptLock = Arc<AsyncMutex<()>>;

impl ScriptLocks {
    fn of(&self, account: &str, script: &str) -> ScriptLock {
        let mut locks = self.0.lock();
        // Whoever holds or awaits a lock has a copy of it.
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(locks.entry((account.into(), script.into())).or_default())
    }
}

impl Engine {
    /// Keeps others from changing a script until the answer is dropped.
    pub async fn lock_script(&self, account: &str, script: &str) -> OwnedMutexGuard<()> {
        self.shared.script_locks.of(account, script).lock_owned().await
    }

    /// The newest version of a script, deployed or not.
    ///
    /// # Errors
    /// [`EngineError::Store`]
    pub async fn latest_version(
        &self,
        account: &str,
        script: &str,
    ) -> Result<Option<ScriptVersionRow>, EngineError> {
        Ok(self.script_versions(account, script).await?.into_iter().next())
    }

    /// The bindings of the newest version of a script, which a new version may take over; none when there is no such script.
    ///
    /// # Errors
    /// [`EngineError::Store`] when a secret cannot be decrypted.
    pub async fn latest_bindings(
        &self,
        account: &str,
        script: &str,
    ) -> Result<Vec<ScriptBinding>, EngineError> {
        let Some(latest) = self.latest_version(account, script).await? else {
            return Ok(Vec::new());
        };
        let metadata = ScriptMetadata::from_stored(&latest.metadata)?;
        self.shared.secrets.unseal(&latest.id, metadata.bindings).await
    }

    /// The bindings of a version, with secrets that can be read, to compare them.
    ///
    /// # Errors
    /// [`EngineError::VersionNotFound`], [`EngineError::Store`] when a secret cannot be decrypted.
    pub async fn bindings_of(&self, version: &str) -> Result<Vec<ScriptBinding>, EngineError> {
        let metadata = self.script_metadata(version).await?;
        self.shared.secrets.unseal(version, metadata.bindings).await
    }

    /// The modules of a version, and what is kept beside them.
    ///
    /// # Errors
    /// [`EngineError::VersionNotFound`]
    pub async fn modules_of(&self, version: &str) -> Result<(ScriptMetadata, Vec<Module>), EngineError> {
        let stored = self.shared.store.script_modules(version).await?;
        let ScriptModules {
            metadata, modules, ..
        } = stored.ok_or_else(|| EngineError::VersionNotFound(version.into()))?;
        let metadata = ScriptMetadata::from_stored(&metadata)?;
        let with_kinds = modules.into_iter().map(|(name, content)| {
            let kind = metadata.modules.iter().find(|(known, _)| *known == name);
            let kind = kind.map(|(_, kind)| (*kind).into()).ok_or_else(|| {
                EngineError::Store(StoreError::Corrupt(format!(
                    "module \"{name}\" of version {version} has no kind"
                )))
            })?;
            Ok(Module { name, kind, content })
        });
        let modules = with_kinds.collect::<Result<_, EngineError>>()?;
        Ok((metadata, modules))
    }

    /// A version as an upload that would make the same again, secrets included.
    ///
    /// # Errors
    /// [`EngineError::VersionNotFound`], [`EngineError::Store`] when a secret cannot be decrypted.
    pub async fn upload_of(&self, version: &str) -> Result<Upload, EngineError> {
        let (metadata, modules) = self.modules_of(version).await?;
        Ok(Upload {
            main_module: metadata.main_module,
            modules,
            bindings: self.shared.secrets.unseal(version, metadata.bindings).await?,
            workflow_exports: metadata.workflow_exports,
            secrets: EarlierSecrets::Drop,
            compatibility_date: metadata.compatibility_date,
            compatibility_flags: metadata.compatibility_flags,
            annotations: None,
        })
    }

    /// The scripts of an account, by name.
    ///
    /// # Errors
    /// [`EngineError::Store`]
    pub async fn scripts(&self, account: &str) -> Result<Vec<ScriptRow>, EngineError> {
        Ok(self.shared.store.scripts(account).await?)
    }

    /// Keeps the settings of a script; JSON text.
    ///
    /// # Errors
    /// [`EngineError::ScriptNotFound`]
    pub async fn put_script_settings(
        &self,
        account: &str,
        script: &str,
        settings: &str,
    ) -> Result<(), EngineError> {
        let kept = self.shared.store.put_script_settings(account, script, settings);
        if kept.await? {
            Ok(())
        } else {
            Err(EngineError::ScriptNotFound(script.into()))
        }
    }

    /// The subdomain that an account has chosen.
    ///
    /// # Errors
    /// [`EngineError::Store`]
    pub async fn account_subdomain(&self, account: &str) -> Result<Option<String>, EngineError> {
        Ok(self.shared.store.setting(&subdomain_key(account)).await?)
    }

    /// Keeps the subdomain that an account has chosen.
    ///
    /// # Errors
    /// [`EngineError::Store`]
    pub async fn put_account_subdomain(&self, account: &str, subdomain: &str) -> Result<(), EngineError> {
        let key = subdomain_key(account);
        Ok(self.shared.store.put_setting(&key, subdomain).await?)
    }

    /// Removes a script. Its workflows stay, and no instances of them can be created until it comes back. Instances that have not ended go
    /// on with the version they are on, which is kept for them: what was accepted is carried out.
    ///
    /// # Errors
    /// [`EngineError::ScriptNotFound`]
    pub async fn delete_script(&self, account: &str, script: &str) -> Result<(), EngineError> {
        if self.shared.store.delete_script(account, script).await? {
            Ok(())
        } else {
            Err(EngineError::ScriptNotFound(script.into()))
        }
    }
}
