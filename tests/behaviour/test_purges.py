"""A tenant's end as its operator sees it: deleted, purged, proven, over every transport."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from tenantmesh.tenant_svc.purges.proof import KEPT
from tests.behaviour.canary_rows import rows_with, superuser
from tests.fixtures.mesh import AUTH, OPERATIONS, PASSWORD, TENANTS, Mesh, Tenant, World
from tests.transports import Answer, Transport
from tests.unit.deploy.commands import run

PURGES = "tenantmesh.tenant.v1.PurgeService"


class Operator:
    """Calls as the operator, over one transport."""

    def __init__(self, transport: Transport, mesh: Mesh) -> None:
        self._transport = transport
        self._key = mesh.operator_key

    async def asks(self, method: str, **request: Any) -> Answer:
        return await self._transport.call(method, request, token=self._key)

    async def gets(self, method: str, **request: Any) -> dict[str, Any]:
        answer = await self.asks(method, **request)
        assert answer.code == "OK", answer
        return answer.body

    async def ended(self, operation: dict[str, Any]) -> dict[str, Any]:
        """The operation once it has ended."""
        operation_id = operation["name"].removeprefix("operations/")
        async with asyncio.timeout(60):
            while not operation.get("done"):
                operation = await self.gets(f"{OPERATIONS}/WaitOperation", operationId=operation_id, timeout="5s")
        return operation


@pytest.fixture
def operator(transport: Transport, mesh: Mesh) -> Operator:
    return Operator(transport, mesh)


async def peopled(world: World) -> Tenant:
    tenant = await world.tenant("purged")
    await world.user(tenant)
    return tenant


def numbers(contents: list[dict[str, Any]]) -> dict[str, int]:
    return {each.get("name") or each["kind"]: int(each.get("count", 0)) for each in contents}


async def test_a_deleted_tenant_is_purged_with_a_proof(
    operator: Operator, world: World, mesh: Mesh, tmp_path: Path
) -> None:
    tenant, other = await peopled(world), await peopled(world)
    refused = await operator.asks(f"{TENANTS}/PurgeTenant", id=tenant.id)
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "TENANT_NOT_DELETED")

    would = await operator.gets(f"{TENANTS}/DeleteTenant", id=tenant.id, validateOnly=True)
    found = numbers(would["contents"])
    assert (found["tenant.tenants"], found["auth.users"], found["auth.sessions"]) == (1, 1, 1)
    assert (found["TENANT_CONTENT_KIND_SESSIONS"], found["passwords"]) == (1, 1)

    await operator.gets(f"{TENANTS}/DeleteTenant", id=tenant.id)
    dry = await operator.gets(f"{TENANTS}/PurgeTenant", id=tenant.id, validateOnly=True)
    assert dry["done"]
    assert numbers(dry["metadata"]["contents"])["auth.users"] == 1

    request_id = str(uuid.uuid4())
    started = await operator.gets(f"{TENANTS}/PurgeTenant", id=tenant.id, requestId=request_id)
    assert started["metadata"]["tenantId"] == tenant.id
    ended = await operator.ended(started)
    assert "error" not in ended, ended
    assert ended["response"]["tenantId"] == tenant.id
    assert ended["metadata"]["state"] == "OPERATION_STATE_SUCCEEDED"
    again = await operator.asks(f"{TENANTS}/GetTenant", id=tenant.id)
    assert (again.code, again.reason) == ("NOT_FOUND", "TENANT_NOT_FOUND")

    purge = await operator.gets(f"{PURGES}/GetPurge", tenantId=tenant.id)
    keys = await operator.gets(f"{PURGES}/GetPurgeKeys")
    for name, value in (("purge.json", purge), ("keys.json", keys)):
        (tmp_path / name).write_text(json.dumps(value))
    state = ("--state", str(mesh.stack.places.state))
    for place in (("--keys", str(tmp_path / "keys.json")), ("--keys", mesh.edge_url), state):
        done = run("verify-purge", str(tmp_path / "purge.json"), *place)
        assert done.exit_code == 0, done.output
        assert tenant.id in done.printed
    proof = json.loads(purge["proof"])
    assert {each["after"] for each in proof["tables"]} == {0}
    assert {each["table"]: each["before"] for each in proof["tables"]}["auth.users"] == 1
    assert (await operator.gets(f"{TENANTS}/GetTenant", id=other.id))["slug"] == other.slug


async def test_the_purge_begins_by_itself_when_the_grace_period_ends(operator: Operator, world: World) -> None:
    tenant = await peopled(world)
    await operator.gets(f"{TENANTS}/DeleteTenant", id=tenant.id, gracePeriod="0s")
    async with asyncio.timeout(60):
        while (found := await operator.asks(f"{PURGES}/GetPurge", tenantId=tenant.id)).code != "OK":
            assert found.reason == "PURGE_NOT_FOUND"
            await asyncio.sleep(0.1)
    assert json.loads(found.body["proof"])["requested"]["reason"] == "GRACE_PERIOD_ENDED"
    page = await operator.gets(f"{PURGES}/ListPurges", pageSize=1000)
    assert tenant.id in [each["tenantId"] for each in page["purges"]]
    # Its slug is free again.
    made = await operator.gets(f"{TENANTS}/CreateTenant", slug=tenant.slug)
    assert made["id"] != tenant.id


async def test_people_who_register_meanwhile_leave_nothing(mesh: Mesh, world: World) -> None:
    """Registrations that were let in before the deletion write after the purge, or try to: it takes less than they."""
    tenant = await world.tenant("raced", plan=await world.plan(core=True, users=None, api_requests=None))

    async def register() -> list[str]:
        codes = ["OK"]
        while codes[-1] in {"OK", "RESOURCE_EXHAUSTED"}:
            account = {"email": f"{uuid.uuid4().hex}@x.example", "password": PASSWORD}
            answer = await world.transport.call(f"{AUTH}/Register", account, metadata=[("x-tenant-slug", tenant.slug)])
            codes.append(answer.code)
        return codes

    people = [asyncio.create_task(register()) for _ in range(8)]
    async with superuser(mesh) as connection:
        while not (await rows_with(connection, [tenant.id])).get("auth.users"):
            await asyncio.sleep(0.01)
        await world.operate(f"{TENANTS}/DeleteTenant", {"id": tenant.id, "gracePeriod": "0s"})
        operator = Operator(world.transport, mesh)
        async with asyncio.timeout(60):
            while (await operator.asks(f"{PURGES}/GetPurge", tenantId=tenant.id)).code != "OK":
                await asyncio.sleep(0.01)
        assert {codes[-1] for codes in await asyncio.gather(*people)} == {"NOT_FOUND"}
        left = await rows_with(connection, [tenant.id])
    assert left.keys() <= KEPT.keys(), left
