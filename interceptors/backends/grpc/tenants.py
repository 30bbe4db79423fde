"""Tenants, asked of tenant_svc over gRPC."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from tenantmesh.interceptors.backends.grpc.answers import TIMEOUT, no_answer, unreachable, watch_failure
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.tenants import TenantChange, TenantRecord, TenantState, parse_tenant_id
from tenantmesh.tenant.v1 import tenant_pb2
from tenantmesh.tenant.v1 import tenant_service_pb2 as tenants_pb2

__all__ = ["GrpcTenantSource"]

_UNAVAILABLE = "TENANT_DIRECTORY_UNAVAILABLE"
_STATES = {tenant_pb2.TenantState.Value(f"TENANT_STATE_{state.value}"): state for state in TenantState}


class GrpcTenantSource:
    """TenantSource over tenant_svc. `stub` returns a stub of TenantService on the running loop."""

    def __init__(self, stub: Callable[[], Any]) -> None:
        self._stub = stub

    async def by_id(self, tenant_id: uuid.UUID) -> TenantRecord | None:
        """As `TenantSource.by_id`."""
        return await self._resolve(tenants_pb2.ResolveTenantRequest(tenant_id=str(tenant_id)))

    async def by_name(self, name: str) -> TenantRecord | None:
        """As `TenantSource.by_name`."""
        host = "." in name
        request = tenants_pb2.ResolveTenantRequest(host=name) if host else tenants_pb2.ResolveTenantRequest(slug=name)
        return await self._resolve(request)

    async def _resolve(self, request: tenants_pb2.ResolveTenantRequest) -> TenantRecord | None:
        try:
            return _record(await self._stub().ResolveTenant(request, timeout=TIMEOUT, wait_for_ready=True))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise no_answer(error, "tenant_svc", _unavailable()) from error

    async def watch(self, cursor: str | None) -> AsyncIterator[TenantChange]:
        """As `TenantSource.watch`."""
        request = tenants_pb2.WatchTenantsRequest()
        if cursor is not None:
            request.cursor = cursor
        try:
            async for message in self._stub().WatchTenants(request):
                if message.WhichOneof("event") == "error":
                    ended = Unavailable(_UNAVAILABLE, "tenant_svc ended the watch")
                    raise watch_failure(message.error.code, ended)
                record = _record(message.result.tenant) if message.HasField("result") else None
                yield TenantChange(message.cursor, record, caught_up=message.checkpoint.caught_up)
        except grpc.aio.AioRpcError as error:
            raise watch_failure(error.code().value[0], no_answer(error, "tenant_svc", _unavailable())) from error


def _unavailable() -> Unavailable:
    return Unavailable(_UNAVAILABLE, unreachable("tenant_svc"), metadata={"service": "tenant_svc"})


def _record(tenant: tenant_pb2.Tenant) -> TenantRecord:
    tenant_id = parse_tenant_id(tenant.id)
    if tenant_id is None:
        raise Unavailable(_UNAVAILABLE, "tenant_svc returned a tenant that this version can't parse")
    # A state that this version does not know is at least not ACTIVE.
    state = _STATES.get(tenant.state, TenantState.SUSPENDED)
    names = frozenset((*(former.slug for former in tenant.former_slugs), *tenant.login_hosts))
    return TenantRecord(tenant_id, tenant.slug, state, tenant.plan_id, names)
