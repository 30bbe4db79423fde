"""Levels that change are known to tenant_svc in the end, whoever was away or killed meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from tenantmesh.auth.v1 import token_service_pb2 as tokens
from tenantmesh.auth.v1.token_service_pb2_grpc import TokenServiceStub
from tenantmesh.auth_svc.accounts.accounts import Accounts
from tenantmesh.auth_svc.gauges.outbox import GaugeOutbox
from tenantmesh.auth_svc.gauges.reports import GrpcGaugeReports
from tenantmesh.auth_svc.schema import OUTAGE
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.outbox import Relay
from tenantmesh.deploy.stack.engines.valkey import Store
from tenantmesh.interceptors.client import channel
from tenantmesh.interceptors.errors import FailedPrecondition, NotFound, ResourceExhausted, Unavailable
from tenantmesh.interceptors.tenants import TenantRecord
from tests.fixtures.engines import WorkerDatabase
from tests.integration.auth_svc.calls import register
from tests.integration.auth_svc.conftest import ISSUER, Service, a_copy, as_superuser, database_settings
from tests.integration.auth_svc.people import add, opened, registering
from tests.integration.auth_svc.stand_in import StandIn, new_tenant, stand_in
from tests.ports import free_port

AWAY = Unavailable("QUOTA_UNAVAILABLE", "tenant_svc is away")
SUSPENDED = FailedPrecondition("TENANT_SUSPENDED", "The tenant is suspended.")
BUSY = ResourceExhausted("DATABASE_BUSY", "Too many calls of this tenant are waiting for the database.")
GONE = NotFound("TENANT_NOT_FOUND", "No such tenant.")


async def test_tenant_svc_learns_the_level_after_a_registration(service: Service, acme: TenantRecord) -> None:
    umbrella = service.tenants.add()
    for n in range(3):
        await register(service, acme, f"{n}@example.com")
    await register(service, umbrella)
    await service.quotas.until(lambda: service.quotas.level(acme.id) == 3 and service.quotas.level(umbrella.id) == 1)
    before = len(service.quotas.told)
    await register(service, acme, "0@example.com")
    await register(service, umbrella, "another@example.com")
    await service.quotas.until(lambda: service.quotas.level(umbrella.id) == 2)
    assert [each.id for each in service.quotas.told[before:]] == [str(umbrella.id)], "a known address changes nothing"


@asynccontextmanager
async def reporter(postgres: WorkerDatabase, standing_in: StandIn) -> AsyncIterator[Accounts]:
    """A reporter of a database of its own, without the service around it."""
    async with opened(postgres) as database, registering(database) as accounts:
        reports = GrpcGaugeReports(channel(standing_in.target))
        reporting = Relay("a test", GaugeOutbox(Doors(database, OUTAGE)), reports, interval=timedelta(milliseconds=50))
        await reporting.start()
        try:
            yield accounts
        finally:
            await reporting.close()
            await reports.close()


async def test_levels_are_told_once_tenant_svc_is_back_and_none_waits_for_another(postgres: WorkerDatabase) -> None:
    plain, suspended, deleted, busy = (new_tenant() for _ in range(4))
    async with stand_in() as standing_in:
        quotas = standing_in.quotas
        quotas.refusals = {"": AWAY, str(suspended.id): SUSPENDED, str(deleted.id): GONE, str(busy.id): BUSY}
        with a_copy(postgres) as own:
            async with reporter(own, standing_in) as accounts:
                for tenant in (plain, suspended, deleted, busy):
                    await add(accounts, tenant, "alice@example.com", None)
                await quotas.until(lambda: quotas.refused > 3)
                del quotas.refusals[""]
                await quotas.until(lambda: quotas.level(plain.id) == 1)
                del quotas.refusals[str(suspended.id)], quotas.refusals[str(busy.id)]
                await quotas.until(lambda: quotas.level(suspended.id) == 1 and quotas.level(busy.id) == 1)
                del quotas.refusals[str(deleted.id)]  # it is brought back
                await quotas.until(lambda: quotas.level(deleted.id) == 1)
                await until_nothing_is_unreported(own)


async def until_nothing_is_unreported(postgres: WorkerDatabase) -> None:
    query = "SELECT tenant_id FROM auth.gauges WHERE version > reported_version"
    for _ in range(3000):
        if not await as_superuser(postgres, query):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("some levels were never noted as reported")


async def test_two_reporters_of_one_database_tell_everything(postgres: WorkerDatabase) -> None:
    tenants = [new_tenant() for _ in range(40)]
    async with stand_in() as standing_in:
        with a_copy(postgres) as own:
            async with reporter(own, standing_in) as accounts, reporter(own, standing_in):
                for tenant in tenants:
                    await add(accounts, tenant, "alice@example.com", None)
                await until_nothing_is_unreported(own)
        assert all(standing_in.quotas.level(tenant.id) == 1 for tenant in tenants)


@asynccontextmanager
async def program(
    postgres: WorkerDatabase, store: Store, kek_file: Path, standing_in: StandIn
) -> AsyncIterator[Service]:
    """`python -m tenantmesh.auth_svc`, killed at the end."""
    port, settings = free_port(), database_settings(postgres)
    assert settings.url is not None
    assert settings.system_url is not None
    variables = {
        "TENANTMESH_MODE": "development",
        "TENANTMESH_MESH_CREDENTIAL": "tmk_unused",
        "TENANTMESH_TOKENS_ISSUER": ISSUER,
        "TENANTMESH_MESH_TENANT_TARGET": standing_in.target,
        "TENANTMESH_DATABASE_URL": settings.url.get_secret_value(),
        "TENANTMESH_DATABASE_SYSTEM_URL": settings.system_url.get_secret_value(),
        "TENANTMESH_REDIS_URL": store.url.get_secret_value(),
        "TENANTMESH_REDIS_CLUSTER": str(store.cluster),
        "TENANTMESH_SERVER_LISTEN": f"127.0.0.1:{port}",
        "TENANTMESH_TOKENS_KEK_FILE": str(kek_file),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tenantmesh.auth_svc", env={**os.environ, **variables}, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        async with channel(f"127.0.0.1:{port}") as connection:
            stub: Any = TokenServiceStub(connection)
            await stub.GetJwks(tokens.GetJwksRequest(), timeout=60, wait_for_ready=True)
        yield Service(f"127.0.0.1:{port}", standing_in, "", "")
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()


async def test_what_a_killed_process_did_not_tell_the_next_one_tells(
    postgres: WorkerDatabase, store: Store, kek_file: Path
) -> None:
    async with stand_in() as standing_in:
        tenant, quotas = standing_in.tenants.add(), standing_in.quotas
        quotas.refusals = {"": AWAY}
        with a_copy(postgres) as own:
            async with program(own, store, kek_file, standing_in) as first:
                for email in ("alice@example.com", "bob@example.com"):
                    await register(first, tenant, email)
                await quotas.until(lambda: quotas.refused > 0)
            quotas.refusals.clear()
            assert quotas.level(tenant.id) == -1
            async with program(own, store, kek_file, standing_in):
                await quotas.until(lambda: quotas.level(tenant.id) == 2)
