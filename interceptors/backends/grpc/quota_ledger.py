"""The ledger of allowances, asked of tenant_svc over gRPC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc

from tenantmesh.interceptors.backends.grpc.answers import key_refused, reason_of
from tenantmesh.interceptors.errors import FailedPrecondition, Internal, MeshError, NotFound, PermissionDenied
from tenantmesh.interceptors.limits import StoreAway, StoreUnavailable
from tenantmesh.interceptors.quotas import Ask, Slice
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant.v1 import quota_service_pb2 as quotas_pb2

__all__ = ["GrpcQuotaLedger", "health_of"]

LEASE_TIMEOUT = 1.0
"""Seconds that a lease may take. It is not repeated: units without an answer are forfeited."""
HEALTH_TIMEOUT = 1.0

_HEALTH = "/grpc.health.v1.Health/Check"
_SERVICE = quotas_pb2.DESCRIPTOR.services_by_name["QuotaService"].full_name.encode()
_OF_LEDGER = bytes((10, len(_SERVICE))) + _SERVICE
"""A HealthCheckRequest with the service's name, whose package the library does not need otherwise."""
_SERVING = b"\x08\x01"

_NO_ANSWER = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.RESOURCE_EXHAUSTED,  # tenant_svc has no place or no connection for the question
}
_OTHER_METER = "METER_NOT_ALLOWED"
_REFUSALS: dict[grpc.StatusCode, type[MeshError]] = {
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
}


def health_of(channel: grpc.aio.Channel) -> Any:
    """Return the method of the channel that asks for the health of a service: bytes in, bytes out."""
    return channel.unary_unary(_HEALTH)


class GrpcQuotaLedger:
    """QuotaLedger over tenant_svc. `stub` returns a stub of QuotaService on the running loop, `health` what
    `health_of` returns for its channel."""

    def __init__(self, stub: Callable[[], Any], health: Callable[[], Any]) -> None:
        self._stub = stub
        self._health = health

    async def answers(self) -> bool:
        """As `QuotaLedger.answers`: ask tenant_svc for the health of its ledger."""
        try:
            return bool(await self._health()(_OF_LEDGER, timeout=HEALTH_TIMEOUT) == _SERVING)
        except grpc.aio.AioRpcError as error:
            return error.code() not in _NO_ANSWER

    async def lease(self, tenant_id: TenantId, asks: Sequence[Ask], account: str = "") -> Sequence[Slice]:
        """As `QuotaLedger.lease`."""
        request = quotas_pb2.LeaseRequest(
            id=str(tenant_id),
            asks=[quotas_pb2.LeaseAsk(meter=ask.meter, want=ask.want, need=ask.need) for ask in asks],
            account=account,
        )
        try:
            answer = await self._stub().Lease(request, timeout=LEASE_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            raise _failure(error) from error
        return [_slice(message) for message in answer.slices]

    async def give_back(
        self, tenant_id: TenantId, meter: str, amount: int, period_start: datetime, accounts: Sequence[str] = ("",)
    ) -> int:
        """As `QuotaLedger.give_back`."""
        request = quotas_pb2.ReturnRequest(id=str(tenant_id), meter=meter, amount=amount, accounts=accounts)
        request.period_start.FromDatetime(period_start)
        try:
            answer = await self._stub().Return(request, timeout=LEASE_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            raise _failure(error) from error
        return int(answer.returned)


def _slice(message: quotas_pb2.LeaseSlice) -> Slice:
    return Slice(
        meter=message.meter,
        granted=message.granted,
        left=message.left,
        limit=None if message.unlimited else message.limit,
        period_start=message.period_start.ToDatetime(tzinfo=UTC),
        ends_in=message.ends_in.ToTimedelta() if message.HasField("ends_in") else timedelta(),
    )


def _failure(error: grpc.aio.AioRpcError) -> Exception:
    """Return StoreUnavailable for a missing answer, and the refusal itself if it concerns the tenant, the meter or the
    lease.

    A refused key is StoreAway: nobody's units can be leased with it. One that does not name the meter is refused for
    that meter only. Any other answer is Internal, a mistake of this process.
    """
    code, reason = error.code(), reason_of(error)
    if code in _NO_ANSWER:
        return StoreUnavailable(f"the ledger of allowances answered {code.name}")
    refusal = _REFUSALS.get(code)
    if refusal is not None and reason.startswith(("TENANT_", "FEATURE_", "LEASE_")):
        return refusal(reason, error.details() or "")
    told = key_refused(error, "tenant_svc")
    if told is not None and reason == _OTHER_METER:
        return told
    if told is not None:
        return StoreAway(f"the ledger of allowances refuses this service's key: {reason}", told)
    return Internal("INTERNAL", f"the ledger of allowances answered {code.name} {reason}: {error.details()}")
