"""The client side: a call made while serving another carries its request id, trace, deadline and tenant onward.

Retries come from gRPC's own service config, made from the policies: only methods that they allow to be repeated are
retried. A method that may be repeated by its `request_id` is always sent with one, so that a retry has no second
effect.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from tenantmesh.interceptors.client_spans import ClientSpans
from tenantmesh.interceptors.metadata import AUTHORIZATION, REQUEST_ID, TENANT_ID, TRACEPARENT, TRACESTATE
from tenantmesh.interceptors.passage import Metadata, Passage, caused_by, current
from tenantmesh.interceptors.policy import MethodPolicy, policies_of
from tenantmesh.interceptors.records import CallTracer, TraceContext

__all__ = ["Credential", "Onward", "channel", "outgoing", "retry_config", "thread_channel", "tls_credentials"]

_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.keepalive_time_ms", 300_000),
    # A service that restarts is back within a second; gRPC's own pauses grow to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    # Proxies that the environment names are for HTTP to the outside, never for the mesh.
    ("grpc.enable_http_proxy", 0),
)


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret that proves the caller: an API key (`tmk_…`) or an access token."""

    secret: str

    def __repr__(self) -> str:
        return "Credential(…)"


@dataclass(frozen=True, slots=True)
class Onward:
    """Sends the credential of the call being served instead of one of the service's own."""


def outgoing(credential: Credential | Onward | None = None) -> list[tuple[str, str]]:
    """Return the metadata of a call made now."""
    metadata: list[tuple[str, str]] = []
    call = _serving()
    cause = call or caused_by.get(None)
    if isinstance(credential, Credential):
        metadata.append((AUTHORIZATION, f"Bearer {credential.secret}"))
    if cause is None:
        return [*metadata, (REQUEST_ID, uuid.uuid4().hex)]
    metadata.append((REQUEST_ID, cause.request_id))
    if (trace := cause.trace) is not None:
        metadata += _trace_headers(trace)
    if call is None:
        return metadata  # the tenant and the credential of one of the calls that wait are not those of the work
    if call.tenant is not None:
        metadata.append((TENANT_ID, str(call.tenant.id)))
    if isinstance(credential, Onward) and (header := call.headers.get(AUTHORIZATION)):
        metadata.append((AUTHORIZATION, header))
    return metadata


def _trace_headers(trace: TraceContext) -> list[tuple[str, str]]:
    traceparent, tracestate = trace
    headers = [(TRACEPARENT, traceparent)]
    return [*headers, (TRACESTATE, tracestate)] if tracestate else headers


def retry_config(services: Iterable[ServiceDescriptor]) -> str:
    """Return a gRPC service config that retries methods which their policies allow to be repeated, on UNAVAILABLE, with
    a retry budget. Requests that may be repeated by a `request_id` need one; the channels of this module set it."""
    return json.dumps(
        {
            "methodConfig": [
                {
                    "name": [_config_name(policy) for policy in _retried(services)],
                    "retryPolicy": {
                        "maxAttempts": 3,
                        "initialBackoff": "0.05s",
                        "maxBackoff": "0.5s",
                        "backoffMultiplier": 2,
                        "retryableStatusCodes": ["UNAVAILABLE"],
                    },
                }
            ],
            "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
        }
    )


def _retried(services: Iterable[ServiceDescriptor]) -> list[MethodPolicy]:
    policies = policies_of(services, complete=False).values()
    return [policy for policy in policies if (policy.idempotent or policy.by_request_id) and not policy.streams]


def _config_name(policy: MethodPolicy) -> dict[str, str]:
    _, service, method = policy.method.split("/")
    return {"service": service, "method": method}


def channel(
    target: str,
    *,
    services: Iterable[ServiceDescriptor] = (),
    credential: Credential | Onward | None = None,
    tls: grpc.ChannelCredentials | None = None,
    options: Sequence[tuple[str, Any]] = (),
    tracer: CallTracer | None = None,
) -> grpc.aio.Channel:
    """Return a channel whose calls carry the current call onward. `services` are retried by their policies. With a
    tracer, calls have spans."""
    services = list(services)
    carrier = _Carrier(credential, services)
    traced = None if tracer is None else ClientSpans(tracer, target)
    arguments: dict[str, Any] = {
        "options": _options(services, options),
        "interceptors": [kind(carrier, traced) for kind in _AIO_KINDS],
    }
    if tls is None:
        return grpc.aio.insecure_channel(target, **arguments)
    return grpc.aio.secure_channel(target, tls, **arguments)


def tls_credentials(ca: Path, certificate: Path | None = None, key: Path | None = None) -> grpc.ChannelCredentials:
    """Return credentials for a channel: the trusted certificates and, for mutual TLS, the client's own.

    Raises OSError for a file that can't be read.
    """
    own = (key.read_bytes(), certificate.read_bytes()) if key is not None and certificate is not None else (None, None)
    return grpc.ssl_channel_credentials(ca.read_bytes(), *own)


