//! Concurrency keys.

use super::*;
use crate::{KeyRow, WorkflowPage};

fn key(id: &str, account: &str, name: &str) -> KeyRow {
    KeyRow {
        id: id.to_owned(),
        account: account.to_owned(),
        name: name.to_owned(),
        limit: 3,
        created_at: at(1),
        modified_at: at(1),
    }
}

const ALL: WorkflowPage = WorkflowPage { offset: 0, limit: 10 };

pub async fn a_name_is_taken_once_in_an_account(subject: &Subject) {
    let store = &*subject.store;
    assert!(store.add_key(key("1", "a", "n")).await.unwrap());
    assert!(!store.add_key(key("2", "a", "n")).await.unwrap());
    assert!(store.add_key(key("3", "b", "n")).await.unwrap());
    assert_eq!(store.keys("a", ALL).await.unwrap(), (vec![key("1", "a", "n")], 1));
    assert_eq!(store.key("a", "1").await.unwrap(), Some(key("1", "a", "n")));
    for (account, id) in [("b", "1"), ("a", "3"), ("a", "2")] {
        assert_eq!(store.key(account, id).await.unwrap(), None);
        assert_eq!(store.limit_key(account, id, (1, at(9))).await.unwrap(), None);
        assert_eq!(store.remove_key(account, id).await.unwrap(), None);
    }
    assert_eq!(store.keys("b", ALL).await.unwrap().1, 1);
}

pub async fn keys_are_listed_by_name(subject: &Subject) {
    let store = &*subject.store;
    for (id, name) in [("1", "c"), ("2", "a"), ("3", "b")] {
        store.add_key(key(id, "a", name)).await.unwrap();
    }
    let names = async |offset, limit| {
        let (rows, total) = store.keys("a", WorkflowPage { offset, limit }).await.unwrap();
        assert_eq!(total, 3);
        rows.into_iter().map(|row| row.name).collect::<Vec<_>>()
    };
    assert_eq!(names(0, 2).await, ["a", "b"]);
    assert_eq!(names(2, 2).await, ["c"]);
    assert_eq!(names(u64::MAX, 2).await, [] as [&str; 0]);
}

pub async fn limits_change_and_keys_go(subject: &Subject) {
    let store = &*subject.store;
    store.add_key(key("1", "a", "n")).await.unwrap();
    let changed = KeyRow {
        limit: 7,
        modified_at: at(5),
        ..key("1", "a", "n")
    };
    assert_eq!(
        store.limit_key("a", "1", (7, at(5))).await.unwrap(),
        Some(changed.clone())
    );
    assert_eq!(store.key("a", "1").await.unwrap(), Some(changed.clone()));
    assert_eq!(store.remove_key("a", "1").await.unwrap(), Some(changed));
    assert_eq!(store.remove_key("a", "1").await.unwrap(), None);
    assert!(store.add_key(key("2", "a", "n")).await.unwrap());
}
