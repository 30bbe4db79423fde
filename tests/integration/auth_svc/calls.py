"""Calls of auth_svc as its clients make them, and what they read in a refusal."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from tenantmesh.auth.v1 import auth_service_pb2 as auth
from tenantmesh.interceptors.tenants import TenantRecord
from tests.integration.auth_svc.conftest import (
    Service,
)

PASSWORD = "harbour violet cactus 71 engine"
WRONG = "quilted thunder 88 marmot garden"


async def register(service: Service, tenant: TenantRecord, email: str = "alice@example.com", **fields: str) -> Any:
    request = auth.RegisterRequest(**{"email": email, "password": PASSWORD, **fields})
    return await service.call("Register", request, tenant=tenant)


async def login(
    service: Service, tenant: TenantRecord, email: str = "alice@example.com", password: str = PASSWORD
) -> Any:
    return await service.call("Login", auth.LoginRequest(email=email, password=password), tenant=tenant)


async def refresh(service: Service, token: str, **options: Any) -> Any:
    return await service.call("RefreshToken", auth.RefreshTokenRequest(refresh_token=token), **options)


async def refused(call: Any) -> tuple[grpc.StatusCode, str, grpc.aio.AioRpcError]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    error = raised.value
    return error.code(), reason_of(error), error


def reason_of(error: grpc.aio.AioRpcError) -> str:
    for detail in details_of(error):
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return str(info.reason)
    return ""


def details_of(error: grpc.aio.AioRpcError) -> Any:
    trailers = dict(error.trailing_metadata() or ())
    return status_pb2.Status.FromString(trailers["grpc-status-details-bin"]).details
