"""The product itself as targets, on real PostgreSQL and Valkey: reads, checks of entitlements, leases of units."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from tenantmesh.deploy.stack.programs.table import any_ports
from tenantmesh.deploy.stack.stack import Stack
from tenantmesh.interceptors.backends.redis.quota_pool import RedisQuotaPool
from tenantmesh.interceptors.quotas import Ask, Slice
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.redis_client import connect
from tenantmesh.runtime.settings import RedisSettings
from tenantmesh.tenant.v1 import entitlement_service_pb2, quota_service_pb2, tenant_service_pb2
from tests.benchmarks.load import LAST_CORE, Endpoint, Headers, Load, Target, framed, pin
from tests.fixtures.stack import MANY_CALLS

SERVICES = "/tenantmesh.tenant.v1"
TOKEN_AGE = 200.0
"""Seconds after which a new token is asked for; one lives for 300."""
PLAN = {
    "id": "bench",
    "displayName": "Bench",
    "billingPeriod": "PERIOD_MONTH",
    "features": [
        {"feature": "api_requests", "value": {"limit": 10**12}},
        {"feature": "users", "value": {"limit": 10}},
    ],
    "rates": [{"rateClass": "api", "perSecond": 1_000_000, "burst": 1_000_000}],
}
"""Limits and charges every call, and refuses none."""
ACCOUNT = {"email": "bench@people.example", "password": "a long walk over warm stones"}


TENANTS = 200
"""Of a batch of checks, each asked about all FEATURES."""
FEATURES = ("core", "biometric_auth", "api_requests", "users", "storage_bytes")
LEASED = quota_service_pb2.LeaseAsk(meter="api_requests", want=100, need=1)


class Product:
    """A running stack with tenants, and a user who signs in before the last token runs out."""

    def __init__(self, stack: Stack) -> None:
        self._token, self._signed_in = "", float("-inf")
        self._edge = stack.edge_url
        self._tenant_svc = stack.addresses["tenant_svc"]
        self._operator, self._service = (
            {"authorization": f"Bearer {(stack.places.state / name).read_text().strip()}", "x-request-id": "bench"}
            for name in ("operator.key", "auth_svc.key")
        )
        self._post("/api/v1/plans", PLAN, self._operator)
        self._post("/api/v1/plans/bench:publish", {}, self._operator)
        for number in range(TENANTS):
            self._post("/api/v1/tenants/create", {"slug": f"bench-{number}", "planId": "bench"}, self._operator)
        self._post("/api/v1/auth/register?tenant=bench-0", ACCOUNT, {})

    def _post(self, path: str, body: dict[str, Any], headers: Headers) -> dict[str, str]:
        request = urllib.request.Request(
            self._edge + path, json.dumps(body).encode(), {"content-type": "application/json", **headers}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            decoded: dict[str, str] = json.load(answer)
        return decoded

    def _user(self) -> Headers:
        if time.monotonic() - self._signed_in > TOKEN_AGE:
            self._token = self._post("/api/v1/auth/login?tenant=bench-0", ACCOUNT, {})["accessToken"]
            self._signed_in = time.monotonic()
        return {"authorization": f"Bearer {self._token}", "x-request-id": "bench"}

    def _grpc(
        self,
        name: str,
        method: str,
        message: Message,
        headers: Callable[[], Headers],
        share: float = 1.0,
        base: str = "",
    ) -> Target:
        """A method as a target, called once with a real client: h2load counts any HTTP 200 as success."""
        with grpc.insecure_channel(self._tenant_svc) as channel:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"{SERVICES}.{method}")
            assert call(message.SerializeToString(), metadata=tuple(headers().items()), timeout=10)
        return Endpoint(
            name,
            f"{base or f'http://{self._tenant_svc}'}{SERVICES}.{method}",
            lambda: {"content-type": "application/grpc", "te": "trailers", **headers()},
            framed(message),
            share,
        )

    def targets(self) -> list[Target]:
        """A read in three ways; checks of entitlements, one and a thousand at a time; leases of one tenant's allowance,
        who all wait for each other."""
        read = "TenantService/GetTenant", tenant_service_pb2.GetTenantRequest(id="bench-0")
        check = entitlement_service_pb2.CheckEntitlementRequest
        batch = entitlement_service_pb2.BatchCheckEntitlementsRequest(
            checks=[check(id=f"bench-{number}", feature=feature) for number in range(TENANTS) for feature in FEATURES]
        )
        lease = quota_service_pb2.LeaseRequest(id="bench-0", asks=[LEASED])
        return [
            self._grpc("GetTenant", *read, self._user),
            self._grpc("GetTenant, gRPC at the edge", *read, self._user, base=self._edge),
            Endpoint("GetTenant, REST at the edge", f"{self._edge}/api/v1/tenants/bench-0", self._user),
            self._grpc(
                "CheckEntitlement",
                "EntitlementService/CheckEntitlement",
                check(id="bench-0", feature="core"),
                self._user,
            ),
            self._grpc(
                "BatchCheckEntitlements, 1,000 checks",
                "EntitlementService/BatchCheckEntitlements",
                batch,
                lambda: self._operator,
                share=0.02,
            ),
            self._grpc("Lease, from the ledger", "QuotaService/Lease", lease, lambda: self._service, share=0.5),
        ]


@dataclass
class Pool:
    """Slices of one tenant's allowance out of the pool, as a process takes them: the script in Valkey, no gRPC."""

    settings: RedisSettings
    name: str = "a slice, from the pool"

    def load(self, load: Load) -> tuple[float, list[float]]:
        """As `Target.load`."""
        return asyncio.run(self._load(load))

    async def _load(self, load: Load) -> tuple[float, list[float]]:
        client = connect(self.settings)
        pool, tenant = RedisQuotaPool(client), TenantId(uuid.uuid4())
        begun, left = datetime.now(UTC), load.calls * 100
        until = (await pool.take(tenant, [Ask("reads", 1, 1)], [1])).clock + 3600
        await pool.add(tenant, Slice("reads", left, left, left, begun, timedelta(hours=1)), left, until)
        latencies: list[float] = []

        async def take(number: int) -> None:
            for _ in range(number):
                sent = time.perf_counter()
                answer = await pool.take(tenant, [Ask("reads", 10, 1)], [left])
                latencies.append((time.perf_counter() - sent) * 1000)
                assert answer.slices[0] is not None

        in_flight = load.clients * load.streams
        began = time.perf_counter()
        await asyncio.gather(*(take(load.calls // in_flight) for _ in range(in_flight)))
        rate = len(latencies) / (time.perf_counter() - began)
        await client.aclose()
        return rate, latencies


@contextmanager
def product() -> Iterator[list[Target]]:
    """The targets, verified by the calls that prepared them."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as environment:
        environment.setenv("TENANTMESH_MESH_RATES", "credential=1000/1000")
        environment.setenv("TENANTMESH_MESH_CONCURRENCY", "calls=1000/2000/100")  # one user has all calls in flight
        with Stack(Path(folder) / "state", ports=any_ports(), temporary=True, edge_limits=MANY_CALLS) as stack:
            # The service on its core, as every variant; the database, in production elsewhere, beside the load.
            record = json.loads((stack.places.state / "run.json").read_text())
            for child in record["children"]:
                pin(child["pid"], 0 if child["name"] == "tenant_svc" else LAST_CORE)
            pool = Pool(RedisSettings(url=stack.engines.store.url, timeout=timedelta(seconds=10)))
            yield [*Product(stack).targets(), pool]
