//! Leases: who is due, who takes it, and what becomes of a node that is lost.

use super::*;

/// An instance that is due at some time.
async fn due_at(store: &dyn Store, id: &str, wake_at: Timestamp) -> Held {
    let held = held(store, id).await;
    accept(store, vec![held.release(Some(wake_at))]).await;
    held
}

pub async fn the_earliest_due_is_claimed_first(subject: &Subject) {
    let store = &*subject.store;
    for (id, millis) in [("c", 30), ("a", 10), ("d", 40), ("b", 20), ("b2", 20)] {
        due_at(store, id, at(millis)).await;
    }
    assert_eq!(
        ids(&claim(store, node(store).await, at(30), 10).await),
        ["a", "b", "b2", "c"]
    );
}

pub async fn a_limit_leaves_the_rest(subject: &Subject) {
    let store = &*subject.store;
    for (id, millis) in [("c", 30), ("a", 10), ("b", 20)] {
        due_at(store, id, at(millis)).await;
    }
    let node = node(store).await;
    assert!(claim(store, node, at(100), 0).await.is_empty());
    assert_eq!(ids(&claim(store, node, at(100), 2).await), ["a", "b"]);
    assert_eq!(ids(&claim(store, node, at(100), 2).await), ["c"]);
}

pub async fn nothing_is_claimed_twice(subject: &Subject) {
    let store = &*subject.store;
    let workflow = workflow(store, "w").await;
    create(store, workflow, "one").await;
    let (one, other) = (node(store).await, node(store).await);
    assert_eq!(claim(store, one, at(1), 10).await.len(), 1);
    assert!(claim(store, other, at(1), 10).await.is_empty());
    assert!(claim(store, one, at(1), 10).await.is_empty());
}

