//! How many instances there are among so many numbers in a row: what finds a page deep in a long list.

use super::list::Kind;
use crate::{SortOrder, StoreError};
use cairn_core::{Status, Timestamp};
use rusqlite::{Connection, Row, params};
use std::collections::BTreeMap;

/// Binary digits of the numbers in a block. Of a million instances there are then five hundred blocks to add up, and a thousand
/// entries of an index to go over within one.
const BITS: u32 = 11;

/// What a transaction changes, by workflow, kind and block.
#[derive(Default)]
pub(super) struct Blocks(BTreeMap<(i64, Kind, i64), Change>);

struct Change {
    n: i64,
    first_at: Timestamp,
    last_at: Timestamp,
}

/// An instance as blocks count it.
#[derive(Clone, Copy)]
pub(super) struct Counted {
    pub(super) workflow: i64,
    pub(super) no: i64,
    pub(super) created_at: Timestamp,
}

/// A block, as stored.
pub(super) struct Block {
    pub(super) number: i64,
    pub(super) n: u64,
    pub(super) first_at: Timestamp,
    pub(super) last_at: Timestamp,
}

impl Block {
    pub(super) fn first_no(&self) -> i64 {
        self.number << BITS
    }

    pub(super) fn last_no(&self) -> i64 {
        self.first_no() | ((1 << BITS) - 1)
    }
}

impl Blocks {
    /// There is a new instance.
    pub(super) fn created(&mut self, instance: Counted) {
        self.change((instance, Kind::ALL), 1);
    }

    /// An instance has another status.
    pub(super) fn moved(&mut self, instance: Counted, (before, after): (Status, Status)) {
        if let Some(kind) = Kind::of(before) {
            self.change((instance, kind), -1);
        }
        if let Some(kind) = Kind::of(after) {
            self.change((instance, kind), 1);
        }
    }

    /// An instance is gone.
    pub(super) fn removed(&mut self, instance: Counted, status: Status) {
        self.change((instance, Kind::ALL), -1);
        if let Some(kind) = Kind::of(status) {
            self.change((instance, kind), -1);
        }
    }

    fn change(&mut self, (instance, kind): (Counted, Kind), change: i64) {
        let (at, block) = (instance.created_at, instance.no >> BITS);
        let known = self.0.entry((instance.workflow, kind, block)).or_insert(Change {
            n: 0,
            first_at: at,
            last_at: at,
        });
        known.n += change;
        known.first_at = known.first_at.min(at);
        known.last_at = known.last_at.max(at);
    }

    /// A workflow is gone with all it has.
    pub(super) fn forget(&mut self, connection: &Connection, workflow: i64) -> Result<(), StoreError> {
        self.0.retain(|(counted, ..), _| *counted != workflow);
        connection
            .prepare_cached("DELETE FROM instance_block WHERE workflow = ?1")?
            .execute([workflow])?;
        Ok(())
    }

    /// Writes the changes.
    pub(super) fn write(&self, connection: &Connection) -> Result<(), StoreError> {
        for ((workflow, kind, block), change) in &self.0 {
            if change.n == 0 {
                continue;
            }
            connection
                .prepare_cached(
                    "INSERT INTO instance_block (workflow, kind, block, n, first_at, last_at)
                     VALUES (?1, ?2, ?3, max(?4, 0), ?5, ?6)
                     ON CONFLICT DO UPDATE SET n = max(n + ?4, 0), first_at = min(first_at, ?5), last_at = max(last_at, ?6)",
                )?
                .execute(params![workflow, kind.0, block, change.n, change.first_at.0, change.last_at.0])?;
            if change.n < 0 {
                connection
                    .prepare_cached(
                        "DELETE FROM instance_block WHERE workflow = ?1 AND kind = ?2 AND block = ?3 AND n = 0",
                    )?
                    .execute(params![workflow, kind.0, block])?;
            }
        }
        Ok(())
    }
}

/// What reads the blocks of a kind in the order of the list, those that may have something of a time span: to be given the workflow, the kind, and
/// the first and last moment.
pub(super) fn select(order: SortOrder) -> &'static str {
    macro_rules! blocks {
        ($order:literal) => {
            concat!(
                "SELECT block, n, first_at, last_at FROM instance_block
                 WHERE workflow = ?1 AND kind = ?2 AND last_at >= ?3 AND first_at <= ?4 ORDER BY block ",
                $order
            )
        };
    }
    match order {
        SortOrder::OldestFirst => blocks!("ASC"),
        SortOrder::NewestFirst => blocks!("DESC"),
    }
}

