//! Creation: ids are unique, in a race too; each element of a batch stands alone.

use super::*;
use crate::CreateError;

pub async fn a_new_instance_is_queued_with_its_parameters(subject: &Subject) {
    let store = &*subject.store;
    let workflow = workflow(store, "w").await;
    let new = NewInstance {
        trigger: Trigger::Cron,
        success_retention_millis: u64::MAX,
        error_retention_millis: 0,
        ..new_instance(workflow, "one")
    };
    let no = store.create(vec![new], None).await.unwrap()[0].unwrap().0;
    let row = store.instance(workflow, "one").await.unwrap().unwrap();
    assert_eq!((row.no, row.workflow, row.id.as_str()), (no, workflow, "one"));
    assert_eq!(
        (
            row.version.as_str(),
            row.script_version.as_str(),
            row.class_name.as_str()
        ),
        ("v1", "s1", "Class")
    );
    assert_eq!((row.status, row.trigger), (Status::Queued, Trigger::Cron));
    assert_eq!(
        (row.created_at, row.modified_at, row.started_at, row.ended_at),
        (START, START, None, None)
    );
    assert_eq!(
        (row.success_retention_millis, row.error_retention_millis),
        (u64::MAX, 0)
    );
    let journal = store.journal(no).await.unwrap();
    assert_eq!(texts(&journal), ["created"]);
    assert_eq!(
        journal[0].payload,
        Some(crate::Payload::Inline(Bytes::from_static(b"{}")))
    );
    assert_eq!(store.instance(workflow, "two").await.unwrap(), None);
}

pub async fn an_id_that_exists_is_refused(subject: &Subject) {
    let store = &*subject.store;
    let workflow = workflow(store, "w").await;
    let no = create(store, workflow, "one").await;
    let again = NewInstance {
        params: Bytes::from_static(b"other"),
        ..new_instance(workflow, "one")
    };
    assert_eq!(
        store.create(vec![again], None).await.unwrap(),
        [Err(CreateError::Exists)]
    );
    assert_eq!(store.instance(workflow, "one").await.unwrap().unwrap().no, no);
    assert_eq!(
        store.payload(no, Seq(0)).await.unwrap(),
        Some(Bytes::from_static(b"{}"))
    );
    assert_eq!(store.counts(workflow).await.unwrap().total(), 1);
}

pub async fn an_id_twice_in_a_batch_fails_alone(subject: &Subject) {
    let store = &*subject.store;
    let workflow = workflow(store, "w").await;
    let batch = ["a", "b", "a", "c"].map(|id| new_instance(workflow, id));
    let created = store.create(batch.to_vec(), None).await.unwrap();
    assert_eq!(
        created.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [true, true, false, true]
    );
    assert_eq!(created[2], Err(CreateError::Exists));
    assert_eq!(store.counts(workflow).await.unwrap().of(Status::Queued), 3);
}

pub async fn racing_creations_have_one_winner(subject: &Subject) {
    let workflow = workflow(&*subject.store, "w").await;
    let mut tasks = Vec::new();
    for _ in 0..20 {
        let store = Arc::clone(&subject.store);
        tasks.push(tokio::spawn(async move {
            store
                .create(vec![new_instance(workflow, "one")], None)
                .await
                .unwrap()[0]
        }));
    }
    let mut created = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            Ok((no, _)) => created.push(no),
            Err(error) => assert_eq!(error, CreateError::Exists),
        }
    }
    assert_eq!(created.len(), 1);
    assert_eq!(
        subject.store.instance(workflow, "one").await.unwrap().unwrap().no,
        created[0]
    );
}

pub async fn ids_belong_to_their_workflow(subject: &Subject) {
    let store = &*subject.store;
    let (first, second) = (workflow(store, "w").await, workflow(store, "x").await);
    let (one, other) = (
        create(store, first, "one").await,
        create(store, second, "one").await,
    );
    assert_ne!(one, other);
    assert_eq!(store.instance(second, "one").await.unwrap().unwrap().no, other);
}

pub async fn a_workflow_that_is_missing_is_named(subject: &Subject) {
    let store = &*subject.store;
    let workflow = workflow(store, "w").await;
    let batch = vec![new_instance(workflow + 1, "a"), new_instance(workflow, "b")];
    let created = store.create(batch, None).await.unwrap();
    assert_eq!(created[0], Err(CreateError::NoWorkflow));
    assert!(created[1].is_ok());
    assert_eq!(store.instance(workflow + 1, "a").await.unwrap(), None);
}

pub async fn creation_marks_the_workflow_as_triggered(subject: &Subject) {
    let store = &*subject.store;
    let workflow = workflow(store, "w").await;
    assert_eq!(
        store.workflow("a", "w").await.unwrap().unwrap().triggered_at,
        None
    );
    create_at(store, workflow, "one", at(5)).await;
    create_at(store, workflow, "two", at(3)).await;
    assert_eq!(
        store.workflow("a", "w").await.unwrap().unwrap().triggered_at,
        Some(at(5))
    );
}

pub async fn many_at_once(subject: &Subject) {
    let store = &*subject.store;
    let workflow = workflow(store, "w").await;
    let batch = (0..500)
        .map(|n| new_instance(workflow, &format!("i{n}")))
        .collect();
    let created = store.create(batch, None).await.unwrap();
    assert_eq!(created.len(), 500);
    assert!(
        created
            .windows(2)
            .all(|pair| pair[0].unwrap().0 < pair[1].unwrap().0)
    );
    assert_eq!(store.counts(workflow).await.unwrap().of(Status::Queued), 500);
    assert_eq!(claim(store, node(store).await, at(1), 1_000).await.len(), 500);
}

pub async fn numbers_rise_and_are_not_used_twice(subject: &Subject) {
    let store = &*subject.store;
    let workflow = workflow(store, "w").await;
    let first = create(store, workflow, "a").await;
    let second = create(store, workflow, "b").await;
    assert!(second > first);
    assert!(store.delete_instance(second).await.unwrap());
    assert!(create(store, workflow, "b").await > second);
    let (one, other) = (node(store).await, node(store).await);
    assert_ne!(one, other);
}
