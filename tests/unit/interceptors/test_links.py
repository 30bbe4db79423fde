"""Links by themselves, where a well-behaved client can't send what they guard against."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tenantmesh.auth.v1 import token_service_pb2 as tokens_pb2
from tenantmesh.interceptors import CallerKind, StoreUnavailable, TenantDirectory, TenantState
from tenantmesh.interceptors.addresses import address_of, network_of
from tenantmesh.interceptors.backends.grpc.credentials import GrpcApiKeyVerifier
from tenantmesh.interceptors.backends.grpc.tenants import GrpcTenantSource
from tenantmesh.interceptors.backends.memory.rate_limiter import MemoryRateLimiter
from tenantmesh.interceptors.chain import LINKS, Chain, ChainSettings, Ports
from tenantmesh.interceptors.credentials import UnknownKey
from tenantmesh.interceptors.errors import InvalidArgument, MeshError, ResourceExhausted, Unauthenticated, Unavailable
from tenantmesh.interceptors.limits import Rate
from tenantmesh.interceptors.links.forwarded_origin import ForwardedOrigin
from tenantmesh.interceptors.links.metadata_hygiene import MetadataHygiene
from tenantmesh.interceptors.links.peer_limit import PeerLimit
from tenantmesh.interceptors.lookup import MISS
from tenantmesh.interceptors.passage import Passage
from tenantmesh.interceptors.policy import MethodPolicy, PolicyError, StoreDown
from tenantmesh.interceptors.testing import MemoryTenantSource, TestMesh, TokenSigner
from tenantmesh.policy.v1 import policy_pb2
from tenantmesh.tenant.v1 import tenant_pb2, tenant_service_pb2


class Context:
    """What links ask of gRPC's context."""

    def __init__(self, peer: str = "ipv4:192.0.2.1:5000") -> None:
        self._peer = peer

    def peer(self) -> str:
        return self._peer

    def time_remaining(self) -> float | None:
        return None

    def auth_context(self) -> dict[str, Any]:
        return {}

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        pass


def call(
    *metadata: tuple[str, str | bytes], policy: MethodPolicy | None = None, peer: str = "ipv4:192.0.2.1:5000"
) -> Passage:
    made = Passage(policy or MethodPolicy("/x.Y/Z", frozenset({CallerKind.ANONYMOUS})), metadata)
    made.context = Context(peer)
    made.headers = dict(metadata)  # type: ignore[arg-type]  # what the request_id link leaves behind
    return made


@pytest.mark.parametrize("value", ["a\r\nx-role: admin", "a\x00b", "a\tb", "caf\u00e9", "\x7f"])
def test_control_characters_are_refused(value: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        MetadataHygiene().enter(call(("x-note", value)))
    assert caught.value.reason == "INVALID_METADATA"


def test_binary_metadata_may_hold_any_bytes() -> None:
    assert MetadataHygiene().enter(call(("x-note-bin", b"\x00\xff"))) is None


def test_metadata_is_bounded() -> None:
    with pytest.raises(ResourceExhausted):
        MetadataHygiene().enter(call(("x-note", "x" * 8200)))


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:127.0.0.1:5000", "127.0.0.1"),
        ("ipv6:[::1]:5000", "::1"),
        ("ipv6:%5Bfe80::1%25eth0%5D:5000", "fe80::1"),
        ("unix:/run/x", "unknown"),
    ],
)
def test_peer_strings_are_read(peer: str, address: str) -> None:
    assert address_of(peer) == address


def test_only_a_trusted_proxy_speaks_for_others() -> None:
    link = ForwardedOrigin(["10.0.0.0/8"])
    metadata = [("x-forwarded-for", "203.0.113.9, 198.51.100.7"), ("x-forwarded-host", "acme.mesh.test")]
    for peer, address, kept in (("ipv4:10.1.2.3:80", "198.51.100.7", True), ("ipv4:192.0.2.1:80", "192.0.2.1", False)):
        made = call(*metadata, peer=peer)
        MetadataHygiene().enter(made)
        link.enter(made)
        assert made.peer_address == address
        assert ("x-forwarded-host" in made.headers) is kept


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("not an address", "unknown"),
    ],
)
def test_one_host_counts_as_one_caller(address: str, network: str) -> None:
    assert network_of(address) == network


class Down:
    """A limiter whose store is away."""

    async def take(self, key: str, rate: Rate, cost: int = 1) -> Any:
        raise StoreUnavailable("down")


@pytest.mark.parametrize("store_down", list(StoreDown))
async def test_a_limiter_without_its_store_does_what_the_policy_says(store_down: StoreDown) -> None:
    policy = MethodPolicy("/x.Y/Z", frozenset({CallerKind.ANONYMOUS}), rate_class="credential", store_down=store_down)
    link = PeerLimit(Down(), MemoryRateLimiter(), {"credential": Rate(0.001, 8)}).bind(policy)
    assert link is not None
    assert link.enter is not None
    outcomes = []
    for _ in range(3):
        try:
            pending = link.enter(call(policy=policy))
            assert pending is not None
            await pending
            outcomes.append("served")
        except MeshError as error:
            outcomes.append(type(error).__name__)
    assert (
        outcomes
        == {
            StoreDown.DENY: ["Unavailable"] * 3,
            StoreDown.LOCAL: ["served", "served", "ResourceExhausted"],
            StoreDown.ALLOW: ["served"] * 3,
        }[store_down]
    )


