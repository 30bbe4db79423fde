"""A tenant is created with the address of its first administrator, over every transport."""

from __future__ import annotations

import uuid
from typing import Any

from tests.fixtures.mesh import INVITATION_REQUESTS, TENANTS, Mesh
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
