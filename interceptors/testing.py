"""The test kit for services that adopt the chain: tenants, tokens, keys and a server, without a mesh and with one
socket, on loopback.

    async with TestMesh() as mesh:
        acme = mesh.add_tenant("acme")
        target = await mesh.serve(add_NotesServiceServicer_to_server, Notes(), notes_service_pb2.DESCRIPTOR)
        async with mesh.client(target, token=mesh.token(acme, roles=("member",))) as channel:
            …
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent import futures
from dataclasses import replace
from typing import Any, Literal, Self

import grpc
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.descriptor import FileDescriptor

from interceptors.backends.memory import MemoryRateLimiter
from interceptors.caller import Caller, CallerKind
from interceptors.chain import Chain, ChainSettings, Ports
from interceptors.client import Credential, channel
from interceptors.directory import TenantDirectory
from interceptors.telemetry import CallObserver
from interceptors.tenants import TenantChange, TenantId, TenantRecord, TenantState
from interceptors.tokens import AccessClaims, StaticKeySet, TokenVerifier

__all__ = ["MemoryApiKeys", "MemoryTenantSource", "TestMesh", "TokenSigner"]

ISSUER = "https://issuer.test"
AUDIENCE = "tenantmesh-test"


class MemoryTenantSource:
    """A TenantSource in memory. `set` changes a tenant and tells every watcher."""

    def __init__(self) -> None:
        self._tenants: dict[TenantId, TenantRecord] = {}
        self._log: list[TenantChange] = []
        self._watchers: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self.lookups = 0
        """How often the source was asked."""

    def set(self, tenant: TenantRecord) -> None:
        """Adds or replaces the tenant."""
        self._tenants[tenant.id] = tenant
        self._log.append(TenantChange(str(len(self._log) + 1), tenant))
        # A chain on the thread-pool server watches from a loop of its own.
        for loop, changed in self._watchers:
            loop.call_soon_threadsafe(changed.set)

    async def by_id(self, tenant_id: uuid.UUID) -> TenantRecord | None:
        """As `TenantSource.by_id`."""
        self.lookups += 1
        return self._tenants.get(TenantId(tenant_id))

    async def by_slug(self, slug: str) -> TenantRecord | None:
        """As `TenantSource.by_slug`."""
        self.lookups += 1
        return next((tenant for tenant in self._tenants.values() if tenant.slug == slug), None)

    async def watch(self, cursor: str | None) -> AsyncIterator[TenantChange]:
        """As `TenantSource.watch`."""
        position = len(self._log) if cursor is None else int(cursor)
        watcher = (asyncio.get_running_loop(), changed := asyncio.Event())
        self._watchers.append(watcher)
        try:
            yield TenantChange(str(position), None)
            while True:
                changed.clear()
                for change in self._log[position:]:
                    yield change
                    position += 1
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), 1)
                yield TenantChange(str(position), None)
        finally:
            self._watchers.remove(watcher)


class MemoryApiKeys:
    """An ApiKeyVerifier over a dictionary."""

    def __init__(self) -> None:
        self.keys: dict[str, Caller] = {}

    async def verify(self, key: str) -> Caller | None:
        """As `ApiKeyVerifier.verify`."""
        return self.keys.get(key)


class TokenSigner:
    """Signs access tokens with a key made for the test."""

    def __init__(self, issuer: str = ISSUER, audience: str = AUDIENCE) -> None:
        self._key = Ed25519PrivateKey.generate()
        self._issuer = issuer
        self._audience = audience
        self.keys = StaticKeySet({"test": self._key.public_key()})

    def verifier(self) -> TokenVerifier:
        """A verifier for this signer's tokens."""
        return TokenVerifier(self._issuer, self._audience, self.keys)

    def claims(self, tenant_id: TenantId, roles: tuple[str, ...] = ("member",), lifetime: int = 300) -> AccessClaims:
        """Claims of a fresh user of the tenant, valid for `lifetime` seconds from now."""
        now = int(time.time())
        return AccessClaims(
            issuer=self._issuer,
            audience=self._audience,
            subject=str(uuid.uuid4()),
            tenant_id=tenant_id,
            session_id=str(uuid.uuid4()),
            token_id=str(uuid.uuid4()),
            issued_at=min(now, now + lifetime),
            expires_at=now + lifetime,
            roles=roles,
        )

    def sign(self, claims: AccessClaims | dict[str, Any], **header: Any) -> str:
        """The token for the claims. `header` overrides what a well-made token says."""
        payload = claims.payload() if isinstance(claims, AccessClaims) else claims
        return jwt.encode(payload, self._key, "EdDSA", headers={"typ": "at+jwt", "kid": "test", **header})


