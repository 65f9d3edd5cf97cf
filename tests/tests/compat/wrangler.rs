//! wrangler as it is published, unmodified: deploys, deploys again, and every command it has for workflows.
//!
//! It comes from `npm install` in `tests/`. Without it the test is skipped with a message, and fails where `CI=true`.

use crate::harness::{CONFIGURATION, set_up, source, until_status};
use cairn_tests::Scratch;
use serde_json::Value;

#[tokio::test]
async fn wrangler_deploys_first_and_again() {
    let data = Scratch::new();
    let Some((server, rest, wrangler)) = set_up(&data).await else {
        return;
    };
    let first = wrangler.run("deploy").await;
    let first = first.has(&[
        "Uploaded compat",
        "Deployed compat triggers",
        "workflow: compat-flow",
    ]);
    let first = first.after("Current Version ID:");
    assert_eq!(rest.worker("compat", "/").await, (200, "one".to_owned()));
    wrangler.trigger("old", "Ada").await;
    until_status(&rest, "old", "waiting").await;

    wrangler.project.write("src/index.ts", &source("two"));
    let second = wrangler.run("deploy").await.has(&["workflow: compat-flow"]);
    assert_ne!(first, second.after("Current Version ID:"));
    assert_eq!(rest.worker("compat", "/").await, (200, "two".to_owned()));
    wrangler.trigger("new", "Ada").await;
    for (id, text) in [("old", "Hello, Ada (one)"), ("new", "Hello, Ada (two)")] {
        let send = [
            "workflows",
            "instances",
            "send-event",
            "compat-flow",
            id,
            "--type",
            "answer",
            "--payload",
            r#"{"ok":true}"#,
        ];
        wrangler.ends(0, &send).await;
        let instance = until_status(&rest, id, "complete").await;
        let output: Value = serde_json::from_str(instance["output"].as_str().unwrap()).unwrap();
        assert_eq!(output, serde_json::json!({ "text": text, "ok": true }));
    }
    server.stop().await.expect(0);
}

#[tokio::test]
async fn wrangler_shows_pauses_and_feeds_instances() {
    let data = Scratch::new();
    let Some((server, rest, wrangler)) = set_up(&data).await else {
        return;
    };
    wrangler.run("deploy").await;
    wrangler.trigger("first", "Ada").await;
    until_status(&rest, "first", "waiting").await;

    wrangler
        .run("workflows instances list compat-flow")
        .await
        .has(&["first", "Waiting"]);
    let described = wrangler
        .run("workflows instances describe compat-flow first")
        .await;
    described.has(&[
        "Waiting",
        "greet-1",
        "Hello, Ada (one)",
        "Sleeping",
        "answer-1",
        "Waiting for event",
    ]);
    wrangler
        .run("workflows instances describe compat-flow latest")
        .await
        .has(&["Instance Id:           first"]);

    wrangler
        .run("workflows instances pause compat-flow first")
        .await
        .has(&["was paused successfully"]);
    until_status(&rest, "first", "paused").await;
    wrangler
        .run("workflows instances list compat-flow --status paused")
        .await
        .has(&["first", "Paused"]);
    wrangler
        .run("workflows instances resume compat-flow first")
        .await
        .has(&["was resumed successfully"]);
    until_status(&rest, "first", "waiting").await;

    let send = [
        "workflows",
        "instances",
        "send-event",
        "compat-flow",
        "first",
        "--type",
        "answer",
        "--payload",
        r#"{"ok":true}"#,
    ];
    wrangler.ends(0, &send).await.has(&["answer", "first"]);
    until_status(&rest, "first", "complete").await;
    let described = wrangler
        .run("workflows instances describe compat-flow first")
        .await;
    described.has(&["Completed", "Success:               ✅ Yes", "\\\"ok\\\":true"]);

    server.stop().await.expect(0);
}

#[tokio::test]
async fn wrangler_terminates_restarts_and_deletes_instances() {
    let data = Scratch::new();
    let Some((server, rest, wrangler)) = set_up(&data).await else {
        return;
    };
    wrangler.run("deploy").await;
    wrangler.trigger("first", "Ada").await;
    wrangler.trigger("second", "Grace").await;
    until_status(&rest, "second", "waiting").await;
    wrangler
        .run("workflows instances terminate compat-flow second")
        .await
        .has(&["was terminated successfully"]);
    until_status(&rest, "second", "terminated").await;
    wrangler
        .run("workflows instances describe compat-flow second")
        .await
        .has(&["Terminated"]);
    wrangler
        .run("workflows instances restart compat-flow second")
        .await
        .has(&["was restarted successfully"]);
    until_status(&rest, "second", "waiting").await;

    wrangler
        .run("workflows instances delete compat-flow first second")
        .await
        .has(&["first", "second"]);
    wrangler
        .run("workflows instances list compat-flow")
        .await
        .lacks("first");
    server.stop().await.expect(0);
}

#[tokio::test]
async fn wrangler_rolls_back_and_restarts_from_a_step() {
    let data = Scratch::new();
    let Some((server, rest, wrangler)) = set_up(&data).await else {
        return;
    };
    let undone = source("one").replace("(one)`);", "(one)`, { rollback: async () => {} });");
    wrangler.project.write("src/index.ts", &undone);
    wrangler.run("deploy").await;
    wrangler.trigger("first", "Ada").await;
    let waiting = until_status(&rest, "first", "waiting").await;
    wrangler
        .run("workflows instances terminate compat-flow first --rollback")
        .await
        .has(&["first"]);
    let ended = until_status(&rest, "first", "terminated").await;
    assert_eq!(ended["rollback"]["outcome"], "complete", "{ended}");
    wrangler
        .run("workflows instances describe compat-flow first")
        .await
        .has(&["Terminated", "greet-1", "Hello, Ada (one)"]);

    let nowhere = "workflows instances restart compat-flow first --from-step-name nope";
    let words: Vec<&str> = nowhere.split(' ').collect();
    wrangler
        .ends(1, &words)
        .await
        .has(&["not found in execution history"]);
    wrangler
        .run("workflows instances restart compat-flow first --from-step-name nap --from-step-count 1 --from-step-type sleep")
        .await
        .has(&["was restarted"]);
    let again = until_status(&rest, "first", "waiting").await;
    assert_eq!(again["rollback"], Value::Null);
    assert_eq!(again["steps"][0]["start"], waiting["steps"][0]["start"]);
    assert_ne!(again["steps"][1]["start"], waiting["steps"][1]["start"]);
    server.stop().await.expect(0);
}

