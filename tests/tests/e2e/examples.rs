//! The examples, run as their READMEs say.

use cairn_tests::{Recorder, Reply, Scratch, cairn, example};
use serde_json::{Value, json};

#[tokio::test]
async fn hello_prints_its_output_alone() {
    let data = Scratch::new();
    let ended = cairn!()
        .run_project(&example("hello"), data.path(), &["--params", r#"{"name":"Ada"}"#])
        .await
        .expect(0);
    assert_eq!(ended.stdout, "{\"greeting\":\"Hello, Ada!\"}\n");
    assert!(ended.stderr.contains("✓ greet-1"), "{}", ended.stderr);
}

#[tokio::test]
async fn hello_answers_by_its_host_name_and_starts_instances() {
    let data = Scratch::new();
    let project = example("hello");
    let mut server = cairn!().start(&[
        "dev",
        project.to_str().unwrap(),
        "--port",
        "0",
        "--data-dir",
        data.text(),
    ]);
    let rest = server.rest().await;
    let (status, body) = rest.worker("hello", "/?name=Grace").await;
    assert_eq!(status, 200, "{body}");
    let id = serde_json::from_str::<Value>(&body).unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/workflows/hello/instances/{id}");
    let output = cairn_tests::until("the instance completes", || async {
        let instance = rest.get(&path).await;
        (instance.result()["status"] == "complete").then(|| instance.result()["output"].clone())
    })
    .await;
    assert_eq!(output, json!(r#"{"greeting":"Hello, Grace!"}"#));
    let (status, _) = rest.worker("nobody", "/").await;
    assert_eq!(status, 404);
    server.stop().await.expect(0);
}

#[tokio::test]
async fn an_order_outlasts_a_payment_service_that_fails_twice() {
    let payments = Recorder::start(|nth, _| match nth {
        0 | 1 => Reply::new(503, "down"),
        _ => Reply::new(200, r#"{"payment":"p-1"}"#),
    })
    .await;
    let data = Scratch::new();
    let params = json!({ "order": "A-1", "cents": 1200, "paymentUrl": payments.url("/charge") }).to_string();
    let arguments = ["--id", "order-1", "--params", &params];
    let ended = cairn!()
        .run_project(&example("order"), data.path(), &arguments)
        .await
        .expect(0);
    let output: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        output,
        json!({ "order": "A-1", "payment": "p-1", "parcel": "parcel for A-1 from shelf A7" })
    );
    assert!(
        ended
            .stderr
            .contains("! charge-1 attempt 1 of 5 failed: Error: the payment service answered 503"),
        "{}",
        ended.stderr
    );

    let requests = payments.seen();
    assert_eq!(requests.len(), 3);
    for request in &requests {
        assert_eq!(request.idempotency_key.as_deref(), Some("order-1"));
        assert_eq!(request.body, r#"{"order":"A-1","cents":1200}"#);
    }

    let (server, rest) = cairn!().serve(data.path()).await;
    let instance = rest.get("/workflows/order/instances/order-1").await;
    let step = &instance.result()["steps"][1];
    assert_eq!(step["name"], "charge-1");
    let outcomes: Vec<&Value> = step["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| &attempt["success"])
        .collect();
    assert_eq!(outcomes, [&json!(false), &json!(false), &json!(true)]);
    assert_eq!(
        step["attempts"][1]["error"],
        json!({ "name": "Error", "message": "the payment service answered 503" })
    );
    server.stop().await.expect(0);
}

#[tokio::test]
async fn a_declined_card_ends_the_order_at_once() {
    let payments = Recorder::start(|_, _| Reply::new(402, "no")).await;
    let data = Scratch::new();
    let params = json!({ "order": "A-2", "cents": 1, "paymentUrl": payments.url("/charge") }).to_string();
    let ended = cairn!()
        .run_project(&example("order"), data.path(), &["--params", &params])
        .await
        .expect(1);
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.contains("the card was declined"), "{}", ended.stderr);
    assert_eq!(payments.seen().len(), 1);
}

#[tokio::test]
async fn an_approval_waits_for_the_link_in_the_mail() {
    let data = Scratch::new();
    let project = example("approval");
    let mut server = cairn!().start(&[
        "dev",
        project.to_str().unwrap(),
        "--port",
        "0",
        "--data-dir",
        data.text(),
    ]);
    let rest = server.rest().await;
    for (id, verb, outcome) in [("boat", "approve", "approved"), ("car", "reject", "rejected")] {
        let create = json!({ "instance_id": id, "params": { "request": format!("buy a {id}") } });
        rest.post("/workflows/approval/instances", &create).await.result();
        let path = format!("/workflows/approval/instances/{id}");
        cairn_tests::until("the instance waits", || async {
            (rest.get(&path).await.result()["status"] == "waiting").then_some(())
        })
        .await;
        let (status, body) = rest.worker("approval", &format!("/{verb}/{id}?by=Grace")).await;
        assert_eq!((status, body.as_str()), (200, "Thank you.\n"));
        let output = cairn_tests::until("the instance completes", || async {
            rest.get(&path).await.result()["output"]
                .as_str()
                .map(str::to_owned)
        })
        .await;
        let output: Value = serde_json::from_str(&output).unwrap();
        assert_eq!(
            output,
            json!({ "question": format!("May we buy a {id}?"), "outcome": outcome, "by": "Grace" })
        );
    }
    let (status, body) = rest.worker("approval", "/approve/nobody").await;
    assert_eq!(status, 404, "{body}");
    server.stop().await.expect(0);
}

#[tokio::test]
async fn an_approval_that_nobody_gives_expires() {
    let data = Scratch::new();
    let params = r#"{"request":"sail","patience":1000}"#;
    let ended = cairn!()
        .run_project(&example("approval"), data.path(), &["--params", params])
        .await
        .expect(0);
    assert_eq!(
        ended.stdout,
        "{\"question\":\"May we sail?\",\"outcome\":\"expired\"}\n"
    );
    assert!(
        ended.stderr.contains("decision-1 waits for event \"decision\""),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn fifty_steps_fan_out_and_are_summed() {
    let data = Scratch::new();
    let ended = cairn!()
        .run_project(&example("fan-out"), data.path(), &[])
        .await
        .expect(0);
    assert_eq!(ended.stdout, "{\"parts\":50,\"sum\":40425}\n");
    assert_eq!(ended.stderr.matches("✓ part ").count(), 50, "{}", ended.stderr);
}

#[tokio::test]
async fn a_reminder_outlives_the_process_and_repeats_nothing() {
    let notes = Recorder::start(|_, _| Reply::new(200, "")).await;
    let data = Scratch::new();
    let params = json!({ "text": "tea", "after": "3 seconds", "notifyUrl": notes.url("/") }).to_string();
    let arguments = ["--id", "tea", "--params", &params];
    let mut first = cairn!().start_project(&example("reminder"), data.path(), &arguments);
    first.until_said("until then-1 sleeps").await;
    first.kill().await;
    assert_eq!(notes.seen().len(), 1);

    let ended = cairn!()
        .run_project(&example("reminder"), data.path(), &arguments)
        .await
        .expect(0);
    assert!(
        ended.stderr.contains("going on with instance tea"),
        "{}",
        ended.stderr
    );
    assert_eq!(
        ended.stdout,
        "{\"promised\":\"I shall remind you: tea\",\"reminded\":\"Remember: tea\"}\n"
    );
    let bodies: Vec<String> = notes.seen().into_iter().map(|note| note.body).collect();
    assert_eq!(bodies, ["I shall remind you: tea", "Remember: tea"]);

    let again = cairn!()
        .run_project(&example("reminder"), data.path(), &["--id", "tea"])
        .await
        .expect(0);
    assert_eq!(again.stdout, ended.stdout);
    assert!(again.stderr.contains("has ended already"), "{}", again.stderr);
    assert_eq!(notes.seen().len(), 2);
}
