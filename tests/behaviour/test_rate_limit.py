"""The burst limit of public methods, as clients see it, and what happens when its store is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator

import pytest

from tests.fixtures.mesh import AUTH, PASSWORD, TENANTS, Mesh
from tests.fixtures.stack import started_stack
from tests.transports import GrpcTransport, RestTransport

TOKENS = "tenantmesh.auth.v1.TokenService"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, clustered: bool) -> Iterator[Mesh]:
    """A stack of its own: the limit counts whoever calls from this address, and its store gets killed."""
    rates = "public=0.2/5,credential=0.05/8"
    with started_stack(tmp_path_factory.mktemp("limited"), cluster=clustered, rates=rates) as stack:
        yield Mesh(stack)


async def test_a_burst_is_refused_with_when_to_come_back(own: Mesh) -> None:
    grpc, rest = GrpcTransport(own.tenant_target, own.auth_target), RestTransport(own.edge_target)
    async with grpc:
        codes = [(await grpc.call(f"{TOKENS}/GetDiscovery")).code for _ in range(6)]
        assert codes.count("OK") <= 5
        over_grpc = await grpc.call(f"{TOKENS}/GetDiscovery")
        over_rest = await rest.call(f"{TOKENS}/GetDiscovery")
    for answer in (over_grpc, over_rest):
        assert (answer.code, answer.reason) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
        assert 0 < int(answer.headers["retry-after"]) <= 20
        assert any("retryDelay" in each for each in answer.details)
    status, _, body = rest.send("GET", "/.well-known/openid-configuration", ())
    assert (status, json.loads(body)["code"]) == (429, 8)


async def test_without_its_store_each_class_does_what_its_policy_says(own: Mesh) -> None:
    record = json.loads((own.stack.places.state / "run.json").read_text())
    for child in record["children"]:
        if child["name"].startswith("valkey"):
            os.kill(child["pid"], signal.SIGKILL)
    rest = RestTransport(own.edge_target)
    async with asyncio.timeout(30):
        while (await rest.call(f"{TOKENS}/GetJwks")).code != "OK":  # polled as clients do
            await asyncio.sleep(0.2)  # a refusal by the store is remembered for as long as it told to wait
    for _ in range(10):
        assert (await rest.call(f"{TOKENS}/GetJwks")).code == "OK", "key sets are served without a limiter"
    created = await rest.call(f"{TENANTS}/CreateTenant", {"slug": "limited"}, token=own.operator_key)
    assert created.code == "OK", created
    login = {"email": "nobody@people.example", "password": PASSWORD}
    here = [("x-tenant-slug", "limited")]
    reasons = [(await rest.call(f"{AUTH}/Login", login, metadata=here)).reason for _ in range(5)]
    assert reasons[0] == "INVALID_CREDENTIALS", "one process alone still counts, and admits its share"
    assert reasons[-1] == "RATE_LIMITED"
