// Every method of the workflows resources of Cloudflare's TypeScript SDK, and what comes back.
//
// The Rust test compat::typescript starts the server, deploys worker.js and says in the environment where they are.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import Cloudflare from "cloudflare";

const account_id = "local";
const SCHEDULED = process.env.CAIRN_SCHEDULED_ID;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const UNKNOWN_VERSION = "00000000-0000-4000-8000-000000000000";

// Base URL and token come from the environment, as the SDK documents.
const client = new Cloudflare({ maxRetries: 0 });
const { workflows } = client;
const { instances, versions } = workflows;

// Which methods there are, and which were called.
const called = new Set();
const methods = [];
for (const [path, resource] of Object.entries({
  "": workflows,
  "instances.": instances,
  "instances.status.": instances.status,
  "instances.events.": instances.events,
  "versions.": versions,
})) {
  for (let type = Object.getPrototypeOf(resource); Object.getPrototypeOf(type) !== Object.prototype; type = Object.getPrototypeOf(type)) {
    for (const name of Object.getOwnPropertyNames(type).filter((name) => name !== "constructor")) {
      methods.push(path + name);
      const method = resource[name].bind(resource);
      resource[name] = (...given) => {
        called.add(path + name);
        return method(...given);
      };
    }
  }
}

after(() => {
  assert.equal(methods.length, 14, `the SDK has other methods than this file was written for: ${methods}`);
  assert.deepEqual(methods.filter((name) => !called.has(name)), [], "methods that nothing called");
});

const of = (workflow_name, more = {}) => ({ account_id, workflow_name, ...more });
const put = (name, more = {}) => workflows.update(name, { account_id, script_name: "clients", class_name: "Orders", ...more });
const ended = ["complete", "errored", "terminated"];

async function until(workflow, id, ...statuses) {
  for (const end = Date.now() + 30_000; ; await new Promise((wake) => setTimeout(wake, 20))) {
    const found = await instances.get(id, of(workflow));
    if (statuses.includes(found.status)) return found;
    assert.ok(Date.now() < end && !(ended.includes(found.status) && !statuses.includes(found.status)), JSON.stringify(found));
  }
}

async function start(workflow, instance_id, payload) {
  return instances.create(workflow, { account_id, instance_id, params: JSON.stringify(payload) });
}

async function collect(pages) {
  const lengths = [];
  const items = [];
  for await (const page of (await pages).iterPages()) {
    lengths.push(page.result.length);
    items.push(...page.result);
  }
  return { lengths, items };
}

/** The promise must be refused with this class, status and code. */
async function refused(promise, kind, code, message) {
  const error = await promise.then(
    (value) => assert.fail(`not refused: ${JSON.stringify(value)}`),
    (error) => error,
  );
  assert.ok(error instanceof kind, `${error.constructor.name}: ${error.message}`);
  assert.deepEqual(error.errors, [{ code, message }]);
  assert.deepEqual([error.error.success, error.error.result], [false, null]);
  return error.error.messages;
}

