//! Removal: deletion, expiry, and workflows with all they have.

use super::*;

async fn finish(store: &dyn Store, id: &str, status: Status, ended_at: Timestamp) -> Held {
    let held = held(store, id).await;
    accept(store, vec![held.end(status, ended_at)]).await;
    Held {
        next: held.next + 1,
        ..held
    }
}

async fn exists(store: &dyn Store, held: &Held, id: &str) -> bool {
    store.instance(held.workflow, id).await.unwrap().is_some()
}

pub async fn a_deleted_instance_is_gone(subject: &Subject) {
    let store = &*subject.store;
    let (gone, kept) = (held(store, "gone").await, held(store, "kept").await);
    let large = vec![(b"e".to_vec(), Some(Bytes::from(vec![1; 20_000])))];
    accept(
        store,
        vec![
            Commit {
                entries: large.clone(),
                ..gone.commit()
            },
            Commit {
                entries: large,
                ..kept.commit()
            },
        ],
    )
    .await;
    store.send(message(gone.no, "m")).await.unwrap();
    assert!(store.delete_instance(gone.no).await.unwrap());
    assert!(!store.delete_instance(gone.no).await.unwrap());
    assert!(!exists(store, &gone, "gone").await);
    assert!(store.journal(gone.no).await.unwrap().is_empty());
    assert_eq!(store.payload(gone.no, Seq(1)).await.unwrap(), None);
    assert!(mail(store, gone.no).await.is_empty());
    assert_eq!(store.claim_one(gone.node, gone.no).await.unwrap(), None);
    assert_eq!(store.journal(kept.no).await.unwrap().len(), 2);
    assert_eq!(
        store.payload(kept.no, Seq(1)).await.unwrap().unwrap().len(),
        20_000
    );
}

pub async fn a_deleted_id_can_be_used_again(subject: &Subject) {
    let store = &*subject.store;
    let first = held(store, "one").await;
    accept(store, vec![first.entry("of the first")]).await;
    assert!(store.delete_instance(first.no).await.unwrap());
    let second = held(store, "one").await;
    assert!(second.no > first.no);
    assert_eq!(texts(&store.journal(second.no).await.unwrap()), ["created"]);
    refuse(store, first.entry("a ghost")).await;
}

pub async fn finished_instances_expire(subject: &Subject) {
    let store = &*subject.store;
    let done = finish(store, "done", Status::Complete, at(100)).await;
    finish(store, "stopped", Status::Terminated, at(100)).await;
    held(store, "running").await;
    assert_eq!(
        store.expire(at(100 + SUCCESS_RETENTION - 1), 10).await.unwrap(),
        0
    );
    assert_eq!(store.expire(at(100 + SUCCESS_RETENTION), 10).await.unwrap(), 2);
    assert!(!exists(store, &done, "done").await && !exists(store, &done, "stopped").await);
    assert!(store.journal(done.no).await.unwrap().is_empty());
    assert_eq!(store.expire(Timestamp(i64::MAX), 10).await.unwrap(), 0);
    assert!(exists(store, &done, "running").await);
    assert_eq!(store.counts(done.workflow).await.unwrap().total(), 1);
}

pub async fn errors_are_kept_for_their_own_time(subject: &Subject) {
    let store = &*subject.store;
    finish(store, "bad", Status::Errored, at(0)).await;
    assert_eq!(store.expire(at(ERROR_RETENTION - 1), 10).await.unwrap(), 0);
    assert_eq!(store.expire(at(ERROR_RETENTION), 10).await.unwrap(), 1);
}

pub async fn a_restart_calls_off_the_expiry(subject: &Subject) {
    let store = &*subject.store;
    let held = finish(store, "one", Status::Complete, at(0)).await;
    let lease = store.claim_one(held.node, held.no).await.unwrap().unwrap().lease;
    let held = Held { lease, ..held };
    let restart = Commit {
        status: Status::Queued,
        started_at: None,
        ..held.entry("again")
    };
    accept(
        store,
        vec![Commit {
            release: Some(Release { wake_at: Some(at(1)) }),
            ..restart
        }],
    )
    .await;
    assert_eq!(store.expire(Timestamp(i64::MAX), 10).await.unwrap(), 0);
    let row = store.instance(held.workflow, "one").await.unwrap().unwrap();
    assert_eq!(
        (row.status, row.started_at, row.ended_at),
        (Status::Queued, None, None)
    );
    let lease = store.claim_one(held.node, held.no).await.unwrap().unwrap().lease;
    accept(
        store,
        vec![
            Held {
                lease,
                next: held.next + 1,
                ..held
            }
            .end(Status::Complete, at(50)),
        ],
    )
    .await;
    assert_eq!(
        store.expire(at(SUCCESS_RETENTION), 10).await.unwrap(),
        0,
        "it counts from the new end"
    );
    assert_eq!(store.expire(at(50 + SUCCESS_RETENTION), 10).await.unwrap(), 1);
}

