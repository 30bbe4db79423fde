"""The product with so many tenants: its engines and programs without the edge, and how much memory they have."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import psutil
from google.protobuf import field_mask_pb2

from tenantmesh.deploy.commands.diagnosis import examine
from tenantmesh.deploy.stack.stack import Stack
from tenantmesh.deploy.stack.supervision.command import Child
from tenantmesh.interceptors.client import Credential, channel
from tenantmesh.tenant.v1 import tenant_pb2, tenant_service_pb2_grpc
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tests.ports import stack_ports
from tests.scale.memory import resident
from tests.scale.rows import FORMER, HOST, MODEL, Many, multiply, of_tenant

__all__ = ["Product", "make_model", "running"]

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("tenant_svc", "auth_svc", "tenant_worker")
_PROVEN = "UPDATE tenant.tenants SET login_hosts = $2 WHERE tenant_id = $1"
"""A login host as it is once its proof was found: that needs a name server, and a proof for each tenant."""

MANY_SIGN_INS = "credential=1000000/1000000"
"""Calls without a credential come from one address here, and their limit is tested elsewhere."""


@dataclass
class Product:
    """A running product, and what was learnt while it was filled."""

    stack: Stack
    size: int
    many: Many = field(default_factory=lambda: Many((), ()))
    rows: dict[str, int] = field(default_factory=dict)
    """The rows of one tenant, by table."""
    loading_seconds: float = 0.0
    starting_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def operator_key(self) -> str:
        """The key that may do everything."""
        return (self.stack.places.state / "operator.key").read_text().strip()

    @property
    def target(self) -> str:
        """The address of tenant_svc."""
        return self.stack.addresses["tenant_svc"]

    def channel(self, program: str = "tenant_svc") -> grpc.aio.Channel:
        """Open a channel as the operator."""
        return channel(self.stack.addresses[program], credential=Credential(self.operator_key))

    def process(self, program: str) -> psutil.Process:
        """Return the process of a program."""
        return psutil.Process(self._child(program).process.pid)

    def _child(self, program: str) -> Child:
        return next(each for each in self.stack.children if each.command.name == program)

    def memory(self) -> dict[str, float]:
        """Return the resident memory of each program, in MiB."""
        return {program: resident(self.process(program).pid) for program in PROGRAMS}

    async def connect(self) -> asyncpg.Connection:
        """Connect to the database as the superuser."""
        return await asyncpg.connect(self.stack.engines.postgres.url("postgres", "tenantmesh").get_secret_value())

    async def fill(self) -> None:
        """Create one tenant by a call, and copy its rows."""
        async with self.channel() as opened:
            stub: Any = tenant_service_pb2_grpc.TenantServiceStub(opened)
            made = await make_model(stub)
        connection = await self.connect()
        try:
            await connection.execute(_PROVEN, uuid.UUID(made.id), [f"{MODEL}{HOST}"])
            self.rows = await of_tenant(connection, uuid.UUID(made.id))
            begun = time.monotonic()
            self.many = await multiply(connection, uuid.UUID(made.id), self.size)
            self.loading_seconds = time.monotonic() - begun
        finally:
            await connection.close()

    def restart(self) -> None:
        """Restart each program, and learn how long it takes until it serves: they have met no tenant then."""
        for program in PROGRAMS:
            ending = self._child(program).popen
            ending.send_signal(signal.SIGTERM)
            ending.wait(30)
            begun = time.monotonic()
            self.stack.watch()
            row = next(each for each in self.stack.programs if each.name == program)
            while not row.examine(row.address(self.stack.ports)).good:
                time.sleep(0.02)
            self.starting_seconds[program] = time.monotonic() - begun

    def series(self) -> dict[str, int]:
        """Return how many series of metrics each service has: tenants must be no labels."""
        ports = {"tenant_svc": "tenant_metrics", "auth_svc": "auth_metrics"}
        found = {}
        for program, port in ports.items():
            with urllib.request.urlopen(f"http://127.0.0.1:{self.stack.ports[port]}/metrics", timeout=10) as page:
                found[program] = sum(not line.startswith(b"#") for line in page)
        return found

    def doctor(self) -> float:
        """Return the seconds in which `tenantmesh doctor` looks at everything."""
        begun = time.monotonic()
        for _finding in examine(self.stack.places.state, self.stack.ports):
            pass
        return time.monotonic() - begun

    def child(self, module: str, *arguments: str, given: str = "") -> dict[str, Any]:
        """Run a module of this folder in a process of its own, and return what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", f"tests.scale.{module}", self.target, *arguments],
            env={**os.environ, "TENANTMESH_SCALE_KEY": self.operator_key},
            cwd=ROOT, input=given, capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{module}: {done.stderr}")
        return dict(json.loads(done.stdout))


async def make_model(stub: Any) -> Any:
    """Create the tenant of which the others are copies: with a profile, and with a slug that it had before."""
    made = await stub.CreateTenant(
        pb.CreateTenantRequest(
            slug=f"{MODEL}{FORMER}",
            display_name="Model",
            plan_id="basic",
            request_id=str(uuid.uuid4()),
            labels={"tier": "gold", "cell": "c1"},
            external_id="crm-model",
            time_zone="Europe/Zurich",
            locale="de-CH",
            currency="CHF",
        ),
        timeout=30,
    )
    changed = tenant_pb2.Tenant(id=made.id, slug=MODEL)
    mask = field_mask_pb2.FieldMask(paths=["slug"])
    return await stub.UpdateTenant(pb.UpdateTenantRequest(id=made.id, tenant=changed, update_mask=mask), timeout=30)


@contextmanager
def running(folder: Path, size: int) -> Iterator[Product]:
    """Start the product, fill it with so many tenants, and start its programs again."""
    os.environ["TENANTMESH_MESH_RATES"] = MANY_SIGN_INS
    stack = Stack(folder / f"of-{size}", ports=stack_ports(), durable=False, temporary=True)
    stack.programs = [program for program in stack.programs if program.name != "edge"]
    with stack:
        product = Product(stack, size)
        asyncio.run(product.fill())
        product.restart()
        yield product
