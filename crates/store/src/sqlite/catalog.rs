//! Scripts, workflows, their versions, and settings.

use super::read::{limit, timestamp};
use super::transaction::Transaction;
use super::{checksum, schedule};
use crate::{
    DeployedWorkflow, NewScriptVersion, NewWorkflow, ScriptModules, ScriptRow, ScriptVersionRow, StoreError,
    WorkflowPage, WorkflowRow, WorkflowVersionRow,
};
use bytes::Bytes;
use cairn_core::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

pub(super) fn add_script_version(
    transaction: &Transaction<'_>,
    new: &NewScriptVersion,
) -> Result<(), StoreError> {
    let connection = transaction.connection;
    if connection
        .prepare_cached("SELECT 1 FROM script_version WHERE id = ?1")?
        .exists([&new.id])?
    {
        return Err(StoreError::Refused(format!(
            "there is a script version {} already",
            new.id
        )));
    }
    let script: i64 = connection
        .prepare_cached(
            "INSERT INTO script (account, name, created_at, modified_at) VALUES (?1, ?2, ?3, ?3)
             ON CONFLICT DO UPDATE SET modified_at = ?3 RETURNING no",
        )?
        .query_row(params![new.account, new.script, new.created_at.0], |row| {
            row.get(0)
        })?;
    let version = connection
        .prepare_cached(
            "INSERT INTO script_version (id, script, number, created_at, metadata)
             VALUES (?1, ?2, (SELECT coalesce(max(number), 0) + 1 FROM script_version WHERE script = ?2), ?3, ?4)",
        )?
        .insert(params![new.id, script, new.created_at.0, new.metadata])?;
    for (position, (name, content)) in new.modules.iter().enumerate() {
        connection
            .prepare_cached(
                "INSERT INTO script_module (version, position, name, content, checksum) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![version, limit(position), name, &content[..], checksum::of(&[content])])?;
    }
    Ok(())
}

/// The columns [`script_row`] reads.
macro_rules! script_columns {
    () => {
        "account, name, created_at, modified_at, deployed, deployed_at, settings"
    };
}
pub(super) use script_columns;

pub(super) fn script_row(row: &Row<'_>) -> rusqlite::Result<ScriptRow> {
    let deployed: Option<String> = row.get(4)?;
    Ok(ScriptRow {
        account: row.get(0)?,
        name: row.get(1)?,
        created_at: Timestamp(row.get(2)?),
        modified_at: Timestamp(row.get(3)?),
        deployed: deployed.zip(timestamp(row, 5)?),
        settings: row.get(6)?,
    })
}

pub(super) fn script(
    connection: &Connection,
    account: &str,
    script: &str,
) -> Result<Option<ScriptRow>, StoreError> {
    Ok(connection
        .prepare_cached(concat!(
            "SELECT ",
            script_columns!(),
            " FROM script WHERE account = ?1 AND name = ?2"
        ))?
        .query_row([account, script], script_row)
        .optional()?)
}

pub(super) fn scripts_named(connection: &Connection, script: &str) -> Result<Vec<ScriptRow>, StoreError> {
    Ok(connection
        .prepare_cached(concat!(
            "SELECT ",
            script_columns!(),
            " FROM script WHERE name = ?1 ORDER BY no"
        ))?
        .query_map([script], script_row)?
        .collect::<Result<_, _>>()?)
}

pub(super) fn script_versions(
    connection: &Connection,
    account: &str,
    script: &str,
) -> Result<Vec<ScriptVersionRow>, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT v.id, v.number, v.created_at, v.metadata FROM script_version v JOIN script s ON s.no = v.script
             WHERE s.account = ?1 AND s.name = ?2 ORDER BY v.number DESC",
        )?
        .query_map([account, script], |row| {
            Ok(ScriptVersionRow {
                id: row.get(0)?,
                number: row.get(1)?,
                created_at: Timestamp(row.get(2)?),
                metadata: row.get(3)?,
            })
        })?
        .collect::<Result<_, _>>()?)
}

