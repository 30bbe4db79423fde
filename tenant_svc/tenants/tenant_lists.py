"""The use case of listing tenants: a page of a query, and how many there are."""

from __future__ import annotations

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.filters.totals import Total
from tenantmesh.chassis.pages import Page, page_size
from tenantmesh.tenant_svc.tenants import list_repository
from tenantmesh.tenant_svc.tenants.query import ORDERS, TenantQuery
from tenantmesh.tenant_svc.tenants.tenant import Tenant

__all__ = ["TenantLists"]

_PURPOSE = b"tm.list"


class TenantLists:
    """Lists tenants. Raises Unavailable when the database can't be reached."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def page(self, query: TenantQuery, size: int, token: str) -> Page[Tenant]:
        """Return a page of the query from the token's place. Raises InvalidArgument for the token of another list or of
        another query."""
        tokens = ORDERS.tokens(query.order, _PURPOSE).of(query.selection.text, query.order.text, str(query.deleted))
        size, after = page_size(size), tokens.open(token)
        async with self._doors.system("list tenants", read_only=True) as connection:
            found = await list_repository.page(connection, query, after, size + 1)
        return tokens.page(found, size, lambda tenant: ORDERS.place(query.order, tenant))

    async def total(self, query: TenantQuery) -> Total:
        """Return the number of tenants on all pages of the query: exact where there are few, else an estimate."""
        async with self._doors.system("count tenants", read_only=True) as connection:
            return await list_repository.count(connection, query)
