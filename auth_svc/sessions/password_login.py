"""Signing in with an e-mail address and a password."""

from __future__ import annotations

from tenantmesh.auth_svc.accounts import repository as accounts
from tenantmesh.auth_svc.accounts.emails import EmailRefused, parse_email
from tenantmesh.auth_svc.accounts.user import PasswordCredential, User
from tenantmesh.auth_svc.passwords.hashing import Hashing
from tenantmesh.auth_svc.passwords.passwords import normalise
from tenantmesh.auth_svc.sessions.attempts import LoginAttempts
from tenantmesh.auth_svc.sessions.sessions import Sessions, SignedIn
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.requests import refuse
from tenantmesh.interceptors.errors import Unauthenticated
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["PasswordLogin"]

MAX_SENT_PASSWORD = 1024
"""The most characters of a sent password that are normalised: far more than any password may have."""


class PasswordLogin:
    """Verifies a password, and begins a session.

    An attempt is reserved before the password is hashed, and no transaction is open while it is.
    """

    def __init__(self, doors: Doors, hashing: Hashing, attempts: LoginAttempts, sessions: Sessions) -> None:
        self._doors = doors
        self._hashing = hashing
        self._attempts = attempts
        self._sessions = sessions

    async def login(self, tenant_id: TenantId, email: str, password: str) -> SignedIn:
        """Begin a session. An unknown address and a wrong password get the same answer after the same work.

        Raises Unauthenticated `INVALID_CREDENTIALS`, InvalidArgument, ResourceExhausted, and Unavailable.
        """
        address = _checked(email, password)
        await self._attempts.reserve(tenant_id, address)
        return await self._sessions.begin(await self._verified(tenant_id, address, normalise(password)))

    async def _verified(self, tenant_id: TenantId, address: str, password: str) -> User:
        """Return the user with this address and this password. Raises Unauthenticated."""
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            found = await accounts.credential(connection, tenant_id, address)
        verdict = await self._hashing.verify(password, found.password_hash if found else None)
        if found is None or not verdict.matches:
            raise Unauthenticated(
                "INVALID_CREDENTIALS",
                "The address or the password is wrong. Check both, and the tenant, and try again.",
            )
        if verdict.outdated:
            await self._rehash(found, password)
        return found.user

    async def _rehash(self, verified: PasswordCredential, password: str) -> None:
        """Store a hash with the current parameters."""
        password_hash = await self._hashing.hash(password)
        async with self._doors.tenant(verified.user.tenant_id) as connection:
            await accounts.replace_hash(connection, verified, password_hash)


def _checked(email: str, password: str) -> str:
    """Return the normalised address. Raises InvalidArgument, which lists all fields that break a rule."""
    normalised, problem = "", None
    try:
        normalised = parse_email(email).normalised
    except EmailRefused as refused:
        problem = str(refused)
    refuse({"email": problem, "password": _password_problem(password)})
    return normalised


def _password_problem(password: str) -> str | None:
    if not password:
        return "is required"
    return None if len(password) <= MAX_SENT_PASSWORD else f"must have at most {MAX_SENT_PASSWORD} characters"
