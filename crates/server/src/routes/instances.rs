//! `…/instances/…`: the table of contents, and the list.

use super::{batch, commands, create, describe, subscribe, words};
use crate::answer::{Answer, bad, done, engine, page};
use crate::app::Call;
use crate::query::Query;
use crate::route::InstanceRoute;
use axum::body::Body;
use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cairn_api::{Failure, InstanceDeleted, InstanceRow, ResultInfo, Time};
use cairn_engine::{InstanceFilter, InstanceNo, InstancePage, SortOrder, Timestamp};

const PER_PAGE: u64 = 50;

pub(crate) async fn handle(
    call: &Call,
    body: Body,
    (account, workflow, route): (&str, &str, InstanceRoute),
) -> Answer {
    let (method, place) = (call.method.clone(), (account, workflow));
    match (route, method) {
        (InstanceRoute::List, Method::GET) => list(call, place).await,
        (InstanceRoute::List, Method::POST) => create::one(call, body, place).await,
        (InstanceRoute::List, _) => Err(call.wrong_method("GET, POST")),
        (InstanceRoute::Batch, Method::POST) => create::batch(call, body, place).await,
        (InstanceRoute::Batch, _) => Err(call.wrong_method("POST")),
        (InstanceRoute::BatchDelete, Method::POST) => batch::delete(call, body, place).await,
        (InstanceRoute::BatchDelete, _) => Err(call.wrong_method("POST")),
        (InstanceRoute::BatchTerminate, Method::POST) => batch::terminate(call, body, place).await,
        (InstanceRoute::BatchTerminate, _) => Err(call.wrong_method("POST")),
        (InstanceRoute::Terminate, Method::PUT) => batch::terminate_all(call, place).await,
        (InstanceRoute::Terminate, Method::GET) => batch::terminate_status(call, place).await,
        (InstanceRoute::Terminate, _) => Err(call.wrong_method("GET, PUT")),
        (InstanceRoute::One(id), Method::GET) => describe::one(call, place, &id).await,
        (InstanceRoute::One(id), Method::DELETE) => delete(call, place, &id).await,
        (InstanceRoute::One(_), _) => Err(call.wrong_method("GET, DELETE")),
        (InstanceRoute::Step(id), Method::GET) => describe::step(call, place, &id).await,
        (InstanceRoute::Step(_), _) => Err(call.wrong_method("GET")),
        (InstanceRoute::Status(id), Method::PATCH) => {
            commands::status(call, body, (account, workflow, &id)).await
        }
        (InstanceRoute::Status(_), _) => Err(call.wrong_method("PATCH")),
        (InstanceRoute::Event(id, event_type), Method::POST) => {
            commands::event(call, body, (account, workflow), (&id, &event_type)).await
        }
        (InstanceRoute::Event(..), _) => Err(call.wrong_method("POST")),
        (InstanceRoute::Subscribe(id), Method::GET) => {
            subscribe::subscribe(call, (account, workflow, &id)).await
        }
        (InstanceRoute::SubscribeToken(id), Method::GET) => {
            subscribe::token(call, (account, workflow, &id)).await
        }
        (InstanceRoute::Subscribe(_) | InstanceRoute::SubscribeToken(_), _) => Err(call.wrong_method("GET")),
    }
}

/// Which page of the list is asked for.
struct Asked {
    filter: InstanceFilter,
    per_page: u64,
    /// Its number; none with a cursor.
    number: Option<u64>,
}

impl Asked {
    fn read(query: &Query) -> Result<Self, Failure> {
        let per_page = query.per_page(PER_PAGE)?;
        let number = query.page()?;
        // Clients that take the cursor of the last page for text send none as nothing.
        let cursor = query.text("cursor")?.filter(|text| !text.is_empty());
        let cursor = cursor.map(read_cursor).transpose()?;
        if number.is_some() && cursor.is_some() {
            return Err(bad(
                "page and cursor cannot be given together; pass result_info.cursor of the page before, without page",
            ));
        }
        let orders = [("asc", SortOrder::OldestFirst), ("desc", SortOrder::NewestFirst)];
        let filter = InstanceFilter {
            status: query.word("status", &words::STATUSES)?,
            created_from: query.value::<Time>("date_start")?.map(|time| Timestamp(time.0)),
            created_until: query.value::<Time>("date_end")?.map(|time| Timestamp(time.0)),
            order: query.word("direction", &orders)?.unwrap_or_default(),
            after: cursor,
            offset: number.unwrap_or(1).saturating_sub(1).saturating_mul(per_page),
            limit: usize::try_from(per_page).unwrap_or(usize::MAX),
        };
        // Clients that page by number begin without one.
        let number = if cursor.is_none() {
            Some(number.unwrap_or(1))
        } else {
            None
        };
        Ok(Self {
            filter,
            per_page,
            number,
        })
    }

    fn info(&self, found: &InstancePage) -> ResultInfo {
        let last = found.rows.last().filter(|_| found.more);
        ResultInfo {
            count: found.rows.len() as u64,
            per_page: self.per_page,
            total_count: found.total,
            page: self.number,
            total_pages: Some(found.total.div_ceil(self.per_page)),
            cursor: last.map(|row| write_cursor(row.no)),
        }
    }
}

/// `GET …/instances`: by cursor, or by page number, newest first. A page past the end is empty.
async fn list(call: &Call, (account, workflow): (&str, &str)) -> Answer {
    let asked = Asked::read(&call.query)?;
    let found = call.engine().instances(account, workflow, &asked.filter).await;
    let (workflow, found) = found.map_err(engine)?;
    let info = asked.info(&found);
    let rows: Vec<InstanceRow> = found
        .rows
        .into_iter()
        .map(|row| shown(row, &workflow.id))
        .collect();
    page(rows, info)
}

fn shown(row: cairn_engine::InstanceRow, workflow_id: &str) -> InstanceRow {
    InstanceRow {
        id: row.id,
        status: words::status(row.status),
        created_on: words::time(row.created_at),
        modified_on: words::time(row.modified_at),
        started_on: row.started_at.map(words::time),
        ended_on: row.ended_at.map(words::time),
        version_id: row.version,
        workflow_id: workflow_id.into(),
        trigger_source: Some(words::trigger(row.trigger)),
    }
}

fn write_cursor(no: InstanceNo) -> String {
    URL_SAFE_NO_PAD.encode(format!("after:{}", no.0))
}

fn read_cursor(text: &str) -> Result<InstanceNo, Failure> {
    let plain = URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let no = plain
        .as_deref()
        .and_then(|plain| plain.strip_prefix("after:"))
        .and_then(|no| no.parse().ok());
    no.map(InstanceNo).ok_or_else(|| {
        bad(format!(
            "the cursor \"{text}\" is none; pass result_info.cursor of the page before"
        ))
    })
}

/// `DELETE …/instances/:id`
async fn delete(call: &Call, (account, workflow): (&str, &str), id: &str) -> Answer {
    let at = call
        .engine()
        .delete_instance(account, workflow, id)
        .await
        .map_err(engine)?;
    done(InstanceDeleted {
        instance_id: id.into(),
        timestamp: words::time(at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_back() {
        assert_eq!(read_cursor(&write_cursor(InstanceNo(42))), Ok(InstanceNo(42)));
        for bad in ["", "42", "????", "YWZ0ZXI6eA"] {
            assert!(read_cursor(bad).is_err(), "{bad}");
        }
    }
}
