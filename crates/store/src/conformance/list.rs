//! Lists: order, pages, filters, counts.

use super::*;
use crate::{InstanceFilter, InstancePage, SortOrder};

async fn page(store: &dyn Store, workflow: i64, filter: InstanceFilter) -> InstancePage {
    store.instances(workflow, &filter).await.unwrap()
}

fn shown(page: &InstancePage) -> Vec<&str> {
    page.rows.iter().map(|row| row.id.as_str()).collect()
}

const ALL: InstanceFilter = InstanceFilter {
    status: None,
    created_from: None,
    created_until: None,
    order: SortOrder::NewestFirst,
    after: None,
    offset: 0,
    limit: 100,
};
const OLDEST: InstanceFilter = InstanceFilter {
    order: SortOrder::OldestFirst,
    ..ALL
};

/// Instances `0`, `1`, … created 10 ms apart, each in a status; and one of another workflow.
async fn populate(store: &dyn Store, statuses: &[Status]) -> i64 {
    let (workflow, other) = (workflow(store, "w").await, workflow(store, "other").await);
    let node = node(store).await;
    create(store, other, "not here").await;
    for (n, status) in statuses.iter().enumerate() {
        let no = create_at(store, workflow, &n.to_string(), at(10 * n as u64)).await;
        if *status != Status::Queued {
            let lease = store.claim_one(node, no).await.unwrap().unwrap().lease;
            let held = Held {
                no,
                workflow,
                node,
                lease,
                next: 1,
            };
            let ended_at = status.is_final().then_some(START);
            accept(
                store,
                vec![Commit {
                    status: *status,
                    ended_at,
                    ..held.entry("x")
                }],
            )
            .await;
        }
    }
    workflow
}

const MIXED: [Status; 8] = [
    Status::Complete,
    Status::Running,
    Status::Errored,
    Status::Queued,
    Status::Complete,
    Status::Waiting,
    Status::Terminated,
    Status::Complete,
];

pub async fn pages_run_in_both_directions(subject: &Subject) {
    let store = &*subject.store;
    let workflow = populate(store, &[Status::Queued; 5]).await;
    let newest = page(store, workflow, InstanceFilter { limit: 2, ..ALL }).await;
    assert_eq!(
        (shown(&newest), newest.total, newest.more),
        (vec!["4", "3"], 5, true)
    );
    let oldest = page(store, workflow, InstanceFilter { limit: 2, ..OLDEST }).await;
    assert_eq!(
        (shown(&oldest), oldest.total, oldest.more),
        (vec!["0", "1"], 5, true)
    );
    let skipped = page(
        store,
        workflow,
        InstanceFilter {
            limit: 2,
            offset: 3,
            ..ALL
        },
    )
    .await;
    assert_eq!(
        (shown(&skipped), skipped.total, skipped.more),
        (vec!["1", "0"], 5, false)
    );
    let beyond = page(store, workflow, InstanceFilter { offset: 9, ..ALL }).await;
    assert_eq!((shown(&beyond), beyond.total, beyond.more), (vec![], 5, false));
    assert_eq!(
        page(store, workflow, InstanceFilter { limit: 0, ..ALL })
            .await
            .rows,
        []
    );
    let exact = page(store, workflow, InstanceFilter { limit: 5, ..ALL }).await;
    assert_eq!((exact.rows.len(), exact.more), (5, false));
}

pub async fn a_cursor_goes_on_where_the_page_ended(subject: &Subject) {
    let store = &*subject.store;
    let workflow = populate(store, &MIXED).await;
    for (order, status, expected) in [
        (
            SortOrder::NewestFirst,
            None,
            vec!["7", "6", "5", "4", "3", "2", "1", "0"],
        ),
        (
            SortOrder::OldestFirst,
            None,
            vec!["0", "1", "2", "3", "4", "5", "6", "7"],
        ),
        (
            SortOrder::NewestFirst,
            Some(Status::Complete),
            vec!["7", "4", "0"],
        ),
        (
            SortOrder::OldestFirst,
            Some(Status::Complete),
            vec!["0", "4", "7"],
        ),
    ] {
        let mut seen = Vec::new();
        let mut filter = InstanceFilter {
            order,
            status,
            limit: 2,
            ..ALL
        };
        loop {
            let page = page(store, workflow, filter.clone()).await;
            assert_eq!(
                page.total,
                expected.len() as u64,
                "the cursor does not change the total"
            );
            seen.extend(page.rows.iter().map(|row| row.id.clone()));
            filter.after = page.rows.last().map(|row| row.no);
            if !page.more {
                break;
            }
        }
        assert_eq!(seen, expected);
    }
}

pub async fn filters_by_status(subject: &Subject) {
    let store = &*subject.store;
    let workflow = populate(store, &MIXED).await;
    for status in Status::ALL {
        let expected: Vec<String> = (0..MIXED.len())
            .rev()
            .filter(|n| MIXED[*n] == status)
            .map(|n| n.to_string())
            .collect();
        let page = page(
            store,
            workflow,
            InstanceFilter {
                status: Some(status),
                ..ALL
            },
        )
        .await;
        assert_eq!(
            (shown(&page), page.total),
            (
                expected.iter().map(String::as_str).collect(),
                expected.len() as u64
            )
        );
        assert!(page.rows.iter().all(|row| row.status == status));
    }
}

