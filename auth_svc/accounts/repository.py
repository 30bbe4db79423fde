"""Users in the database."""

from __future__ import annotations

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from tenantmesh.auth_svc.accounts.accounts import Credentials, NewAccount, User, UserId
from tenantmesh.auth_svc.accounts.tables import USERS
from tenantmesh.auth_svc.gauges import repository as gauges
from tenantmesh.auth_svc.gauges.gauge import USERS as USERS_GAUGE
from tenantmesh.auth_svc.gauges.gauge import require_room
from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Record, compiled

__all__ = ["UserRepository", "user_of"]

# The row of an account that exists is written without being changed: a conflict that wrote nothing would skip the wait
# for the disk, and the time of the answer would tell that the address is known. So is the count of users.
_INSERT = insert(USERS)
_ADD = compiled(
    _INSERT.on_conflict_do_update(
        constraint="users_email_key", set_={"email_normalised": _INSERT.excluded.email_normalised}
    ).returning(USERS.c.user_id)
)
_COLUMNS = (
    USERS.c.tenant_id,
    USERS.c.user_id,
    USERS.c.email,
    USERS.c.display_name,
    USERS.c.roles,
    USERS.c.epoch,
    USERS.c.create_time,
)
_BY_ID = compiled(
    select(*_COLUMNS).where(USERS.c.tenant_id == bindparam("tenant_id"), USERS.c.user_id == bindparam("user_id"))
)
_CREDENTIALS = compiled(
    select(*_COLUMNS, USERS.c.password_hash).where(
        USERS.c.tenant_id == bindparam("tenant_id"), USERS.c.email_normalised == bindparam("email_normalised")
    )
)
_REPLACE_HASH = compiled(
    update(USERS)
    .where(
        USERS.c.tenant_id == bindparam("of_tenant"),
        USERS.c.user_id == bindparam("of_user"),
        USERS.c.password_hash == bindparam("old"),
    )
    .values(password_hash=bindparam("new"))
)


class UserRepository:
    """As UserStore, and as CredentialStore of the sessions."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def add(self, account: NewAccount, limit: int | None) -> None:
        """Stores the account and counts it, or writes the existing one and the count as they are. Raises GaugeFull."""
        user = account.user
        async with self._doors.tenant(user.tenant_id) as connection:
            require_room(await gauges.hold(connection, user.tenant_id, USERS_GAUGE), limit)
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
            added = row is not None and row["user_id"] == user.id
            await gauges.lift(connection, user.tenant_id, USERS_GAUGE, int(added))

    async def by_id(self, tenant_id: TenantId, user_id: UserId) -> User | None:
        """The user, or None."""
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            row = await connection.fetch_row(_BY_ID, tenant_id=tenant_id, user_id=user_id)
        return None if row is None else user_of(row)

    async def credentials(self, tenant_id: TenantId, email_normalised: str) -> Credentials | None:
        """The user with this address and the hash of its password, or None."""
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            row = await connection.fetch_row(_CREDENTIALS, tenant_id=tenant_id, email_normalised=email_normalised)
        return None if row is None else Credentials(user_of(row), row["password_hash"])

    async def replace_hash(self, credentials: Credentials, password_hash: str) -> None:
        """Stores another hash of the same password, unless the password was changed meanwhile."""
        user = credentials.user
        async with self._doors.tenant(user.tenant_id) as connection:
            await connection.execute(
                _REPLACE_HASH,
                of_tenant=user.tenant_id,
                of_user=user.id,
                old=credentials.password_hash,
                new=password_hash,
            )


def user_of(row: Record) -> User:
    """The user in a row that has the user's columns."""
    return User(
        id=UserId(row["user_id"]),
        tenant_id=TenantId(row["tenant_id"]),
        email=row["email"],
        display_name=row["display_name"],
        roles=tuple(row["roles"]),
        epoch=row["epoch"],
        create_time=row["create_time"],
    )
