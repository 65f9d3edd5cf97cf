//! Tokens and the audit log.

use super::*;
use crate::StoreError;
use crate::access::{AuditEnd, AuditFilter, AuditNo, NewAudit, TokenRow};

fn token(id: &str, byte: u8) -> TokenRow {
    TokenRow {
        id: id.to_owned(),
        hash: [byte; 32],
        created_at: at(1),
        used_at: None,
        details: format!("details of {id}"),
    }
}

pub async fn tokens_are_kept_until_they_are_removed(subject: &Subject) {
    let store = &*subject.access;
    assert_eq!(store.tokens().await.unwrap(), []);
    store.add_token(token("b", 2)).await.unwrap();
    store.add_token(token("a", 1)).await.unwrap();
    assert_eq!(store.tokens().await.unwrap(), [token("a", 1), token("b", 2)]);
    for same in [token("a", 3), token("c", 1)] {
        let refused = store.add_token(same).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    }
    assert_eq!(store.tokens().await.unwrap().len(), 2);
    assert!(store.remove_token("a").await.unwrap());
    assert!(!store.remove_token("a").await.unwrap());
    assert_eq!(store.tokens().await.unwrap(), [token("b", 2)]);
    store.add_token(token("a", 1)).await.unwrap();
}

pub async fn the_last_use_never_goes_back(subject: &Subject) {
    let store = &*subject.access;
    store.add_token(token("a", 1)).await.unwrap();
    for (used, shown) in [(5, 5), (9, 9), (7, 9)] {
        store.token_used("a", at(used)).await.unwrap();
        assert_eq!(store.tokens().await.unwrap()[0].used_at, Some(at(shown)));
    }
    store.token_used("gone", at(1)).await.unwrap();
    assert_eq!(store.tokens().await.unwrap().len(), 1);
}

pub async fn accounts_are_those_that_have_something(subject: &Subject) {
    assert_eq!(subject.access.accounts().await.unwrap(), [] as [&str; 0]);
    let of = |account: &str| NewWorkflow {
        account: account.to_owned(),
        ..new_workflow("w", account)
    };
    for account in ["b", "a"] {
        subject.store.put_workflow(of(account)).await.unwrap();
    }
    let version = NewScriptVersion {
        id: "v".to_owned(),
        account: "c".to_owned(),
        script: "s".to_owned(),
        created_at: at(0),
        metadata: String::new(),
        modules: Vec::new(),
    };
    subject.store.add_script_version(version).await.unwrap();
    assert_eq!(subject.access.accounts().await.unwrap(), ["a", "b", "c"]);
    subject.store.delete_workflow("b", "w").await.unwrap();
    assert_eq!(subject.access.accounts().await.unwrap(), ["a", "c"]);
}

async fn begin(subject: &Subject, account: Option<&str>, millis: u64) -> AuditNo {
    let entry = NewAudit {
        at: at(millis),
        account: account.map(str::to_owned),
        details: format!("begun at {millis}"),
    };
    subject.access.begin_audit(entry).await.unwrap()
}

async fn times(subject: &Subject, filter: AuditFilter) -> Vec<i64> {
    let rows = subject.access.audit(&filter).await.unwrap();
    rows.into_iter().map(|row| row.at.0 - START.0).collect()
}

fn of(accounts: Option<&[&str]>, before: Option<AuditNo>, limit: usize) -> AuditFilter {
    AuditFilter {
        accounts: accounts.map(|accounts| accounts.iter().map(|account| (*account).to_owned()).collect()),
        before,
        limit,
    }
}

pub async fn the_audit_log_is_read_backwards(subject: &Subject) {
    let mut numbers = Vec::new();
    for (millis, account) in [Some("a"), Some("b"), None, Some("a"), Some("c")]
        .into_iter()
        .enumerate()
    {
        numbers.push(begin(subject, account, millis as u64).await);
    }
    assert!(numbers.is_sorted());
    assert_eq!(times(subject, of(None, None, 9)).await, [4, 3, 2, 1, 0]);
    assert_eq!(times(subject, of(None, Some(numbers[3]), 2)).await, [2, 1]);
    assert_eq!(times(subject, of(Some(&["a"]), None, 9)).await, [3, 0]);
    assert_eq!(times(subject, of(Some(&["a", "c", "a"]), None, 2)).await, [4, 3]);
    assert_eq!(
        times(subject, of(Some(&["a", "b"]), Some(numbers[3]), 9)).await,
        [1, 0]
    );
    assert_eq!(times(subject, of(Some(&[]), None, 9)).await, []);
}

pub async fn a_change_has_no_outcome_until_it_ends(subject: &Subject) {
    let no = begin(subject, None, 1).await;
    let all = of(None, None, 9);
    let row = subject.access.audit(&all).await.unwrap().remove(0);
    assert_eq!((row.no, row.status, row.account), (no, None, None));
    assert_eq!(row.details, "begun at 1");
    let end = AuditEnd {
        account: Some("a".to_owned()),
        details: "ended".to_owned(),
        status: 200,
    };
    subject.access.end_audit(no, end.clone()).await.unwrap();
    let row = subject.access.audit(&all).await.unwrap().remove(0);
    assert_eq!(
        (row.at, row.status, row.details.as_str()),
        (at(1), Some(200), "ended")
    );
    assert_eq!(times(subject, of(Some(&["a"]), None, 9)).await, [1]);
    subject.access.end_audit(AuditNo(no.0 + 1), end).await.unwrap();
    assert_eq!(times(subject, all).await, [1]);
}

pub async fn the_audit_log_is_trimmed_from_its_oldest(subject: &Subject) {
    for millis in 0..10 {
        begin(subject, Some("a"), millis).await;
    }
    let trim = async |before: u64, keep: u64, limit: usize| {
        subject.access.trim_audit(at(before), keep, limit).await.unwrap()
    };
    assert_eq!(trim(0, 100, 100).await, 0);
    assert_eq!(trim(3, 100, 2).await, 2, "not more than the limit");
    assert_eq!(trim(3, 100, 100).await, 1);
    assert_eq!(trim(0, 4, 100).await, 3);
    assert_eq!(times(subject, of(None, None, 99)).await, [9, 8, 7, 6]);
    assert_eq!(trim(99, 0, 100).await, 4);
    let next = begin(subject, None, 50).await;
    assert_eq!(next, AuditNo(11), "numbers are not used twice");
}