pub async fn expiry_takes_the_oldest_up_to_a_limit(subject: &Subject) {
    let store = &*subject.store;
    let held = finish(store, "c", Status::Complete, at(30)).await;
    finish(store, "a", Status::Complete, at(10)).await;
    finish(store, "b", Status::Complete, at(20)).await;
    assert_eq!(store.expire(at(100_000), 2).await.unwrap(), 2);
    assert!(exists(store, &held, "c").await);
    assert_eq!(store.expire(at(100_000), 2).await.unwrap(), 1);
}

pub async fn expiry_waits_for_mail_and_holders(subject: &Subject) {
    let store = &*subject.store;
    let mailed = finish(store, "mailed", Status::Complete, at(0)).await;
    let restart = store.send(message(mailed.no, "restart")).await.unwrap();
    let taken = finish(store, "taken", Status::Complete, at(0)).await;
    store.claim_one(taken.node, taken.no).await.unwrap().unwrap();
    finish(store, "idle", Status::Complete, at(1)).await;
    assert_eq!(
        store.expire(at(100_000), 1).await.unwrap(),
        1,
        "the others do not stand in its way"
    );
    assert!(exists(store, &mailed, "mailed").await && exists(store, &taken, "taken").await);
    let lease = store
        .claim_one(mailed.node, mailed.no)
        .await
        .unwrap()
        .unwrap()
        .lease;
    let mailed = Held { lease, ..mailed };
    accept(
        store,
        vec![Commit {
            consumed: Some(restart),
            ..mailed.end(Status::Complete, at(0))
        }],
    )
    .await;
    assert_eq!(store.expire(at(100_000), 10).await.unwrap(), 1);
}

pub async fn a_deleted_workflow_takes_its_instances_along(subject: &Subject) {
    let store = &*subject.store;
    let held_one = held(store, "held").await;
    let workflow = held_one.workflow;
    let other = super::workflow(store, "other").await;
    let stays = create(store, other, "stays").await;
    let batch = (0..300)
        .map(|n| new_instance(workflow, &format!("i{n}")))
        .collect();
    let free = store.create(batch, None).await.unwrap()[0].unwrap().0;
    store.send(message(free, "m")).await.unwrap();
    finish(store, "done", Status::Complete, at(0)).await;
    assert_eq!(
        store.delete_workflow("a", "w").await.unwrap(),
        Some(vec![held_one.no])
    );
    assert_eq!(store.delete_workflow("a", "w").await.unwrap(), None);
    assert_eq!(store.workflow("a", "w").await.unwrap(), None);
    assert_eq!(store.instance(workflow, "i0").await.unwrap(), None);
    let all = crate::InstanceFilter {
        limit: 10,
        ..Default::default()
    };
    assert_eq!(
        store.instances(workflow, &all).await.unwrap(),
        crate::InstancePage::default()
    );
    assert_eq!(store.counts(workflow).await.unwrap().total(), 0);
    assert!(store.journal(free).await.unwrap().is_empty() && mail(store, free).await.is_empty());
    assert_eq!(store.payload(free, Seq(0)).await.unwrap(), None);
    refuse(store, held_one.entry("late")).await;
    assert!(store.send(message(free, "late")).await.is_err());
    assert_eq!(store.claim_one(held_one.node, free).await.unwrap(), None);
    assert!(!store.delete_instance(free).await.unwrap());
    assert_eq!(store.expire(Timestamp(i64::MAX), 10).await.unwrap(), 0);
    let batch = vec![new_instance(workflow, "new")];
    assert_eq!(
        store.create(batch, None).await.unwrap(),
        [Err(crate::CreateError::NoWorkflow)]
    );
    let claimed = claim(store, held_one.node, at(1), 1_000).await;
    assert_eq!(
        claimed.iter().map(|claimed| claimed.row.no).collect::<Vec<_>>(),
        [stays]
    );
    assert_eq!(store.next_due().await.unwrap(), None);
}

pub async fn a_deleted_workflow_can_be_put_again(subject: &Subject) {
    let store = &*subject.store;
    let old = workflow(store, "w").await;
    create(store, old, "one").await;
    store.delete_workflow("a", "w").await.unwrap();
    let new = workflow(store, "w").await;
    assert!(new > old);
    let (versions, count) = store
        .workflow_versions(new, crate::WorkflowPage { offset: 0, limit: 10 })
        .await
        .unwrap();
    assert_eq!((versions.len(), count), (1, 1));
    create(store, new, "one").await;
    assert_eq!(store.counts(new).await.unwrap().total(), 1);
}
