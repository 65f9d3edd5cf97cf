"""Every method of the workflows resources of Cloudflare's Python SDK, and what comes back.

The Rust test compat::python starts the server, deploys worker.js and says in the environment where they are.
"""

import asyncio
import inspect
import json
import os
import re
import time
import unittest
from datetime import datetime, timedelta, timezone

import cloudflare
from cloudflare import AsyncCloudflare, Cloudflare

ACCOUNT = "local"
# Base URL and token come from the environment: the first is not a setting the SDK reads under a name of its own.
BASE_URL = os.environ["CLOUDFLARE_BASE_URL"]
SCHEDULED = os.environ["CAIRN_SCHEDULED_ID"]
UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
UNKNOWN_VERSION = "00000000-0000-4000-8000-000000000000"
ENDED = {"complete", "errored", "terminated"}

# What comes back must be of the types the SDK declares.
client = Cloudflare(base_url=BASE_URL, max_retries=0, _strict_response_validation=True)
# It declares that every instance has an output; there is none, and the API's description says null, before the end and after a failure.
lenient = Cloudflare(base_url=BASE_URL, max_retries=0)
workflows = client.workflows
instances = workflows.instances
versions = workflows.versions

RESOURCES = {
    "": workflows,
    "instances.": instances,
    "instances.status.": instances.status,
    "instances.events.": instances.events,
    "versions.": versions,
}
METHODS = {
    path + name
    for path, resource in RESOURCES.items()
    for name, _ in inspect.getmembers(type(resource), inspect.isfunction)
    if not name.startswith("_")
}
CALLED = set()


def watch(path, resource, name):
    """Notes that a method was called."""
    method = getattr(resource, name)

    def noted(*given, **named):
        CALLED.add(path + name)
        return method(*given, **named)

    setattr(resource, name, noted)


for known in METHODS:
    path, _, name = known.rpartition(".")
    path = path and path + "."
    watch(path, RESOURCES[path], name)


def of(workflow, **more):
    return {"account_id": ACCOUNT, "workflow_name": workflow, **more}


def put(name, **more):
    given = {"script_name": "clients", "class_name": "Orders", **more}
    return workflows.update(name, account_id=ACCOUNT, **given)


def start(workflow, instance_id, payload):
    return instances.create(workflow, account_id=ACCOUNT, instance_id=instance_id, params=json.dumps(payload))


def look(workflow, instance_id, **more):
    """An instance that may be without an output."""
    return lenient.workflows.instances.get(instance_id, **of(workflow, **more))


def until(workflow, instance_id, *statuses):
    end = time.monotonic() + 30
    while True:
        found = look(workflow, instance_id)
        if found.status in statuses:
            return found if found.output is None else instances.get(instance_id, **of(workflow))
        assert time.monotonic() < end and found.status not in ENDED - set(statuses), found
        time.sleep(0.02)


def collect(page):
    lengths, items = [], []
    for part in page.iter_pages():
        lengths.append(len(part.result))
        items += part.result
    return lengths, items


