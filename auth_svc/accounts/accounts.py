"""The use cases of accounts: register a person, and return the caller's own account. Knows neither gRPC nor SQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from tenantmesh.auth_svc.accounts import repository
from tenantmesh.auth_svc.accounts.registration import CheckedRegistration, Registration, checked
from tenantmesh.auth_svc.accounts.user import NewAccount, User, UserId
from tenantmesh.auth_svc.gauges import repository as gauges
from tenantmesh.auth_svc.gauges.gauge import USERS, GaugeFull, limit_reached, require_room
from tenantmesh.auth_svc.passwords.hashing import Hashing
from tenantmesh.auth_svc.passwords.passwords import PasswordRules
from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import Unauthenticated
from tenantmesh.interceptors.tenants import TenantId, TenantRecord
from tenantmesh.runtime.ids import uuid7

__all__ = ["Accounts"]

FIRST_ROLES = ("member",)
"""The roles of a person who has just registered."""


class Accounts:
    """The use cases. All raise Unavailable when the database can't be reached."""

    def __init__(
        self,
        doors: Doors,
        rules: PasswordRules,
        hashing: Hashing,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_change` is called after each registration: the number of users may have changed."""
        self._doors = doors
        self._rules = rules
        self._hashing = hashing
        self._clock = clock
        self._on_change = on_change

    async def register(self, tenant: TenantRecord, registration: Registration, limit: int | None, network: str) -> None:
        """Create an account, unless the address has one. Neither the answer nor its time tells which.

        A tenant with `limit` users accepts no registration, whether the address is known or not; None is unlimited.
        Raises InvalidArgument, and ResourceExhausted `LIMIT_REACHED` or `HASHING_BUSY`.
        """
        accepted = checked(registration, tenant, self._rules)
        async with self._hashing.turn(tenant.id, network) as turn:
            password_hash = await turn.hash(accepted.password)
        account = NewAccount(self._new_user(tenant.id, accepted), accepted.email.normalised, password_hash)
        try:
            await self._store(account, limit)
        except GaugeFull as full:
            raise limit_reached(USERS, full, tenant) from full
        self._on_change()

    async def me(self, tenant_id: TenantId, user_id: UserId) -> User:
        """Return the user. Raises Unauthenticated when the account is gone: the access token then has no subject."""
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            user = await repository.by_id(connection, tenant_id, user_id)
        if user is None:
            raise Unauthenticated("CREDENTIALS_INVALID", "This access token's account does not exist. Sign in again.")
        return user

    def _new_user(self, tenant_id: TenantId, accepted: CheckedRegistration) -> User:
        return User(
            id=UserId(uuid7()),
            tenant_id=tenant_id,
            email=accepted.email.written,
            display_name=accepted.display_name,
            roles=FIRST_ROLES,
            epoch=0,
            create_time=self._clock(),
        )

    async def _store(self, account: NewAccount, limit: int | None) -> None:
        """Store the account and count it in one transaction. Raises GaugeFull."""
        tenant_id = account.user.tenant_id
        async with self._doors.tenant(tenant_id) as connection:
            # The limit is checked before the address is looked at: a refusal must not tell who has an account.
            require_room(await gauges.hold(connection, tenant_id, USERS), limit)
            added = await repository.add(connection, account)
            # A known address raises the gauge by 0, so that both cases run the same statements and take as long.
            await gauges.lift(connection, tenant_id, USERS, int(added))
