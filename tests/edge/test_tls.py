"""Mutual TLS on both sides of the edge: who calls is told to the services, and only the right services are called."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import grpc
import grpc.aio
import pytest

from tenantmesh.deploy.envoy import DownstreamTls, EdgeLimits, EdgeSettings, UpstreamTls, validate, write
from tenantmesh.tenant.v1 import tenant_service_pb2, tenant_service_pb2_grpc
from tests.authority import Authority, Identity
from tests.edge.conftest import require_envoy, serving
from tests.edge.upstream import running
from tests.ports import free_port

CALLER = "spiffe://mesh.test/caller"
SERVICE = "spiffe://mesh.test/service"


def settings_of(authority: Authority, expected: str, tenant_port: int, auth_port: int) -> EdgeSettings:
    edge = authority.identity("spiffe://mesh.test/edge")
    return EdgeSettings(
        port=free_port(),
        admin_port=None,
        limits=EdgeLimits(address_groups=1),
        tenant=(f"127.0.0.1:{tenant_port}",),
        auth=(f"127.0.0.1:{auth_port}",),
        downstream_tls=DownstreamTls(certificate=edge.certificate, key=edge.key, client_ca=authority.certificate),
        upstream_tls=UpstreamTls(
            ca=authority.certificate,
            certificate=edge.certificate,
            key=edge.key,
            identities={"tenant": expected, "auth": expected},
        ),
    )


async def answer(settings: EdgeSettings, authority: Authority, caller: Identity | None) -> grpc.StatusCode:
    """Calls until the edge has found its services, or for a few seconds."""
    key, certificate = caller.pair if caller else (None, None)
    credentials = grpc.ssl_channel_credentials(authority.certificate.read_bytes(), key, certificate)
    code = grpc.StatusCode.UNKNOWN
    async with grpc.aio.secure_channel(f"127.0.0.1:{settings.port}", credentials) as channel:
        stub = tenant_service_pb2_grpc.TenantServiceStub(channel)
        for _ in range(30):
            try:
                forged = (("x-forwarded-client-cert", "URI=spiffe://forged"),)
                request = tenant_service_pb2.GetTenantRequest(id="acme")
                await stub.GetTenant(request, metadata=forged, timeout=5)
            except grpc.aio.AioRpcError as error:
                code = error.code()
                await asyncio.sleep(0.1)
            else:
                return grpc.StatusCode.OK
    return code


async def test_a_caller_is_told_by_its_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    service, caller = authority.identity(SERVICE), authority.identity(CALLER)
    trusted = grpc.ssl_server_credentials([service.pair], authority.certificate.read_bytes(), require_client_auth=True)
    async with running(trusted) as upstream, running() as healths:
        settings = settings_of(authority, SERVICE, upstream.tenant_port, upstream.auth_port)
        # The ports of health have no TLS.
        settings = replace(settings, tenant_health_port=healths.tenant_port, auth_health_port=healths.auth_port)
        async with serving(settings, tmp_path):
            assert await answer(settings, authority, caller) is grpc.StatusCode.OK
            told = str(upstream.last.one("x-forwarded-client-cert"))
            assert f"URI={CALLER}" in told
            assert "forged" not in told
            assert await answer(settings, authority, None) is grpc.StatusCode.UNAVAILABLE


async def test_a_service_with_another_identity_gets_no_call(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    service, caller = authority.identity("spiffe://mesh.test/impostor"), authority.identity(CALLER)
    trusted = grpc.ssl_server_credentials([service.pair], authority.certificate.read_bytes(), require_client_auth=True)
    async with running(trusted) as upstream:
        settings = settings_of(authority, SERVICE, upstream.tenant_port, upstream.auth_port)
        async with serving(settings, tmp_path):
            assert await answer(settings, authority, caller) is grpc.StatusCode.UNAVAILABLE
            assert upstream.arrivals == []


def test_envoy_accepts_it(tmp_path: Path) -> None:
    require_envoy()
    validate(write(settings_of(Authority(tmp_path), SERVICE, 1, 2), tmp_path / "edge.json"))


@pytest.mark.parametrize("missing", ["tenant", "auth"])
def test_an_upstream_without_an_expected_identity_is_refused(tmp_path: Path, missing: str) -> None:
    settings = settings_of(Authority(tmp_path), SERVICE, 1, 2)
    assert settings.upstream_tls is not None
    identities = {name: SERVICE for name in settings.upstreams if name != missing}
    with pytest.raises(ValueError, match=missing):
        UpstreamTls(
            ca=settings.upstream_tls.ca,
            certificate=settings.upstream_tls.certificate,
            key=settings.upstream_tls.key,
            identities=identities,
        ).expected(missing)
