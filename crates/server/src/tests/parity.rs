//! What the API promises beyond single routes: pages, filters, ids, limits (behaviour §1.1 to §1.5).

use super::world::World;
use cairn_engine::{CreateInstance, Trigger};
use serde_json::{Value as Json, json};

/// An id as schedules make them.
const FIRED: &str = "*/30 9-17 * * 2,3-1786001400000";

async fn create(world: &World, id: &str) -> Json {
    let body = json!({ "instance_id": id }).to_string();
    world.call("POST", "/workflows/w/instances", &body).await.result()
}

async fn listed(world: &World, query: &str) -> Vec<String> {
    let rows = world
        .get(&format!("/workflows/w/instances?{query}"))
        .await
        .result();
    rows.as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn pages_past_the_end_are_empty_everywhere() {
    let world = World::deployed().await;
    create(&world, "one").await;
    for list in [
        "/workflows",
        "/workflows/w/versions",
        "/workflows/w/instances",
        "/workflows/w/instances/",
        "/workflows/concurrency",
    ] {
        for page in ["2", "99", "18446744073709551615"] {
            let answered = world.get(&format!("{list}?page={page}")).await.json();
            assert_eq!(answered["result"], json!([]), "{list} {page}");
            let info = &answered["result_info"];
            assert_eq!(
                (&info["count"], &info["page"]),
                (&json!(0), &page.parse::<u64>().unwrap().into()),
                "{list} {page}"
            );
            assert_eq!(info["cursor"], Json::Null);
        }
    }
}

#[tokio::test]
async fn defaults_and_bounds_of_pages() {
    let world = World::deployed().await;
    for (list, default) in [
        ("/workflows", 10),
        ("/workflows/w/versions", 50),
        ("/workflows/w/instances", 50),
        ("/workflows/concurrency", 50),
    ] {
        let info = world.get(list).await.json()["result_info"].clone();
        assert_eq!(
            (&info["per_page"], &info["page"]),
            (&json!(default), &json!(1)),
            "{list}"
        );
        assert_eq!(
            world.get(&format!("{list}?per_page=100")).await.json()["result_info"]["per_page"],
            100
        );
        for wrong in [
            "per_page=0",
            "per_page=101",
            "per_page=-1",
            "per_page=ten",
            "per_page=",
            "page=0",
            "page=-1",
            "page=1.5",
            "page=",
            "page=1&page=2",
        ] {
            let refused = world.get(&format!("{list}?{wrong}")).await;
            assert_eq!(
                refused.failure(),
                (400, 10002, "workflows.api.error.body".into()),
                "{list} {wrong}"
            );
        }
    }
}

#[tokio::test]
async fn cursors_end_and_do_not_go_with_pages() {
    let world = World::deployed().await;
    for id in ["i1", "i2", "i3"] {
        create(&world, id).await;
    }
    let first = world.get("/workflows/w/instances?per_page=2").await.json();
    let cursor = first["result_info"]["cursor"].as_str().unwrap();
    let both = world
        .get(&format!(
            "/workflows/w/instances?per_page=2&page=2&cursor={cursor}"
        ))
        .await;
    assert_eq!(both.failure().1, 10002);
    assert!(
        both.explanation().contains("page and cursor"),
        "{}",
        both.explanation()
    );
    let last = world
        .get(&format!("/workflows/w/instances?per_page=2&cursor={cursor}"))
        .await
        .json();
    assert_eq!(last["result"][0]["id"], "i1");
    assert_eq!(
        (&last["result_info"]["cursor"], &last["result_info"]["count"]),
        (&Json::Null, &json!(1))
    );
    assert_eq!(
        world
            .get("/workflows/w/instances?cursor=bm9uZQ")
            .await
            .failure()
            .1,
        10002
    );
    // The cursor of the last page, as text.
    assert_eq!(listed(&world, "cursor=").await, ["i3", "i2", "i1"]);
    let upwards = world
        .get("/workflows/w/instances?per_page=2&direction=asc")
        .await
        .json();
    let cursor = upwards["result_info"]["cursor"].as_str().unwrap();
    assert_eq!(
        listed(&world, &format!("per_page=2&direction=asc&cursor={cursor}")).await,
        ["i3"]
    );
}

#[tokio::test]
async fn instances_are_filtered() {
    let world = World::deployed().await;
    for id in ["i1", "i2", "i3"] {
        create(&world, id).await;
    }
    let end = r#"{"status":"terminate"}"#;
    world
        .call("PATCH", "/workflows/w/instances/i2/status", end)
        .await
        .result();
    assert_eq!(listed(&world, "status=terminated").await, ["i2"]);
    assert_eq!(listed(&world, "status=errored").await, [] as [&str; 0]);
    let rows = world.get("/workflows/w/instances").await.result();
    let created = |id: &str| {
        let row = rows
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["id"] == id)
            .unwrap();
        row["created_on"].as_str().unwrap().to_owned()
    };
    let from = listed(&world, &format!("date_start={}", created("i3"))).await;
    assert!(from.contains(&"i3".to_owned()), "the start is within: {from:?}");
    let until = listed(&world, &format!("date_end={}", created("i1"))).await;
    assert!(until.contains(&"i1".to_owned()), "the end is within: {until:?}");
    let both = format!(
        "date_start={}&date_end={}&status=terminated",
        created("i1"),
        created("i3")
    );
    assert_eq!(listed(&world, &both).await, ["i2"]);
    assert_eq!(
        listed(&world, "date_start=2999-01-01T00:00:00Z").await,
        [] as [&str; 0]
    );
    for wrong in [
        "status=dancing",
        "status=",
        "status=Queued",
        "date_start=yesterday",
        "date_end=2026-01-01",
        "direction=up",
    ] {
        assert_eq!(
            world
                .get(&format!("/workflows/w/instances?{wrong}"))
                .await
                .failure()
                .1,
            10002,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn workflows_are_searched() {
    let world = World::deployed().await;
    for name in ["orders", "reorders_2", "other"] {
        world
            .call(
                "PUT",
                &format!("/workflows/{name}"),
                r#"{"script_name":"s","class_name":"MyWorkflow"}"#,
            )
            .await
            .result();
    }
    let names = async |query: &str| {
        let rows = world.get(&format!("/workflows?{query}")).await.json();
        let names: Vec<String> = rows["result"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect();
        (names, rows["result_info"]["total_count"].as_u64().unwrap())
    };
    assert_eq!(
        names("search=orders").await,
        (vec!["reorders_2".into(), "orders".into()], 2)
    );
    assert_eq!(
        names("search=orders&per_page=1&page=2").await,
        (vec!["orders".into()], 2)
    );
    assert_eq!(names("search=_2").await.1, 1, "an underscore stands for itself");
    assert_eq!(names("search=nope").await.1, 0);
    for wrong in [
        "search=",
        "search=a%20b",
        "search=%25",
        &format!("search={}", "x".repeat(65)),
    ] {
        assert_eq!(
            world.get(&format!("/workflows?{wrong}")).await.failure().1,
            10002,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn ids_of_schedules_are_addressed_in_every_way() {
    let world = World::deployed().await;
    let escaped: String = FIRED.bytes().map(|byte| format!("%{byte:02X}")).collect();
    // As SDKs write them, as wrangler does (its HTTP client escapes the spaces), and all of it escaped.
    let ways = [
        FIRED
            .replace('/', "%2F")
            .replace(' ', "%20")
            .replace('*', "%2A")
            .replace(',', "%2C"),
        FIRED.replace(' ', "%20"),
        escaped,
    ];
    for way in &ways {
        let create = CreateInstance {
            id: Some(FIRED.into()),
            ..CreateInstance::default()
        };
        let created = world
            .engine
            .create("acc", "w", (Trigger::Cron, vec![create]))
            .await;
        assert!(created.unwrap()[0].is_ok());
        let path = format!("/workflows/w/instances/{way}");
        assert_eq!(world.get(&path).await.result()["id"], FIRED);
        let sent = world
            .call("POST", &format!("{path}/events/go"), "1")
            .await
            .result();
        assert_eq!(sent["instanceId"], FIRED);
        let step = world.get(&format!("{path}/step?name=a-1&type=step")).await;
        assert_eq!(step.failure().1, 10490);
        world.get(&format!("{path}/subscribe/token")).await.result();
        assert_eq!(
            world.get(&format!("{path}/subscribe")).await.failure().1,
            10002,
            "it is no WebSocket"
        );
        let paused = world
            .call("PATCH", &format!("{path}/status"), r#"{"status":"pause"}"#)
            .await
            .result();
        assert!(
            ["paused", "waitingForPause"].contains(&paused["status"].as_str().unwrap()),
            "{paused}"
        );
        assert_eq!(
            world.call("DELETE", &path, "").await.result()["instanceId"],
            FIRED
        );
        assert_eq!(world.get(&path).await.failure().1, 10400);
    }
    for wrong in ["a%3Fb", "a%25b", "a%0Ab", "%C3%A4", &"x".repeat(272)] {
        let refused = world
            .get(&format!("/workflows/w/instances/{wrong}"))
            .await
            .failure();
        assert!([10002, 10400].contains(&refused.1), "{wrong}: {refused:?}");
    }
}

#[tokio::test]
async fn batches_have_1_to_100() {
    let world = World::deployed().await;
    let ids: Vec<String> = (0..100).map(|no| format!("i{no}")).collect();
    let all: Vec<Json> = ids.iter().map(|id| json!({ "instance_id": id })).collect();
    let made = world
        .call("POST", "/workflows/w/instances/batch", &json!(all).to_string())
        .await
        .result();
    assert_eq!(made.as_array().unwrap().len(), 100);
    let begun = world
        .call(
            "POST",
            "/workflows/w/instances/batch/terminate",
            &json!(ids).to_string(),
        )
        .await
        .result();
    assert_eq!(begun, json!({ "status": "ok", "instancesTerminated": 100 }));
    let deleted = world
        .call(
            "POST",
            "/workflows/w/instances/batch/delete",
            &json!({ "instances": ids }).to_string(),
        )
        .await
        .result();
    assert_eq!(
        (deleted["deleted"].as_array().unwrap().len(), &deleted["errors"]),
        (100, &json!([]))
    );
    let many: Vec<String> = (0..101).map(|no| format!("i{no}")).collect();
    for (path, body) in [
        ("terminate", json!(many)),
        ("terminate", json!(["a", ""])),
        ("terminate", json!(["a", 1])),
        ("delete", json!({ "instances": many })),
        ("delete", json!({})),
    ] {
        let refused = world
            .call(
                "POST",
                &format!("/workflows/w/instances/batch/{path}"),
                &body.to_string(),
            )
            .await;
        assert_eq!(refused.failure().1, 10002, "{path}");
    }
    for path in ["batch", "batch/delete", "batch/terminate"] {
        let body = if path == "batch/delete" {
            r#"{"instances":["a"]}"#
        } else if path == "batch" {
            "[{}]"
        } else {
            r#"["a"]"#
        };
        let missing = world
            .call("POST", &format!("/workflows/nope/instances/{path}"), body)
            .await;
        assert_eq!(missing.failure().1, 10200, "{path}");
    }
}

#[tokio::test]
async fn words_of_queries_are_checked() {
    let world = World::deployed().await;
    create(&world, "one").await;
    for wrong in [
        "one?simple=yes",
        "one?simple=",
        "one?order=up",
        "one?order=asc&order=desc",
        "one/step?name=a-1",
        "one/step?name=a-1&type=rollback",
        "one/step?name=a-1&type=step&attempt=x",
    ] {
        assert_eq!(
            world
                .get(&format!("/workflows/w/instances/{wrong}"))
                .await
                .failure()
                .1,
            10002,
            "{wrong}"
        );
    }
    for right in ["one?simple=false&order=asc", "one?simple=true&order=desc"] {
        world
            .get(&format!("/workflows/w/instances/{right}"))
            .await
            .result();
    }
}

#[tokio::test]
async fn other_methods_are_told_which_there_are() {
    let world = World::deployed().await;
    let refused = world.call("PATCH", "/workflows/w", "{}").await;
    assert_eq!(
        (refused.status.as_u16(), &refused.headers["allow"]),
        (405, &"GET, PUT, DELETE".parse().unwrap())
    );
}

#[tokio::test]
async fn triggers_are_checked_and_refused() {
    let world = World::deployed().await;
    let target = json!({ "type": "workflow", "workflow_name": "w", "script_name": "s" });
    let trigger =
        json!([{ "type": "cf.artifacts.repo.pushed", "filter": { "namespace": "n" }, "targets": [target] }]);
    for method in ["PUT", "PATCH"] {
        let refused = world.call(method, "/triggers/s", &trigger.to_string()).await;
        assert_eq!(
            refused.failure(),
            (400, 10494, "workflows.api.error.not_supported".into())
        );
        assert!(
            refused.explanation().contains("cf.artifacts.repo.pushed"),
            "{}",
            refused.explanation()
        );
        let accepted = world.call(method, "/triggers/s", "[]").await.result();
        assert_eq!(accepted, json!({ "script_name": "s", "triggers": [] }));
        for nonsense in [
            "{}",
            "7",
            "",
            r#"[{}]"#,
            r#"["x"]"#,
            r#"[{"type":"x"}]"#,
            r#"[{"type":"","targets":[]}]"#,
            r#"[{"type":"x","targets":{}}]"#,
            r#"[{"type":"x","filter":[],"targets":[]}]"#,
            r#"[{"type":"x","targets":[{"type":"queue"}]}]"#,
            r#"[{"type":"x","targets":[{"type":"workflow","workflow_name":"","script_name":"s"}]}]"#,
        ] {
            assert_eq!(
                world.call(method, "/triggers/s", nonsense).await.failure().1,
                10002,
                "{nonsense}"
            );
        }
    }
    assert_eq!(world.get("/triggers/s").await.result()["triggers"], json!([]));
    assert_eq!(
        world.call("DELETE", "/triggers/s", "").await.result(),
        json!({ "deleted": 0 })
    );
    for (method, body) in [("GET", ""), ("PUT", "[]"), ("PATCH", "[]"), ("DELETE", "")] {
        assert_eq!(
            world.call(method, "/triggers/nope", body).await.failure().1,
            10007,
            "{method}"
        );
    }
}

#[tokio::test]
async fn settings_may_be_patched_with_nothing() {
    let world = World::new().await;
    let before = world.get("/workflows/settings").await.result();
    for nothing in [
        "",
        "{}",
        r#"{"default_retention":null}"#,
        r#"{"default_retention":{}}"#,
    ] {
        assert_eq!(
            world.call("PATCH", "/workflows/settings", nothing).await.result(),
            before,
            "{nothing}"
        );
    }
}
