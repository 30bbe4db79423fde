"""The chain's ports, answered by tenant_svc and auth_svc over gRPC. For every process that is neither of them."""

from __future__ import annotations

import asyncio
import contextvars
import time
import uuid
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor

from tenantmesh.auth.v1 import token_service_pb2 as tokens_pb2
from tenantmesh.auth.v1.token_service_pb2_grpc import TokenServiceStub
from tenantmesh.interceptors.backends.grpc.plans import GrpcEntitlementSource, GrpcQuotaLedger
from tenantmesh.interceptors.backends.memory.rate_limiter import MemoryRateLimiter
from tenantmesh.interceptors.caller import Caller, CallerKind
from tenantmesh.interceptors.chain import Chain, ChainSettings, Ports
from tenantmesh.interceptors.client import Credential, channel
from tenantmesh.interceptors.directories.entitlements import EntitlementDirectory
from tenantmesh.interceptors.directories.tenants import TenantDirectory
from tenantmesh.interceptors.errors import OutOfRange, Unavailable
from tenantmesh.interceptors.leases.allowances import LeasedQuota
from tenantmesh.interceptors.limits import RateLimiter
from tenantmesh.interceptors.links.telemetry import CallObserver, CallTracer
from tenantmesh.interceptors.quotas import QuotaPool
from tenantmesh.interceptors.tenants import TenantChange, TenantRecord, TenantState, parse_tenant_id
from tenantmesh.interceptors.tokens import TokenVerifier
from tenantmesh.policy.v1 import policy_pb2
from tenantmesh.tenant.v1 import tenant_pb2
from tenantmesh.tenant.v1 import tenant_service_pb2 as tenants_pb2
from tenantmesh.tenant.v1.entitlement_service_pb2_grpc import EntitlementServiceStub
from tenantmesh.tenant.v1.quota_service_pb2_grpc import QuotaServiceStub
from tenantmesh.tenant.v1.tenant_service_pb2_grpc import TenantServiceStub

__all__ = ["KEYS_FRESH", "KEYS_STALE", "GrpcApiKeyVerifier", "GrpcKeySet", "GrpcTenantSource", "Mesh"]

TIMEOUT = 2.0
"""Seconds that a look-up may take: a miss waits for it, also for a service that is just starting."""
KEYS_FRESH = 300.0
"""Seconds after which the key set is fetched again, so that a withdrawn key stops verifying."""
KEYS_STALE = 3600.0
"""Seconds for which the last key set serves while auth_svc can't be reached."""
KEYS_PAUSE = 5.0
"""Least seconds between loads, so that tokens with made-up key ids can't flood auth_svc."""
KEYS_PAUSE_AFTER_FAILURE = 1.0

_KINDS = {
    policy_pb2.Audience.Value(f"AUDIENCE_{kind.value}"): kind for kind in CallerKind if kind is not CallerKind.ANONYMOUS
}
_STATES = {tenant_pb2.TenantState.Value(f"TENANT_STATE_{state.value}"): state for state in TenantState}


