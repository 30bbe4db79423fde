"""Signing keys and system keys on PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from tenantmesh.auth_svc.api_keys.api_keys import SystemKeys
from tenantmesh.auth_svc.api_keys.bootstrap import create_key, list_keys, revoke_key
from tenantmesh.auth_svc.api_keys.system_key import KeyAudience
from tenantmesh.auth_svc.schema import OUTAGE
from tenantmesh.auth_svc.tokens.tables import signing_keys
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.signing.key_ring import KeyRing
from tenantmesh.chassis.signing.key_rows import SigningKeyRows
from tenantmesh.chassis.signing.signing_key import KeySchedule
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.encryption import KeyEncryptionKey
from tenantmesh.runtime.settings import DatabaseSettings
from tests.fixtures.engines import WorkerDatabase
from tests.integration.auth_svc.conftest import a_copy, as_superuser, database_settings


async def test_processes_that_start_together_agree_on_one_first_key_which_is_not_stored_readable(
    postgres: WorkerDatabase, kek: KeyEncryptionKey
) -> None:
    with a_copy(postgres) as fresh:
        databases = [Database(database_settings(fresh), schema="auth") for _ in range(5)]
        rings = [
            KeyRing(Doors(each, OUTAGE), SigningKeyRows(signing_keys), kek, KeySchedule(), "NONE", time.time)
            for each in databases
        ]
        await asyncio.gather(*(ring.maintain() for ring in rings))
        rows = await as_superuser(fresh, "SELECT kid, public_key, sealed_private_key FROM auth.signing_keys")
        assert len(rows) == 1
        kid, private = rings[0].signer()
        assert {ring.signer()[0] for ring in rings} == {kid} == {rows[0]["kid"]}
        assert private.private_bytes_raw() not in rows[0]["sealed_private_key"]
        assert kek.open(rows[0]["sealed_private_key"], "signing-key", kid) == private.private_bytes_raw()
        await asyncio.gather(*(each.close() for each in databases))


async def test_system_keys_from_the_command_line_are_verified_listed_and_revoked(
    postgres: WorkerDatabase, doors: Doors
) -> None:
    settings = DatabaseSettings(system_url=postgres.url("auth_directory"))
    secret = await create_key(settings, "from_cli", "SERVICE", ("tokens.introspect",), timedelta(days=1))
    keys = SystemKeys(doors)
    caller = await keys.verify(secret)
    assert caller is not None
    assert caller.permissions == {"tokens.introspect"}
    (listed,) = [key for key in await list_keys(settings) if str(key.id) == caller.credential_id]
    assert (listed.name, listed.audience) == ("from_cli", KeyAudience.SERVICE)
    stored = await as_superuser(postgres, "SELECT to_jsonb(k)::text AS row FROM auth.system_keys k")
    assert secret.rpartition("_")[2] not in repr(stored)
    assert await revoke_key(settings, listed.id)
    assert not await revoke_key(settings, listed.id)
    assert await keys.verify(secret) is None


async def test_an_unknown_audience_is_refused_before_anything_is_stored(postgres: WorkerDatabase) -> None:
    with pytest.raises(ValueError, match="USER"):
        await create_key(DatabaseSettings(system_url=postgres.url("auth_directory")), "x1", "USER", ())
