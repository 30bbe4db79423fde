"""A process that meets every tenant through the library's directory, as another service does.

    python -m tests.scale.meeting ADDRESS < ids

Prints as JSON: tenants, seconds, entries that the directory holds, questions that were asked again, and the process's
memory before and after.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

from tenantmesh.interceptors.backends.grpc.tenants import GrpcTenantSource
from tenantmesh.interceptors.client import Credential, channel
from tenantmesh.interceptors.directories.tenants import TenantDirectory
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant.v1 import tenant_service_pb2_grpc
from tests.scale.memory import resident
from tests.scale.snapshot import KEY

AT_ONCE = 16


async def meet(target: str, ids: list[TenantId]) -> dict[str, float]:
    """Find every tenant, several at once."""
    async with channel(target, credential=Credential(os.environ[KEY])) as opened:
        stub: Any = tenant_service_pb2_grpc.TenantServiceStub(opened)
        directory = TenantDirectory(GrpcTenantSource(lambda: stub))
        await directory.start()
        before, begun, left = resident(os.getpid()), time.monotonic(), iter(ids)
        again = sum(await asyncio.gather(*(_find(directory, left) for _ in range(AT_ONCE))))
        seconds, held = time.monotonic() - begun, directory.size
        await directory.close()
    return {
        "tenants": len(ids), "seconds": seconds, "entries": held, "asked_again": again,
        "before_mib": before, "after_mib": resident(os.getpid()),
    }  # fmt: skip


async def _find(directory: TenantDirectory, left: Iterator[TenantId]) -> int:
    """Find the tenants that are left, and return how many questions had no answer in time and were asked again."""
    again = 0
    for tenant_id in left:
        try:
            found = await directory.find(tenant_id)
        except Unavailable:
            again += 1
            found = await directory.find(tenant_id)
        if found is None:
            raise RuntimeError(f"tenant_svc does not know {tenant_id}")
    return again


if __name__ == "__main__":
    wanted = [TenantId(uuid.UUID(line.strip())) for line in sys.stdin]
    sys.stdout.write(json.dumps(asyncio.run(meet(sys.argv[1], wanted))))
