"""The test kit for services that adopt the chain: tenants, tokens, keys and a server on loopback, without a mesh.

    async with TestMesh() as mesh:
        acme = mesh.add_tenant("acme")
        target = await mesh.serve(add_NotesServiceServicer_to_server, Notes(), notes_service_pb2.DESCRIPTOR)
        async with mesh.client(target, token=mesh.token(acme, roles=("member",))) as channel:
            …

A test defines its plans: `mesh.plan("premium", features=["export"], limits={"reads": 1000})`, and for one
tenant `mesh.entitle(acme, limits={"reads": 3})`.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent import futures
from dataclasses import replace
from typing import Any, Literal, Self

import grpc
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.descriptor import FileDescriptor

from tenantmesh.interceptors.backends.memory.quotas import MemoryQuotaLedger, MemoryQuotaPool
from tenantmesh.interceptors.backends.memory.rate_limiter import MemoryRateLimiter
from tenantmesh.interceptors.backends.memory.sources import MemoryEntitlementSource, MemoryTenantSource
from tenantmesh.interceptors.caller import ALL_USAGE, Caller, CallerKind, UsageScope
from tenantmesh.interceptors.chain import Chain, ChainPorts, ChainSettings
from tenantmesh.interceptors.client import Credential, channel
from tenantmesh.interceptors.directories.entitlements import EntitlementDirectory
from tenantmesh.interceptors.directories.tenants import TenantDirectory
from tenantmesh.interceptors.entitlements import Entitlements, Feature, FeatureType
from tenantmesh.interceptors.leases.allowances import LeasedQuota
from tenantmesh.interceptors.limits import Rate
from tenantmesh.interceptors.records import CallObserver
from tenantmesh.interceptors.tenants import TenantId, TenantRecord, TenantState
from tenantmesh.interceptors.tokens import AccessClaims, JwtVerifier, StaticKeySet

__all__ = ["MemoryApiKeys", "MemoryEntitlementSource", "MemoryTenantSource", "TestMesh", "TokenSigner"]

ISSUER = "https://issuer.test"
AUDIENCE = "tenantmesh-test"


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

    def verifier(self) -> JwtVerifier:
        """Return a verifier of this signer's tokens."""
        return JwtVerifier(self._issuer, self._audience, self.keys)

    def claims(self, tenant_id: TenantId, roles: tuple[str, ...] = ("member",), lifetime: int = 300) -> AccessClaims:
        """Return the claims of a new user of the tenant, valid for `lifetime` seconds from now."""
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
        """Return the token for the claims. `header` overrides fields of its header."""
        payload = claims.payload() if isinstance(claims, AccessClaims) else claims
        return jwt.encode(payload, self._key, "EdDSA", headers={"typ": "at+jwt", "kid": "test", **header})


_Terms = tuple[dict[str, Feature], dict[str, Rate]]


def _terms(
    features: Iterable[str],
    limits: Mapping[str, int | None] | None,
    gauges: Mapping[str, int | None] | None,
    values: Mapping[str, Any] | None,
) -> dict[str, Feature]:
    found = {feature: Feature(feature, FeatureType.BOOLEAN, enabled=True) for feature in features}
    for feature_type, amounts in ((FeatureType.METERED, limits), (FeatureType.GAUGE, gauges)):
        for feature, limit in (amounts or {}).items():
            found[feature] = Feature(feature, feature_type, limit != 0, limit)
    for feature, value in (values or {}).items():
        found[feature] = Feature(feature, FeatureType.STATIC, enabled=True, value=value)
    return found


