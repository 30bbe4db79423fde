"""The product itself as a target: GetTenant at tenant_svc and through Envoy, on real PostgreSQL and Valkey."""

from __future__ import annotations

import json
import os
import struct
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tenantmesh.tenant.v1 import tenant_service_pb2

from deploy.embedded.ports import Ports
from deploy.embedded.stack import Stack
from tests.benchmarks.load import Target, pin

METHOD = "/tenantmesh.tenant.v1.TenantService/GetTenant"
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


class Product:
    """A running stack with a tenant and a user who signs in before the last token runs out."""

    def __init__(self, stack: Stack) -> None:
        self._token, self._signed_in = "", float("-inf")
        self._edge = stack.edge_url
        self._tenant_target = stack.addresses["tenant_svc"]
        key = (stack.places.state / "operator.key").read_text().strip()
        operator = {"authorization": f"Bearer {key}"}
        self._post("/api/v1/plans", PLAN, operator)
        self._post("/api/v1/plans/bench:publish", {}, operator)
        self._post("/api/v1/tenants/create", {"slug": "bench", "planId": "bench"}, operator)
        self._post("/api/v1/auth/register?tenant=bench", ACCOUNT, {})

    def _post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, str]:
        request = urllib.request.Request(  # noqa: S310  # loopback
            self._edge + path, json.dumps(body).encode(), {"content-type": "application/json", **headers}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            decoded: dict[str, str] = json.load(answer)
        return decoded

    def _rest_headers(self) -> dict[str, str]:
        if time.monotonic() - self._signed_in > TOKEN_AGE:
            self._token = self._post("/api/v1/auth/login?tenant=bench", ACCOUNT, {})["accessToken"]
            self._signed_in = time.monotonic()
        return {"authorization": f"Bearer {self._token}", "x-request-id": "bench"}

    def _grpc_headers(self) -> dict[str, str]:
        return {"content-type": "application/grpc", "te": "trailers", **self._rest_headers()}

    def targets(self) -> list[Target]:
        """GetTenant in three ways."""
        raw = tenant_service_pb2.GetTenantRequest(id="bench").SerializeToString()
        body = struct.pack(">BI", 0, len(raw)) + raw
        return [
            Target("GetTenant", f"http://{self._tenant_target}{METHOD}", self._grpc_headers, body),
            Target("GetTenant, gRPC at the edge", self._edge + METHOD, self._grpc_headers, body),
            Target("GetTenant, REST at the edge", f"{self._edge}/api/v1/tenants/bench", self._rest_headers),
        ]


@contextmanager
def product() -> Iterator[list[Target]]:
    """The targets, verified by the calls that prepared them."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as environment:
        environment.setenv("TENANTMESH_MESH_RATES", "credential=1000/1000")
        with Stack(Path(folder) / "state", ports=Ports.any(), temporary=True) as stack:
            # The service on its core, as every variant; the database, in production elsewhere, beside the load.
            record = json.loads((stack.places.state / "run.json").read_text())
            for child in record["children"]:
                pin(child["pid"], 0 if child["name"] == "tenant_svc" else (os.cpu_count() or 1) - 1)
            yield Product(stack).targets()
