//! Pages as they are to be.

use super::*;
use serde_json::{Value, json};

fn at(millis: i64) -> Value {
    json!(Time(millis).to_string())
}

fn shows(fields: Value, now: i64) -> String {
    shows_all(fields, now, Detail::Hidden)
}

#[expect(clippy::needless_pass_by_value, reason = "json! makes values")]
fn shows_all(fields: Value, now: i64, detail: Detail) -> String {
    let mut details = json!({
        "status": "running", "params": { "item": "boat" }, "trigger": { "source": "api" }, "versionId": "v-1",
        "queued": at(0), "start": at(20), "end": null, "success": null, "error": null,
        "output": null, "rollback": null, "step_count": 0, "steps": [],
    });
    details
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    let details: InstanceDetails = serde_json::from_value(details).unwrap();
    let timeline = Timeline {
        workflow: "order",
        id: "order-17",
        details: &details,
        now: Time(now),
        outputs: detail,
        attempts: detail,
        style: Style::PLAIN,
    };
    timeline.text()
}

fn config() -> Value {
    json!({ "retries": { "limit": 5, "delay": "2 seconds", "backoff": "constant" }, "timeout": "10 minutes" })
}

fn failed(start: i64, end: i64) -> Value {
    json!({ "start": at(start), "end": at(end), "success": false, "error": { "name": "Error", "message": "503" } })
}

fn good(start: i64, end: i64) -> Value {
    json!({ "start": at(start), "end": at(end), "success": true, "error": null })
}

