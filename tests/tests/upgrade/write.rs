//! Writes a fixture: a server is brought into every state there is, and killed.

use crate::scene::{self, CONTROL_PLANE, ROLLBACKS, SCENES, SECRET, Scene};
use crate::{dump, serve};
use cairn_tests::{Cairn, Rest, Running, Scratch, TOKEN};
use reqwest::Method;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const SOURCE: &str = include_str!("upgrade.js");

async fn put(rest: &Rest, path: &str, body: &Value) {
    let done = rest.send(Method::PUT, path, Some(body)).await;
    done.expect("the server answers").result();
}

/// The Worker, or its next version.
async fn deploy(rest: &Rest, (version, schema): (&str, u32)) {
    let mut bindings =
        vec![json!({ "type": "workflow", "name": "FLOW", "workflow_name": "flow", "class_name": "Flow" })];
    if schema >= CONTROL_PLANE {
        bindings.push(json!({ "type": "secret_text", "name": "SECRET", "text": SECRET }));
    }
    let source = SOURCE.replace(
        "const VERSION = \"one\"",
        &format!("const VERSION = \"{version}\""),
    );
    rest.deploy_bound("flow", "Flow", (&source, &json!(bindings)))
        .await;
}

async fn workflows(rest: &Rest, schema: u32) {
    if schema >= ROLLBACKS {
        let own = |more: Value| {
            let mut put = json!({ "script_name": "flow", "class_name": "Flow" });
            put.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            put
        };
        put(
            rest,
            "/workflows/narrow",
            &own(json!({ "concurrency": { "limit": 1 } })),
        )
        .await;
        put(
            rest,
            "/workflows/scheduled",
            &own(json!({ "schedules": [{ "cron": "* * * * *" }] })),
        )
        .await;
    }
    if schema >= CONTROL_PLANE {
        put(
            rest,
            "/workers/scripts/flow/schedules",
            &json!([{ "cron": "* * * * *" }]),
        )
        .await;
    }
}

/// A token that may read.
async fn token(cairn: &Cairn, server: &mut Running) -> String {
    let url = format!("http://{}", server.address().await);
    let mut command = cairn.command(&["token", "create", "reader", "--scope", "read"]);
    command.env("CAIRN_URL", url).env("CAIRN_API_TOKEN", TOKEN);
    Running::watch(command)
        .end()
        .await
        .expect(0)
        .stdout
        .trim()
        .to_owned()
}

pub(crate) async fn write(cairn: &Cairn, (schema, folder): (u32, &Path)) {
    let data = Scratch::new();
    let (mut server, rest) = serve(cairn, data.path()).await;
    deploy(&rest, ("one", schema)).await;
    workflows(&rest, schema).await;
    let scenes: Vec<_> = SCENES.iter().filter(|scene| scene.since <= schema).collect();
    let written_at = scene::now_millis();
    let is_newer = |scene: &&&Scene| scene.id == "newer-version";
    for scene in scenes.iter().filter(|scene| !is_newer(scene)) {
        scene.begin(&rest, written_at).await;
    }
    deploy(&rest, ("two", schema)).await;
    for scene in scenes.iter().filter(is_newer) {
        scene.begin(&rest, written_at).await;
    }
    let mut said = json!({ "schema": schema, "instances": {} });
    for scene in &scenes {
        scene.is_there(&rest).await;
        said["instances"][scene.id] = scene.details(&rest).await;
    }
    for scene in &scenes {
        let status = &said["instances"][scene.id]["status"];
        assert_eq!(
            status, scene.status,
            "{} did not stay in its state: the machine is too slow",
            scene.id
        );
    }
    if schema >= CONTROL_PLANE {
        said["token"] = token(cairn, &mut server).await.into();
        said["deployments"] = rest
            .get("/workers/scripts/flow/deployments")
            .await
            .result()
            .clone();
    }
    server.kill().await;
    fs::create_dir_all(folder).unwrap();
    let sql = dump::dump(&data.path().join("cairn.db"));
    println!("{}: {} KiB", folder.display(), sql.len() / 1024);
    fs::write(folder.join("cairn.sql"), sql).unwrap();
    fs::write(folder.join("said.json"), format!("{said:#}\n")).unwrap();
    if let Ok(key) = fs::read(data.path().join("secrets.key")) {
        fs::write(folder.join("secrets.key"), key).unwrap();
    }
}
