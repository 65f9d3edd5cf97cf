//! Rollbacks, restarts from a step, and workflows that start each other.

use cairn_tests::{Recorder, Reply, Rest, Scratch, cairn, example, until};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// Paths in the order they were asked for.
fn paths(bookings: &Recorder) -> Vec<String> {
    bookings.seen().into_iter().map(|seen| seen.path).collect()
}

async fn until_ended(rest: &Rest, path: &str) -> Value {
    until("the instance ends", || async {
        let instance = rest.get(path).await;
        let details = instance.result();
        (!details["end"].is_null()).then(|| details.clone())
    })
    .await
}

/// `type name success` of each step.
fn outline(details: &Value) -> Vec<String> {
    let steps = details["steps"].as_array().unwrap();
    let line = |step: &Value| {
        format!(
            "{} {} {}",
            step["type"].as_str().unwrap(),
            step["name"].as_str().unwrap_or("-"),
            step["success"]
        )
    };
    steps.iter().map(line).collect()
}

#[tokio::test]
async fn a_trip_that_cannot_be_had_is_undone() {
    let bookings = Recorder::start(|_, seen| match seen.path.as_str() {
        "/car" => Reply::new(409, ""),
        path => Reply::new(200, json!({ "booking": format!("{path} 1") }).to_string()),
    })
    .await;
    let data = Scratch::new();
    let params = json!({ "trip": "Lisbon", "bookingUrl": bookings.url("") }).to_string();
    let ended = cairn!()
        .run_project(&example("saga"), data.path(), &["--id", "t", "--params", &params])
        .await
        .expect(1);
    assert!(ended.stderr.contains("there is no car left"), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("✓ rollback of flight-1 done"),
        "{}",
        ended.stderr
    );
    let undone = ["/car/cancel", "/hotel/cancel", "/flight/cancel"];
    assert_eq!(paths(&bookings), [["/flight", "/hotel", "/car"], undone].concat());
    let cancelled = &bookings.seen()[5];
    assert_eq!(cancelled.idempotency_key.as_deref(), Some("t-flight"));
    let body: Value = serde_json::from_str(&cancelled.body).unwrap();
    assert_eq!(
        (&body["trip"], &body["booking"]),
        (&json!("Lisbon"), &json!("/flight 1"))
    );
    assert!(
        body["reason"].as_str().unwrap().contains("there is no car left"),
        "{body}"
    );

    let (server, rest) = cairn!().serve(data.path()).await;
    let answer = rest.get("/workflows/saga/instances/t").await;
    let details = answer.result();
    assert_eq!(details["status"], "errored");
    assert_eq!(
        details["rollback"],
        json!({ "outcome": "complete", "error": null })
    );
    assert_eq!(
        outline(details),
        [
            "step flight-1 true",
            "step hotel-1 true",
            "step car-1 false",
            "rollback car-1 true",
            "rollback hotel-1 true",
            "rollback flight-1 true"
        ]
    );
    assert_eq!(details["steps"][3]["config"]["retries"]["limit"], 3);
    assert_eq!(details["steps"][3]["attempts"].as_array().unwrap().len(), 1);
    server.stop().await.expect(0);
}

