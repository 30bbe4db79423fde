"""Puts auth_svc together. The only file that constructs things."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta

from tenantmesh.auth.v1 import auth_service_pb2, token_service_pb2
from tenantmesh.auth.v1.auth_service_pb2_grpc import add_AuthServiceServicer_to_server
from tenantmesh.auth.v1.token_service_pb2_grpc import add_TokenServiceServicer_to_server
from tenantmesh.auth_svc.accounts.accounts import Accounts
from tenantmesh.auth_svc.accounts.servicer import AccountServicer
from tenantmesh.auth_svc.api_keys.api_keys import SystemKeys
from tenantmesh.auth_svc.gauges.outbox import GaugeOutbox
from tenantmesh.auth_svc.gauges.reports import GrpcGaugeReports
from tenantmesh.auth_svc.passwords.hashing import Hashing, default_hasher
from tenantmesh.auth_svc.passwords.passwords import PasswordRules
from tenantmesh.auth_svc.schema import OUTAGE, SCHEMA, metadata
from tenantmesh.auth_svc.servicers import AuthServicer
from tenantmesh.auth_svc.sessions.attempts import LoginAttempts
from tenantmesh.auth_svc.sessions.password_login import PasswordLogin
from tenantmesh.auth_svc.sessions.refresh_tokens import RefreshTokens
from tenantmesh.auth_svc.sessions.servicer import SessionServicer
from tenantmesh.auth_svc.sessions.session import SessionLifetimes
from tenantmesh.auth_svc.sessions.sessions import Sessions
from tenantmesh.auth_svc.settings import AuthSettings
from tenantmesh.auth_svc.tokens.servicer import TokenServicer
from tenantmesh.auth_svc.tokens.signing_key import KeySchedule
from tenantmesh.auth_svc.tokens.signing_keys import KeyRing
from tenantmesh.auth_svc.tokens.tokens import AccessTokens, Discovery, Introspection
from tenantmesh.chassis.chain import make_chain, make_mesh, to_tenant_svc
from tenantmesh.chassis.contract import CONTRACT
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.outbox import Relay
from tenantmesh.interceptors import Chain, ChainPorts, TenantDirectory
from tenantmesh.interceptors.backends.redis.quota_pool import RedisQuotaPool
from tenantmesh.interceptors.backends.redis.rate_limiter import RedisRateLimiter
from tenantmesh.interceptors.backends.redis.rate_store import RedisRateStore
from tenantmesh.interceptors.directories.entitlements import EntitlementDirectory
from tenantmesh.interceptors.leases.allowances import LeasedQuota
from tenantmesh.interceptors.leases.rates import LeasedRateLimiter
from tenantmesh.interceptors.tokens import JwtVerifier
from tenantmesh.runtime import redis_client, row_security
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.encryption import read_kek
from tenantmesh.runtime.health import Check, Health
from tenantmesh.runtime.server import Application
from tenantmesh.runtime.telemetry import Telemetry
from tenantmesh.runtime.telemetry.spans import CallSpans

__all__ = ["AuthApp", "build"]

SERVICES = (
    auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"],
    token_service_pb2.DESCRIPTOR.services_by_name["TokenService"],
)
NAMES = tuple(service.full_name for service in SERVICES)
REPORT_INTERVAL = timedelta(seconds=5)
"""How often a process looks for levels that others have left untold."""


async def build(settings: AuthSettings, telemetry: Telemetry) -> Application:
    """The service, made but not started. Raises KekRefused, or ValueError for settings that are missing."""
    app = AuthApp(settings, telemetry)
    return Application(
        services=[
            (add_AuthServiceServicer_to_server, app.auth_servicer()),
            (add_TokenServiceServicer_to_server, app.token_servicer()),
        ],
        interceptors=[app.chain.aio_interceptor()],
        health=Health({name: [Check("database", app.database.check)] for name in NAMES}, timedelta(seconds=1)),
        names=[service.full_name for service in CONTRACT],
        start=app.start,
        close=app.close,
    )


class AuthApp:
    """The parts of the service, each made once and given what it needs."""

    def __init__(self, settings: AuthSettings, telemetry: Telemetry) -> None:
        self._settings = settings
        self._kek = read_kek(settings.tokens.kek_file)
        self._redis = redis_client.connect(settings.redis)
        self._attempts = LoginAttempts(RedisRateLimiter(self._redis))
        self._limiter = LeasedRateLimiter(RedisRateStore(self._redis))
        self.database = Database(settings.database, schema=SCHEMA)
        self._doors = Doors(self.database, OUTAGE)
        schedule = KeySchedule(settings.tokens.sign_for, settings.tokens.publish_before)
        self._keys = KeyRing(self._doors, self._kek, schedule)
        self._verifier = JwtVerifier(settings.tokens.issuer, settings.tokens.audience, self._keys)
        self._system_keys = SystemKeys(self._doors)
        self._hashing = Hashing(default_hasher())
        self._mesh = make_mesh(settings)
        self._directory = TenantDirectory(self._mesh.tenant_source)
        self._sessions = self._make_sessions()
        self._reports = GrpcGaugeReports(to_tenant_svc(settings))
        self._reporter = Relay("gauge-reports", GaugeOutbox(self._doors), self._reports, interval=REPORT_INTERVAL)
        self._quotas = LeasedQuota(self._mesh.quota_ledger, RedisQuotaPool(self._redis))
        telemetry.counters("tenantmesh_allowance", self._quotas.stats)
        telemetry.counters("tenantmesh_burst", self._limiter.stats)
        self.chain = self._make_chain(telemetry)

    def auth_servicer(self) -> AuthServicer:
        """AuthService."""
        accounts = Accounts(self._doors, PasswordRules.load(), self._hashing, on_change=self._reporter.wake)
        password_login = PasswordLogin(self._doors, self._hashing, self._attempts, self._sessions)
        return AuthServicer(AccountServicer(accounts), SessionServicer(password_login, self._sessions))

    def token_servicer(self) -> TokenServicer:
        """TokenService."""
        inspector = Introspection(self._verifier, self._system_keys, self._sessions)
        return TokenServicer(self._keys, Discovery(self._settings.tokens.issuer), inspector)

    async def start(self) -> None:
        """Opens what serving needs. Raises InsecureDatabase, SealBroken, DatabaseError or Unavailable: do not serve."""
        await self.database.open()
        await row_security.verify(self.database, metadata, package="tenantmesh.auth_svc")
        await self._keys.start()
        await self.chain.start()
        await self._reporter.start()

    async def close(self) -> None:
        """Ends everything in reverse order, also what was never started."""
        async with AsyncExitStack() as closing:
            for close in self._closers():
                closing.push_async_callback(close)

    def _closers(self) -> list[Callable[[], Awaitable[None]]]:
        """In the order in which things were opened."""
        return [
            self.database.close,
            self._redis.aclose,
            self._hashing.close,
            self._mesh.close,
            self._keys.close,
            self.chain.close,
            self._reports.close,
            self._reporter.close,
        ]

    def _make_sessions(self) -> Sessions:
        tokens, lifetimes = self._settings.tokens, self._settings.sessions
        return Sessions(
            self._doors,
            self._directory,
            AccessTokens(tokens.issuer, tokens.audience, self._keys),
            RefreshTokens(self._kek),
            SessionLifetimes(lifetimes.idle, lifetimes.absolute, lifetimes.grace),
        )

    def _make_chain(self, telemetry: Telemetry) -> Chain:
        ports = ChainPorts(
            tokens=self._verifier,
            api_keys=self._system_keys,
            directory=self._directory,
            entitlements=EntitlementDirectory(self._mesh.entitlement_source),
            quotas=self._quotas,
            limiter=self._limiter,
            observer=telemetry.record_call,
            tracer=CallSpans(telemetry.tracer) if telemetry.tracer is not None else None,
        )
        return make_chain(SERVICES, ports, self._settings)
