"""Levels for tenant_svc, over gRPC."""

from __future__ import annotations

from typing import Any

import grpc

from tenantmesh.auth_svc.gauges.gauge import Level
from tenantmesh.interceptors.backends.grpc.answers import reason_of
from tenantmesh.interceptors.errors import PermissionDenied, Unavailable
from tenantmesh.tenant.v1 import quota_service_pb2 as pb
from tenantmesh.tenant.v1.quota_service_pb2_grpc import QuotaServiceStub

__all__ = ["GrpcReports"]

_TIMEOUT = 5.0
_GONE = "TENANT_NOT_FOUND"
_LATER = "TENANT_SUSPENDED"


class GrpcReports:
    """As Reports. Closes its channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._stub: Any = QuotaServiceStub(channel)

    async def report(self, level: Level) -> None:
        """Says where the level stands. Levels of tenants that are gone matter to nobody."""
        request = pb.ReportGaugeRequest(
            id=str(level.tenant_id), gauge=level.gauge, level=level.level, version=level.version
        )
        try:
            await self._stub.ReportGauge(request, timeout=_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            reason = reason_of(error)
            if reason == _LATER:
                raise PermissionDenied(_LATER, "The tenant is suspended.") from error
            if reason != _GONE:
                raise Unavailable(
                    "QUOTA_UNAVAILABLE", f"tenant_svc takes no levels: {error.code().name} {reason}"
                ) from error

    async def close(self) -> None:
        """Closes the channel."""
        await self._channel.close()
