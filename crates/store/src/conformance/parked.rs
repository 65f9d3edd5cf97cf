//! Instances that wait for a slot: held by nobody, due at no time, found by [`Store::claim_parked`].

use super::*;
use crate::Load;

async fn park(store: &dyn Store, workflow: i64, id: &str) -> InstanceNo {
    let new = NewInstance {
        start: Start::Parked,
        ..new_instance(workflow, id)
    };
    let node = node(store).await;
    let (no, lease) = store.create(vec![new], Some(node)).await.unwrap()[0].unwrap();
    assert_eq!(lease, None, "a parked instance has no holder");
    no
}

async fn claim_parked(store: &dyn Store, workflow: i64, limit: usize) -> Vec<String> {
    let node = node(store).await;
    let claimed = store.claim_parked(node, workflow, limit).await.unwrap();
    claimed
        .into_iter()
        .map(|claimed| {
            assert_eq!(claimed.lease.node, node);
            claimed.row.id
        })
        .collect()
}

async fn load(store: &dyn Store, workflow: i64) -> Load {
    let loads = store.loads().await.unwrap();
    loads.into_iter().find(|load| load.workflow == workflow).unwrap()
}

pub async fn a_parked_instance_is_not_due(subject: &Subject) {
    let store = &*subject.store;
    let workflow = workflow(store, "w").await;
    park(store, workflow, "one").await;
    assert_eq!(store.next_due().await.unwrap(), None);
    let far = Timestamp(i64::MAX);
    assert!(claim(store, node(store).await, far, 10).await.is_empty());
    let row = store.instance(workflow, "one").await.unwrap().unwrap();
    assert_eq!(row.status, Status::Queued);
}

pub async fn parked_instances_are_claimed_in_order(subject: &Subject) {
    let store = &*subject.store;
    let (workflow, other) = (workflow(store, "w").await, workflow(store, "other").await);
    for id in ["c", "a", "b"] {
        park(store, workflow, id).await;
    }
    park(store, other, "other").await;
    assert!(claim_parked(store, workflow, 0).await.is_empty());
    assert_eq!(claim_parked(store, workflow, 2).await, ["c", "a"]);
    assert_eq!(claim_parked(store, workflow, 9).await, ["b"]);
    assert!(claim_parked(store, workflow, 9).await.is_empty());
    assert_eq!(claim_parked(store, other, 9).await, ["other"]);
}

pub async fn those_that_waited_come_first(subject: &Subject) {
    let store = &*subject.store;
    let first = workflow(store, "w").await;
    park(store, first, "new").await;
    for id in ["x", "y"] {
        let waited = held(store, id).await;
        accept(store, vec![waited.release(None)]).await;
    }
    assert_eq!(claim_parked(store, first, 2).await, ["x", "y"]);
    assert_eq!(claim_parked(store, first, 2).await, ["new"]);
}

pub async fn a_release_without_a_time_parks(subject: &Subject) {
    let store = &*subject.store;
    let held = held(store, "one").await;
    let release = Commit {
        status: Status::Queued,
        ..held.release(None)
    };
    accept(store, vec![release]).await;
    assert_eq!(claim_parked(store, held.workflow, 9).await, ["one"]);
}

pub async fn mail_reaches_a_parked_instance(subject: &Subject) {
    let store = &*subject.store;
    let workflow = workflow(store, "w").await;
    let no = park(store, workflow, "one").await;
    store.send(message(no, "terminate")).await.unwrap();
    assert!(claim_parked(store, workflow, 9).await.is_empty(), "it is due");
    let node = node(store).await;
    let claimed = store.claim_one(node, no).await.unwrap().unwrap();
    assert_eq!(claimed.inbox.len(), 1);
    let again = Commit {
        instance: no,
        lease: claimed.lease,
        status: Status::Queued,
        started_at: None,
        consumed: Some(claimed.inbox[0].no),
        release: Some(Release { wake_at: None }),
        ..Held {
            no,
            workflow,
            node,
            lease: claimed.lease,
            next: 1,
        }
        .commit()
    };
    accept(store, vec![again]).await;
    assert_eq!(claim_parked(store, workflow, 9).await, ["one"]);
}

pub async fn paused_and_finished_instances_are_not_parked(subject: &Subject) {
    let store = &*subject.store;
    let paused = held(store, "paused").await;
    let release = Commit {
        status: Status::Paused,
        ..paused.release(None)
    };
    let ended = held(store, "ended").await;
    let due = held(store, "due").await;
    accept(
        store,
        vec![
            release,
            ended.end(Status::Complete, at(1)),
            due.release(Some(at(1))),
        ],
    )
    .await;
    assert!(!load(store, paused.workflow).await.parked);
    assert!(claim_parked(store, paused.workflow, 9).await.is_empty());
}

pub async fn parked_instances_go_with_their_workflow(subject: &Subject) {
    let store = &*subject.store;
    let first = workflow(store, "w").await;
    let no = park(store, first, "one").await;
    park(store, first, "two").await;
    assert!(store.delete_instance(no).await.unwrap());
    store.delete_workflow("a", "w").await.unwrap().unwrap();
    assert!(claim_parked(store, first, 9).await.is_empty());
    let again = workflow(store, "w").await;
    assert!(claim_parked(store, again, 9).await.is_empty());
}

pub async fn only_some_of_a_batch_are_parked(subject: &Subject) {
    let store = &*subject.store;
    let workflow = workflow(store, "w").await;
    let parked = NewInstance {
        start: Start::Parked,
        ..new_instance(workflow, "parked")
    };
    let batch = vec![new_instance(workflow, "held"), parked];
    let holder = node(store).await;
    let created = store.create(batch.clone(), Some(holder)).await.unwrap();
    let leases: Vec<bool> = created.iter().map(|one| one.unwrap().1.is_some()).collect();
    assert_eq!(leases, [true, false]);
    assert_eq!(claim_parked(store, workflow, 9).await, ["parked"]);
}

pub async fn loads_are_counted(subject: &Subject) {
    let store = &*subject.store;
    let idle = workflow(store, "idle").await;
    let running = held(store, "running").await;
    let rolling = held(store, "rolling").await;
    let waiting = held(store, "waiting").await;
    let rolling = Commit {
        status: Status::RollingBack,
        ..rolling.commit()
    };
    accept(
        store,
        vec![running.commit(), rolling, waiting.release(Some(at(9)))],
    )
    .await;
    let busy = load(store, running.workflow).await;
    assert_eq!(
        (busy.account.as_str(), busy.running, busy.parked),
        ("a", 2, false)
    );
    assert_eq!(
        busy.settings,
        store.workflow("a", "w").await.unwrap().unwrap().settings
    );
    let quiet = load(store, idle).await;
    assert_eq!((quiet.running, quiet.parked), (0, false));
    park(store, idle, "parked").await;
    assert!(load(store, idle).await.parked);
}
