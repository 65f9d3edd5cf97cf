//! The promises of [`Store`], as tests that run on every store.
//!
//! A store's tests are one line: `cairn_store::conformance_tests!(make)`, where `make` is a function that returns a
//! [`Subject`] with an empty store. The list in [`conformance_tests!`] is the contract.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

pub mod access;
pub mod catalog;
pub mod commit;
pub mod create;
pub mod cron;
pub mod differential;
pub mod inbox;
pub mod keys;
pub mod lease;
pub mod list;
pub mod parked;
pub mod remove;
pub mod schedule;
pub mod scripts;
pub mod stream;

use crate::{
    AccessStore, Claim, Claimed, Commit, InboxNo, InstanceNo, JournalEntry, Lease, NewDeployment,
    NewInstance, NewMessage, NewScriptVersion, NewWorkflow, NodeId, Release, ScheduleRow, Start, Store,
    Trigger,
};
use bytes::Bytes;
use cairn_core::{Seq, Status, Timestamp};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A store under test, with what must live as long as it (a directory).
pub struct Subject {
    /// The store, empty.
    pub store: Arc<dyn Store>,
    /// The same store.
    pub access: Arc<dyn AccessStore>,
    _keep: Box<dyn Any + Send + Sync>,
}

impl Subject {
    /// A store that needs `keep` to live.
    pub fn new(store: impl Store + AccessStore, keep: impl Any + Send + Sync) -> Self {
        let store = Arc::new(store);
        Self {
            access: Arc::clone(&store) as _,
            store,
            _keep: Box::new(keep),
        }
    }
}

impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subject").finish_non_exhaustive()
    }
}

/// Emits one test for each promise. `$make` is a `fn() -> Subject`.
#[macro_export]
macro_rules! conformance_tests {
    ($make:expr) => {
        $crate::conformance_tests! { @modules $make;
            create: a_new_instance_is_queued_with_its_parameters, an_id_that_exists_is_refused,
                an_id_twice_in_a_batch_fails_alone, racing_creations_have_one_winner, ids_belong_to_their_workflow,
                a_workflow_that_is_missing_is_named, creation_marks_the_workflow_as_triggered, many_at_once,
                numbers_rise_and_are_not_used_twice;
            commit: entries_are_read_as_written, large_payloads_are_kept_apart, a_commit_changes_the_row,
                an_old_epoch_is_fenced, another_node_is_fenced, a_wrong_position_is_fenced,
                a_released_lease_is_fenced, a_missing_instance_is_fenced,
                a_fenced_commit_in_the_middle_does_not_touch_the_others, an_instance_twice_in_a_batch,
                a_restart_pins_to_new_versions, racing_commits_keep_every_journal_whole,
                a_journal_is_read_from_any_position;
            inbox: messages_come_in_order, a_full_inbox_refuses, consumed_messages_are_gone,
                mail_makes_a_free_instance_due, mail_does_not_take_a_held_instance,
                release_with_unread_mail_is_due_at_once, a_missing_instance_has_no_inbox, racing_senders_lose_nothing;
            lease: the_earliest_due_is_claimed_first, a_limit_leaves_the_rest, nothing_is_claimed_twice,
                racing_claims_share_nothing, what_is_not_due_is_left, one_instance_is_claimed_by_number,
                a_holder_may_claim_again, what_is_held_is_not_free, created_and_held_at_once, the_next_due_time_is_known,
                a_claim_carries_everything, a_lost_node_loses_its_instances, a_renewed_node_keeps_its_instances,
                an_own_late_lease_costs_nothing, a_node_learns_what_it_holds;
            list: pages_run_in_both_directions, a_cursor_goes_on_where_the_page_ended, filters_by_status,
                filters_by_dates, status_and_dates_together, counts_follow_every_change, those_queued_are_counted_by_account,
                an_empty_list, a_later_change_does_not_move_a_row;
            parked: a_parked_instance_is_not_due, parked_instances_are_claimed_in_order, those_that_waited_come_first,
                a_release_without_a_time_parks, mail_reaches_a_parked_instance, paused_and_finished_instances_are_not_parked,
                parked_instances_go_with_their_workflow, only_some_of_a_batch_are_parked, loads_are_counted;
            remove: a_deleted_instance_is_gone, a_deleted_id_can_be_used_again, finished_instances_expire,
                errors_are_kept_for_their_own_time, a_restart_calls_off_the_expiry, expiry_takes_the_oldest_up_to_a_limit,
                expiry_waits_for_mail_and_holders, a_deleted_workflow_takes_its_instances_along,
                a_deleted_workflow_can_be_put_again;
            catalog: script_versions_are_numbered, a_script_version_id_is_used_once, only_versions_of_the_script_are_deployed,
                modules_come_back_as_given, versions_that_nothing_needs_are_swept, versions_are_needed_until_the_last_instance_ends, scripts_are_found_by_name_in_all_accounts, a_put_makes_a_version, a_version_knows_its_script_and_its_graph,
                workflows_are_listed_and_searched, a_deployed_workflow_needs_all_its_parts, accounts_are_apart, settings_are_kept;
            scripts: deployments_are_kept_in_order, a_deployment_of_a_version_that_is_gone_is_not_listed,
                scripts_are_listed_by_account, a_version_is_found_by_its_id, script_settings_are_kept,
                a_removed_script_is_gone, versions_of_a_removed_script_stay_while_they_are_needed,
                a_removed_script_can_come_back, metadata_is_replaced;
            schedule: a_new_schedule_begins_when_it_is_put, a_schedule_goes_on_never_back, a_put_keeps_the_schedules_it_names,
                schedules_go_with_their_workflow;
            access: tokens_are_kept_until_they_are_removed, the_last_use_never_goes_back, accounts_are_those_that_have_something,
                the_audit_log_is_read_backwards, a_change_has_no_outcome_until_it_ends,
                the_audit_log_is_trimmed_from_its_oldest;
            cron: a_put_keeps_the_crons_it_names, a_cron_goes_on_never_back, crons_go_with_their_script;
            keys: a_name_is_taken_once_in_an_account, keys_are_listed_by_name, limits_change_and_keys_go;
            stream: pieces_are_read_as_written, only_the_holder_writes_pieces, dropped_streams_are_gone,
                streams_go_with_their_instance, streams_go_with_their_workflow;
        }
    };
    (@modules $make:expr; $($module:ident: $($promise:ident),+ $(,)?;)+) => {
        $(mod $module {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let subject = ($make)();
                $crate::conformance::$module::$promise(&subject).await;
            })+
        })+
    };
}

