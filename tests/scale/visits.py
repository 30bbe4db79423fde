"""Calls for many tenants at tenant_svc and auth_svc, so that the directories of both have met them."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import grpc

from tenantmesh.auth.v1 import auth_service_pb2, auth_service_pb2_grpc
from tenantmesh.interceptors.metadata import TENANT_ID
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tenantmesh.tenant.v1 import tenant_service_pb2_grpc
from tests.scale.product import Product

__all__ = ["visit"]

AT_ONCE = 24
TIMEOUT = 60
PAUSE = 0.2


async def visit(product: Product, number: int) -> float:
    """Call both services for so many tenants, or for all there are. Return the seconds."""
    begun, left = time.monotonic(), iter(product.many.ids[:number])
    async with product.channel() as tenants, grpc.aio.insecure_channel(product.stack.addresses["auth_svc"]) as auth:
        get: Any = tenant_service_pb2_grpc.TenantServiceStub(tenants)
        refresh: Any = auth_service_pb2_grpc.AuthServiceStub(auth)
        await asyncio.gather(*(_visit(get, refresh, left) for _ in range(AT_ONCE)))
    return time.monotonic() - begun


async def _visit(get: Any, refresh: Any, left: Iterator[uuid.UUID]) -> None:
    for tenant_id in left:
        read = partial(get.GetTenant, pb.GetTenantRequest(id=str(tenant_id)), timeout=TIMEOUT)
        await _until(read, grpc.StatusCode.OK)
        request = auth_service_pb2.RefreshTokenRequest(refresh_token="of nobody")
        sign_in = partial(refresh.RefreshToken, request, metadata=((TENANT_ID, str(tenant_id)),), timeout=TIMEOUT)
        await _until(sign_in, grpc.StatusCode.UNAUTHENTICATED)


async def _until(call: Callable[[], Awaitable[object]], expected: grpc.StatusCode) -> None:
    """Call until the answer is the expected one: a busy machine answers UNAVAILABLE, which says to try again."""
    while True:
        try:
            await call()
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                await asyncio.sleep(PAUSE)
                continue
            if error.code() is not expected:
                raise
        return
