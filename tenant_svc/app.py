"""Puts tenant_svc together. The only file that constructs things."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from tenantmesh.chassis.chain import make_chain, make_mesh
from tenantmesh.chassis.contract import CONTRACT
from tenantmesh.interceptors import Chain, ChainPorts, TenantDirectory
from tenantmesh.interceptors.backends.redis.quota_pool import RedisQuotaPool
from tenantmesh.interceptors.backends.redis.rate_store import RedisRateStore
from tenantmesh.interceptors.directories.entitlements import EntitlementDirectory
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.leases.allowances import LeasedQuota
from tenantmesh.interceptors.leases.rates import LeasedRateLimiter
from tenantmesh.interceptors.tokens import JwtVerifier
from tenantmesh.runtime import redis_client, row_security
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.health import Check, Health
from tenantmesh.runtime.server import Application
from tenantmesh.runtime.telemetry import Telemetry
from tenantmesh.runtime.telemetry.spans import CallSpans
from tenantmesh.tenant_svc.capabilities import Capabilities
from tenantmesh.tenant_svc.schema import SCHEMA
from tenantmesh.tenant_svc.settings import TenantSettings
from tenantmesh.tenant_svc.tables import metadata

__all__ = ["SERVICES", "TenantApp", "build"]

SERVICES = tuple(service for service in CONTRACT if service.full_name.startswith("tenantmesh.tenant."))


async def build(settings: TenantSettings, telemetry: Telemetry) -> Application:
    """The service, made but not started. Raises ValueError for settings that are missing."""
    app = TenantApp(settings, telemetry)
    return Application(
        services=app.capabilities.registrations,
        interceptors=[app.chain.aio_interceptor()],
        health=Health({service.full_name: app.checks for service in SERVICES}),
        names=[service.full_name for service in CONTRACT],
        start=app.start,
        close=app.close,
    )


class TenantApp:
    """The parts of the service, each made once and given what it needs."""

    def __init__(self, settings: TenantSettings, telemetry: Telemetry) -> None:
        self._settings = settings
        self._database = Database(settings.database, schema=SCHEMA)
        self._redis = redis_client.connect(settings.redis)
        self._mesh = make_mesh(settings)
        pool = RedisQuotaPool(self._redis)
        self.capabilities = Capabilities(self._database, settings.events, settings.quotas, pool)
        self._quotas = LeasedQuota(self.capabilities.ledger, pool)
        self._limiter = LeasedRateLimiter(RedisRateStore(self._redis))
        telemetry.counters("tenantmesh_allowance", self._quotas.stats)
        telemetry.counters("tenantmesh_burst", self._limiter.stats)
        self.chain = self._make_chain(telemetry)
        self._opened = AsyncExitStack()

    @property
    def checks(self) -> list[Check]:
        """What this service can't serve without."""
        return [Check("database", self._database.check), Check("event logs", self._event_logs_are_followed)]

    async def start(self) -> None:
        """Opens what serving needs. Raises InsecureDatabase, DatabaseError or Unavailable: do not serve."""
        await self._database.open()
        await row_security.verify(self._database, metadata, package="tenantmesh.tenant_svc")
        await self.capabilities.tenant_feed.start()
        await self.capabilities.entitlement_feed.start()
        await self._opened.enter_async_context(self.capabilities.endings_listener)
        for sweeper in self.capabilities.sweepers:
            await sweeper.start()
        await self.chain.start()

    async def close(self) -> None:
        """Ends everything in reverse order, also what was never started."""
        async with AsyncExitStack() as closing:
            for close in self._closers():
                closing.push_async_callback(close)

    def _closers(self) -> list[Callable[[], Awaitable[None]]]:
        """In the order in which things were opened."""
        return [
            self._database.close,
            self._redis.aclose,
            self._mesh.close,
            self.capabilities.tenant_feed.close,
            self.capabilities.entitlement_feed.close,
            self._opened.aclose,
            *(sweeper.close for sweeper in self.capabilities.sweepers),
            self.chain.close,
        ]

    async def _event_logs_are_followed(self) -> None:
        if self.capabilities.tenant_feed.lost or self.capabilities.entitlement_feed.lost:
            raise Unavailable("TENANT_DIRECTORY_UNAVAILABLE", "an event log has not been read for too long")

    def _make_chain(self, telemetry: Telemetry) -> Chain:
        tokens = self._settings.tokens
        ports = ChainPorts(
            tokens=JwtVerifier(tokens.issuer, tokens.audience, self._mesh.key_set),
            api_keys=self._mesh.api_keys,
            directory=TenantDirectory(self.capabilities.tenant_source),
            entitlements=EntitlementDirectory(self.capabilities.entitlement_source),
            quotas=self._quotas,
            limiter=self._limiter,
            observer=telemetry.record_call,
            tracer=CallSpans(telemetry.tracer) if telemetry.tracer is not None else None,
        )
        return make_chain(SERVICES, ports, self._settings)
