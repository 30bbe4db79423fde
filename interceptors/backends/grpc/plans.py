"""What tenant_svc says about plans, answered over gRPC: the sources of `mesh.Mesh` for entitlements and allowances."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from tenantmesh.interceptors.entitlements import EntitlementChange, Entitlements, Feature, FeatureType
from tenantmesh.interceptors.errors import (
    FailedPrecondition,
    Internal,
    MeshError,
    NotFound,
    OutOfRange,
    PermissionDenied,
    Unavailable,
)
from tenantmesh.interceptors.json_values import json_of
from tenantmesh.interceptors.limits import Rate, StoreUnavailable
from tenantmesh.interceptors.quotas import Ask, Slice
from tenantmesh.interceptors.tenants import TenantId, parse_tenant_id
from tenantmesh.tenant.v1 import entitlement_pb2, plan_pb2
from tenantmesh.tenant.v1 import entitlement_service_pb2 as entitlements_pb2
from tenantmesh.tenant.v1 import quota_service_pb2 as quotas_pb2

__all__ = ["GrpcEntitlementSource", "GrpcQuotaLedger", "read_entitlements"]

_NO_ANSWER = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
}
_OF_THE_TENANT: dict[grpc.StatusCode, type[MeshError]] = {
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
}

TIMEOUT = 2.0
"""Seconds that a look-up may take: a miss waits for it, also for a service that is just starting."""
LEASE_TIMEOUT = 1.0
"""Seconds that a lease may take. It is not asked again: what has no answer is forfeited."""

_TYPES = {plan_pb2.FeatureType.Value(f"FEATURE_TYPE_{type_.value}"): type_ for type_ in FeatureType}


class GrpcEntitlementSource:
    """Entitlements as tenant_svc knows them."""

    def __init__(self, stub: Callable[[], Any]) -> None:
        self._stub = stub

    async def find(self, tenant_id: TenantId) -> Entitlements | None:
        """As `EntitlementSource.find`."""
        request = entitlements_pb2.GetEntitlementsRequest(
            id=str(tenant_id), view=entitlements_pb2.ENTITLEMENT_VIEW_BASIC
        )
        try:
            found = await self._stub().GetEntitlements(request, timeout=TIMEOUT, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise _unreachable() from error
        return read_entitlements(found)

    async def watch(self, cursor: str | None) -> AsyncIterator[EntitlementChange]:
        """As `EntitlementSource.watch`."""
        request = entitlements_pb2.WatchEntitlementsRequest()
        if cursor is not None:
            request.cursor = cursor
        try:
            async for message in self._stub().WatchEntitlements(request):
                if message.WhichOneof("event") == "error":
                    _raise_event(message.error.code)
                yield _change(message)
        except grpc.aio.AioRpcError as error:
            _raise_event(error.code().value[0], error)


def _change(message: entitlements_pb2.WatchEntitlementsResponse) -> EntitlementChange:
    if not message.HasField("result"):
        return EntitlementChange(message.cursor, caught_up=message.checkpoint.caught_up)
    tenant_id = parse_tenant_id(message.result.tenant_id) if message.result.tenant_id else None
    # What can't be read may concern anybody.
    return EntitlementChange(message.cursor, tenant_id, everybody=tenant_id is None)


def _raise_event(code: int, cause: Exception | None = None) -> None:
    if code == grpc.StatusCode.OUT_OF_RANGE.value[0]:
        raise OutOfRange("CURSOR_EXPIRED", "the watch's cursor has expired") from cause
    raise _unreachable() from cause


def _unreachable() -> Unavailable:
    return Unavailable(
        "ENTITLEMENTS_UNAVAILABLE",
        "tenant_svc can't be asked right now. Retry with backoff.",
        metadata={"service": "tenant_svc"},
    )


def read_entitlements(found: entitlement_pb2.Entitlements) -> Entitlements:
    """The message as the chain sees it. Raises Unavailable for one that this version can't read."""
    tenant_id = parse_tenant_id(found.tenant_id)
    if tenant_id is None:
        raise _unreachable()
    return Entitlements(
        tenant_id=tenant_id,
        plan_id=found.plan_id,
        plan_version=found.plan_version,
        revision=found.revision,
        features={each.feature: read for each in found.entitlements if (read := _feature(each)) is not None},
        rates={each.rate_class: Rate(each.per_second, each.burst) for each in found.rates if each.burst > 0},
        over_limit=tuple(found.over_limit),
        read_only=found.read_only,
        valid_for=found.valid_for.ToTimedelta() if found.HasField("valid_for") else None,
    )


def _feature(found: entitlement_pb2.Entitlement) -> Feature | None:
    """None for a type that this version does not know: nobody can have asked for it here."""
    type_, value = _TYPES.get(found.type), found.value
    if type_ is None:
        return None
    limit = None if value.unlimited else value.limit
    return Feature(found.feature, type_, found.enabled, limit, json_of(value.static), tuple(found.available_in))


class GrpcQuotaLedger:
    """The ledger of allowances that tenant_svc keeps."""

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
            raise _ledger_failure(error) from error
        return [_slice(each) for each in answer.slices]

    async def give_back(self, tenant_id: TenantId, meter: str, amount: int, period_start: datetime) -> None:
        """As `QuotaLedger.give_back`."""
        request = quotas_pb2.ReturnRequest(id=str(tenant_id), meter=meter, amount=amount)
        request.period_start.FromDatetime(period_start)
        try:
            await self._stub().Return(request, timeout=LEASE_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            raise _ledger_failure(error) from error


def _slice(found: quotas_pb2.LeaseSlice) -> Slice:
    return Slice(
        meter=found.meter,
        granted=found.granted,
        left=found.left,
        limit=None if found.unlimited else found.limit,
        period_start=found.period_start.ToDatetime(tzinfo=UTC),
        ends_in=found.ends_in.ToTimedelta() if found.HasField("ends_in") else timedelta(),
    )


def _ledger_failure(error: grpc.aio.AioRpcError) -> Exception:
    """What tenant_svc says of the tenant or the meter, for whoever asked; an answer that is missing; or else something
    that only this process can have done wrong, such as a key that may not lease."""
    code, reason = error.code(), _reason(error)
    if code in _NO_ANSWER:
        return StoreUnavailable(f"the ledger of allowances answered {code.name}")
    refusal = _OF_THE_TENANT.get(code)
    if refusal is not None and reason.startswith(("TENANT_", "FEATURE_")):
        return refusal(reason, error.details() or "")
    return Internal("INTERNAL", f"the ledger of allowances answered {code.name} {reason}: {error.details()}")


def _reason(error: grpc.aio.AioRpcError) -> str:
    """The reason of the rich status that came with the error, or nothing."""
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    info = error_details_pb2.ErrorInfo()
    for detail in status_pb2.Status.FromString(details if isinstance(details, bytes) else b"").details:
        if detail.Unpack(info):
            break
    reason: str = info.reason
    return reason