/// A time in the tests; all of them start here.
pub const START: Timestamp = Timestamp(1_700_000_000_000);
/// How long finished instances are kept in the tests.
pub const SUCCESS_RETENTION: u64 = 1_000;
/// How long failed instances are kept in the tests.
pub const ERROR_RETENTION: u64 = 5_000;

/// `START` and some milliseconds.
pub fn at(millis: u64) -> Timestamp {
    START.plus(millis)
}

/// Deploys a version of a script of an account; whether there is such a version.
pub async fn deploy(store: &dyn Store, [account, script, version]: [&str; 3], at: Timestamp) -> bool {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let deployment = NewDeployment {
        id: format!("deployment-{}", LAST.fetch_add(1, Ordering::Relaxed)),
        account: account.to_owned(),
        script: script.to_owned(),
        version: version.to_owned(),
        at,
        details: format!("details of {version}"),
    };
    store.deploy(deployment).await.unwrap()
}

/// A workflow `name` in account `a`; its number.
pub async fn workflow(store: &dyn Store, name: &str) -> i64 {
    store.put_workflow(new_workflow(name, "1")).await.unwrap().no
}

/// A workflow `name` of script `s` in account `a`.
pub fn new_workflow(name: &str, version: &str) -> NewWorkflow {
    NewWorkflow {
        account: "a".to_owned(),
        name: name.to_owned(),
        id: format!("id of {name}"),
        version: format!("{name}@{version}"),
        script: "s".to_owned(),
        class_name: "Class".to_owned(),
        at: START,
        settings: format!("{{\"v\":{version}}}"),
        schedules: Vec::new(),
    }
}

/// A version of script `s` in account `a`.
pub fn new_script_version(id: &str) -> NewScriptVersion {
    NewScriptVersion {
        id: id.to_owned(),
        account: "a".to_owned(),
        script: "s".to_owned(),
        created_at: START,
        metadata: format!("metadata of {id}"),
        modules: vec![
            ("z.js".to_owned(), Bytes::from_static(b"export default {}")),
            ("a.wasm".to_owned(), Bytes::from(vec![0; 100_000])),
            ("empty".to_owned(), Bytes::new()),
        ],
    }
}

/// An instance to create.
pub fn new_instance(workflow: i64, id: &str) -> NewInstance {
    NewInstance {
        workflow,
        id: id.to_owned(),
        version: "v1".to_owned(),
        script_version: "s1".to_owned(),
        class_name: "Class".to_owned(),
        trigger: Trigger::Api,
        created_at: START,
        success_retention_millis: SUCCESS_RETENTION,
        error_retention_millis: ERROR_RETENTION,
        entry: b"created".to_vec(),
        params: Bytes::from_static(b"{}"),
        start: Start::Now,
    }
}