test("update creates a workflow, changes it, and makes a version each time", async () => {
  const made = await put("settings-of");
  assert.match(made.id, UUID);
  assert.match(made.version_id, UUID);
  assert.match(made.created_on, TIME);
  assert.deepEqual(
    { ...made, id: 0, version_id: 0, created_on: 0, modified_on: 0 },
    { id: 0, name: "settings-of", script_name: "clients", class_name: "Orders", created_on: 0, modified_on: 0, triggered_on: null, version_id: 0, is_deleted: 0, terminator_running: 0 },
  );
  const changed = await put("settings-of", {
    class_name: "Nightly",
    limits: { steps: 25 },
    concurrency: { limit: 3 },
    default_retention: { success_retention: "1 day", error_retention: 7_200_000 },
    schedules: [{ cron: "0 7 * * MON-FRI" }, { cron: "30 12 1 * *" }],
  });
  assert.equal(changed.id, made.id);
  assert.equal(changed.class_name, "Nightly");
  assert.equal(changed.created_on, made.created_on);
  assert.notEqual(changed.version_id, made.version_id);

  const found = await workflows.get("settings-of", { account_id });
  assert.deepEqual([found.id, found.name, found.script_name, found.class_name], [made.id, "settings-of", "clients", "Nightly"]);
  assert.equal(found.triggered_on, null);
  assert.equal(Object.values(found.instances).reduce((sum, count) => sum + count, 0), 0);
  assert.deepEqual(found.schedules.map(({ cron }) => cron), ["0 7 * * MON-FRI", "30 12 1 * *"]);
  for (const { next_instance } of found.schedules) assert.match(next_instance, /T(07:00|12:30):00\.000Z$/);
  assert.ok(!found.script_deleted);

  const version = await versions.get(changed.version_id, of("settings-of"));
  assert.deepEqual(
    { ...version, created_on: 0, modified_on: 0, has_dag: 0 },
    {
      id: changed.version_id,
      workflow_id: made.id,
      class_name: "Nightly",
      created_on: 0,
      modified_on: 0,
      has_dag: 0,
      language: "javascript",
      limits: { steps: 25 },
      concurrency: { limit: 3 },
      default_retention: { success_retention: 86_400_000, error_retention: 7_200_000 },
    },
  );
  const first = await versions.get(made.version_id, of("settings-of"));
  assert.deepEqual([first.id, first.class_name, first.limits, first.concurrency], [made.version_id, "Orders", undefined, undefined]);
});

test("lists of workflows and versions are walked page by page", async () => {
  const names = ["paged-a", "paged-b", "paged-c", "paged-d", "paged-e"];
  const ids = [];
  for (const name of names) ids.push((await put(name)).id);
  const { lengths, items } = await collect(workflows.list({ account_id, search: "paged", per_page: 2 }));
  assert.deepEqual(lengths, [2, 2, 1, 0]);
  assert.deepEqual(items.map(({ name }) => name).sort(), names);
  assert.deepEqual(items.map(({ id }) => id).sort(), ids.sort());
  const one = await workflows.list({ account_id, search: "paged", per_page: 2, page: 3 });
  const { page, per_page, count, total_count } = one.result_info;
  assert.deepEqual({ page, per_page, count, total_count }, { page: 3, per_page: 2, count: 1, total_count: 5 });
  const all = [];
  for await (const { name } of workflows.list({ account_id })) all.push(name);
  for (const name of ["clients-orders", "nightly", ...names]) assert.equal(all.filter((other) => other === name).length, 1, name);
  assert.deepEqual((await workflows.list({ account_id, search: "none-of-these" })).result, []);

  const made = [];
  for (const steps of [10, 11, 12, 13]) made.unshift((await put("paged-a", { limits: { steps } })).version_id);
  const walked = await collect(versions.list("paged-a", { account_id, per_page: 2 }));
  assert.deepEqual(walked.lengths, [2, 2, 1, 0]);
  assert.deepEqual(walked.items.slice(0, 4).map(({ id }) => id), made, "newest first");
  assert.deepEqual(walked.items.map(({ limits }) => limits?.steps), [13, 12, 11, 10, undefined]);
  assert.equal((await put("paged-a", { limits: { steps: 13 } })).version_id, made[0], "what changes nothing makes no version");
  for (const { workflow_id, class_name, language } of walked.items) {
    assert.deepEqual([workflow_id, class_name, language], [items.find(({ name }) => name === "paged-a").id, "Orders", "javascript"]);
  }
});

test("delete removes a workflow with its instances, not the Worker", async () => {
  await put("to-delete");
  await start("to-delete", "first", { mode: "nap" });
  assert.deepEqual(await workflows.delete("to-delete", { account_id }), { status: "ok", success: true });
  await refused(workflows.get("to-delete", { account_id }), Cloudflare.NotFoundError, 10200, "workflows.api.error.workflow.not_found");
  await refused(instances.get("first", of("to-delete")), Cloudflare.NotFoundError, 10200, "workflows.api.error.workflow.not_found");
  assert.equal((await workflows.get("clients-orders", { account_id })).script_name, "clients");
});