def thread_channel(
    target: str,
    *,
    services: Iterable[ServiceDescriptor] = (),
    credential: Credential | Onward | None = None,
    tls: grpc.ChannelCredentials | None = None,
    options: Sequence[tuple[str, Any]] = (),
    tracer: CallTracer | None = None,
) -> grpc.Channel:
    """Return the same for blocking stubs."""
    services = list(services)
    arguments = _options(services, options)
    plain = grpc.insecure_channel(target, arguments) if tls is None else grpc.secure_channel(target, tls, arguments)
    traced = None if tracer is None else ClientSpans(tracer, target)
    return grpc.intercept_channel(plain, _ThreadClient(_Carrier(credential, services), traced))


def _options(services: Sequence[ServiceDescriptor], more: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    retries = [("grpc.service_config", retry_config(services))] if services else []
    return [*_OPTIONS, *retries, *more]


def _serving() -> Passage | None:
    return current.get(None)


def _timeout(asked: float | None) -> float | None:
    """Return the seconds that the call may take: as many as asked for, at most what the call being served has left."""
    call = _serving()
    left = call.time_remaining() if call is not None else None
    if left is None:
        return asked
    return left if asked is None else min(asked, left)


class _Carrier:
    """Adds metadata and request ids to the calls of a channel."""

    def __init__(self, credential: Credential | Onward | None, services: Iterable[ServiceDescriptor]) -> None:
        self._credential = credential
        self._by_request_id = frozenset(policy.method for policy in _retried(services) if policy.by_request_id)

    def metadata(self, given: Metadata) -> tuple[tuple[str, str | bytes], ...]:
        """Return the caller's metadata, and ours where the caller gave none."""
        own = {key for key, _ in given}
        return (*(pair for pair in outgoing(self._credential) if pair[0] not in own), *given)

    def request(self, method: str, request: Any) -> Any:
        """Return the request, or a copy with a `request_id` where gRPC may repeat it and the caller gave none."""
        if method not in self._by_request_id or request.request_id:
            return request
        named = type(request)()
        named.CopyFrom(request)
        named.request_id = str(uuid.uuid4())
        return named


class _AioLink:
    """The four aio client interceptors differ in name alone; gRPC sorts them by class."""

    def __init__(self, carrier: _Carrier, traced: ClientSpans | None) -> None:
        self._carrier = carrier
        self._traced = traced

    async def _carry(self, continuation: Callable[..., Any], details: grpc.aio.ClientCallDetails, request: Any) -> Any:
        carried = self._carrier.metadata(tuple(details.metadata or ()))
        if self._traced is None:
            return await self._call(continuation, details, request, carried)
        method: Any = details.method
        span, carried = self._traced.start(method.decode(), carried)
        return await self._traced.follow(span, self._call(continuation, details, request, carried))

    async def _call(
        self, continuation: Callable[..., Any], details: grpc.aio.ClientCallDetails, request: Any, own: Metadata
    ) -> Any:
        metadata = grpc.aio.Metadata(*own)
        carried = grpc.aio.ClientCallDetails(
            details.method, _timeout(details.timeout), metadata, details.credentials, details.wait_for_ready
        )
        method: Any = details.method  # bytes, whatever its type says
        return await continuation(carried, self._carrier.request(method.decode(), request))

    intercept_unary_unary = intercept_unary_stream = intercept_stream_unary = intercept_stream_stream = _carry


class _UnaryUnary(_AioLink, grpc.aio.UnaryUnaryClientInterceptor):
    pass


class _UnaryStream(_AioLink, grpc.aio.UnaryStreamClientInterceptor):
    pass


class _StreamUnary(_AioLink, grpc.aio.StreamUnaryClientInterceptor):
    pass


class _StreamStream(_AioLink, grpc.aio.StreamStreamClientInterceptor):
    pass


_AIO_KINDS = (_UnaryUnary, _UnaryStream, _StreamUnary, _StreamStream)


@dataclass(frozen=True, slots=True)
class _ThreadDetails(grpc.ClientCallDetails):
    method: str
    timeout: float | None
    metadata: tuple[tuple[str, str | bytes], ...] | None
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class _ThreadClient(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    def __init__(self, carrier: _Carrier, traced: ClientSpans | None) -> None:
        self._carrier = carrier
        self._traced = traced

    def _carry(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        metadata = self._carrier.metadata(tuple(details.metadata or ()))
        if self._traced is None:
            return self._call(continuation, details, request, metadata)
        span, metadata = self._traced.start(details.method, metadata)
        finish = self._traced.finish
        call = self._call(continuation, details, request, metadata)
        call.add_done_callback(lambda done: finish(span, done.code()))
        return call

    def _call(self, continuation: Callable[..., Any], details: Any, request: Any, metadata: Metadata) -> Any:
        carried = _ThreadDetails(
            details.method,
            _timeout(details.timeout),
            tuple(metadata),
            details.credentials,
            getattr(details, "wait_for_ready", None),
            getattr(details, "compression", None),
        )
        return continuation(carried, self._carrier.request(details.method, request))

    # One implementation for four signatures, which differ in what is a stream.
    _carry_any: Any = _carry
    intercept_unary_unary = intercept_unary_stream = intercept_stream_unary = intercept_stream_stream = _carry_any
