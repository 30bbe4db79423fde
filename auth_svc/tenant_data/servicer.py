"""TenantDataService: message in, use case, message out."""

from __future__ import annotations

from typing import Any

from tenantmesh.auth.v1 import tenant_data_service_pb2 as pb
from tenantmesh.auth.v1.tenant_data_service_pb2_grpc import TenantDataServiceServicer
from tenantmesh.auth_svc.tenant_data.mapping import counted, purged
from tenantmesh.auth_svc.tenant_data.tenant_data import TenantData
from tenantmesh.chassis.requests import refuse, required
from tenantmesh.interceptors.tenants import TenantId, parse_tenant_id

__all__ = ["TenantDataServicer"]

_Context = Any
_DEFAULT_ROWS = 1_000
_MOST_ROWS = 10_000


class TenantDataServicer(TenantDataServiceServicer):
    """Answers the methods of TenantDataService."""

    def __init__(self, data: TenantData) -> None:
        self._data = data

    async def CountTenantData(
        self, request: pb.CountTenantDataRequest, _context: _Context
    ) -> pb.CountTenantDataResponse:
        """Count a tenant's rows."""
        return counted(await self._data.count(_tenant(request.tenant_id)))

    async def PurgeTenantData(
        self, request: pb.PurgeTenantDataRequest, _context: _Context
    ) -> pb.PurgeTenantDataResponse:
        """Destroy some of a deleted tenant's rows."""
        wrong = not 0 <= request.max_rows <= _MOST_ROWS
        refuse({"max_rows": f"must be 0 to {_MOST_ROWS}" if wrong else None})
        removed, more = await self._data.purge(_tenant(request.tenant_id), request.max_rows or _DEFAULT_ROWS)
        return purged(removed, more=more)


def _tenant(text: str) -> TenantId:
    parsed = parse_tenant_id(text)
    refuse({"tenant_id": "must be a tenant's UUID" if parsed is None else None})
    return required(parsed)
