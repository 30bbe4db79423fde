"""The wiring of sessions: signing in with a password, and refreshing a session."""

from __future__ import annotations

from dataclasses import dataclass

from tenantmesh.auth.v1 import auth_service_pb2
from tenantmesh.auth_svc.passwords.hashing import Hashing
from tenantmesh.auth_svc.resources import AuthResources
from tenantmesh.auth_svc.sessions import tables
from tenantmesh.auth_svc.sessions.attempt_rates import AttemptRates, LoginCounts
from tenantmesh.auth_svc.sessions.attempts import LoginAttempts
from tenantmesh.auth_svc.sessions.failures import FailedLogins, FailureLimits
from tenantmesh.auth_svc.sessions.password_login import PasswordLogin
from tenantmesh.auth_svc.sessions.refresh_tokens import RefreshTokens
from tenantmesh.auth_svc.sessions.servicer import SessionServicer
from tenantmesh.auth_svc.sessions.session import SessionLifetimes
from tenantmesh.auth_svc.sessions.sessions import Sessions
from tenantmesh.auth_svc.tokens.tokens import AccessTokens
from tenantmesh.chassis.capability import Capability, TenantPart
from tenantmesh.interceptors.backends.redis.rate_limiter import RedisRateLimiter
from tenantmesh.interceptors.limits import parse_rate

__all__ = ["PART", "build"]

_SERVICE = auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"]
PART = TenantPart(
    tables=(tables.sessions,), not_exported={"sessions": "they are credentials of this mesh; people sign in again"}
)


@dataclass(frozen=True, kw_only=True)
class SessionsCapability(Capability):
    """`sessions` are the use cases."""

    sessions: Sessions


def build(resources: AuthResources, hashing: Hashing, access: AccessTokens) -> SessionsCapability:
    """Build the capability. `access` issues the access tokens of a session."""
    given = resources.settings.sessions
    lifetimes = SessionLifetimes(given.idle, given.absolute, given.grace)
    sessions = Sessions(resources.doors, resources.tenants, access, RefreshTokens(resources.kek), lifetimes)
    login = PasswordLogin(resources.doors, hashing, *_limits(resources), sessions)
    return SessionsCapability(
        name="sessions", servicers={_SERVICE: SessionServicer(login, sessions)}, part=PART, sessions=sessions
    )


def _limits(resources: AuthResources) -> tuple[LoginAttempts, FailedLogins]:
    given, counts = resources.settings.logins, LoginCounts()
    resources.telemetry.counters("tenantmesh_logins", counts)
    rates = AttemptRates(RedisRateLimiter(resources.redis))
    failures = FailureLimits(parse_rate(given.failures), parse_rate(given.address_failures))
    return LoginAttempts(rates, counts), FailedLogins(rates, counts, failures)