test("an instance from its creation to its end", async () => {
  const workflow = await workflows.get("clients-orders", { account_id });
  const newest = (await versions.list("clients-orders", { account_id })).result[0];
  const created = await start("clients-orders", "life", { mode: "ask", name: "Ada" });
  assert.deepEqual(
    { ...created, trigger_source: "api" },
    { id: "life", status: "queued", version_id: newest.id, workflow_id: workflow.id, trigger_source: "api" },
  );
  assert.ok([undefined, "api"].includes(created.trigger_source));
  const waiting = await until("clients-orders", "life", "waiting");
  assert.deepEqual(
    [waiting.success, waiting.end, waiting.error, waiting.output, waiting.rollback, waiting.step_count, waiting.versionId],
    [null, null, null, null, null, 3, newest.id],
  );
  assert.deepEqual([waiting.params, waiting.trigger], [{ mode: "ask", name: "Ada" }, { source: "api" }]);
  const [greet, reserve, answer] = waiting.steps;
  assert.deepEqual([greet.type, greet.name, greet.success, greet.output], ["step", "greet-1", true, '"Hello, Ada"']);
  assert.deepEqual(greet.config, { retries: { limit: 5, delay: 10_000, backoff: "exponential" }, timeout: "10 minutes" });
  assert.deepEqual(greet.attempts.map(({ success, error }) => [success, error]), [[true, null]]);
  assert.deepEqual([reserve.name, JSON.parse(reserve.output)], ["reserve-1", { seats: 2 }]);
  assert.deepEqual([answer.type, answer.name, answer.event_type, answer.finished, answer.error], ["waitForEvent", "answer-1", "decision", false, null]);
  assert.equal(Date.parse(answer.end) - Date.parse(answer.start), 86_400_000);
  const newestFirst = await instances.get("life", of("clients-orders", { order: "desc" }));
  assert.deepEqual(newestFirst.steps.map(({ name }) => name), ["answer-1", "reserve-1", "greet-1"]);
  const simple = await instances.get("life", of("clients-orders", { simple: "true" }));
  assert.deepEqual([simple.steps, simple.step_count, simple.status], [[], 3, "waiting"]);

  const event = await instances.events.create("decision", of("clients-orders", { instance_id: "life", body: { yes: [1, null, "ü"] } }));
  assert.equal(event.instanceId, "life");
  assert.match(event.timestamp, TIME);
  const complete = await until("clients-orders", "life", "complete");
  assert.deepEqual(JSON.parse(complete.output), { greeting: "Hello, Ada", answer: { yes: [1, null, "ü"] } });
  assert.equal(complete.success, true);
  assert.ok(complete.queued <= complete.start && complete.start < complete.end);
  assert.deepEqual([complete.steps[2].finished, JSON.parse(complete.steps[2].output)], [true, { yes: [1, null, "ü"] }]);
});

test("create without an id or parameters, with retention and a hint", async () => {
  const created = await instances.create("clients-orders", {
    account_id,
    instance_retention: { success_retention: "2 days", error_retention: 3_600_000 },
    location_hint: "weur",
  });
  assert.match(created.id, UUID);
  const complete = await until("clients-orders", created.id, "complete");
  assert.deepEqual([complete.params, JSON.parse(complete.output)], [{}, { greeting: "Hello, nobody" }]);
});

