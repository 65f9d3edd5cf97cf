//! Scripts beside their code: deployments, settings, removal.

use super::SqliteStore;
use super::catalog::{script_columns, script_row};
use super::read::limit;
use super::readers::snapshot;
use super::transaction::Transaction;
use crate::{DeploymentRow, NewDeployment, ScriptRow, ScriptStore, ScriptVersionRow, StoreError};
use async_trait::async_trait;
use cairn_core::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

fn script_no(connection: &Connection, account: &str, script: &str) -> Result<Option<i64>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT no FROM script WHERE account = ?1 AND name = ?2")?
        .query_row([account, script], |row| row.get(0))
        .optional()?)
}

fn deploy(transaction: &Transaction<'_>, new: &NewDeployment) -> Result<bool, StoreError> {
    let connection = transaction.connection;
    let script: Option<i64> = connection
        .prepare_cached(
            "UPDATE script SET deployed = ?3, deployed_at = ?4, modified_at = ?4 WHERE account = ?1 AND name = ?2
                 AND no = (SELECT script FROM script_version WHERE id = ?3) RETURNING no",
        )?
        .query_row(params![new.account, new.script, new.version, new.at.0], |row| {
            row.get(0)
        })
        .optional()?;
    let Some(script) = script else { return Ok(false) };
    connection
        .prepare_cached(
            "INSERT INTO deployment (id, script, version, created_at, details) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![new.id, script, new.version, new.at.0, new.details])?;
    Ok(true)
}

fn deployments(
    connection: &Connection,
    account: &str,
    script: &str,
) -> Result<Vec<DeploymentRow>, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT d.id, d.version, d.created_at, d.details FROM deployment d
             JOIN script s ON s.no = d.script JOIN script_version v ON v.id = d.version
             WHERE s.account = ?1 AND s.name = ?2 ORDER BY d.no DESC",
        )?
        .query_map([account, script], |row| {
            Ok(DeploymentRow {
                id: row.get(0)?,
                version: row.get(1)?,
                at: Timestamp(row.get(2)?),
                details: row.get(3)?,
            })
        })?
        .collect::<Result<_, _>>()?)
}

fn forget_deployment(
    transaction: &Transaction<'_>,
    (account, script): (&str, &str),
    deployment: &str,
) -> Result<bool, StoreError> {
    let connection = transaction.connection;
    let Some(script) = script_no(connection, account, script)? else {
        return Ok(false);
    };
    let removed = connection
        .prepare_cached("DELETE FROM deployment WHERE script = ?1 AND id = ?2")?
        .execute(params![script, deployment])?;
    Ok(removed > 0)
}

fn scripts(connection: &Connection, account: &str) -> Result<Vec<ScriptRow>, StoreError> {
    Ok(connection
        .prepare_cached(concat!(
            "SELECT ",
            script_columns!(),
            " FROM script WHERE account = ?1 ORDER BY name"
        ))?
        .query_map([account], script_row)?
        .collect::<Result<_, _>>()?)
}

fn script_version(connection: &Connection, version: &str) -> Result<Option<ScriptVersionRow>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT id, number, created_at, metadata FROM script_version WHERE id = ?1")?
        .query_row([version], |row| {
            Ok(ScriptVersionRow {
                id: row.get(0)?,
                number: row.get(1)?,
                created_at: Timestamp(row.get(2)?),
                metadata: row.get(3)?,
            })
        })
        .optional()?)
}

fn put_settings(
    transaction: &Transaction<'_>,
    (account, script): (&str, &str),
    settings: &str,
) -> Result<bool, StoreError> {
    let changed = transaction
        .connection
        .prepare_cached("UPDATE script SET settings = ?3 WHERE account = ?1 AND name = ?2")?
        .execute([account, script, settings])?;
    Ok(changed > 0)
}

fn delete(transaction: &Transaction<'_>, account: &str, script: &str) -> Result<bool, StoreError> {
    let connection = transaction.connection;
    let Some(no) = script_no(connection, account, script)? else {
        return Ok(false);
    };
    connection
        .prepare_cached("INSERT INTO deleted_script (no, account, name) VALUES (?1, ?2, ?3)")?
        .execute(params![no, account, script])?;
    super::cron::remove(connection, no)?;
    connection
        .prepare_cached("DELETE FROM deployment WHERE script = ?1")?
        .execute([no])?;
    connection
        .prepare_cached("DELETE FROM script WHERE no = ?1")?
        .execute([no])?;
    Ok(true)
}

fn versions_after(
    connection: &Connection,
    after: Option<&str>,
    at_most: usize,
) -> Result<Vec<(String, String)>, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT id, metadata FROM script_version WHERE id > coalesce(?1, '') ORDER BY id LIMIT ?2",
        )?
        .query_map(params![after, limit(at_most)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<Result<_, _>>()?)
}

/// The pages that held the earlier metadata are overwritten with zeros when they are given up.
fn replace_metadata(transaction: &Transaction<'_>, versions: &[(String, String)]) -> Result<(), StoreError> {
    let connection = transaction.connection;
    let overwrite = |on: bool| connection.pragma_update(None, "secure_delete", on);
    overwrite(true)?;
    let replaced = versions.iter().try_for_each(|(id, metadata)| {
        connection
            .prepare_cached("UPDATE script_version SET metadata = ?2 WHERE id = ?1")?
            .execute([id, metadata])
            .map(|_| ())
    });
    overwrite(false)?;
    Ok(replaced?)
}

#[async_trait]
impl ScriptStore for SqliteStore {
    async fn deploy(&self, deployment: NewDeployment) -> Result<bool, StoreError> {
        self.write(move |transaction| deploy(transaction, &deployment))
            .await
    }

    async fn deployments(&self, account: &str, script: &str) -> Result<Vec<DeploymentRow>, StoreError> {
        let (account, script) = (account.to_owned(), script.to_owned());
        self.read(move |connection| {
            snapshot(connection, |connection| {
                deployments(connection, &account, &script)
            })
        })
        .await
    }

    async fn forget_deployment(
        &self,
        account: &str,
        script: &str,
        deployment: &str,
    ) -> Result<bool, StoreError> {
        let (account, script, deployment) = (account.to_owned(), script.to_owned(), deployment.to_owned());
        self.write(move |transaction| forget_deployment(transaction, (&account, &script), &deployment))
            .await
    }

    async fn scripts(&self, account: &str) -> Result<Vec<ScriptRow>, StoreError> {
        let account = account.to_owned();
        self.read(move |connection| scripts(connection, &account)).await
    }

    async fn script_version(&self, version: &str) -> Result<Option<ScriptVersionRow>, StoreError> {
        let version = version.to_owned();
        self.read(move |connection| script_version(connection, &version))
            .await
    }

    async fn put_script_settings(
        &self,
        account: &str,
        script: &str,
        settings: &str,
    ) -> Result<bool, StoreError> {
        let (account, script, settings) = (account.to_owned(), script.to_owned(), settings.to_owned());
        self.write(move |transaction| put_settings(transaction, (&account, &script), &settings))
            .await
    }

    async fn delete_script(&self, account: &str, script: &str) -> Result<bool, StoreError> {
        let (account, script) = (account.to_owned(), script.to_owned());
        self.write(move |transaction| delete(transaction, &account, &script))
            .await
    }

    async fn versions_after(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let after = after.map(str::to_owned);
        self.read(move |connection| versions_after(connection, after.as_deref(), limit))
            .await
    }

    async fn replace_metadata(&self, versions: Vec<(String, String)>) -> Result<(), StoreError> {
        self.write(move |transaction| replace_metadata(transaction, &versions))
            .await
    }
}
