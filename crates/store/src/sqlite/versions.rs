//! Versions that nothing needs any more.

use super::read::limit;
use super::transaction::Transaction;
use crate::{StoreError, SweptVersions};
use rusqlite::params;

/// Removes versions that no living instance is pinned to, that are not deployed, and that have `keep` newer ones.
pub(super) fn sweep(
    transaction: &Transaction<'_>,
    keep: usize,
    at_most: usize,
) -> Result<SweptVersions, StoreError> {
    Ok(SweptVersions {
        scripts: sweep_scripts(transaction, keep, at_most)?,
        workflows: sweep_workflows(transaction, keep, at_most)?,
    })
}

fn sweep_scripts(
    transaction: &Transaction<'_>,
    keep: usize,
    at_most: usize,
) -> Result<Vec<String>, StoreError> {
    let connection = transaction.connection;
    let found: Vec<(i64, String)> = connection
        .prepare_cached(
            "SELECT no, id FROM
                 (SELECT no, id, script, row_number() OVER (PARTITION BY script ORDER BY number DESC) AS place
                  FROM script_version)
             WHERE (place > ?1 OR script IN (SELECT no FROM deleted_script))
                 AND id NOT IN (SELECT deployed FROM script WHERE deployed IS NOT NULL)
                 AND id NOT IN (SELECT script_version FROM pin WHERE live > 0)
             ORDER BY no LIMIT ?2",
        )?
        .query_map(params![limit(keep), limit(at_most)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<Result<_, _>>()?;
    let mut swept = Vec::with_capacity(found.len());
    for (no, id) in found {
        connection
            .prepare_cached("DELETE FROM script_module WHERE version = ?1")?
            .execute([no])?;
        connection
            .prepare_cached("DELETE FROM script_version WHERE no = ?1")?
            .execute([no])?;
        connection
            .prepare_cached("DELETE FROM deployment WHERE version = ?1")?
            .execute([&id])?;
        swept.push(id);
    }
    connection
        .prepare_cached("DELETE FROM deleted_script WHERE no NOT IN (SELECT script FROM script_version)")?
        .execute([])?;
    Ok(swept)
}

fn sweep_workflows(
    transaction: &Transaction<'_>,
    keep: usize,
    at_most: usize,
) -> Result<Vec<String>, StoreError> {
    let connection = transaction.connection;
    let found: Vec<(i64, String)> = connection
        .prepare_cached(
            "SELECT no, id FROM
                 (SELECT no, id, row_number() OVER (PARTITION BY workflow ORDER BY no DESC) AS place FROM workflow_version)
             WHERE place > ?1
                 AND id NOT IN (SELECT version FROM workflow)
                 AND id NOT IN (SELECT version FROM pin WHERE live > 0)
             ORDER BY no LIMIT ?2",
        )?
        .query_map(params![limit(keep), limit(at_most)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<Result<_, _>>()?;
    let mut swept = Vec::with_capacity(found.len());
    for (no, id) in found {
        connection
            .prepare_cached("DELETE FROM workflow_version WHERE no = ?1")?
            .execute([no])?;
        swept.push(id);
    }
    Ok(swept)
}