#[tokio::test]
async fn a_rollback_goes_on_after_a_kill() {
    let bookings = Recorder::start(|nth, seen| match seen.path.as_str() {
        "/car" => Reply::new(409, ""),
        // The first to cancel a hotel never hears of it.
        "/hotel/cancel" if nth == 4 => Reply::new(200, "{}").after(Duration::from_secs(60)),
        _ => Reply::new(200, r#"{"booking":"b"}"#),
    })
    .await;
    let data = Scratch::new();
    let params = json!({ "trip": "Oslo", "bookingUrl": bookings.url("") }).to_string();
    let arguments = ["--id", "t", "--params", &params];
    let first = cairn!().start_project(&example("saga"), data.path(), &arguments);
    until("the hotel is being cancelled", || async {
        (paths(&bookings).last().map(String::as_str) == Some("/hotel/cancel")).then_some(())
    })
    .await;
    first.kill().await;

    let ended = cairn!()
        .run_project(&example("saga"), data.path(), &arguments)
        .await
        .expect(1);
    assert!(ended.stderr.contains("there is no car left"), "{}", ended.stderr);
    assert_eq!(
        paths(&bookings)[3..],
        ["/car/cancel", "/hotel/cancel", "/hotel/cancel", "/flight/cancel"]
    );
    // What was booked is known to the handlers of the new run.
    let body: Value = serde_json::from_str(&bookings.seen()[6].body).unwrap();
    assert_eq!(body["booking"], "b");
    assert!(
        body["reason"].as_str().unwrap().contains("there is no car left"),
        "{body}"
    );

    let (server, rest) = cairn!().serve(data.path()).await;
    let answer = rest.get("/workflows/saga/instances/t").await;
    let details = answer.result();
    assert_eq!(details["rollback"]["outcome"], "complete");
    let attempts = details["steps"][4]["attempts"].as_array().unwrap();
    let outcomes: Vec<&Value> = attempts.iter().map(|attempt| &attempt["success"]).collect();
    assert_eq!(outcomes, [&json!(false), &json!(true)]);
    assert_eq!(attempts[0]["error"]["name"], "WorkflowInternalError");
    server.stop().await.expect(0);
}

/// The example's Worker starts trips through `ctx.exports`; nothing answers where they are booked.
#[tokio::test]
async fn a_termination_rolls_back_as_far_as_it_can() {
    let data = Scratch::new();
    let project = example("saga");
    let arguments = [
        "dev",
        project.to_str().unwrap(),
        "--port",
        "0",
        "--data-dir",
        data.text(),
    ];
    let mut server = cairn!().start(&arguments);
    let rest = server.rest().await;
    let (status, body) = rest.worker("saga", "/?trip=Rome").await;
    assert_eq!(status, 200, "{body}");
    let id = serde_json::from_str::<Value>(&body).unwrap()["id"].clone();
    let path = format!("/workflows/saga/instances/{}", id.as_str().unwrap());
    until("the flight is tried", || async {
        let instance = rest.get(&path).await;
        (instance.result()["steps"][0]["name"] == "flight-1").then_some(())
    })
    .await;
    let change = json!({ "status": "terminate", "rollback": true });
    let changed = rest
        .send(Method::PATCH, &format!("{path}/status"), Some(&change))
        .await
        .unwrap();
    assert_eq!(changed.result()["status"], "rollingBack");
    let listed = rest.get("/workflows/saga/instances?status=rollingBack").await;
    assert_eq!(listed.result()[0]["id"], id);
    assert_eq!(
        rest.get("/workflows/saga").await.result()["instances"]["rollingBack"],
        1
    );
    assert_eq!(rest.get(&path).await.result()["rollback"], Value::Null);

    let details = until_ended(&rest, &path).await;
    assert_eq!(details["status"], "terminated");
    assert_eq!(details["rollback"]["outcome"], "failed");
    let step = &details["steps"][1];
    assert_eq!(
        (&step["type"], &step["name"]),
        (&json!("rollback"), &json!("flight-1"))
    );
    assert_eq!(step["attempts"].as_array().unwrap().len(), 4);
    assert_eq!(details["steps"][2]["type"], "termination");
    server.stop().await.expect(0);
}

const PARENT: &str = r#"import { WorkflowEntrypoint } from "cloudflare:workers";
export class Parent extends WorkflowEntrypoint {
  async run(event, step) {
    const ask = async (call) => { try { return await call(); } catch (error) { return error.message; } };
    const id = `${event.instanceId}-child`;
    const made = await step.do("create", async () => (await this.env.CHILD.create({ id, params: null })).id);
    const child = await this.env.CHILD.get(made);
    await step.do("tell", () => child.sendEvent({ type: "go", payload: 5 }));
    const status = await step.do("wait", { retries: { limit: 50, delay: 100, backoff: "constant" } }, async () => {
      const status = await child.status();
      if (status.status !== "complete") throw new Error(status.status);
      return status;
    });
    const nobody = await ask(() => this.env.NOBODY.create());
    const from = await ask(() => child.restart({ from: { name: "nope" } }));
    const restarted = await ask(() => child.restart({ from: { name: "second" } }));
    return { status, nobody, from, restarted };
  }
}
export default {};
"#;

const CHILD: &str = r#"import { WorkflowEntrypoint } from "cloudflare:workers";
export class Child extends WorkflowEntrypoint {
  async run(event, step) {
    const first = await step.do("first", async () => event.payload);
    const go = await step.waitForEvent("go", { type: "go", timeout: "1 minute" });
    const second = await step.do("second", async () => (this.env.SECOND ?? 0) + go.payload);
    return [first, second, Object.keys(this.ctx.exports)];
  }
}
export default {};
"#;

#[tokio::test]
async fn a_workflow_of_another_script_and_restarts_from_a_step() {
    let data = Scratch::new();
    let (server, rest) = cairn!().serve(data.path()).await;
    rest.deploy("child", "Child", CHILD).await;
    let binding = |name: &str, workflow: &str| json!({ "type": "workflow", "name": name, "workflow_name": workflow, "class_name": "Child", "script_name": workflow });
    let bindings = json!([binding("CHILD", "child"), binding("NOBODY", "nobody")]);
    rest.deploy_bound("parent", "Parent", (PARENT, &bindings)).await;
    rest.post("/workflows/parent/instances", &json!({ "instance_id": "p" }))
        .await
        .result();
    let parent = until_ended(&rest, "/workflows/parent/instances/p").await;
    let output: Value = serde_json::from_str(parent["output"].as_str().unwrap()).unwrap();
    assert_eq!(
        output["status"],
        json!({ "status": "complete", "output": [null, 5, ["default"]] })
    );
    assert_eq!(
        output["nobody"],
        "WorkflowError: (workflow.not_found) workflow \"nobody\" does not exist; deploy the Worker that has it first"
    );
    assert_eq!(
        output["from"],
        "WorkflowError: (instance.cannot_restart) Step \"nope\" not found in execution history"
    );
    // A void method.
    assert_eq!(output.get("restarted"), None);

    let path = "/workflows/child/instances/p-child";
    let child = until_ended(&rest, path).await;
    assert_eq!(
        outline(&child),
        [
            "step first-1 true",
            "waitForEvent go-1 null",
            "step second-1 true"
        ]
    );
    let status = format!("{path}/status");
    let restart = async |from: Value| {
        let change = json!({ "status": "restart", "from": from });
        rest.send(Method::PATCH, &status, Some(&change)).await.unwrap()
    };
    let missing = restart(json!({ "name": "nope" })).await;
    assert_eq!(missing.status, 409, "{}", missing.body);
    let message = missing.body.to_string();
    assert!(message.contains("not found in execution history"), "{message}");
    for bad in [
        json!({ "name": "first", "type": "waitforevent" }),
        json!({ "name": "first", "count": 0 }),
        json!({ "count": 1 }),
    ] {
        let refused = restart(bad.clone()).await;
        assert_eq!(refused.status, 400, "{bad}: {}", refused.body);
    }
    let first_start = child["steps"][0]["start"].clone();
    // From the wait on: its event is gone with it.
    let restarted = restart(json!({ "name": "go", "type": "waitForEvent" })).await;
    assert_eq!(restarted.result()["status"], "queued");
    let waiting = until("it waits again", || async {
        let instance = rest.get(path).await;
        (instance.result()["steps"][1]["finished"] == false).then(|| instance.result().clone())
    })
    .await;
    assert_eq!(waiting["steps"][0]["start"], first_start);
    assert_eq!(waiting["steps"].as_array().unwrap().len(), 2);
    rest.post(&format!("{path}/events/go"), &json!(7)).await.result();
    let again = until_ended(&rest, path).await;
    assert_eq!(again["output"], r#"[null,7,["default"]]"#);
    server.stop().await.expect(0);
}