test("bulk creates many at once", async () => {
  await put("many");
  const body = ["a", "b", "c", "d", "e"].map((instance_id) => ({ instance_id, params: JSON.stringify({ name: instance_id }) }));
  const page = await instances.bulk("many", { account_id, body });
  assert.deepEqual(page.result.map(({ id, status }) => [id, status]), body.map(({ instance_id }) => [instance_id, "queued"]));
  const { id: workflow_id } = await workflows.get("many", { account_id });
  for (const row of page.result) assert.equal(row.workflow_id, workflow_id);
  assert.equal(page.hasNextPage(), false);
  for (const { instance_id } of body) {
    const complete = await until("many", instance_id, "complete");
    assert.deepEqual(JSON.parse(complete.output), { greeting: `Hello, ${instance_id}` });
  }
  const counts = (await workflows.get("many", { account_id })).instances;
  assert.equal(counts.complete, 5);

  // By number, as the SDK's iterator does; by cursor, as the reference advises.
  const { lengths, items } = await collect(instances.list("many", { account_id, per_page: 2 }));
  assert.deepEqual(lengths, [2, 2, 1, 0]);
  assert.deepEqual(items.map(({ id }) => id), ["e", "d", "c", "b", "a"]);
  for (const row of items) {
    assert.deepEqual([row.status, row.workflow_id, row.trigger_source], ["complete", workflow_id, "api"]);
    assert.ok(row.created_on <= row.started_on && row.started_on <= row.ended_on && row.ended_on <= row.modified_on, JSON.stringify(row));
  }
  const walked = [];
  for (let cursor; cursor !== null; ) {
    const page = await instances.list("many", { account_id, per_page: 2, direction: "asc", ...(cursor ? { cursor } : {}) });
    assert.deepEqual([page.result_info.total_count, page.result_info.count], [5, page.result.length]);
    walked.push(...page.result.map(({ id }) => id));
    cursor = page.result_info.cursor || null;
  }
  assert.deepEqual(walked, ["a", "b", "c", "d", "e"]);
  const ids = async (more) => (await instances.list("many", { account_id, ...more })).result.map(({ id }) => id);
  assert.deepEqual(await ids({ status: "complete" }), ["e", "d", "c", "b", "a"]);
  assert.deepEqual(await ids({ status: "errored" }), []);
  assert.deepEqual(await ids({ page: 9, per_page: 2 }), []);
  assert.deepEqual(await ids({ date_end: "2020-01-01T00:00:00.000Z" }), []);
  assert.equal((await ids({ date_start: "2020-01-01T00:00:00.000Z", date_end: "2120-01-01T00:00:00.000Z" })).length, 5);
  assert.deepEqual(await ids({ date_start: "2120-01-01T00:00:00.000Z" }), []);
  await refused(ids({ page: 1, cursor: "x" }), Cloudflare.BadRequestError, 10002, "workflows.api.error.body");
});

test("status.edit pauses, resumes, terminates and restarts", async () => {
  const edit = (change) => instances.status.edit("edited", of("clients-orders", change));
  await start("clients-orders", "edited", { mode: "ask" });
  await until("clients-orders", "edited", "waiting");
  const paused = await edit({ status: "pause" });
  assert.equal(paused.status, "paused");
  assert.match(paused.timestamp, TIME);
  assert.equal((await instances.get("edited", of("clients-orders"))).status, "paused");
  assert.ok(["running", "waiting", "queued"].includes((await edit({ status: "resume" })).status));
  const before = await until("clients-orders", "edited", "waiting");

  assert.notEqual((await edit({ status: "terminate", rollback: true })).status, "waiting");
  const terminated = await until("clients-orders", "edited", "terminated");
  assert.deepEqual(terminated.rollback, { outcome: "complete", error: null });
  assert.equal(terminated.success, false);
  const undone = terminated.steps.find(({ type }) => type === "rollback");
  assert.deepEqual([undone.name, undone.success, undone.attempts.length], ["reserve-1", true, 1]);
  assert.deepEqual(terminated.steps.at(-1), { type: "termination", trigger: { source: "api" } });
  await refused(edit({ status: "terminate" }), Cloudflare.ConflictError, 10401, "workflows.api.error.instance.cannot_terminate");

  assert.equal((await edit({ status: "restart", from: { name: "answer", count: 1, type: "waitForEvent" } })).status, "queued");
  const again = await until("clients-orders", "edited", "waiting");
  assert.equal(again.steps[0].start, before.steps[0].start, "steps before the one named are kept");
  assert.equal(again.rollback, null);
  assert.equal((await edit({ status: "restart" })).status, "queued");
  const anew = await until("clients-orders", "edited", "waiting");
  assert.ok(anew.steps[0].start > before.steps[0].start);
  assert.equal((await edit({ status: "terminate" })).status, "terminated");
});

