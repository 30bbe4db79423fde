"""The SQL that begins the history of new tenants. It goes through the door that creates them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ARRAY, BigInteger, Text, Uuid, any_, bindparam, cast, func, insert, literal_column, select

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, compiled
from tenantmesh.tenant_svc.catalog_log.repository import ENTITLEMENTS_CHANNEL
from tenantmesh.tenant_svc.history.event import ChangeType
from tenantmesh.tenant_svc.history.repository import TEXTS
from tenantmesh.tenant_svc.history.tables import entitlement_events
from tenantmesh.tenant_svc.positions import positions
from tenantmesh.tenant_svc.tenants.tables import tenants

__all__ = ["record_first_plans"]

_NOTHING = literal_column("''", Text)
_FIRST = compiled(
    insert(entitlement_events)
    .from_select(
        ["tenant_id", "position", "number", *TEXTS, "plan_id", "plan_version", "create_time"],
        select(
            tenants.c.tenant_id,
            positions.next_value(),
            literal_column("1", BigInteger),  # the trigger that numbers rows would look for earlier ones
            literal_column(f"'{ChangeType.PLAN_CHANGED.value}'"),
            _NOTHING,
            bindparam("actor", type_=Text),
            _NOTHING,
            _NOTHING,
            tenants.c.plan_id + literal_column("'@'") + cast(tenants.c.plan_version, Text),
            tenants.c.plan_id,
            tenants.c.plan_version,
            func.statement_timestamp(),
        )
        .where(tenants.c.tenant_id == any_(bindparam("tenant_ids", type_=ARRAY(Uuid))))
        .order_by(tenants.c.tenant_id),
    )
    .returning(func.pg_notify(ENTITLEMENTS_CHANNEL, literal_column("''")))
)


async def record_first_plans(connection: Connection, tenant_ids: Sequence[TenantId], actor: str) -> None:
    """Append the first plan of each of these new tenants to the log. As `record`, through the door that made them."""
    await connection.execute(_FIRST, tenant_ids=list(tenant_ids), actor=actor)
