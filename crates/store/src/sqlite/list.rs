//! Pages of instances. What each costs, with N instances in the workflow and L of them not ended:
//! without a status or with a final one, the page, and for pages behind the first the adding up of at most N / 4,096 numbers, for dates N / 2,048, and a
//! walk over some thousand entries of an index (see [`blocks`]); with another status, at most L rows.

use super::blocks::{self, Block, block_row};
use super::read::{self, instance_columns, instance_row};
use crate::{InstanceFilter, InstancePage, SortOrder, StoreError};
use cairn_core::{Status, Timestamp};
use rusqlite::{Connection, params};

/// What is counted by block: all instances, or those with a final status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind(pub(super) u8);

impl Kind {
    /// All instances, whatever their status.
    pub(super) const ALL: Self = Self(0);

    /// The kind of a status that is counted.
    pub(super) fn of(status: Status) -> Option<Self> {
        status.is_final().then_some(Self(status as u8))
    }
}

/// Where a page is: a range of numbers, how many that match are to be passed over in it, and how many match in all.
struct Place {
    from: i64,
    until: i64,
    skip: u64,
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
    match from_other_end(connection, workflow, filter)? {
        None => page_as_asked(connection, workflow, filter),
        Some(mirrored) => {
            let mut page = page_as_asked(connection, workflow, &mirrored)?;
            page.rows.reverse();
            page.more = page.total > filter.offset.saturating_add(filter.limit as u64);
            Ok(page)
        }
    }
}

/// The same page counted from the other end of the list, when that is nearer.
fn from_other_end(
    connection: &Connection,
    workflow: i64,
    filter: &InstanceFilter,
) -> Result<Option<InstanceFilter>, StoreError> {
    if filter.offset == 0 || filter.after.is_some() || has_dates(filter) {
        return Ok(None);
    }
    let total = total(connection, workflow, filter)?;
    let rest = total.saturating_sub(filter.offset);
    if rest == 0 || filter.offset <= rest {
        return Ok(None);
    }
    let limit = filter.limit.min(usize::try_from(rest).unwrap_or(usize::MAX));
    Ok(Some(InstanceFilter {
        order: match filter.order {
            SortOrder::OldestFirst => SortOrder::NewestFirst,
            SortOrder::NewestFirst => SortOrder::OldestFirst,
        },
        offset: rest - limit as u64,
        limit,
        ..filter.clone()
    }))
}

/// How many match, whenever they were created.
fn total(connection: &Connection, workflow: i64, filter: &InstanceFilter) -> Result<u64, StoreError> {
    let counts = read::counts(connection, workflow)?;
    Ok(filter
        .status
        .map_or_else(|| counts.total(), |status| counts.of(status)))
}

fn page_as_asked(
    connection: &Connection,
    workflow: i64,
    filter: &InstanceFilter,
) -> Result<InstancePage, StoreError> {
    let place = place(connection, workflow, filter)?;
    let mut rows = connection
        .prepare_cached(select(filter))?
        .query_map(
            params![
                workflow,
                place.from,
                place.until,
                created_from(filter).0,
                created_until(filter).0,
                read::limit(filter.limit.saturating_add(1)),
                i64::try_from(place.skip).unwrap_or(i64::MAX),
                filter.status.map_or(0, |status| status as u8),
            ],
            instance_row,
        )?
        .collect::<Result<Vec<_>, _>>()?;
    // They come in this order; SQL has no way to say so without sorting them.
    match filter.order {
        SortOrder::OldestFirst => rows.sort_by_key(|row| row.no),
        SortOrder::NewestFirst => rows.sort_by_key(|row| std::cmp::Reverse(row.no)),
    }
    let more = rows.len() > filter.limit;
    rows.truncate(filter.limit);
    Ok(InstancePage {
        rows,
        total: place.total,
        more,
    })
}

fn created_from(filter: &InstanceFilter) -> Timestamp {
    filter.created_from.unwrap_or(Timestamp(i64::MIN))
}

fn created_until(filter: &InstanceFilter) -> Timestamp {
    filter.created_until.unwrap_or(Timestamp(i64::MAX))
}

fn has_dates(filter: &InstanceFilter) -> bool {
    filter.created_from.is_some() || filter.created_until.is_some()
}

/// The statement for a filter: which index has the rows in order depends on the status. The numbers of a page come from the index alone, so that what is
/// passed over costs no row.
fn select(filter: &InstanceFilter) -> &'static str {
    macro_rules! rows {
        ($index:literal, $status:literal, $order:literal) => {
            concat!(
                "SELECT ",
                instance_columns!(),
                " FROM (SELECT m.no FROM instance m INDEXED BY ",
                $index,
                " WHERE m.workflow = ?1 AND m.no BETWEEN ?2 AND ?3
                  AND m.created_at BETWEEN ?4 AND ?5 AND ",
                $status,
                " ORDER BY m.no ",
                $order,
                " LIMIT ?6 OFFSET ?7) page CROSS JOIN instance i ON i.no = page.no CROSS JOIN pin p ON p.no = i.pin"
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
                "m.status BETWEEN 3 AND 5 AND m.status = ?8",
                "DESC"
            )
        }
        (Some(true), SortOrder::OldestFirst) => {
            rows!(
                "instance_final",
                "m.status BETWEEN 3 AND 5 AND m.status = ?8",
                "ASC"
            )
        }
        (Some(false), SortOrder::NewestFirst) => {
            rows!(
                "instance_live",
                "m.status NOT BETWEEN 3 AND 5 AND m.status = ?8",
                "DESC"
            )
        }
        (Some(false), SortOrder::OldestFirst) => {
            rows!(
                "instance_live",
                "m.status NOT BETWEEN 3 AND 5 AND m.status = ?8",
                "ASC"
            )
        }
    }
}