class Workflows(unittest.TestCase):
    """The tests run by order of their names."""

    maxDiff = None

    @classmethod
    def tearDownClass(cls):
        assert len(METHODS) == 14, f"the SDK has other methods than this file was written for: {sorted(METHODS)}"
        assert METHODS == CALLED, f"methods that nothing called: {sorted(METHODS - CALLED)}"

    def refused(self, call, kind, code, message):
        with self.assertRaises(kind) as raised:
            call()
        error = raised.exception
        self.assertIs(type(error), kind)
        self.assertEqual(error.errors[0].code, code)
        self.assertEqual(error.body["errors"], [{"code": code, "message": message}])
        self.assertEqual((error.body["success"], error.body["result"]), (False, None))
        return error.body["messages"]

    def test_01_update_makes_a_workflow_and_versions(self):
        made = put("py-settings")
        self.assertRegex(made.id, UUID)
        self.assertEqual((made.name, made.script_name, made.class_name), ("py-settings", "clients", "Orders"))
        self.assertEqual((made.is_deleted, made.terminator_running, made.triggered_on), (0, 0, None))
        self.assertLess(abs(made.created_on - datetime.now(timezone.utc)), timedelta(minutes=5))
        changed = put(
            "py-settings",
            class_name="Nightly",
            limits={"steps": 25},
            concurrency={"limit": 3},
            default_retention={"success_retention": "1 day", "error_retention": 7_200_000},
            schedules=[{"cron": "0 7 * * MON-FRI"}, {"cron": "30 12 1 * *"}],
        )
        self.assertEqual((changed.id, changed.class_name, changed.created_on), (made.id, "Nightly", made.created_on))
        self.assertNotEqual(changed.version_id, made.version_id)

        found = workflows.get("py-settings", account_id=ACCOUNT)
        self.assertEqual((found.id, found.name, found.class_name), (made.id, "py-settings", "Nightly"))
        self.assertEqual([schedule.cron for schedule in found.schedules], ["0 7 * * MON-FRI", "30 12 1 * *"])
        for schedule in found.schedules:
            self.assertRegex(schedule.next_instance, r"T(07:00|12:30):00\.000Z$")
        self.assertFalse(found.script_deleted)

        version = versions.get(changed.version_id, **of("py-settings"))
        self.assertEqual((version.id, version.workflow_id, version.class_name), (changed.version_id, made.id, "Nightly"))
        self.assertEqual((version.language, version.limits.steps, version.concurrency.limit), ("javascript", 25, 3))
        retention = version.default_retention
        self.assertEqual((retention.success_retention, retention.error_retention), (86_400_000, 7_200_000))
        first = versions.get(made.version_id, **of("py-settings"))
        self.assertEqual((first.id, first.class_name, first.limits), (made.version_id, "Orders", None))

    def test_02_lists_are_walked_page_by_page(self):
        names = [f"py-paged-{letter}" for letter in "abcde"]
        ids = {put(name).id for name in names}
        lengths, items = collect(workflows.list(account_id=ACCOUNT, search="py-paged", per_page=2))
        self.assertEqual(lengths, [2, 2, 1, 0])
        self.assertEqual(sorted(item.name for item in items), names)
        self.assertEqual({item.id for item in items}, ids)
        page = workflows.list(account_id=ACCOUNT, search="py-paged", per_page=2, page=3)
        self.assertEqual((page.result_info.page, page.result_info.per_page, len(page.result)), (3, 2, 1))
        everything = [workflow.name for workflow in workflows.list(account_id=ACCOUNT)]
        for name in ["clients-orders", "nightly", *names]:
            self.assertEqual(everything.count(name), 1, name)

        made = [put("py-paged-a", limits={"steps": count}).version_id for count in (10, 11, 12, 13)]
        lengths, items = collect(versions.list("py-paged-a", account_id=ACCOUNT, per_page=2))
        self.assertEqual(lengths, [2, 2, 1, 0])
        self.assertEqual([item.id for item in items][:4], made[::-1], "newest first")
        self.assertEqual([item.limits and item.limits.steps for item in items], [13, 12, 11, 10, None])

    def test_03_delete_removes_a_workflow(self):
        put("py-delete")
        start("py-delete", "first", {"mode": "nap"})
        gone = workflows.delete("py-delete", account_id=ACCOUNT)
        self.assertEqual((gone.status, gone.success), ("ok", True))
        not_found = (cloudflare.NotFoundError, 10200, "workflows.api.error.workflow.not_found")
        self.refused(lambda: workflows.get("py-delete", account_id=ACCOUNT), *not_found)
        self.refused(lambda: instances.get("first", **of("py-delete")), *not_found)

    def test_04_an_instance_from_creation_to_end(self):
        workflow = workflows.get("clients-orders", account_id=ACCOUNT)
        newest = versions.list("clients-orders", account_id=ACCOUNT).result[0]
        created = start("clients-orders", "py-life", {"mode": "ask", "name": "Ada"})
        self.assertEqual(
            (created.id, created.status, created.version_id, created.workflow_id),
            ("py-life", "queued", newest.id, workflow.id),
        )
        waiting = until("clients-orders", "py-life", "waiting")
        self.assertEqual((waiting.success, waiting.end, waiting.error, waiting.rollback), (None, None, None, None))
        self.assertEqual((waiting.step_count, waiting.version_id), (3, newest.id))
        self.assertEqual((waiting.params, waiting.trigger.source), ({"mode": "ask", "name": "Ada"}, "api"))
        greet, reserve, answer = waiting.steps
        self.assertEqual((greet.type, greet.name, greet.success, greet.output), ("step", "greet-1", True, '"Hello, Ada"'))
        retries = greet.config.retries
        self.assertEqual((retries.limit, retries.delay, retries.backoff), (5, 10_000, "exponential"))
        self.assertEqual(greet.config.timeout, "10 minutes")
        self.assertEqual([(attempt.success, attempt.error) for attempt in greet.attempts], [(True, None)])
        self.assertEqual(json.loads(reserve.output), {"seats": 2})
        self.assertEqual((answer.type, answer.event_type, answer.finished), ("waitForEvent", "decision", False))
        self.assertEqual(answer.end - answer.start, timedelta(days=1))
        newest_first = look("clients-orders", "py-life", order="desc")
        self.assertEqual([step.name for step in newest_first.steps], ["answer-1", "reserve-1", "greet-1"])
        self.assertEqual(look("clients-orders", "py-life", simple="true").steps, [])

        event = instances.events.create("decision", **of("clients-orders", instance_id="py-life", body={"yes": [1, None, "ü"]}))
        self.assertEqual(event.instance_id, "py-life")
        self.assertIsInstance(event.timestamp, datetime)
        complete = until("clients-orders", "py-life", "complete")
        self.assertEqual(json.loads(complete.output), {"greeting": "Hello, Ada", "answer": {"yes": [1, None, "ü"]}})
        self.assertEqual((complete.success, complete.steps[2].finished), (True, True))
        self.assertLess(complete.start, complete.end)
        waited = instances.step("py-life", **of("clients-orders", name="answer-1", type="waitForEvent"))
        self.assertEqual((waited.status, waited.output, waited.event_type), ("complete", {"yes": [1, None, "ü"]}, "decision"))

    def test_05_create_without_anything(self):
        created = instances.create(
            "clients-orders",
            account_id=ACCOUNT,
            instance_retention={"success_retention": "2 days", "error_retention": 3_600_000},
            location_hint="weur",
        )
        self.assertRegex(created.id, UUID)
        complete = until("clients-orders", created.id, "complete")
        self.assertEqual((complete.params, json.loads(complete.output)), ({}, {"greeting": "Hello, nobody"}))

    def test_06_bulk_and_lists_of_instances(self):
        put("py-many")
        body = [{"instance_id": letter, "params": json.dumps({"name": letter})} for letter in "abcde"]
        page = instances.bulk("py-many", account_id=ACCOUNT, body=body)
        self.assertEqual([(row.id, row.status) for row in page.result], [(letter, "queued") for letter in "abcde"])
        self.assertFalse(page.has_next_page())
        for letter in "abcde":
            complete = until("py-many", letter, "complete")
            self.assertEqual(json.loads(complete.output), {"greeting": f"Hello, {letter}"})
        workflow = workflows.get("py-many", account_id=ACCOUNT)
        self.assertEqual(workflow.instances["complete"], 5)

        lengths, items = collect(instances.list("py-many", account_id=ACCOUNT, per_page=2))
        self.assertEqual(lengths, [2, 2, 1, 0])
        self.assertEqual("".join(item.id for item in items), "edcba")
        for row in items:
            self.assertEqual((row.status, row.workflow_id, row.trigger_source), ("complete", workflow.id, "api"))
            self.assertTrue(row.created_on <= row.started_on <= row.ended_on <= row.modified_on, row)

        def ids(**more):
            return "".join(row.id for row in instances.list("py-many", account_id=ACCOUNT, **more).result)

        walked, cursor = "", {}
        while True:
            page = instances.list("py-many", account_id=ACCOUNT, per_page=2, direction="asc", **cursor)
            walked += "".join(row.id for row in page.result)
            info = page.result_info.to_dict()
            self.assertEqual(info["total_count"], 5)
            if not info.get("cursor"):
                break
            cursor = {"cursor": info["cursor"]}
        self.assertEqual(walked, "abcde")
        self.assertEqual(ids(status="complete"), "edcba")
        self.assertEqual(ids(status="errored"), "")
        self.assertEqual(ids(page=9, per_page=2), "")
        self.assertEqual(ids(date_start=datetime(2020, 1, 1, tzinfo=timezone.utc)), "edcba")
        self.assertEqual(ids(date_end=datetime(2020, 1, 1, tzinfo=timezone.utc)), "")
        self.assertEqual(ids(date_start="2120-01-01T00:00:00.000Z"), "")

    def test_07_status_edit(self):
        def edit(**change):
            return instances.status.edit("py-edited", **of("clients-orders", **change))

        start("clients-orders", "py-edited", {"mode": "ask"})
        until("clients-orders", "py-edited", "waiting")
        paused = edit(status="pause")
        self.assertEqual(paused.status, "paused")
        self.assertIsInstance(paused.timestamp, datetime)
        self.assertIn(edit(status="resume").status, {"running", "waiting", "queued"})
        before = until("clients-orders", "py-edited", "waiting")
        edit(status="terminate", rollback=True)
        terminated = until("clients-orders", "py-edited", "terminated")
        self.assertEqual((terminated.rollback.outcome, terminated.rollback.error), ("complete", None))
        undone = [step for step in terminated.steps if step.type == "rollback"]
        self.assertEqual([(step.name, step.success) for step in undone], [("reserve-1", True)])
        self.assertEqual((terminated.steps[-1].type, terminated.steps[-1].trigger.source), ("termination", "api"))
        conflict = (cloudflare.ConflictError, 10401, "workflows.api.error.instance.cannot_terminate")
        self.refused(lambda: edit(status="terminate"), *conflict)
        restarted = edit(status="restart", from_={"name": "answer", "count": 1, "type": "waitForEvent"})
        self.assertEqual(restarted.status, "queued")
        again = until("clients-orders", "py-edited", "waiting")
        self.assertEqual(again.steps[0].start, before.steps[0].start, "steps before the one named are kept")
        edit(status="restart")
        self.assertGreater(until("clients-orders", "py-edited", "waiting").steps[0].start, before.steps[0].start)
        self.assertEqual(edit(status="terminate").status, "terminated")

    def test_08_failures_and_sleeps(self):
        start("clients-orders", "py-failing", {"mode": "fail"})
        errored = until("clients-orders", "py-failing", "errored")
        declined = ("TypeError", "the card was declined")
        self.assertEqual((errored.error.name, errored.error.message), declined)
        (charge,) = errored.steps
        self.assertEqual([(attempt.success, attempt.error.message) for attempt in charge.attempts], [(False, declined[1])] * 2)
        step = instances.step("py-failing", **of("clients-orders", name="charge-1", type="step", attempt=1))
        self.assertEqual((step.error.name, step.error.message), declined)
        start("clients-orders", "py-sleeping", {"mode": "nap"})
        (nap,) = until("clients-orders", "py-sleeping", "waiting").steps
        self.assertEqual((nap.type, nap.name, nap.finished, nap.end - nap.start), ("sleep", "nap-1", False, timedelta(hours=1)))

    def test_09_outputs(self):
        start("clients-orders", "py-outputs", {"mode": "outputs"})
        large, hidden, _ = until("clients-orders", "py-outputs", "complete").steps
        self.assertEqual(large.output, '"' + "abc" * 341 + "[truncated output]")
        self.assertEqual((hidden.output, hidden.config.sensitive), ("[REDACTED]", "output"))
        step = instances.step("py-outputs", **of("clients-orders", name="large-1", type="step"))
        self.assertEqual((step.status, step.error, step.output), ("complete", None, "abc" * 2_000))
        raw = instances.with_raw_response.step("py-outputs", **of("clients-orders", name="stream-1", type="step"))
        self.assertEqual(raw.headers["content-type"], "application/octet-stream")
        self.assertEqual(raw.read(), b"first line\nsecond line\n")

    def test_10_ids_of_schedules(self):
        cron, _, scheduled_time = SCHEDULED.rpartition("-")
        self.assertEqual(cron, "*/30 */2 * * *")
        found = until("nightly", SCHEDULED, "complete")
        self.assertEqual((found.trigger.source, found.schedule.cron), ("cron", cron))
        self.assertEqual(found.schedule.scheduled_time, int(scheduled_time))
        self.assertEqual(json.loads(found.output), cron)
        step = instances.step(SCHEDULED, **of("nightly", name="report-1", type="step"))
        self.assertEqual(step.output, cron)
        event = instances.events.create("late", **of("nightly", instance_id=SCHEDULED, body={}))
        self.assertEqual(event.instance_id, SCHEDULED)
        self.assertEqual(instances.status.edit(SCHEDULED, **of("nightly", status="restart")).status, "queued")
        until("nightly", SCHEDULED, "complete")

    def test_11_graph(self):
        made = put("py-drawn")
        drawn = versions.graph(made.version_id, **of("py-drawn"))
        self.assertEqual((drawn.id, drawn.workflow_id, drawn.class_name), (made.version_id, made.id, "Orders"))
        self.assertEqual(drawn.graph.workflow.class_name, "Orders")
        steps = []

        def walk(node):
            if isinstance(node, list):
                for child in node:
                    walk(child)
            elif isinstance(node, dict):
                if str(node.get("type")).startswith("step_"):
                    steps.append(f"{node['type']} {node['name']}")
                for child in node.values():
                    walk(child)

        walk(drawn.graph.to_dict()["workflow"]["nodes"])
        expected = "do charge,do large,do hidden,do stream,sleep nap,do greet,do reserve,wait_for_event answer"
        self.assertEqual(steps, [f"step_{step}" for step in expected.split(",")])
        self.assertTrue(versions.get(made.version_id, **of("py-drawn")).has_dag)

    def test_12_what_is_refused(self):
        def on(**more):
            return of("clients-orders", **more)

        workflow = (cloudflare.NotFoundError, 10200, "workflows.api.error.workflow.not_found")
        version = (cloudflare.NotFoundError, 10300, "workflows.api.error.version.not_found")
        instance = (cloudflare.NotFoundError, 10400, "workflows.api.error.instance.not_found")
        body = (cloudflare.BadRequestError, 10002, "workflows.api.error.body")
        exists = (cloudflare.BadRequestError, 10405, "workflows.api.error.instance.already_exists")
        resume = (cloudflare.ConflictError, 10491, "workflows.api.error.instance.cannot_resume")
        self.refused(lambda: workflows.get("unknown", account_id=ACCOUNT), *workflow)
        self.refused(lambda: workflows.delete("unknown", account_id=ACCOUNT), *workflow)
        self.refused(lambda: versions.list("unknown", account_id=ACCOUNT), *workflow)
        self.refused(lambda: versions.get(UNKNOWN_VERSION, **on()), *version)
        self.refused(lambda: versions.graph(UNKNOWN_VERSION, **on()), *version)
        self.refused(lambda: instances.get("unknown", **on()), *instance)
        self.refused(lambda: instances.status.edit("unknown", **on(status="pause")), *instance)
        self.refused(lambda: instances.events.create("go", **on(instance_id="unknown", body={})), *instance)
        self.refused(lambda: instances.step("unknown", **on(name="greet-1", type="step")), *instance)
        self.refused(lambda: start("clients-orders", "py-life", {}), *exists)
        self.refused(lambda: instances.status.edit("py-life", **on(status="resume")), *resume)
        for instance_id in ["batch", "not an id", "x" * 101]:
            (explanation,) = self.refused(lambda: start("clients-orders", instance_id, {}), *body)
            self.assertIn(instance_id, explanation)
        (explanation,) = self.refused(lambda: put("scheduled", schedules=[{"cron": "0 7 * * 0"}]), *body)
        self.assertIn('schedules[0].cron is "0 7 * * 0"', explanation)
        self.refused(lambda: instances.bulk("clients-orders", account_id=ACCOUNT, body=[]), *body)
        self.refused(lambda: instances.list("clients-orders", account_id=ACCOUNT, status="lost"), *body)
        stranger = Cloudflare(base_url=BASE_URL, api_token="wrong", max_retries=0)
        denied = (cloudflare.AuthenticationError, 10000, "Authentication error")
        self.refused(lambda: stranger.workflows.get("clients-orders", account_id=ACCOUNT), *denied)

    def test_13_the_asynchronous_client(self):
        async def go():
            async with AsyncCloudflare(base_url=BASE_URL, max_retries=0) as asynchronous:
                made = asynchronous.workflows.instances
                created = await made.create("clients-orders", account_id=ACCOUNT, params='{"name":"Grace"}')
                while (found := await made.get(created.id, **of("clients-orders"))).status != "complete":
                    assert found.status in {"queued", "running", "waiting"}, found
                    await asyncio.sleep(0.02)
                listed = [row.id async for row in made.list("clients-orders", account_id=ACCOUNT, per_page=3)]
                self.assertEqual(listed.count(created.id), 1)
                return json.loads(found.output)

        self.assertEqual(asyncio.run(asyncio.wait_for(go(), 30)), {"greeting": "Hello, Grace"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