def test_the_order_of_the_chain() -> None:
    names = [row.name for row in LINKS]
    assert names == [
        "request_id", "telemetry", "error_boundary", "deadline", "metadata_hygiene", "forwarded_origin", "peer_limit",
        "authentication", "tenancy", "authorization", "usage", "audit", "entitlement", "tenant_limit", "quota",
    ]  # fmt: skip
    for outer, inner in (
        ("telemetry", "error_boundary"),
        ("error_boundary", "deadline"),
        ("metadata_hygiene", "authentication"),
        ("peer_limit", "authentication"),
        ("authentication", "tenancy"),
        ("tenancy", "authorization"),
        ("usage", "entitlement"),
        ("tenant_limit", "quota"),
    ):
        assert names.index(outer) < names.index(inner), f"{inner} must be inside of {outer}"
    assert all(row.reason for row in LINKS)
    assert all(row.build or row.port for row in LINKS), "a place that is kept names its port"


def test_a_policy_that_cant_be_kept_is_refused_at_start() -> None:
    services = tenant_service_pb2.DESCRIPTOR.services_by_name.values()
    with pytest.raises(PolicyError, match="tenant directory"):
        Chain(services, Ports(tokens=TokenSigner().verifier()))
    from notes.v1 import notes_service_pb2  # noqa: PLC0415

    with pytest.raises(PolicyError, match="ForgottenNote has no policy"):
        Chain(notes_service_pb2.DESCRIPTOR.services_by_name.values(), TestMesh().ports())


@pytest.mark.parametrize("default", ["rates", "roles"])
def test_no_chain_can_change_the_defaults_of_another(default: str) -> None:
    mapping: Any = getattr(ChainSettings(), default)
    with pytest.raises(TypeError, match="does not support item"):
        mapping["mine"] = None
    assert "mine" not in getattr(ChainSettings(), default)


def test_identities_are_those_of_one_chain() -> None:
    one: Any = ChainSettings().identities
    one["spiffe://example.test/billing"] = None
    assert not ChainSettings().identities


def test_a_rate_admits_something() -> None:
    with pytest.raises(ValueError, match="admits something"):
        Rate(0, 1)


# --- tokens -----------------------------------------------------------------------------------------------------------


def tampered(signer: TokenSigner, mesh: TestMesh, **changes: Any) -> str:
    acme = mesh.add_tenant("acme")
    payload = signer.claims(acme.id).payload()
    return signer.sign({key: value for key, value in {**payload, **changes}.items() if value is not ...})


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": ...}, {"exp": "9999999999"}, {"exp": 1e18}, {"exp": 2**60}, {"iat": 0}, {"aud": ["tenantmesh-test"]},
        {"aud": "other"}, {"iss": "https://other.test"}, {"tid": ["x"]}, {"tid": "0" * 36}, {"tid": ...},
        {"sub": "root"}, {"roles": "owner"}, {"roles": [1]}, {"roles": ...}, {"jti": ""}, {"extra": 1}, {"epoch": True},
        {"epoch": -1},
    ],
)  # fmt: skip
def test_claims_must_be_exactly_those_of_the_mesh(changes: dict[str, Any]) -> None:
    signer = TokenSigner()
    with pytest.raises(Unauthenticated):
        signer.verifier().verify(tampered(signer, TestMesh(), **changes))


@pytest.mark.parametrize("header", [{"typ": "JWT"}, {"jku": "https://evil.test"}, {"crit": ["x"]}])
def test_headers_must_be_exactly_those_of_the_mesh(header: dict[str, Any]) -> None:
    signer = TokenSigner()
    claims = signer.claims(TestMesh().add_tenant("acme").id)
    with pytest.raises(Unauthenticated):
        signer.verifier().verify(signer.sign(claims, **header))


def test_other_signatures_do_not_verify() -> None:
    signer, other = TokenSigner(), TokenSigner()
    claims = signer.claims(TestMesh().add_tenant("acme").id)
    with pytest.raises(Unauthenticated, match="signature"):
        signer.verifier().verify(other.sign(claims))
    with pytest.raises(UnknownKey):
        signer.verifier().verify(signer.sign(claims, kid="elsewhere"))
    header, payload, _ = signer.sign(claims).split(".")
    with pytest.raises(Unauthenticated):
        signer.verifier().verify(f"{header}.{payload}.")


def test_an_expired_token_says_so() -> None:
    signer = TokenSigner()
    token = signer.sign(signer.claims(TestMesh().add_tenant("acme").id, lifetime=-60))
    with pytest.raises(Unauthenticated) as caught:
        signer.verifier().verify(token)
    assert caught.value.reason == "CREDENTIALS_EXPIRED"


