//! Schedules of scripts: which there are, how far each has been dealt with, and that they go with their script.

use super::*;

async fn put(store: &dyn Store, crons: &[&str], put_at: Timestamp) -> bool {
    let crons = crons.iter().map(|cron| (*cron).to_owned()).collect();
    store.put_script_crons("a", "s", (crons, put_at)).await.unwrap()
}

async fn add(store: &dyn Store, id: &str) {
    store.add_script_version(new_script_version(id)).await.unwrap();
}

async fn shown(store: &dyn Store) -> Vec<(String, i64, i64, i64)> {
    let rows = store.crons().await.unwrap();
    rows.into_iter()
        .map(|row| (row.cron, row.created_at.0, row.modified_at.0, row.done_until.0))
        .collect()
}

fn row(cron: &str, times: [u64; 3]) -> (String, i64, i64, i64) {
    let [created, modified, done] = times.map(|millis| at(millis).0);
    (cron.to_owned(), created, modified, done)
}

pub async fn a_put_keeps_the_crons_it_names(subject: &Subject) {
    let store = &*subject.store;
    assert!(!put(store, &["x"], at(1)).await, "there is no such script");
    add(store, "first").await;
    assert!(put(store, &["y", "x"], at(2)).await);
    assert_eq!(shown(store).await, [row("x", [2, 2, 2]), row("y", [2, 2, 2])]);
    let of_script = store.script_crons("a", "s").await.unwrap();
    assert_eq!(of_script, store.crons().await.unwrap());
    assert_eq!(
        (of_script[0].account.as_str(), of_script[0].script.as_str()),
        ("a", "s")
    );
    assert_eq!(store.script_crons("b", "s").await.unwrap(), []);
    store.cron_done(of_script[0].no, "x", at(9)).await.unwrap();
    assert!(put(store, &["x", "z"], at(5)).await);
    assert_eq!(shown(store).await, [row("x", [2, 5, 9]), row("z", [5, 5, 5])]);
    assert!(put(store, &[], at(6)).await);
    assert_eq!(shown(store).await, []);
}

pub async fn a_cron_goes_on_never_back(subject: &Subject) {
    let store = &*subject.store;
    add(store, "first").await;
    put(store, &["x", "y"], at(0)).await;
    let no = store.crons().await.unwrap()[0].no;
    store.cron_done(no, "x", at(50)).await.unwrap();
    store.cron_done(no, "x", at(40)).await.unwrap();
    store.cron_done(no, "none", at(60)).await.unwrap();
    store.cron_done(no + 1, "y", at(60)).await.unwrap();
    assert_eq!(shown(store).await, [row("x", [0, 0, 50]), row("y", [0, 0, 0])]);
}

pub async fn crons_go_with_their_script(subject: &Subject) {
    let store = &*subject.store;
    add(store, "first").await;
    put(store, &["x"], at(0)).await;
    assert!(store.delete_script("a", "s").await.unwrap());
    assert_eq!(shown(store).await, []);
    assert!(!put(store, &["x"], at(1)).await);
    add(store, "second").await;
    assert_eq!(shown(store).await, [], "one that comes back begins anew");
}