/// The code of a version. To be called on one state of the database.
pub(super) fn script_modules(
    connection: &Connection,
    version: &str,
) -> Result<Option<ScriptModules>, StoreError> {
    let found = connection
        .prepare_cached(
            "SELECT v.no, coalesce(s.account, d.account), coalesce(s.name, d.name), v.metadata FROM script_version v
             LEFT JOIN script s ON s.no = v.script LEFT JOIN deleted_script d ON d.no = v.script
             WHERE v.id = ?1",
        )?
        .query_row([version], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let Some((no, account, script, metadata)) = found else {
        return Ok(None);
    };
    let modules = connection
        .prepare_cached(
            "SELECT name, content, checksum FROM script_module WHERE version = ?1 ORDER BY position",
        )?
        .query_map([no], |row| {
            Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?, row.get(2)?))
        })?
        .map(|module| {
            let (name, content, checksum): (String, _, _) = module?;
            checksum::check(checksum, &[&content], || {
                format!("module {name} of version {version} of {script}")
            })?;
            Ok((name, Bytes::from(content)))
        })
        .collect::<Result<_, StoreError>>()?;
    Ok(Some(ScriptModules {
        account,
        script,
        metadata,
        modules,
    }))
}

/// The columns [`workflow_row`] reads.
macro_rules! workflow_columns {
    () => {
        "no, id, account, name, script, class_name, created_at, modified_at, triggered_at, version, settings"
    };
}

fn workflow_row(row: &Row<'_>) -> rusqlite::Result<WorkflowRow> {
    Ok(WorkflowRow {
        no: row.get(0)?,
        id: row.get(1)?,
        account: row.get(2)?,
        name: row.get(3)?,
        script: row.get(4)?,
        class_name: row.get(5)?,
        created_at: Timestamp(row.get(6)?),
        modified_at: Timestamp(row.get(7)?),
        triggered_at: timestamp(row, 8)?,
        version: row.get(9)?,
        settings: row.get(10)?,
    })
}

pub(super) fn put_workflow(
    transaction: &Transaction<'_>,
    new: &NewWorkflow,
) -> Result<WorkflowRow, StoreError> {
    let values = params![
        new.id,
        new.account,
        new.name,
        new.script,
        new.class_name,
        new.at.0,
        new.version,
        new.settings
    ];
    let changed = transaction
        .connection
        .prepare_cached(concat!(
            "UPDATE workflow SET script = ?4, class_name = ?5, modified_at = ?6, version = ?7, settings = ?8
             WHERE account = ?2 AND name = ?3 AND ?1 IS NOT NULL RETURNING ",
            workflow_columns!()
        ))?
        .query_row(values, workflow_row)
        .optional()?;
    let row = match changed {
        Some(row) => row,
        None => transaction
            .connection
            .prepare_cached(concat!(
                "INSERT INTO workflow (id, account, name, script, class_name, created_at, modified_at, version, settings)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8) RETURNING ",
                workflow_columns!()
            ))?
            .query_row(values, workflow_row)?,
    };
    transaction
        .connection
        .prepare_cached(
            "INSERT INTO workflow_version (workflow, id, class_name, created_at, settings, script_version)
             VALUES (?1, ?2, ?3, ?4, ?5, (SELECT deployed FROM script WHERE account = ?6 AND name = ?7))",
        )?
        .execute(params![
            row.no,
            new.version,
            new.class_name,
            new.at.0,
            new.settings,
            new.account,
            new.script
        ])?;
    schedule::put(transaction, row.no, new)?;
    Ok(row)
}

pub(super) fn workflow(
    connection: &Connection,
    account: &str,
    name: &str,
) -> Result<Option<WorkflowRow>, StoreError> {
    Ok(connection
        .prepare_cached(concat!(
            "SELECT ",
            workflow_columns!(),
            " FROM workflow WHERE account = ?1 AND name = ?2"
        ))?
        .query_row([account, name], workflow_row)
        .optional()?)
}

