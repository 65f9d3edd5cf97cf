//! Commits: whole or not at all, fenced by lease and position, independent of each other.

use super::*;
use crate::{Payload, Repin};

pub async fn entries_are_read_as_written(subject: &Subject) {
    let store = &*subject.store;
    let mut held = held(store, "one").await;
    let all_bytes: Vec<u8> = (0..=255).collect();
    let value = Bytes::from(all_bytes.clone());
    for entries in [
        vec![(all_bytes.clone(), None), (Vec::new(), Some(Bytes::new()))],
        vec![],
        vec![(b"x".to_vec(), Some(value.clone()))],
    ] {
        let count = entries.len() as u64;
        accept(
            store,
            vec![Commit {
                entries,
                ..held.commit()
            }],
        )
        .await;
        held.next += count;
    }
    let journal = store.journal(held.no).await.unwrap();
    assert_eq!(
        journal.iter().map(|line| line.seq.0).collect::<Vec<_>>(),
        [0, 1, 2, 3]
    );
    assert_eq!((&journal[1].entry, &journal[1].payload), (&all_bytes, &None));
    assert_eq!(
        (journal[2].entry.len(), &journal[2].payload),
        (0, &Some(Payload::Inline(Bytes::new())))
    );
    assert_eq!(
        (&journal[3].entry[..], &journal[3].payload),
        (&b"x"[..], &Some(Payload::Inline(value.clone())))
    );
    assert_eq!(store.payload(held.no, Seq(3)).await.unwrap(), Some(value));
    assert_eq!(store.payload(held.no, Seq(1)).await.unwrap(), None);
    assert_eq!(store.payload(held.no, Seq(4)).await.unwrap(), None);
}

