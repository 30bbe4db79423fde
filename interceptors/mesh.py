"""The chain's ports, answered by tenant_svc and auth_svc over gRPC. For every process that is neither of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor

from tenantmesh.auth.v1.token_service_pb2_grpc import TokenServiceStub
from tenantmesh.interceptors.backends.grpc.credentials import GrpcApiKeyVerifier, GrpcKeySet
from tenantmesh.interceptors.backends.grpc.entitlements import GrpcEntitlementSource
from tenantmesh.interceptors.backends.grpc.quota_ledger import GrpcQuotaLedger, health_of
from tenantmesh.interceptors.backends.grpc.tenants import GrpcTenantSource
from tenantmesh.interceptors.backends.memory.rate_limiter import MemoryRateLimiter
from tenantmesh.interceptors.chain import Chain, ChainPorts, ChainSettings
from tenantmesh.interceptors.client import Credential, channel
from tenantmesh.interceptors.directories.entitlements import EntitlementDirectory
from tenantmesh.interceptors.directories.tenants import TenantDirectory
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.leases.allowances import LeasedQuota
from tenantmesh.interceptors.limits import RateLimiter
from tenantmesh.interceptors.quotas import QuotaPool
from tenantmesh.interceptors.records import CallObserver, CallTracer
from tenantmesh.interceptors.tokens import JwtVerifier
from tenantmesh.tenant.v1.entitlement_service_pb2_grpc import EntitlementServiceStub
from tenantmesh.tenant.v1.quota_service_pb2_grpc import QuotaServiceStub
from tenantmesh.tenant.v1.tenant_service_pb2_grpc import TenantServiceStub

__all__ = ["Mesh"]

CHECK_PAUSE = 5.0
"""Seconds between the questions of `Mesh.check_key` while auth_svc does not answer."""

S = TypeVar("S")


class Mesh:
    """A service's connection to the mesh.

    tenant_target, auth_target: where tenant_svc and auth_svc are, as gRPC targets.
    credential: this service's own API key (`tmk_…`), of audience SERVICE. Raises ValueError for an empty one.
    issuer, audience: what access tokens must say; as auth_svc is configured.
    tls: channel credentials; None is plaintext, for loopback and sidecars.
    tracer: makes the spans of the calls to them, and of those that its chains serve.
    """

    def __init__(
        self,
        *,
        tenant_target: str,
        auth_target: str,
        credential: str,
        issuer: str = "http://127.0.0.1:8080",
        audience: str = "tenantmesh",
        tls: grpc.ChannelCredentials | None = None,
        tracer: CallTracer | None = None,
    ) -> None:
        if not credential.strip():
            raise ValueError("the mesh needs this service's own key (tmk_…): `tenantmesh operator create` makes one")
        self._tracer = tracer
        self._issuer = issuer
        self._audience = audience
        self._credential = credential
        own = Credential(credential)
        self._tenant_svc: Final = _LazyChannel(lambda: channel(tenant_target, credential=own, tls=tls, tracer=tracer))
        self._auth_svc: Final = _LazyChannel(lambda: channel(auth_target, credential=own, tls=tls, tracer=tracer))
        self.tenant_source = GrpcTenantSource(self._tenant_svc.stub(TenantServiceStub))
        self.entitlement_source = GrpcEntitlementSource(self._tenant_svc.stub(EntitlementServiceStub))
        self.quota_ledger = GrpcQuotaLedger(self._tenant_svc.stub(QuotaServiceStub), self._tenant_svc.stub(health_of))
        # The key set is public. Asked with a key, it would be refused for a wrong key.
        self._public: Final = _LazyChannel(lambda: channel(auth_target, tls=tls))
        self.key_set = GrpcKeySet(self._public.stub(TokenServiceStub))
        self.api_keys = GrpcApiKeyVerifier(self._auth_svc.stub(TokenServiceStub))

    def ports(
        self,
        *,
        limiter: RateLimiter | None = None,
        pool: QuotaPool | None = None,
        observer: CallObserver | None = None,
        tracer: CallTracer | None = None,
    ) -> ChainPorts:
        """Make the ports that a chain needs, with new directories.

        Without a limiter each process limits by itself. Without a pool each process leases allowances from tenant_svc
        by itself: as exact, with more calls.
        """
        return ChainPorts(
            tokens=JwtVerifier(self._issuer, self._audience, self.key_set),
            api_keys=self.api_keys,
            directory=TenantDirectory(self.tenant_source),
            entitlements=EntitlementDirectory(self.entitlement_source),
            quotas=LeasedQuota(self.quota_ledger, pool),
            limiter=limiter or MemoryRateLimiter(),
            observer=observer,
            tracer=tracer or self._tracer,
        )

    def chain(
        self,
        *protos: FileDescriptor | ServiceDescriptor,
        settings: ChainSettings | None = None,
        limiter: RateLimiter | None = None,
        pool: QuotaPool | None = None,
        observer: CallObserver | None = None,
        tracer: CallTracer | None = None,
    ) -> Chain:
        """Make a chain for the services of these protos (`notes_service_pb2.DESCRIPTOR`), with ports as in `ports`."""
        ports = self.ports(limiter=limiter, pool=pool, observer=observer, tracer=tracer)
        return Chain(_services(protos), ports, settings, complete=False, disconnect=self.close)

    async def check_key(self) -> None:
        """Ask auth_svc whether it accepts this service's key, until it answers. A refused key is in the log then."""
        while True:
            try:
                await self.api_keys.verify(self._credential)
            except Unavailable as error:
                if error.reason == "MESH_KEY_REFUSED":
                    return
                await asyncio.sleep(CHECK_PAUSE)
            else:
                return

    async def close(self) -> None:
        """Close the channels. A call that comes later opens them anew.

        A program on the thread-pool server need not: closing its interceptor closes the channels too.
        """
        await self._tenant_svc.close()
        await self._auth_svc.close()
        await self._public.close()


def _services(protos: Iterable[FileDescriptor | ServiceDescriptor]) -> list[ServiceDescriptor]:
    found: list[ServiceDescriptor] = []
    for proto in protos:
        found += [proto] if isinstance(proto, ServiceDescriptor) else proto.services_by_name.values()
    return found


class _LazyChannel:
    """A channel that is opened on first use, since a channel belongs to the loop it is made on."""

    def __init__(self, connect: Callable[[], grpc.aio.Channel]) -> None:
        self._connect = connect
        self._channel: grpc.aio.Channel | None = None
        self._stubs: dict[Callable[[Any], Any], Any] = {}

    def stub(self, make: Callable[[grpc.aio.Channel], S]) -> Callable[[], S]:
        """Return a function that returns the stub of this class, made once per channel."""

        def made() -> S:
            if self._channel is None:
                self._channel = self._connect()
                self._stubs.clear()
            if make not in self._stubs:
                self._stubs[make] = make(self._channel)
            stub: S = self._stubs[make]
            return stub

        return made

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()
            self._channel = None
