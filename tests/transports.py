"""One way to call any method of the contract, over gRPC or over REST: the REST call is made from the annotation.

A method that is added to the protos can be called here at once; nothing about single methods is written down.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import re
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self, cast
from urllib.parse import quote, urlencode

import grpc
from google.api import annotations_pb2
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.rpc import code_pb2, error_details_pb2
from grpc_status import rpc_status

from tenantmesh.chassis.contract import CONTRACT

Headers = Sequence[tuple[str, str]]
SERVICES = CONTRACT
METHODS: tuple[MethodDescriptor, ...] = tuple(method for service in SERVICES for method in service.methods)
UNARY = tuple(method for method in METHODS if not method.server_streaming)


@dataclass(frozen=True)
class Answer:
    """What came back, the same shape over both transports."""

    code: str
    body: dict[str, Any]
    reason: str = ""
    message: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    details: tuple[dict[str, Any], ...] = ()


class Transport(Protocol):
    """Calls a unary method by its full name."""

    async def call(
        self, method: str, request: dict[str, Any] | None = None, *, token: str | None = None, metadata: Headers = ()
    ) -> Answer:
        """The answer, or the refusal as an answer."""
        ...


def descriptor(name: str) -> MethodDescriptor:
    """The method `package.Service/Method`."""
    service, _, method = name.partition("/")
    found: MethodDescriptor = descriptor_pool.Default().FindServiceByName(service).methods_by_name[method]
    return found


def full_name(method: MethodDescriptor) -> str:
    """`package.Service/Method`."""
    return f"{method.containing_service.full_name}/{method.name}"


def with_token(token: str | None, metadata: Headers) -> Headers:
    """The headers of a call."""
    return [*metadata, ("authorization", f"Bearer {token}")] if token else list(metadata)


class GrpcTransport:
    """Native gRPC. Methods between processes are not at the edge: they have targets of their own, tenant_svc first."""

    def __init__(
        self, tenant_target: str, auth_target: str, *, between_processes: tuple[str, str] | None = None
    ) -> None:
        self._targets = {"tenantmesh.tenant": tenant_target, "tenantmesh.auth": auth_target}
        self._between_processes = dict(zip(self._targets, between_processes or (), strict=False))
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for channel in self._channels.values():
            await channel.close()

    def channel(self, method: str) -> grpc.aio.Channel:
        """The channel to the method's service."""
        package = next(package for package in self._targets if method.startswith(package))
        target = self._targets[package]
        if not descriptor(method).GetOptions().HasExtension(annotations_pb2.http):
            target = self._between_processes.get(package, target)
        if target not in self._channels:
            self._channels[target] = grpc.aio.insecure_channel(target)
        return self._channels[target]

    async def call(
        self, method: str, request: dict[str, Any] | None = None, *, token: str | None = None, metadata: Headers = ()
    ) -> Answer:
        """As `Transport.call`."""
        described = descriptor(method)
        message = json_format.ParseDict(request or {}, message_factory.GetMessageClass(described.input_type)())
        call = self.channel(method).unary_unary(
            f"/{method}",
            request_serializer=type(message).SerializeToString,
            response_deserializer=message_factory.GetMessageClass(described.output_type).FromString,
        )(message, metadata=grpc.aio.Metadata(*with_token(token, metadata)), timeout=15)
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            return _refusal(error)
        body = json_format.MessageToDict(answer, always_print_fields_with_no_presence=True)
        headers = {**_text(await call.initial_metadata()), **_text(await call.trailing_metadata())}
        return Answer("OK", body, headers=headers)


def rich_status(error: grpc.aio.AioRpcError) -> Any:
    """The google.rpc.Status that came with the error, or None."""
    return rpc_status.from_call(cast("grpc.Call", error))  # it has what from_call reads


def raw(channel: grpc.aio.Channel, method: str, body: bytes) -> Awaitable[bytes]:
    """A unary call with a body as it is, well-formed or not."""
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
    return call(body, timeout=10)


