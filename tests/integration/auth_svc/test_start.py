"""What auth_svc starts on, and what it refuses."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest

from tenantmesh.auth.v1 import token_service_pb2 as tokens
from tenantmesh.auth.v1.token_service_pb2_grpc import TokenServiceStub
from tenantmesh.auth_svc.app import build
from tenantmesh.deploy.stack.engines.valkey import Store
from tenantmesh.interceptors.client import channel
from tenantmesh.runtime.encryption import KekRefused, SealBroken
from tenantmesh.runtime.row_security import InsecureDatabase
from tenantmesh.runtime.telemetry import Telemetry
from tests.fixtures.engines import WorkerDatabase
from tests.integration.auth_svc.conftest import (
    ISSUER,
    KEK_BYTES,
    a_copy,
    as_superuser,
    database_settings,
    service_settings,
)
from tests.ports import free_port


async def start(postgres: WorkerDatabase, store: Store, kek_file: Path) -> None:
    settings = service_settings(postgres, store, kek_file, "127.0.0.1:1")
    application = await build(settings, Telemetry(settings.telemetry, "auth_svc"))
    try:
        await application.start()
    finally:
        await application.close()


async def test_it_starts_on_what_is_right(postgres: WorkerDatabase, store: Store, kek_file: Path) -> None:
    with a_copy(postgres) as fresh:
        await start(fresh, store, kek_file)


async def test_it_refuses_a_kek_file_that_others_can_read(
    postgres: WorkerDatabase, store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "kek"
    path.write_bytes(base64.b64encode(bytes(32)))
    path.chmod(0o644)
    with pytest.raises(KekRefused, match="chmod 600"):
        await start(postgres, store, path)


async def test_it_refuses_another_kek_than_its_keys_were_sealed_with(
    postgres: WorkerDatabase, store: Store, kek_file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "kek"
    other.touch(mode=0o600)
    other.write_bytes(base64.b64encode(bytes(32)))
    with a_copy(postgres) as fresh:
        await start(fresh, store, kek_file)
        with pytest.raises(SealBroken, match="another key-encryption key"):
            await start(fresh, store, other)


async def test_it_refuses_a_database_whose_row_security_is_off(
    postgres: WorkerDatabase, store: Store, kek_file: Path
) -> None:
    with a_copy(postgres) as fresh:
        await as_superuser(fresh, "ALTER TABLE auth.users NO FORCE ROW LEVEL SECURITY")
        with pytest.raises(InsecureDatabase, match="users"):
            await start(fresh, store, kek_file)


VARIABLES = {
    "TENANTMESH_MODE": "development",
    "TENANTMESH_SERVER_DRAIN_WAIT": "0",
    "TENANTMESH_SERVER_GRACE": "1",
    "TENANTMESH_MESH_TENANT_TARGET": "127.0.0.1:1",
    "TENANTMESH_MESH_CREDENTIAL": "tmk_unused",
    "TENANTMESH_TOKENS_ISSUER": ISSUER,
}


async def test_the_program_serves_until_it_is_told_to_stop_and_logs_no_secret(
    postgres: WorkerDatabase, store: Store, kek_file: Path
) -> None:
    port, settings = free_port(), database_settings(postgres)
    assert settings.url is not None
    assert settings.system_url is not None
    variables = {
        **os.environ,
        **VARIABLES,
        "TENANTMESH_DATABASE_URL": settings.url.get_secret_value(),
        "TENANTMESH_DATABASE_SYSTEM_URL": settings.system_url.get_secret_value(),
        "TENANTMESH_REDIS_URL": store.url.get_secret_value(),
        "TENANTMESH_REDIS_CLUSTER": str(store.cluster),
        "TENANTMESH_SERVER_LISTEN": f"127.0.0.1:{port}",
        "TENANTMESH_TOKENS_KEK_FILE": str(kek_file),
        "TENANTMESH_TELEMETRY_ACCESS_LOG": "all",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tenantmesh.auth_svc", env=variables, stdout=PIPE, stderr=STDOUT
    )
    try:
        async with channel(f"127.0.0.1:{port}") as connection:
            stub: Any = TokenServiceStub(connection)
            answer = await stub.GetJwks(tokens.GetJwksRequest(), timeout=30, wait_for_ready=True)
            assert answer.keys
            wrong_key = [("authorization", "Bearer tmk_" + "0" * 32 + "_" + "5ec4e7" * 10 + "0000")]
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.GetJwks(tokens.GetJwksRequest(), metadata=wrong_key)
        process.terminate()
        output, _ = await asyncio.wait_for(process.communicate(), timeout=30)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = output.decode()
    assert process.returncode == 0, text
    assert '"event": "serving"' in text
    assert "CREDENTIALS_INVALID" in text
    passwords = [urlsplit(url.get_secret_value()).password for url in (settings.url, settings.system_url, store.url)]
    for hidden in ("5ec4e7", base64.b64encode(KEK_BYTES).decode(), *passwords):
        assert str(hidden) not in text


def test_the_program_names_the_settings_that_it_lacks() -> None:
    bare = {"PATH": os.environ["PATH"], "TENANTMESH_TOKENS_ISSUER": "nonsense/"}
    result = subprocess.run(
        [sys.executable, "-m", "tenantmesh.auth_svc"], env=bare, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 78
    for name in ("TENANTMESH_MESH_CREDENTIAL", "TENANTMESH_TOKENS_KEK_FILE", "TENANTMESH_TOKENS_ISSUER"):
        assert name in result.stderr
    assert "Traceback" not in result.stderr
