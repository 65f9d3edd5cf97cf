//! Versions: who follows the latest, what is kept, what an unchanged deployment is.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers outside of #[test] functions

mod world;

use cairn_engine::{Settings, Status, WorkflowPage, WorkflowSettings};
use cairn_runtime::WorkerId;
use cairn_store::MemoryStore;
use tokio::time::Instant;
use world::{ACCOUNT, World, execute, sleep, upload};

const ALL: WorkflowPage = WorkflowPage {
    offset: 0,
    limit: 1_000,
};

fn following() -> Settings {
    Settings {
        follow_latest: true,
        ..Settings::default()
    }
}

impl World {
    fn version_of_run(&self, id: &str) -> String {
        let WorkerId(version) = &self.runs[id].worker;
        version.to_string()
    }

    async fn pinned_to(&self, id: &str) -> String {
        let row = self.engine.instance_row(ACCOUNT, "flow", id).await.unwrap().1;
        row.script_version
    }

    async fn script_versions(&self) -> usize {
        let versions = self.engine.script_versions(ACCOUNT, "script").await;
        versions.unwrap().len()
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_away_goes_on_with_the_new_version() {
    let mut world = World::new(following()).await;
    world.create("flow", &["a"]).await;
    world.pass(10).await;
    let first = world.version_of_run("a");
    world.report("a", vec![sleep(1, "nap", 60_000.0)]);
    world.pass(2_000).await;
    assert!(world.running().is_empty());
    let second = world.upload("second.js").await;
    world.pass(60_000).await;
    assert_ne!(first, second);
    assert_eq!(world.version_of_run("a"), second);
    assert_eq!(world.pinned_to("a").await, second);
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_in_memory_is_taken_up_again() {
    let mut world = World::new(following()).await;
    world.create("flow", &["a", "b"]).await;
    world.pass(10).await;
    let first = world.version_of_run("a");
    world.report("a", vec![sleep(1, "nap", 5_000.0)]);
    world.report("b", vec![execute(1, "work")]);
    world.pass(100).await;
    let second = world.upload("second.js").await;
    world.pass(100).await;
    assert_eq!(world.running(), ["b"], "a is taken up again when it is due");
    assert_eq!(world.version_of_run("b"), first, "b executes");
    world.pass(5_000).await;
    assert_eq!(world.version_of_run("a"), second);
    let done = cairn_runtime::ReportKind::AttemptSucceeded {
        call: cairn_core::CallId(1),
        attempt: 1,
        output: cairn_engine::Value::from_json("1").unwrap(),
    };
    world.report("b", vec![done, sleep(2, "nap", 5_000.0)]);
    world.pass(7_000).await;
    assert_eq!(
        world.version_of_run("b"),
        second,
        "it moves once nothing executes"
    );
}

#[tokio::test(start_paused = true)]
async fn without_following_an_instance_stays() {
    let mut world = World::new(Settings::default()).await;
    world.create("flow", &["a"]).await;
    world.pass(10).await;
    let first = world.version_of_run("a");
    world.report("a", vec![sleep(1, "nap", 60_000.0)]);
    world.pass(2_000).await;
    world.upload("second.js").await;
    world.pass(60_000).await;
    assert_eq!(world.version_of_run("a"), first);
}

#[tokio::test(start_paused = true)]
async fn a_workflow_says_itself_whether_its_instances_follow() {
    let mut world = World::new(Settings::default()).await;
    let follow = WorkflowSettings {
        follow_latest: Some(true),
        ..WorkflowSettings::default()
    };
    world.put("flow", follow).await;
    world.create("flow", &["a"]).await;
    world.pass(10).await;
    world.report("a", vec![sleep(1, "nap", 60_000.0)]);
    world.pass(2_000).await;
    let second = world.upload("second.js").await;
    world.pass(60_000).await;
    assert_eq!(world.version_of_run("a"), second);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_starts_knows_who_follows() {
    let (store, begun) = (MemoryStore::new(), Instant::now());
    let mut first = World::on(store.clone(), Settings::default(), begun).await;
    let follow = WorkflowSettings {
        follow_latest: Some(true),
        ..WorkflowSettings::default()
    };
    first.deploy("flow", follow).await;
    first.create("flow", &["a"]).await;
    first.pass(10).await;
    first.report("a", vec![sleep(1, "nap", 60_000.0)]);
    first.pass(2_000).await;
    first.engine.shutdown().await;
    let mut second = World::on(store, Settings::default(), begun).await;
    let version = second.upload("second.js").await;
    second.pass(60_000).await;
    assert_eq!(second.version_of_run("a"), version);
}

#[tokio::test(start_paused = true)]
async fn versions_that_nothing_needs_go() {
    let mut world = World::new(Settings {
        versions_kept: 2,
        ..Settings::default()
    })
    .await;
    world.create("flow", &["a"]).await;
    world.pass(10).await;
    let needed = world.version_of_run("a");
    world.report("a", vec![sleep(1, "nap", 3_600_000.0)]);
    for number in 0..25 {
        world.upload(&format!("{number}.js")).await;
        world.limit("flow", Some(number + 1)).await;
    }
    assert_eq!(world.script_versions().await, 26);
    world.pass(61_000).await;
    assert_eq!(
        world.script_versions().await,
        3,
        "two, and the one that is needed"
    );
    let (versions, _) = world
        .engine
        .workflow_versions(ACCOUNT, "flow", ALL)
        .await
        .unwrap();
    assert_eq!(versions.len(), 3);
    assert_eq!(world.runtime.take_retired().len(), 23);
    world.pass(3_600_000).await;
    assert_eq!(world.version_of_run("a"), needed);
    world.finish("a").await;
    world.pass(61_000).await;
    assert_eq!(world.script_versions().await, 2);
    assert_eq!(world.status("a").await, Status::Complete);
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_deployment_makes_no_version() {
    let world = World::new(Settings::default()).await;
    let unchanged = async |upload| {
        let same = world.engine.unchanged(ACCOUNT, "script", &upload).await;
        same.unwrap().map(|uploaded| uploaded.version)
    };
    let deployed = world.engine.script(ACCOUNT, "script").await.unwrap().unwrap();
    let deployed = deployed.deployed.map(|(version, _)| version);
    assert_eq!(unchanged(upload("index.js")).await, deployed);
    let mut other = upload("index.js");
    other.modules[0].content = "other".into();
    assert_eq!(unchanged(other).await, None);
    let mut other = upload("index.js");
    other.compatibility_flags.push("flag".into());
    assert_eq!(unchanged(other).await, None);
    assert_eq!(unchanged(upload("other.js")).await, None);
    let before = world.engine.workflow_row(ACCOUNT, "flow").await.unwrap();
    world.limit("flow", None).await;
    let same = world.engine.workflow_row(ACCOUNT, "flow").await.unwrap();
    assert_eq!(before, same);
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    world.upload("index.js").await;
    world.limit("flow", None).await;
    let after = world.engine.workflow_row(ACCOUNT, "flow").await.unwrap();
    assert_ne!(before.version, after.version, "the script is another");
}
