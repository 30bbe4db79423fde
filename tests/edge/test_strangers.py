"""What the edge bounds for each stranger: calls of an address and of a credential, calls under way, what can be
reached at all. One edge with small limits; each test calls from an address of its own.
"""

from __future__ import annotations

import asyncio
import http.client
import itertools
import stat
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tenantmesh.deploy.envoy import EdgeLimits, EdgeSettings
from tenantmesh.tenant.v1 import quota_service_pb2, quota_service_pb2_grpc, tenant_service_pb2, tenant_service_pb2_grpc
from tests.edge.client import Answer, Rest
from tests.edge.conftest import Edge, serving, until_healthy
from tests.edge.test_grpc import framed
from tests.edge.upstream import running
from tests.ports import free_port

BURST = 12
UNDER_WAY = 3
LIMITS = EdgeLimits(
    address_groups=1,
    address_rate=1,
    address_burst=BURST,
    credential_rate=1,
    credential_burst=BURST + 5,
    upstream_requests=UNDER_WAY,
)
TENANT = "/api/v1/tenants/acme"
ADDRESSES = itertools.count(1)


@pytest_asyncio.fixture(scope="session")
async def strict(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Edge, EdgeSettings]]:
    folder = tmp_path_factory.mktemp("strict")
    async with running() as upstream:
        settings = EdgeSettings(
            port=free_port(),
            admin_port=free_port(),
            admin_socket=folder / "admin.sock",
            tenant=(f"127.0.0.1:{upstream.tenant_port}",),
            auth=(f"127.0.0.1:{upstream.auth_port}",),
            trusted_hops=1,
            limits=LIMITS,
        )
        async with serving(settings, folder) as process:
            rest = Rest(settings.port)
            await until_healthy(rest, process)
            yield Edge(rest, f"127.0.0.1:{settings.port}", upstream, process), settings


@pytest.fixture
def address() -> tuple[str, str]:
    """The header in which the trusted proxy says who calls: nobody else in these tests."""
    return "x-forwarded-for", f"198.51.100.{next(ADDRESSES)}"


def reason(answer: Answer) -> str:
    (detail,) = answer.json()["details"]
    return str(detail["reason"])


async def get(edge: Edge, path: str, *headers: tuple[str, str]) -> Answer:
    return await asyncio.to_thread(edge.rest.get, path, headers)


async def test_an_address_that_calls_too_fast_is_refused_alone(
    strict: tuple[Edge, EdgeSettings], address: tuple[str, str]
) -> None:
    edge, _ = strict
    statuses = [(await get(edge, TENANT, address)).status for _ in range(BURST + 3)]
    assert statuses[:BURST] == [200] * BURST
    refused = await get(edge, TENANT, address)
    assert (refused.status, reason(refused), refused.headers["retry-after"]) == (429, "EDGE_RATE_LIMITED", "1")
    assert refused.json()["code"] == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    assert (await get(edge, TENANT, ("x-forwarded-for", "203.0.113.7"))).status == 200
    assert (await get(edge, "/healthz", address)).status == 200


async def test_a_network_of_ipv6_is_one_caller(strict: tuple[Edge, EdgeSettings]) -> None:
    edge, _ = strict
    senders = [("x-forwarded-for", f"2001:db8:{number}::1") for number in range(3)]
    neighbours = [("x-forwarded-for", f"2001:db8:0:0:{number}::1") for number in range(1, BURST + 4)]
    statuses = [(await get(edge, TENANT, each)).status for each in neighbours]
    assert statuses.count(429) >= 2
    assert [(await get(edge, TENANT, each)).status for each in senders[1:]] == [200, 200]


async def test_a_credential_is_bounded_wherever_it_comes_from(strict: tuple[Edge, EdgeSettings]) -> None:
    edge, _ = strict
    stolen = ("authorization", "Bearer stolen")
    addresses = [("x-forwarded-for", f"192.0.2.{number}") for number in range(1, BURST + 12)]
    statuses = [(await get(edge, TENANT, stolen, each)).status for each in addresses]
    assert statuses.count(429) >= 3
    assert (await get(edge, TENANT, ("authorization", "Bearer another"), addresses[-1])).status == 200


async def refused_call(call: Callable[[], Any]) -> grpc.aio.AioRpcError:
    """The first refusal of calls that come one after the other."""
    for _ in range(BURST + 3):
        try:
            await call()
        except grpc.aio.AioRpcError as error:
            return error
    pytest.fail("no call was refused")


def grpc_reason(error: grpc.aio.AioRpcError) -> str:
    call: Any = error
    status = rpc_status.from_call(call)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return str(info.reason)


