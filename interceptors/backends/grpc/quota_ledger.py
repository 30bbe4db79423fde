"""The ledger of allowances, asked of tenant_svc over gRPC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc

from tenantmesh.interceptors.backends.grpc.answers import log_refused_key, reason_of
from tenantmesh.interceptors.errors import FailedPrecondition, Internal, MeshError, NotFound, PermissionDenied
from tenantmesh.interceptors.limits import StoreUnavailable
from tenantmesh.interceptors.quotas import Ask, Slice
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant.v1 import quota_service_pb2 as quotas_pb2

__all__ = ["GrpcQuotaLedger"]

LEASE_TIMEOUT = 1.0
"""Seconds that a lease may take. It is not repeated: units without an answer are forfeited."""

_NO_ANSWER = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
}
_BUSY = "DATABASE_BUSY"
"""tenant_svc has no connection for the tenant: nothing was leased, and it may be in a moment."""
_REFUSALS: dict[grpc.StatusCode, type[MeshError]] = {
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
}


class GrpcQuotaLedger:
    """QuotaLedger over tenant_svc. `stub` returns a stub of QuotaService on the running loop."""

    def __init__(self, stub: Callable[[], Any]) -> None:
        self._stub = stub

    async def lease(self, tenant_id: TenantId, asks: Sequence[Ask]) -> Sequence[Slice]:
        """As `QuotaLedger.lease`."""
        request = quotas_pb2.LeaseRequest(
            id=str(tenant_id),
            asks=[quotas_pb2.LeaseAsk(meter=ask.meter, want=ask.want, need=ask.need) for ask in asks],
        )
        try:
            answer = await self._stub().Lease(request, timeout=LEASE_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            raise _failure(error) from error
        return [_slice(message) for message in answer.slices]

    async def give_back(self, tenant_id: TenantId, meter: str, amount: int, period_start: datetime) -> None:
        """As `QuotaLedger.give_back`."""
        request = quotas_pb2.ReturnRequest(id=str(tenant_id), meter=meter, amount=amount)
        request.period_start.FromDatetime(period_start)
        try:
            await self._stub().Return(request, timeout=LEASE_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            raise _failure(error) from error


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
    """Return StoreUnavailable for a missing answer, and the refusal itself if it concerns the tenant or the meter. Any
    other answer is Internal, a mistake of this process, such as a key without the permission to lease."""
    code, reason = error.code(), reason_of(error)
    if code in _NO_ANSWER or reason == _BUSY:
        return StoreUnavailable(f"the ledger of allowances answered {code.name}")
    refusal = _REFUSALS.get(code)
    if refusal is not None and reason.startswith(("TENANT_", "FEATURE_")):
        return refusal(reason, error.details() or "")
    log_refused_key(error, "tenant_svc")
    return Internal("INTERNAL", f"the ledger of allowances answered {code.name} {reason}: {error.details()}")