class TestMesh:
    """Everything a chain asks, in memory, and servers of either kind that use it."""

    __test__ = False  # the name is a library's, not a test's

    def __init__(self, settings: ChainSettings | None = None) -> None:
        self.settings = settings or ChainSettings()
        self.tenants = MemoryTenantSource()
        self.api_keys = MemoryApiKeys()
        self.signer = TokenSigner()
        self.observed: list[tuple[str, str]] = []
        """Method and status code of every call served, in order; see `served` before counting them."""
        self.observer: CallObserver = lambda method, code, _seconds: self.observed.append((method, code))
        self._closers: list[Callable[[], Any]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for close in reversed(self._closers):
            outcome = close()
            if asyncio.iscoroutine(outcome):
                await outcome

    def closing(self, close: Callable[[], Any]) -> None:
        """Calls `close` when the mesh is left, before what was opened earlier."""
        self._closers.append(close)

    async def served(self, calls: int) -> list[tuple[str, str]]:
        """What was observed, once it is that many calls: a record may come after the caller has its answer.

        Raises TimeoutError when it is fewer for 5 s.
        """
        async with asyncio.timeout(5):
            while len(self.observed) < calls:  # noqa: ASYNC110  # thread-pool servers record in their own threads
                await asyncio.sleep(0.005)
        return list(self.observed)

    def add_tenant(self, slug: str, *, plan_id: str = "basic", state: TenantState = TenantState.ACTIVE) -> TenantRecord:
        """A new tenant."""
        tenant = TenantRecord(TenantId(uuid.uuid4()), slug, state, plan_id)
        self.tenants.set(tenant)
        return tenant

    def suspend(self, tenant: TenantRecord) -> None:
        """Suspends the tenant, as an operator would."""
        self.tenants.set(replace(tenant, state=TenantState.SUSPENDED))

    def token(self, tenant: TenantRecord, roles: tuple[str, ...] = ("member",)) -> str:
        """An access token of a user of the tenant."""
        return self.signer.sign(self.signer.claims(tenant.id, roles))

    def key(self, kind: CallerKind = CallerKind.OPERATOR, permissions: frozenset[str] = frozenset({"*"})) -> str:
        """An API key."""
        key = f"tmk_{uuid.uuid4().hex}"
        self.api_keys.keys[key] = Caller(
            kind, f"test-{kind.value.lower()}", permissions=permissions, credential_id=key[4:12]
        )
        return key

    def ports(self) -> Ports:
        """The ports of a new chain."""
        return Ports(
            tokens=self.signer.verifier(),
            api_keys=self.api_keys,
            directory=TenantDirectory(self.tenants),
            limiter=MemoryRateLimiter(),
            observer=self.observer,
        )

    async def serve(
        self,
        add_to_server: Callable[[Any, Any], None],
        servicer: Any,
        proto: FileDescriptor,
        *,
        kind: Literal["aio", "threads"] = "aio",
    ) -> str:
        """Starts a server of the kind on a free port of loopback and returns its target."""
        chain = Chain(proto.services_by_name.values(), self.ports(), self.settings, complete=False)
        start = self._serve_aio if kind == "aio" else self._serve_threads
        return f"127.0.0.1:{await start(chain, lambda server: add_to_server(servicer, server))}"

    async def _serve_aio(self, chain: Chain, add: Callable[[Any], None]) -> int:
        await chain.start()
        server = grpc.aio.server(interceptors=[chain.aio_interceptor()], options=[("grpc.so_reuseport", 0)])
        add(server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        self._closers += [chain.close, lambda: server.stop(0)]
        return port

    async def _serve_threads(self, chain: Chain, add: Callable[[Any], None]) -> int:
        interceptor = chain.thread_interceptor()
        pool = futures.ThreadPoolExecutor(max_workers=8)
        server = grpc.server(pool, interceptors=[interceptor], options=[("grpc.so_reuseport", 0)])
        add(server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self._closers += [pool.shutdown, interceptor.close, lambda: server.stop(0).wait()]
        return port

    def client(self, target: str, *, token: str | None = None) -> grpc.aio.Channel:
        """A channel to the target that sends the token or key."""
        return channel(target, credential=Credential(token) if token else None)
