"""An operator with grpcurl: by reflection and by descriptor set, at the edge and at the services."""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.clients.tools import DESCRIPTORS, Mesh, Run, run, tool

TENANTS = "tenantmesh.tenant.v1.TenantService"
AUTH = "tenantmesh.auth.v1.AuthService"


async def call(mesh: Mesh, method: str, message: dict[str, Any], *options: str, target: str | None = None) -> Run:
    """Calls as the operator, unless the options say otherwise."""
    arguments = ["-plaintext", "-max-time", "20", "-d", json.dumps(message), *options]
    return await run(tool("grpcurl"), *arguments, target or mesh.edge_target, method)


def operator(mesh: Mesh) -> tuple[str, str]:
    return ("-H", f"authorization: Bearer {mesh.operator_key}")


@pytest.mark.parametrize(
    ("where", "served"),
    [("edge_target", {TENANTS, AUTH}), ("tenant_target", {TENANTS}), ("auth_target", {AUTH})],
    ids=["edge", "tenant_svc", "auth_svc"],
)
async def test_reflection_lists_what_can_be_called_there_and_describes_it(
    mesh: Mesh, where: str, served: set[str]
) -> None:
    target = getattr(mesh, where)
    listed = await run(tool("grpcurl"), "-plaintext", target, "list")
    assert {TENANTS, AUTH} & set(listed.out.split()) == served, listed.err
    assert {"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"} <= set(
        listed.out.split()
    )
    for symbol in (TENANTS, f"{TENANTS}.GetTenant"):
        described = await run(tool("grpcurl"), "-plaintext", target, "describe", symbol)
        assert "rpc GetTenant" in described.out, described.err


@pytest.mark.parametrize("version", ["grpc-v1", "grpc-v1alpha"])
async def test_buf_reads_both_versions_of_reflection(mesh: Mesh, version: str) -> None:
    arguments = (
        "curl",
        "--protocol",
        "grpc",
        "--http2-prior-knowledge",
        "--reflect-protocol",
        version,
        "--list-services",
        mesh.edge_url,
    )
    listed = await run(Path(sys.executable).with_name("buf"), *arguments)
    assert {TENANTS, AUTH} <= set(listed.out.split()), listed.err


async def test_ghz_finds_methods_by_reflection(mesh: Mesh) -> None:
    arguments = (
        "--insecure",
        "--call",
        f"{TENANTS}.GetTenant",
        "-n",
        "2",
        "-c",
        "1",
        "-O",
        "json",
        "-d",
        '{"id": "x"}',
    )
    loaded = await run(tool("ghz"), *arguments, mesh.tenant_target)
    assert loaded.code == 0, loaded.err
    assert json.loads(loaded.out)["statusCodeDistribution"] == {"Unauthenticated": 2}


async def test_an_operator_creates_and_reads_a_tenant(mesh: Mesh) -> None:
    slug = f"grpcurl-{uuid.uuid4().hex[:12]}"
    created = await call(mesh, f"{TENANTS}/CreateTenant", {"slug": slug, "displayName": "Grpcurl"}, *operator(mesh))
    assert created.code == 0, created.err
    tenant = json.loads(created.out)
    assert (tenant["slug"], tenant["state"]) == (slug, "TENANT_STATE_ACTIVE")
    for target in (mesh.edge_target, mesh.tenant_target):
        found = await call(mesh, f"{TENANTS}/GetTenant", {"id": slug}, *operator(mesh), target=target)
        assert json.loads(found.out)["id"] == tenant["id"], found.err


async def test_every_service_can_be_called_at_the_edge(mesh: Mesh) -> None:
    slug = f"grpcurl-{uuid.uuid4().hex[:12]}"
    await call(mesh, f"{TENANTS}/CreateTenant", {"slug": slug}, *operator(mesh))
    account = {"email": "bob@people.example", "password": "a long walk over warm stones"}
    registered = await call(mesh, f"{AUTH}/Register", account, "-H", f"x-tenant-slug: {slug}")
    assert json.loads(registered.out) == {"email": "bob@people.example"}, registered.err


async def test_errors_come_with_their_reason(mesh: Mesh) -> None:
    missing = await call(mesh, f"{TENANTS}/GetTenant", {"id": "nobody-has-this"}, *operator(mesh))
    assert missing.code != 0
    assert "Code: NotFound" in missing.err
    assert "TENANT_NOT_FOUND" in missing.err
    anonymous = await call(mesh, f"{TENANTS}/GetTenant", {"id": "nobody-has-this"})
    assert "Code: Unauthenticated" in anonymous.err
    assert "CREDENTIALS_MISSING" in anonymous.err


async def test_a_stream_begins_with_its_snapshot(mesh: Mesh) -> None:
    slug = f"grpcurl-{uuid.uuid4().hex[:12]}"
    await call(mesh, f"{TENANTS}/CreateTenant", {"slug": slug}, *operator(mesh))
    # The stream has no end: the time limit is how the client leaves.
    watched = await call(mesh, f"{TENANTS}/WatchTenants", {"snapshot": True}, *operator(mesh), "-max-time", "3")
    assert slug in watched.out, watched.err
    assert '"cursor"' in watched.out


async def test_the_committed_descriptor_set_serves_as_well(mesh: Mesh) -> None:
    protoset = ("-protoset", str(DESCRIPTORS))
    keys = await call(mesh, "tenantmesh.auth.v1.TokenService/GetJwks", {}, *protoset, target=mesh.auth_target)
    assert json.loads(keys.out)["keys"][0]["alg"] == "EdDSA", keys.err
    refused = await call(mesh, f"{AUTH}/GetMe", {}, *protoset)
    assert "Code: Unauthenticated" in refused.err
