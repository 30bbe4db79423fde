"""The SQL of users. Every function needs the tenant's door, which the use case opens."""

from __future__ import annotations

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from tenantmesh.auth_svc.accounts.tables import users
from tenantmesh.auth_svc.accounts.user import NewAccount, PasswordCredential, User, UserId
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, Record, compiled

__all__ = ["add", "by_id", "credential", "replace_hash", "user_of"]

# The row of an existing account is written without being changed. A conflict that wrote nothing would skip the wait for
# the disk, and the time of the answer would tell that the address is known.
_INSERT = insert(users)
_ADD = compiled(
    _INSERT.on_conflict_do_update(
        constraint="users_email_key", set_={"email_normalised": _INSERT.excluded.email_normalised}
    ).returning(users.c.user_id)
)
_COLUMNS = (
    users.c.tenant_id,
    users.c.user_id,
    users.c.email,
    users.c.display_name,
    users.c.roles,
    users.c.epoch,
    users.c.create_time,
)
_BY_ID = compiled(
    select(*_COLUMNS).where(users.c.tenant_id == bindparam("tenant_id"), users.c.user_id == bindparam("user_id"))
)
_CREDENTIAL = compiled(
    select(*_COLUMNS, users.c.password_hash).where(
        users.c.tenant_id == bindparam("tenant_id"), users.c.email_normalised == bindparam("email_normalised")
    )
)
_REPLACE_HASH = compiled(
    update(users)
    .where(
        users.c.tenant_id == bindparam("of_tenant"),
        users.c.user_id == bindparam("of_user"),
        users.c.password_hash == bindparam("old"),
    )
    .values(password_hash=bindparam("new"))
)


async def add(connection: Connection, account: NewAccount) -> bool:
    """Store the account, and return True. Return False when the address has one: that stays as it is."""
    user = account.user
    row = await connection.fetch_row(
        _ADD,
        tenant_id=user.tenant_id,
        user_id=user.id,
        email=user.email,
        email_normalised=account.email_normalised,
        display_name=user.display_name,
        password_hash=account.password_hash,
        roles=list(user.roles),
        epoch=user.epoch,
        create_time=user.create_time,
    )
    return row is not None and bool(row["user_id"] == user.id)


async def by_id(connection: Connection, tenant_id: TenantId, user_id: UserId) -> User | None:
    """Return the user with this id, or None."""
    row = await connection.fetch_row(_BY_ID, tenant_id=tenant_id, user_id=user_id)
    return None if row is None else user_of(row)


async def credential(connection: Connection, tenant_id: TenantId, email_normalised: str) -> PasswordCredential | None:
    """Return the user with this normalised address and the hash of the password, or None."""
    row = await connection.fetch_row(_CREDENTIAL, tenant_id=tenant_id, email_normalised=email_normalised)
    return None if row is None else PasswordCredential(user_of(row), row["password_hash"])


async def replace_hash(connection: Connection, verified: PasswordCredential, password_hash: str) -> None:
    """Store another hash of the password that was verified, unless the password has changed since."""
    await connection.execute(
        _REPLACE_HASH,
        of_tenant=verified.user.tenant_id,
        of_user=verified.user.id,
        old=verified.password_hash,
        new=password_hash,
    )


def user_of(row: Record) -> User:
    """Make the user of a row that has the columns of a user."""
    return User(
        id=UserId(row["user_id"]),
        tenant_id=TenantId(row["tenant_id"]),
        email=row["email"],
        display_name=row["display_name"],
        roles=tuple(row["roles"]),
        epoch=row["epoch"],
        create_time=row["create_time"],
    )
