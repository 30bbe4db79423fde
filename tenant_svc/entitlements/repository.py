"""The SQL of overrides, grants, terms and the log of changes, and nothing else. Which door a statement needs is said
with it; the door is opened by the caller. What a tenant is entitled to as a whole is read in `reader.py`."""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from typing import Any, cast

from sqlalchemy import bindparam, delete, func, insert, literal_column, select
from sqlalchemy.dialects.postgresql import insert as upsert

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, Record, compiled
from tenantmesh.tenant_svc.balances.grant import Grant
from tenantmesh.tenant_svc.entitlements.entitlement import Override, PlanTerms
from tenantmesh.tenant_svc.entitlements.tables import catalog_events, entitlement_events, grants, overrides, plan_terms
from tenantmesh.tenant_svc.plans.plan import FeatureValue
from tenantmesh.tenant_svc.tenants.repository import lock_log
from tenantmesh.tenant_svc.tenants.tables import positions, tenants

__all__ = [
    "ENTITLEMENTS_CHANNEL",
    "GRANT",
    "OVERRIDE",
    "grant_of",
    "hold",
    "hold_shared",
    "lock_log",
    "override_of",
    "record",
    "record_catalog",
    "set_terms",
    "uuid_of",
]

ENTITLEMENTS_CHANNEL = "entitlement_events"
"""Notified, without content, by every transaction that writes an event."""

OVERRIDE = (
    overrides.c.feature_id,
    overrides.c.value,
    overrides.c.reason,
    overrides.c.expire_time,
    overrides.c.create_time,
)
"""What `override_of` reads."""

GRANT = tuple(
    grants.c[name]
    for name in (
        "grant_id",
        "feature_id",
        "amount",
        "priority",
        "effective_time",
        "expire_time",
        "max_rollover",
        "min_rollover",
        "reason",
        "balance",
        "balance_period",
        "void_time",
        "create_time",
    )
)
"""What `grant_of` reads."""


def override_of(row: Record) -> Override:
    """The override in a row."""
    return Override(
        row["feature_id"],
        FeatureValue.from_json(json.loads(row["value"])),
        row["reason"],
        row["expire_time"],
        row["create_time"],
    )


def grant_of(row: Record) -> Grant:
    """The grant in a row."""
    return Grant(*(row[column.key] for column in GRANT))


def uuid_of(stored: Any) -> uuid.UUID:
    """A UUID out of JSON, or out of a row."""
    return stored if isinstance(stored, uuid.UUID) else uuid.UUID(stored)


# Through the tenant's door

_this_tenant = tenants.c.tenant_id == bindparam("tenant_id", type_=tenants.c.tenant_id.type)
# Without the key, which is what rows that refer to the tenant hold: nobody's lease waits for an operator.
_HOLD = compiled(
    select(func.statement_timestamp().label("now"))
    .where(_this_tenant, tenants.c.state != literal_column("'DELETED'"))
    .with_for_update(key_share=True)
)
_HOLD_SHARED = compiled(select(tenants.c.tenant_id).where(_this_tenant).with_for_update(read=True))
_RECORD = compiled(
    insert(entitlement_events)
    .from_select(
        [
            "tenant_id",
            "position",
            "type",
            "feature_id",
            "actor",
            "reason",
            "before",
            "after",
            "plan_id",
            "plan_version",
            "create_time",
        ],
        select(
            tenants.c.tenant_id,
            positions.next_value(),
            *(
                bindparam(name, type_=entitlement_events.c[name].type)
                for name in ("type", "feature_id", "actor", "reason", "before", "after")
            ),
            tenants.c.plan_id,
            tenants.c.plan_version,
            func.statement_timestamp(),
        ).where(_this_tenant),
    )
    .returning(entitlement_events.c.position, func.pg_notify(ENTITLEMENTS_CHANNEL, literal_column("''")))
)
_own_terms = plan_terms.c.tenant_id == bindparam("tenant_id", type_=plan_terms.c.tenant_id.type)
_new_terms = upsert(plan_terms).values(
    tenant_id=bindparam("tenant_id"),
    over_limit_policy=bindparam("policy"),
    grace_until=bindparam("grace_until"),
    grace_plans=bindparam("grace_plans", type_=plan_terms.c.grace_plans.type),
)
_SET_TERMS = compiled(
    _new_terms.on_conflict_do_update(
        index_elements=[plan_terms.c.tenant_id],
        set_={name: _new_terms.excluded[name] for name in ("over_limit_policy", "grace_until", "grace_plans")},
    )
)
_CLEAR_TERMS = compiled(delete(plan_terms).where(_own_terms))


async def hold(connection: Connection, tenant_id: TenantId) -> datetime | None:
    """Makes this transaction the only one that changes what the tenant is entitled to, and returns the database's
    clock; None when the tenant is deleted or was never. Before any other lock; that of the log comes last. Levels are
    read and never locked under it: who changes one has locked it before `hold_shared`."""
    row = await connection.fetch_row(_HOLD, tenant_id=tenant_id)
    return None if row is None else cast("datetime", row["now"])


async def hold_shared(connection: Connection, tenant_id: TenantId) -> None:
    """Keeps what the tenant is entitled to as it is until this transaction ends, beside others that do the same.

    After a lock that such transactions take turns for, never before it: whoever shares the tenant passes those who
    wait to have it alone, so that transactions which wait for each other with a share in hand would keep an operator
    out for as long as they come.
    """
    await connection.execute(_HOLD_SHARED, tenant_id=tenant_id)


async def record(
    connection: Connection,
    tenant_id: TenantId,
    *,
    type: str,  # noqa: A002 - the column's name
    feature: str,
    actor: str,
    reason: str,
    before: str,
    after: str,
) -> int:
    """Appends to the log what happened to the tenant's entitlements, with the plan that the tenant is on now, and wakes
    whoever listens once this transaction is visible. Returns the event's position.

    After `lock_log`, so that positions follow commit order. Raises LookupError for a tenant that is not there.
    """
    row = await connection.fetch_row(
        _RECORD,
        tenant_id=tenant_id,
        type=type,
        feature_id=feature,
        actor=actor,
        reason=reason,
        before=before,
        after=after,
    )
    if row is None:
        raise LookupError("a tenant whose entitlements change is gone")
    return int(row["position"])


async def set_terms(connection: Connection, tenant_id: TenantId, terms: PlanTerms | None) -> None:
    """Stores how the tenant came to its plan; None forgets it."""
    if terms is None:
        await connection.execute(_CLEAR_TERMS, tenant_id=tenant_id)
        return
    await connection.execute(
        _SET_TERMS,
        tenant_id=tenant_id,
        policy=terms.over_limit_policy.value,
        grace_until=terms.grace_until,
        grace_plans=[{"id": plan.id, "version": plan.version} for plan in terms.grace_plans],
    )


# Through the system door

_RECORD_CATALOG = compiled(
    insert(catalog_events)
    .values(
        position=positions.next_value(),
        feature_id=bindparam("feature_id"),
        actor=bindparam("actor"),
        before=bindparam("before"),
        after=bindparam("after"),
        create_time=func.statement_timestamp(),
    )
    .returning(catalog_events.c.position, func.pg_notify(ENTITLEMENTS_CHANNEL, literal_column("''")))
)


async def record_catalog(connection: Connection, *, feature: str, actor: str, before: str, after: str) -> int:
    """Appends to the log that a feature changed, which concerns every tenant. Otherwise as `record`."""
    row = await connection.fetch_row(_RECORD_CATALOG, feature_id=feature, actor=actor, before=before, after=after)
    if row is None:
        raise LookupError("an event that was just written is gone")
    return int(row["position"])