/// Creates an instance that nobody holds.
pub async fn create(store: &dyn Store, workflow: i64, id: &str) -> InstanceNo {
    create_at(store, workflow, id, START).await
}

/// Creates an instance at some time.
pub async fn create_at(store: &dyn Store, workflow: i64, id: &str, created_at: Timestamp) -> InstanceNo {
    let new = NewInstance {
        created_at,
        ..new_instance(workflow, id)
    };
    let created = store.create(vec![new], None).await.unwrap();
    let (no, lease) = created[0].unwrap();
    assert_eq!(lease, None);
    no
}

/// A node, and an instance that it holds.
pub async fn held(store: &dyn Store, id: &str) -> Held {
    let node = node(store).await;
    let workflow = match store.workflow("a", "w").await.unwrap() {
        Some(workflow) => workflow.no,
        None => workflow(store, "w").await,
    };
    let created = store
        .create(vec![new_instance(workflow, id)], Some(node))
        .await
        .unwrap();
    let (no, lease) = created[0].unwrap();
    Held {
        no,
        workflow,
        node,
        lease: lease.unwrap(),
        next: 1,
    }
}

/// A node whose lease does not end.
pub async fn node(store: &dyn Store) -> NodeId {
    store.register(Timestamp(i64::MAX)).await.unwrap()
}

/// An instance with its holder.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    pub no: InstanceNo,
    pub workflow: i64,
    pub node: NodeId,
    pub lease: Lease,
    /// Entries in the journal.
    pub next: u64,
}

impl Held {
    /// An empty commit.
    pub fn commit(&self) -> Commit {
        Commit {
            instance: self.no,
            lease: self.lease,
            next_seq: Seq(self.next),
            entries: Vec::new(),
            status: Status::Running,
            started_at: Some(START),
            ended_at: None,
            at: START,
            consumed: None,
            release: None,
            repin: None,
        }
    }

    /// A commit of one entry.
    pub fn entry(&self, entry: &str) -> Commit {
        Commit {
            entries: vec![(entry.as_bytes().to_vec(), None)],
            ..self.commit()
        }
    }

    /// A commit that ends the instance and its lease.
    pub fn end(&self, status: Status, ended_at: Timestamp) -> Commit {
        Commit {
            status,
            ended_at: Some(ended_at),
            at: ended_at,
            release: Some(Release { wake_at: None }),
            ..self.entry("end")
        }
    }

    /// A commit that ends the lease.
    pub fn release(&self, wake_at: Option<Timestamp>) -> Commit {
        Commit {
            status: Status::Waiting,
            release: Some(Release { wake_at }),
            ..self.commit()
        }
    }
}

/// Commits that must be accepted.
pub async fn accept(store: &dyn Store, commits: Vec<Commit>) {
    let outcomes = store.commit(commits).await.unwrap();
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

/// A commit that must be fenced, and change nothing.
pub async fn refuse(store: &dyn Store, commit: Commit) {
    let before = store.journal(commit.instance).await.unwrap();
    let outcomes = store.commit(vec![commit.clone()]).await.unwrap();
    assert!(outcomes[0].is_err(), "{commit:?} was accepted");
    assert_eq!(store.journal(commit.instance).await.unwrap(), before);
}

/// The entries of a journal as text.
pub fn texts(journal: &[JournalEntry]) -> Vec<String> {
    journal
        .iter()
        .map(|line| String::from_utf8_lossy(&line.entry).into_owned())
        .collect()
}

/// A message with the text as command.
pub fn message(instance: InstanceNo, text: &str) -> NewMessage {
    NewMessage {
        instance,
        command: text.as_bytes().to_vec(),
        payload: None,
        limit: 100,
    }
}

/// The commands in an inbox as text.
pub async fn mail(store: &dyn Store, instance: InstanceNo) -> Vec<String> {
    let messages = store.inbox(instance, InboxNo::default()).await.unwrap();
    messages
        .iter()
        .map(|message| String::from_utf8_lossy(&message.command).into_owned())
        .collect()
}

/// Claims what is due.
pub async fn claim(store: &dyn Store, node: NodeId, now: Timestamp, limit: usize) -> Vec<Claimed> {
    store.claim(Claim { node, now, limit }).await.unwrap()
}

/// Ids of what was claimed.
pub fn ids(claimed: &[Claimed]) -> Vec<&str> {
    claimed.iter().map(|claimed| claimed.row.id.as_str()).collect()
}
