//! Schedules, from `wrangler.jsonc` to the event in user code. Nobody waits for a minute to come: the clock is put forward.

use cairn_tests::{Rest, Running, Scratch, cairn, example, until};
use serde_json::{Value, json};

const DAY_MILLIS: i64 = 86_400_000;

async fn ids(rest: &Rest) -> Vec<String> {
    let listed = rest.get("/workflows/report/instances").await;
    let rows = listed.result().as_array().unwrap();
    rows.iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

async fn completed(rest: &Rest, id: &str) -> Value {
    let path = format!("/workflows/report/instances/{id}");
    until("the report is made", || async {
        let instance = rest.get(&path).await.result().clone();
        (instance["status"] == "complete").then_some(instance)
    })
    .await
}

/// Puts the clock of a server forward.
async fn pass(server: &mut Running, time: &str) {
    let url = format!("http://{}/cairn/v1/test/clock", server.address().await);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let put = http
        .post(url)
        .json(&json!({ "advance": time }))
        .send()
        .await
        .unwrap();
    assert_eq!(put.status(), 200);
}

#[tokio::test]
async fn a_report_is_made_on_schedule_once_for_all_that_was_missed() {
    let data = Scratch::new();
    let project = example("schedule");
    let project = project.to_str().unwrap();
    let dev = ["dev", project, "--port", "0", "--data-dir", data.text()];
    let mut server = cairn!().start(&dev);
    let rest = server.rest().await;
    server.until_said("To start an instance").await;
    let workflow = rest.get("/workflows/report").await;
    let schedule = &workflow.result()["schedules"][0];
    assert_eq!(schedule["cron"], "0 7 * * MON-FRI");
    let next = schedule["next_instance"].as_str().unwrap();
    assert!(next.ends_with("T07:00:00.000Z"), "{next}");
    assert_eq!(ids(&rest).await, [""; 0], "nothing of the past is fired");

    pass(&mut server, "8 days").await;
    let made = until("the report", || async { ids(&rest).await.pop() }).await;
    let (cron, scheduled_time) = made.rsplit_once('-').unwrap();
    let scheduled_time: i64 = scheduled_time.parse().unwrap();
    assert_eq!(cron, "0 7 * * MON-FRI");
    assert_eq!(scheduled_time % DAY_MILLIS, 7 * 3_600_000);
    let instance = completed(&rest, &made).await;
    assert_eq!(instance["trigger"]["source"], "cron");
    assert_eq!(instance["params"], json!({}));
    assert_eq!(
        instance["schedule"],
        json!({ "cron": cron, "scheduledTime": scheduled_time })
    );
    let output: Value = serde_json::from_str(instance["output"].as_str().unwrap()).unwrap();
    assert_eq!(output["schedule"], cron);
    let until_time = output["until"].as_str().unwrap();
    assert!(until_time.ends_with("T07:00:00.000Z"), "{output}");
    assert_eq!(
        ids(&rest).await,
        std::slice::from_ref(&made),
        "one for all of the eight days"
    );

    pass(&mut server, "6 days").await;
    let both = until("the next report", || async {
        let ids = ids(&rest).await;
        (ids.len() == 2).then_some(ids)
    })
    .await;
    let (_, later) = both[0].rsplit_once('-').unwrap();
    assert!(later.parse::<i64>().unwrap() > scheduled_time, "{both:?}");
    server.stop().await.expect(0);

    // The clock of the machine is behind that of the test: what was fired is not fired again.
    let mut server = cairn!().start(&dev);
    let rest = server.rest().await;
    server.until_said("To start an instance").await;
    pass(&mut server, "13 days").await;
    assert_eq!(ids(&rest).await, both);
    server.stop().await.expect(0);
}

#[tokio::test]
async fn a_worker_is_called_when_its_time_comes() {
    let (data, project) = (
        Scratch::new(),
        Scratch::with(&[
            (
                "wrangler.jsonc",
                r#"{
  "name": "clockwork", "main": "index.js", "compatibility_date": "2026-11-01",
  "triggers": { "crons": ["30 6 * * *"] },
  "workflows": [{ "binding": "REPORT", "name": "report", "class_name": "Report" }],
}"#,
            ),
            (
                "index.js",
                r#"import { WorkflowEntrypoint } from "cloudflare:workers";
export class Report extends WorkflowEntrypoint { async run(event) { return event.payload; } }
export default {
  async scheduled(controller, env, ctx) {
    const { cron, scheduledTime } = controller;
    ctx.waitUntil(env.REPORT.create({ id: `at-${scheduledTime}`, params: { cron } }));
  },
};
"#,
            ),
        ]),
    );
    let dev = ["dev", project.text(), "--port", "0", "--data-dir", data.text()];
    let mut server = cairn!().start(&dev);
    let rest = server.rest().await;
    server.until_said("To start an instance").await;
    assert_eq!(ids(&rest).await, [""; 0], "nothing of the past is fired");
    pass(&mut server, "3 days").await;
    let made = until("the report", || async { ids(&rest).await.pop() }).await;
    let time: i64 = made.strip_prefix("at-").unwrap().parse().unwrap();
    assert_eq!(time % DAY_MILLIS, (6 * 60 + 30) * 60_000);
    let output = completed(&rest, &made).await["output"].clone();
    assert_eq!(output, r#"{"cron":"30 6 * * *"}"#);
    assert_eq!(ids(&rest).await, [made], "one for all of the three days");
    server.stop().await.expect(0);
}

#[tokio::test]
async fn a_report_can_be_made_by_hand() {
    let data = Scratch::new();
    let ended = cairn!()
        .run_project(&example("schedule"), data.path(), &[])
        .await
        .expect(0);
    let output: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(output["schedule"], "none, started by hand");
}

#[tokio::test]
async fn an_expression_that_is_none_is_told() {
    let project = Scratch::with(&[
        (
            "index.js",
            "import { WorkflowEntrypoint } from 'cloudflare:workers';
             export class Flow extends WorkflowEntrypoint { async run() {} }
             export default {};",
        ),
        (
            "wrangler.jsonc",
            r#"{ "name": "x", "main": "index.js", "compatibility_date": "2026-11-01",
                "workflows": [{ "binding": "FLOW", "name": "x", "class_name": "Flow", "schedules": ["0 7 * * *", "0 7 * * 0"] }] }"#,
        ),
    ]);
    let data = Scratch::new();
    let ended = cairn!()
        .run_project(project.path(), data.path(), &[])
        .await
        .expect(2);
    for part in [
        "schedules[1].cron is \"0 7 * * 0\"",
        "its day of week is \"0\"; allowed are * and lists of 1 (Sunday) to 7",
        "wrangler.jsonc",
    ] {
        assert!(ended.stderr.contains(part), "no {part:?} in:\n{}", ended.stderr);
    }
}
