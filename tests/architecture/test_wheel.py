"""The wheel: built, installed into a clean environment, and used as a consumer of the library would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UV = str(Path(sys.executable).parent / "uv")
USE = """
import asyncio, sys
import interceptors
assert interceptors.OURS, "the library shadows a folder of its consumer"
from tenantmesh import interceptors
from tenantmesh.tenant.v1 import tenant_pb2, tenant_service_pb2, tenant_service_pb2_grpc
assert not {"sqlalchemy", "asyncpg", "alembic", "pydantic"} & set(sys.modules), "the library is not light"
from tenantmesh.interceptors.testing import TestMesh

class Tenants(tenant_service_pb2_grpc.TenantServiceServicer):
    async def GetTenant(self, request, context):
        return tenant_pb2.Tenant(id=str(interceptors.current_call().tenant_id))

async def main():
    async with TestMesh() as mesh:
        mesh.plan("basic", limits={"api_requests": None})
        acme = mesh.add_tenant("acme")
        add = tenant_service_pb2_grpc.add_TenantServiceServicer_to_server
        target = await mesh.serve(add, Tenants(), tenant_service_pb2.DESCRIPTOR)
        async with mesh.client(target, token=mesh.token(acme)) as channel:
            stub = tenant_service_pb2_grpc.TenantServiceStub(channel)
            answer = await stub.GetTenant(tenant_service_pb2.GetTenantRequest(id="acme"))
            assert answer.id == str(acme.id)
    import grpc, google.protobuf
    print("served with", grpc.__version__, google.protobuf.__version__)

asyncio.run(main())
"""
OWN_PROTO = """
syntax = "proto3";
package own.v1;
import "tenantmesh/policy/v1/policy.proto";
message Asked {}
service Own {
  rpc Ask(Asked) returns (Asked) {
    option (tenantmesh.policy.v1.method) = {audiences: AUDIENCE_USER tenant_scope: TENANT_SCOPE_REQUIRED};
  }
}
"""


def run(*command: str, cwd: Path = ROOT) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{' '.join(command[:4])}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel."""
    target = tmp_path_factory.mktemp("wheel")
    run(str(Path(sys.executable).parent / "hatchling"), "build", "-t", "wheel", "-d", str(target))
    return next(target.glob("*.whl"))


def test_what_the_wheel_holds(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.partition("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"tenantmesh"}, "a consumer's own folders must not be shadowed"
    for needed in (
        "tenantmesh/tenant/v1/tenant_service_pb2.py",
        "tenantmesh/tenant/v1/tenant_service_pb2_grpc.pyi",
        "tenantmesh/tenant/py.typed",
        "tenantmesh/descriptors.binpb",
        "tenantmesh/protos/tenantmesh/policy/v1/policy.proto",
        "tenantmesh/protos/tenantmesh/tenant/v1/tenant_service.proto",
        "tenantmesh/interceptors/py.typed",
        "tenantmesh/interceptors/backends/redis/rate_take.lua",
        "tenantmesh/deploy/postgres/roles.sql",
        "tenantmesh/runtime/migration_environment/env.py",
    ):
        assert needed in names, f"{needed} is missing"
    assert not [name for name in names if name.startswith(("gen/", "tests/", "tooling/")) or name.endswith(".key")]


def test_the_wheel_says_its_licence(wheel: Path) -> None:
    files = zipfile.ZipFile(wheel)
    info = next(name.rpartition("/")[0] for name in files.namelist() if name.endswith(".dist-info/METADATA"))
    assert "License-Expression: Apache-2.0" in files.read(f"{info}/METADATA").decode()
    assert "Version 2.0, January 2004" in files.read(f"{info}/licenses/LICENSE").decode()


def compiles_a_proto_of_its_own(python: Path, folder: Path) -> None:
    """A proto of the consumer's, which imports that of policies."""
    (folder / "own.proto").write_text(OWN_PROTO)
    include = run(str(python), "-m", "tenantmesh.interceptors.protos", cwd=folder).strip()
    assert Path(include).is_relative_to(folder)
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}", f"-I{include}"]
    run(*protoc, f"--python_out={folder}", "own.proto", cwd=folder)
    assert "policy_pb2" in (folder / "own_pb2.py").read_text()


def is_told_what_the_command_needs(python: Path) -> None:
    done = subprocess.run([python.parent / "tenantmesh", "doctor"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "[server,embedded]" in done.stderr
    assert "Traceback" not in done.stderr


def floors() -> list[str]:
    """The base dependencies at the oldest versions that pyproject.toml admits."""
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return [re.sub(r">=([0-9.]+).*", _exact, each) for each in dependencies]


def _exact(found: re.Match[str]) -> str:
    return f"=={found[1]}" if found[1].count(".") > 1 else f"=={found[1]}.*"


@pytest.mark.parametrize("versions", ["floor", "newest"])
def test_a_consumer_needs_the_library_alone(wheel: Path, tmp_path: Path, versions: str) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    run(UV, "venv", "-q", "--python", sys.executable, str(tmp_path / "venv"))
    pins = floors() if versions == "floor" else []
    run(UV, "pip", "install", "-q", "--python", str(python), str(wheel), *pins)
    (tmp_path / "interceptors").mkdir()
    (tmp_path / "interceptors" / "__init__.py").write_text("OURS = True")
    assert "served with" in run(str(python), "-W", "error", "-c", USE, cwd=tmp_path)
    if versions == "newest":
        compiles_a_proto_of_its_own(python, tmp_path)
        is_told_what_the_command_needs(python)
    installed = run(UV, "pip", "list", "--python", str(python))
    for heavy in ("sqlalchemy", "asyncpg", "pydantic", "uvloop", "prometheus"):
        assert heavy not in installed.lower()
