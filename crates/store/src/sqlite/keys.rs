//! Concurrency keys.

use super::SqliteStore;
use super::read::limit;
use super::readers::snapshot;
use crate::{KeyRow, KeyStore, StoreError, WorkflowPage};
use async_trait::async_trait;
use cairn_core::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

const COLUMNS: &str = "id, account, name, most, created_at, modified_at";

fn row(row: &Row<'_>) -> rusqlite::Result<KeyRow> {
    Ok(KeyRow {
        id: row.get(0)?,
        account: row.get(1)?,
        name: row.get(2)?,
        limit: row.get(3)?,
        created_at: Timestamp(row.get(4)?),
        modified_at: Timestamp(row.get(5)?),
    })
}

fn page(
    connection: &Connection,
    account: &str,
    page: WorkflowPage,
) -> Result<(Vec<KeyRow>, u64), StoreError> {
    let total: i64 = connection
        .prepare_cached("SELECT count(*) FROM concurrency_key WHERE account = ?1")?
        .query_row([account], |row| row.get(0))?;
    let offset = i64::try_from(page.offset).unwrap_or(i64::MAX);
    let rows = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM concurrency_key WHERE account = ?1 ORDER BY name LIMIT ?2 OFFSET ?3"
        ))?
        .query_map(params![account, limit(page.limit), offset], row)?
        .collect::<Result<_, _>>()?;
    Ok((rows, total.unsigned_abs()))
}

#[async_trait]
impl KeyStore for SqliteStore {
    async fn add_key(&self, key: KeyRow) -> Result<bool, StoreError> {
        self.write(move |transaction| {
            let added = transaction
                .connection
                .prepare_cached(&format!(
                    "INSERT INTO concurrency_key ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT (account, name) DO NOTHING"
                ))?
                .execute(params![
                    key.id,
                    key.account,
                    key.name,
                    key.limit,
                    key.created_at.0,
                    key.modified_at.0
                ])?;
            Ok(added > 0)
        })
        .await
    }

    async fn keys(&self, account: &str, asked: WorkflowPage) -> Result<(Vec<KeyRow>, u64), StoreError> {
        let account = account.to_owned();
        self.read(move |connection| snapshot(connection, |connection| page(connection, &account, asked)))
            .await
    }

    async fn key(&self, account: &str, id: &str) -> Result<Option<KeyRow>, StoreError> {
        let (account, id) = (account.to_owned(), id.to_owned());
        self.read(move |connection| {
            Ok(connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM concurrency_key WHERE account = ?1 AND id = ?2"
                ))?
                .query_row([account, id], row)
                .optional()?)
        })
        .await
    }

    async fn limit_key(
        &self,
        account: &str,
        id: &str,
        (most, at): (u32, Timestamp),
    ) -> Result<Option<KeyRow>, StoreError> {
        let (account, id) = (account.to_owned(), id.to_owned());
        self.write(move |transaction| {
            Ok(transaction
                .connection
                .prepare_cached(&format!(
                    "UPDATE concurrency_key SET most = ?3, modified_at = ?4 WHERE account = ?1 AND id = ?2 RETURNING {COLUMNS}"
                ))?
                .query_row(params![account, id, most, at.0], row)
                .optional()?)
        })
        .await
    }

    async fn remove_key(&self, account: &str, id: &str) -> Result<Option<KeyRow>, StoreError> {
        let (account, id) = (account.to_owned(), id.to_owned());
        self.write(move |transaction| {
            Ok(transaction
                .connection
                .prepare_cached(&format!(
                    "DELETE FROM concurrency_key WHERE account = ?1 AND id = ?2 RETURNING {COLUMNS}"
                ))?
                .query_row([account, id], row)
                .optional()?)
        })
        .await
    }
}