/// A row of [`select`].
pub(super) fn block_row(row: &Row<'_>) -> rusqlite::Result<Block> {
    Ok(Block {
        number: row.get(0)?,
        n: row.get::<_, i64>(1)?.cast_unsigned(),
        first_at: Timestamp(row.get(2)?),
        last_at: Timestamp(row.get(3)?),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{
        commit, create, list, open::LockedFile, read, remove, transaction::Numbers, transaction::Transaction,
    };
    use super::*;
    use crate::{Commit, InstanceFilter, InstanceNo, NewInstance, NodeId, Start, Trigger};
    use cairn_core::Seq;

    const NODE: NodeId = NodeId(1);
    const MANY: i64 = 7_000;

    fn write<T>(
        connection: &Connection,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError>,
    ) -> T {
        let mut numbers = Numbers::load(connection).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut transaction = Transaction::new(connection, &mut numbers);
        let done = work(&mut transaction).unwrap();
        transaction.finish().unwrap();
        connection.execute_batch("COMMIT").unwrap();
        done
    }

    /// A clock that is put back an hour now and then.
    fn created_at(i: i64) -> Timestamp {
        Timestamp(1_000_000_000 + i * 1_000 - if i % 1_900 < 40 { 3_600_000 } else { 0 })
    }

    fn new(i: i64) -> NewInstance {
        NewInstance {
            workflow: if i % 10 == 3 { 2 } else { 1 },
            id: format!("{i}"),
            version: "v".into(),
            script_version: "s".into(),
            class_name: "C".into(),
            trigger: Trigger::Api,
            created_at: created_at(i),
            success_retention_millis: 1_000,
            error_retention_millis: 1_000_000_000_000,
            entry: vec![1],
            params: Vec::new().into(),
            start: Start::Now,
        }
    }

    /// Instances of two workflows in all statuses; some are gone, one workflow may be.
    fn filled(connection: &Connection) {
        for no in 1..=2 {
            let sql = "INSERT INTO workflow (no, id, account, name, script, class_name, created_at, modified_at, version, settings)
                       VALUES (?1, ?2, 'a', ?2, 's', 'C', 0, 0, 'v', '{}')";
            connection.execute(sql, params![no, no.to_string()]).unwrap();
        }
        let all: Vec<NewInstance> = (1..=MANY).map(new).collect();
        let made = write(connection, |transaction| {
            create::create(transaction, &all, Some(NODE))
        });
        let statuses = [
            Status::Complete,
            Status::Errored,
            Status::Terminated,
            Status::Waiting,
            Status::Complete,
        ];
        let mut ends = Vec::new();
        for (i, made) in (1..=MANY).zip(made) {
            let (instance, lease) = made.unwrap();
            let Some(status) = statuses.get((i * 7 % 6) as usize) else {
                continue;
            };
            let at = created_at(i);
            ends.push(Commit {
                instance,
                lease: lease.unwrap(),
                next_seq: Seq(1),
                entries: Vec::new(),
                status: *status,
                started_at: Some(at),
                ended_at: status.is_final().then_some(at),
                at,
                consumed: None,
                release: Some(crate::Release { wake_at: None }),
                repin: None,
            });
        }
        let written = write(connection, |transaction| commit::commit(transaction, &ends));
        assert!(written.iter().all(Result::is_ok));
        write(connection, |transaction| {
            for no in (1..=MANY).step_by(13) {
                remove::delete_instance(transaction, InstanceNo(no))?;
            }
            remove::expire(transaction, Timestamp(1_001_500_000), 700)
        });
    }

    fn rows(connection: &Connection, sql: &str) -> Vec<[i64; 4]> {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]));
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// The blocks as they are, and as they should be by the instances.
    fn told_and_true(connection: &Connection) -> (Vec<[i64; 4]>, Vec<[i64; 4]>) {
        let told = rows(
            connection,
            "SELECT workflow, kind, block, n FROM instance_block ORDER BY 1, 2, 3",
        );
        let truth = rows(
            connection,
            "SELECT workflow, 0, no >> 11, count(*) FROM instance GROUP BY 1, 3
             UNION ALL SELECT workflow, status, no >> 11, count(*) FROM instance WHERE status BETWEEN 3 AND 5 GROUP BY 1, 2, 3
             ORDER BY 1, 2, 3",
        );
        (told, truth)
    }

    fn matching(connection: &Connection, filter: &InstanceFilter) -> Vec<i64> {
        let mut statement = connection
            .prepare("SELECT no, status, created_at FROM instance WHERE workflow = 1 ORDER BY no")
            .unwrap();
        let found = statement.query_map([], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                read::status(row, 1)?,
                Timestamp(row.get(2)?),
            ))
        });
        let mut found: Vec<i64> = found
            .unwrap()
            .map(Result::unwrap)
            .filter(|(_, status, at)| {
                filter.status.is_none_or(|wanted| wanted == *status)
                    && filter.created_from.is_none_or(|from| *at >= from)
                    && filter.created_until.is_none_or(|until| *at <= until)
            })
            .map(|(no, ..)| no)
            .collect();
        if filter.order == SortOrder::NewestFirst {
            found.reverse();
        }
        found
    }

    fn open() -> (tempfile::TempDir, LockedFile, Connection) {
        let directory = tempfile::tempdir().unwrap();
        let file = LockedFile::lock(directory.path()).unwrap();
        let connection = file.open_writer().unwrap();
        (directory, file, connection)
    }

    #[test]
    fn blocks_say_what_instances_there_are() {
        let (_directory, _file, connection) = open();
        filled(&connection);
        let (told, truth) = told_and_true(&connection);
        assert!(truth.len() > 20, "{}", truth.len());
        assert_eq!(told, truth);
        // All that can go goes, and no empty block stays.
        write(&connection, |transaction| {
            remove::expire(transaction, Timestamp(2_000_000_000), 10_000)
        });
        write(&connection, |transaction| {
            remove::delete_workflow(transaction, "a", "2")
        });
        let (told, truth) = told_and_true(&connection);
        let truth: Vec<_> = truth.into_iter().filter(|row| row[0] == 1).collect();
        assert_eq!(told, truth);
        assert!(told.iter().all(|row| row[3] > 0), "{told:?}");
    }

    #[test]
    fn a_file_of_before_blocks_gets_them() {
        let (_directory, _file, connection) = open();
        filled(&connection);
        let (told, _) = told_and_true(&connection);
        let made = include_str!("migrations/0011_blocks.sql");
        connection
            .execute_batch(
                "DROP TABLE instance_block; CREATE INDEX instance_created ON instance (created_at)",
            )
            .unwrap();
        connection.execute_batch(made).unwrap();
        assert_eq!(told_and_true(&connection).0, told);
    }

    #[test]
    fn pages_are_found_through_blocks() {
        let (_directory, _file, connection) = open();
        filled(&connection);
        let statuses = [
            None,
            Some(Status::Complete),
            Some(Status::Errored),
            Some(Status::Waiting),
            Some(Status::Paused),
        ];
        let dates = [
            (None, None),
            (Some(created_at(1_000)), None),
            (None, Some(created_at(5_000))),
            (Some(created_at(3_100)), Some(created_at(3_130))),
            (Some(created_at(1_901)), Some(created_at(1_902))),
            (Some(created_at(2 * MANY)), None),
        ];
        for status in statuses {
            for (created_from, created_until) in dates {
                for order in [SortOrder::NewestFirst, SortOrder::OldestFirst] {
                    for after in [None, Some(InstanceNo(2_048)), Some(InstanceNo(4_500))] {
                        for offset in [0, 1, 99, 700, 1_040, 2_500, 5_370, 6_000, 9_999] {
                            let filter = InstanceFilter {
                                status,
                                created_from,
                                created_until,
                                order,
                                after,
                                offset,
                                limit: 20,
                            };
                            let all = matching(&connection, &filter);
                            let behind = all.iter().copied().filter(|no| {
                                after.is_none_or(|after| {
                                    if order == SortOrder::OldestFirst {
                                        *no > after.0
                                    } else {
                                        *no < after.0
                                    }
                                })
                            });
                            let expected: Vec<i64> = behind.skip(offset as usize).take(21).collect();
                            let page = list::page(&connection, 1, &filter).unwrap();
                            let found: Vec<i64> = page.rows.iter().map(|row| row.no.0).collect();
                            assert_eq!(found, expected[..expected.len().min(20)], "{filter:?}");
                            assert_eq!(page.total, all.len() as u64, "{filter:?}");
                            assert_eq!(page.more, expected.len() > 20, "{filter:?}");
                        }
                    }
                }
            }
        }
    }
}