def _refusal(error: grpc.aio.AioRpcError) -> Answer:
    status = rich_status(error)
    details = tuple(json_format.MessageToDict(each) for each in status.details) if status else ()
    headers = _text(error.trailing_metadata())
    return _answer(error.code().name, error.details() or "", details, headers)


def _answer(code: str, message: str, details: tuple[dict[str, Any], ...], headers: dict[str, str]) -> Answer:
    kind = f"type.googleapis.com/{error_details_pb2.ErrorInfo.DESCRIPTOR.full_name}"
    reason = next((each["reason"] for each in details if each["@type"] == kind), "")
    return Answer(code, {}, reason, message, headers, details)


def _text(metadata: Any) -> dict[str, str]:
    return {key: value for key, value in metadata or () if isinstance(value, str)}


class RestTransport:
    """REST at the edge, the call made from the method's `google.api.http` annotation. A method without a REST path is
    called by gRPC."""

    def __init__(self, target: str, *, between_processes: tuple[str, str] | None = None) -> None:
        self._target = target
        self._without_path = GrpcTransport(target, target, between_processes=between_processes)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._without_path.__aexit__(kind, error, trace)

    async def call(
        self, method: str, request: dict[str, Any] | None = None, *, token: str | None = None, metadata: Headers = ()
    ) -> Answer:
        """As `Transport.call`."""
        if not descriptor(method).GetOptions().HasExtension(annotations_pb2.http):
            return await self._without_path.call(method, request, token=token, metadata=metadata)
        verb, path, body = rest_call(descriptor(method), request or {})
        status, headers, text = await asyncio.to_thread(
            self.send, verb, path, with_token(token, metadata), None if body is None else json.dumps(body).encode()
        )
        decoded = json.loads(text)
        if status == http.HTTPStatus.OK:
            return Answer("OK", decoded, headers=headers)
        details = tuple(decoded["details"])
        return _answer(code_pb2.Code.Name(decoded["code"]), decoded["message"], details, headers)

    def send(
        self, verb: str, path: str, headers: Headers, body: bytes | None = None, content_type: str = "application/json"
    ) -> tuple[int, dict[str, str], bytes]:
        """A raw HTTP call: status, headers in lower case, body."""
        connection = http.client.HTTPConnection(self._target, timeout=20)
        try:
            connection.putrequest(verb, path, skip_host=any(key == "host" for key, _ in headers))
            for key, value in headers:
                connection.putheader(key, value)
            if body is not None:
                connection.putheader("content-type", content_type)
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, {key.lower(): value for key, value in response.getheaders()}, response.read()
        finally:
            connection.close()


def rest_call(method: MethodDescriptor, request: dict[str, Any]) -> tuple[str, str, dict[str, Any] | None]:
    """Verb, path with query, and body of the method's first binding whose path the request can fill; else of its
    first."""
    main = method.GetOptions().Extensions[annotations_pb2.http]
    bindings = (main, *main.additional_bindings)
    rule = next((each for each in bindings if _fills(method, request, each)), main)
    verb = rule.WhichOneof("pattern")
    template = getattr(rule, verb)
    rest = dict(request)
    names = {field.name: field.json_name for field in method.input_type.fields}
    path = re.sub(r"\{(\w+)\}", lambda found: quote(str(rest.pop(names[found[1]], "")), safe=""), template)
    if rule.body == "*":
        return verb.upper(), path, rest
    body = None
    if rule.body:
        body = rest.pop(method.input_type.fields_by_name[rule.body].json_name, {})
    query = {key: str(value).lower() if isinstance(value, bool) else value for key, value in rest.items()}
    return verb.upper(), f"{path}?{urlencode(query)}" if query else path, body


def _fills(method: MethodDescriptor, request: dict[str, Any], rule: Any) -> bool:
    """Whether the request has a value for each field in the binding's path."""
    fields = re.findall(r"\{(\w+)\}", getattr(rule, rule.WhichOneof("pattern")))
    return all(request.get(method.input_type.fields_by_name[field].json_name) for field in fields)
