"""Calls the API as a person would, over REST and over gRPC, and prints each call and its answer.

Paths and verbs come from the annotations in the protos, so that what is printed is what the contract says.
"""

from __future__ import annotations

import http.client
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import grpc
from google.api import annotations_pb2
from google.protobuf import any_pb2, json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2

from tenantmesh.deploy.commands.console import Console
from tenantmesh.deploy.stack.errors import StackError

__all__ = ["Answer", "DemoCall", "Grpc", "Rest"]

_REMEDY = "Start the stack (tenantmesh dev), or name the edge that runs with --edge."
_SECONDS = 10.0
_DETAILS_TRAILER = "grpc-status-details-bin"
_KNOWN_DETAILS = error_details_pb2.DESCRIPTOR  # imported so that details can be unpacked
_VERBS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class DemoCall:
    """One call: a method, its request, and the headers; `shown` are the headers as a person would type them."""

    method: MethodDescriptor
    request: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, str] = field(default_factory=dict)

    def visible_headers(self) -> list[str]:
        """Return the headers as arguments, with shell variables in place of secrets."""
        return [f'-H "{name}: {self.shown.get(name, value)}"' for name, value in self.headers.items()]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a call. `status` is an HTTP status or the name of a gRPC code."""

    status: str
    body: dict[str, Any]

    @property
    def reason(self) -> str:
        """The reason of an error, as machines read it; empty for an answer without one."""
        details = self.body.get("details", [])
        return next((str(detail["reason"]) for detail in details if "reason" in detail), "")


class Rest:
    """Calls through the edge, as curl does."""

    def __init__(self, host: str, port: int, console: Console) -> None:
        self._host, self._port, self._console = host, port, console

    def call(self, call: DemoCall) -> Answer:
        """Print and make the call, print and return its answer."""
        verb, path, body = transcode(call)
        self._show(call, verb, path, body)
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_SECONDS)
        try:
            headers = dict(call.headers) | ({"content-type": "application/json"} if body else {})
            connection.request(verb, path, body, headers)
            response = connection.getresponse()
            answer = Answer(str(response.status), json.loads(response.read() or b"{}"))
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = getattr(error, "strerror", None) or "no JSON came back"
            raise StackError(f"no edge answers at {self._host}:{self._port}: {why}.", remedy=_REMEDY) from error
        finally:
            connection.close()
        self._console.plain(f"HTTP {answer.status}")
        self._console.plain(json.dumps(answer.body, indent=2))
        return answer

    def _show(self, call: DemoCall, verb: str, path: str, body: str | None) -> None:
        arguments = ["curl -s", f"-X {verb}" if verb != ("POST" if body else "GET") else ""]
        arguments += [shlex.quote(f"http://{self._host}:{self._port}{path}"), *call.visible_headers()]
        arguments += ["-H 'content-type: application/json'", f"-d {shlex.quote(body)}"] if body else []
        self._console.plain("$ " + " ".join(part for part in arguments if part))


class Grpc:
    """Calls with gRPC, as grpcurl does. `targets` maps a proto package to the address that serves it."""

    def __init__(self, targets: Mapping[str, str], console: Console) -> None:
        self._targets, self._console = targets, console

    def call(self, call: DemoCall) -> Answer:
        """Print and make the call, print and return its answer."""
        service = call.method.containing_service
        target = self._targets[service.file.package]
        request_class = GetMessageClass(call.method.input_type)
        request = json_format.ParseDict(dict(call.request), request_class())
        self._show(call, target, json_format.MessageToDict(request))
        path = f"/{service.full_name}/{call.method.name}"
        with grpc.insecure_channel(target) as channel:
            invoke = channel.unary_unary(
                path,
                request_serializer=request_class.SerializeToString,
                response_deserializer=GetMessageClass(call.method.output_type).FromString,
            )
            try:
                message = invoke(request, metadata=tuple(call.headers.items()), timeout=_SECONDS)
            except grpc.RpcError as error:
                return self._refused(error)
        answer = Answer("OK", json_format.MessageToDict(message))
        self._console.plain(json.dumps(answer.body, indent=2))
        return answer

    def _show(self, call: DemoCall, target: str, request: Mapping[str, Any]) -> None:
        service = call.method.containing_service.full_name
        data = [f"-d {shlex.quote(json.dumps(request))}"] if request else []
        parts = ["$ grpcurl -plaintext", *call.visible_headers(), *data, target, f"{service}/{call.method.name}"]
        self._console.plain(" ".join(parts))

    def _refused(self, error: Any) -> Answer:
        details = [_detail(packed) for packed in _status_of(error).details]
        answer = Answer(error.code().name, {"message": error.details(), "details": details})
        self._console.plain(f"ERROR {answer.status}: {error.details()}")
        for detail in details:
            self._console.plain(f"  {json.dumps(detail)}")
        return answer


def transcode(call: DemoCall) -> tuple[str, str, str | None]:
    """Return the verb, path and body of the method's REST annotation. Raises LookupError for a method without one."""
    rule = call.method.GetOptions().Extensions[annotations_pb2.http]
    verb = next((verb for verb in _VERBS if getattr(rule, verb)), None)
    if verb is None:
        raise LookupError(f"{call.method.full_name} has no REST path")
    rest = dict(call.request)
    path = re.sub(r"\{(\w+)\}", lambda match: str(rest.pop(match[1])), getattr(rule, verb))
    if rule.body == "*":
        return verb.upper(), path, json.dumps(rest)
    body = json.dumps(rest.pop(rule.body)) if rule.body else None
    return verb.upper(), f"{path}?{urlencode(rest)}" if rest else path, body


def _status_of(error: Any) -> status_pb2.Status:
    """Return the rich status in the trailers, or an empty one."""
    packed = (value for name, value in error.trailing_metadata() or () if name == _DETAILS_TRAILER)
    return status_pb2.Status.FromString(next(packed, b""))


def _detail(packed: any_pb2.Any) -> dict[str, Any]:
    try:
        return dict(json_format.MessageToDict(packed))
    except TypeError:  # a type that this program does not know
        return {"@type": packed.type_url}