/// A workflow with the deployed version of its script. To be called on one state of the database.
pub(super) fn deployed_workflow(
    connection: &Connection,
    account: &str,
    name: &str,
) -> Result<Option<DeployedWorkflow>, StoreError> {
    let Some(workflow) = workflow(connection, account, name)? else {
        return Ok(None);
    };
    let deployed = script(connection, account, &workflow.script)?.and_then(|script| script.deployed);
    Ok(deployed.map(|(script_version, _)| DeployedWorkflow {
        workflow,
        script_version,
    }))
}

/// A page of workflows and how many there are. To be called on one state of the database.
pub(super) fn workflows(
    connection: &Connection,
    account: &str,
    search: Option<&str>,
    page: WorkflowPage,
) -> Result<(Vec<WorkflowRow>, u64), StoreError> {
    let part = search.map(str::to_ascii_lowercase);
    let total: i64 = connection
        .prepare_cached(
            "SELECT count(*) FROM workflow WHERE account = ?1 AND (?2 IS NULL OR instr(lower(name), ?2) > 0)",
        )?
        .query_row(params![account, part], |row| row.get(0))?;
    let rows = connection
        .prepare_cached(concat!(
            "SELECT ",
            workflow_columns!(),
            " FROM workflow WHERE account = ?1 AND (?2 IS NULL OR instr(lower(name), ?2) > 0)
              ORDER BY no DESC LIMIT ?3 OFFSET ?4"
        ))?
        .query_map(
            params![
                account,
                part,
                limit(page.limit),
                i64::try_from(page.offset).unwrap_or(i64::MAX)
            ],
            workflow_row,
        )?
        .collect::<Result<_, _>>()?;
    Ok((rows, total.cast_unsigned()))
}

/// A page of versions and how many there are. To be called on one state of the database.
pub(super) fn workflow_versions(
    connection: &Connection,
    workflow: i64,
    page: WorkflowPage,
) -> Result<(Vec<WorkflowVersionRow>, u64), StoreError> {
    let total: i64 = connection
        .prepare_cached("SELECT count(*) FROM workflow_version WHERE workflow = ?1")?
        .query_row([workflow], |row| row.get(0))?;
    let rows = connection
        .prepare_cached(
            "SELECT v.id, w.id, v.class_name, v.created_at, v.settings, v.script_version, v.has_graph
             FROM workflow_version v JOIN workflow w ON w.no = v.workflow
             WHERE v.workflow = ?1 ORDER BY v.no DESC LIMIT ?2 OFFSET ?3",
        )?
        .query_map(
            params![
                workflow,
                limit(page.limit),
                i64::try_from(page.offset).unwrap_or(i64::MAX)
            ],
            |row| {
                Ok(WorkflowVersionRow {
                    id: row.get(0)?,
                    workflow_id: row.get(1)?,
                    class_name: row.get(2)?,
                    created_at: Timestamp(row.get(3)?),
                    settings: row.get(4)?,
                    script_version: row.get(5)?,
                    has_graph: row.get(6)?,
                })
            },
        )?
        .collect::<Result<_, _>>()?;
    Ok((rows, total.cast_unsigned()))
}

pub(super) fn note_graph(
    transaction: &Transaction<'_>,
    version: &str,
    (script_version, has_graph): (&str, bool),
) -> Result<(), StoreError> {
    transaction
        .connection
        .prepare_cached("UPDATE workflow_version SET script_version = ?2, has_graph = ?3 WHERE id = ?1")?
        .execute(params![version, script_version, has_graph])?;
    Ok(())
}

pub(super) fn setting(connection: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT value FROM setting WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?)
}

pub(super) fn put_setting(transaction: &Transaction<'_>, key: &str, value: &str) -> Result<(), StoreError> {
    transaction
        .connection
        .prepare_cached(
            "INSERT INTO setting (key, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2",
        )?
        .execute([key, value])?;
    Ok(())
}
