"""The history of a tenant's entitlements: recording its first entry and a tenant's end, and reading it in pages."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.pages import Page, PageTokens, page_size
from tenantmesh.chassis.requests import required
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.history import beginnings_repository, repository
from tenantmesh.tenant_svc.history.event import ChangeType, EntitlementEvent, HistoryPlace, NewChange
from tenantmesh.tenant_svc.history.places import END
from tenantmesh.tenant_svc.tenants.tenant import Tenant

__all__ = ["History", "record_deleted", "record_first_plan", "record_undeleted"]

_PLACE = struct.Struct(">QQ")
_FIRST = HistoryPlace(END, END)


def _place_in(payload: bytes) -> HistoryPlace:
    if len(payload) != _PLACE.size:
        raise ValueError("no place in a history")
    own, catalog = _PLACE.unpack(payload)
    return HistoryPlace(min(own, END), min(catalog, END))


_TOKENS = PageTokens(b"tm.ehist", _FIRST, lambda place: _PLACE.pack(*place), _place_in)


async def record_first_plan(connection: Connection, tenants: Sequence[Tenant], actor: str) -> None:
    """Begin the history of new tenants. A watch that began with a snapshot receives each tenant by this event."""
    await beginnings_repository.record_first_plans(connection, [tenant.id for tenant in tenants], actor)


async def record_deleted(connection: Connection, tenant: Tenant, actor: str) -> None:
    """Tell watches that the tenant is entitled to nothing any more."""
    await repository.record(connection, tenant.id, NewChange(type=ChangeType.TENANT_DELETED, actor=actor))


async def record_undeleted(connection: Connection, tenant: Tenant, actor: str) -> None:
    """Tell watches that the tenant is entitled to its plan again."""
    await repository.record(connection, tenant.id, NewChange(type=ChangeType.TENANT_UNDELETED, actor=actor))


class History:
    """The use cases. Raises Unavailable when the database can't be reached."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def page(
        self, tenant_id: TenantId, size: int, token: str, *, every_plan: bool = False
    ) -> Page[EntitlementEvent]:
        """Return a page of the tenant's changes and those of all tenants' features, newest first, from the token's
        place.

        The entries name the tenant's plan and the listed ones, or every plan. Raises InvalidArgument for another list's
        token.
        """
        tokens = _TOKENS.of(str(tenant_id))
        size, before = page_size(size), tokens.open(token)
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            found = await repository.history(connection, tenant_id, before, size + 1)
            if not every_plan:
                nameable = await repository.nameable_plans(connection, tenant_id)
                found = [event.naming_only(nameable) for event in found]
        return tokens.page(found, size, lambda event: required(event.place))
