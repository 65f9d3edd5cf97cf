//! The audit log: every change is written down before it begins, and again with its outcome.
//!
//! Both are durable before the client has its answer, so no change is without an entry. Creating instances and sending them events is not
//! told: their journals do, and a write for each would halve their rate.

use super::identity::Identity;
use super::rules::Rule;
use axum::http::Method;
use cairn_api::{AuditActor, AuditEntry, Time};
use cairn_engine::Timestamp;
use cairn_store::{AccessStore, AuditEnd, AuditNo, AuditRow, NewAudit, StoreError};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// Entries looked at in one round of trimming.
const TRIM: usize = 1_000;
/// Bytes of what is kept of a name: those in paths are the client's, and have no limit there.
const NAME_MAX: usize = 256;

/// How much of the log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Entries.
    pub(crate) entries: u64,
    /// Milliseconds.
    pub(crate) millis: u64,
}

/// The audit log.
pub(crate) struct Audit {
    store: Arc<dyn AccessStore>,
    retention: Retention,
}

/// An entry as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Details {
    actor: String,
    actor_name: String,
    address: Option<String>,
    method: String,
    route: String,
    script: Option<String>,
    workflow: Option<String>,
    instance: Option<String>,
    detail: Option<String>,
}

/// What a handler adds to the entry of its request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Remark {
    account: Option<String>,
    detail: Option<String>,
}

/// Where a handler leaves its remark.
#[derive(Debug, Default)]
pub(crate) struct Remarks(Mutex<Remark>);

impl Remarks {
    /// What was changed, such as a version's id; never anything secret.
    pub(crate) fn detail(&self, detail: impl Into<String>) {
        self.0.lock().detail = Some(short(&detail.into()));
    }

    /// The account, where the path does not name it.
    pub(crate) fn account(&self, account: &str) {
        self.0.lock().account = Some(short(account));
    }
}

/// A change that has begun.
pub(crate) struct Begun {
    no: AuditNo,
    account: Option<String>,
    details: Details,
}

impl Audit {
    pub(crate) fn new(store: Arc<dyn AccessStore>, retention: Retention) -> Self {
        Self { store, retention }
    }

    /// Writes down that somebody wants to change something.
    pub(crate) async fn begin(&self, entry: Entry) -> Result<Begun, StoreError> {
        let Entry { at, account, details } = entry;
        let new = NewAudit {
            at,
            account: account.clone(),
            details: write(&details)?,
        };
        let no = self.store.begin_audit(new).await?;
        Ok(Begun { no, account, details })
    }

    /// Writes down how it ended.
    pub(crate) async fn end(&self, begun: Begun, (status, remarks): (u16, &Remarks)) {
        let Begun {
            no,
            account,
            mut details,
        } = begun;
        let remark = remarks.0.lock().clone();
        details.detail = remark.detail.or(details.detail);
        let end = write(&details).map(|details| AuditEnd {
            account: remark.account.or(account),
            details,
            status,
        });
        let written = match end {
            Ok(end) => self.store.end_audit(no, end).await,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            // The entry is there, and says that nothing is known of its outcome.
            tracing::error!(entry = no.0, status, %error, "the outcome of a change was not written to the audit log");
        }
    }

    /// Removes what is too old, or too much.
    pub(crate) async fn trim(&self, now: Timestamp) {
        let millis = i64::try_from(self.retention.millis).unwrap_or(i64::MAX);
        let before = Timestamp(now.0.saturating_sub(millis));
        loop {
            match self.store.trim_audit(before, self.retention.entries, TRIM).await {
                Ok(TRIM) => {}
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, "the audit log was not trimmed; trying again later");
                    return;
                }
            }
        }
    }
}

/// An entry to be written.
pub(crate) struct Entry {
    at: Timestamp,
    account: Option<String>,
    details: Details,
}

impl Entry {
    /// The entry of a request.
    pub(crate) fn new(
        who: &Identity,
        (rule, method): (&Rule<'_>, &Method),
        (address, at): (Option<IpAddr>, Timestamp),
    ) -> Self {
        let place = rule.place;
        let own = |name: Option<&str>| name.map(short);
        Self {
            at,
            account: own(place.account),
            details: Details {
                actor: who.id.clone(),
                actor_name: who.name.clone(),
                address: address.map(|address| address.to_string()),
                method: short(method.as_str()),
                route: rule.template.into(),
                script: own(place.script),
                workflow: own(place.workflow),
                instance: own(place.instance),
                detail: own(place.detail),
            },
        }
    }
}

fn short(name: &str) -> String {
    let mut end = name.len().min(NAME_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default().to_owned()
}

fn write(details: &Details) -> Result<String, StoreError> {
    serde_json::to_string(details)
        .map_err(|error| StoreError::Refused(format!("an entry of the audit log cannot be written: {error}")))
}

/// An entry as clients see it.
pub(crate) fn shown(row: AuditRow) -> Result<AuditEntry, StoreError> {
    let details: Details = serde_json::from_str(&row.details).map_err(|error| {
        StoreError::Corrupt(format!(
            "entry {} of the audit log cannot be read: {error}",
            row.no.0
        ))
    })?;
    Ok(AuditEntry {
        id: row.no.0,
        at: Time(row.at.0),
        actor: AuditActor {
            id: details.actor,
            name: details.actor_name,
        },
        address: details.address,
        method: details.method,
        route: details.route,
        account: row.account,
        script: details.script,
        workflow: details.workflow,
        instance: details.instance,
        detail: details.detail,
        status: row.status,
    })
}