def test_duplicate_claims_are_refused() -> None:
    from base64 import urlsafe_b64encode  # noqa: PLC0415

    signer = TokenSigner()
    token = signer.sign(signer.claims(TestMesh().add_tenant("acme").id))
    header, _, signature = token.split(".")
    twice = urlsafe_b64encode(b'{"tid":"a","tid":"b"}').decode().rstrip("=")
    with pytest.raises(Unauthenticated):
        signer.verifier().verify(f"{header}.{twice}.{signature}")


# --- directory --------------------------------------------------------------------------------------------------------


async def test_what_does_not_exist_is_remembered_within_bounds() -> None:
    source = MemoryTenantSource()
    directory = TenantDirectory(source, capacity=10)
    for number in range(50):
        assert await directory.find(f"nobody-{number}") is None
    assert await directory.find("nobody-49") is None
    assert source.lookups == 50
    assert len(directory._entries) <= 10


async def test_a_tenant_that_appears_is_seen_although_it_was_missed() -> None:
    mesh = TestMesh()
    directory = TenantDirectory(mesh.tenants)
    await directory.start()
    try:
        await _until(lambda: directory.live)
        assert await directory.find("acme") is None
        acme = mesh.add_tenant("acme")
        await _until(lambda: directory.peek("acme") is MISS)
        assert await directory.find("acme") == acme
    finally:
        await directory.close()


async def _until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # the condition is the directory's, which has no event
            await asyncio.sleep(0.005)


class TenantsOfTomorrow:
    """tenant_svc of a version that knows a state which this one does not."""

    def __init__(self) -> None:
        unknown: Any = max(tenant_pb2.TenantState.values()) + 1
        self.tenant = tenant_pb2.Tenant(id=str(uuid.uuid4()), slug="acme", state=unknown, plan_id="basic")

    async def ResolveTenant(self, _request: Any, **_options: Any) -> tenant_pb2.Tenant:
        return self.tenant

    async def WatchTenants(self, _request: Any) -> AsyncIterator[tenant_service_pb2.WatchTenantsResponse]:
        result = tenant_service_pb2.TenantEvent(tenant=self.tenant)
        yield tenant_service_pb2.WatchTenantsResponse(result=result, cursor="1")


class KeysOfTomorrow:
    """auth_svc of a version that knows a kind of caller which this one does not."""

    async def IntrospectToken(self, _request: Any, **_options: Any) -> tokens_pb2.IntrospectTokenResponse:
        unknown: Any = max(policy_pb2.Audience.values()) + 1
        return tokens_pb2.IntrospectTokenResponse(active=True, audience=unknown, sub="a robot")


async def test_a_key_of_a_kind_from_the_future_is_not_valid_here() -> None:
    assert await GrpcApiKeyVerifier(KeysOfTomorrow).verify("tmk_x") is None


async def test_a_tenant_in_a_state_from_the_future_is_not_served_and_breaks_no_watch() -> None:
    source = GrpcTenantSource(TenantsOfTomorrow)
    found = await source.by_slug("acme")
    assert found is not None
    assert found.state is TenantState.SUSPENDED
    (change,) = [change async for change in source.watch(None)]
    assert change.record is not None


class Breakable(MemoryTenantSource):
    """A source that can be away."""

    down = False

    async def by_id(self, tenant_id: Any) -> Any:
        if self.down:
            raise Unavailable("TENANT_DIRECTORY_UNAVAILABLE", "down")
        return await super().by_id(tenant_id)


async def test_stale_answers_serve_for_a_while_and_then_no_more() -> None:
    now = time.monotonic()
    source, mesh = Breakable(), TestMesh()
    mesh.tenants = source
    acme = mesh.add_tenant("acme")
    directory = TenantDirectory(source, clock=lambda: now)
    assert await directory.find(acme.id) == acme
    source.down = True
    now += 4
    assert directory.peek(acme.id) == acme, "fresh for 5 s without a watch"
    now += 2
    assert directory.peek(acme.id) is MISS
    assert await directory.find(acme.id) == acme, "the source is away: stale for 60 s"
    now += 60
    with pytest.raises(Unavailable):
        await directory.find(acme.id)


async def test_a_change_that_overtakes_a_fetch_wins() -> None:
    mesh = TestMesh()
    acme = mesh.add_tenant("acme")

    class Slow(MemoryTenantSource):
        async def by_id(self, tenant_id: Any) -> Any:
            record = await super().by_id(tenant_id)
            if self.lookups == 1:
                mesh.suspend(acme)
                await _until(lambda: directory._overtaken)
            return record

    slow = Slow()
    mesh.tenants = slow
    slow.set(acme)
    directory = TenantDirectory(slow)
    await directory.start()
    try:
        await _until(lambda: directory.live)
        found = await directory.find(acme.id)
        assert found is not None
        assert found.state is TenantState.SUSPENDED
    finally:
        await directory.close()
