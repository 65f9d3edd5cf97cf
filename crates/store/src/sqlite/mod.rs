//! A store in one SQLite file: one thread writes with group commit ([`writer`]), a few read beside it ([`readers`]).
//!
//! A file has exactly one server: a lock keeps others out. So node leases end with the process at the latest, and
//! opening the file frees what an earlier server held.

mod access;
pub mod backup;
mod blocks;
mod catalog;
mod checksum;
mod chunk;
mod claim;
mod commit;
mod create;
mod cron;
mod cut;
mod deployed;
pub mod examine;
mod fold;
mod inbox;
mod keys;
mod list;
mod open;
mod read;
mod readers;
mod remove;
mod schedule;
mod schema;
mod scripts;
mod stream;
mod transaction;
mod trouble;
mod vacuum;
mod versions;
mod writer;

use crate::{
    Claim, Claimed, Commit, CommitError, CreateError, DeployedWorkflow, InboxMessage, InboxNo,
    InstanceFilter, InstanceNo, InstancePage, InstanceRow, JournalEntry, JournalPage, Lease, Load,
    NewInstance, NewMessage, NewScriptVersion, NewWorkflow, NodeId, ScheduleRow, ScriptModules, ScriptRow,
    ScriptVersionRow, SendError, StatusCounts, Store, StoreError, StreamNo, StreamWrite, SweptVersions,
    WorkflowPage, WorkflowRow, WorkflowVersionRow,
};
use async_trait::async_trait;
use bytes::Bytes;
use cairn_core::{Seq, Timestamp};
use deployed::Deployed;
use open::LockedFile;
use readers::{Readers, snapshot};
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;
use transaction::Transaction;
use writer::Writer;

/// Threads that read. Reads are short; more of them only take the processor from the writer.
const READERS: usize = 3;

/// Instances that are few enough to be written by whoever brings them, when nobody else writes.
const FEW: usize = 2;

/// A [`Store`] in one SQLite file. What a method has answered is on disk.
pub struct SqliteStore {
    /// There until the store closes.
    ways: Option<Ways>,
    reading: Vec<JoinHandle<()>>,
    writing: Option<JoinHandle<()>>,
    file: LockedFile,
}

#[derive(Clone)]
struct Ways {
    writer: Writer,
    readers: Readers,
    deployed: Arc<Deployed>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore")
            .field("file", &self.file.path)
            .finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the database in a data directory (`cairn.db`), or the file named; makes what is missing. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the file is in use, of a newer release or no database of Cairn, or the directory cannot be written;
    /// [`StoreError::Corrupt`] and [`StoreError::Unavailable`] when it cannot be read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let file = LockedFile::lock(path)?;
        cut::check(&file.path)?;
        let connection = file.open_writer()?;
        let freed = claim::free_all(&connection)?;
        if freed > 0 {
            tracing::info!(
                instances = freed,
                "instances that an earlier server held are due again"
            );
        }
        let connections = (0..READERS)
            .map(|_| file.open_reader())
            .collect::<Result<_, _>>()?;
        let (readers, reading) = Readers::start(connections)?;
        let (writer, writing) = Writer::start(connection)?;
        Ok(Self {
            ways: Some(Ways {
                writer,
                readers,
                deployed: Arc::default(),
            }),
            reading,
            writing: Some(writing),
            file,
        })
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Answers all that waits, folds the log into the file and lets go of it. Dropping the store does the same. Blocks.
    pub fn close(self) {}

    /// Waits until the writer has had nothing to do and has given back to the disk what room it can; at once when the store is closed.
    pub async fn tidied(&self) {
        if let Ok(ways) = self.ways() {
            ways.writer.clone().tidied().await;
        }
    }

