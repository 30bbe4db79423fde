"""The one module that knows status codes: MeshError → google.rpc.Status (AIP-193)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from interceptors.errors import FieldViolation, Kind, MeshError

__all__ = ["DOMAIN", "Refusal", "refusal", "to_status"]

DOMAIN = "tenantmesh"
INTERNAL_MESSAGE = "Something failed on our side. Retry later; if it lasts, report the x-request-id of this answer."


class Refusal(NamedTuple):
    """What goes on the wire: the code, the message, and the trailing metadata that carries the details."""

    code: grpc.StatusCode
    message: str
    metadata: tuple[tuple[str, str | bytes], ...]


def to_status(error: MeshError) -> status_pb2.Status:
    """The error as a google.rpc.Status, with ErrorInfo and, where they apply, BadRequest and RetryInfo."""
    return status_pb2.Status.FromString(_status_bytes(*_key(error)))


def refusal(error: MeshError) -> Refusal:
    """The error as gRPC sends it. The same error twice costs a look-up: a refusal must be cheaper than an answer."""
    return _refusal(*_key(error))


_Key = tuple[Kind, str, str, tuple[tuple[str, str], ...], tuple[FieldViolation, ...], float | None]


def _key(error: MeshError) -> _Key:
    seconds = error.retry_after.total_seconds() if error.retry_after is not None else None
    message = INTERNAL_MESSAGE if error.kind is Kind.INTERNAL else error.message
    return error.kind, error.reason, message, tuple(sorted(error.metadata.items())), error.violations, seconds


@lru_cache(maxsize=2048)
def _refusal(
    kind: Kind,
    reason: str,
    message: str,
    metadata: tuple[tuple[str, str], ...],
    violations: tuple[FieldViolation, ...],
    retry_after: float | None,
) -> Refusal:
    details = _status_bytes(kind, reason, message, metadata, violations, retry_after)
    trailing: list[tuple[str, str | bytes]] = [("grpc-status-details-bin", details)]
    if retry_after is not None:
        trailing.append(("retry-after", str(max(1, math.ceil(retry_after)))))
    return Refusal(grpc.StatusCode[kind.name], message, tuple(trailing))


@lru_cache(maxsize=2048)
def _status_bytes(
    kind: Kind,
    reason: str,
    message: str,
    metadata: tuple[tuple[str, str], ...],
    violations: tuple[FieldViolation, ...],
    retry_after: float | None,
) -> bytes:
    status = status_pb2.Status(code=grpc.StatusCode[kind.name].value[0], message=message)
    _pack(status, error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=dict(metadata)))
    if violations:
        listed = [
            error_details_pb2.BadRequest.FieldViolation(field=each.field, description=each.description)
            for each in violations
        ]
        _pack(status, error_details_pb2.BadRequest(field_violations=listed))
    if retry_after is not None:
        info = error_details_pb2.RetryInfo()
        info.retry_delay.FromNanoseconds(int(retry_after * 1e9))
        _pack(status, info)
    encoded: bytes = status.SerializeToString(deterministic=True)
    return encoded


def _pack(
    status: status_pb2.Status,
    detail: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo,
) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail, deterministic=True)
    status.details.append(packed)
