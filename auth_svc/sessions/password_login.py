"""Signing in with an e-mail address and a password."""

from __future__ import annotations

from tenantmesh.auth_svc.accounts import repository as accounts
from tenantmesh.auth_svc.accounts.user import PasswordCredential, User
from tenantmesh.auth_svc.passwords.hashing import Hashing
from tenantmesh.auth_svc.passwords.passwords import normalise
from tenantmesh.auth_svc.sessions.attempts import LoginAttempts
from tenantmesh.auth_svc.sessions.failures import FailedLogins
from tenantmesh.auth_svc.sessions.sessions import Sessions, SignedIn
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.emails import EmailRefused, parse_email
from tenantmesh.chassis.requests import refuse
from tenantmesh.interceptors.errors import Unauthenticated
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["PasswordLogin"]

MAX_SENT_PASSWORD = 1024
"""The most characters of a sent password that are normalised: far more than any password may have."""


class PasswordLogin:
    """Verifies a password, and begins a session.

    An attempt is reserved when the turn to hash has come, before the password is hashed, so that a caller who is
    refused a turn loses no attempt. No transaction is open during a turn, or while one waits for it.
    """

    def __init__(
        self, doors: Doors, hashing: Hashing, attempts: LoginAttempts, failures: FailedLogins, sessions: Sessions
    ) -> None:
        self._doors = doors
        self._hashing = hashing
        self._attempts = attempts
        self._failures = failures
        self._sessions = sessions

    async def login(self, tenant_id: TenantId, email: str, password: str, network: str) -> SignedIn:
        """Begin a session. An unknown address and a wrong password get the same answer after the same work.

        Raises Unauthenticated `INVALID_CREDENTIALS`, InvalidArgument, ResourceExhausted, and Unavailable.
        """
        address = _checked(email, password)
        self._failures.check(tenant_id, network)
        return await self._sessions.begin(await self._verified(tenant_id, address, normalise(password), network))

    async def _verified(self, tenant_id: TenantId, address: str, password: str, network: str) -> User:
        """Return the user with this address and this password. Raises Unauthenticated."""
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            found = await accounts.credential(connection, tenant_id, address)
        async with self._hashing.turn(tenant_id, network) as turn:
            await self._attempts.reserve(tenant_id, address)
            verdict = await turn.verify(password, found.password_hash if found else None)
            renewed = await turn.hash(password) if verdict.outdated else None
        if found is None or not verdict.matches:
            await self._failures.add(tenant_id, network)
            raise Unauthenticated(
                "INVALID_CREDENTIALS",
                "The address or the password is wrong. Check both, and the tenant, and try again.",
            )
        if renewed is not None:
            await self._store(found, renewed)
        return found.user

    async def _store(self, verified: PasswordCredential, password_hash: str) -> None:
        """Store a hash with the current parameters."""
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