pub async fn filters_by_dates(subject: &Subject) {
    let store = &*subject.store;
    let workflow = populate(store, &[Status::Queued; 6]).await;
    // A clock that stepped back: the order is that of creation all the same.
    create_at(store, workflow, "back", at(15)).await;
    let between = |from: Option<u64>, until: Option<u64>| InstanceFilter {
        created_from: from.map(at),
        created_until: until.map(at),
        ..ALL
    };
    for (filter, expected) in [
        (between(Some(20), None), vec!["5", "4", "3", "2"]),
        (between(None, Some(20)), vec!["back", "2", "1", "0"]),
        (between(Some(11), Some(30)), vec!["back", "3", "2"]),
        (between(Some(60), None), vec![]),
        (between(Some(30), Some(20)), vec![]),
    ] {
        let page = page(store, workflow, filter.clone()).await;
        assert_eq!(
            (shown(&page), page.total),
            (expected.clone(), expected.len() as u64),
            "{filter:?}"
        );
    }
    let second = page(
        store,
        workflow,
        InstanceFilter {
            limit: 1,
            offset: 1,
            ..between(Some(11), Some(30))
        },
    )
    .await;
    assert_eq!((shown(&second), second.total, second.more), (vec!["3"], 3, true));
}

pub async fn status_and_dates_together(subject: &Subject) {
    let store = &*subject.store;
    let workflow = populate(store, &MIXED).await;
    let within = |status| InstanceFilter {
        status: Some(status),
        created_from: Some(at(10)),
        created_until: Some(at(50)),
        ..ALL
    };
    for (status, expected) in [
        (Status::Complete, vec!["4"]),
        (Status::Waiting, vec!["5"]),
        (Status::Queued, vec!["3"]),
        (Status::Terminated, vec![]),
    ] {
        let page = page(store, workflow, within(status)).await;
        assert_eq!(
            (shown(&page), page.total),
            (expected.clone(), expected.len() as u64)
        );
    }
}

pub async fn counts_follow_every_change(subject: &Subject) {
    let store = &*subject.store;
    let workflow = populate(store, &MIXED).await;
    let counts = store.counts(workflow).await.unwrap();
    for status in Status::ALL {
        let expected = MIXED.iter().filter(|mixed| **mixed == status).count() as u64;
        assert_eq!(counts.of(status), expected, "{}", status.as_str());
    }
    let complete = store.instance(workflow, "0").await.unwrap().unwrap().no;
    assert!(store.delete_instance(complete).await.unwrap());
    assert!(!store.delete_instance(complete).await.unwrap());
    let counts = store.counts(workflow).await.unwrap();
    assert_eq!((counts.of(Status::Complete), counts.total()), (2, 7));
}

pub async fn those_queued_are_counted_by_account(subject: &Subject) {
    let store = &*subject.store;
    assert_eq!(store.queued("a").await.unwrap(), 0);
    // And one of another workflow.
    populate(store, &[Status::Queued, Status::Running, Status::Queued]).await;
    assert_eq!(store.queued("a").await.unwrap(), 3);
    let theirs = NewWorkflow {
        account: "b".to_owned(),
        ..new_workflow("w", "1")
    };
    let theirs = store.put_workflow(theirs).await.unwrap().no;
    create(store, theirs, "theirs").await;
    let counts = (store.queued("a").await.unwrap(), store.queued("b").await.unwrap());
    assert_eq!(counts, (3, 1));
    assert!(store.delete_workflow("a", "w").await.unwrap().is_some());
    assert_eq!(store.queued("a").await.unwrap(), 1);
}

pub async fn an_empty_list(subject: &Subject) {
    let store = &*subject.store;
    let workflow = workflow(store, "w").await;
    for no in [workflow, workflow + 1] {
        assert_eq!(page(store, no, ALL).await, InstancePage::default());
        assert_eq!(store.counts(no).await.unwrap().total(), 0);
    }
}

pub async fn a_later_change_does_not_move_a_row(subject: &Subject) {
    let store = &*subject.store;
    let workflow = populate(store, &[Status::Queued, Status::Running, Status::Queued]).await;
    let no = store.instance(workflow, "0").await.unwrap().unwrap().no;
    let node = node(store).await;
    let lease = store.claim_one(node, no).await.unwrap().unwrap().lease;
    let held = Held {
        no,
        workflow,
        node,
        lease,
        next: 1,
    };
    accept(store, vec![held.end(Status::Errored, at(99))]).await;
    assert_eq!(shown(&page(store, workflow, ALL).await), ["2", "1", "0"]);
    let errored = page(
        store,
        workflow,
        InstanceFilter {
            status: Some(Status::Errored),
            ..ALL
        },
    )
    .await;
    assert_eq!(
        (errored.rows[0].id.as_str(), errored.rows[0].status, errored.total),
        ("0", Status::Errored, 1)
    );
}
