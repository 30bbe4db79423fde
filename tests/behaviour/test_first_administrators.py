"""A tenant is created with the address of its first administrator, over every transport."""

from __future__ import annotations

import base64
import json
import uuid
from collections import Counter
from typing import Any

from tests.fixtures.mesh import BULK, INVITATION_REQUESTS, OPERATIONS, TENANTS, Mesh
from tests.transports import Transport


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


async def test_batches_and_imports_invite_the_first_administrators_once(transport: Transport, mesh: Mesh) -> None:
    async def operate(method: str, request: dict[str, Any]) -> dict[str, Any]:
        answer = await transport.call(method, request, token=mesh.operator_key)
        assert answer.code == "OK", answer
        return answer.body

    def named() -> dict[str, str]:
        name = f"t-{uuid.uuid4().hex[:12]}"
        return {"slug": name, "externalId": name, "firstAdministratorEmail": f"{name}@people.example"}

    batch, lines = [named(), named()], [named(), named()]
    asked = {"requests": batch, "requestId": str(uuid.uuid4())}
    data = base64.b64encode("\n".join(map(json.dumps, lines)).encode()).decode()
    for _ in range(2):
        await operate(f"{BULK}/BatchCreateTenants", asked)
        started = await operate(f"{BULK}/ImportTenants", {"lines": data})
        operation = {"operationId": started["name"].removeprefix("operations/"), "timeout": "20s"}
        assert (await operate(f"{OPERATIONS}/WaitOperation", operation))["done"]
    wanted = {each["firstAdministratorEmail"] for each in (*batch, *lines)}
    found = [each for each in await waiting(transport, mesh) if each["email"] in wanted]
    assert Counter(each["email"] for each in found) == Counter(wanted)
    for each in found:
        tenant = await operate(f"{TENANTS}/GetTenant", {"id": each["tenantId"]})
        assert each["email"].startswith(tenant["slug"]), "each is invited to its own tenant"
