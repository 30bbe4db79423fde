"""The statements of the list of tenants, one for each shape of a query: its pages, and the number of its tenants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, bindparam, select

from tenantmesh.chassis.filters.ordering import Order
from tenantmesh.chassis.filters.places import SortPlace
from tenantmesh.chassis.filters.selection import Shape
from tenantmesh.chassis.filters.totals import counting
from tenantmesh.runtime.database import Statement, StatementShapes
from tenantmesh.tenant_svc.tenants.query import FIELDS, ORDERS, TenantQuery
from tenantmesh.tenant_svc.tenants.rows import EXISTS, ROW
from tenantmesh.tenant_svc.tenants.tables import tenants

__all__ = ["page_statement", "total_statements"]


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
