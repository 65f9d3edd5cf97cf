//! Pages of instances. What each costs, with N instances in the workflow and L of them not ended:
//! without a status or with a final one, the page alone (two narrow indexes have them in order of creation); with another
//! status, at most L rows; with dates, a walk over index entries of that time span to count them.

use super::read::{self, instance_columns, instance_row};
use crate::{InstanceFilter, InstancePage, SortOrder, StoreError};
use cairn_core::{Status, Timestamp};
use rusqlite::{Connection, params};

/// The instances that match, as a range of numbers to look through, and how many they are.
struct Span {
    from: i64,
    until: i64,
    total: u64,
}

/// A page. To be called on one state of the database.
pub(super) fn page(
    connection: &Connection,
    workflow: i64,
    filter: &InstanceFilter,
) -> Result<InstancePage, StoreError> {
    let doomed = connection
        .prepare_cached("SELECT 1 FROM doomed WHERE workflow = ?1")?
        .exists([workflow])?;
    if doomed {
        return Ok(InstancePage::default());
    }
    let span = span(connection, workflow, filter)?;
    let (mut from, mut until) = (span.from, span.until);
    if let Some(after) = filter.after {
        match filter.order {
            SortOrder::OldestFirst => from = from.max(after.0.saturating_add(1)),
            SortOrder::NewestFirst => until = until.min(after.0.saturating_sub(1)),
        }
    }
    let mut rows = connection
        .prepare_cached(select(filter))?
        .query_map(
            params![
                workflow,
                from,
                until,
                filter.created_from.map_or(i64::MIN, |at| at.0),
                filter.created_until.map_or(i64::MAX, |at| at.0),
                read::limit(filter.limit.saturating_add(1)),
                i64::try_from(filter.offset).unwrap_or(i64::MAX),
                filter.status.map_or(0, |status| status as u8),
            ],
            instance_row,
        )?
        .collect::<Result<Vec<_>, _>>()?;
    let more = rows.len() > filter.limit;
    rows.truncate(filter.limit);
    Ok(InstancePage {
        rows,
        total: span.total,
        more,
    })
}

/// The statement for a filter: which index has the rows in order depends on the status.
fn select(filter: &InstanceFilter) -> &'static str {
    macro_rules! rows {
        ($index:literal, $status:literal, $order:literal) => {
            concat!(
                "SELECT ",
                instance_columns!(),
                " FROM instance i INDEXED BY ",
                $index,
                " JOIN pin p ON p.no = i.pin WHERE i.workflow = ?1 AND i.no BETWEEN ?2 AND ?3
                  AND i.created_at BETWEEN ?4 AND ?5 AND ",
                $status,
                " ORDER BY i.no ",
                $order,
                " LIMIT ?6 OFFSET ?7"
            )
        };
    }
    // `?8` is named in each, so that they take the same parameters.
    match (filter.status.map(Status::is_final), filter.order) {
        (None, SortOrder::NewestFirst) => rows!("instance_all", "?8 = ?8", "DESC"),
        (None, SortOrder::OldestFirst) => rows!("instance_all", "?8 = ?8", "ASC"),
        (Some(true), SortOrder::NewestFirst) => {
            rows!(
                "instance_final",
                "i.status BETWEEN 3 AND 5 AND i.status = ?8",
                "DESC"
            )
        }
        (Some(true), SortOrder::OldestFirst) => {
            rows!(
                "instance_final",
                "i.status BETWEEN 3 AND 5 AND i.status = ?8",
                "ASC"
            )
        }
        (Some(false), SortOrder::NewestFirst) => {
            rows!(
                "instance_live",
                "i.status NOT BETWEEN 3 AND 5 AND i.status = ?8",
                "DESC"
            )
        }
        (Some(false), SortOrder::OldestFirst) => {
            rows!(
                "instance_live",
                "i.status NOT BETWEEN 3 AND 5 AND i.status = ?8",
                "ASC"
            )
        }
    }
}

fn span(connection: &Connection, workflow: i64, filter: &InstanceFilter) -> Result<Span, StoreError> {
    if filter.created_from.is_none() && filter.created_until.is_none() {
        let counts = read::counts(connection, workflow)?;
        let total = filter
            .status
            .map_or_else(|| counts.total(), |status| counts.of(status));
        return Ok(Span {
            from: i64::MIN,
            until: i64::MAX,
            total,
        });
    }
    let from = filter.created_from.unwrap_or(Timestamp(i64::MIN));
    let until = filter.created_until.unwrap_or(Timestamp(i64::MAX));
    // Numbers and times of creation rise together but for a clock that steps back, so this range holds little else.
    let all = connection
        .prepare_cached(
            "SELECT coalesce(min(no), 0), coalesce(max(no), -1), count(*) FROM instance INDEXED BY instance_created
             WHERE workflow = ?1 AND created_at BETWEEN ?2 AND ?3",
        )?
        .query_row(params![workflow, from.0, until.0], |row| {
            Ok(Span { from: row.get(0)?, until: row.get(1)?, total: row.get::<_, i64>(2)?.cast_unsigned() })
        })?;
    let Some(status) = filter.status else {
        return Ok(all);
    };
    let count = if status.is_final() {
        "SELECT count(*) FROM instance INDEXED BY instance_final
         WHERE status BETWEEN 3 AND 5 AND workflow = ?1 AND status = ?2
             AND no BETWEEN ?3 AND ?4 AND created_at BETWEEN ?5 AND ?6"
    } else {
        "SELECT count(*) FROM instance INDEXED BY instance_live
         WHERE status NOT BETWEEN 3 AND 5 AND workflow = ?1 AND status = ?2
             AND no BETWEEN ?3 AND ?4 AND created_at BETWEEN ?5 AND ?6"
    };
    let total: i64 = connection.prepare_cached(count)?.query_row(
        params![workflow, status as u8, all.from, all.until, from.0, until.0],
        |row| row.get(0),
    )?;
    Ok(Span {
        total: total.cast_unsigned(),
        ..all
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::open::LockedFile;

    #[test]
    fn no_page_is_sorted_or_scanned_for() {
        let directory = tempfile::tempdir().unwrap();
        let connection = LockedFile::lock(directory.path()).unwrap().open_writer().unwrap();
        for status in [None, Some(Status::Complete), Some(Status::Running)] {
            for order in [SortOrder::NewestFirst, SortOrder::OldestFirst] {
                let select = select(&InstanceFilter {
                    status,
                    order,
                    ..InstanceFilter::default()
                });
                let mut statement = connection
                    .prepare(&format!("EXPLAIN QUERY PLAN {select}"))
                    .unwrap();
                let plan: Vec<String> = statement
                    .query_map([rusqlite::types::Null; 8], |row| row.get(3))
                    .unwrap()
                    .collect::<Result<_, _>>()
                    .unwrap();
                let plan = plan.join("\n");
                assert!(plan.contains("SEARCH i USING INDEX"), "{plan}");
                assert!(!plan.contains("TEMP B-TREE") && !plan.contains("SCAN"), "{plan}");
            }
        }
    }
}
