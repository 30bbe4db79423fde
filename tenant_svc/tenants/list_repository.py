"""The SQL of the list of tenants, through the system door: one statement for each shape of a query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, bindparam, select

from tenantmesh.chassis.filters.ordering import Order
from tenantmesh.chassis.filters.places import SortPlace
from tenantmesh.chassis.filters.selection import Shape
from tenantmesh.chassis.filters.totals import Total, counting, total
from tenantmesh.runtime.database import Connection, Statement, StatementShapes
from tenantmesh.tenant_svc.tenants.query import FIELDS, ORDERS, TenantQuery
from tenantmesh.tenant_svc.tenants.rows import EXISTS, ROW, tenant_of
from tenantmesh.tenant_svc.tenants.tables import tenants
from tenantmesh.tenant_svc.tenants.tenant import Tenant

__all__ = ["count", "page", "page_statement", "total_statements"]


@dataclass(frozen=True, slots=True)
class _PageShape:
    """All that changes the SQL of a page. `absent` says which values of the place have none; it is empty on the first
    page."""

    filter: Shape | None
    deleted: bool
    order: Order
    absent: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class _TotalShape:
    """All that changes the SQL of a total. `counted` is the statement that counts; the other one is explained."""

    filter: Shape | None
    deleted: bool
    counted: bool


def _conditions(shape: _PageShape | _TotalShape) -> list[ColumnElement[bool]]:
    conditions = [] if shape.deleted else [EXISTS]
    return conditions if shape.filter is None else [*conditions, FIELDS.condition(shape.filter)]


def _page(shape: _PageShape) -> Select[Any]:
    conditions = _conditions(shape)
    if shape.absent:
        conditions.append(ORDERS.after(shape.order, shape.absent))
    ordered = select(*ROW).where(*conditions).order_by(*ORDERS.clauses(shape.order))
    return ordered.limit(bindparam("size", type_=Integer))


def _total(shape: _TotalShape) -> Select[Any]:
    items = select(tenants.c.tenant_id).where(*_conditions(shape))
    return counting(items) if shape.counted else items


_PAGES = StatementShapes(_page)
_TOTALS = StatementShapes(_total)


def page_statement(query: TenantQuery, after: SortPlace) -> Statement:
    """Return the statement of a page. It takes the parameters of the filter and of the place, and `size`."""
    absent = tuple(value is None for value in after)
    return _PAGES.of(_PageShape(query.selection.shape, query.deleted, query.order, absent))


def total_statements(query: TenantQuery) -> tuple[Statement, Statement]:
    """Return the statement that counts the tenants of a query, and the one whose plan estimates their number."""
    filter_shape, deleted = query.selection.shape, query.deleted
    return _TOTALS.of(_TotalShape(filter_shape, deleted, counted=True)), _TOTALS.of(
        _TotalShape(filter_shape, deleted, counted=False)
    )


async def page(connection: Connection, query: TenantQuery, after: SortPlace, size: int) -> list[Tenant]:
    """Return the tenants after the place, in the order of the query."""
    values = {**query.selection.parameters, **ORDERS.parameters(after)}
    return [tenant_of(row) for row in await connection.fetch(page_statement(query, after), size=size, **values)]


async def count(connection: Connection, query: TenantQuery) -> Total:
    """Return the number of tenants of the query, on all pages."""
    counted, items = total_statements(query)
    return await total(connection, counted, items, query.selection.parameters)
