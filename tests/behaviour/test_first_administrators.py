"""A tenant is created with the address of its first administrator, over every transport."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from typing import Any

from tests.fixtures.mesh import INVITATION_REQUESTS, OPERATIONS, TENANTS, Mesh
from tests.transports import Transport

BULK = "tenantmesh.tenant.v1.TenantBulkService"


async def waiting(transport: Transport, mesh: Mesh) -> list[dict[str, Any]]:
    """Every request that waits."""
    found: list[dict[str, Any]] = []
    page: dict[str, Any] = {"pageSize": 1000}
    while True:
        method = f"{INVITATION_REQUESTS}/ListInvitationRequests"
        body = (await transport.call(method, page, token=mesh.operator_key)).body
        found += body["invitationRequests"]
        if not body["nextPageToken"]:
            return found
        page["pageToken"] = body["nextPageToken"]


async def test_the_request_is_there_until_the_tenant_is_deleted(transport: Transport, mesh: Mesh) -> None:
    async def create(email: str) -> Any:
        asked = {"slug": f"t-{uuid.uuid4().hex[:12]}", "firstAdministratorEmail": email}
        return await transport.call(f"{TENANTS}/CreateTenant", asked, token=mesh.operator_key)

    refused = await create("nobody")
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    made, other = [(await create(f"ada-{uuid.uuid4().hex}@people.example")).body["id"] for _ in range(2)]
    mine = [each for each in await waiting(transport, mesh) if each["tenantId"] in {made, other}]
    assert [(each["tenantId"], each["role"]) for each in mine] == [(made, "owner"), (other, "owner")]
    deleted = await transport.call(f"{TENANTS}/DeleteTenant", {"id": made}, token=mesh.operator_key)
    assert deleted.code == "OK", deleted
    left = [each["tenantId"] for each in await waiting(transport, mesh)]
    assert made not in left
    assert other in left
    back = await transport.call(f"{TENANTS}/UndeleteTenant", {"id": made}, token=mesh.operator_key)
    assert back.code == "OK", back
    assert [each for each in await waiting(transport, mesh) if each["tenantId"] in {made, other}] == mine


async def test_so_is_each_of_many(transport: Transport, mesh: Mesh) -> None:
    """In a batch, and in the lines of an import."""

    def new() -> dict[str, str]:
        name = f"t-{uuid.uuid4().hex[:12]}"
        return {"slug": name, "externalId": f"crm:{name}", "firstAdministratorEmail": f"ada@{name}.example"}

    async def done(method: str, **request: Any) -> dict[str, Any]:
        answer = await transport.call(method, request, token=mesh.operator_key)
        assert answer.code == "OK", answer
        return answer.body

    made, imported = new(), new()
    await done(f"{BULK}/BatchCreateTenants", requests=[made])
    lines = base64.b64encode(json.dumps(imported).encode()).decode()
    operation = (await done(f"{BULK}/ImportTenants", lines=lines))["name"].removeprefix("operations/")
    async with asyncio.timeout(60):
        while not (await done(f"{OPERATIONS}/GetOperation", operationId=operation))["done"]:
            await asyncio.sleep(0.1)
    emails = {each["email"] for each in await waiting(transport, mesh)}
    assert {made["firstAdministratorEmail"], imported["firstAdministratorEmail"]} <= emails
