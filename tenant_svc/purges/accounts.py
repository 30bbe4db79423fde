"""auth_svc, asked over gRPC to count and to destroy what it holds of a tenant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import grpc

from tenantmesh.auth.v1 import tenant_data_service_pb2 as pb
from tenantmesh.auth.v1.tenant_data_service_pb2_grpc import TenantDataServiceStub
from tenantmesh.interceptors.backends.grpc.answers import no_answer, reason_of, unreachable
from tenantmesh.interceptors.errors import FailedPrecondition, Unavailable
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.purges.refusals import not_deleted

__all__ = ["AccountCounts", "GrpcTenantAccounts", "TenantAccounts"]

_TIMEOUT = 30.0
_SERVED = "TENANT_SERVED"


@dataclass(frozen=True, slots=True)
class AccountCounts:
    """The rows of a tenant in auth_svc by table, its sessions that have not ended, and its passwords."""

    rows: Mapping[str, int]
    sessions: int
    passwords: int


class TenantAccounts(Protocol):
    """The service that holds users and credentials. Both methods raise Unavailable while it can't be asked."""

    async def count(self, tenant_id: TenantId) -> AccountCounts:
        """Must count what there is of the tenant, in every table."""
        ...

    async def purge(self, tenant_id: TenantId, most: int) -> tuple[int, bool]:
        """Must destroy up to `most` rows of the tenant. Must return how many, and whether there may be more.

        Must raise FailedPrecondition `TENANT_NOT_DELETED` for a tenant that is served.
        """
        ...


class GrpcTenantAccounts:
    """TenantAccounts over TenantDataService. `connect` opens the channel, on first use."""

    def __init__(self, connect: Callable[[], grpc.aio.Channel]) -> None:
        self._connect = connect
        self._channel: grpc.aio.Channel | None = None

    async def count(self, tenant_id: TenantId) -> AccountCounts:
        """As `TenantAccounts.count`."""
        answer = await self._asked("CountTenantData", pb.CountTenantDataRequest(tenant_id=str(tenant_id)))
        return AccountCounts({each.table: each.rows for each in answer.tables}, answer.sessions, answer.passwords)

    async def purge(self, tenant_id: TenantId, most: int) -> tuple[int, bool]:
        """As `TenantAccounts.purge`."""
        answer = await self._asked(
            "PurgeTenantData", pb.PurgeTenantDataRequest(tenant_id=str(tenant_id), max_rows=most)
        )
        return sum(each.rows for each in answer.removed), answer.more

    async def close(self) -> None:
        """Close the channel."""
        if self._channel is not None:
            await self._channel.close()

    async def _asked(self, method: str, request: Any) -> Any:
        if self._channel is None:
            self._channel = self._connect()
        stub: Any = TenantDataServiceStub(self._channel)
        try:
            return await getattr(stub, method)(request, timeout=_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            if reason_of(error) == _SERVED:
                raise not_deleted() from error
            if error.code() is grpc.StatusCode.FAILED_PRECONDITION:  # auth_svc says what its operator must do
                raise FailedPrecondition(reason_of(error), error.details() or "") from error
            raise no_answer(
                error, "auth_svc", Unavailable("CREDENTIALS_UNVERIFIABLE", unreachable("auth_svc"))
            ) from error
