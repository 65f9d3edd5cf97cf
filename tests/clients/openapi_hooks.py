"""Names that exist, for schemathesis: half of what it makes up would otherwise be answered with 404."""

import os
import zlib

import schemathesis

# What must stay for the other requests to find something; expendable is for those that change and delete.
WORKFLOWS = ["clients-orders", "nightly"]
EXPENDABLE = "expendable"
INSTANCES = os.environ["CAIRN_INSTANCE_IDS"].split("\n")
VERSIONS = os.environ["CAIRN_VERSION_IDS"].split("\n")


def pick(value, known):
    """The value as it was made up, or one of the known in its place: the same each time for the same value."""
    number = zlib.crc32(repr(value).encode())
    return known[number // 4 % len(known)] if number % 4 else value


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    if not path_parameters:
        return path_parameters
    method = context.operation.method.upper()
    last = context.operation.path.rsplit("/", 1)[-1]
    named = dict(path_parameters)
    if "account_id" in named:
        named["account_id"] = "local"
    if "workflow_name" in named:
        changes = method in {"PUT", "DELETE"} and last in {"{workflow_name}", "terminate"}
        named["workflow_name"] = pick(named["workflow_name"], [EXPENDABLE] if changes else WORKFLOWS)
    if "instance_id" in named and method != "DELETE":
        named["instance_id"] = pick(named["instance_id"], INSTANCES)
    if "version_id" in named:
        named["version_id"] = pick(named["version_id"], VERSIONS)
    if "script_name" in named:
        named["script_name"] = pick(named["script_name"], ["clients"])
    return named
