"""A process that is killed while it redeems a link: the step is done and the link used, or neither."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import NotFound
from tenantmesh.tenant_svc.history.history import History
from tenantmesh.tenant_svc.setup_links.setup_link import LinkState, SetupIntent
from tenantmesh.tenant_svc.setup_links.setup_links import SetupLinks
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.setup_links.redeeming import PLACES
from tests.integration.tenant_svc.setup_links.steps import KeysOfMakers, RecordingStep
from tests.integration.tenant_svc.setup_links.test_setup_links import ACTOR, HOST, MAKER, NEW, effects, only

PATIENCE_SECONDS = 60


async def killed(database: WorkerDatabase, place: str, token: str) -> None:
    """Redeems the link in another process, which gets kill -9 at the place."""
    urls = {
        "TENANTMESH_DATABASE_URL": database.url("tenant_app").get_secret_value(),
        "TENANTMESH_DATABASE_SYSTEM_URL": database.url("tenant_directory").get_secret_value(),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.tenant_svc.setup_links.redeeming", place, token, HOST),
        env={**os.environ, **urls},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            line = await process.stdout.readline()
        assert line == f"stopped where it is {place}\n".encode()
    finally:
        process.kill()
        await process.communicate()


@pytest.mark.parametrize("place", PLACES)
async def test_a_step_is_done_with_its_link_or_not_at_all(
    acme: Tenant, doors: Doors, history: History, migrated: WorkerDatabase, place: str
) -> None:
    links = SetupLinks(doors, {SetupIntent.LOGIN_HOST: RecordingStep()}, KeysOfMakers())
    made, token = await links.create(acme.id, NEW, MAKER)
    await killed(migrated, place, token.text)
    if place == "committed":
        with pytest.raises(NotFound):
            await links.redeem(token.text, HOST)
    else:
        assert await effects(history, acme) == []
        await links.redeem(token.text, HOST)
    assert await effects(history, acme) == [(f"through link {made.id} by {ACTOR}", HOST)]
    assert (await only(links, acme)).state is LinkState.USED
