"""The one module that knows status codes: it maps MeshError to google.rpc.Status (AIP-193)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from tenantmesh.interceptors.errors import FieldViolation, Kind, MeshError, QuotaViolation

__all__ = ["Refusal", "refusal", "to_status"]

INTERNAL_MESSAGE = "Something failed on our side. Retry later; if it lasts, report the x-request-id of this answer."


STEPS = ((10.0, 1.0), (1.0, 0.1), (-math.inf, 0.01))
"""From how many seconds on a time is rounded up to which step."""


class Refusal(NamedTuple):
    """A refusal on the wire: the code, the message, and the trailing metadata that carries the details."""

    code: grpc.StatusCode
    message: str
    metadata: tuple[tuple[str, str | bytes], ...]


class _Wire(NamedTuple):
    """The parts of an error that go on the wire."""

    kind: Kind
    domain: str
    reason: str
    message: str
    metadata: tuple[tuple[str, str], ...]
    violations: tuple[FieldViolation, ...]
    quota_violations: tuple[QuotaViolation, ...]
    retry_after: float | None


def to_status(error: MeshError) -> status_pb2.Status:
    """Return the error as a google.rpc.Status: ErrorInfo; BadRequest, QuotaFailure and RetryInfo where they apply."""
    return status_pb2.Status.FromString(_status_bytes(_wire_of(error)))


def refusal(error: MeshError) -> Refusal:
    """Return the error as gRPC sends it. Results are cached: a refusal must be cheaper than an answer."""
    return _refusal(_wire_of(error))


def _wire_of(error: MeshError) -> _Wire:
    seconds = None if error.retry_after is None else _coarse(error.retry_after.total_seconds())
    message = INTERNAL_MESSAGE if error.kind is Kind.INTERNAL else error.message
    metadata = tuple(sorted(error.metadata.items()))
    return _Wire(
        error.kind, error.domain, error.reason, message, metadata, error.violations, error.quota_violations, seconds
    )


def _coarse(seconds: float) -> float:
    """Round up, so that a cached refusal serves for a while."""
    step = next(step for least, step in STEPS if seconds >= least)
    return round(math.ceil(seconds / step - 1e-9) * step, 2)


@lru_cache(maxsize=2048)
def _refusal(wire: _Wire) -> Refusal:
    trailing: list[tuple[str, str | bytes]] = [("grpc-status-details-bin", _status_bytes(wire))]
    if wire.retry_after is not None:
        trailing.append(("retry-after", str(max(1, math.ceil(wire.retry_after)))))
    return Refusal(grpc.StatusCode[wire.kind.name], wire.message, tuple(trailing))


@lru_cache(maxsize=2048)
def _status_bytes(wire: _Wire) -> bytes:
    status = status_pb2.Status(code=grpc.StatusCode[wire.kind.name].value[0], message=wire.message)
    _pack(status, error_details_pb2.ErrorInfo(reason=wire.reason, domain=wire.domain, metadata=dict(wire.metadata)))
    if wire.violations:
        listed = [
            error_details_pb2.BadRequest.FieldViolation(field=violation.field, description=violation.description)
            for violation in wire.violations
        ]
        _pack(status, error_details_pb2.BadRequest(field_violations=listed))
    if wire.quota_violations:
        limits = [_quota_violation(violation) for violation in wire.quota_violations]
        _pack(status, error_details_pb2.QuotaFailure(violations=limits))
    if wire.retry_after is not None:
        info = error_details_pb2.RetryInfo()
        info.retry_delay.FromNanoseconds(int(wire.retry_after * 1e9))
        _pack(status, info)
    encoded: bytes = status.SerializeToString(deterministic=True)
    return encoded


def _quota_violation(violation: QuotaViolation) -> error_details_pb2.QuotaFailure.Violation:
    message = error_details_pb2.QuotaFailure.Violation(subject=violation.subject, description=violation.description)
    # Older releases of googleapis-common-protos lack these; the metadata of ErrorInfo says the same.
    more = {"quota_metric": violation.metric, "quota_id": violation.id, "quota_value": violation.limit}
    for field, value in more.items():
        if field in message.DESCRIPTOR.fields_by_name:
            setattr(message, field, value)
    return message


def _pack(status: status_pb2.Status, detail: Message) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail, deterministic=True)
    status.details.append(packed)
