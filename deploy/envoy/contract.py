"""The routing part of the descriptor set: services, streaming methods, REST bindings, the longest allowed call.

Reads the contract only. What Envoy makes of it is in routes.py and filters.py.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2

from tenantmesh.deploy.envoy.fields import JsonKind, Messages, read_messages
from tenantmesh.policy.v1 import policy_pb2

__all__ = ["VARIABLE", "Binding", "Contract", "Method", "UnusableContract", "read"]

# What a policy means when it leaves max_timeout out.
UNARY_MAX_TIMEOUT = timedelta(seconds=60)
OWN = "tenantmesh."
IMPORTED = "google."
"""Packages that we import messages from. Some declare services too, which nobody here serves."""
UPSTREAM_OF = {
    "tenant": "tenant",
    "auth": "auth",
    "usage": "tenant",
    "audit": "tenant",
    "webhook": "tenant",
}
"""The second part of a proto package → the upstream that serves its services. tenant_svc serves four of them."""
RESERVED = {"decision": "decision_svc"}
"""The second part of a proto package → the service that will serve it. The edge has no upstream for that one yet."""
VERBS = ("get", "put", "post", "delete", "patch")
BETWEEN_PROCESSES = "between processes"
"""The words by which the `no_rest_reason` of a method says that only processes of the mesh call it."""
VARIABLE = re.compile(r"\{([^}]*)\}")


class UnusableContract(Exception):
    """The descriptor set can't be served by this edge. The text names the element and what to change."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One REST path: `GET /api/v1/tenants/{id}`."""

    verb: str
    path: str
    request: str
    """The full name of the request's message."""

    body: str
    """The field that the body holds; `*` for every field that is not in the path, empty where no body is read."""

    streams: bool

    @property
    def variables(self) -> tuple[str, ...]:
        """The fields that the path holds, by their names in the proto."""
        return tuple(VARIABLE.findall(self.path))


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC, as far as an edge cares."""

    path: str
    streams: bool
    public: bool
    bindings: tuple[Binding, ...]
    max_timeout: timedelta
    between_processes: bool
    """Whether only processes of the mesh call it, by its policy's `no_rest_reason`."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service and the upstream that serves it."""

    name: str
    upstream: str
    methods: tuple[Method, ...]


@dataclass(frozen=True, slots=True)
class Contract:
    """All services of the descriptor set."""

    services: tuple[Service, ...]
    files: tuple[str, ...]
    """The mesh's own files, without those that they import from others."""

    messages: Messages
    """The fields of every message that a REST request can hold."""

    @property
    def methods(self) -> tuple[Method, ...]:
        """Every method of every service, in the order of the files."""
        return tuple(method for service in self.services for method in service.methods)

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """Every REST path, in the order of the files."""
        return tuple(binding for method in self.methods for binding in method.bindings)

    def longest_call(self, upstream: str) -> timedelta:
        """Return the longest deadline that any unary method of the upstream grants."""
        served = (service for service in self.services if service.upstream == upstream)
        unary = (method.max_timeout for service in served for method in service.methods if not method.streams)
        return max(unary, default=UNARY_MAX_TIMEOUT)


def read(path: Path, upstreams: Collection[str]) -> Contract:
    """Read a descriptor set. Raises UnusableContract when a service has no upstream or a binding can't be served."""
    files = descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file
    served = [file for file in files if not file.package.startswith(IMPORTED)]
    services = tuple(_service(file, service, upstreams) for file in served for service in file.service)
    if not services:
        raise UnusableContract(f"{path} declares no service; regenerate it with `make gen`")
    _refuse_tenant_parameter(served)
    requests = {binding.request for service in services for method in service.methods for binding in method.bindings}
    own = tuple(file.name for file in files if file.package.startswith(OWN))
    contract = Contract(services, own, read_messages(files, requests))
    for binding in contract.bindings:
        _refuse_unusable_fields(binding, contract.messages)
    return contract


def _service(
    file: descriptor_pb2.FileDescriptorProto,
    service: descriptor_pb2.ServiceDescriptorProto,
    upstreams: Collection[str],
) -> Service:
    name = f"{file.package}.{service.name}"
    upstream = _upstream(name, file.package)
    if upstream not in upstreams:
        raise UnusableContract(f"{name} is served by {upstream}, which the edge has no address for")
    return Service(name, upstream, tuple(_method(name, method) for method in service.method))


def _upstream(service: str, package: str) -> str:
    part = next(iter(package.split(".")[1:2]), "")
    if part in RESERVED:
        raise UnusableContract(
            f"no upstream serves {service}: the package part {part!r} is reserved for {RESERVED[part]}, "
            "which the edge does not reach yet"
        )
    if part not in UPSTREAM_OF:
        known = ", ".join(sorted(UPSTREAM_OF))
        raise UnusableContract(f"no upstream serves {service}: its package's second part must be one of {known}")
    return UPSTREAM_OF[part]


def _method(service: str, method: descriptor_pb2.MethodDescriptorProto) -> Method:
    policy = method.options.Extensions[policy_pb2.method]
    granted = policy.max_timeout.ToTimedelta() if policy.HasField("max_timeout") else UNARY_MAX_TIMEOUT
    rule = method.options.Extensions[annotations_pb2.http]
    streams = method.client_streaming or method.server_streaming
    public = policy_pb2.AUDIENCE_PUBLIC in policy.audiences
    bindings = tuple(_bindings(rule, method.input_type.removeprefix("."), streams))
    between = BETWEEN_PROCESSES in policy.no_rest_reason
    return Method(f"/{service}/{method.name}", streams, public, bindings, granted, between)


def _bindings(rule: http_pb2.HttpRule, request: str, streams: bool) -> Iterator[Binding]:
    for binding in (rule, *rule.additional_bindings):
        verb = binding.WhichOneof("pattern")
        if binding.response_body:
            raise UnusableContract(f"{getattr(binding, str(verb))}: Envoy does not support response_body")
        if verb in VERBS:
            yield Binding(verb.upper(), getattr(binding, verb), request, binding.body, streams)


def _refuse_tenant_parameter(files: Collection[descriptor_pb2.FileDescriptorProto]) -> None:
    """Refuse a request with a field `tenant` that can stand in the query: `?tenant=` names the call's tenant, and is
    taken off it."""
    inputs = {
        method.input_type
        for file in files
        for service in file.service
        for method in service.method
        if not _is_body(method, "tenant")
    }
    for file in files:
        for message in file.message_type:
            named = any(field.name == "tenant" for field in message.field)
            if named and f".{file.package}.{message.name}" in inputs:
                raise UnusableContract(f"{file.package}.{message.name}.tenant: the edge reads ?tenant=, rename it")


def _is_body(method: descriptor_pb2.MethodDescriptorProto, field: str) -> bool:
    """Return whether the field is the whole body of every binding, so that it is never in a query."""
    rule = method.options.Extensions[annotations_pb2.http]
    return all(binding.body == field for binding in (rule, *rule.additional_bindings))


def _refuse_unusable_fields(binding: Binding, messages: Messages) -> None:
    """Refuse a path or body that holds what the checks of requests can't follow."""
    fields = {field.name: field for field in messages[binding.request]}
    for name in binding.variables:
        if name not in fields:
            raise UnusableContract(
                f"{binding.path}: {{{name}}} must be a field of {binding.request}, without a pattern"
            )
    if binding.body not in ("", "*"):
        body = fields.get(binding.body)
        if body is None or body.kind is not JsonKind.OBJECT or body.repeated:
            raise UnusableContract(f"{binding.path}: the body {binding.body} must be a message of {binding.request}")