/// Finds a page.
fn place(connection: &Connection, workflow: i64, filter: &InstanceFilter) -> Result<Place, StoreError> {
    let (mut from, mut until) = (i64::MIN, i64::MAX);
    if let Some(after) = filter.after {
        match filter.order {
            SortOrder::OldestFirst => from = after.0.saturating_add(1),
            SortOrder::NewestFirst => until = after.0.saturating_sub(1),
        }
    }
    let mut place = Place {
        from,
        until,
        skip: filter.offset,
        total: 0,
    };
    if !has_dates(filter) {
        place.total = total(connection, workflow, filter)?;
        if filter.offset == 0 {
            return Ok(place);
        }
    }
    let kind = match filter.status {
        None => Kind::ALL,
        Some(status) => match Kind::of(status) {
            Some(kind) => kind,
            None => return among_the_living(connection, workflow, filter, place),
        },
    };
    let looked = Looked {
        connection,
        workflow,
        kind,
        filter,
    };
    looked.place(place)
}

/// A page of those with a status that is not final is looked for among all that have not ended.
fn among_the_living(
    connection: &Connection,
    workflow: i64,
    filter: &InstanceFilter,
    mut place: Place,
) -> Result<Place, StoreError> {
    if has_dates(filter) {
        let total: i64 = connection
            .prepare_cached(
                "SELECT count(*) FROM instance INDEXED BY instance_live
                 WHERE status NOT BETWEEN 3 AND 5 AND workflow = ?1 AND status = ?2 AND created_at BETWEEN ?3 AND ?4",
            )?
            .query_row(
                params![
                    workflow,
                    filter.status.map_or(0, |status| status as u8),
                    created_from(filter).0,
                    created_until(filter).0
                ],
                |row| row.get(0),
            )?;
        place.total = total.cast_unsigned();
    }
    Ok(place)
}

/// What is looked for, block by block.
struct Looked<'a> {
    connection: &'a Connection,
    workflow: i64,
    kind: Kind,
    filter: &'a InstanceFilter,
}

impl Looked<'_> {
    /// Narrows the place down to the blocks of the page, and counts what matches the dates.
    fn place(&self, mut place: Place) -> Result<Place, StoreError> {
        let mut blocks = self
            .connection
            .prepare_cached(blocks::select(self.filter.order))?;
        let mut blocks = blocks.query(params![
            self.workflow,
            self.kind.0,
            created_from(self.filter).0,
            created_until(self.filter).0
        ])?;
        let counts_all = has_dates(self.filter);
        let (from, until) = (place.from, place.until);
        // The blocks that the page begins in and that has the last match, as far as both are known.
        let mut found: Option<((i64, i64), (i64, i64))> = None;
        while let Some(row) = blocks.next()? {
            let block = &block_row(row)?;
            let whole = (block.first_no(), block.last_no());
            let part = (whole.0.max(from), whole.1.min(until));
            let all = if counts_all { self.count(block, whole)? } else { 0 };
            place.total += all;
            if let Some((_, last)) = &mut found {
                if all > 0 {
                    *last = part;
                }
                continue;
            }
            let matching = if part.0 > part.1 {
                0
            } else if counts_all && part == whole {
                all
            } else {
                self.count(block, part)?
            };
            if matching <= place.skip {
                place.skip -= matching;
                continue;
            }
            found = Some((part, part));
            if !counts_all {
                break;
            }
        }
        (place.from, place.until) = match (found, self.filter.order) {
            (None, _) => (0, -1),
            (Some((first, _)), SortOrder::OldestFirst) if !counts_all => (first.0, until),
            (Some((first, _)), SortOrder::NewestFirst) if !counts_all => (from, first.1),
            (Some((first, last)), SortOrder::OldestFirst) => (first.0, last.1),
            (Some((first, last)), SortOrder::NewestFirst) => (last.0, first.1),
        };
        Ok(place)
    }

    /// How many in a part of a block match.
    fn count(&self, block: &Block, (from, until): (i64, i64)) -> Result<u64, StoreError> {
        let (first, last) = (created_from(self.filter), created_until(self.filter));
        if block.last_at < first || block.first_at > last {
            return Ok(0);
        }
        let is_whole = (from, until) == (block.first_no(), block.last_no());
        if is_whole && block.first_at >= first && block.last_at <= last {
            return Ok(block.n);
        }
        let sql = if self.kind == Kind::ALL {
            "SELECT count(*) FROM instance INDEXED BY instance_all
             WHERE workflow = ?1 AND ?2 = ?2 AND no BETWEEN ?3 AND ?4 AND created_at BETWEEN ?5 AND ?6"
        } else {
            "SELECT count(*) FROM instance INDEXED BY instance_final
             WHERE status BETWEEN 3 AND 5 AND workflow = ?1 AND status = ?2 AND no BETWEEN ?3 AND ?4
                 AND created_at BETWEEN ?5 AND ?6"
        };
        let count: i64 = self.connection.prepare_cached(sql)?.query_row(
            params![self.workflow, self.kind.0, from, until, first.0, last.0],
            |row| row.get(0),
        )?;
        Ok(count.cast_unsigned())
    }
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
                let index = if status.is_some_and(|status| !status.is_final()) {
                    "SEARCH m USING INDEX"
                } else {
                    "SEARCH m USING COVERING INDEX"
                };
                assert!(plan.contains(index), "{plan}");
                let scanned = plan.replace("SCAN page", "");
                assert!(
                    !plan.contains("TEMP B-TREE") && !scanned.contains("SCAN"),
                    "{plan}"
                );
            }
        }
    }
}