#[tokio::test]
async fn wrangler_deploys_workflows_that_are_exports() {
    let data = Scratch::new();
    let Some((server, rest, wrangler)) = set_up(&data).await else {
        return;
    };
    let configuration = CONFIGURATION.replace(
        r#""workflows": [{ "binding": "FLOW", "name": "compat-flow", "class_name": "CompatFlow" }]"#,
        r#""exports": { "CompatFlow": { "type": "workflow", "name": "compat-flow", "limits": { "steps": 50 } } }"#,
    );
    wrangler.project.write("wrangler.jsonc", &configuration);
    let fetch = "export default { fetch: async (_: Request, _env: Env, ctx: any) => new Response((await ctx.exports.CompatFlow.create({ id: \"first\", params: { name: \"Ada\" } })).id) };\n";
    let text = source("one");
    let begin = text.find("export default").unwrap();
    wrangler
        .project
        .write("src/index.ts", &format!("{}{fetch}", &text[..begin]));
    wrangler.run("deploy").await.has(&["Uploaded compat"]);
    assert_eq!(rest.worker("compat", "/").await, (200, "first".to_owned()));
    until_status(&rest, "first", "waiting").await;
    let versions = rest.get("/workflows/compat-flow/versions").await;
    assert_eq!(versions.result()[0]["limits"]["steps"], 50);
    wrangler.run("deploy").await.has(&["Uploaded compat"]);
    wrangler
        .run("workflows describe compat-flow")
        .await
        .has(&["CompatFlow"]);
    server.stop().await.expect(0);
}

#[tokio::test]
async fn wrangler_shows_and_deletes_workflows() {
    let data = Scratch::new();
    let Some((server, _, wrangler)) = set_up(&data).await else {
        return;
    };
    wrangler.run("deploy").await;
    wrangler
        .run("workflows list")
        .await
        .has(&["compat-flow", "CompatFlow"]);
    wrangler
        .run("workflows describe compat-flow")
        .await
        .has(&["compat-flow", "CompatFlow"]);
    wrangler.trigger("first", "Ada").await;
    wrangler
        .run("workflows delete compat-flow")
        .await
        .has(&["removed successfully"]);
    wrangler.run("workflows list").await.lacks("CompatFlow");
    let unknown = wrangler.ends(1, &["workflows", "describe", "compat-flow"]).await;
    unknown.has(&["workflow.not_found", "10200"]);
    server.stop().await.expect(0);
}

#[tokio::test]
async fn wrangler_is_told_why_it_is_refused() {
    let data = Scratch::new();
    let Some((server, _, mut wrangler)) = set_up(&data).await else {
        return;
    };
    wrangler.project.write(
        "src/index.ts",
        &source("one").replace("class CompatFlow", "class Other"),
    );
    let refused = wrangler.ends(1, &["deploy"]).await;
    refused.has(&["CompatFlow"]);
    let with_storage = CONFIGURATION.replace("\"vars\":", "\"kv_namespaces\": [{ \"binding\": \"KV\", \"id\": \"0123456789abcdef0123456789abcdef\" }], \"vars\":");
    wrangler.project.write("wrangler.jsonc", &with_storage);
    wrangler.project.write("src/index.ts", &source("one"));
    wrangler.ends(1, &["deploy"]).await.has(&["KV", "kv_namespace"]);
    wrangler.token = "wrong".to_owned();
    wrangler
        .ends(1, &["workflows", "list"])
        .await
        .has(&["Authentication error", "10000"]);
    server.stop().await.expect(0);
}

#[tokio::test]
async fn wrangler_deploys_schedules() {
    let data = Scratch::new();
    let Some((server, rest, wrangler)) = set_up(&data).await else {
        return;
    };
    let deploy = async |schedules: &str, code| {
        let class = "\"class_name\": \"CompatFlow\"";
        let scheduled = CONFIGURATION.replace(class, &format!("{class}, \"schedules\": {schedules}"));
        wrangler.project.write("wrangler.jsonc", &scheduled);
        wrangler.ends(code, &["deploy"]).await
    };
    let crons = async || {
        let workflow = rest.get("/workflows/compat-flow").await;
        let schedules = workflow.result()["schedules"].as_array().unwrap().clone();
        schedules.into_iter().map(|schedule| schedule["cron"].clone())
    };
    deploy("\"0 7 * * MON-FRI\"", 0).await;
    assert!(crons().await.eq(["0 7 * * MON-FRI"]));
    deploy(r#"["*/30 9-17 L * *", "0 7 * * 2#1"]"#, 0).await;
    assert!(crons().await.eq(["*/30 9-17 L * *", "0 7 * * 2#1"]));
    let refused = deploy("\"0 7 * * 0\"", 1).await;
    refused.has(&["schedules[0].cron is \"0 7 * * 0\"", "1 (Sunday) to 7 (Saturday)"]);
    assert!(crons().await.eq(["*/30 9-17 L * *", "0 7 * * 2#1"]));
    server.stop().await.expect(0);
}