#[test]
fn an_instance_that_goes_on() {
    let steps = json!([
        { "type": "step", "name": "reserve-1", "start": at(21), "end": at(141), "success": true, "output": "{\"seat\":4}",
          "config": config(), "attempts": [good(21, 141)] },
        { "type": "step", "name": "charge-1", "start": at(150), "end": at(5_150), "success": true, "output": "1",
          "config": config(), "attempts": [failed(150, 1_150), good(3_150, 5_150)] },
        { "type": "sleep", "name": "cool down-1", "start": at(5_200), "end": at(65_200), "finished": false, "error": null },
        { "type": "waitForEvent", "name": "decision-1", "start": at(5_200), "end": at(86_405_200), "finished": false,
          "error": null, "event_type": "decision" },
        { "type": "step", "name": "mail-1", "start": at(5_200), "end": null, "success": null, "output": null,
          "config": config(), "attempts": [failed(5_200, 5_900)] },
        { "type": "step", "name": "print-1", "start": at(5_200), "end": null, "success": null, "output": null,
          "config": config(), "attempts": [{ "start": at(5_200), "end": null, "success": null, "error": null }] },
    ]);
    let expected = "\
instance  order-17
workflow  order
state     running
created   1970-01-01 00:00:00 (6.2 s ago) by api
started   6.1 s ago, 20 ms after its creation
version   v-1
params    {\"item\":\"boat\"}
steps     6

      +21 ms  ✓ reserve-1    120 ms
     +150 ms  ✓ charge-1     5.0 s, attempt 2
                ! attempt 1 of 6 failed after 1.0 s: Error: 503
      +5.2 s  … cool down-1  sleeps, 59.0 s left
      +5.2 s  … decision-1   waits for event \"decision\", 23 h 59 min left
      +5.2 s  … mail-1       attempt 2 of 6 in 1.7 s
                ! attempt 1 of 6 failed after 700 ms: Error: 503
      +5.2 s  ▸ print-1      executes since 1.0 s, attempt 1 of 6
";
    assert_eq!(shows(json!({ "steps": steps, "step_count": 6 }), 6_200), expected);
}

#[test]
fn an_instance_that_failed_and_was_rolled_back() {
    let steps = json!([
        { "type": "step", "name": "reserve-1", "start": at(21), "end": at(141), "success": true, "output": null,
          "config": config(), "attempts": [good(21, 141)] },
        { "type": "waitForEvent", "name": "ok-1", "start": at(150), "end": at(1_150), "finished": true,
          "error": { "name": "WorkflowTimeoutError", "message": "late" }, "event_type": "ok" },
        { "type": "rollback", "name": "reserve-1", "start": at(1_200), "end": at(1_300), "success": true, "output": null,
          "config": config(), "attempts": [good(1_200, 1_300)] },
    ]);
    let fields = json!({
        "steps": steps, "step_count": 2, "status": "errored", "end": at(1_320), "success": false,
        "error": { "name": "WorkflowTimeoutError", "message": "late" }, "rollback": { "outcome": "complete", "error": null },
    });
    let expected = "\
instance  order-17
workflow  order
state     errored, 1.3 s after it started
created   1970-01-01 00:00:00 (1 min 0 s ago) by api
started   59.9 s ago, 20 ms after its creation
version   v-1
params    {\"item\":\"boat\"}
steps     2

      +21 ms  ✓ reserve-1              120 ms
     +150 ms  ✗ ok-1                   failed after 1.0 s: WorkflowTimeoutError: late
      +1.2 s  ✓ rollback of reserve-1  100 ms

error     WorkflowTimeoutError: late
rollback  all steps were rolled back
";
    assert_eq!(shows(fields, 60_000), expected);
}

#[test]
fn an_instance_that_was_terminated_has_steps_that_did_not_end() {
    let steps = json!([
        { "type": "step", "name": "charge-1", "start": at(21), "end": null, "success": null, "output": null,
          "config": config(), "attempts": [{ "start": at(21), "end": null, "success": null, "error": null }] },
        { "type": "sleep", "name": "nap-1", "start": at(21), "end": at(90_000), "finished": false, "error": null },
        { "type": "termination", "trigger": { "source": "api" } },
    ]);
    let fields = json!({ "steps": steps, "step_count": 2, "status": "terminated", "end": at(1_320), "success": false });
    let text = shows(fields, 60_000);
    let timeline = text.split_once("\n\n").unwrap().1;
    let expected = [
        "      +21 ms  – charge-1    did not end\n",
        "      +21 ms  – nap-1       did not end\n",
        "      +1.3 s  ■ terminated  by api\n",
    ]
    .concat();
    assert_eq!(timeline, expected);
}

#[test]
fn outputs_and_attempts_are_shown_when_asked_for() {
    let steps = json!([
        { "type": "step", "name": "charge-1", "start": at(21), "end": at(5_000), "success": true, "output": "{\"id\":\n7}",
          "config": config(), "attempts": [failed(21, 1_000), good(3_000, 5_000)] },
    ]);
    let fields = json!({ "steps": steps, "step_count": 1, "status": "complete", "end": at(5_020), "success": true, "output": "[1]" });
    let text = shows_all(fields, 60_000, Detail::Shown);
    let timeline = text.split_once("\n\n").unwrap().1;
    let expected = "      +21 ms  ✓ charge-1  4.9 s, attempt 2
                ! attempt 1 of 6 failed after 979 ms: Error: 503
                ✓ attempt 2 of 6 took 2.0 s
                = {\"id\": 7}

output  [1]
";
    assert_eq!(timeline, expected);
}

#[test]
fn one_that_waits_for_its_turn_and_one_that_a_schedule_made() {
    let fields = json!({
        "status": "queued", "start": null,
        "trigger": { "source": "cron" }, "schedule": { "cron": "0 * * * *", "scheduledTime": 0 },
    });
    let text = shows(fields, 1_000);
    assert!(
        text.contains("created   1970-01-01 00:00:00 (1.0 s ago) by schedule 0 * * * *\n"),
        "{text}"
    );
    assert!(text.contains("started   not yet\n"), "{text}");
    assert!(text.ends_with("steps     0\n"), "{text}");
}

#[test]
fn text_of_user_code_cannot_steer_the_terminal() {
    let steps = json!([{ "type": "sleep", "name": "a\u{1b}[2J-1", "start": at(0), "end": at(1), "finished": true, "error": null }]);
    let text = shows(json!({ "steps": steps, "params": "x\u{1b}[2J" }), 10);
    assert!(!text.contains('\u{1b}'), "{text:?}");
}
