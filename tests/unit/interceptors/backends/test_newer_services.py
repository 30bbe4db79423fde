"""Answers of services that are newer than this library."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

from tenantmesh.auth.v1 import token_service_pb2 as tokens_pb2
from tenantmesh.interceptors import TenantState
from tenantmesh.interceptors.backends.grpc.credentials import GrpcApiKeyVerifier
from tenantmesh.interceptors.backends.grpc.tenants import GrpcTenantSource
from tenantmesh.policy.v1 import policy_pb2
from tenantmesh.tenant.v1 import tenant_pb2, tenant_service_pb2


class TenantsOfTomorrow:
    """tenant_svc of a version that knows a state which this one does not."""

    def __init__(self) -> None:
        unknown: Any = max(tenant_pb2.TenantState.values()) + 1
        self.tenant = tenant_pb2.Tenant(id=str(uuid.uuid4()), slug="acme", state=unknown, plan_id="basic")

    async def ResolveTenant(self, _request: Any, **_options: Any) -> tenant_pb2.Tenant:
        return self.tenant

    async def WatchTenants(self, _request: Any) -> AsyncIterator[tenant_service_pb2.WatchTenantsResponse]:
        result = tenant_service_pb2.TenantEvent(tenant=self.tenant)
        yield tenant_service_pb2.WatchTenantsResponse(result=result, cursor="1")


class KeysOfTomorrow:
    """auth_svc of a version that knows a kind of caller which this one does not."""

    async def IntrospectToken(self, _request: Any, **_options: Any) -> tokens_pb2.IntrospectTokenResponse:
        unknown: Any = max(policy_pb2.Audience.values()) + 1
        return tokens_pb2.IntrospectTokenResponse(active=True, audience=unknown, sub="a robot")


async def test_a_key_of_a_kind_from_the_future_is_not_valid_here() -> None:
    assert await GrpcApiKeyVerifier(KeysOfTomorrow).verify("tmk_x") is None


async def test_a_tenant_in_a_state_from_the_future_is_not_served_and_breaks_no_watch() -> None:
    source = GrpcTenantSource(TenantsOfTomorrow)
    found = await source.by_name("acme")
    assert found is not None
    assert found.state is TenantState.SUSPENDED
    (change,) = [change async for change in source.watch(None)]
    assert change.record is not None
