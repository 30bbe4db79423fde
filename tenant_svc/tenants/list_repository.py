"""The rows of the list of tenants, through the system door."""

from __future__ import annotations

from collections.abc import Sequence

from tenantmesh.chassis.filters.places import SortPlace
from tenantmesh.chassis.filters.totals import Total, total
from tenantmesh.runtime.database import Connection, Record
from tenantmesh.tenant_svc.tenants.list_statements import page_statements, total_statements
from tenantmesh.tenant_svc.tenants.query import ORDERS, TenantQuery
from tenantmesh.tenant_svc.tenants.rows import tenant_of
from tenantmesh.tenant_svc.tenants.tenant import Tenant

__all__ = ["count", "page"]


async def page(connection: Connection, query: TenantQuery, after: SortPlace, size: int) -> list[Tenant]:
    """Return the tenants after the place, in the order of the query."""
    values = {**query.selection.parameters, **ORDERS.parameters(after)}
    rows: Sequence[Record] = ()
    for statement in page_statements(query, after):
        rows = await connection.fetch(statement, size=size, **values)
        if len(rows) == size:
            break
    return [tenant_of(row) for row in rows]


async def count(connection: Connection, query: TenantQuery) -> Total:
    """Return the number of tenants of the query, on all pages."""
    counted, items = total_statements(query)
    return await total(connection, counted, items, query.selection.parameters)
