"""The SQL of places in the history of one tenant: the counts of both logs up to an event, and the way back to it.

Places are what callers keep in page tokens. Positions would tell them how much happens in other tenants.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Table, Uuid, bindparam, func, literal_column, select

from tenantmesh.tenant_svc.catalog_log.tables import catalog_events
from tenantmesh.tenant_svc.history.tables import entitlement_events

__all__ = ["BEFORE_PLACE", "END", "OF_CATALOG", "OF_OWN"]

END = 2**63 - 1
"""A number that no event has: that of the place after the newest one."""

_own, _catalog = entitlement_events.c, catalog_events.c
_of_tenant = _own.tenant_id == bindparam("tenant_id", type_=Uuid)


def _last_number(log: Table, *before: ColumnElement[bool], outer: Table) -> ColumnElement[Any]:
    """Return the number of the last event before the outer one: how many there are, without counting them."""
    last = select(log.c.number).where(*before).order_by(log.c.position.desc()).limit(literal_column("1"))
    return func.coalesce(last.correlate(outer).scalar_subquery(), literal_column("0"))


def _position(log: Table, name: str, *these: ColumnElement[bool]) -> ColumnElement[Any]:
    numbered = log.c.number == bindparam(name, type_=BigInteger)
    return select(log.c.position).where(*these, numbered).scalar_subquery()


OF_OWN = (
    _own.number.label("own"),
    _last_number(catalog_events, _catalog.position < _own.position, outer=entitlement_events).label("catalog"),
)
"""The columns `own` and `catalog` of an event of the tenant."""
OF_CATALOG = (
    _last_number(entitlement_events, _of_tenant, _own.position < _catalog.position, outer=catalog_events).label("own"),
    _catalog.number.label("catalog"),
)
"""The same columns of an event of the catalog."""
BEFORE_PLACE = func.coalesce(
    func.greatest(_position(entitlement_events, "own", _of_tenant), _position(catalog_events, "catalog")),
    literal_column(str(END), BigInteger),
)
"""The position of the later of the two events at a place, which is given by parameters of these names."""
