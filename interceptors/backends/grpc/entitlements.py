"""Entitlements, asked of tenant_svc over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from tenantmesh.interceptors.backends.grpc.answers import TIMEOUT, no_answer, unreachable, watch_failure
from tenantmesh.interceptors.entitlements import EntitlementChange, Entitlements, Feature, FeatureType
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.json_values import json_of
from tenantmesh.interceptors.limits import Rate
from tenantmesh.interceptors.tenants import TenantId, parse_tenant_id
from tenantmesh.tenant.v1 import entitlement_pb2, plan_pb2
from tenantmesh.tenant.v1 import entitlement_service_pb2 as entitlements_pb2

__all__ = ["GrpcEntitlementSource", "read_entitlements"]

_TYPES = {plan_pb2.FeatureType.Value(f"FEATURE_TYPE_{type_.value}"): type_ for type_ in FeatureType}


class GrpcEntitlementSource:
    """EntitlementSource over tenant_svc. `stub` returns a stub of EntitlementService on the running loop."""

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
            raise no_answer(error, "tenant_svc", _unavailable()) from error
        return read_entitlements(found)

    async def watch(self, cursor: str | None) -> AsyncIterator[EntitlementChange]:
        """As `EntitlementSource.watch`."""
        request = entitlements_pb2.WatchEntitlementsRequest()
        if cursor is not None:
            request.cursor = cursor
        try:
            async for message in self._stub().WatchEntitlements(request):
                if message.WhichOneof("event") == "error":
                    raise watch_failure(message.error.code, _unavailable())
                yield _change(message)
        except grpc.aio.AioRpcError as error:
            raise watch_failure(error.code().value[0], no_answer(error, "tenant_svc", _unavailable())) from error


def _unavailable() -> Unavailable:
    return Unavailable("ENTITLEMENTS_UNAVAILABLE", unreachable("tenant_svc"), metadata={"service": "tenant_svc"})


def _change(message: entitlements_pb2.WatchEntitlementsResponse) -> EntitlementChange:
    if not message.HasField("result"):
        return EntitlementChange(message.cursor, caught_up=message.checkpoint.caught_up)
    tenant_id = parse_tenant_id(message.result.tenant_id) if message.result.tenant_id else None
    # A tenant id that this version can't read may be anybody's.
    return EntitlementChange(message.cursor, tenant_id, everybody=tenant_id is None)


def read_entitlements(message: entitlement_pb2.Entitlements) -> Entitlements:
    """Return the entitlements in the message. Raises Unavailable for a message that this version can't read."""
    tenant_id = parse_tenant_id(message.tenant_id)
    if tenant_id is None:
        raise _unavailable()
    return Entitlements(
        tenant_id=tenant_id,
        plan_id=message.plan_id,
        plan_version=message.plan_version,
        revision=message.revision,
        features={each.feature: read for each in message.entitlements if (read := _feature(each)) is not None},
        rates={each.rate_class: Rate(each.per_second, each.burst) for each in message.rates if each.burst > 0},
        over_limit=tuple(message.over_limit),
        read_only=message.read_only,
        valid_for=message.valid_for.ToTimedelta() if message.HasField("valid_for") else None,
    )


def _feature(message: entitlement_pb2.Entitlement) -> Feature | None:
    """Return the feature; None for a type that this version does not know, since no code here can ask for it."""
    type_, value = _TYPES.get(message.type), message.value
    if type_ is None:
        return None
    limit = None if value.unlimited else value.limit
    return Feature(
        id=message.feature,
        type=type_,
        enabled=message.enabled,
        limit=limit,
        value=json_of(value.static),
        available_in=tuple(message.available_in),
        available_in_more=message.available_in_more,
    )
