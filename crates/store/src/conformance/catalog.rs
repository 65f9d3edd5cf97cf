//! The catalog: scripts, workflows, versions, deployments, settings.

use super::*;
use crate::{Repin, SweptVersions};
use crate::{ScriptRow, StoreError, WorkflowPage, WorkflowRow};

const PAGE: WorkflowPage = WorkflowPage {
    offset: 0,
    limit: 100,
};

fn names(rows: &[WorkflowRow]) -> Vec<&str> {
    rows.iter().map(|row| row.name.as_str()).collect()
}

pub async fn script_versions_are_numbered(subject: &Subject) {
    let store = &*subject.store;
    store
        .add_script_version(new_script_version("first"))
        .await
        .unwrap();
    let second = NewScriptVersion {
        created_at: at(5),
        ..new_script_version("second")
    };
    store.add_script_version(second).await.unwrap();
    let other = NewScriptVersion {
        script: "t".to_owned(),
        ..new_script_version("other")
    };
    store.add_script_version(other).await.unwrap();
    let versions = store.script_versions("a", "s").await.unwrap();
    let shown: Vec<(&str, u32, Timestamp)> = versions
        .iter()
        .map(|version| (version.id.as_str(), version.number, version.created_at))
        .collect();
    assert_eq!(shown, [("second", 2, at(5)), ("first", 1, START)]);
    assert_eq!(versions[1].metadata, "metadata of first");
    assert_eq!(store.script_versions("a", "t").await.unwrap()[0].number, 1);
    let expected = ScriptRow {
        account: "a".to_owned(),
        name: "s".to_owned(),
        created_at: START,
        modified_at: at(5),
        deployed: None,
        settings: "{}".to_owned(),
    };
    assert_eq!(store.script("a", "s").await.unwrap(), Some(expected));
    assert_eq!(store.script("a", "none").await.unwrap(), None);
    assert!(store.script_versions("a", "none").await.unwrap().is_empty());
}

pub async fn a_script_version_id_is_used_once(subject: &Subject) {
    let store = &*subject.store;
    store
        .add_script_version(new_script_version("first"))
        .await
        .unwrap();
    let again = NewScriptVersion {
        script: "t".to_owned(),
        ..new_script_version("first")
    };
    assert!(matches!(
        store.add_script_version(again).await,
        Err(StoreError::Refused(_))
    ));
    assert_eq!(
        store.script("a", "t").await.unwrap(),
        None,
        "nothing is half-written"
    );
}

pub async fn only_versions_of_the_script_are_deployed(subject: &Subject) {
    let store = &*subject.store;
    store
        .add_script_version(new_script_version("first"))
        .await
        .unwrap();
    let other = NewScriptVersion {
        script: "t".to_owned(),
        ..new_script_version("other")
    };
    store.add_script_version(other).await.unwrap();
    assert!(!deploy(store, ["a", "s", "other"], at(1)).await);
    assert!(!deploy(store, ["a", "s", "none"], at(1)).await);
    assert!(!deploy(store, ["b", "s", "first"], at(1)).await);
    assert_eq!(store.script("a", "s").await.unwrap().unwrap().deployed, None);
    assert!(deploy(store, ["a", "s", "first"], at(2)).await);
    let row = store.script("a", "s").await.unwrap().unwrap();
    assert_eq!(
        (row.deployed, row.modified_at),
        (Some(("first".to_owned(), at(2))), at(2))
    );
    store
        .add_script_version(NewScriptVersion {
            created_at: at(3),
            ..new_script_version("next")
        })
        .await
        .unwrap();
    assert_eq!(
        store.script("a", "s").await.unwrap().unwrap().deployed.unwrap().0,
        "first",
        "an upload deploys nothing"
    );
    assert!(deploy(store, ["a", "s", "next"], at(4)).await);
    assert_eq!(
        store.script("a", "s").await.unwrap().unwrap().deployed,
        Some(("next".to_owned(), at(4)))
    );
}

pub async fn modules_come_back_as_given(subject: &Subject) {
    let store = &*subject.store;
    let new = new_script_version("first");
    store.add_script_version(new.clone()).await.unwrap();
    let modules = store.script_modules("first").await.unwrap().unwrap();
    assert_eq!(
        (modules.account, modules.script, modules.metadata),
        (new.account, new.script, new.metadata)
    );
    assert_eq!(modules.modules, new.modules);
    assert_eq!(store.script_modules("none").await.unwrap(), None);
}

pub async fn scripts_are_found_by_name_in_all_accounts(subject: &Subject) {
    let store = &*subject.store;
    for account in ["b", "a"] {
        let new = NewScriptVersion {
            account: account.to_owned(),
            ..new_script_version(account)
        };
        store.add_script_version(new).await.unwrap();
    }
    let found = store.scripts_named("s").await.unwrap();
    assert_eq!(
        found.iter().map(|row| row.account.as_str()).collect::<Vec<_>>(),
        ["b", "a"]
    );
    assert!(store.scripts_named("t").await.unwrap().is_empty());
}

