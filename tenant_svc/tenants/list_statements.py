"""The statements of the list of tenants, one for each shape of a query: its pages, and the number of its tenants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, bindparam, literal_column, select
from sqlalchemy.sql.util import ClauseAdapter

from tenantmesh.chassis.filters.ordering import Order
from tenantmesh.chassis.filters.places import SortPlace
from tenantmesh.chassis.filters.selection import Shape, needs_search
from tenantmesh.chassis.filters.totals import counting
from tenantmesh.runtime.database import Statement, StatementShapes
from tenantmesh.tenant_svc.tenants.query import FIELDS, ORDERS, TenantQuery
from tenantmesh.tenant_svc.tenants.rows import EXISTS, ROW
from tenantmesh.tenant_svc.tenants.tables import tenants

__all__ = ["page_statements", "total_statements"]

_SIZE = bindparam("size", type_=Integer)


class _Way(Enum):
    """How PostgreSQL reads a page.

    It can't say how many tenants have a word: where texts share few words it takes any for one in fifty. So it would
    read all of 100,000 tenants for a word that one of them has, in 1.4 s.
    """

    PLANNED = "planned"
    """As the planner decides, which knows the values of every other field."""
    ALONG_THE_ORDER = "along the order"
    """Looks at the next tenants of the order only. It fills a page of a word that most tenants have."""
    FOUND_FIRST = "found first"
    """Finds all tenants by the best index, and orders them then. It suits every other word."""


@dataclass(frozen=True, slots=True)
class _PageShape:
    """All that changes the SQL of a page. `absent` says which values of the place have none; it is empty on the first
    page."""

    filter: Shape | None
    deleted: bool
    order: Order
    absent: tuple[bool, ...]
    way: _Way


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
    conditions, order = _conditions(shape), ORDERS.clauses(shape.order)
    after = [ORDERS.after(shape.order, shape.absent)] if shape.absent else []
    if shape.way is _Way.PLANNED:
        page = select(*ROW).where(*conditions, *after).order_by(*order)
    elif shape.way is _Way.ALONG_THE_ORDER:
        page = _within(select(*ROW).where(*after).order_by(*order).limit(2 * _SIZE), conditions, order)
    else:
        page = _within(select(*ROW).where(*conditions, *after).offset(literal_column("0")), (), order)
    return page.limit(_SIZE)


def _within(
    first: Select[Any], conditions: Sequence[ColumnElement[bool]], order: Sequence[ColumnElement[Any]]
) -> Select[Any]:
    """Return the statement that selects from the rows of another one, which is planned by itself: it has a limit or an
    offset."""
    rows = first.subquery("tenants")
    of_rows = ClauseAdapter(rows)
    return select(rows).where(*map(of_rows.traverse, conditions)).order_by(*map(of_rows.traverse, order))


def _total(shape: _TotalShape) -> Select[Any]:
    items = select(tenants.c.tenant_id).where(*_conditions(shape))
    return counting(items) if shape.counted else items


_PAGES = StatementShapes(_page)
_TOTALS = StatementShapes(_total)


def page_statements(query: TenantQuery, after: SortPlace) -> list[Statement]:
    """Return the statements of a page, of which the first that fills it has it; the last one has it in any case. Each
    takes the parameters of the filter and of the place, and `size`."""
    absent = tuple(value is None for value in after)
    selected = query.selection.shape
    searched = (_Way.ALONG_THE_ORDER, _Way.FOUND_FIRST)
    ways = searched if needs_search(selected) else (_Way.PLANNED,)
    return [_PAGES.of(_PageShape(selected, query.deleted, query.order, absent, way)) for way in ways]


def total_statements(query: TenantQuery) -> tuple[Statement, Statement]:
    """Return the statement that counts the tenants of a query, and the one whose plan estimates their number."""
    filter_shape, deleted = query.selection.shape, query.deleted
    return _TOTALS.of(_TotalShape(filter_shape, deleted, counted=True)), _TOTALS.of(
        _TotalShape(filter_shape, deleted, counted=False)
    )
