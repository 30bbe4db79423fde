"""The history of a tenant's entitlements, a page at a time."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.opaque import pack, unpack
from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.history import repository as event_repository
from tenantmesh.tenant_svc.history.event import EntitlementEvent
from tenantmesh.tenant_svc.plans.page_tokens import page_size

__all__ = ["ChangePage", "History"]

_PAGE = b"tm.ehist"
_POSITION = struct.Struct(">Q")
_END = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ChangePage:
    """Some changes, newest first, and the token of the page after them; empty when they are the last."""

    changes: list[EntitlementEvent]
    next_token: str


class History:
    """Raises Unavailable when the database can't be reached."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def page(self, tenant_id: TenantId, size: int, token: str, *, every_plan: bool = False) -> ChangePage:
        """The tenant's changes and those of features that concern all tenants, newest first, from where the token says.
        Names the tenant's plan and the listed ones, or every plan. Raises InvalidArgument for a token that is none of
        ours."""
        size, before = page_size(size), _opened(token)
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            found = await event_repository.history(connection, tenant_id, before, size + 1)
            if not every_plan:
                nameable = await event_repository.nameable_plans(connection, tenant_id)
                found = [each.naming_only(nameable) for each in found]
        more = len(found) > size
        return ChangePage(found[:size], pack(_PAGE, _POSITION.pack(found[size - 1].position)) if more else "")


def _opened(token: str) -> int:
    """The position before which the page begins."""
    if not token:
        return _END
    try:
        (position,) = _POSITION.unpack(unpack(_PAGE, token))
    except (ValueError, struct.error) as error:
        violation = FieldViolation("page_token", "must be the next_page_token of the page before, unchanged")
        raise InvalidArgument.fields([violation]) from error
    return min(int(position), _END)
