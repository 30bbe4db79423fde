"""Puts tenant_svc together. The only file that constructs things."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from tenantmesh.tenant.v1 import tenant_service_pb2
from tenantmesh.tenant.v1.tenant_service_pb2_grpc import add_TenantServiceServicer_to_server

from interceptors import Chain, ChainSettings, Mesh, Ports, TenantDirectory
from interceptors.authentication import parse_identities
from interceptors.backends.redis_rate_limiter import RedisRateLimiter
from interceptors.client import tls_credentials
from interceptors.contract import CONTRACT
from interceptors.errors import Unavailable
from interceptors.limits import parse_rates
from interceptors.telemetry import AccessLog
from interceptors.tokens import TokenVerifier
from runtime import redis_client, row_security
from runtime.database import Database
from runtime.health import Check, Health
from runtime.ids import uuid7
from runtime.server import Application
from runtime.telemetry import Telemetry
from runtime.telemetry.spans import CallSpans
from tenant_svc.doors import Doors
from tenant_svc.feed.retention import EventRetention
from tenant_svc.feed.tail import Tail
from tenant_svc.feed.watch import Watch
from tenant_svc.schema import SCHEMA, metadata
from tenant_svc.settings import TenantSettings
from tenant_svc.tenants.events import StoredEvents
from tenant_svc.tenants.repository import EVENTS_CHANNEL
from tenant_svc.tenants.servicer import TenantServicer
from tenant_svc.tenants.source import PostgresTenantSource
from tenant_svc.tenants.tenants import Tenants

__all__ = ["TenantApp", "build"]

SERVICE = tenant_service_pb2.DESCRIPTOR.services_by_name["TenantService"]


async def build(settings: TenantSettings, telemetry: Telemetry) -> Application:
    """The service, made but not started. Raises ValueError for settings that are missing."""
    app = TenantApp(settings, telemetry)
    return Application(
        services=[(add_TenantServiceServicer_to_server, app.servicer)],
        interceptors=[app.chain.aio_interceptor()],
        health=Health({SERVICE.full_name: app.checks}),
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
        self._mesh = _mesh(settings)
        doors = Doors(self._database)
        events = StoredEvents(doors)
        kept = settings.events
        self._tail = Tail(events, window=kept.window, poll_interval=kept.poll_interval, lost_after=kept.lost_after)
        self._retention = EventRetention(events, keep=kept.retention, interval=kept.prune_interval)
        watch = Watch(events, self._tail, checkpoint_interval=kept.checkpoint_interval)
        tenants = Tenants(doors, uuid7)
        self.servicer = TenantServicer(tenants, watch)
        self.chain = self._make_chain(PostgresTenantSource(tenants, watch), telemetry)
        self._opened = AsyncExitStack()

    @property
    def checks(self) -> list[Check]:
        """What this service can't serve without."""
        return [Check("database", self._database.check), Check("event log", self._event_log_is_followed)]

    async def start(self) -> None:
        """Opens what serving needs. Raises InsecureDatabase, DatabaseError or Unavailable: do not serve."""
        await self._database.open()
        await row_security.verify(self._database, metadata, package="tenant_svc")
        await self._tail.start()
        await self._opened.enter_async_context(
            self._database.listen(EVENTS_CHANNEL, lambda _payload: self._tail.wake())
        )
        await self._retention.start()
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
            self._tail.close,
            self._opened.aclose,
            self._retention.close,
            self.chain.close,
        ]

    async def _event_log_is_followed(self) -> None:
        if self._tail.lost:
            raise Unavailable("TENANT_DIRECTORY_UNAVAILABLE", "the tenant event log has not been read for too long")

    def _make_chain(self, source: PostgresTenantSource, telemetry: Telemetry) -> Chain:
        settings = self._settings
        ports = Ports(
            tokens=TokenVerifier(settings.tokens.issuer, settings.tokens.audience, self._mesh.key_set),
            api_keys=self._mesh.api_keys,
            directory=TenantDirectory(source),
            limiter=RedisRateLimiter(self._redis),
            observer=telemetry.record_call,
            tracer=CallSpans(telemetry.tracer) if telemetry.tracer is not None else None,
        )
        chain_settings = ChainSettings(
            base_domain=settings.mesh.base_domain,
            trusted_proxies=settings.mesh.trusted_proxies,
            rates=parse_rates(settings.mesh.rates),
            identities=parse_identities(settings.mesh.identities),
            access_log=AccessLog(settings.telemetry.access_log),
        )
        return Chain([SERVICE], ports, chain_settings)


def _mesh(settings: TenantSettings) -> Mesh:
    ca = settings.mesh.tls_ca
    return Mesh(
        tenant_target=settings.mesh.tenant_target,
        auth_target=settings.mesh.auth_target,
        credential=settings.mesh.credential.get_secret_value(),
        issuer=settings.tokens.issuer,
        audience=settings.tokens.audience,
        tls=None if ca is None else tls_credentials(ca, settings.server.tls_cert, settings.server.tls_key),
    )
