"""Queries of the list of tenants: the fields that filters compare, the orders, and what an operator alone may ask for.

docs/reference/filters.md says which comparisons read an index; `tables.py` has the indexes.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Boolean, Text, Uuid, column, func, literal_column, table
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR

from tenantmesh.chassis.filters.ordering import Order, Orders, SortField
from tenantmesh.chassis.filters.scalars import BooleanField, IntegerField, TimeField, UuidField
from tenantmesh.chassis.filters.selection import Fields, Selection
from tenantmesh.chassis.filters.texts import HeldField, ListField, MapField, NameField, TextField
from tenantmesh.chassis.filters.words import WordSearch
from tenantmesh.interceptors.errors import PermissionDenied
from tenantmesh.interceptors.tenants import TenantState
from tenantmesh.tenant_svc.schema import SCHEMA
from tenantmesh.tenant_svc.tenants.tables import tenants
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["FIELDS", "ORDERS", "TenantQuery"]

_STATES = {state.value: state.value for state in (TenantState.ACTIVE, TenantState.SUSPENDED, TenantState.DELETED)}

# The expressions of two indexes.
_LABEL_ENTRIES = func.tenant.label_entries(tenants.c.labels, type_=ARRAY(Text))
_SEARCH_WORDS = func.tenant.search_words(tenants.c.slug, tenants.c.display_name, tenants.c.external_id, type_=TSVECTOR)

# A capability above this one declares the table; the list reads these columns of it.
_EMAIL_DOMAINS = table("email_domains", column("tenant_id", Uuid), column("domain", Text), schema=SCHEMA)
_PROVEN = literal_column("email_domains.state IN ('VERIFIED', 'FAILING')", Boolean)  # as its unique index says it

FIELDS = Fields(
    {
        "id": UuidField(tenants.c.tenant_id),
        "slug": TextField(tenants.c.slug),
        "display_name": TextField(tenants.c.display_name),
        "state": NameField(tenants.c.state, _STATES, "TENANT_STATE_"),
        "plan_id": TextField(tenants.c.plan_id),
        "plan_version": IntegerField(tenants.c.plan_version),
        "region": TextField(tenants.c.region),
        "external_id": TextField(tenants.c.external_id),
        "parent_id": UuidField(tenants.c.parent_id),
        "labels": MapField(tenants.c.labels, _LABEL_ENTRIES),
        "login_hosts": ListField(tenants.c.login_hosts, str.lower),
        "email_domains": HeldField(
            tenants.c.tenant_id, _EMAIL_DOMAINS.c.tenant_id, _EMAIL_DOMAINS.c.domain, _PROVEN, str.lower
        ),
        "delete_protection": BooleanField(tenants.c.delete_protection),
        "create_time": TimeField(tenants.c.create_time),
        "update_time": TimeField(tenants.c.update_time),
        "delete_time": TimeField(tenants.c.delete_time),
    },
    WordSearch(_SEARCH_WORDS),
)

# Each of them has an index, and hardly two tenants share a value: a page of any order reads little more than its rows.
ORDERS: Orders[Tenant] = Orders(
    {
        "create_time": SortField(tenants.c.create_time, lambda tenant: tenant.create_time),
        "update_time": SortField(tenants.c.update_time, lambda tenant: tenant.update_time),
        "slug": SortField(tenants.c.slug, lambda tenant: tenant.slug),
        "display_name": SortField(tenants.c.display_name, lambda tenant: tenant.display_name),
    },
    last=SortField(tenants.c.tenant_id, lambda tenant: tenant.id),
)
"""Without an order the list is in that of its last key: ids are UUIDv7s, so the oldest tenants come first."""


@dataclass(frozen=True, slots=True)
class TenantQuery:
    """The tenants that a request lists, and their order. `deleted` adds those that are deleted."""

    selection: Selection
    order: Order
    deleted: bool

    @classmethod
    def checked(cls, *, filter_text: str, order_by: str, show_deleted: bool, viewer: Viewer) -> TenantQuery:
        """Return the query. Raises InvalidArgument for a filter or an order that is none, and PermissionDenied
        `AUDIENCE_NOT_ALLOWED` for deleted tenants where the viewer sees none."""
        if show_deleted and not viewer.deleted:
            raise PermissionDenied(
                "AUDIENCE_NOT_ALLOWED", "Only operators list deleted tenants. Leave out show_deleted."
            )
        return cls(FIELDS.selected(filter_text), ORDERS.ordered(order_by), show_deleted)
