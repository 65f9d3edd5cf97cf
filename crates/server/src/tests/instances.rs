//! Instances: create, list, describe, command, delete.

use super::world::World;
use serde_json::json;

async fn create(world: &World, id: &str) {
    let body = json!({ "instance_id": id, "params": { "b": 1, "a": 2 } }).to_string();
    world.call("POST", "/workflows/w/instances", &body).await.result();
}

#[tokio::test]
async fn created_and_described() {
    let world = World::deployed().await;
    let answered = world
        .call(
            "POST",
            "/workflows/w/instances",
            r#"{"instance_id":"one","params":{"b":1,"a":2}}"#,
        )
        .await;
    let created = answered.result();
    assert_eq!(
        (&created["id"], &created["status"]),
        (&json!("one"), &json!("queued"))
    );
    assert!(created["version_id"].is_string() && created["workflow_id"].is_string());
    let details = world.get("/workflows/w/instances/one").await;
    assert!(
        details.text.contains(r#""params":{"b":1,"a":2}"#),
        "{}",
        details.text
    );
    let details = details.result();
    assert_eq!(
        (&details["success"], &details["output"], &details["end"]),
        (&json!(null), &json!(null), &json!(null))
    );
    assert_eq!(
        (&details["trigger"]["source"], &details["versionId"]),
        (&json!("api"), &created["version_id"])
    );
    assert_eq!(
        (&details["steps"], &details["step_count"]),
        (&json!([]), &json!(0))
    );
}

#[tokio::test]
async fn the_body_of_a_creation_may_be_absent() {
    let world = World::deployed().await;
    for body in ["", "{}", "  "] {
        let created = world.call("POST", "/workflows/w/instances", body).await.result();
        assert_eq!(created["id"].as_str().unwrap().len(), 36);
    }
}

#[tokio::test]
async fn an_id_is_taken_once() {
    let world = World::deployed().await;
    create(&world, "one").await;
    let answered = world
        .call("POST", "/workflows/w/instances", r#"{"instance_id":"one"}"#)
        .await;
    assert_eq!(
        answered.failure(),
        (400, 10405, "workflows.api.error.instance.already_exists".into())
    );
    assert!(answered.explanation().contains("\"one\""));
}

#[tokio::test]
async fn what_is_not_there() {
    let world = World::deployed().await;
    let not_found = (404, 10400, "workflows.api.error.instance.not_found".to_owned());
    for (method, path, body) in [
        ("GET", "/workflows/w/instances/x", ""),
        (
            "GET",
            "/workflows/w/instances/*/30%20*%20*%20*%20*-1786001400000",
            "",
        ),
        ("DELETE", "/workflows/w/instances/x", ""),
        (
            "PATCH",
            "/workflows/w/instances/x/status",
            r#"{"status":"pause"}"#,
        ),
        ("POST", "/workflows/w/instances/x/events/go", ""),
        ("GET", "/workflows/w/instances/x/step?name=a-1&type=step", ""),
    ] {
        assert_eq!(
            world.call(method, path, body).await.failure(),
            not_found,
            "{method} {path}"
        );
    }
    for path in [
        "/workflows/nope/instances",
        "/workflows/nope/instances/x",
        "/workflows/nope/instances/terminate",
    ] {
        let expected = (404, 10200, "workflows.api.error.workflow.not_found".to_owned());
        assert_eq!(world.get(path).await.failure(), expected, "{path}");
    }
    assert_eq!(
        world
            .call("POST", "/workflows/nope/instances", "{}")
            .await
            .failure()
            .1,
        10200
    );
    create(&world, "one").await;
    assert_eq!(
        world
            .get("/workflows/w/instances/one/step?name=a-1&type=step")
            .await
            .failure()
            .1,
        10490
    );
    assert!(
        world
            .get("/workflows/w/instances/one/step?type=step")
            .await
            .explanation()
            .contains("charge-1")
    );
}

#[tokio::test]
async fn batches() {
    let world = World::deployed().await;
    create(&world, "old").await;
    let made = world
        .call(
            "POST",
            "/workflows/w/instances/batch",
            r#"[{"instance_id":"old"},{"instance_id":"new"},{}]"#,
        )
        .await;
    let made = made.result();
    assert_eq!(made.as_array().unwrap().len(), 2);
    assert_eq!(made[0]["id"], "new");
    let twice = world
        .call(
            "POST",
            "/workflows/w/instances/batch",
            r#"[{"instance_id":"x"},{"instance_id":"x"}]"#,
        )
        .await;
    assert_eq!(
        twice.failure(),
        (
            400,
            10415,
            "workflows.api.error.instance.duplicate_in_batch".into()
        )
    );
    let many = json!(vec![json!({}); 101]).to_string();
    for bad in ["[]", &many, r#"[{"instance_id":"fine"},{"instance_id":"a b"}]"#] {
        assert_eq!(
            world
                .call("POST", "/workflows/w/instances/batch", bad)
                .await
                .failure()
                .1,
            10002
        );
    }
    assert_eq!(
        world.get("/workflows/w/instances/fine").await.failure().1,
        10400,
        "nothing is half-done"
    );
}

#[tokio::test]
async fn paging_by_cursor_and_by_number() {
    let world = World::deployed().await;
    for id in ["i1", "i2", "i3", "i4", "i5"] {
        create(&world, id).await;
    }
    let ids = |json: &serde_json::Value| -> Vec<String> {
        json["result"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = world.get("/workflows/w/instances?per_page=2").await.json();
    assert_eq!(ids(&first), ["i5", "i4"]);
    assert_eq!(
        (
            &first["result_info"]["total_count"],
            &first["result_info"]["total_pages"]
        ),
        (&json!(5), &json!(3))
    );
    let mut seen = ids(&first);
    let mut cursor = first["result_info"]["cursor"].as_str().map(str::to_owned);
    while let Some(after) = cursor {
        let next = world
            .get(&format!("/workflows/w/instances?per_page=2&cursor={after}"))
            .await
            .json();
        seen.extend(ids(&next));
        cursor = next["result_info"]["cursor"].as_str().map(str::to_owned);
    }
    assert_eq!(seen, ["i5", "i4", "i3", "i2", "i1"]);
    let second = world
        .get("/workflows/w/instances/?per_page=2&page=2")
        .await
        .json();
    assert_eq!(
        (ids(&second), &second["result_info"]["page"]),
        (vec!["i3".into(), "i2".into()], &json!(2))
    );
    for beyond in [
        "page=99",
        "page=18446744073709551615",
        "status=rollingBack",
        "date_end=2020-01-01T00:00:00Z",
    ] {
        assert_eq!(
            ids(&world
                .get(&format!("/workflows/w/instances?{beyond}"))
                .await
                .json())
            .len(),
            0,
            "{beyond}"
        );
    }
    let oldest = world
        .get("/workflows/w/instances?direction=asc&per_page=1&date_start=2020-01-01T00:00:00Z")
        .await
        .json();
    assert_eq!(ids(&oldest), ["i1"]);
}

#[tokio::test]
async fn commands() {
    let world = World::deployed().await;
    create(&world, "one").await;
    let change = async |body: &str| {
        world
            .call("PATCH", "/workflows/w/instances/one/status", body)
            .await
    };
    let resume = change(r#"{"status":"resume"}"#).await;
    assert_eq!(
        resume.failure(),
        (409, 10491, "workflows.api.error.instance.cannot_resume".into())
    );
    let ended = change(r#"{"status":"terminate"}"#).await.result();
    assert_eq!(ended["status"], "terminated");
    assert!(ended["timestamp"].as_str().unwrap().ends_with('Z'));
    let again = change(r#"{"status":"terminate"}"#).await;
    assert_eq!(
        again.failure(),
        (409, 10401, "workflows.api.error.instance.cannot_terminate".into())
    );
    let details = world.get("/workflows/w/instances/one").await.result();
    assert_eq!(
        (&details["success"], &details["status"]),
        (&json!(false), &json!("terminated"))
    );
    assert_eq!(
        details["steps"],
        json!([{ "type": "termination", "trigger": { "source": "api" } }])
    );
    assert_eq!(
        world.get("/workflows/w/instances/one?simple=true").await.result()["steps"],
        json!([])
    );
    assert_ne!(
        change(r#"{"status":"restart"}"#).await.result()["status"],
        "terminated"
    );
    let nowhere = change(r#"{"status":"restart","from":{"name":"x","count":2,"type":"sleep"}}"#).await;
    assert_eq!(
        nowhere.failure(),
        (409, 10495, "workflows.api.error.instance.cannot_restart".into())
    );
    // Nothing is there to be rolled back.
    let ended = change(r#"{"status":"terminate","rollback":true}"#).await.result();
    assert_eq!(ended["status"], "terminated");
    let details = world.get("/workflows/w/instances/one").await.result();
    assert_eq!(details["rollback"], json!(null));
    for bad in [
        r#"{"status":"dance"}"#,
        "{}",
        "[]",
        r#"{"status":"restart","from":{}}"#,
        r#"{"status":"restart","from":{"name":"x","count":0}}"#,
        r#"{"status":"restart","from":{"name":"x","count":1.5}}"#,
        r#"{"status":"restart","from":{"name":"x","type":"step"}}"#,
        r#"{"status":"terminate","rollback":"yes"}"#,
    ] {
        assert_eq!(change(bad).await.failure().1, 10002, "{bad}");
    }
}

#[tokio::test]
async fn events() {
    let world = World::deployed().await;
    create(&world, "one").await;
    for payload in ["", "null", r#"{"k":1}"#, "\"text\""] {
        let sent = world
            .call("POST", "/workflows/w/instances/one/events/go", payload)
            .await
            .result();
        assert_eq!(sent["instanceId"], "one");
    }
}

#[tokio::test]
async fn deleting() {
    let world = World::deployed().await;
    for id in ["a", "b", "c"] {
        create(&world, id).await;
    }
    assert_eq!(
        world
            .call("DELETE", "/workflows/w/instances/a", "")
            .await
            .result()["instanceId"],
        "a"
    );
    assert_eq!(world.get("/workflows/w/instances/a").await.failure().1, 10400);
    create(&world, "a").await;
    let deleted = world
        .call(
            "POST",
            "/workflows/w/instances/batch/delete",
            r#"{"instances":["b","nope","b"]}"#,
        )
        .await
        .result();
    assert_eq!(deleted["deleted"], json!([{ "id": "b" }, { "id": "b" }]));
    let missing =
        json!([{ "id": "nope", "code": 10400, "message": "workflows.api.error.instance.not_found" }]);
    assert_eq!(deleted["errors"], missing);
    for bad in [r#"{"instances":[]}"#, r#"{"instances":["c","a?b"]}"#, "[]"] {
        assert_eq!(
            world
                .call("POST", "/workflows/w/instances/batch/delete", bad)
                .await
                .failure()
                .1,
            10002,
            "{bad}"
        );
    }
    world.get("/workflows/w/instances/c").await.result();
}

#[tokio::test]
async fn ending_many() {
    let world = World::deployed().await;
    create(&world, "a").await;
    let idle = world.get("/workflows/w/instances/terminate").await.result();
    assert_eq!(idle, json!({ "status": "not_running" }));
    let begun = world
        .call("PUT", "/workflows/w/instances/terminate?status=paused", "")
        .await
        .result();
    assert_eq!(begun, json!({ "status": "ok" }));
    assert_eq!(
        world
            .call("PUT", "/workflows/w/instances/terminate?status=complete", "")
            .await
            .failure()
            .1,
        10002
    );
    let batch = world
        .call("POST", "/workflows/w/instances/batch/terminate", r#"["a"]"#)
        .await
        .result();
    assert!(
        ["ok", "already_running"].contains(&batch["status"].as_str().unwrap()),
        "{batch}"
    );
    assert_eq!(
        world
            .call("POST", "/workflows/w/instances/batch/terminate", "[]")
            .await
            .failure()
            .1,
        10002
    );
}