    /// Waits until nothing can be written any more before the next start, and says why. Does not end otherwise.
    ///
    /// # Errors
    /// When the store is closed.
    pub fn lost(&self) -> Result<impl Future<Output = StoreError> + Send + 'static + use<>, StoreError> {
        Ok(self.ways()?.writer.lost())
    }

    fn ways(&self) -> Result<&Ways, StoreError> {
        self.ways.as_ref().ok_or_else(closed)
    }

    /// Any write.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let deployed = Arc::clone(&self.ways()?.deployed);
        let (sender, receiver) = oneshot::channel();
        self.ways()?.writer.submit(work, move |outcome| {
            deployed.forget();
            // Who does not wait any more does not want to know.
            let _ = sender.send(outcome);
        });
        receiver.await.unwrap_or_else(|_| Err(closed()))
    }

    /// A write that leaves workflows and scripts as they are.
    async fn write_instances<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        self.ways()?.writer.submit(work, move |outcome| {
            // Who does not wait any more does not want to know.
            let _ = sender.send(outcome);
        });
        receiver.await.unwrap_or_else(|_| Err(closed()))
    }

    /// The same for so many instances, which may be done on this thread when they are few. What weighs something may be put off.
    async fn write_some<T: Send + 'static>(
        &self,
        (size, weight): (usize, usize),
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        let answer = move |outcome| {
            // Who does not wait any more does not want to know.
            let _ = sender.send(outcome);
        };
        let writer = &self.ways()?.writer;
        if size > FEW {
            writer.submit_weighed(weight, work, answer);
        } else {
            writer.submit_small(weight, work, answer);
        }
        receiver.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        self.ways()?.readers.read(read, move |outcome| {
            let _ = sender.send(outcome);
        });
        receiver.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Takes instances in a transaction, then reads what they have beside the writer: long journals keep nobody waiting.
    async fn take(
        &self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<Vec<(InstanceNo, Lease)>, StoreError> + Send + 'static,
    ) -> Result<Vec<(InstanceNo, Result<Claimed, StoreError>)>, StoreError> {
        let (sender, receiver) = oneshot::channel();
        let ways = self.ways()?.clone();
        self.ways()?.writer.submit(work, move |taken| match taken {
            Err(error) => {
                let _ = sender.send(Err(error));
            }
            Ok(taken) if taken.is_empty() => {
                let _ = sender.send(Ok(Vec::new()));
            }
            Ok(taken) => {
                let Ways { writer, readers, .. } = ways;
                let keys = taken.clone();
                readers.read(
                    move |connection| load(connection, &keys),
                    move |loaded| {
                        let failed = loaded.is_err();
                        if sender.send(loaded).is_err() || failed {
                            writer.submit(move |transaction| claim::give_back(transaction, &taken), |_| ());
                        }
                    },
                );
            }
        });
        receiver.await.unwrap_or_else(|_| Err(closed()))
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // The threads end when nobody can reach them any more and nothing is left to do. The last connection to close folds the log
        // into the file; of two that close at the same moment neither may see itself as the last.
        if let Some(Ways { writer, readers, .. }) = self.ways.take() {
            drop(readers);
            for thread in self.reading.drain(..) {
                ended(thread, &self.file.path);
            }
            drop(writer);
            if let Some(thread) = self.writing.take() {
                ended(thread, &self.file.path);
            }
        }
    }
}

