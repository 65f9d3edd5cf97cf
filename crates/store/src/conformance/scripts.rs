//! Scripts beside their code: deployments, settings, removal.

use super::*;
use crate::SweptVersions;

async fn add(store: &dyn Store, ids: &[&str]) {
    for id in ids {
        store.add_script_version(new_script_version(id)).await.unwrap();
    }
}

async fn deployed(store: &dyn Store) -> Vec<(String, Timestamp)> {
    let rows = store.deployments("a", "s").await.unwrap();
    rows.into_iter().map(|row| (row.version, row.at)).collect()
}

async fn swept(store: &dyn Store) -> Vec<String> {
    let SweptVersions { mut scripts, .. } = store.sweep_versions(10, 100).await.unwrap();
    scripts.sort();
    scripts
}

pub async fn deployments_are_kept_in_order(subject: &Subject) {
    let store = &*subject.store;
    add(store, &["first", "second"]).await;
    assert!(store.deployments("a", "s").await.unwrap().is_empty());
    assert!(!deploy(store, ["a", "s", "none"], at(1)).await);
    for (version, time) in [("first", 1), ("second", 2), ("first", 3)] {
        assert!(deploy(store, ["a", "s", version], at(time)).await);
    }
    assert_eq!(
        deployed(store).await,
        [
            ("first".to_owned(), at(3)),
            ("second".to_owned(), at(2)),
            ("first".to_owned(), at(1))
        ]
    );
    let rows = store.deployments("a", "s").await.unwrap();
    assert_eq!(rows[1].details, "details of second");
    assert_ne!(rows[0].id, rows[2].id);
    for (account, script) in [("b", "s"), ("a", "t")] {
        assert!(store.deployments(account, script).await.unwrap().is_empty());
        assert!(
            !store
                .forget_deployment(account, script, &rows[1].id)
                .await
                .unwrap()
        );
    }
    assert!(store.forget_deployment("a", "s", &rows[1].id).await.unwrap());
    assert!(!store.forget_deployment("a", "s", &rows[1].id).await.unwrap());
    assert_eq!(deployed(store).await.len(), 2);
    let row = store.script("a", "s").await.unwrap().unwrap();
    assert_eq!(row.deployed, Some(("first".to_owned(), at(3))));
}

pub async fn a_deployment_of_a_version_that_is_gone_is_not_listed(subject: &Subject) {
    let store = &*subject.store;
    add(store, &["first", "second"]).await;
    assert!(deploy(store, ["a", "s", "first"], at(1)).await);
    assert!(deploy(store, ["a", "s", "second"], at(2)).await);
    let gone = store.sweep_versions(1, 100).await.unwrap();
    assert_eq!(gone.scripts, ["first"]);
    assert_eq!(deployed(store).await, [("second".to_owned(), at(2))]);
}

pub async fn scripts_are_listed_by_account(subject: &Subject) {
    let store = &*subject.store;
    for (account, script) in [("a", "t"), ("a", "s"), ("b", "u")] {
        let version = NewScriptVersion {
            account: account.to_owned(),
            script: script.to_owned(),
            ..new_script_version(script)
        };
        store.add_script_version(version).await.unwrap();
    }
    let names = |rows: Vec<crate::ScriptRow>| rows.into_iter().map(|row| row.name).collect::<Vec<_>>();
    assert_eq!(names(store.scripts("a").await.unwrap()), ["s", "t"]);
    assert_eq!(names(store.scripts("b").await.unwrap()), ["u"]);
    assert!(store.scripts("c").await.unwrap().is_empty());
}

pub async fn a_version_is_found_by_its_id(subject: &Subject) {
    let store = &*subject.store;
    add(store, &["first", "second"]).await;
    let found = store.script_version("second").await.unwrap().unwrap();
    assert_eq!(
        (found.id.as_str(), found.number, found.metadata.as_str()),
        ("second", 2, "metadata of second")
    );
    assert_eq!(store.script_version("none").await.unwrap(), None);
}

pub async fn script_settings_are_kept(subject: &Subject) {
    let store = &*subject.store;
    assert!(!store.put_script_settings("a", "s", "{}").await.unwrap());
    add(store, &["first"]).await;
    assert_eq!(store.script("a", "s").await.unwrap().unwrap().settings, "{}");
    assert!(store.put_script_settings("a", "s", "{\"x\":1}").await.unwrap());
    assert!(!store.put_script_settings("b", "s", "{}").await.unwrap());
    add(store, &["second"]).await;
    assert!(deploy(store, ["a", "s", "second"], at(1)).await);
    assert_eq!(store.scripts_named("s").await.unwrap()[0].settings, "{\"x\":1}");
}

