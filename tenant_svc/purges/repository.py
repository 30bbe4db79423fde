"""The SQL of purges. Each group of statements names its door, which the caller opens."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import (
    Column,
    ColumnElement,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    and_,
    bindparam,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
    text,
    union,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from tenantmesh.chassis.moments import timestamp
from tenantmesh.interceptors.tenants import TenantId, TenantState
from tenantmesh.runtime.database import Connection, Record, compiled
from tenantmesh.tenant_svc.operations.tables import mesh_operations
from tenantmesh.tenant_svc.positions import positions
from tenantmesh.tenant_svc.purges.purge import PURGE, PurgeProgress, StoredPurge, subject_of
from tenantmesh.tenant_svc.purges.tables import purge_proofs
from tenantmesh.tenant_svc.tenants.repository import EVENTS_CHANNEL
from tenantmesh.tenant_svc.tenants.tables import tenant_tombstones, tenants

__all__ = [
    "add_proof",
    "announce",
    "begin",
    "count_jobs",
    "delete_jobs",
    "has_children",
    "is_announced",
    "is_due",
    "overdue",
    "page",
    "progress_before",
    "proof_of",
]

_this = tenants.c.tenant_id == bindparam("tenant_id", type_=Uuid)
_deleted = tenants.c.state == literal(TenantState.DELETED.value)

# Through the tenant's door

_IS_DUE = compiled(
    select(tenants.c.tenant_id).where(
        _this,
        _deleted,
        or_(tenants.c.purge_time <= func.now(), tenants.c.purge_start_time.is_not(None)),
    )
)
_BEGIN = compiled(
    update(tenants)
    .where(_this, _deleted)
    .values(purge_start_time=func.coalesce(tenants.c.purge_start_time, func.statement_timestamp()))
    .returning(tenants.c.delete_actor, tenants.c.delete_time)
)


async def is_due(connection: Connection, tenant_id: TenantId) -> bool:
    """Return whether the tenant is deleted and its grace period over, or its purge begun."""
    return await connection.fetch_row(_IS_DUE, tenant_id=tenant_id) is not None


async def begin(connection: Connection, tenant_id: TenantId) -> Mapping[str, str] | None:
    """Store that the tenant is being destroyed, so that it can't be brought back. Return who deleted it, and when; None
    when it is not deleted."""
    row = await connection.fetch_row(_BEGIN, tenant_id=tenant_id)
    if row is None:
        return None
    return {"actor": row["delete_actor"] or "", "time": timestamp(row["delete_time"]).ToJsonString()}


# Through the door of the role that works on jobs

_queue = Table(
    "pgqueuer",
    MetaData(schema="jobs"),
    Column("id", Integer),
    Column("payload", LargeBinary),
    Column("traceback", Text),
)
# As a range, which an index serves: what begins with the prefix comes before the next text of its length.
_about_tenant = and_(
    _queue.c.payload >= bindparam("prefix", type_=LargeBinary), _queue.c.payload < bindparam("after", type_=LargeBinary)
)
_COUNT_JOBS = compiled(select(func.count().label("jobs")).select_from(_queue).where(_about_tenant))
_DELETE_JOBS = compiled(
    text(
        """
        WITH gone AS (
            DELETE FROM jobs.pgqueuer
            WHERE payload >= CAST(:prefix AS bytea) AND payload < CAST(:after AS bytea) RETURNING id
        ), said AS (
            DELETE FROM jobs.pgqueuer_log WHERE id = ANY (ARRAY(
                SELECT id FROM jobs.pgqueuer_log WHERE job_id = ANY (ARRAY(SELECT id FROM gone))
                UNION
                SELECT id FROM jobs.pgqueuer_log
                WHERE traceback IS NOT NULL AND position(CAST(:tenant AS text) IN traceback::text) > 0
            ))
            RETURNING id
        )
        SELECT (SELECT count(*) FROM gone) AS jobs, (SELECT count(*) FROM said) AS lines
        """
    ).bindparams(*(bindparam(name, type_=LargeBinary) for name in ("prefix", "after")), bindparam("tenant", type_=Text))
)


def _jobs_of(tenant_id: TenantId) -> dict[str, bytes]:
    """Return the range of payloads that begin with the tenant's name and a slash."""
    name = subject_of(tenant_id).encode()
    return {"prefix": name + b"/", "after": name + bytes([ord("/") + 1])}


async def count_jobs(connection: Connection, tenant_id: TenantId) -> int:
    """Return the number of jobs in the queue that name the tenant."""
    row = await connection.fetch_row(_COUNT_JOBS, **_jobs_of(tenant_id))
    return 0 if row is None else int(row["jobs"])


async def delete_jobs(connection: Connection, tenant_id: TenantId) -> int:
    """Delete the jobs that name the tenant, and what the log says about them. Return the number of jobs."""
    row = await connection.fetch_row(_DELETE_JOBS, **_jobs_of(tenant_id), tenant=str(tenant_id))
    return 0 if row is None else int(row["jobs"])


# Through the system door, across tenants