pub async fn a_put_makes_a_version(subject: &Subject) {
    let store = &*subject.store;
    let first = store.put_workflow(new_workflow("w", "1")).await.unwrap();
    let change = NewWorkflow {
        id: "not taken".to_owned(),
        class_name: "Other".to_owned(),
        script: "t".to_owned(),
        at: at(9),
        ..new_workflow("w", "2")
    };
    let second = store.put_workflow(change).await.unwrap();
    assert_eq!((second.no, &second.id), (first.no, &first.id));
    assert_eq!((second.created_at, second.modified_at), (START, at(9)));
    assert_eq!(
        (
            second.version.as_str(),
            second.class_name.as_str(),
            second.script.as_str()
        ),
        ("w@2", "Other", "t")
    );
    assert_eq!(second.settings, "{\"v\":2}");
    assert_eq!(store.workflow("a", "w").await.unwrap(), Some(second));
    let (versions, count) = store.workflow_versions(first.no, PAGE).await.unwrap();
    assert_eq!(count, 2);
    let shown: Vec<(&str, &str)> = versions
        .iter()
        .map(|row| (row.id.as_str(), row.class_name.as_str()))
        .collect();
    assert_eq!(shown, [("w@2", "Other"), ("w@1", "Class")]);
    assert!(versions.iter().all(|row| row.workflow_id == first.id));
    assert_eq!(
        (versions[1].created_at, versions[1].settings.as_str()),
        (START, "{\"v\":1}")
    );
    let (older, count) = store
        .workflow_versions(first.no, WorkflowPage { offset: 1, limit: 1 })
        .await
        .unwrap();
    assert_eq!((older[0].id.as_str(), older.len(), count), ("w@1", 1, 2));
    assert_eq!(
        store.workflow_versions(first.no + 1, PAGE).await.unwrap(),
        (vec![], 0)
    );
}

pub async fn a_version_knows_its_script_and_its_graph(subject: &Subject) {
    let store = &*subject.store;
    let early = store.put_workflow(new_workflow("w", "1")).await.unwrap();
    let script = new_script_version("early");
    store.add_script_version(script).await.unwrap();
    assert!(deploy(store, ["a", &early.script, "early"], at(2)).await);
    store.put_workflow(new_workflow("w", "2")).await.unwrap();
    store.note_graph("w@2", "early", true).await.unwrap();
    store.note_graph("nobody", "early", true).await.unwrap();
    let known = async || {
        let (versions, _) = store.workflow_versions(early.no, PAGE).await.unwrap();
        let known = versions
            .into_iter()
            .map(|row| (row.id, row.script_version, row.has_graph));
        known.collect::<Vec<_>>()
    };
    let deployed = Some("early".to_owned());
    assert_eq!(
        known().await,
        [
            ("w@2".to_owned(), deployed.clone(), Some(true)),
            ("w@1".to_owned(), None, None)
        ]
    );
    store.note_graph("w@1", "early", false).await.unwrap();
    assert_eq!(known().await[1], ("w@1".to_owned(), deployed, Some(false)));
}

pub async fn workflows_are_listed_and_searched(subject: &Subject) {
    let store = &*subject.store;
    for name in ["order-food", "pay", "Reorder", "100%_off"] {
        workflow(store, name).await;
    }
    let (all, total) = store.workflows("a", None, PAGE).await.unwrap();
    assert_eq!(
        (names(&all), total),
        (vec!["100%_off", "Reorder", "pay", "order-food"], 4)
    );
    let (found, total) = store.workflows("a", Some("ORDER"), PAGE).await.unwrap();
    assert_eq!((names(&found), total), (vec!["Reorder", "order-food"], 2));
    let (second, total) = store
        .workflows("a", Some("order"), WorkflowPage { offset: 1, limit: 1 })
        .await
        .unwrap();
    assert_eq!((names(&second), total), (vec!["order-food"], 2));
    for (search, expected) in [("%_", vec!["100%_off"]), ("_", vec!["100%_off"]), ("x", vec![])] {
        assert_eq!(
            names(&store.workflows("a", Some(search), PAGE).await.unwrap().0),
            expected,
            "{search}"
        );
    }
    assert_eq!(store.workflows("a", Some(""), PAGE).await.unwrap().1, 4);
}

pub async fn a_deployed_workflow_needs_all_its_parts(subject: &Subject) {
    let store = &*subject.store;
    assert_eq!(store.deployed_workflow("a", "w").await.unwrap(), None);
    workflow(store, "w").await;
    assert_eq!(store.deployed_workflow("a", "w").await.unwrap(), None);
    store
        .add_script_version(new_script_version("first"))
        .await
        .unwrap();
    assert_eq!(store.deployed_workflow("a", "w").await.unwrap(), None);
    deploy(store, ["a", "s", "first"], at(1)).await;
    let deployed = store.deployed_workflow("a", "w").await.unwrap().unwrap();
    assert_eq!(
        (deployed.workflow.name.as_str(), deployed.script_version.as_str()),
        ("w", "first")
    );
}