pub async fn a_removed_script_is_gone(subject: &Subject) {
    let store = &*subject.store;
    add(store, &["first", "second"]).await;
    assert!(deploy(store, ["a", "s", "first"], at(1)).await);
    workflow(store, "w").await;
    assert!(!store.delete_script("b", "s").await.unwrap());
    assert!(store.delete_script("a", "s").await.unwrap());
    assert!(!store.delete_script("a", "s").await.unwrap());
    assert_eq!(store.script("a", "s").await.unwrap(), None);
    assert!(store.scripts("a").await.unwrap().is_empty());
    assert!(store.scripts_named("s").await.unwrap().is_empty());
    assert!(store.script_versions("a", "s").await.unwrap().is_empty());
    assert!(deployed(store).await.is_empty());
    assert!(!deploy(store, ["a", "s", "first"], at(2)).await);
    assert!(store.workflow("a", "w").await.unwrap().is_some());
    assert_eq!(store.deployed_workflow("a", "w").await.unwrap(), None);
    assert_eq!(swept(store).await, ["first", "second"]);
    assert_eq!(store.script_modules("first").await.unwrap(), None);
}

pub async fn versions_of_a_removed_script_stay_while_they_are_needed(subject: &Subject) {
    let store = &*subject.store;
    add(store, &["first", "second"]).await;
    assert!(deploy(store, ["a", "s", "first"], at(1)).await);
    let no = workflow(store, "w").await;
    let node = node(store).await;
    let new = NewInstance {
        script_version: "first".to_owned(),
        ..new_instance(no, "i")
    };
    let (instance, _) = store.create(vec![new], Some(node)).await.unwrap()[0].unwrap();
    assert!(store.delete_script("a", "s").await.unwrap());
    assert_eq!(swept(store).await, ["second"]);
    let kept = store.script_modules("first").await.unwrap().unwrap();
    assert_eq!((kept.account.as_str(), kept.script.as_str()), ("a", "s"));
    assert_eq!(store.script_version("first").await.unwrap().unwrap().number, 1);
    assert!(store.delete_instance(instance).await.unwrap());
    assert_eq!(swept(store).await, ["first"]);
    assert_eq!(store.script_version("first").await.unwrap(), None);
}

pub async fn a_removed_script_can_come_back(subject: &Subject) {
    let store = &*subject.store;
    add(store, &["first"]).await;
    assert!(deploy(store, ["a", "s", "first"], at(1)).await);
    assert!(store.put_script_settings("a", "s", "{\"x\":1}").await.unwrap());
    workflow(store, "w").await;
    assert!(store.delete_script("a", "s").await.unwrap());
    add(store, &["second"]).await;
    assert!(deploy(store, ["a", "s", "second"], at(2)).await);
    let versions = store.script_versions("a", "s").await.unwrap();
    let versions: Vec<(&str, u32)> = versions.iter().map(|row| (row.id.as_str(), row.number)).collect();
    assert_eq!(versions, [("second", 1)]);
    assert_eq!(store.script("a", "s").await.unwrap().unwrap().settings, "{}");
    assert_eq!(deployed(store).await, [("second".to_owned(), at(2))]);
    let pinned = store.deployed_workflow("a", "w").await.unwrap().unwrap();
    assert_eq!(pinned.script_version, "second");
    assert_eq!(swept(store).await, ["first"]);
    assert!(store.delete_script("a", "s").await.unwrap());
    assert_eq!(swept(store).await, ["second"]);
}

pub async fn metadata_is_replaced(subject: &Subject) {
    let store = &*subject.store;
    add(store, &["1", "2", "3"]).await;
    let rows = store.versions_after(None, 2).await.unwrap();
    let ids: Vec<&str> = rows.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["1", "2"]);
    assert_eq!(rows[0].1, "metadata of 1");
    let replaced = vec![
        ("1".to_owned(), "one".to_owned()),
        ("3".to_owned(), "three".to_owned()),
    ];
    store.replace_metadata(replaced).await.unwrap();
    let rest = store.versions_after(Some("2"), 10).await.unwrap();
    assert_eq!(rest, [("3".to_owned(), "three".to_owned())]);
    assert_eq!(store.script_modules("1").await.unwrap().unwrap().metadata, "one");
    assert_eq!(
        store.script_version("2").await.unwrap().unwrap().metadata,
        "metadata of 2"
    );
}
