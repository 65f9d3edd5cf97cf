//! The transaction that all waiting requests share, and what the writer remembers between transactions.

use super::blocks::Blocks;
use crate::StoreError;
use cairn_core::{Status, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What the writer knows by heart. Loaded anew after a failed transaction.
pub(super) struct Numbers {
    last_instance: i64,
    last_message: i64,
    last_node: i64,
    /// Numbers of the pins in use, by workflow version, script version and class.
    pins: HashMap<(String, String, String), i64>,
    doomed: BTreeSet<i64>,
    /// Whether streams were dropped that have not been swept.
    has_dropped: bool,
    /// Whether a transaction has failed since this was loaded.
    is_stale: bool,
}

impl Numbers {
    /// Forgets what a failed transaction may have left here; the next one begins with a fresh copy.
    pub(super) fn distrust(&mut self) {
        self.is_stale = true;
    }

    /// Loads again what is not to be trusted.
    pub(super) fn refresh(&mut self, connection: &Connection) -> Result<(), StoreError> {
        if self.is_stale {
            *self = Self::load(connection)?;
        }
        Ok(())
    }

    pub(super) fn load(connection: &Connection) -> Result<Self, StoreError> {
        let last = |name: &str| {
            connection
                .prepare_cached("SELECT value FROM counter WHERE name = ?1")?
                .query_row([name], |row| row.get::<_, i64>(0))
        };
        let mut doomed = BTreeSet::new();
        let mut statement = connection.prepare_cached("SELECT workflow FROM doomed")?;
        for workflow in statement.query_map([], |row| row.get(0))? {
            doomed.insert(workflow?);
        }
        let has_dropped = connection
            .prepare_cached("SELECT 1 FROM dropped_stream")?
            .exists([])?;
        Ok(Self {
            last_instance: last("instance")?,
            last_message: last("message")?,
            last_node: last("node")?,
            pins: HashMap::new(),
            doomed,
            has_dropped,
            is_stale: false,
        })
    }

    /// Whether there is something to sweep.
    pub(super) fn has_waste(&self) -> bool {
        !self.doomed.is_empty() || self.has_dropped
    }
}

/// The open transaction. What many requests change alike (counts, counters) is written once, at its end.
pub(super) struct Transaction<'a> {
    pub(super) connection: &'a Connection,
    numbers: &'a mut Numbers,
    before: [i64; 3],
    /// Changes of the counts, by workflow and status.
    counts: BTreeMap<(i64, u8), i64>,
    /// Changes of the numbers by block.
    pub(super) blocks: Blocks,
    /// Changes of the numbers of living instances, by pin.
    pins: BTreeMap<i64, i64>,
    /// Last creation, by workflow.
    triggered: BTreeMap<i64, Timestamp>,
    /// Whether these workflows exist.
    workflows: BTreeMap<i64, bool>,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(connection: &'a Connection, numbers: &'a mut Numbers) -> Self {
        let before = [numbers.last_instance, numbers.last_message, numbers.last_node];
        Self {
            connection,
            numbers,
            before,
            counts: BTreeMap::new(),
            blocks: Blocks::default(),
            pins: BTreeMap::new(),
            triggered: BTreeMap::new(),
            workflows: BTreeMap::new(),
        }
    }

    pub(super) fn next_instance(&mut self) -> i64 {
        self.numbers.last_instance += 1;
        self.numbers.last_instance
    }

    pub(super) fn next_message(&mut self) -> i64 {
        self.numbers.last_message += 1;
        self.numbers.last_message
    }

    pub(super) fn next_node(&mut self) -> i64 {
        self.numbers.last_node += 1;
        self.numbers.last_node
    }

    /// Sees to it that later nodes get other numbers than this.
    pub(super) fn saw_node(&mut self, node: i64) {
        self.numbers.last_node = self.numbers.last_node.max(node);
    }

    /// Whether a removed workflow's instances are on their way out.
    pub(super) fn is_doomed(&self, workflow: i64) -> bool {
        self.numbers.doomed.contains(&workflow)
    }

    /// The removed workflow to sweep next.
    pub(super) fn first_doomed(&self) -> Option<i64> {
        self.numbers.doomed.first().copied()
    }

    /// Makes a workflow's instances gone for everybody.
    pub(super) fn doom(&mut self, workflow: i64) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("INSERT INTO doomed (workflow) VALUES (?1)")?
            .execute([workflow])?;
        self.numbers.doomed.insert(workflow);
        self.workflows.insert(workflow, false);
        self.counts.retain(|(counted, _), _| *counted != workflow);
        self.blocks.forget(self.connection, workflow)?;
        Ok(())
    }

    /// There are dropped streams to sweep.
    pub(super) fn has_dropped(&mut self) {
        self.numbers.has_dropped = true;
    }

    /// There are none any more.
    pub(super) fn dropped_are_swept(&mut self) {
        self.numbers.has_dropped = false;
    }

    /// The last instance of a removed workflow is gone.
    pub(super) fn swept(&mut self, workflow: i64) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM doomed WHERE workflow = ?1")?
            .execute([workflow])?;
        self.numbers.doomed.remove(&workflow);
        Ok(())
    }

    /// Whether there is such a workflow.
    pub(super) fn workflow_exists(&mut self, workflow: i64) -> Result<bool, StoreError> {
        if let Some(exists) = self.workflows.get(&workflow) {
            return Ok(*exists);
        }
        let exists = self
            .connection
            .prepare_cached("SELECT 1 FROM workflow WHERE no = ?1")?
            .exists([workflow])?;
        self.workflows.insert(workflow, exists);
        Ok(exists)
    }

    /// An instance of this workflow has this status from now on.
    pub(super) fn count_in(&mut self, workflow: i64, status: Status) {
        self.count(workflow, status, 1);
    }

    /// An instance of this workflow has this status no more.
    pub(super) fn count_out(&mut self, workflow: i64, status: Status) {
        self.count(workflow, status, -1);
    }

    fn count(&mut self, workflow: i64, status: Status, change: i64) {
        if !self.is_doomed(workflow) {
            *self.counts.entry((workflow, status as u8)).or_default() += change;
        }
    }

    /// A living instance needs this pin from now on.
    pub(super) fn pin_in(&mut self, pin: i64) {
        *self.pins.entry(pin).or_default() += 1;
    }

    /// One that needed it ended, is gone, or needs another.
    pub(super) fn pin_out(&mut self, pin: i64) {
        *self.pins.entry(pin).or_default() -= 1;
    }

    /// An instance of this workflow was created.
    pub(super) fn triggered(&mut self, workflow: i64, at: Timestamp) {
        let last = self.triggered.entry(workflow).or_insert(at);
        *last = at.max(*last);
    }

    /// Number of the pin for these versions and class.
    pub(super) fn pin(
        &mut self,
        version: &str,
        script_version: &str,
        class_name: &str,
    ) -> Result<i64, StoreError> {
        let key = (
            version.to_owned(),
            script_version.to_owned(),
            class_name.to_owned(),
        );
        if let Some(no) = self.numbers.pins.get(&key) {
            return Ok(*no);
        }
        let known = self
            .connection
            .prepare_cached(
                "SELECT no FROM pin WHERE version = ?1 AND script_version = ?2 AND class_name = ?3",
            )?
            .query_row(params![version, script_version, class_name], |row| row.get(0))
            .optional()?;
        let no = match known {
            Some(no) => no,
            None => self
                .connection
                .prepare_cached("INSERT INTO pin (version, script_version, class_name) VALUES (?1, ?2, ?3)")?
                .insert(params![version, script_version, class_name])?,
        };
        self.numbers.pins.insert(key, no);
        Ok(no)
    }

    /// Writes what was put off until now.
    pub(super) fn finish(self) -> Result<(), StoreError> {
        for ((workflow, status), change) in self.counts {
            if change != 0 {
                self.connection
                    .prepare_cached(
                        "INSERT INTO status_count (workflow, status, n) VALUES (?1, ?2, max(?3, 0))
                         ON CONFLICT DO UPDATE SET n = max(n + ?3, 0)",
                    )?
                    .execute(params![workflow, status, change])?;
            }
        }
        self.blocks.write(self.connection)?;
        for (pin, change) in self.pins {
            if change != 0 {
                self.connection
                    .prepare_cached("UPDATE pin SET live = max(live + ?2, 0) WHERE no = ?1")?
                    .execute(params![pin, change])?;
            }
        }
        for (workflow, at) in self.triggered {
            self.connection
                .prepare_cached(
                    "UPDATE workflow SET triggered_at = ?2 WHERE no = ?1 AND coalesce(triggered_at < ?2, TRUE)",
                )?
                .execute(params![workflow, at.0])?;
        }
        let after = [
            self.numbers.last_instance,
            self.numbers.last_message,
            self.numbers.last_node,
        ];
        for ((name, before), after) in ["instance", "message", "node"]
            .into_iter()
            .zip(self.before)
            .zip(after)
        {
            if before != after {
                self.connection
                    .prepare_cached("UPDATE counter SET value = ?2 WHERE name = ?1")?
                    .execute(params![name, after])?;
            }
        }
        Ok(())
    }
}