/// Waits for the end of a thread.
fn ended(thread: JoinHandle<()>, file: &Path) {
    if thread.join().is_err() {
        tracing::error!(file = %file.display(), "a thread of the database ended by a panic");
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the database is closed".to_owned())
}

type Loaded = Vec<(InstanceNo, Result<Claimed, StoreError>)>;

/// What was taken, without what was removed since. A damaged instance fails alone.
fn load(connection: &Connection, taken: &[(InstanceNo, Lease)]) -> Result<Loaded, StoreError> {
    let mut loaded = Vec::with_capacity(taken.len());
    for (no, lease) in taken {
        match claim::load(connection, *no, *lease) {
            Ok(Some(claimed)) => loaded.push((*no, Ok(claimed))),
            Ok(None) => {}
            Err(error @ StoreError::Corrupt(_)) => loaded.push((*no, Err(error))),
            Err(error) => return Err(error),
        }
    }
    Ok(loaded)
}

/// What could be read of what was taken.
fn readable(taken: Loaded) -> Vec<Claimed> {
    let read = |(no, claimed): (InstanceNo, Result<Claimed, StoreError>)| {
        claimed
            .inspect_err(|error| {
                tracing::error!(instance = no.0, %error, "an instance cannot go on; restore it from a backup or delete it");
            })
            .ok()
    };
    taken.into_iter().filter_map(read).collect()
}

#[async_trait]
impl Store for SqliteStore {
    async fn create(
        &self,
        instances: Vec<NewInstance>,
        claim: Option<NodeId>,
    ) -> Result<Vec<Result<(InstanceNo, Option<Lease>), CreateError>>, StoreError> {
        let size = (instances.len(), create::weight(&instances));
        self.write_some(size, move |transaction| {
            create::create(transaction, &instances, claim)
        })
        .await
    }

    async fn commit(&self, commits: Vec<Commit>) -> Result<Vec<Result<(), CommitError>>, StoreError> {
        self.write_some((commits.len(), 0), move |transaction| {
            commit::commit(transaction, &commits)
        })
        .await
    }

    /// A damaged instance is left out, and stays held until the next start, so that it keeps no other from being claimed.
    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>, StoreError> {
        let taken = self.take(move |transaction| claim::claim(transaction, claim));
        Ok(readable(taken.await?))
    }

    async fn claim_parked(
        &self,
        node: NodeId,
        workflow: i64,
        limit: usize,
    ) -> Result<Vec<Claimed>, StoreError> {
        let taken = self.take(move |transaction| claim::claim_parked(transaction, node, (workflow, limit)));
        Ok(readable(taken.await?))
    }

    async fn loads(&self) -> Result<Vec<Load>, StoreError> {
        self.read(|connection| snapshot(connection, claim::loads)).await
    }

    async fn claim_one(&self, node: NodeId, instance: InstanceNo) -> Result<Option<Claimed>, StoreError> {
        let taken = self
            .take(move |transaction| {
                Ok(claim::claim_one(transaction, node, instance)?
                    .into_iter()
                    .collect())
            })
            .await?;
        taken.into_iter().next().map(|(_, claimed)| claimed).transpose()
    }

    async fn claim_free(&self, node: NodeId, instance: InstanceNo) -> Result<Option<Claimed>, StoreError> {
        let taken = self
            .take(move |transaction| {
                Ok(claim::claim_free(transaction, node, instance)?
                    .into_iter()
                    .collect())
            })
            .await?;
        taken.into_iter().next().map(|(_, claimed)| claimed).transpose()
    }

    async fn held(&self, node: NodeId) -> Result<Vec<InstanceNo>, StoreError> {
        self.read(move |connection| claim::held(connection, node)).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(claim::next_due).await
    }

    async fn renew(&self, node: NodeId, until: Timestamp) -> Result<(), StoreError> {
        self.write_instances(move |transaction| claim::renew(transaction, node, until))
            .await
    }

    async fn register(&self, until: Timestamp) -> Result<NodeId, StoreError> {
        self.write(move |transaction| claim::register(transaction, until))
            .await
    }

    async fn send(&self, message: NewMessage) -> Result<InboxNo, SendError> {
        self.write_instances(move |transaction| inbox::send(transaction, &message))
            .await?
    }

    async fn inbox(&self, instance: InstanceNo, after: InboxNo) -> Result<Vec<InboxMessage>, StoreError> {
        self.read(move |connection| {
            snapshot(connection, |connection| read::inbox(connection, instance, after))
        })
        .await
    }

    async fn journal(&self, instance: InstanceNo) -> Result<Vec<JournalEntry>, StoreError> {
        self.read(move |connection| snapshot(connection, |connection| read::journal(connection, instance)))
            .await
    }

    async fn journal_from(
        &self,
        instance: InstanceNo,
        from: Seq,
        max_bytes: usize,
    ) -> Result<Option<JournalPage>, StoreError> {
        self.read(move |connection| {
            snapshot(connection, |connection| {
                read::journal_from(connection, instance, (from, max_bytes))
            })
        })
        .await
    }

    async fn payload(&self, instance: InstanceNo, seq: Seq) -> Result<Option<Bytes>, StoreError> {
        self.read(move |connection| {
            snapshot(connection, |connection| read::payload(connection, instance, seq))
        })
        .await
    }

    async fn write_streams(
        &self,
        writes: Vec<StreamWrite>,
    ) -> Result<Vec<Result<(), CommitError>>, StoreError> {
        self.write_instances(move |transaction| stream::write(transaction, &writes))
            .await
    }

    async fn stream_chunk(
        &self,
        instance: InstanceNo,
        stream: StreamNo,
        index: u32,
    ) -> Result<Option<Bytes>, StoreError> {
        self.read(move |connection| stream::chunk(connection, instance, (stream, index)))
            .await
    }

    async fn instance(&self, workflow: i64, id: &str) -> Result<Option<InstanceRow>, StoreError> {
        let id = id.to_owned();
        self.read(move |connection| read::find(connection, workflow, &id))
            .await
    }

    async fn instances(&self, workflow: i64, filter: &InstanceFilter) -> Result<InstancePage, StoreError> {
        let filter = filter.clone();
        self.read(move |connection| {
            snapshot(connection, |connection| list::page(connection, workflow, &filter))
        })
        .await
    }

    async fn counts(&self, workflow: i64) -> Result<StatusCounts, StoreError> {
        self.read(move |connection| read::counts(connection, workflow))
            .await
    }

    async fn queued(&self, account: &str) -> Result<u64, StoreError> {
        let account = account.to_owned();
        self.read(move |connection| read::queued(connection, &account))
            .await
    }

    async fn delete_instance(&self, instance: InstanceNo) -> Result<bool, StoreError> {
        self.write_instances(move |transaction| remove::delete_instance(transaction, instance))
            .await
    }

    async fn expire(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.write_instances(move |transaction| remove::expire(transaction, now, limit))
            .await
    }

    async fn add_script_version(&self, version: NewScriptVersion) -> Result<(), StoreError> {
        self.write(move |transaction| catalog::add_script_version(transaction, &version))
            .await
    }

    async fn script(&self, account: &str, script: &str) -> Result<Option<ScriptRow>, StoreError> {
        let (account, script) = (account.to_owned(), script.to_owned());
        self.read(move |connection| catalog::script(connection, &account, &script))
            .await
    }

    async fn scripts_named(&self, script: &str) -> Result<Vec<ScriptRow>, StoreError> {
        let script = script.to_owned();
        self.read(move |connection| catalog::scripts_named(connection, &script))
            .await
    }

    async fn script_versions(
        &self,
        account: &str,
        script: &str,
    ) -> Result<Vec<ScriptVersionRow>, StoreError> {
        let (account, script) = (account.to_owned(), script.to_owned());
        self.read(move |connection| catalog::script_versions(connection, &account, &script))
            .await
    }

    async fn script_modules(&self, version: &str) -> Result<Option<ScriptModules>, StoreError> {
        let version = version.to_owned();
        self.read(move |connection| {
            snapshot(connection, |connection| {
                catalog::script_modules(connection, &version)
            })
        })
        .await
    }

    async fn put_workflow(&self, workflow: NewWorkflow) -> Result<WorkflowRow, StoreError> {
        self.write(move |transaction| catalog::put_workflow(transaction, &workflow))
            .await
    }

    async fn sweep_versions(&self, keep: usize, limit: usize) -> Result<SweptVersions, StoreError> {
        self.write(move |transaction| versions::sweep(transaction, keep, limit))
            .await
    }

    async fn workflow(&self, account: &str, name: &str) -> Result<Option<WorkflowRow>, StoreError> {
        let (account, name) = (account.to_owned(), name.to_owned());
        self.read(move |connection| catalog::workflow(connection, &account, &name))
            .await
    }

    async fn deployed_workflow(
        &self,
        account: &str,
        name: &str,
    ) -> Result<Option<DeployedWorkflow>, StoreError> {
        let known = &self.ways()?.deployed;
        let missed = match known.get(account, name) {
            Ok(deployed) => return Ok(Some(deployed)),
            Err(missed) => missed,
        };
        let (account, name) = (account.to_owned(), name.to_owned());
        let read = self
            .read(move |connection| {
                snapshot(connection, |connection| {
                    catalog::deployed_workflow(connection, &account, &name)
                })
            })
            .await?;
        if let Some(deployed) = &read {
            known.remember(missed, deployed);
        }
        Ok(read)
    }

    async fn workflows(
        &self,
        account: &str,
        search: Option<&str>,
        page: WorkflowPage,
    ) -> Result<(Vec<WorkflowRow>, u64), StoreError> {
        let (account, search) = (account.to_owned(), search.map(str::to_owned));
        self.read(move |connection| {
            snapshot(connection, |connection| {
                catalog::workflows(connection, &account, search.as_deref(), page)
            })
        })
        .await
    }

    async fn workflow_versions(
        &self,
        workflow: i64,
        page: WorkflowPage,
    ) -> Result<(Vec<WorkflowVersionRow>, u64), StoreError> {
        self.read(move |connection| {
            snapshot(connection, |connection| {
                catalog::workflow_versions(connection, workflow, page)
            })
        })
        .await
    }

    async fn note_graph(
        &self,
        version: &str,
        script_version: &str,
        has_graph: bool,
    ) -> Result<(), StoreError> {
        let (version, script_version) = (version.to_owned(), script_version.to_owned());
        self.write(move |transaction| {
            catalog::note_graph(transaction, &version, (&script_version, has_graph))
        })
        .await
    }

    async fn delete_workflow(
        &self,
        account: &str,
        name: &str,
    ) -> Result<Option<Vec<InstanceNo>>, StoreError> {
        let (account, name) = (account.to_owned(), name.to_owned());
        self.write(move |transaction| remove::delete_workflow(transaction, &account, &name))
            .await
    }

    async fn schedules(&self) -> Result<Vec<ScheduleRow>, StoreError> {
        self.read(schedule::all).await
    }

    async fn schedule_done(&self, workflow: i64, cron: &str, until: Timestamp) -> Result<(), StoreError> {
        let cron = cron.to_owned();
        self.write_instances(move |transaction| schedule::done(transaction, (workflow, &cron), until))
            .await
    }

    async fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        let key = key.to_owned();
        self.read(move |connection| catalog::setting(connection, &key))
            .await
    }

    async fn put_setting(&self, key: &str, value: &str) -> Result<(), StoreError> {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.write(move |transaction| catalog::put_setting(transaction, &key, &value))
            .await
    }
}
