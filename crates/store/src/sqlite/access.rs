//! Tokens and the audit log.

use super::SqliteStore;
use super::readers::snapshot;
use crate::access::{AccessStore, AuditEnd, AuditFilter, AuditNo, AuditRow, NewAudit, TokenRow};
use crate::{StoreError, TOKEN_HASH_BYTES};
use async_trait::async_trait;
use cairn_core::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

#[async_trait]
impl AccessStore for SqliteStore {
    async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        self.read(tokens).await
    }

    async fn add_token(&self, token: TokenRow) -> Result<(), StoreError> {
        self.write(move |transaction| add_token(transaction.connection, &token))
            .await?
    }

    async fn remove_token(&self, id: &str) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.write(move |transaction| {
            let removed = transaction
                .connection
                .prepare_cached("DELETE FROM token WHERE id = ?1")?
                .execute([id])?;
            Ok(removed > 0)
        })
        .await
    }

    async fn token_used(&self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.write(move |transaction| {
            transaction
                .connection
                .prepare_cached(
                    "UPDATE token SET used_at = ?2 WHERE id = ?1 AND coalesce(used_at < ?2, TRUE)",
                )?
                .execute(params![id, at.0])?;
            Ok(())
        })
        .await
    }

    async fn accounts(&self) -> Result<Vec<String>, StoreError> {
        self.read(|connection| {
            Ok(connection
                .prepare_cached("SELECT account FROM script UNION SELECT account FROM workflow ORDER BY 1")?
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn begin_audit(&self, entry: NewAudit) -> Result<AuditNo, StoreError> {
        self.write(move |transaction| {
            let no = transaction
                .connection
                .prepare_cached("INSERT INTO audit (at, account, details) VALUES (?1, ?2, ?3)")?
                .insert(params![entry.at.0, entry.account, entry.details])?;
            Ok(AuditNo(no))
        })
        .await
    }

    async fn end_audit(&self, no: AuditNo, end: AuditEnd) -> Result<(), StoreError> {
        self.write(move |transaction| {
            transaction
                .connection
                .prepare_cached("UPDATE audit SET account = ?2, details = ?3, status = ?4 WHERE no = ?1")?
                .execute(params![no.0, end.account, end.details, end.status])?;
            Ok(())
        })
        .await
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>, StoreError> {
        let filter = filter.clone();
        self.read(move |connection| snapshot(connection, |connection| audit(connection, &filter)))
            .await
    }

    async fn trim_audit(&self, before: Timestamp, keep: u64, limit: usize) -> Result<usize, StoreError> {
        self.write(move |transaction| {
            let connection = transaction.connection;
            let last: Option<i64> = connection
                .prepare_cached("SELECT max(no) FROM audit")?
                .query_row([], |row| row.get(0))?;
            let keep = i64::try_from(keep).unwrap_or(i64::MAX);
            // Numbers have no gaps: entries go from the oldest on.
            let until = last.unwrap_or(0).saturating_sub(keep);
            let removed = connection
                .prepare_cached(
                    "DELETE FROM audit WHERE no IN (
                         SELECT no FROM (SELECT no, at FROM audit ORDER BY no LIMIT ?3) WHERE no <= ?1 OR at < ?2)",
                )?
                .execute(params![
                    until,
                    before.0,
                    i64::try_from(limit).unwrap_or(i64::MAX)
                ])?;
            Ok(removed)
        })
        .await
    }
}

fn tokens(connection: &Connection) -> Result<Vec<TokenRow>, StoreError> {
    connection
        .prepare_cached("SELECT id, hash, created_at, used_at, details FROM token ORDER BY id")?
        .query_map([], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, Vec<u8>>(1)?,
                row.get(2)?,
                row.get::<_, Option<i64>>(3)?,
                row.get(4)?,
            ))
        })?
        .map(|row| {
            let (id, hash, created_at, used_at, details) = row?;
            let hash = hash.try_into().map_err(|hash: Vec<u8>| {
                StoreError::Corrupt(format!(
                    "the hash of token {id} has {} bytes, not {TOKEN_HASH_BYTES}",
                    hash.len()
                ))
            })?;
            Ok(TokenRow {
                id,
                hash,
                created_at: Timestamp(created_at),
                used_at: used_at.map(Timestamp),
                details,
            })
        })
        .collect()
}

/// The outer result fails the transaction, the inner one only the request.
fn add_token(connection: &Connection, token: &TokenRow) -> Result<Result<(), StoreError>, StoreError> {
    let known: Option<i64> = connection
        .prepare_cached("SELECT 1 FROM token WHERE id = ?1 OR hash = ?2")?
        .query_row(params![token.id, token.hash], |row| row.get(0))
        .optional()?;
    if known.is_some() {
        return Ok(Err(StoreError::Refused(format!(
            "there is a token {} already",
            token.id
        ))));
    }
    connection
        .prepare_cached(
            "INSERT INTO token (id, hash, created_at, used_at, details) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            token.id,
            token.hash,
            token.created_at.0,
            token.used_at.map(|at| at.0),
            token.details
        ])?;
    Ok(Ok(()))
}

fn audit(connection: &Connection, filter: &AuditFilter) -> Result<Vec<AuditRow>, StoreError> {
    let before = filter.before.map_or(i64::MAX, |no| no.0);
    let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
    let Some(accounts) = &filter.accounts else {
        return Ok(connection
            .prepare_cached(
                "SELECT no, at, account, details, status FROM audit WHERE no < ?1 ORDER BY no DESC LIMIT ?2",
            )?
            .query_map(params![before, limit], audit_row)?
            .collect::<Result<_, _>>()?);
    };
    let mut statement = connection.prepare_cached(
        "SELECT no, at, account, details, status FROM audit WHERE account = ?3 AND no < ?1 ORDER BY no DESC LIMIT ?2",
    )?;
    let mut rows: Vec<AuditRow> = Vec::new();
    for account in accounts {
        for row in statement.query_map(params![before, limit, account], audit_row)? {
            rows.push(row?);
        }
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.no));
    rows.dedup_by_key(|row| row.no);
    rows.truncate(filter.limit);
    Ok(rows)
}

fn audit_row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        no: AuditNo(row.get(0)?),
        at: Timestamp(row.get(1)?),
        account: row.get(2)?,
        details: row.get(3)?,
        status: row.get(4)?,
    })
}
