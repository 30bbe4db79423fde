"""The methods that shell commands call: grpcurl by their names, curl by the verbs and paths of their annotations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor import MethodDescriptor

from tests.transports import METHODS, full_name

_URL = re.compile(r"http://127\.0\.0\.1:\d+(/[^\s'\"?]*)")
_VERB = re.compile(r"(?:^|\s)-X ?(\w+)")
_BODY = re.compile(r"(?:^|\s)-d\s")
_NAMED = re.compile(r"(tenantmesh\.\w+\.v1\.\w+)[./](\w+)")
VERBS = ("get", "post", "put", "delete", "patch")


def rules(method: MethodDescriptor) -> list[http_pb2.HttpRule]:
    """The method's REST paths; none for a method between processes."""
    options = method.GetOptions()
    if not options.HasExtension(annotations_pb2.http):
        return []
    rule = options.Extensions[annotations_pb2.http]
    return [rule, *rule.additional_bindings]


_WRITTEN_OUT = {getattr(rule, verb) for method in METHODS for rule in rules(method) for verb in VERBS} - {""}


def leads_to(rule: http_pb2.HttpRule, verb: str, path: str) -> bool:
    """Whether the call is the rule's. A path that is written out goes before one with a variable in its place."""
    template = getattr(rule, verb) if verb in VERBS else ""
    if path in _WRITTEN_OUT or not template:
        return bool(template) and path == template
    return re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/:]+", re.escape(template)), path) is not None


def over_grpc(commands: Iterable[str]) -> set[str]:
    """The full names of the methods that the commands call over gRPC."""
    return {f"{service}/{method}" for command in commands for service, method in _NAMED.findall(command)}


def over_rest(commands: Iterable[str]) -> set[str]:
    """The full names of the methods that the commands call over REST."""
    calls = set(_calls(commands))
    return {
        full_name(method)
        for method in METHODS
        for rule in rules(method)
        for verb, path in calls
        if leads_to(rule, verb, path)
    }


def _calls(commands: Iterable[str]) -> Iterator[tuple[str, str]]:
    for command in commands:
        verb = _VERB.search(command)
        for path in _URL.findall(command):
            yield verb[1].lower() if verb else "post" if _BODY.search(command) else "get", path
