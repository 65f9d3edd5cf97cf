//! `cairn dev`: changes are deployed, broken ones are not.

use cairn_tests::{Rest, Scratch, cairn, until};
use serde_json::json;

fn source(answer: &str) -> String {
    format!(
        r#"import {{ WorkflowEntrypoint }} from "cloudflare:workers";
           import {{ word }} from "./word";
           export class Flow extends WorkflowEntrypoint {{
             async run(event, step) {{ return await step.do("answer", async () => "{answer} " + word); }}
           }}
           export default {{ fetch() {{ return new Response("{answer} " + word); }} }};"#
    )
}

async fn answers(rest: &Rest, expected: &str) {
    until(&format!("the Worker answers {expected:?}"), || async {
        (rest.worker("changing", "/").await == (200, expected.to_owned())).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_change_is_deployed_and_a_broken_one_is_told_and_left_out() {
    let project = Scratch::project("changing", "Flow", &source("first"));
    project.write("word.ts", "export const word = 'word';");
    let data = Scratch::new();
    let mut server = cairn!().start(&["dev", project.text(), "--port", "0", "--data-dir", data.text()]);
    let rest = server.rest().await;
    let said = server.until_said("To start an instance").await;
    assert!(said.contains("http://changing.localhost:"), "{said}");
    answers(&rest, "first word").await;

    project.write("index.ts", "export class {");
    server.until_said("The last version stays").await;
    assert!(server.said().contains("index.ts:1"), "{}", server.said());
    answers(&rest, "first word").await;

    project.write("index.ts", &source("second"));
    answers(&rest, "second word").await;

    project.write("word.ts", "export const word = 'thought';");
    answers(&rest, "second thought").await;

    project.write("wrangler.jsonc", "{ \"name\": ");
    server.until_said("wrangler.jsonc:1:").await;

    rest.post("/workflows/changing/instances", &json!({ "instance_id": "a" }))
        .await
        .result();
    let output = until("the instance completes", || async {
        let instance = rest.get("/workflows/changing/instances/a").await;
        instance.result()["output"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(output, "\"second thought\"");
    server.stop().await.expect(0);
}

fn sleeper(answer: &str) -> String {
    format!(
        r#"import {{ WorkflowEntrypoint }} from "cloudflare:workers";
           export class Flow extends WorkflowEntrypoint {{
             async run(event, step) {{
               const before = await step.do("before", async () => "{answer}");
               await step.sleep("nap", 4000);
               return [before, await step.do("after", async () => "{answer}")];
             }}
           }}
           export default {{ fetch() {{ return new Response("{answer}"); }} }};"#
    )
}

#[tokio::test]
async fn an_instance_that_sleeps_goes_on_with_the_new_code() {
    let project = Scratch::project("changing", "Flow", &sleeper("old"));
    let data = Scratch::new();
    let mut server = cairn!().start(&["dev", project.text(), "--port", "0", "--data-dir", data.text()]);
    let rest = server.rest().await;
    server.until_said("To start an instance").await;
    rest.post("/workflows/changing/instances", &json!({ "instance_id": "a" }))
        .await
        .result();
    until("it sleeps", || async {
        let instance = rest.get("/workflows/changing/instances/a").await;
        (instance.result()["status"] == "waiting").then_some(())
    })
    .await;
    project.write("index.ts", &sleeper("new"));
    answers(&rest, "new").await;
    let output = until("the instance completes", || async {
        let instance = rest.get("/workflows/changing/instances/a").await;
        instance.result()["output"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(output, r#"["old","new"]"#);
    server.stop().await.expect(0);
}

#[tokio::test]
async fn a_server_without_a_token_refuses_pages_of_other_origins() {
    let project = Scratch::project("changing", "Flow", &source("first"));
    project.write("word.ts", "export const word = 'word';");
    let data = Scratch::new();
    let mut server = cairn!().start(&["dev", project.text(), "--port", "0", "--data-dir", data.text()]);
    let address = server.address().await;
    let url = format!("http://{address}/client/v4/accounts/local/workflows");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let own = http.get(&url).send().await.unwrap();
    assert_eq!(own.status(), 200);
    let foreign = http
        .get(&url)
        .header("origin", "https://example.com")
        .send()
        .await
        .unwrap();
    assert_eq!(foreign.status(), 403);
    server.stop().await.expect(0);
}
