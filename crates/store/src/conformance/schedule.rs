//! Schedules: which there are, and how far each has been dealt with.

use super::*;

fn with(schedules: &[&str], put_at: Timestamp) -> NewWorkflow {
    NewWorkflow {
        at: put_at,
        schedules: schedules.iter().map(|cron| (*cron).to_owned()).collect(),
        ..new_workflow("w", &put_at.0.to_string())
    }
}

async fn shown(store: &dyn Store) -> Vec<(String, String, Timestamp)> {
    let rows = store.schedules().await.unwrap();
    rows.into_iter()
        .map(|row| (row.workflow_name, row.cron, row.done_until))
        .collect()
}

fn row(workflow: &str, cron: &str, done_until: Timestamp) -> (String, String, Timestamp) {
    (workflow.to_owned(), cron.to_owned(), done_until)
}

pub async fn a_new_schedule_begins_when_it_is_put(subject: &Subject) {
    let store = &*subject.store;
    assert_eq!(shown(store).await, []);
    let workflow = store.put_workflow(with(&["b", "a"], at(5))).await.unwrap();
    let other = NewWorkflow {
        account: "b".to_owned(),
        ..with(&["a"], at(6))
    };
    store.put_workflow(other).await.unwrap();
    let rows = store.schedules().await.unwrap();
    let first = ScheduleRow {
        workflow: workflow.no,
        account: "a".to_owned(),
        workflow_name: "w".to_owned(),
        cron: "a".to_owned(),
        done_until: at(5),
    };
    assert_eq!(rows[0], first, "by workflow, then by expression");
    let accounts: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| (row.account.as_str(), row.cron.as_str()))
        .collect();
    assert_eq!(accounts, [("a", "a"), ("a", "b"), ("b", "a")]);
}

pub async fn a_schedule_goes_on_never_back(subject: &Subject) {
    let store = &*subject.store;
    let no = store.put_workflow(with(&["a", "b"], at(0))).await.unwrap().no;
    store.schedule_done(no, "a", at(50)).await.unwrap();
    store.schedule_done(no, "a", at(40)).await.unwrap();
    assert_eq!(shown(store).await, [row("w", "a", at(50)), row("w", "b", at(0))]);
    store.schedule_done(no, "none", at(60)).await.unwrap();
    store.schedule_done(no + 1, "a", at(60)).await.unwrap();
    assert_eq!(shown(store).await, [row("w", "a", at(50)), row("w", "b", at(0))]);
}

pub async fn a_put_keeps_the_schedules_it_names(subject: &Subject) {
    let store = &*subject.store;
    let no = store.put_workflow(with(&["a", "b"], at(0))).await.unwrap().no;
    store.schedule_done(no, "a", at(50)).await.unwrap();
    store.put_workflow(with(&["a", "c", "c"], at(70))).await.unwrap();
    assert_eq!(shown(store).await, [row("w", "a", at(50)), row("w", "c", at(70))]);
    store.put_workflow(with(&["b"], at(80))).await.unwrap();
    assert_eq!(
        shown(store).await,
        [row("w", "b", at(80))],
        "one that was away begins anew"
    );
    store.put_workflow(with(&[], at(90))).await.unwrap();
    assert_eq!(shown(store).await, []);
}

pub async fn schedules_go_with_their_workflow(subject: &Subject) {
    let store = &*subject.store;
    let no = store.put_workflow(with(&["a"], at(0))).await.unwrap().no;
    let other = NewWorkflow {
        name: "other".to_owned(),
        ..with(&["a"], at(1))
    };
    store.put_workflow(other).await.unwrap();
    store.delete_workflow("a", "w").await.unwrap();
    assert_eq!(shown(store).await, [row("other", "a", at(1))]);
    store.schedule_done(no, "a", at(5)).await.unwrap();
    assert_eq!(shown(store).await, [row("other", "a", at(1))]);
    store.put_workflow(with(&["a"], at(9))).await.unwrap();
    assert_eq!(
        shown(store).await,
        [row("other", "a", at(1)), row("w", "a", at(9))]
    );
}
