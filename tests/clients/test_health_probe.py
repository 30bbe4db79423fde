"""A cluster's probe, as its own program asks."""

from __future__ import annotations

import pytest

from tests.clients.tools import Mesh, run, tool

SERVICES = {"tenant_target": "tenantmesh.tenant.v1.TenantService", "auth_target": "tenantmesh.auth.v1.AuthService"}


@pytest.mark.parametrize("where", ["tenant_target", "auth_target", "edge_target"])
async def test_everything_serves(mesh: Mesh, where: str) -> None:
    probed = await run(tool("grpc-health-probe"), f"-addr={getattr(mesh, where)}", "-rpc-timeout=5s")
    assert probed.code == 0, probed.err


@pytest.mark.parametrize("where", sorted(SERVICES))
async def test_each_service_answers_for_itself(mesh: Mesh, where: str) -> None:
    arguments = (f"-addr={getattr(mesh, where)}", f"-service={SERVICES[where]}", "-rpc-timeout=5s")
    probed = await run(tool("grpc-health-probe"), *arguments)
    assert probed.code == 0, probed.err


async def test_an_unknown_service_is_not_healthy(mesh: Mesh) -> None:
    arguments = (f"-addr={mesh.tenant_target}", "-service=nobody.v1.Nothing", "-rpc-timeout=5s")
    assert (await run(tool("grpc-health-probe"), *arguments)).code != 0
