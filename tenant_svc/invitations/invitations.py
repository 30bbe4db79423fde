"""The use cases of invitation requests: store, list, count."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.pages import Page, page_size, uuid_tokens
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.runtime.ids import uuid7
from tenantmesh.tenant_svc.invitations import repository
from tenantmesh.tenant_svc.invitations.repository import InvitationRequest
from tenantmesh.tenant_svc.tenants.invitations import Invitations

__all__ = ["InvitationRequests", "StoredInvitations"]

FIRST_ROLE = "owner"
"""The role of the first administrator."""
MOST_COUNTED = 10_000
_TOKENS = uuid_tokens(b"tm.invts", uuid.UUID(int=0))


class StoredInvitations(Invitations):
    """The requests in the database. They are written in the transaction that creates the tenants."""

    def __init__(self, new_id: Callable[[], uuid.UUID] = uuid7) -> None:
        self._new_id = new_id

    async def request(self, connection: Connection, wanted: Sequence[tuple[TenantId, str]], actor: str) -> None:
        """See Invitations."""
        requests = [(tenant_id, self._new_id(), email) for tenant_id, email in wanted]
        await repository.add(connection, requests, role=FIRST_ROLE, actor=actor)


class InvitationRequests:
    """The requests that wait, for operators. `waiting` is their number when it was last counted."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self.waiting = 0

    async def page(self, size: int, token: str) -> Page[InvitationRequest]:
        """Return a page of the requests of all tenants, oldest first, from the token's position. Raises InvalidArgument
        for another list's token."""
        size, after = page_size(size), _TOKENS.open(token)
        async with self._doors.system("list invitations that wait", read_only=True) as connection:
            found = await repository.page(connection, after, size + 1)
        return _TOKENS.page(found, size, lambda request: request.id)

    async def count(self) -> int:
        """Count the requests that wait, up to 10,000. Return 0, since there is nothing to repeat at once."""
        async with self._doors.system("count invitations that wait", read_only=True) as connection:
            self.waiting = await repository.number_waiting(connection, MOST_COUNTED)
        return 0