test("an instance that fails, and one that sleeps", async () => {
  await start("clients-orders", "failing", { mode: "fail" });
  const errored = await until("clients-orders", "failing", "errored");
  assert.deepEqual([errored.success, errored.output], [false, null]);
  assert.deepEqual(errored.error, { name: "TypeError", message: "the card was declined" });
  const [charge] = errored.steps;
  assert.deepEqual([charge.success, charge.output, charge.config.retries], [false, null, { limit: 1, delay: 1, backoff: "constant" }]);
  assert.deepEqual(charge.attempts.map(({ success, error }) => [success, error]), [[false, errored.error], [false, errored.error]]);
  const step = await instances.step("failing", of("clients-orders", { name: "charge-1", type: "step" }));
  assert.deepEqual([step.status, step.error], ["errored", errored.error]);
  const attempt = await instances.step("failing", of("clients-orders", { name: "charge-1", type: "step", attempt: 1 }));
  assert.deepEqual(attempt.error, errored.error);

  await start("clients-orders", "sleeping", { mode: "nap" });
  const waiting = await until("clients-orders", "sleeping", "waiting");
  const [nap] = waiting.steps;
  assert.deepEqual([nap.type, nap.name, nap.finished, nap.error], ["sleep", "nap-1", false, null]);
  assert.equal(Date.parse(nap.end) - Date.parse(nap.start), 3_600_000);
});

test("step gives outputs in full, hidden or as bytes", async () => {
  await start("clients-orders", "outputs", { mode: "outputs" });
  const complete = await until("clients-orders", "outputs", "complete");
  const [large, hidden, stream] = complete.steps;
  assert.equal(large.output, `"${"abc".repeat(341)}[truncated output]`, "1,024 characters of JSON text");
  assert.deepEqual([hidden.output, hidden.config.sensitive, stream.success], ["[REDACTED]", "output", true]);
  const step = (name) => instances.step("outputs", of("clients-orders", { name, type: "step" }));
  assert.deepEqual(await step("large-1"), { status: "complete", error: null, output: "abc".repeat(2_000) });
  assert.equal((await step("hidden-1")).output, "[REDACTED]");
  const response = await step("stream-1").asResponse();
  assert.equal(response.headers.get("content-type"), "application/octet-stream");
  assert.equal(await response.text(), "first line\nsecond line\n");
  const waited = await instances.step("life", of("clients-orders", { name: "answer-1", type: "waitForEvent" }));
  assert.deepEqual(waited, { status: "complete", error: null, output: { yes: [1, null, "ü"] }, event_type: "decision" });
});

test("ids of schedules have spaces, slashes and stars", async () => {
  assert.match(SCHEDULED, /^\*\/30 \*\/2 \* \* \*-\d+$/);
  const { items } = await collect(instances.list("nightly", { account_id, per_page: 1 }));
  const row = items.find(({ id }) => id === SCHEDULED);
  assert.equal(row.trigger_source, "cron");
  const found = await until("nightly", SCHEDULED, "complete");
  const [cron, scheduledTime] = [SCHEDULED.slice(0, SCHEDULED.lastIndexOf("-")), Number(SCHEDULED.slice(SCHEDULED.lastIndexOf("-") + 1))];
  assert.deepEqual([found.trigger, found.schedule], [{ source: "cron" }, { cron, scheduledTime }]);
  assert.equal(JSON.parse(found.output), cron);
  const step = await instances.step(SCHEDULED, of("nightly", { name: "report-1", type: "step" }));
  assert.equal(step.output, cron);
  const event = await instances.events.create("late", of("nightly", { instance_id: SCHEDULED, body: null }));
  assert.equal(event.instanceId, SCHEDULED);
  assert.equal((await instances.status.edit(SCHEDULED, of("nightly", { status: "restart" }))).status, "queued");
  assert.equal(JSON.parse((await until("nightly", SCHEDULED, "complete")).output), cron);
});

