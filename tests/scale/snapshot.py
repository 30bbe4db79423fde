"""A reader of a watch from its snapshot to its first checkpoint that has caught up, in a process of its own.

    python -m tests.scale.snapshot ADDRESS tenants|entitlements

Prints as JSON: messages, seconds, and the reader's memory before and at most.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

from tenantmesh.interceptors.client import Credential, channel
from tenantmesh.tenant.v1 import entitlement_service_pb2 as entitlements
from tenantmesh.tenant.v1 import entitlement_service_pb2_grpc, tenant_service_pb2_grpc
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tests.scale.memory import Peak

KEY = "TENANTMESH_SCALE_KEY"


async def read(target: str, what: str) -> dict[str, float]:
    """Read the stream until it has caught up."""
    async with channel(target, credential=Credential(os.environ[KEY])) as opened:
        tenants: Any = tenant_service_pb2_grpc.TenantServiceStub(opened)
        changes: Any = entitlement_service_pb2_grpc.EntitlementServiceStub(opened)
        await opened.channel_ready()
        messages, begun = 0, time.monotonic()
        with Peak(os.getpid()) as peak:
            stream = (
                tenants.WatchTenants(pb.WatchTenantsRequest(snapshot=True))
                if what == "tenants"
                else changes.WatchEntitlements(entitlements.WatchEntitlementsRequest(snapshot=True))
            )
            async for message in stream:
                if message.WhichOneof("event") == "error":
                    raise RuntimeError(str(message.error))
                messages += message.HasField("result")
                if message.checkpoint.caught_up:
                    break
        return {"messages": messages, "seconds": time.monotonic() - begun, **peak.figures}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(read(*sys.argv[1:]))))
