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
_LATER = {"TENANT_SUSPENDED", "TENANT_NOT_FOUND"}
"""A deleted tenant may be brought back, and needs its levels then. Those of a purged one are destroyed."""


class GrpcGaugeReports:
    """As Recipient: tenant_svc. Owns the channel and closes it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._stub: Any = QuotaServiceStub(channel)

    async def send(self, row: GaugeLevel) -> None:
        """Report the level. Raises PermissionDenied for a tenant that is not served now."""
        request = pb.ReportGaugeRequest(id=str(row.tenant_id), gauge=row.gauge, level=row.level, version=row.version)
        try:
            await self._stub.ReportGauge(request, timeout=_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            reason = reason_of(error)
            if reason in _LATER:
                raise PermissionDenied(reason, "The tenant is not served.") from error
            if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:  # of this tenant: the others' levels go on
                raise ResourceExhausted(reason, "tenant_svc has too much to do for the tenant.") from error
            refused = f"tenant_svc refused to store a level: {error.code().name} {reason}"
            raise no_answer(error, "tenant_svc", Unavailable("QUOTA_UNAVAILABLE", refused)) from error

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()
