"""The SQL of brandings, and nothing else. Each group of statements names its door, which the caller opens."""

from __future__ import annotations

import json
import uuid

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, Record, compiled
from tenantmesh.tenant_svc.branding.branding import INSTALLATION, Branding, StoredBranding
from tenantmesh.tenant_svc.branding.tables import brandings, default_branding

__all__ = ["get", "get_default", "get_default_locked", "of_owner", "store", "store_default"]

_this = brandings.c.tenant_id == bindparam("tenant_id", type_=brandings.c.tenant_id.type)

# Through the tenant's door

_GET = compiled(select(brandings).where(_this))
_new = insert(brandings).values(
    tenant_id=bindparam("tenant_id"),
    branding=bindparam("branding", type_=brandings.c.branding.type),
    version=1,
    update_time=func.statement_timestamp(),
)
_STORE = compiled(
    _new.on_conflict_do_update(
        index_elements=[brandings.c.tenant_id],
        set_={
            "branding": _new.excluded.branding,
            "version": brandings.c.version + 1,
            "update_time": func.statement_timestamp(),
        },
    ).returning(*brandings.c)
)


async def get(connection: Connection, tenant_id: TenantId) -> StoredBranding:
    """Return the tenant's branding; an empty one of version 0 before the first change."""
    row = await connection.fetch_row(_GET, tenant_id=tenant_id)
    return StoredBranding(tenant_id) if row is None else _stored(tenant_id, row)


async def store(connection: Connection, tenant_id: TenantId, branding: Branding) -> StoredBranding:
    """Store the tenant's branding in place of the one before."""
    row = await connection.fetch_row(_STORE, tenant_id=tenant_id, branding=branding.to_json())
    return _stored(tenant_id, _found(row))


# Through the system door

_GET_DEFAULT = compiled(select(default_branding))
_GET_DEFAULT_LOCKED = compiled(select(default_branding).with_for_update())
_STORE_DEFAULT = compiled(
    update(default_branding)
    .values(
        branding=bindparam("new_branding", type_=default_branding.c.branding.type),
        version=default_branding.c.version + 1,
        update_time=func.statement_timestamp(),
    )
    .returning(*default_branding.c)
)
_OF_OWNER = compiled(
    select(
        default_branding.c.branding.label("default_branding"),
        brandings.c.branding,
    ).select_from(default_branding.outerjoin(brandings, _this))
)


async def get_default(connection: Connection) -> StoredBranding:
    """Return the branding of the installation."""
    return _stored(INSTALLATION, _found(await connection.fetch_row(_GET_DEFAULT)))


async def get_default_locked(connection: Connection) -> StoredBranding:
    """Return the branding of the installation, and lock its row until this transaction ends."""
    return _stored(INSTALLATION, _found(await connection.fetch_row(_GET_DEFAULT_LOCKED)))


async def store_default(connection: Connection, branding: Branding) -> StoredBranding:
    """Store the branding of the installation in place of the one before."""
    row = await connection.fetch_row(_STORE_DEFAULT, new_branding=branding.to_json())
    return _stored(INSTALLATION, _found(row))


async def of_owner(connection: Connection, owner: uuid.UUID) -> tuple[Branding, Branding]:
    """Return the owner's branding, empty without one, and the installation's. It is one read, also for a tenant that
    does not exist."""
    row = _found(await connection.fetch_row(_OF_OWNER, tenant_id=owner))
    own = "{}" if row["branding"] is None else row["branding"]
    return Branding.from_json(json.loads(own)), Branding.from_json(json.loads(row["default_branding"]))


def _stored(owner: uuid.UUID, row: Record) -> StoredBranding:
    return StoredBranding(owner, Branding.from_json(json.loads(row["branding"])), row["version"], row["update_time"])


def _found(row: Record | None) -> Record:
    if row is None:
        raise LookupError("the row of a branding that this transaction has stored, or of the default one, is missing")
    return row
