"""Registering people and knowing them. Signing in lives in `sessions`."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NewType, Protocol

from tenantmesh.auth_svc.accounts.emails import EmailAddress, EmailRefused, parse_email
from tenantmesh.auth_svc.gauges.gauge import USERS, GaugeFull, limit_reached
from tenantmesh.auth_svc.passwords.hashing import Hashing
from tenantmesh.auth_svc.passwords.passwords import LENGTH, PasswordRules, normalise
from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument, Unauthenticated
from tenantmesh.interceptors.tenants import TenantId, TenantRecord
from tenantmesh.runtime.ids import uuid7

__all__ = ["FIRST_ROLES", "Accounts", "Credentials", "NewAccount", "Registration", "User", "UserId", "UserStore"]

UserId = NewType("UserId", uuid.UUID)

FIRST_ROLES = ("member",)
"""What somebody who registers may do; more is granted by others."""

PRODUCT = "tenantmesh"
MAX_DISPLAY_NAME = 200
MAX_WRITTEN = 1024
"""Characters of what a client sent, as it sent it; normalised forms have limits of their own."""


@dataclass(frozen=True, slots=True)
class User:
    """A person in one tenant."""

    id: UserId
    tenant_id: TenantId
    email: str
    """As written."""
    display_name: str
    roles: tuple[str, ...]
    epoch: int
    create_time: datetime


@dataclass(frozen=True, slots=True)
class NewAccount:
    """A user about to be stored, with the two things that never leave the store as they are."""

    user: User
    email_normalised: str
    password_hash: str

    def __repr__(self) -> str:
        return f"NewAccount(user={self.user.id})"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and what proves to be them."""

    user: User
    password_hash: str

    def __repr__(self) -> str:
        return f"Credentials(user={self.user.id})"


@dataclass(frozen=True, slots=True)
class Registration:
    """What somebody who wants an account sent, unchecked."""

    email: str
    password: str
    display_name: str

    def __repr__(self) -> str:
        return "Registration(…)"


class UserStore(Protocol):
    """Keeps users."""

    async def add(self, account: NewAccount, limit: int | None) -> None:
        """Must store the account and count it, at once, or leave the one that has this address as it is, uncounted, and
        take as long.

        Must raise GaugeFull and store nothing when the tenant has `limit` users or more, before it looks at the
        address: a refusal must not tell who has an account. None is unlimited. Raises Unavailable.
        """
        ...

    async def by_id(self, tenant_id: TenantId, user_id: UserId) -> User | None:
        """Must return the user, or None. Raises Unavailable."""
        ...


class Accounts:
    """The use cases of accounts."""

    def __init__(
        self,
        users: UserStore,
        rules: PasswordRules,
        hashing: Hashing,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_change` is told that the number of users may have changed."""
        self._users = users
        self._rules = rules
        self._hashing = hashing
        self._clock = clock
        self._on_change = on_change

    async def register(self, tenant: TenantRecord, registration: Registration, limit: int | None) -> None:
        """Creates an account, unless the address has one; the caller can't tell which, by the answer or the time.

        A tenant that has `limit` users takes none, neither a new address nor one that is known; None is unlimited.
        Raises InvalidArgument naming every field that breaks a rule, ResourceExhausted `LIMIT_REACHED` or
        `HASHING_BUSY`, Unavailable.
        """
        email, password, display_name = self._checked(tenant, registration)
        password_hash = await self._hashing.hash(password)
        user = User(
            id=UserId(uuid7()),
            tenant_id=tenant.id,
            email=email.written,
            display_name=display_name,
            roles=FIRST_ROLES,
            epoch=0,
            create_time=self._clock(),
        )
        try:
            await self._users.add(NewAccount(user, email.normalised, password_hash), limit)
        except GaugeFull as full:
            raise limit_reached(USERS, full, tenant) from full
        self._on_change()

    async def me(self, tenant_id: TenantId, user_id: UserId) -> User:
        """The user. Raises Unauthenticated when the account is gone, for then the token speaks for nobody."""
        user = await self._users.by_id(tenant_id, user_id)
        if user is None:
            raise Unauthenticated("CREDENTIALS_INVALID", "This access token's account does not exist. Sign in again.")
        return user

    def _checked(self, tenant: TenantRecord, sent: Registration) -> tuple[EmailAddress, str, str]:
        """The usable values. Raises InvalidArgument naming everything that is wrong at once."""
        email: EmailAddress | None = None
        broken: list[FieldViolation] = []
        try:
            email = parse_email(sent.email)
        except EmailRefused as refused:
            broken.append(FieldViolation("email", str(refused)))
        password, refusal = self._checked_password(tenant, sent)
        if refusal is not None:
            broken.append(FieldViolation("password", refusal))
        if (refusal := _display_name_refusal(sent.display_name)) is not None:
            broken.append(FieldViolation("display_name", refusal))
        if email is None or broken:
            raise InvalidArgument.fields(broken)
        return email, password, sent.display_name.strip() or email.local_part

    def _checked_password(self, tenant: TenantRecord, sent: Registration) -> tuple[str, str | None]:
        """The normalised password, and why it is refused or None."""
        # Before anything else: normalising takes the square of the length of a run of combining marks, so that a
        # megabyte would hold the process for minutes.
        if len(sent.password) > MAX_WRITTEN:
            return "", f"must have at most {LENGTH.stop - 1} characters"
        password = normalise(sent.password)
        known_by = (sent.email[:MAX_WRITTEN], sent.display_name[:MAX_DISPLAY_NAME], tenant.slug, PRODUCT)
        return password, self._rules.refusal(password, known_by)


def _display_name_refusal(name: str) -> str | None:
    if len(name) > MAX_DISPLAY_NAME:
        return f"must have at most {MAX_DISPLAY_NAME} characters"
    # Control and line-separating characters would forge lines wherever the name is shown.
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in name):
        return "must be one line of text"
    return None
