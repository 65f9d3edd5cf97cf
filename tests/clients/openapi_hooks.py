"""Names that exist, for schemathesis: nearly all of what it makes up would otherwise be answered with 404."""

import os
import zlib

import schemathesis

# The instances are those of this workflow, as are the versions. What changes or deletes workflows gets the expendable one.
WORKFLOW = "clients-orders"
EXPENDABLE = "expendable"
INSTANCES = os.environ["CAIRN_INSTANCE_IDS"].split("\n")
VERSIONS = os.environ["CAIRN_VERSION_IDS"].split("\n")
STEPS = ["greet-1", "reserve-1", "charge-1", "large-1", "hidden-1", "stream-1", "answer-1"]


def numbers(case):
    """Numbers that are the same each time for the same request: it must be possible to make it again."""
    number = zlib.crc32(f"{case.operation.label} {case.path_parameters!r} {case.query!r} {case.body!r}".encode())
    while True:
        number = zlib.crc32(number.to_bytes(4, "big"))
        yield number >> 8


@schemathesis.hook
def before_call(context, case, kwargs):
    drawn = numbers(case)
    path = case.operation.path
    named = case.path_parameters

    def put(name, known):
        # One in eight stays as it was made up.
        if named and name in named and next(drawn) % 8:
            named[name] = known[next(drawn) % len(known)]

    if named and "account_id" in named:
        named["account_id"] = "local"
    changes = case.method.upper() in {"PUT", "DELETE"} and path.endswith(("/{workflow_name}", "/terminate"))
    put("workflow_name", [EXPENDABLE if changes else WORKFLOW])
    if case.method.upper() != "DELETE":
        put("instance_id", INSTANCES)
    put("version_id", VERSIONS)
    put("script_name", ["clients"])
    put("event_type", ["decision"])
    if path.endswith("/step") and case.query and "name" in case.query and next(drawn) % 4:
        case.query["name"] = STEPS[next(drawn) % len(STEPS)]
