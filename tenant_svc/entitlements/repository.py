"""The SQL of locking a tenant, of overrides as rows, and of the terms of its plan. All of it goes through the tenant's
door, which the caller opens. `reader.py` reads a tenant's entitlements as a whole."""

from __future__ import annotations

import json
from datetime import datetime
from typing import cast

from sqlalchemy import bindparam, delete, func, literal_column, select
from sqlalchemy.dialects.postgresql import insert as upsert

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, Record, compiled
from tenantmesh.tenant_svc.entitlements.entitlement import Override, PlanTerms
from tenantmesh.tenant_svc.entitlements.tables import overrides, plan_terms
from tenantmesh.tenant_svc.features.feature import FeatureValue
from tenantmesh.tenant_svc.tenants.tables import tenants

__all__ = ["OVERRIDE", "lock_tenant", "lock_tenant_shared", "override_of", "set_terms"]

OVERRIDE = (
    overrides.c.feature_id,
    overrides.c.value,
    overrides.c.reason,
    overrides.c.expire_time,
    overrides.c.create_time,
)
"""The columns that `override_of` reads."""


def override_of(row: Record) -> Override:
    """Return the override in a row."""
    return Override(
        row["feature_id"],
        FeatureValue.from_json(json.loads(row["value"])),
        row["reason"],
        row["expire_time"],
        row["create_time"],
    )


_this_tenant = tenants.c.tenant_id == bindparam("tenant_id", type_=tenants.c.tenant_id.type)
# FOR NO KEY UPDATE: rows that refer to the tenant lock its key, so leases do not wait for an operator.
_LOCK_TENANT = compiled(
    select(func.statement_timestamp().label("now"))
    .where(_this_tenant, tenants.c.state != literal_column("'DELETED'"))
    .with_for_update(key_share=True)
)
_LOCK_TENANT_SHARED = compiled(select(tenants.c.tenant_id).where(_this_tenant).with_for_update(read=True))
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


async def lock_tenant(connection: Connection, tenant_id: TenantId) -> datetime | None:
    """Lock the tenant: only this transaction changes its entitlements. Return the database's clock, or None without
    such a tenant.

    Call this before any other lock; the log's lock comes last. Do not lock levels of gauges after it: a transaction
    that changes a level locks it first and then calls `lock_tenant_shared`.
    """
    row = await connection.fetch_row(_LOCK_TENANT, tenant_id=tenant_id)
    return None if row is None else cast("datetime", row["now"])


async def lock_tenant_shared(connection: Connection, tenant_id: TenantId) -> None:
    """Lock the tenant's entitlements against changes until this transaction ends. Other transactions may share the
    lock.

    Call this only after taking the row lock that serialises these transactions. PostgreSQL grants a share lock ahead of
    queued exclusive ones: transactions that queued while holding the share would starve an operator's `lock_tenant`.
    """
    await connection.execute(_LOCK_TENANT_SHARED, tenant_id=tenant_id)


async def set_terms(connection: Connection, tenant_id: TenantId, terms: PlanTerms | None) -> None:
    """Store the terms on which the tenant has its plan; None deletes them."""
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
