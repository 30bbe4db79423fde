"""The SQL of set-up links, and nothing else. Each group of statements names its door, which the caller opens."""

from __future__ import annotations

import uuid

from sqlalchemy import Integer, Interval, bindparam, delete, func, insert, select, update

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, Record, compiled
from tenantmesh.tenant_svc.setup_links.makers import LinkMaker
from tenantmesh.tenant_svc.setup_links.setup_link import LinkToken, NewSetupLink, SetupIntent, SetupLink
from tenantmesh.tenant_svc.setup_links.tables import setup_links
from tenantmesh.tenant_svc.tenants.tables import tenants

__all__ = ["create", "find", "forget_ended", "get_locked", "mark_used", "number_open", "page", "revoke"]

_now = func.statement_timestamp()
_row = (*(column for column in setup_links.c if column.name != "secret_hash"), _now.label("read_time"))
_own = setup_links.c.tenant_id == bindparam("of_tenant", type_=setup_links.c.tenant_id.type)
_this = (_own, setup_links.c.setup_link_id == bindparam("link_id", type_=setup_links.c.setup_link_id.type))
_open = (setup_links.c.use_time.is_(None), setup_links.c.revoke_time.is_(None), setup_links.c.expire_time > _now)

# Through the tenant's door

_INSERT = compiled(
    insert(setup_links)
    .values(
        tenant_id=bindparam("tenant_id"),
        setup_link_id=bindparam("setup_link_id"),
        secret_hash=bindparam("secret_hash"),
        intent=bindparam("intent"),
        note=bindparam("note"),
        actor=bindparam("actor"),
        key_id=bindparam("key_id"),
        create_time=_now,
        expire_time=func.least(
            _now + bindparam("lifetime", type_=Interval), bindparam("latest", type_=setup_links.c.expire_time.type)
        ),
        result="",
    )
    .returning(*_row)
)
_NUMBER_OPEN = compiled(select(func.count().label("number")).select_from(setup_links).where(_own, *_open))
_beyond = (
    select(setup_links.c.setup_link_id)
    .where(_own)
    .order_by(setup_links.c.setup_link_id.desc())
    .offset(bindparam("keep", type_=Integer))
)
_FORGET = compiled(delete(setup_links).where(_own, setup_links.c.setup_link_id.in_(_beyond)))
_GET_LOCKED = compiled(select(*_row).where(*_this).with_for_update())
_MARK_USED = compiled(update(setup_links).where(*_this).values(use_time=_now, result=bindparam("new_result")))
_REVOKE = compiled(update(setup_links).where(*_this).values(revoke_time=_now).returning(*_row))
_LIST = compiled(
    select(*_row)
    .where(_own, setup_links.c.setup_link_id < bindparam("before", type_=setup_links.c.setup_link_id.type))
    .order_by(setup_links.c.setup_link_id.desc())
    .limit(bindparam("size", type_=Integer))
)


async def create(
    connection: Connection,
    tenant_id: TenantId,
    link_id: uuid.UUID,
    new: NewSetupLink,
    token: LinkToken,
    maker: LinkMaker,
) -> SetupLink:
    """Store the link, with the hash of its token. It ends with the credential of its maker at the latest."""
    row = await connection.fetch_row(
        _INSERT,
        tenant_id=tenant_id,
        setup_link_id=link_id,
        secret_hash=token.hash,
        intent=new.intent.value,
        note=new.note,
        actor=maker.credential_id,
        key_id=maker.key_id,
        lifetime=new.lifetime,
        latest=maker.expire_time,
    )
    return _stored(row)


async def number_open(connection: Connection, tenant_id: TenantId) -> int:
    """Return how many of the tenant's links can be used."""
    row = await connection.fetch_row(_NUMBER_OPEN, of_tenant=tenant_id)
    return 0 if row is None else int(row["number"])


async def forget_ended(connection: Connection, tenant_id: TenantId, keep: int) -> None:
    """Delete the tenant's links but for the newest ones. Fewer than `keep` can be open."""
    await connection.execute(_FORGET, of_tenant=tenant_id, keep=keep)


async def get_locked(connection: Connection, tenant_id: TenantId, link_id: uuid.UUID) -> SetupLink | None:
    """Return the link, and lock its row until this transaction ends; None when the tenant does not have it."""
    row = await connection.fetch_row(_GET_LOCKED, of_tenant=tenant_id, link_id=link_id)
    return None if row is None else _link_of(row)


async def mark_used(connection: Connection, link: SetupLink, result: str) -> None:
    """Store that the step was done, and what it has added."""
    await connection.execute(_MARK_USED, of_tenant=link.tenant_id, link_id=link.id, new_result=result)


async def revoke(connection: Connection, link: SetupLink) -> SetupLink:
    """Store that the link, which is locked, is revoked, and return it."""
    return _stored(await connection.fetch_row(_REVOKE, of_tenant=link.tenant_id, link_id=link.id))


async def page(connection: Connection, tenant_id: TenantId, before: uuid.UUID, size: int) -> list[SetupLink]:
    """Return the tenant's links before that id, newest first. Ids are UUIDv7s."""
    rows = await connection.fetch(_LIST, of_tenant=tenant_id, before=before, size=size)
    return [_link_of(row) for row in rows]


# Through the system door

_FIND = compiled(
    select(*_row, tenants.c.display_name, tenants.c.state)
    .join(tenants, tenants.c.tenant_id == setup_links.c.tenant_id)
    .where(setup_links.c.secret_hash == bindparam("secret_hash"), *_open, tenants.c.state == "ACTIVE")
)


async def find(connection: Connection, token: LinkToken) -> tuple[SetupLink, str] | None:
    """Return the open link of the token with the name of its tenant; None where either can't be used."""
    row = await connection.fetch_row(_FIND, secret_hash=token.hash)
    return None if row is None else (_link_of(row), row["display_name"])


def _link_of(row: Record) -> SetupLink:
    return SetupLink(
        tenant_id=TenantId(row["tenant_id"]),
        id=row["setup_link_id"],
        intent=SetupIntent(row["intent"]),
        note=row["note"],
        actor=row["actor"],
        key_id=row["key_id"],
        create_time=row["create_time"],
        expire_time=row["expire_time"],
        use_time=row["use_time"],
        revoke_time=row["revoke_time"],
        result=row["result"],
        read_time=row["read_time"],
    )


def _stored(row: Record | None) -> SetupLink:
    if row is None:
        raise LookupError("a set-up link that this transaction has stored or locked is missing")
    return _link_of(row)
