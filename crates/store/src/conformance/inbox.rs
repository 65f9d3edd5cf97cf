//! The inbox: durable, in order, bounded, and it wakes whom nobody holds.

use super::*;
use crate::SendError;

pub async fn messages_come_in_order(subject: &Subject) {
    let store = &*subject.store;
    let (one, two) = (held(store, "one").await.no, held(store, "two").await.no);
    let payload = Bytes::from(vec![9; 50_000]);
    let first = store.send(message(one, "a")).await.unwrap();
    store.send(message(two, "x")).await.unwrap();
    let with_payload = NewMessage {
        payload: Some(payload.clone()),
        ..message(one, "b")
    };
    let second = store.send(with_payload).await.unwrap();
    store
        .send(NewMessage {
            payload: Some(Bytes::new()),
            ..message(one, "")
        })
        .await
        .unwrap();
    assert!(second > first);
    assert_eq!(mail(store, one).await, ["a", "b", ""]);
    let later = store.inbox(one, first).await.unwrap();
    assert_eq!(
        (later[0].no, later[0].payload.as_ref(), later.len()),
        (second, Some(&payload), 2)
    );
    assert_eq!(later[1].payload, Some(Bytes::new()));
    assert_eq!(mail(store, two).await, ["x"]);
}

pub async fn a_full_inbox_refuses(subject: &Subject) {
    let store = &*subject.store;
    let held = held(store, "one").await;
    let bounded = |text: &str| NewMessage {
        limit: 2,
        ..message(held.no, text)
    };
    store.send(bounded("a")).await.unwrap();
    let second = store.send(bounded("b")).await.unwrap();
    assert!(matches!(
        store.send(bounded("c")).await,
        Err(SendError::Full { limit: 2 })
    ));
    assert!(matches!(
        store
            .send(NewMessage {
                limit: 0,
                ..message(held.no, "d")
            })
            .await,
        Err(SendError::Full { limit: 0 })
    ));
    assert_eq!(mail(store, held.no).await, ["a", "b"]);
    accept(
        store,
        vec![Commit {
            consumed: Some(second),
            ..held.commit()
        }],
    )
    .await;
    store.send(bounded("e")).await.unwrap();
    assert_eq!(mail(store, held.no).await, ["e"]);
}

pub async fn consumed_messages_are_gone(subject: &Subject) {
    let store = &*subject.store;
    let (held, other) = (held(store, "one").await, held(store, "two").await);
    store.send(message(held.no, "a")).await.unwrap();
    store.send(message(other.no, "x")).await.unwrap();
    let second = store.send(message(held.no, "b")).await.unwrap();
    store.send(message(held.no, "c")).await.unwrap();
    refuse(
        store,
        Commit {
            consumed: Some(second),
            ..Held { next: 5, ..held }.commit()
        },
    )
    .await;
    assert_eq!(mail(store, held.no).await, ["a", "b", "c"]);
    accept(
        store,
        vec![Commit {
            consumed: Some(second),
            ..held.entry("took a and b")
        }],
    )
    .await;
    assert_eq!(mail(store, held.no).await, ["c"]);
    assert_eq!(mail(store, other.no).await, ["x"]);
    let next = store.send(message(held.no, "d")).await.unwrap();
    assert!(next > second);
}

pub async fn mail_makes_a_free_instance_due(subject: &Subject) {
    let store = &*subject.store;
    let held = held(store, "one").await;
    accept(store, vec![held.release(Some(at(1_000_000)))]).await;
    assert!(claim(store, held.node, START, 10).await.is_empty());
    store.send(message(held.no, "wake up")).await.unwrap();
    assert!(store.next_due().await.unwrap().unwrap() <= START);
    let claimed = claim(store, held.node, START, 10).await;
    assert_eq!(ids(&claimed), ["one"]);
    assert_eq!(claimed[0].inbox[0].command, b"wake up");
}

pub async fn mail_does_not_take_a_held_instance(subject: &Subject) {
    let store = &*subject.store;
    let held = held(store, "one").await;
    store.send(message(held.no, "hello")).await.unwrap();
    assert!(claim(store, node(store).await, at(1), 10).await.is_empty());
    assert_eq!(store.next_due().await.unwrap(), None);
    accept(store, vec![held.entry("still mine")]).await;
}

pub async fn release_with_unread_mail_is_due_at_once(subject: &Subject) {
    let store = &*subject.store;
    for wake_at in [None, Some(at(1_000_000))] {
        let held = held(store, &format!("{wake_at:?}")).await;
        let read = store.send(message(held.no, "read")).await.unwrap();
        store.send(message(held.no, "unread")).await.unwrap();
        accept(
            store,
            vec![Commit {
                consumed: Some(read),
                ..held.release(wake_at)
            }],
        )
        .await;
        let claimed = claim(store, held.node, START, 10).await;
        assert_eq!(claimed.len(), 1);
        assert_eq!(mail(store, held.no).await, ["unread"]);
        let (lease, last) = (claimed[0].lease, claimed[0].inbox[0].no);
        accept(
            store,
            vec![Commit {
                consumed: Some(last),
                ..Held { lease, ..held }.release(None)
            }],
        )
        .await;
        assert!(claim(store, held.node, at(2_000_000), 10).await.is_empty());
    }
}

pub async fn a_missing_instance_has_no_inbox(subject: &Subject) {
    let store = &*subject.store;
    let held = held(store, "one").await;
    store.send(message(held.no, "a")).await.unwrap();
    assert!(store.delete_instance(held.no).await.unwrap());
    assert!(matches!(
        store.send(message(held.no, "b")).await,
        Err(SendError::NoInstance)
    ));
    assert!(mail(store, held.no).await.is_empty());
}

pub async fn racing_senders_lose_nothing(subject: &Subject) {
    let held = held(&*subject.store, "one").await;
    let mut tasks = Vec::new();
    for n in 0..60 {
        let store = Arc::clone(&subject.store);
        let bounded = NewMessage {
            limit: 40,
            ..message(held.no, &format!("{n}"))
        };
        tasks.push(tokio::spawn(async move { store.send(bounded).await }));
    }
    let mut accepted = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => accepted += 1,
            Err(error) => assert!(matches!(error, SendError::Full { limit: 40 }), "{error}"),
        }
    }
    assert_eq!(accepted, 40);
    let inbox = subject.store.inbox(held.no, InboxNo::default()).await.unwrap();
    assert!(inbox.len() == 40 && inbox.windows(2).all(|pair| pair[0].no < pair[1].no));
}
