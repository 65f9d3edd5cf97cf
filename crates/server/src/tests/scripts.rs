//! What surrounds an upload: secrets, settings, deployments, contents, and the end of a script.

use super::world::{ACCOUNT, METADATA, TOKEN, World};
use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value as Json, json};

const BARE: &str = r#"{"main_module":"index.js","compatibility_date":"2026-08-01","keep_bindings":["secret_text"],"bindings":[]}"#;

impl World {
    async fn deployments(&self) -> Vec<Json> {
        let list = self.get("/workers/scripts/s/deployments").await.result();
        list["deployments"].as_array().unwrap().clone()
    }

    async fn versions(&self) -> Vec<Json> {
        let list = self.get("/workers/scripts/s/versions").await.result_of_page();
        list["items"].as_array().unwrap().clone()
    }

    async fn deploy_id(&self, version: &Json) -> super::world::Answered {
        let body = json!({ "strategy": "percentage", "versions": [{ "version_id": version, "percentage": 100 }],
                           "annotations": { "workers/message": "why" } });
        self.call("POST", "/workers/scripts/s/deployments", &body.to_string())
            .await
    }

    async fn put_secret(&self, name: &str, text: &str) -> super::world::Answered {
        let body = json!({ "name": name, "text": text, "type": "secret_text" });
        self.call("PUT", "/workers/scripts/s/secrets", &body.to_string())
            .await
    }

    async fn secrets(&self) -> Vec<String> {
        let list = self.get("/workers/scripts/s/secrets").await.result();
        let name = |secret: &Json| secret["name"].as_str().unwrap().to_owned();
        list.as_array().unwrap().iter().map(name).collect()
    }

    async fn by_host(&self) -> u16 {
        let request = Request::builder().uri("/").header("host", "s.localhost");
        self.send(request.body(Body::empty()).unwrap())
            .await
            .status
            .as_u16()
    }
}

impl super::world::Answered {
    /// The result of a page.
    fn result_of_page(&self) -> Json {
        let json = self.json();
        assert!(
            json["success"] == true && json["result_info"]["page"].is_number(),
            "{json}"
        );
        json["result"].clone()
    }
}