pub async fn large_payloads_are_kept_apart(subject: &Subject) {
    let store = &*subject.store;
    let held = held(store, "one").await;
    let sizes = [8 * 1024, 8 * 1024 + 1, 1_000_000];
    let payload = |size: usize| Bytes::from((0..size).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    let entries = sizes.map(|size| (b"e".to_vec(), Some(payload(size)))).to_vec();
    accept(
        store,
        vec![Commit {
            entries,
            ..held.commit()
        }],
    )
    .await;
    let journal = store.journal(held.no).await.unwrap();
    assert_eq!(journal[1].payload, Some(Payload::Inline(payload(sizes[0]))));
    assert_eq!(
        journal[2].payload,
        Some(Payload::Apart {
            bytes: sizes[1] as u64
        })
    );
    assert_eq!(
        journal[3].payload,
        Some(Payload::Apart {
            bytes: sizes[2] as u64
        })
    );
    for (size, seq) in sizes.into_iter().zip(1..) {
        assert_eq!(
            store.payload(held.no, Seq(seq)).await.unwrap(),
            Some(payload(size))
        );
    }
    let params = payload(20_000);
    let new = NewInstance {
        params: params.clone(),
        ..new_instance(held.workflow, "two")
    };
    let no = store.create(vec![new], None).await.unwrap()[0].unwrap().0;
    assert_eq!(
        store.journal(no).await.unwrap()[0].payload,
        Some(Payload::Apart { bytes: 20_000 })
    );
    assert_eq!(store.payload(no, Seq(0)).await.unwrap(), Some(params));
}

pub async fn a_commit_changes_the_row(subject: &Subject) {
    let store = &*subject.store;
    let mut held = held(store, "one").await;
    let row = || async { store.instance(held.workflow, "one").await.unwrap().unwrap() };
    accept(
        store,
        vec![Commit {
            started_at: Some(at(1)),
            at: at(1),
            ..held.entry("start")
        }],
    )
    .await;
    held.next += 1;
    let running = row().await;
    assert_eq!(
        (running.status, running.started_at, running.modified_at),
        (Status::Running, Some(at(1)), at(1))
    );
    accept(
        store,
        vec![Commit {
            started_at: Some(at(1)),
            at: at(2),
            ..held.entry("step")
        }],
    )
    .await;
    held.next += 1;
    assert_eq!(row().await.modified_at, at(1), "the status did not change");
    accept(
        store,
        vec![Commit {
            started_at: Some(at(1)),
            ..held.end(Status::Errored, at(3))
        }],
    )
    .await;
    let ended = row().await;
    assert_eq!(
        (ended.status, ended.started_at, ended.ended_at),
        (Status::Errored, Some(at(1)), Some(at(3)))
    );
    assert_eq!((ended.modified_at, ended.created_at), (at(3), START));
}

pub async fn an_old_epoch_is_fenced(subject: &Subject) {
    let store = &*subject.store;
    let old = held(store, "one").await;
    let lease = store.claim_one(old.node, old.no).await.unwrap().unwrap().lease;
    assert!(lease.epoch > old.lease.epoch);
    refuse(store, old.entry("late")).await;
    refuse(
        store,
        Held {
            lease: Lease {
                epoch: lease.epoch + 1,
                ..lease
            },
            ..old
        }
        .entry("early"),
    )
    .await;
    accept(store, vec![Held { lease, ..old }.entry("now")]).await;
}

pub async fn another_node_is_fenced(subject: &Subject) {
    let store = &*subject.store;
    let held = held(store, "one").await;
    let other = node(store).await;
    refuse(
        store,
        Held {
            lease: Lease {
                node: other,
                ..held.lease
            },
            ..held
        }
        .entry("not mine"),
    )
    .await;
}

pub async fn a_wrong_position_is_fenced(subject: &Subject) {
    let store = &*subject.store;
    let held = held(store, "one").await;
    refuse(store, Held { next: 0, ..held }.entry("again")).await;
    refuse(store, Held { next: 2, ..held }.entry("with a gap")).await;
    refuse(
        store,
        Held {
            next: u64::MAX,
            ..held
        }
        .entry("far out"),
    )
    .await;
    accept(store, vec![held.entry("right")]).await;
    refuse(store, held.entry("right")).await;
    refuse(store, Held { next: 1, ..held }.commit()).await;
}

pub async fn a_released_lease_is_fenced(subject: &Subject) {
    let store = &*subject.store;
    let held = held(store, "one").await;
    accept(store, vec![held.release(None)]).await;
    refuse(store, held.entry("late")).await;
}

pub async fn a_missing_instance_is_fenced(subject: &Subject) {
    let store = &*subject.store;
    let held = held(store, "one").await;
    refuse(
        store,
        Held {
            no: InstanceNo(held.no.0 + 1),
            ..held
        }
        .entry("who"),
    )
    .await;
    assert!(store.delete_instance(held.no).await.unwrap());
    refuse(store, held.entry("late")).await;
    assert_eq!(store.counts(held.workflow).await.unwrap().total(), 0);
}

pub async fn a_fenced_commit_in_the_middle_does_not_touch_the_others(subject: &Subject) {
    let store = &*subject.store;
    let all = [
        held(store, "a").await,
        held(store, "b").await,
        held(store, "c").await,
    ];
    let bad = Commit {
        entries: vec![(b"bad".to_vec(), Some(Bytes::from(vec![1; 100_000])))],
        ..Held { next: 9, ..all[1] }.end(Status::Complete, at(1))
    };
    let outcomes = store
        .commit(vec![all[0].entry("a"), bad, all[2].entry("c")])
        .await
        .unwrap();
    assert_eq!(
        outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [true, false, true]
    );
    assert_eq!(texts(&store.journal(all[0].no).await.unwrap()), ["created", "a"]);
    assert_eq!(texts(&store.journal(all[1].no).await.unwrap()), ["created"]);
    assert_eq!(texts(&store.journal(all[2].no).await.unwrap()), ["created", "c"]);
    assert_eq!(store.payload(all[1].no, Seq(9)).await.unwrap(), None);
    let counts = store.counts(all[0].workflow).await.unwrap();
    assert_eq!(
        (
            counts.of(Status::Queued),
            counts.of(Status::Running),
            counts.total()
        ),
        (1, 2, 3)
    );
    accept(store, vec![all[1].entry("b")]).await;
}

pub async fn an_instance_twice_in_a_batch(subject: &Subject) {
    let store = &*subject.store;
    let held = held(store, "one").await;
    let second = Held { next: 2, ..held };
    accept(store, vec![held.entry("first"), second.entry("second")]).await;
    assert_eq!(
        texts(&store.journal(held.no).await.unwrap()),
        ["created", "first", "second"]
    );
}

pub async fn a_restart_pins_to_new_versions(subject: &Subject) {
    let store = &*subject.store;
    let held = held(store, "one").await;
    let repin = Repin {
        version: "v2".to_owned(),
        script_version: "s2".to_owned(),
        class_name: "Other".to_owned(),
    };
    accept(
        store,
        vec![Commit {
            repin: Some(repin),
            started_at: None,
            status: Status::Queued,
            ..held.entry("again")
        }],
    )
    .await;
    let row = store.instance(held.workflow, "one").await.unwrap().unwrap();
    assert_eq!(
        (
            row.version.as_str(),
            row.script_version.as_str(),
            row.class_name.as_str()
        ),
        ("v2", "s2", "Other")
    );
    let other = create(store, held.workflow, "two").await;
    assert_eq!(
        store
            .claim_one(held.node, other)
            .await
            .unwrap()
            .unwrap()
            .row
            .version,
        "v1"
    );
}

pub async fn racing_commits_keep_every_journal_whole(subject: &Subject) {
    let mut tasks = Vec::new();
    for n in 0..20 {
        let mut held = held(&*subject.store, &format!("i{n}")).await;
        let store = Arc::clone(&subject.store);
        tasks.push(tokio::spawn(async move {
            for step in 1..=20 {
                accept(&*store, vec![held.entry(&format!("{step}"))]).await;
                refuse(&*store, held.entry("twice")).await;
                held.next += 1;
            }
            held.no
        }));
    }
    let expected: Vec<String> = std::iter::once("created".to_owned())
        .chain((1..=20).map(|n| n.to_string()))
        .collect();
    for task in tasks {
        assert_eq!(
            texts(&subject.store.journal(task.await.unwrap()).await.unwrap()),
            expected
        );
    }
}

pub async fn a_journal_is_read_from_any_position(subject: &Subject) {
    let store = &*subject.store;
    let mut held = held(store, "one").await;
    let other = create(store, held.workflow, "other").await;
    for size in [1, 3, 2] {
        let payload = Bytes::from(vec![7; 100]);
        let entries = (0..size).map(|n| (format!("{}+{n}", held.next).into_bytes(), Some(payload.clone())));
        let commit = Commit {
            entries: entries.collect(),
            ..held.commit()
        };
        accept(store, vec![commit]).await;
        held.next += size;
    }
    let whole = store.journal(held.no).await.unwrap();
    assert_eq!(whole.len(), 7);
    for max_bytes in [0, 1, 150, 350, 1_000_000] {
        for from in 0..=8 {
            let mut read = Vec::new();
            let mut next = Seq(from);
            loop {
                let page = store
                    .journal_from(held.no, next, max_bytes)
                    .await
                    .unwrap()
                    .unwrap();
                assert_eq!(page.end, Seq(7));
                let Some(last) = page.entries.last() else { break };
                assert!(
                    page.entries.len() <= 3 || max_bytes >= 150,
                    "{} entries",
                    page.entries.len()
                );
                next = Seq(last.seq.0 + 1);
                read.extend(page.entries);
            }
            let behind = usize::try_from(from).unwrap().min(7);
            assert_eq!(read, whole[behind..], "from {from} by {max_bytes} bytes");
        }
    }
    let page = store.journal_from(other, Seq(0), 0).await.unwrap().unwrap();
    assert_eq!(
        (texts(&page.entries), page.end),
        (vec!["created".to_owned()], Seq(1))
    );
    assert!(store.delete_instance(held.no).await.unwrap());
    assert_eq!(store.journal_from(held.no, Seq(0), 0).await.unwrap(), None);
    assert_eq!(
        store.journal_from(InstanceNo(9_999), Seq(0), 0).await.unwrap(),
        None
    );
}
