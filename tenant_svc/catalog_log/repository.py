"""The SQL of writing the catalog's log. All of it goes through the system door. `tenant_svc.history` reads the log."""

from __future__ import annotations

from sqlalchemy import bindparam, func, insert, literal_column

from tenantmesh.runtime.database import Connection, compiled
from tenantmesh.tenant_svc.catalog_log.tables import catalog_events
from tenantmesh.tenant_svc.positions import positions

__all__ = ["ENTITLEMENTS_CHANNEL", "record_catalog"]

ENTITLEMENTS_CHANNEL = "entitlement_events"
"""Notified, without content, by every transaction that changes the catalog or a tenant's entitlements."""

_RECORD = compiled(
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
    """Append a change of the feature or, with an empty id, of the plans on offer. Return the event's position.

    Call after `lock_log`. Listeners are notified when this transaction commits.
    """
    row = await connection.fetch_row(_RECORD, feature_id=feature, actor=actor, before=before, after=after)
    if row is None:
        raise LookupError("an event that was just written is missing")
    return int(row["position"])