pub async fn accounts_are_apart(subject: &Subject) {
    let store = &*subject.store;
    let mine = workflow(store, "w").await;
    let theirs = store
        .put_workflow(NewWorkflow {
            account: "b".to_owned(),
            ..new_workflow("w", "1")
        })
        .await
        .unwrap();
    assert_ne!(mine, theirs.no);
    assert_eq!(store.workflows("b", None, PAGE).await.unwrap().1, 1);
    assert_eq!(store.workflow("c", "w").await.unwrap(), None);
    assert!(store.delete_workflow("b", "w").await.unwrap().is_some());
    assert!(store.workflow("a", "w").await.unwrap().is_some());
}

pub async fn settings_are_kept(subject: &Subject) {
    let store = &*subject.store;
    assert_eq!(store.setting("token").await.unwrap(), None);
    store.put_setting("token", "one").await.unwrap();
    store.put_setting("token", "two").await.unwrap();
    store.put_setting("other", "").await.unwrap();
    assert_eq!(store.setting("token").await.unwrap().as_deref(), Some("two"));
    assert_eq!(store.setting("other").await.unwrap().as_deref(), Some(""));
}

async fn swept(store: &dyn Store, keep: usize) -> SweptVersions {
    store.sweep_versions(keep, 100).await.unwrap()
}

pub async fn versions_that_nothing_needs_are_swept(subject: &Subject) {
    let store = &*subject.store;
    for id in ["s1", "s2", "s3", "s4"] {
        store.add_script_version(new_script_version(id)).await.unwrap();
    }
    assert!(deploy(store, ["a", "s", "s1"], at(1)).await);
    for version in ["1", "2", "3"] {
        store.put_workflow(new_workflow("w", version)).await.unwrap();
    }
    store.put_workflow(new_workflow("other", "1")).await.unwrap();
    assert_eq!(swept(store, 4).await, SweptVersions::default());
    let some = store.sweep_versions(1, 1).await.unwrap();
    assert_eq!(
        (some.scripts, some.workflows),
        (vec!["s2".into()], vec!["w@1".into()])
    );
    let rest = swept(store, 1).await;
    assert_eq!(
        (rest.scripts, rest.workflows),
        (vec!["s3".into()], vec!["w@2".into()])
    );
    let left = store.script_versions("a", "s").await.unwrap();
    let left: Vec<(&str, u32)> = left.iter().map(|row| (row.id.as_str(), row.number)).collect();
    assert_eq!(left, [("s4", 4), ("s1", 1)]);
    assert_eq!(store.script_modules("s3").await.unwrap(), None);
    assert!(store.script_modules("s1").await.unwrap().is_some());
    store.add_script_version(new_script_version("s5")).await.unwrap();
    assert_eq!(store.script_versions("a", "s").await.unwrap()[0].number, 5);
}

pub async fn versions_are_needed_until_the_last_instance_ends(subject: &Subject) {
    let store = &*subject.store;
    for id in ["s1", "s2", "s3"] {
        store.add_script_version(new_script_version(id)).await.unwrap();
    }
    let first = store.put_workflow(new_workflow("w", "1")).await.unwrap();
    for version in ["2", "3"] {
        store.put_workflow(new_workflow("w", version)).await.unwrap();
    }
    let node = node(store).await;
    let new = |id: &str| NewInstance {
        version: "w@1".to_owned(),
        script_version: "s1".to_owned(),
        ..new_instance(first.no, id)
    };
    let batch = ["ends", "moves", "goes"].map(new).to_vec();
    let mut held = Vec::new();
    for created in store.create(batch, Some(node)).await.unwrap() {
        let (no, lease) = created.unwrap();
        held.push(Held {
            no,
            workflow: first.no,
            node,
            lease: lease.unwrap(),
            next: 1,
        });
    }
    let (ends, moves, goes) = (held[0], held[1], held[2]);
    let only_second = SweptVersions {
        scripts: vec!["s2".into()],
        workflows: vec!["w@2".into()],
    };
    assert_eq!(swept(store, 1).await, only_second);
    accept(store, vec![ends.end(Status::Complete, at(1))]).await;
    let repin = Repin {
        version: "w@3".to_owned(),
        script_version: "s3".to_owned(),
        class_name: "Class".to_owned(),
    };
    let moved = Commit {
        repin: Some(repin),
        ..moves.commit()
    };
    accept(store, vec![moved]).await;
    assert_eq!(swept(store, 1).await, SweptVersions::default(), "one needs them");
    assert!(store.delete_instance(goes.no).await.unwrap());
    let first = SweptVersions {
        scripts: vec!["s1".into()],
        workflows: vec!["w@1".into()],
    };
    assert_eq!(swept(store, 1).await, first);
}
