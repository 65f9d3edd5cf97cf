//! Schedules in bodies and answers.

use super::world::World;
use cairn_engine::{CreateInstance, Trigger};
use serde_json::{Value as Json, json};

async fn put(world: &World, schedules: &Json) -> super::world::Answered {
    let body = json!({ "script_name": "s", "class_name": "MyWorkflow", "schedules": schedules });
    world.call("PUT", "/workflows/w", &body.to_string()).await
}

#[tokio::test]
async fn schedules_are_shown_with_their_next_firing() {
    let world = World::deployed().await;
    let crons = json!([{ "cron": "0 0 1 1 *" }, { "cron": "0 0 31 2 *" }, { "cron": "0 0 1 1 *" }]);
    put(&world, &crons).await.result();
    let shown = world.get("/workflows/w").await.result();
    let next = shown["schedules"][0]["next_instance"].as_str().unwrap();
    assert!(next.ends_with("-01-01T00:00:00.000Z"), "{next}");
    assert_eq!(
        shown["schedules"],
        json!([{ "cron": "0 0 1 1 *", "next_instance": next }, { "cron": "0 0 31 2 *" }]),
        "each once, and the 31st of February never comes"
    );
    let listed = world.get("/workflows").await.result();
    assert_eq!(listed[0]["schedules"], shown["schedules"]);
    put(&world, &json!([])).await.result();
    assert_eq!(world.get("/workflows/w").await.result()["schedules"], Json::Null);
}

#[tokio::test]
async fn an_expression_that_is_none_is_named() {
    let world = World::deployed().await;
    put(&world, &json!([{ "cron": "0 0 1 1 *" }])).await.result();
    for (cron, reason) in [
        (
            "0 24 * * *",
            "its hour is \"24\"; allowed are * and lists of 0 to 23",
        ),
        (
            "0 0 * * 0",
            "its day of week is \"0\"; allowed are * and lists of 1 (Sunday) to 7",
        ),
        ("@daily", "it has 1 fields; it must have five"),
        ("", "it has 0 fields"),
        (&"1,".repeat(200), "it has 400 characters; at most 256"),
    ] {
        let answered = put(&world, &json!([{ "cron": "0 0 1 1 *" }, { "cron": cron }])).await;
        let failure = (400, 10002, "workflows.api.error.body".into());
        assert_eq!(answered.failure(), failure, "{cron}");
        let said = answered.explanation();
        assert!(said.starts_with("schedules[1].cron is \""), "{said}");
        assert!(said.contains(reason), "{said}");
    }
    let many: Vec<Json> = (0..201).map(|_| json!({ "cron": "0 0 1 1 *" })).collect();
    let answered = put(&world, &json!(many)).await;
    assert!(answered.explanation().contains("at most 200"), "{answered:?}");
    let versions = world.get("/workflows/w/versions").await.result();
    assert_eq!(versions.as_array().unwrap().len(), 2, "nothing is half-written");
}

#[tokio::test]
async fn an_account_has_a_hundred() {
    let world = World::deployed().await;
    let crons = |count: u32| -> Json {
        let crons = (0..count).map(|nth| json!({ "cron": format!("{} {} 1 1 *", nth % 60, nth / 60) }));
        crons.collect()
    };
    put(&world, &crons(100)).await.result();
    let answered = put(&world, &crons(101)).await;
    assert_eq!(answered.failure().0, 400);
    let said = answered.explanation();
    assert!(said.contains("at most 100 (setting limits.schedules)"), "{said}");
    let other = r#"{"script_name":"s","class_name":"MyWorkflow","schedules":[{"cron":"0 0 1 1 *"}]}"#;
    assert_eq!(
        world.call("PUT", "/workflows/other", other).await.failure().0,
        400
    );
    put(&world, &crons(99)).await.result();
    world.call("PUT", "/workflows/other", other).await.result();
}

#[tokio::test]
async fn exports_declare_schedules() {
    let world = World::new().await;
    let metadata = |schedules: &str| {
        format!(
            r#"{{"main_module":"index.js","compatibility_date":"2026-08-01",
            "exports":{{"MyWorkflow":{{"type":"workflow","name":"declared","schedules":{schedules}}}}}}}"#
        )
    };
    let upload = async |metadata: String| {
        world
            .upload(("PUT", "/workers/scripts/s"), (&metadata, "export {}"))
            .await
    };
    upload(metadata(r#""0 0 * * 2""#)).await.result();
    let shown = world.get("/workflows/declared").await.result();
    assert_eq!(shown["schedules"][0]["cron"], "0 0 * * 2");
    upload(metadata(r#"["0 0 * * 2","0 0 L * *"]"#)).await.result();
    let shown = world.get("/workflows/declared").await.result();
    assert_eq!(shown["schedules"][1]["cron"], "0 0 L * *");
    let refused = upload(metadata(r#"["0 0 * * 9"]"#)).await;
    assert!(refused.explanation().contains("day of week"), "{refused:?}");
}

#[tokio::test]
async fn an_instance_of_a_schedule_tells_of_its_firing() {
    let world = World::deployed().await;
    let id = "*/30 9-17 * * MON#1-1786001400000";
    let create = CreateInstance {
        id: Some(id.into()),
        ..CreateInstance::default()
    };
    let created = world
        .engine
        .create("acc", "w", (Trigger::Cron, vec![create]))
        .await;
    assert!(created.unwrap()[0].is_ok());
    let path = format!(
        "/workflows/w/instances/{}",
        id.replace(' ', "%20").replace('/', "%2F").replace('#', "%23")
    );
    let shown = world.get(&path).await.result();
    assert_eq!(shown["trigger"], json!({ "source": "cron" }));
    assert_eq!(
        shown["schedule"],
        json!({ "cron": "*/30 9-17 * * MON#1", "scheduledTime": 1_786_001_400_000_i64 })
    );
    let rows = world.get("/workflows/w/instances").await.result();
    assert_eq!(
        (&rows[0]["id"], &rows[0]["trigger_source"]),
        (&json!(id), &json!("cron"))
    );
    let body = json!({ "instance_id": id }).to_string();
    let refused = world.call("POST", "/workflows/w/instances", &body).await;
    assert_eq!(refused.failure().1, 10002, "schedules alone make such ids");
    assert_eq!(world.call("DELETE", &path, "").await.result()["instanceId"], id);
}
