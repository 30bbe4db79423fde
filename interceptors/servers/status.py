"""The one module that knows status codes: MeshError → google.rpc.Status (AIP-193)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from tenantmesh.interceptors.errors import FieldViolation, Kind, MeshError, QuotaViolation

__all__ = ["DOMAIN", "Refusal", "refusal", "to_status"]

DOMAIN = "tenantmesh"
INTERNAL_MESSAGE = "Something failed on our side. Retry later; if it lasts, report the x-request-id of this answer."


class Refusal(NamedTuple):
    """What goes on the wire: the code, the message, and the trailing metadata that carries the details."""

    code: grpc.StatusCode
    message: str
    metadata: tuple[tuple[str, str | bytes], ...]


class _Told(NamedTuple):
    """All of an error that goes on the wire."""

    kind: Kind
    reason: str
    message: str
    metadata: tuple[tuple[str, str], ...]
    violations: tuple[FieldViolation, ...]
    quota_violations: tuple[QuotaViolation, ...]
    retry_after: float | None


def to_status(error: MeshError) -> status_pb2.Status:
    """The error as a google.rpc.Status: ErrorInfo, and BadRequest, QuotaFailure and RetryInfo where they apply."""
    return status_pb2.Status.FromString(_status_bytes(_told(error)))


def refusal(error: MeshError) -> Refusal:
    """The error as gRPC sends it. The same error twice costs a look-up: a refusal must be cheaper than an answer."""
    return _refusal(_told(error))


def _told(error: MeshError) -> _Told:
    seconds = None if error.retry_after is None else _coarse(error.retry_after.total_seconds())
    message = INTERNAL_MESSAGE if error.kind is Kind.INTERNAL else error.message
    metadata = tuple(sorted(error.metadata.items()))
    return _Told(error.kind, error.reason, message, metadata, error.violations, error.quota_violations, seconds)


def _coarse(seconds: float) -> float:
    """Rounded up, so that a refusal which was built once serves for a while."""
    step = 1.0 if seconds >= 10 else 0.1 if seconds >= 1 else 0.01  # noqa: PLR2004
    return round(math.ceil(seconds / step - 1e-9) * step, 2)


@lru_cache(maxsize=2048)
def _refusal(told: _Told) -> Refusal:
    trailing: list[tuple[str, str | bytes]] = [("grpc-status-details-bin", _status_bytes(told))]
    if told.retry_after is not None:
        trailing.append(("retry-after", str(max(1, math.ceil(told.retry_after)))))
    return Refusal(grpc.StatusCode[told.kind.name], told.message, tuple(trailing))


@lru_cache(maxsize=2048)
def _status_bytes(told: _Told) -> bytes:
    status = status_pb2.Status(code=grpc.StatusCode[told.kind.name].value[0], message=told.message)
    _pack(status, error_details_pb2.ErrorInfo(reason=told.reason, domain=DOMAIN, metadata=dict(told.metadata)))
    if told.violations:
        listed = [
            error_details_pb2.BadRequest.FieldViolation(field=each.field, description=each.description)
            for each in told.violations
        ]
        _pack(status, error_details_pb2.BadRequest(field_violations=listed))
    if told.quota_violations:
        limits = [_quota_violation(each) for each in told.quota_violations]
        _pack(status, error_details_pb2.QuotaFailure(violations=limits))
    if told.retry_after is not None:
        info = error_details_pb2.RetryInfo()
        info.retry_delay.FromNanoseconds(int(told.retry_after * 1e9))
        _pack(status, info)
    encoded: bytes = status.SerializeToString(deterministic=True)
    return encoded


def _quota_violation(violation: QuotaViolation) -> error_details_pb2.QuotaFailure.Violation:
    told = error_details_pb2.QuotaFailure.Violation(subject=violation.subject, description=violation.description)
    # Older releases of googleapis-common-protos lack these; the metadata of ErrorInfo says the same.
    more = {"quota_metric": violation.metric, "quota_id": violation.id, "quota_value": violation.limit}
    for field, value in more.items():
        if field in told.DESCRIPTOR.fields_by_name:
            setattr(told, field, value)
    return told


def _pack(status: status_pb2.Status, detail: Message) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail, deterministic=True)
    status.details.append(packed)
