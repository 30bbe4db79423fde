"""The SQL of new tenants: any number of them in a few statements.

It goes through the tenant's door for one tenant, and through the system door for several. The caller opens it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    Column,
    Integer,
    Text,
    Uuid,
    any_,
    bindparam,
    column,
    func,
    insert,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, compiled
from tenantmesh.tenant_svc.positions import positions
from tenantmesh.tenant_svc.tenants.events import EventType
from tenantmesh.tenant_svc.tenants.repository import EVENTS_CHANNEL
from tenantmesh.tenant_svc.tenants.rows import FIELDS, ROW, profile_values, tenant_of
from tenantmesh.tenant_svc.tenants.tables import tenant_events, tenant_slugs, tenants
from tenantmesh.tenant_svc.tenants.tenant import NewTenant, Tenant

__all__ = ["create", "held_external_ids", "taken_slugs"]

_PROFILE = tuple(name.removeprefix("new_") for name in profile_values(NewTenant("", "", "").profile))
_GIVEN = ("tenant_id", "slug", "display_name", "plan_id", "plan_version", *_PROFILE)
"""The columns that a new tenant brings; the others begin the same for all."""


def _plain(given: Column[Any]) -> Any:
    """Return the column's type without its collation, which a column of a record can't have."""
    return Text() if isinstance(given.type, Text) else given.type


_new = (
    func.jsonb_to_recordset(bindparam("rows", type_=JSONB))
    .table_valued(*(column(name, _plain(tenants.c[name])) for name in _GIVEN))
    .render_derived(with_types=True)
)
_INSERT = compiled(
    insert(tenants)
    .from_select(
        [*_GIVEN, "state", "create_time", "update_time", "version", "position"],
        select(
            *(_new.c[name] for name in _GIVEN),
            literal_column("'ACTIVE'"),
            func.statement_timestamp(),
            func.statement_timestamp(),
            literal_column("1", Integer),
            positions.next_value(),
        ).order_by(_new.c.tenant_id),
    )
    .returning(*ROW)
)
_RECORD_CREATED = compiled(
    insert(tenant_events)
    .from_select(
        ["tenant_id", "position", "type", "reason", *FIELDS],
        select(
            tenants.c.tenant_id,
            tenants.c.position,
            literal_column(f"'{EventType.CREATED.value}'"),
            literal_column("''"),
            *(tenants.c[name] for name in FIELDS),
        ).where(tenants.c.tenant_id == any_(bindparam("tenant_ids", type_=ARRAY(Uuid)))),
    )
    .returning(func.pg_notify(EVENTS_CHANNEL, ""))
)
_TAKEN_SLUGS = compiled(
    select(tenant_slugs.c.slug).where(tenant_slugs.c.slug == any_(bindparam("slugs", type_=ARRAY(Text))))
)
_HELD = compiled(
    select(tenants.c.external_id, tenants.c.tenant_id).where(
        tenants.c.external_id == any_(bindparam("external_ids", type_=ARRAY(Text)))
    )
)


async def create(connection: Connection, new: Sequence[tuple[TenantId, NewTenant, int]]) -> list[Tenant]:
    """Store the tenants, each with its id and the version of its plan that it pins, and append their creation to the
    log. Return them in the order of their ids.

    Call after `lock_log`. Raises UniqueViolation when a slug or an external id is taken. A trigger takes the slugs in
    `tenant_slugs`. Listeners are notified when this transaction commits.
    """
    rows = [_row(tenant_id, each, version) for tenant_id, each, version in new]
    stored = await connection.fetch(_INSERT, rows=rows)
    await connection.execute(_RECORD_CREATED, tenant_ids=[tenant_id for tenant_id, _, _ in new])
    return sorted(map(tenant_of, stored), key=lambda tenant: tenant.id)


async def taken_slugs(connection: Connection, slugs: Iterable[str]) -> frozenset[str]:
    """Return those of the slugs that a tenant has, now or from before. Through the system door; call after `lock_log`
    for an answer that stays true."""
    return frozenset(row["slug"] for row in await connection.fetch(_TAKEN_SLUGS, slugs=list(slugs)))


async def held_external_ids(connection: Connection, external_ids: Iterable[str]) -> dict[str, TenantId]:
    """Return those of the external ids that a tenant has, deleted or not, with the tenant. As `taken_slugs`."""
    rows = await connection.fetch(_HELD, external_ids=list(external_ids))
    return {row["external_id"]: TenantId(row["tenant_id"]) for row in rows}


def _row(tenant_id: uuid.UUID, new: NewTenant, plan_version: int) -> dict[str, Any]:
    given = {name.removeprefix("new_"): value for name, value in profile_values(new.profile).items()}
    parent = given["parent_id"]
    return {
        **given,
        "parent_id": None if parent is None else str(parent),
        "tenant_id": str(tenant_id),
        "slug": new.slug,
        "display_name": new.display_name,
        "plan_id": new.plan_id,
        "plan_version": plan_version,
    }
