//! `subscribe()` in a real Worker: what is told, in which order, while it happens.

use cairn_tests::{Rest, Scratch, cairn};
use serde_json::json;

const SOURCE: &str = r#"
import { WorkflowEntrypoint } from "cloudflare:workers";

const bodies = {
  async success(step) {
    const made = await step.do("make", async () => ({ when: new Date(5) }));
    await step.do("hide", { sensitive: "output" }, async () => "secret");
    return made;
  },
  async retry(step) {
    await step.do("flaky", { retries: { limit: 1, delay: 20, backoff: "constant" } }, async ({ attempt }) => {
      if (attempt === 1) throw new TypeError("not yet");
    });
  },
  async wait(step) {
    await step.waitForEvent("wait", { type: "go", timeout: "1 hour" });
  },
  async stream(step) {
    const { body } = new Response("piece by piece");
    await step.do("stream", async () => body);
  },
  async undone(step) {
    await step.do("one", async () => 1, { rollback: async () => {} });
    throw new RangeError("too much");
  },
};

export class Told extends WorkflowEntrypoint {
  run(event, step) {
    return bodies[event.payload](step);
  }
}

const line = ({ eventId, type, stepName, attempt, ...rest }) =>
  [eventId, type, stepName, attempt, ...["retryDelayMs", "error", "params", "output"].map((key) => JSON.stringify(rest[key]))]
    .filter((part) => part !== undefined)
    .join(" ");

// Reads to the end, and does what is to be done on the first event of a type, on the second and so on.
async function read(instance, lines, todo = {}, options = {}) {
  using events = await instance.subscribe(options);
  for (;;) {
    const { done, value } = await events.next();
    if (done) return;
    if (value.type === "step_completed" && value.stepName === "make-1") lines.push(`a date: ${value.output.when instanceof Date}`);
    if (value.output instanceof ReadableStream) value.output = { streamed: await new Response(value.output).text() };
    lines.push(line(value));
    await todo[value.type]?.shift()?.();
  }
}

const scenes = {
  async paused(env, lines) {
    const it = await env.TOLD.create({ params: "wait" });
    await read(it, lines, {
      workflow_waiting: [() => it.pause(), () => it.sendEvent({ type: "go", payload: 1 })],
      workflow_paused: [() => it.resume()],
    });
  },
  async restarted(env, lines) {
    const it = await env.TOLD.create({ params: "wait" });
    await read(it, lines, { workflow_waiting: [() => it.restart(), () => it.terminate()] }, { cursor: 4 });
    await read(it, lines, {}, { filter: ["workflow_queued", "workflow_terminated"] });
  },
  async deleted(env, lines) {
    const it = await env.TOLD.create({ params: "wait" });
    await read(it, lines, { workflow_waiting: [() => it.delete()] }, { cursor: 4 }).catch((error) => lines.push(error.message));
  },
};

export default {
  async fetch(request, env) {
    const name = new URL(request.url).pathname.slice(1);
    const lines = [];
    if (scenes[name] !== undefined) await scenes[name](env, lines);
    else await read(await env.TOLD.create({ params: name }), lines);
    return new Response(lines.join("\n"));
  },
};
"#;

async fn told(rest: &Rest, scene: &str) -> Vec<String> {
    let (status, text) = rest.worker("told", &format!("/{scene}")).await;
    assert_eq!(status, 200, "{text}");
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_worker_follows_instances() {
    let data = Scratch::new();
    let (server, rest) = cairn!().serve(data.path()).await;
    let binding =
        json!([{ "type": "workflow", "name": "TOLD", "workflow_name": "told", "class_name": "Told" }]);
    rest.deploy_bound("told", "Told", (SOURCE, &binding)).await;
    assert_eq!(
        told(&rest, "success").await,
        [
            "1 workflow_queued",
            "2 workflow_started \"success\"",
            "3 workflow_running",
            "4 step_started make-1",
            "5 attempt_started make-1 1",
            "6 attempt_completed make-1 1",
            "a date: true",
            "7 step_completed make-1 {\"when\":\"1970-01-01T00:00:00.005Z\"}",
            "8 step_started hide-1",
            "9 attempt_started hide-1 1",
            "10 attempt_completed hide-1 1",
            "11 step_completed hide-1 \"[REDACTED]\"",
            "12 workflow_completed {\"when\":\"1970-01-01T00:00:00.005Z\"}",
        ]
    );
    assert_eq!(
        told(&rest, "retry").await[3..],
        [
            "4 step_started flaky-1",
            "5 attempt_started flaky-1 1",
            "6 attempt_errored flaky-1 1 20 {\"name\":\"TypeError\",\"message\":\"not yet\"}",
            "7 workflow_waiting",
            "8 attempt_started flaky-1 2",
            "9 workflow_running",
            "10 attempt_completed flaky-1 2",
            "11 step_completed flaky-1",
            "12 workflow_completed",
        ]
    );
    assert_eq!(
        told(&rest, "undone").await[7..],
        [
            "8 rollback_started",
            "9 rollback_step_started one-1",
            "10 rollback_attempt_started one-1 1",
            "11 rollback_attempt_completed one-1 1",
            "12 rollback_step_completed one-1",
            "13 rollback_completed",
            "14 workflow_errored {\"name\":\"RangeError\",\"message\":\"too much\"}",
        ]
    );
    assert_eq!(
        told(&rest, "stream").await[6..],
        [
            "7 step_completed stream-1 {\"streamed\":\"piece by piece\"}",
            "8 workflow_completed"
        ]
    );
    pauses_and_ends(&rest).await;
    server.stop().await.expect(0);
}

async fn pauses_and_ends(rest: &Rest) {
    assert_eq!(
        told(rest, "paused").await[3..],
        [
            "4 wait_started wait-1",
            "5 workflow_waiting",
            "6 workflow_paused",
            "7 workflow_running",
            "8 workflow_waiting",
            "9 wait_completed wait-1",
            "10 workflow_running",
            "11 workflow_completed",
        ]
    );
    assert_eq!(
        told(rest, "restarted").await,
        [
            "5 workflow_waiting",
            "6 workflow_queued",
            "7 workflow_started \"wait\"",
            "8 workflow_running",
            "9 wait_started wait-1",
            "10 workflow_waiting",
            "11 workflow_terminated",
            "6 workflow_queued",
            "11 workflow_terminated",
        ]
    );
    assert_eq!(
        told(rest, "deleted").await,
        [
            "5 workflow_waiting",
            "WorkflowError: (instance.not_found) Instance does not exist"
        ]
    );
}