class TestMesh:
    """All ports of a chain in memory, and servers of either kind that use them."""

    __test__ = False  # the name is a library's, not a test's

    def __init__(self, settings: ChainSettings | None = None) -> None:
        self.settings = settings or ChainSettings()
        self.tenants = MemoryTenantSource()
        self.entitlements = MemoryEntitlementSource()
        self.pool = MemoryQuotaPool()
        self.ledger = MemoryQuotaLedger(self.entitlements.limit)
        self._plans: dict[str, _Terms] = {}
        self._quotas: list[LeasedQuota] = []
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
        """Call `close` when the mesh is left, before what was opened earlier."""
        self._closers.append(close)

    async def served(self, calls: int) -> list[tuple[str, str]]:
        """Return `observed` as soon as it has that many calls: a record may come after the caller has its answer.

        Raises TimeoutError after 5 s.
        """
        async with asyncio.timeout(5):
            while len(self.observed) < calls:  # polled: thread-pool servers record in their own threads
                await asyncio.sleep(0.005)
        return list(self.observed)

    def plan(
        self,
        plan: str,
        *,
        features: Iterable[str] = (),
        limits: Mapping[str, int | None] | None = None,
        gauges: Mapping[str, int | None] | None = None,
        values: Mapping[str, Any] | None = None,
        rates: Mapping[str, Rate] | None = None,
    ) -> None:
        """Define a plan, for tenants that are added to it later.

        features: BOOLEAN features. limits: allowances by METERED feature, with grants; None is
        unlimited. gauges: highest levels by GAUGE feature. values: STATIC features. rates: burst limits by rate class.
        """
        self._plans[plan] = _terms(features, limits, gauges, values), dict(rates or {})

    def add_tenant(self, slug: str, *, plan: str = "basic", state: TenantState = TenantState.ACTIVE) -> TenantRecord:
        """Add a tenant. A plan that the test did not define includes nothing."""
        tenant = TenantRecord(TenantId(uuid.uuid4()), slug, state, plan)
        features, rates = self._plans.get(plan, ({}, {}))
        self.entitlements.set(Entitlements(tenant.id, plan, 1, 1, features, rates))
        self.tenants.set(tenant)
        return tenant

    def entitle(
        self,
        tenant: TenantRecord,
        *features: str,
        without: Iterable[str] = (),
        limits: Mapping[str, int | None] | None = None,
        gauges: Mapping[str, int | None] | None = None,
        values: Mapping[str, Any] | None = None,
        rates: Mapping[str, Rate] | None = None,
        over_limit: Iterable[str] | None = None,
    ) -> None:
        """Change one tenant's entitlements, as an override would; see `plan`. Features that are not named stay as they
        were. `without` takes features away. `over_limit` makes the tenant read-only because of these gauges; an empty
        one ends that."""
        now = self.entitlements.entitled(tenant.id)
        changed = {**now.features, **_terms(features, limits, gauges, values)}
        for feature in without:
            changed[feature] = Feature(feature, FeatureType.BOOLEAN, enabled=False)
        over = now.over_limit if over_limit is None else tuple(over_limit)
        self.entitlements.set(
            replace(
                now,
                revision=now.revision + 1,
                features=changed,
                rates={**now.rates, **(rates or {})},
                over_limit=over,
                read_only=bool(over),
            )
        )

    def used(self, tenant: TenantRecord, meter: str) -> int:
        """Return the units of a meter that were charged: those that the ledger gave out and no server or pool holds."""
        held = sum(quotas.held(tenant.id, meter) for quotas in self._quotas)
        return self.ledger.given(tenant.id, meter) - self.pool.held(tenant.id, meter) - held

    def suspend(self, tenant: TenantRecord) -> None:
        """Suspend the tenant, as an operator would."""
        self.tenants.set(replace(tenant, state=TenantState.SUSPENDED))

    def token(self, tenant: TenantRecord, roles: tuple[str, ...] = ("member",)) -> str:
        """Return an access token of a new user of the tenant."""
        return self.signer.sign(self.signer.claims(tenant.id, roles))

    def key(
        self,
        kind: CallerKind = CallerKind.OPERATOR,
        permissions: frozenset[str] = frozenset({"*"}),
        *,
        name: str = "",
        usage: UsageScope = ALL_USAGE,
    ) -> str:
        """Make an API key and return it. `name` is its holder's, and `usage` the meters and gauges that it names."""
        key = f"tmk_{uuid.uuid4().hex}"
        holder = name or f"test-{kind.value.lower()}"
        self.api_keys.keys[key] = Caller(kind, holder, permissions=permissions, credential_id=key[4:12], usage=usage)
        return key

    def ports(self) -> ChainPorts:
        """Return the ports of a new chain."""
        self._quotas.append(LeasedQuota(self.ledger, self.pool))
        return ChainPorts(
            tokens=self.signer.verifier(),
            api_keys=self.api_keys,
            directory=TenantDirectory(self.tenants),
            entitlements=EntitlementDirectory(self.entitlements),
            quotas=self._quotas[-1],
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
        """Start a server of the kind on a free port of loopback and return its target."""
        chain = Chain(proto.services_by_name.values(), self.ports(), self.settings, complete=False)
        start = self._serve_aio if kind == "aio" else self._serve_threads
        return f"127.0.0.1:{await start(chain, lambda server: add_to_server(servicer, server))}"

    async def _serve_aio(self, chain: Chain, add: Callable[[Any], None]) -> int:
        await chain.start()
        server = grpc.aio.server(interceptors=[chain.aio_interceptor()], options=self._options())
        add(server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        self._closers += [chain.close, lambda: server.stop(0.2)]
        return port

    async def _serve_threads(self, chain: Chain, add: Callable[[Any], None]) -> int:
        interceptor = chain.thread_interceptor()
        pool = futures.ThreadPoolExecutor(max_workers=8)
        server = grpc.server(pool, interceptors=[interceptor], options=self._options())
        add(server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self._closers += [pool.shutdown, interceptor.close, lambda: server.stop(0.2).wait()]
        return port

    def _options(self) -> list[tuple[str, int]]:
        """Return the options of a server: a port of its own, and a limit above the chain's, which has a reason."""
        return [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 2 * self.settings.max_request_bytes)]

    def client(self, target: str, *, token: str | None = None) -> grpc.aio.Channel:
        """Return a channel to the target that sends the token or key."""
        return channel(target, credential=Credential(token) if token else None)
