"""Sends gauge levels to tenant_svc over gRPC."""

from __future__ import annotations

from typing import Any

import grpc

from tenantmesh.auth_svc.gauges.gauge import GaugeLevel
from tenantmesh.interceptors.backends.grpc.answers import no_answer, reason_of
from tenantmesh.interceptors.errors import PermissionDenied, ResourceExhausted, Unavailable
from tenantmesh.tenant.v1 import quota_service_pb2 as pb
from tenantmesh.tenant.v1.quota_service_pb2_grpc import QuotaServiceStub

__all__ = ["GrpcGaugeReports"]

_TIMEOUT = 5.0
_GONE = "TENANT_NOT_FOUND"
_LATER = "TENANT_SUSPENDED"


class GrpcGaugeReports:
    """As Recipient: tenant_svc. Owns the channel and closes it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._stub: Any = QuotaServiceStub(channel)

    async def send(self, row: GaugeLevel) -> None:
        """Report the level. Returns without an error for a tenant that is gone: its level is of no use."""
        request = pb.ReportGaugeRequest(id=str(row.tenant_id), gauge=row.gauge, level=row.level, version=row.version)
        try:
            await self._stub.ReportGauge(request, timeout=_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            reason = reason_of(error)
            if reason == _LATER:
                raise PermissionDenied(_LATER, "The tenant is suspended.") from error
            if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:  # of this tenant: the others' levels go on
                raise ResourceExhausted(reason, "tenant_svc has too much to do for the tenant.") from error
            if reason != _GONE:
                refused = f"tenant_svc refused to store a level: {error.code().name} {reason}"
                raise no_answer(error, "tenant_svc", Unavailable("QUOTA_UNAVAILABLE", refused)) from error

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()