#[tokio::test]
async fn a_changed_secret_is_a_version_that_is_deployed() {
    let world = World::deployed().await;
    assert_eq!(
        world.put_secret("MORE", "unspeakable").await.result(),
        json!({ "name": "MORE", "type": "secret_text" })
    );
    assert_eq!(world.secrets().await, ["KEY", "MORE"]);
    let newest = &world.versions().await[0];
    assert_eq!(
        (&newest["number"], &newest["annotations"]["workers/triggered_by"]),
        (&json!(2), &json!("secret"))
    );
    let deployed = &world.deployments().await[0];
    assert_eq!(deployed["versions"][0]["version_id"], newest["id"]);
    assert_eq!(
        world.get("/workers/scripts/s/secrets/MORE").await.result(),
        json!({ "name": "MORE", "type": "secret_text" })
    );
    assert_eq!(
        world.get("/workers/scripts/s/secrets/NONE").await.failure().1,
        10056
    );
    let removed = world
        .call("DELETE", "/workers/scripts/s/secrets/KEY?url_encoded=true", "")
        .await;
    assert_eq!(removed.result(), Json::Null);
    assert_eq!(world.secrets().await, ["MORE"]);
    let again = world.call("DELETE", "/workers/scripts/s/secrets/KEY", "").await;
    assert_eq!(again.failure().1, 10056);
    let kept = world
        .engine
        .bindings_of(world.versions().await[0]["id"].as_str().unwrap())
        .await
        .unwrap();
    assert!(kept.contains(&cairn_engine::ScriptBinding::SecretText {
        name: "MORE".into(),
        text: cairn_engine::SecretText::Plain("unspeakable".into()),
    }));
    for path in [
        "/settings",
        "/versions",
        "/secrets",
        "/deployments",
        "/script-settings",
        "",
    ] {
        let answered = world.get(&format!("/workers/scripts/s{path}")).await;
        assert!(
            !answered.text.contains("unspeakable") && !answered.text.contains("sealed"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn secrets_that_cannot_be() {
    let world = World::deployed().await;
    let put = async |body: &str| {
        world
            .call("PUT", "/workers/scripts/s/secrets", body)
            .await
            .failure()
            .1
    };
    assert_eq!(put(r#"{"text":"x","type":"secret_text"}"#).await, 10002);
    assert_eq!(put(r#"{"name":"A","type":"secret_text"}"#).await, 10002);
    assert_eq!(put(r#"{"name":"A","text":"x","type":"secret_key"}"#).await, 10494);
    assert_eq!(
        put(r#"{"name":"MY_WF","text":"x","type":"secret_text"}"#).await,
        10021
    );
    assert_eq!(world.versions().await.len(), 1, "nothing was changed");
    for (method, path) in [
        ("PUT", "/secrets"),
        ("PATCH", "/secrets-bulk"),
        ("DELETE", "/secrets/A"),
    ] {
        let missing = world
            .call(method, &format!("/workers/scripts/none{path}"), "{}")
            .await;
        assert_eq!(missing.failure().1, 10007, "{path}");
    }
}

#[tokio::test]
async fn many_secrets_at_once() {
    let world = World::deployed().await;
    let bulk = r#"{"secrets":{"A":{"name":"A","text":"1","type":"secret_text"},"B":{"text":"2"},"KEY":null,"NONE":null}}"#;
    let done = world
        .call("PATCH", "/workers/scripts/s/secrets-bulk", bulk)
        .await
        .result();
    assert_eq!(
        done["secrets"]["A"],
        json!({ "name": "A", "type": "secret_text" })
    );
    assert_eq!(world.secrets().await, ["A", "B"]);
    assert_eq!(world.versions().await.len(), 2, "one version for all");
}

#[tokio::test]
async fn a_secret_does_not_deploy_what_nobody_has_deployed() {
    let world = World::deployed().await;
    world
        .upload(("POST", "/workers/scripts/s/versions"), (METADATA, "export {};"))
        .await
        .result();
    assert_eq!(world.put_secret("MORE", "x").await.failure().1, 10215);
    let patch = r#"{"env":{"MORE":{"type":"secret_text","text":"x"},"KEY":null},"annotations":{"workers/message":"m","workers/tag":"t"}}"#;
    let made = world
        .call("PATCH", "/workers/workers/s/versions/latest", patch)
        .await
        .result();
    assert_eq!(
        made["annotations"],
        json!({ "workers/message": "m", "workers/tag": "t", "workers/triggered_by": "secret" })
    );
    let bindings = made["resources"]["bindings"].as_array().unwrap();
    assert!(bindings.contains(&json!({ "type": "secret_text", "name": "MORE" })));
    assert_eq!(world.secrets().await, ["KEY"], "what is deployed has not changed");
    let none = world
        .call("PATCH", "/workers/workers/none/versions/latest", "{}")
        .await;
    assert_eq!(none.failure().1, 10007);
}

#[tokio::test]
async fn secrets_stay_over_uploads_and_are_taken_from_the_newest_version() {
    let world = World::deployed().await;
    world
        .call(
            "PATCH",
            "/workers/workers/s/versions/latest",
            r#"{"env":{"LATER":{"type":"secret_text","text":"x"}}}"#,
        )
        .await
        .result();
    world
        .upload(("PUT", "/workers/scripts/s"), (BARE, "export {};;"))
        .await
        .result();
    assert_eq!(world.secrets().await, ["KEY", "LATER"]);
    let dropped = BARE.replace("\"secret_text\"", "");
    world
        .upload(("PUT", "/workers/scripts/s"), (&dropped, "export {};;"))
        .await
        .result();
    assert!(world.secrets().await.is_empty());
    let inherit = BARE.replace(
        "\"bindings\":[]",
        r#""bindings":[{"type":"inherit","name":"KEY"}]"#,
    );
    let refused = world
        .upload(("PUT", "/workers/scripts/s"), (&inherit, "export {}"))
        .await;
    let (status, code, message) = refused.failure();
    assert_eq!((status, code), (400, 10057));
    assert!(
        message.starts_with("inherit binding 'KEY' is invalid"),
        "{message}"
    );
}

#[tokio::test]
async fn deployments_have_a_history_and_a_way_back() {
    let world = World::deployed().await;
    let first = world.deployments().await[0].clone();
    assert_eq!(first["annotations"]["workers/triggered_by"], "upload");
    assert_eq!(
        (&first["author_email"], &first["source"]),
        (&json!("root@localhost"), &json!("api"))
    );
    let second = world
        .upload(("POST", "/workers/scripts/s/versions"), (METADATA, "export {};"))
        .await
        .result();
    let made = world.deploy_id(&second["id"]).await.result();
    assert_ne!(made["id"], first["id"]);
    assert_eq!(made["annotations"], json!({ "workers/message": "why" }));
    let one = world
        .get(&format!(
            "/workers/scripts/s/deployments/{}",
            made["id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(one.result(), made);
    let back = world
        .deploy_id(&first["versions"][0]["version_id"])
        .await
        .result();
    assert_eq!(
        back["annotations"],
        json!({ "workers/message": "why", "workers/triggered_by": "rollback" })
    );
    let ids: Vec<Json> = world
        .deployments()
        .await
        .iter()
        .map(|row| row["id"].clone())
        .collect();
    assert_eq!(ids, [back["id"].clone(), made["id"].clone(), first["id"].clone()]);
    let delete = async |id: &Json| {
        let path = format!("/workers/scripts/s/deployments/{}", id.as_str().unwrap());
        world.call("DELETE", &path, "").await
    };
    assert_eq!(delete(&back["id"]).await.failure().1, 10002, "it is in use");
    assert_eq!(delete(&made["id"]).await.result(), Json::Null);
    assert_eq!(delete(&made["id"]).await.failure().0, 404);
    assert_eq!(world.deployments().await.len(), 2);
}

#[tokio::test]
async fn going_back_to_other_secrets_must_be_meant() {
    let world = World::deployed().await;
    let first = world.versions().await[0]["id"].clone();
    world.put_secret("KEY", "another").await.result();
    world.put_secret("NEW", "x").await.result();
    let (_, code, message) = world.deploy_id(&first).await.failure();
    assert_eq!(code, 10220);
    assert!(
        message.ends_with("The following secrets have changed: KEY, NEW"),
        "{message}"
    );
    let body = json!({ "versions": [{ "version_id": first, "percentage": 100 }] });
    let forced = world
        .call(
            "POST",
            "/workers/scripts/s/deployments?force=true",
            &body.to_string(),
        )
        .await;
    assert_eq!(forced.result()["versions"][0]["version_id"], first);
    assert_eq!(world.secrets().await, ["KEY"]);
}

#[tokio::test]
async fn versions_come_in_pages() {
    let world = World::deployed().await;
    for text in ["x", "y"] {
        world.put_secret("A", text).await.result();
    }
    let page = world
        .get("/workers/scripts/s/versions?page=2&per_page=2")
        .await
        .json();
    assert_eq!(page["result"]["items"][0]["number"], 1);
    assert_eq!(
        (&page["result_info"]["total_count"], &page["result_info"]["count"]),
        (&json!(3), &json!(1))
    );
    let past = world
        .get("/workers/scripts/s/versions?page=9")
        .await
        .result_of_page();
    assert_eq!(past["items"], json!([]));
    let all = world
        .get("/workers/scripts/s/versions?deployable=true&per_page=1")
        .await
        .result();
    assert_eq!(all["items"].as_array().unwrap().len(), 3);
    let missing = world.get("/workers/scripts/s/versions/nope").await;
    assert_eq!(missing.failure().1, 10300);
}

fn settings_form(settings: &str) -> String {
    format!(
        "------b\r\nContent-Disposition: form-data; name=\"settings\"; filename=\"blob\"\r\nContent-Type: application/json\r\n\r\n{settings}\r\n------b--\r\n"
    )
}

async fn patch_settings(world: &World, settings: &str) -> super::world::Answered {
    let request = Request::builder()
        .method("PATCH")
        .uri(format!("{ACCOUNT}/workers/scripts/s/settings"))
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=----b")
        .body(Body::from(settings_form(settings)))
        .unwrap();
    world.send(request).await
}

#[tokio::test]
async fn settings_of_a_version_make_a_new_one() {
    let world = World::deployed().await;
    let patch = r#"{"bindings":[{"type":"inherit","name":"KEY"},{"type":"plain_text","name":"A","text":"x"}],
        "compatibility_date":"2026-09-01","tags":["cf:service=s"]}"#;
    let changed = patch_settings(&world, patch).await.result();
    let expected =
        json!([{ "type": "secret_text", "name": "KEY" }, { "type": "plain_text", "name": "A", "text": "x" }]);
    assert_eq!(
        (
            &changed["bindings"],
            &changed["compatibility_date"],
            &changed["tags"]
        ),
        (&expected, &json!("2026-09-01"), &json!(["cf:service=s"]))
    );
    assert_eq!(world.get("/workers/scripts/s/settings").await.result(), changed);
    assert_eq!(world.versions().await.len(), 2);
    assert_eq!(
        world.deployments().await[0]["versions"][0]["version_id"],
        world.versions().await[0]["id"]
    );
    let beside = patch_settings(&world, r#"{"logpush":true}"#).await.result();
    assert_eq!(
        (&beside["logpush"], &beside["bindings"]),
        (&json!(true), &expected)
    );
    assert_eq!(
        world.versions().await.len(),
        2,
        "nothing of a version has changed"
    );
    assert_eq!(patch_settings(&world, "[]").await.failure().0, 400);
    let store = r#"{"bindings":[{"type":"kv_namespace","name":"KV","namespace_id":"1"}]}"#;
    assert!(
        patch_settings(&world, store)
            .await
            .failure()
            .2
            .contains("kv_namespace")
    );
    world
        .upload(("POST", "/workers/scripts/s/versions"), (METADATA, "export {};"))
        .await
        .result();
    assert_eq!(patch_settings(&world, patch).await.failure().1, 10214);
    let no_form = world.call("PATCH", "/workers/scripts/s/settings", "{}").await;
    assert_eq!(no_form.failure().1, 10002);
}

#[tokio::test]
async fn settings_beside_versions_are_kept() {
    let world = World::deployed().await;
    let patch = r#"{"observability":{"enabled":true},"tags":["a"],"logpush":true}"#;
    let expected =
        json!({ "observability": { "enabled": true }, "tags": ["a"], "logpush": true, "tail_consumers": [] });
    let patched = world
        .call("PATCH", "/workers/scripts/s/script-settings", patch)
        .await;
    assert_eq!(patched.result(), expected);
    assert_eq!(
        world.get("/workers/scripts/s/script-settings").await.result(),
        expected
    );
    let service = world.get("/workers/services/s").await.result();
    assert_eq!(service["default_environment"]["script"]["tags"], json!(["a"]));
    let consumers = r#"{"tail_consumers":[{"service":"x"}]}"#;
    let refused = world
        .call("PATCH", "/workers/scripts/s/script-settings", consumers)
        .await;
    assert_eq!(refused.failure().0, 400);
    let subdomain = world
        .call("PUT", "/workers/subdomain", r#"{"subdomain":"acme"}"#)
        .await;
    assert_eq!(subdomain.result(), json!({ "subdomain": "acme" }));
    assert_eq!(
        world.get("/workers/subdomain").await.result()["subdomain"],
        "acme"
    );
    let bad = world
        .call("PUT", "/workers/subdomain", r#"{"subdomain":"A b"}"#)
        .await;
    assert_eq!(bad.failure().1, 10002);
}

#[tokio::test]
async fn a_host_name_can_be_turned_off() {
    let world = World::deployed().await;
    assert_eq!(world.by_host().await, 200);
    let path = "/workers/scripts/s/subdomain";
    let off = world.call("POST", path, r#"{"enabled":false}"#).await.result();
    assert_eq!(off, json!({ "enabled": false, "previews_enabled": false }));
    assert_eq!(world.by_host().await, 404);
    assert_eq!(
        world.get("/workers/workers/s").await.result()["subdomain"]["enabled"],
        false
    );
    world
        .upload(("PUT", "/workers/scripts/s"), (METADATA, "export {};;"))
        .await
        .result();
    assert_eq!(world.by_host().await, 404, "a deployment does not turn it on");
    let on = world
        .call("POST", path, r#"{"enabled":true,"previews_enabled":true}"#)
        .await
        .result();
    assert_eq!(on["url"], "http://s.localhost:8787/");
    assert_eq!(world.by_host().await, 200);
    world.call("DELETE", path, "").await.result();
    assert_eq!(
        world.get(path).await.result(),
        json!({ "enabled": false, "previews_enabled": false })
    );
}

#[tokio::test]
async fn modules_come_back_as_a_form() {
    let world = World::deployed().await;
    for path in [
        "/workers/scripts/s",
        "/workers/scripts/s/content/v2",
        "/workers/services/s/environments/production/content/v2",
    ] {
        let form = world.get(path).await;
        assert_eq!(form.headers["cf-entrypoint"], "index.js");
        let kind = form.headers["content-type"].to_str().unwrap();
        let boundary = multer::parse_boundary(kind).unwrap();
        let body = futures_util::stream::once(std::future::ready(Ok::<_, std::io::Error>(form.text.clone())));
        let mut parts = multer::Multipart::new(body, boundary);
        let part = parts.next_field().await.unwrap().unwrap();
        assert_eq!(part.name(), Some("index.js"));
        assert_eq!(
            part.content_type().unwrap().essence_str(),
            "application/javascript+module"
        );
        assert_eq!(part.text().await.unwrap(), "export {}");
        assert!(parts.next_field().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn scripts_are_listed_and_found() {
    let world = World::deployed().await;
    world
        .upload(("PUT", "/workers/scripts/other"), (BARE, "export {}"))
        .await
        .result();
    let list = world.get("/workers/scripts").await.result();
    let ids: Vec<&Json> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|script| &script["id"])
        .collect();
    assert_eq!(ids, ["other", "s"]);
    assert_eq!(list[1]["compatibility_date"], "2026-08-01");
    let found = world
        .get("/workers/scripts-search?name=OTH")
        .await
        .result_of_page();
    assert_eq!(
        (found[0]["script_name"].as_str(), found.as_array().unwrap().len()),
        (Some("other"), 1)
    );
    let bindings = world
        .get("/workers/services/s/environments/production/bindings")
        .await;
    assert_eq!(
        bindings.result()[1],
        json!({ "type": "secret_text", "name": "KEY" })
    );
    let whole = world
        .get("/workers/services/s/environments/production")
        .await
        .result();
    assert_eq!(whole["script"]["id"], "s");
    for nothing in [
        "/storage/kv/namespaces?per_page=100&page=1",
        "/workers/durable_objects/namespaces?per_page=1000",
        "/workers/tails/by-consumer/s",
    ] {
        assert_eq!(world.get(nothing).await.result_of_page(), json!([]), "{nothing}");
    }
}

#[tokio::test]
async fn a_deleted_script_leaves_its_workflows() {
    let world = World::deployed().await;
    let create = async |id: &str| {
        let body = json!({ "instance_id": id });
        world
            .call("POST", "/workflows/w/instances", &body.to_string())
            .await
    };
    create("live").await.result();
    assert_eq!(
        world
            .call("DELETE", "/workers/services/s?force=false", "")
            .await
            .result(),
        Json::Null
    );
    for path in [
        "/workers/scripts/s/settings",
        "/workers/scripts/s/secrets",
        "/workers/scripts/s",
    ] {
        assert_eq!(world.get(path).await.failure().1, 10007, "{path}");
    }
    assert_eq!(world.get("/workers/services/s").await.failure().1, 10090);
    assert_eq!(world.by_host().await, 404);
    assert_eq!(world.get("/workflows/w").await.result()["script_deleted"], true);
    let refused = create("new").await;
    assert_eq!(refused.failure().1, 10210);
    assert!(
        refused.explanation().contains("it was deleted"),
        "{}",
        refused.explanation()
    );
    let live = world.get("/workflows/w/instances/live").await.result();
    assert!(
        live["status"] != "errored" && live["status"].is_string(),
        "{live}"
    );
    assert_eq!(
        world.call("DELETE", "/workers/scripts/s", "").await.failure().1,
        10007
    );
    world
        .upload(("PUT", "/workers/scripts/s"), (METADATA, "export {}"))
        .await
        .result();
    assert_eq!(
        world.get("/workflows/w").await.result()["script_deleted"],
        Json::Null
    );
    create("new").await.result();
    assert_eq!(world.versions().await[0]["number"], 1, "it begins anew");
}

#[tokio::test]
async fn a_script_that_others_need_is_not_deleted_by_mistake() {
    let world = World::deployed().await;
    let bound = BARE.replace(
        "\"bindings\":[]",
        r#""bindings":[{"type":"workflow","name":"THEIRS","workflow_name":"w","class_name":"MyWorkflow","script_name":"s"}]"#,
    );
    world
        .upload(("PUT", "/workers/scripts/other"), (&bound, "export {}"))
        .await
        .result();
    let service = BARE.replace(
        "\"bindings\":[]",
        r#""bindings":[{"type":"service","name":"NEAR","service":"s"}]"#,
    );
    let nobody = json!({ "incoming": [], "outgoing": [], "pages_function": false });
    let references = world.get("/workers/scripts/s/references").await.result();
    assert_eq!(
        references["services"], nobody,
        "it has a workflow binding, which is no service binding"
    );
    let (status, code, message) = world.call("DELETE", "/workers/scripts/s", "").await.failure();
    assert_eq!((status, code), (409, 10487));
    assert!(
        message.contains("\"other\"") && message.contains("\"THEIRS\""),
        "{message}"
    );
    world
        .upload(("PUT", "/workers/scripts/other"), (&service, "export {}"))
        .await
        .result();
    let references = world.get("/workers/scripts/s/references").await.result();
    assert_eq!(
        references["services"]["incoming"],
        json!([{ "service": "other", "environment": "production", "name": "NEAR" }])
    );
    assert_eq!(
        world
            .call("DELETE", "/workers/services/s?force=false", "")
            .await
            .failure()
            .1,
        10487
    );
    let forced = world.call("DELETE", "/workers/scripts/s?force=true", "").await;
    assert_eq!(forced.result(), Json::Null);
}