_ANNOUNCE = compiled(
    upsert(tenant_tombstones)
    .values(tenant_id=bindparam("tenant_id"), position=positions.next_value(), purge_time=func.statement_timestamp())
    .on_conflict_do_nothing()
    .returning(tenant_tombstones.c.position, func.pg_notify(EVENTS_CHANNEL, ""))
)
_ADD_PROOF = compiled(upsert(purge_proofs).on_conflict_do_nothing())
_PROOF_OF = compiled(select(purge_proofs).where(purge_proofs.c.tenant_id == bindparam("tenant_id", type_=Uuid)))
_PAGE = compiled(
    select(purge_proofs)
    .where(purge_proofs.c.tenant_id < bindparam("before", type_=Uuid))
    .order_by(purge_proofs.c.tenant_id.desc())
    .limit(bindparam("size", type_=Integer))
)
_IS_ANNOUNCED = compiled(
    select(tenant_tombstones.c.tenant_id).where(tenant_tombstones.c.tenant_id == bindparam("tenant_id", type_=Uuid))
)
_subject = func.concat("tenants/", cast(tenants.c.tenant_id, Text))
_tombstone_subject = func.concat("tenants/", cast(tenant_tombstones.c.tenant_id, Text))
_PROGRESS_BEFORE = compiled(
    select(mesh_operations.c.progress)
    .where(mesh_operations.c.type == literal(PURGE), mesh_operations.c.subject == bindparam("subject", type_=Text))
    # Before the announcement nothing is removed, and the tenant may have been brought back since: it is counted anew.
    .where(exists().where(tenant_tombstones.c.tenant_id == bindparam("tenant_id", type_=Uuid)))
    .order_by(mesh_operations.c.operation_id.desc())
    .limit(1)
)
_late = func.now() - bindparam("late", type_=Interval)


def _left_alone(subject: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition for tenants of which no purge is under way, or has ended lately."""
    lately = mesh_operations.c.end_time > func.now() - bindparam("pause", type_=Interval)
    return ~exists().where(
        mesh_operations.c.type == literal(PURGE),
        mesh_operations.c.subject == subject,
        or_(mesh_operations.c.end_time.is_(None), lately),
    )


_child = tenants.alias("child")
_HAS_CHILDREN = compiled(
    select(literal(value=True)).where(_child.c.parent_id == bindparam("tenant_id", type_=Uuid)).limit(1)
)
_OVERDUE = compiled(
    union(
        select(tenants.c.tenant_id).where(
            _deleted,
            ~exists().where(_child.c.parent_id == tenants.c.tenant_id),
            or_(tenants.c.purge_time < _late, tenants.c.purge_start_time < _late),
            _left_alone(_subject),
        ),
        select(tenant_tombstones.c.tenant_id).where(
            ~exists().where(purge_proofs.c.tenant_id == tenant_tombstones.c.tenant_id),
            _left_alone(_tombstone_subject),
        ),
    ).limit(bindparam("size", type_=Integer))
)


async def announce(connection: Connection, tenant_id: TenantId) -> None:
    """Append the event PURGED to the log of tenants, unless it is there. Call after `lock_log`. Listeners are notified
    when this transaction commits."""
    await connection.execute(_ANNOUNCE, tenant_id=tenant_id)


async def is_announced(connection: Connection, tenant_id: TenantId) -> bool:
    """Return whether the log has the event PURGED of the tenant."""
    return await connection.fetch_row(_IS_ANNOUNCED, tenant_id=tenant_id) is not None


async def has_children(connection: Connection, tenant_id: TenantId) -> bool:
    """Return whether a tenant has this one as its parent. One that is deleted may come back, and names its parent."""
    return await connection.fetch_row(_HAS_CHILDREN, tenant_id=tenant_id) is not None


async def add_proof(connection: Connection, purge: StoredPurge) -> None:
    """Store the proof, unless the tenant has one."""
    await connection.execute(
        _ADD_PROOF,
        tenant_id=purge.tenant_id,
        operation_id=purge.operation_id,
        purge_time=purge.purge_time,
        kid=purge.kid,
        proof=purge.proof,
        signature=purge.signature,
    )


async def proof_of(connection: Connection, tenant_id: TenantId) -> StoredPurge | None:
    """Return the proof of the tenant's purge; None without one."""
    row = await connection.fetch_row(_PROOF_OF, tenant_id=tenant_id)
    return None if row is None else _purge_of(row)


async def page(connection: Connection, before: uuid.UUID, size: int) -> list[StoredPurge]:
    """Return the proofs of tenants before that id, newest tenants first. Ids are UUIDv7s."""
    return [_purge_of(row) for row in await connection.fetch(_PAGE, before=before, size=size)]


async def progress_before(connection: Connection, tenant_id: TenantId) -> PurgeProgress:
    """Return the progress of the tenant's last purge, which has failed after its announcement; an empty one without
    it."""
    row = await connection.fetch_row(_PROGRESS_BEFORE, subject=subject_of(tenant_id), tenant_id=tenant_id)
    return PurgeProgress() if row is None else PurgeProgress.from_json(json.loads(row["progress"]))


async def overdue(connection: Connection, late: timedelta, pause: timedelta, size: int) -> list[TenantId]:
    """Return tenants whose purge should have begun `late` ago, or has begun and not ended. Leave out those of which a
    purge is under way, or has ended within the `pause`, and those with tenants below them."""
    rows = await connection.fetch(_OVERDUE, late=late, pause=pause, size=size)
    return [TenantId(row["tenant_id"]) for row in rows]


def _purge_of(row: Record) -> StoredPurge:
    return StoredPurge(
        tenant_id=TenantId(row["tenant_id"]),
        operation_id=row["operation_id"],
        purge_time=row["purge_time"],
        kid=row["kid"],
        proof=row["proof"],
        signature=row["signature"],
    )