class Mesh:
    """What a service needs of the mesh.

    tenant_target, auth_target: where tenant_svc and auth_svc are, as gRPC targets.
    credential: this service's own API key (`tmk_…`), of audience SERVICE.
    issuer, audience: what access tokens must say; as auth_svc is configured.
    tls: channel credentials; None is plaintext, for loopback and sidecars.
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
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        own = Credential(credential)
        stubs = (TenantServiceStub, EntitlementServiceStub, QuotaServiceStub)
        self._tenant_svc: Final = _Lazy(lambda: channel(tenant_target, credential=own, tls=tls), *stubs)
        self._tokens: Final = _Lazy(lambda: channel(auth_target, credential=own, tls=tls), TokenServiceStub)
        self.tenant_source = GrpcTenantSource(self._tenant_svc.stub(0))
        self.entitlement_source = GrpcEntitlementSource(self._tenant_svc.stub(1))
        self.quota_ledger = GrpcQuotaLedger(self._tenant_svc.stub(2))
        self.key_set = GrpcKeySet(self._tokens.stub(0))
        self.api_keys = GrpcApiKeyVerifier(self._tokens.stub(0))

    def ports(
        self,
        *,
        limiter: RateLimiter | None = None,
        pool: QuotaPool | None = None,
        observer: CallObserver | None = None,
        tracer: CallTracer | None = None,
    ) -> Ports:
        """The ports that a chain needs, with fresh directories. Without a limiter each process limits by itself.
        Without a pool each leases allowances from tenant_svc by itself, which is as exact and asks it more often."""
        return Ports(
            tokens=TokenVerifier(self._issuer, self._audience, self.key_set),
            api_keys=self.api_keys,
            directory=TenantDirectory(self.tenant_source),
            entitlements=EntitlementDirectory(self.entitlement_source),
            quotas=LeasedQuota(self.quota_ledger, pool),
            limiter=limiter or MemoryRateLimiter(),
            observer=observer,
            tracer=tracer,
        )

    def chain(
        self, *protos: FileDescriptor | ServiceDescriptor, settings: ChainSettings | None = None, **ports: Any
    ) -> Chain:
        """A chain for the services of these protos (`notes_service_pb2.DESCRIPTOR`). `ports` as in `ports()`."""
        return Chain(_services(protos), self.ports(**ports), settings, complete=False)

    async def close(self) -> None:
        """Closes the channels."""
        await self._tenant_svc.close()
        await self._tokens.close()


def _services(protos: Iterable[FileDescriptor | ServiceDescriptor]) -> list[ServiceDescriptor]:
    found: list[ServiceDescriptor] = []
    for proto in protos:
        found += [proto] if isinstance(proto, ServiceDescriptor) else proto.services_by_name.values()
    return found


class _Lazy:
    """Stubs of a channel that is opened on first use, since a channel belongs to the loop it is made on."""

    def __init__(self, connect: Callable[[], grpc.aio.Channel], *stubs: Callable[[Any], Any]) -> None:
        self._connect = connect
        self._stubs = stubs
        self._channel: grpc.aio.Channel | None = None
        self._made: list[Any] = []

    def stub(self, place: int) -> Callable[[], Any]:
        """What returns the stub that was named at this place."""

        def made() -> Any:
            if self._channel is None:
                self._channel = self._connect()
                self._made = [stub(self._channel) for stub in self._stubs]
            return self._made[place]

        return made

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()
            self._channel = None


class GrpcTenantSource:
    """Tenants as tenant_svc knows them."""

    def __init__(self, stub: Callable[[], Any]) -> None:
        self._stub = stub

    async def by_id(self, tenant_id: uuid.UUID) -> TenantRecord | None:
        """As `TenantSource.by_id`."""
        return await self._resolve(tenants_pb2.ResolveTenantRequest(tenant_id=str(tenant_id)))

    async def by_slug(self, slug: str) -> TenantRecord | None:
        """As `TenantSource.by_slug`."""
        return await self._resolve(tenants_pb2.ResolveTenantRequest(slug=slug))

    async def _resolve(self, request: tenants_pb2.ResolveTenantRequest) -> TenantRecord | None:
        try:
            return _record(await self._stub().ResolveTenant(request, timeout=TIMEOUT, wait_for_ready=True))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise _unreachable("tenant_svc") from error

    async def watch(self, cursor: str | None) -> AsyncIterator[TenantChange]:
        """As `TenantSource.watch`."""
        try:
            request = tenants_pb2.WatchTenantsRequest()
            if cursor is not None:
                request.cursor = cursor
            stream = self._stub().WatchTenants(request)
            async for message in stream:
                if message.WhichOneof("event") == "error":
                    _raise_event(message.error.code)
                record = _record(message.result.tenant) if message.HasField("result") else None
                yield TenantChange(message.cursor, record, caught_up=message.checkpoint.caught_up)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.OUT_OF_RANGE:
                raise OutOfRange("CURSOR_EXPIRED", "the watch's cursor has expired") from error
            raise _unreachable("tenant_svc") from error


def _raise_event(code: int) -> None:
    if code == grpc.StatusCode.OUT_OF_RANGE.value[0]:
        raise OutOfRange("CURSOR_EXPIRED", "the watch's cursor has expired")
    raise Unavailable("TENANT_DIRECTORY_UNAVAILABLE", "tenant_svc ended the watch")


def _record(tenant: tenant_pb2.Tenant) -> TenantRecord:
    tenant_id = parse_tenant_id(tenant.id)
    if tenant_id is None:
        raise Unavailable("TENANT_DIRECTORY_UNAVAILABLE", "tenant_svc gave a tenant that this version can't read")
    # A state that this version does not know is at least not ACTIVE.
    state = _STATES.get(tenant.state, TenantState.SUSPENDED)
    return TenantRecord(tenant_id, tenant.slug, state, tenant.plan_id)


class GrpcKeySet:
    """The public keys that auth_svc publishes."""

    def __init__(self, stub: Callable[[], Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._stub = stub
        self._clock = clock
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._loaded_at = self._next_try = float("-inf")
        self._loading: asyncio.Task[None] | None = None

    def get(self, kid: str) -> Ed25519PublicKey | None:
        """As `KeySet.get`. Keys that were loaded long ago count as unknown, so that they are looked for again; while
        that fails, they go on serving for a while."""
        now = self._clock()
        age = now - self._loaded_at
        return self._keys.get(kid) if age < KEYS_FRESH or (age < KEYS_STALE and now < self._next_try) else None

    async def refresh(self, kid: str) -> None:  # noqa: ARG002  # the whole set is loaded, whatever key is missing
        """As `KeySet.refresh`."""
        if self._clock() >= self._next_try:
            if self._loading is None:
                # In a context of its own: everybody waits for it, and it must not end with one caller's deadline.
                self._loading = asyncio.create_task(self._load(), context=contextvars.Context())
            await asyncio.shield(self._loading)
        if self._clock() - self._loaded_at >= KEYS_STALE:
            raise _unreachable("auth_svc")

    async def _load(self) -> None:
        try:
            answer = await self._stub().GetJwks(tokens_pb2.GetJwksRequest(), timeout=TIMEOUT, wait_for_ready=True)
        except grpc.aio.AioRpcError:
            self._next_try = self._clock() + KEYS_PAUSE_AFTER_FAILURE
        else:
            self._keys = {jwk.kid: _public_key(jwk.x) for jwk in answer.keys if jwk.crv == "Ed25519"}
            self._loaded_at = self._clock()
            self._next_try = self._loaded_at + KEYS_PAUSE
        finally:
            self._loading = None


def _public_key(x: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(x + "=" * (-len(x) % 4)))


class GrpcApiKeyVerifier:
    """API keys as auth_svc knows them."""

    def __init__(self, stub: Callable[[], Any]) -> None:
        self._stub = stub

    async def verify(self, key: str) -> Caller | None:
        """As `ApiKeyVerifier.verify`."""
        try:
            answer = await self._stub().IntrospectToken(
                tokens_pb2.IntrospectTokenRequest(token=key), timeout=TIMEOUT, wait_for_ready=True
            )
        except grpc.aio.AioRpcError as error:
            raise _unreachable("auth_svc") from error
        return _caller(answer) if answer.active else None


def _caller(answer: tokens_pb2.IntrospectTokenResponse) -> Caller | None:
    """Whom the key stands for; None for a kind of caller that this process is too old to know."""
    kind = _KINDS.get(answer.audience)
    if kind is None:
        return None
    return Caller(
        kind=kind,
        subject=answer.sub,
        tenant_id=parse_tenant_id(answer.tenant_id),
        roles=tuple(answer.roles),
        permissions=frozenset(answer.permissions),
        credential_id=answer.credential_id,
        expires_at=answer.expire_time.seconds if answer.HasField("expire_time") else None,
    )


def _unreachable(service: str) -> Unavailable:
    reason = "CREDENTIALS_UNVERIFIABLE" if service == "auth_svc" else "TENANT_DIRECTORY_UNAVAILABLE"
    return Unavailable(
        reason,
        f"{service} can't be asked right now. Retry with backoff.",
        metadata={"service": service},
    )