test("graph shows the steps of a version", async () => {
  const { version_id, id } = await put("drawn", { class_name: "Orders" });
  const drawn = await versions.graph(version_id, of("drawn"));
  assert.deepEqual([drawn.id, drawn.workflow_id, drawn.class_name], [version_id, id, "Orders"]);
  assert.match(drawn.created_on, TIME);
  assert.match(drawn.modified_on, TIME);
  assert.equal(typeof drawn.graph.version, "number");
  assert.equal(drawn.graph.workflow.class_name, "Orders");
  const steps = [];
  const walk = (node) => {
    if (Array.isArray(node)) return node.forEach(walk);
    if (node === null || typeof node !== "object") return;
    if (typeof node.type === "string" && node.type.startsWith("step_")) steps.push(`${node.type} ${node.name}`);
    Object.values(node).forEach(walk);
  };
  walk(drawn.graph.workflow.nodes);
  assert.deepEqual(steps, [
    "step_do charge",
    "step_do large",
    "step_do hidden",
    "step_do stream",
    "step_sleep nap",
    "step_do greet",
    "step_do reserve",
    "step_wait_for_event answer",
  ]);
  assert.equal((await versions.get(version_id, of("drawn"))).has_dag, true);
  await refused(versions.graph(UNKNOWN_VERSION, of("drawn")), Cloudflare.NotFoundError, 10300, "workflows.api.error.version.not_found");
});

test("what is refused, with class, status and code", async () => {
  const { NotFoundError, BadRequestError, ConflictError, AuthenticationError } = Cloudflare;
  const on = (more) => of("clients-orders", more);
  const noInstance = [NotFoundError, 10400, "workflows.api.error.instance.not_found"];
  await refused(workflows.get("unknown", { account_id }), NotFoundError, 10200, "workflows.api.error.workflow.not_found");
  await refused(workflows.delete("unknown", { account_id }), NotFoundError, 10200, "workflows.api.error.workflow.not_found");
  await refused(versions.list("unknown", { account_id }), NotFoundError, 10200, "workflows.api.error.workflow.not_found");
  await refused(versions.get(UNKNOWN_VERSION, on()), NotFoundError, 10300, "workflows.api.error.version.not_found");
  await refused(instances.get("unknown", on()), ...noInstance);
  await refused(instances.status.edit("unknown", on({ status: "pause" })), ...noInstance);
  await refused(instances.events.create("go", on({ instance_id: "unknown", body: {} })), ...noInstance);
  await refused(instances.step("unknown", on({ name: "greet-1", type: "step" })), ...noInstance);
  await refused(instances.step("life", on({ name: "greet-9", type: "step" })), NotFoundError, 10490, "workflows.api.error.instance.step_not_found");
  await refused(start("clients-orders", "life", {}), BadRequestError, 10405, "workflows.api.error.instance.already_exists");
  await refused(instances.status.edit("life", on({ status: "resume" })), ConflictError, 10491, "workflows.api.error.instance.cannot_resume");
  const body = [BadRequestError, 10002, "workflows.api.error.body"];
  for (const instance_id of ["batch", "not an id", "x".repeat(101), `cf_${"0".repeat(64)}`]) {
    const [explanation] = await refused(start("clients-orders", instance_id, {}), ...body);
    assert.ok(explanation.includes(instance_id), explanation);
  }
  await refused(put("not a name"), ...body);
  const [explanation] = await refused(put("scheduled", { schedules: [{ cron: "0 7 * * 0" }] }), ...body);
  assert.match(explanation, /schedules\[0\]\.cron is "0 7 \* \* 0"/);
  await refused(instances.status.edit("life", on({ status: "stop" })), ...body);
  await refused(instances.bulk("clients-orders", { account_id, body: [] }), ...body);
  await refused(instances.list("clients-orders", { account_id, status: "lost" }), ...body);

  const stranger = new Cloudflare({ apiToken: "wrong", maxRetries: 0 });
  await refused(stranger.workflows.get("clients-orders", { account_id }), AuthenticationError, 10000, "Authentication error");
});

test("a key and a mail address are accepted in place of a token", async () => {
  const old = new Cloudflare({ apiToken: null, apiKey: process.env.CLOUDFLARE_API_TOKEN, apiEmail: "someone@example.com", maxRetries: 0 });
  assert.equal((await old.workflows.get("clients-orders", { account_id })).name, "clients-orders");
});
