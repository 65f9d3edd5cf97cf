//! wrangler, unmodified: Workers that are bound to each other, and Workers on a schedule.

use crate::harness::set_up;
use cairn_tests::Scratch;
use serde_json::json;

const TARGET: &str = r#"import { WorkerEntrypoint } from "cloudflare:workers";
export class Sums extends WorkerEntrypoint { add(a, b) { return a + b; } }
export default { fetch: (request) => new Response(`target at ${new URL(request.url).pathname}`) };
"#;

const CALLER: &str = r#"import { WorkflowEntrypoint } from "cloudflare:workers";
export class CompatFlow extends WorkflowEntrypoint {
  async run(event, step) { return await step.do("add", () => this.env.SUMS.add(event.payload.a, 2)); }
}
export default {
  fetch: (request, env) => env.TARGET.fetch(request),
  scheduled() {},
};
"#;

const CONFIGURATION: &str = r#"{
  "name": "caller",
  "main": "src/index.ts",
  "compatibility_date": "2026-11-01",
  "services": [
    { "binding": "TARGET", "service": "target" },
    { "binding": "SUMS", "service": "target", "entrypoint": "Sums" },
  ],
  "triggers": { "crons": ["*/5 * * * *", "0 0 L * *"] },
  "workflows": [{ "binding": "FLOW", "name": "compat-flow", "class_name": "CompatFlow" }],
}"#;

#[tokio::test]
async fn wrangler_binds_workers_and_sets_their_schedules() {
    let data = Scratch::new();
    let Some((server, rest, wrangler)) = set_up(&data).await else {
        return;
    };
    let target = r#"{ "name": "target", "main": "src/index.ts", "compatibility_date": "2026-11-01" }"#;
    wrangler.project.write("wrangler.jsonc", target);
    wrangler.project.write("src/index.ts", TARGET);
    wrangler.run("deploy").await.has(&["Uploaded target"]);

    wrangler.project.write("wrangler.jsonc", CONFIGURATION);
    wrangler.project.write("src/index.ts", CALLER);
    let said = wrangler.run("deploy").await;
    said.has(&[
        "env.TARGET (target)",
        "env.SUMS (target#Sums)",
        "schedule: */5 * * * *",
        "schedule: 0 0 L * *",
        "workflow: compat-flow",
    ]);
    assert_eq!(
        rest.worker("caller", "/a").await,
        (200, "target at /a".to_owned())
    );
    let listed = rest.get("/workers/scripts/caller/schedules").await;
    let schedules = listed.result()["schedules"].as_array().unwrap().clone();
    let crons: Vec<&str> = schedules.iter().filter_map(|row| row["cron"].as_str()).collect();
    assert_eq!(crons, ["*/5 * * * *", "0 0 L * *"]);

    wrangler
        .ends(
            0,
            &[
                "workflows",
                "trigger",
                "compat-flow",
                r#"{"a":40}"#,
                "--id",
                "one",
            ],
        )
        .await;
    let instance = crate::harness::until_status(&rest, "one", "complete").await;
    assert_eq!(instance["output"], json!("42"));

    wrangler.run("delete --name target").await.has(&[
        "target is currently in use by other Workers",
        "Worker caller (production) uses this Worker as a Service Binding",
        "Successfully deleted target",
    ]);
    let (status, text) = rest.worker("caller", "/a").await;
    assert!(status == 502 && text.contains("target"), "{status} {text}");

    let without = CONFIGURATION.replace(r#"["*/5 * * * *", "0 0 L * *"]"#, "[]");
    wrangler.project.write("wrangler.jsonc", &without);
    wrangler.run("deploy").await.lacks("schedule:");
    let listed = rest.get("/workers/scripts/caller/schedules").await;
    assert_eq!(listed.result()["schedules"], json!([]));
    server.stop().await.expect(0);
}