async def test_grpc_callers_read_the_reason_too(strict: tuple[Edge, EdgeSettings], address: tuple[str, str]) -> None:
    edge, _ = strict
    async with grpc.aio.insecure_channel(edge.target) as channel:
        stub = tenant_service_pb2_grpc.TenantServiceStub(channel)
        request = tenant_service_pb2.GetTenantRequest(id="acme")
        error = await refused_call(lambda: stub.GetTenant(request, metadata=(address,), timeout=10))
    assert (error.code(), grpc_reason(error)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "EDGE_RATE_LIMITED")
    assert ("retry-after", "1") in tuple(error.initial_metadata() or ()) + tuple(error.trailing_metadata() or ())


async def held(edge: Edge, address: tuple[str, str]) -> list[Coroutine[Any, Any, Answer]]:
    return [get(edge, "/api/v1/tenants/slow", address) for _ in range(UNDER_WAY)]


async def test_calls_under_way_to_a_service_are_bounded(
    strict: tuple[Edge, EdgeSettings], address: tuple[str, str]
) -> None:
    edge, _ = strict
    edge.upstream.released.clear()
    arrived = len(edge.upstream.arrivals)
    waiting = [asyncio.ensure_future(call) for call in await held(edge, address)]
    while len(edge.upstream.arrivals) < arrived + UNDER_WAY:
        await asyncio.sleep(0.01)
    refused = await get(edge, TENANT, address)
    async with grpc.aio.insecure_channel(edge.target) as channel:
        stub = tenant_service_pb2_grpc.TenantServiceStub(channel)
        request = tenant_service_pb2.GetTenantRequest(id="acme")
        error = await refused_call(lambda: stub.GetTenant(request, metadata=(address,), timeout=10))
    edge.upstream.released.set()
    assert {(await each).status for each in waiting} == {200}
    assert (refused.status, reason(refused)) == (503, "EDGE_OVERLOADED")
    assert (error.code(), grpc_reason(error)) == (grpc.StatusCode.UNAVAILABLE, "EDGE_OVERLOADED")
    assert (await get(edge, TENANT, address)).status == 200


async def test_what_processes_say_to_each_other_is_no_business_of_strangers(
    strict: tuple[Edge, EdgeSettings], address: tuple[str, str]
) -> None:
    edge, _ = strict
    async with grpc.aio.insecure_channel(edge.target) as channel:
        stub = quota_service_pb2_grpc.QuotaServiceStub(channel)
        calls: list[Callable[[], Any]] = [
            lambda: stub.Lease(quota_service_pb2.LeaseRequest(), metadata=(address,), timeout=10),
            lambda: stub.Return(quota_service_pb2.ReturnRequest(), metadata=(address,), timeout=10),
            lambda: stub.ReportGauge(quota_service_pb2.ReportGaugeRequest(), metadata=(address,), timeout=10),
        ]
        for call in calls:
            error = await refused_call(call)
            assert error.code() is grpc.StatusCode.UNIMPLEMENTED
            assert "at the port of the service" in (error.details() or "")
    web = [("content-type", "application/grpc-web+proto"), address]
    path = "/tenantmesh.tenant.v1.QuotaService/ReportGauge"
    answer = await asyncio.to_thread(edge.rest.call, "POST", path, web, framed(b""))
    assert answer.headers["grpc-status"] == "12"


@pytest.mark.parametrize("path", ["/api/v1/tenants/:watch", "/api/v1/tenants/:resolve?slug=a", "/api/v1/plans/:diff"])
async def test_a_name_before_the_colon_is_not_left_out(edge: Edge, path: str) -> None:
    arrived = len(edge.upstream.arrivals)
    assert (await get(edge, path)).status == 404
    assert len(edge.upstream.arrivals) == arrived


def ask(port: int, method: str, path: str, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/stats/prometheus", {}, 200),
        ("GET", "/clusters", {}, 200),
        ("POST", "/logging?level=debug", {"origin": "https://evil.test"}, 403),
        ("POST", "/quitquitquit", {}, 403),
        ("GET", "/quitquitquit", {}, 403),
        ("GET", "/stats/../quitquitquit", {}, 403),
        ("GET", "/config_dump", {}, 403),
        ("GET", "/stats", {"host": "rebound.evil.test"}, 403),
    ],
)
async def test_the_port_of_metrics_only_reads(
    strict: tuple[Edge, EdgeSettings], method: str, path: str, headers: dict[str, str], status: int
) -> None:
    edge, settings = strict
    assert await asyncio.to_thread(ask, settings.admin_port or 0, method, path, **headers) == status
    assert edge.process.returncode is None


def test_the_interface_that_writes_is_its_owners(strict: tuple[Edge, EdgeSettings]) -> None:
    _, settings = strict
    assert settings.admin_socket is not None
    assert stat.S_IMODE(settings.admin_socket.stat().st_mode) == 0o600