pub async fn racing_claims_share_nothing(subject: &Subject) {
    let workflow = workflow(&*subject.store, "w").await;
    let batch = (0..200)
        .map(|n| new_instance(workflow, &format!("i{n}")))
        .collect();
    subject.store.create(batch, None).await.unwrap();
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let store = Arc::clone(&subject.store);
        tasks.push(tokio::spawn(async move {
            let node = node(&*store).await;
            let mut claimed = Vec::new();
            loop {
                let some = claim(&*store, node, at(1), 7).await;
                if some.is_empty() {
                    return claimed;
                }
                claimed.extend(some.into_iter().map(|claimed| claimed.row.no));
            }
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all.sort_unstable();
    let claimed = all.len();
    all.dedup();
    assert_eq!((claimed, all.len()), (200, 200));
}

pub async fn what_is_not_due_is_left(subject: &Subject) {
    let store = &*subject.store;
    let held = held(store, "never").await;
    accept(store, vec![held.release(None)]).await;
    due_at(store, "later", at(10)).await;
    let node = node(store).await;
    assert!(claim(store, node, at(9), 10).await.is_empty());
    assert_eq!(ids(&claim(store, node, at(10), 10).await), ["later"]);
    assert!(claim(store, node, Timestamp(i64::MAX), 10).await.is_empty());
}

pub async fn one_instance_is_claimed_by_number(subject: &Subject) {
    let store = &*subject.store;
    let held = due_at(store, "one", at(1_000_000)).await;
    let other = node(store).await;
    let claimed = store.claim_one(other, held.no).await.unwrap().unwrap();
    assert_eq!((claimed.lease.node, claimed.row.id.as_str()), (other, "one"));
    assert_eq!(
        store.claim_one(held.node, held.no).await.unwrap(),
        None,
        "it is held"
    );
    assert_eq!(store.next_due().await.unwrap(), None);
    assert_eq!(
        store.claim_one(other, InstanceNo(held.no.0 + 1)).await.unwrap(),
        None,
        "it does not exist"
    );
    accept(
        store,
        vec![
            Held {
                lease: claimed.lease,
                ..held
            }
            .entry("mine"),
        ],
    )
    .await;
}

pub async fn what_is_held_is_not_free(subject: &Subject) {
    let store = &*subject.store;
    let held = held(store, "one").await;
    assert_eq!(
        store.claim_free(held.node, held.no).await.unwrap(),
        None,
        "by himself"
    );
    let other = node(store).await;
    assert_eq!(
        store.claim_free(other, held.no).await.unwrap(),
        None,
        "by another"
    );
    let free = due_at(store, "two", at(1_000_000)).await;
    let claimed = store.claim_free(other, free.no).await.unwrap().unwrap();
    assert_eq!((claimed.lease.node, claimed.row.id.as_str()), (other, "two"));
    assert_eq!(
        store.claim_free(other, InstanceNo(free.no.0 + 1)).await.unwrap(),
        None,
        "it does not exist"
    );
}

pub async fn a_holder_may_claim_again(subject: &Subject) {
    let store = &*subject.store;
    let held = held(store, "one").await;
    let again = store.claim_one(held.node, held.no).await.unwrap().unwrap();
    assert_eq!(
        again.lease,
        Lease {
            node: held.node,
            epoch: held.lease.epoch + 1
        }
    );
    refuse(store, held.entry("the holder before")).await;
}

pub async fn created_and_held_at_once(subject: &Subject) {
    let store = &*subject.store;
    let held = held(store, "one").await;
    assert_eq!(held.lease.node, held.node);
    assert!(claim(store, node(store).await, at(1_000), 10).await.is_empty());
    assert_eq!(store.next_due().await.unwrap(), None);
    accept(store, vec![held.entry("mine from the start")]).await;
}

pub async fn the_next_due_time_is_known(subject: &Subject) {
    let store = &*subject.store;
    assert_eq!(store.next_due().await.unwrap(), None);
    let later = due_at(store, "later", at(20)).await;
    due_at(store, "soon", at(10)).await;
    assert_eq!(store.next_due().await.unwrap(), Some(at(10)));
    assert_eq!(claim(store, later.node, at(10), 10).await.len(), 1);
    assert_eq!(store.next_due().await.unwrap(), Some(at(20)));
    assert!(store.delete_instance(later.no).await.unwrap());
    assert_eq!(store.next_due().await.unwrap(), None);
    create_at(store, later.workflow, "new", at(5)).await;
    assert_eq!(
        store.next_due().await.unwrap(),
        Some(at(5)),
        "a new instance is due at its creation"
    );
}

pub async fn a_claim_carries_everything(subject: &Subject) {
    let store = &*subject.store;
    let held = held(store, "one").await;
    let entries = vec![(b"step".to_vec(), Some(Bytes::from(vec![3; 9_000])))];
    accept(
        store,
        vec![Commit {
            entries,
            ..held.release(Some(at(1)))
        }],
    )
    .await;
    let no = store.send(message(held.no, "event")).await.unwrap();
    let claimed = claim(store, held.node, at(1), 1).await.remove(0);
    assert_eq!(
        claimed.row,
        store.instance(held.workflow, "one").await.unwrap().unwrap()
    );
    assert_eq!(
        (claimed.account.as_str(), claimed.workflow_name.as_str()),
        ("a", "w")
    );
    assert_eq!(claimed.journal, store.journal(held.no).await.unwrap());
    assert_eq!(
        claimed.journal[1].payload,
        Some(crate::Payload::Apart { bytes: 9_000 })
    );
    assert_eq!(
        claimed.inbox,
        store.inbox(held.no, InboxNo::default()).await.unwrap()
    );
    assert_eq!(claimed.inbox[0].no, no);
}

pub async fn a_lost_node_loses_its_instances(subject: &Subject) {
    let store = &*subject.store;
    let (lost, other) = (store.register(at(100)).await.unwrap(), node(store).await);
    let workflow = workflow(store, "w").await;
    let created = store
        .create(
            vec![new_instance(workflow, "one"), new_instance(workflow, "two")],
            Some(lost),
        )
        .await;
    let (no, lease) = created.unwrap()[0].unwrap();
    let held = Held {
        no,
        workflow,
        node: lost,
        lease: lease.unwrap(),
        next: 1,
    };
    assert!(
        claim(store, other, at(100), 10).await.is_empty(),
        "the lease has not ended yet"
    );
    accept(store, vec![held.entry("in time")]).await;
    let taken = claim(store, other, at(101), 1).await;
    assert_eq!(ids(&taken), ["one"]);
    assert_eq!(texts(&taken[0].journal), ["created", "in time"]);
    refuse(store, Held { next: 2, ..held }.entry("too late")).await;
    assert_eq!(store.claim_one(lost, no).await.unwrap(), None);
    assert_eq!(ids(&claim(store, other, at(101), 10).await), ["two"]);
}

pub async fn a_renewed_node_keeps_its_instances(subject: &Subject) {
    let store = &*subject.store;
    let (slow, other) = (store.register(at(100)).await.unwrap(), node(store).await);
    let workflow = workflow(store, "w").await;
    store
        .create(vec![new_instance(workflow, "one")], Some(slow))
        .await
        .unwrap();
    store.renew(slow, at(200)).await.unwrap();
    assert!(claim(store, other, at(150), 10).await.is_empty());
    assert_eq!(claim(store, other, at(201), 10).await.len(), 1);
}

pub async fn an_own_late_lease_costs_nothing(subject: &Subject) {
    let store = &*subject.store;
    let late = store.register(at(100)).await.unwrap();
    let workflow = workflow(store, "w").await;
    let (no, lease) = store
        .create(vec![new_instance(workflow, "one")], Some(late))
        .await
        .unwrap()[0]
        .unwrap();
    assert!(
        claim(store, late, at(500), 10).await.is_empty(),
        "it would take from itself"
    );
    accept(
        store,
        vec![
            Held {
                no,
                workflow,
                node: late,
                lease: lease.unwrap(),
                next: 1,
            }
            .entry("still mine"),
        ],
    )
    .await;
}

pub async fn a_node_learns_what_it_holds(subject: &Subject) {
    let store = &*subject.store;
    let workflow = workflow(store, "w").await;
    let created = create(store, workflow, "claimed").await;
    let (node, other) = (node(store).await, node(store).await);
    assert!(store.held(node).await.unwrap().is_empty());
    claim(store, node, at(1), 10).await;
    let mine = held(store, "mine").await;
    assert_eq!(store.held(node).await.unwrap(), [created]);
    assert_eq!(store.held(mine.node).await.unwrap(), [mine.no]);
    assert!(store.held(other).await.unwrap().is_empty());
    accept(store, vec![mine.release(None)]).await;
    assert!(store.held(mine.node).await.unwrap().is_empty());
}
