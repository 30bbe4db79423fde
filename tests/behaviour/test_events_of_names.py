"""Those who follow the tenants read what happens to a name: that it is proven, lost, and another tenant's."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import pytest
from google.protobuf import json_format

from tenantmesh.interceptors.client import Credential, channel
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tenantmesh.tenant.v1.tenant_service_pb2_grpc import TenantServiceStub
from tests.behaviour.test_login_hosts import of_operator, until, unused
from tests.dns_server import NameServer
from tests.fixtures.mesh import EMAIL_DOMAINS, LOGIN_HOSTS, Mesh, Tenant, World
from tests.transports import RestTransport, Transport

SECONDS = 30
Messages = AsyncGenerator[dict[str, Any], None]


async def over_grpc(mesh: Mesh, cursor: str) -> Messages:
    async with channel(mesh.tenant_target, credential=Credential(mesh.operator_key)) as opened:
        stub: Any = TenantServiceStub(opened)
        request = pb.WatchTenantsRequest(cursor=cursor) if cursor else pb.WatchTenantsRequest()
        async for message in stub.WatchTenants(request):
            yield json_format.MessageToDict(message)


async def over_rest(mesh: Mesh, cursor: str) -> Messages:
    connection = http.client.HTTPConnection(mesh.edge_target, timeout=SECONDS)
    headers = {"authorization": f"Bearer {mesh.operator_key}", "accept": "application/x-ndjson"}
    path = f"/api/v1/tenants:watch?cursor={cursor}" if cursor else "/api/v1/tenants:watch"
    await asyncio.to_thread(connection.request, "GET", path, headers=headers)
    answer = await asyncio.to_thread(connection.getresponse)
    try:
        while line := await asyncio.to_thread(answer.readline):
            yield json.loads(line)
    finally:
        connection.close()


class Follower:
    """Reads the events after a moment, as often as it is asked."""

    def __init__(self, follow: Callable[[Mesh, str], Messages], mesh: Mesh) -> None:
        self._follow, self._mesh, self._cursor = follow, mesh, ""

    async def begin(self) -> None:
        async with aclosing(self._follow(self._mesh, "")) as stream:
            self._cursor = (await anext(stream))["cursor"]

    async def of(self, tenant: Tenant) -> list[dict[str, Any]]:
        """The tenant's events, up to now."""
        found = []
        async with asyncio.timeout(SECONDS), aclosing(self._follow(self._mesh, self._cursor)) as stream:
            async for message in stream:
                if message.get("checkpoint", {}).get("caughtUp"):
                    break
                event = message.get("result")
                if event and event["tenant"]["id"] == tenant.id:
                    found.append(event)
        return found

    async def names(self, tenant: Tenant) -> list[tuple[str, str, str, str]]:
        """The tenant's events about names, each as type, name, state and reason."""
        return [told(event) for event in await self.of(tenant) if "nameChange" in event]


def told(event: dict[str, Any]) -> tuple[str, str, str, str]:
    change = event["nameChange"]
    state = change["proof"]["state"].removeprefix("PROOF_STATE_")
    reason = change["proof"]["reason"].removeprefix("PROOF_REASON_")
    return event["type"].removeprefix("TENANT_EVENT_TYPE_"), change["name"], state, reason


@pytest.fixture
async def follower(mesh: Mesh, transport: Transport) -> Follower:
    """One who follows as the story is told: over gRPC or over REST."""
    made = Follower(over_rest if isinstance(transport, RestTransport) else over_grpc, mesh)
    await made.begin()
    return made


@pytest.mark.parametrize(
    ("service", "event"), [(LOGIN_HOSTS, "LOGIN_HOST_CHANGED"), (EMAIL_DOMAINS, "EMAIL_DOMAIN_CHANGED")]
)
async def test_the_tenant_that_loses_a_name_is_told_and_the_one_that_gets_it(
    follower: Follower, mesh: Mesh, transport: Transport, world: World, zone: NameServer, service: str, event: str
) -> None:
    name, loser, winner = unused(), await world.tenant("acme"), await world.tenant("globex")
    acme, globex = (of_operator(transport, mesh, tenant, service) for tenant in (loser, winner))
    await acme.verified(zone, name)
    zone.remove(f"_tenantmesh.{name}")
    await acme.reaches(name, "LAPSED")
    await globex.verified(zone, name)

    async def all_told() -> bool:
        return len(await follower.names(loser)) == 3

    await until(all_told)
    assert await follower.names(loser) == [
        (event, name, "VERIFIED", "PROVEN_BY_DNS"),
        (event, name, "LAPSED", "NO_RECORD"),
        (event, name, "LAPSED", "TAKEN_OVER"),
    ]
    assert await follower.names(winner) == [(event, name, "VERIFIED", "PROVEN_BY_DNS")]
    assert (await globex.call(f"Delete{globex.noun}", name)).code == "OK"
    assert (await follower.names(winner))[-1] == (event, name, "LAPSED", "REMOVED")
    assert len(await follower.names(loser)) == 3
    # Neither reads whose the name is or was.
    assert winner.id not in str(await follower.of(loser))
    assert loser.id not in str(await follower.of(winner))


async def test_a_host_that_is_proven_is_told_after_the_hosts_of_the_tenant(
    follower: Follower, mesh: Mesh, transport: Transport, world: World, zone: NameServer
) -> None:
    acme, host = await world.tenant("acme"), unused()
    await of_operator(transport, mesh, acme).verified(zone, host)
    kinds = [(event["type"], event["tenant"].get("loginHosts", [])) for event in await follower.of(acme)]
    assert kinds == [
        ("TENANT_EVENT_TYPE_CREATED", []),
        ("TENANT_EVENT_TYPE_UPDATED", [host]),
        ("TENANT_EVENT_TYPE_LOGIN_HOST_CHANGED", [host]),
    ]
