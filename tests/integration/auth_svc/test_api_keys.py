"""System keys."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from tenantmesh.auth_svc.api_keys.api_keys import SystemKeys
from tenantmesh.auth_svc.api_keys.system_key import KeyAudience, SystemKey
from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.caller import CallerKind
from tenantmesh.interceptors.errors import InvalidArgument
from tests.clock import Clock
from tests.fixtures.engines import WorkerDatabase
from tests.integration.auth_svc.conftest import as_superuser


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(doors: Doors, clock: Clock) -> SystemKeys:
    return SystemKeys(doors, clock)


def id_of(key: str) -> uuid.UUID:
    return uuid.UUID(key.split("_")[1])


async def stored(keys: SystemKeys, key: str) -> SystemKey:
    (found,) = [each for each in await keys.list() if each.id == id_of(key)]
    return found


async def test_a_key_stands_for_its_caller(keys: SystemKeys) -> None:
    key = await keys.create("tenant_svc", KeyAudience.SERVICE, ["tokens.introspect"])
    caller = await keys.verify(key)
    assert caller is not None
    assert (caller.kind, caller.subject, caller.tenant_id) == (CallerKind.SERVICE, "tenant_svc", None)
    assert caller.permissions == {"tokens.introspect"}
    assert caller.credential_id == str((await stored(keys, key)).id)
    assert caller.expires_at is None
    operator = await keys.verify(await keys.create("ops", KeyAudience.OPERATOR, ["*"]))
    assert operator is not None
    assert operator.kind is CallerKind.OPERATOR


async def test_a_key_comes_back_as_it_was_stored(keys: SystemKeys, clock: Clock) -> None:
    key = await keys.create("svc", KeyAudience.SERVICE, ["b.b", "a.a", "b.b"], timedelta(days=1))
    found = await stored(keys, key)
    assert (found.name, found.audience, found.permissions) == ("svc", KeyAudience.SERVICE, ("a.a", "b.b"))
    assert (found.create_time, found.expire_time) == (clock.now, clock.now + timedelta(days=1))
    assert found.revoke_time is None


async def test_keys_are_listed_oldest_first(keys: SystemKeys, clock: Clock) -> None:
    made = []
    for _ in range(3):
        made.append(id_of(await keys.create("ops", KeyAudience.OPERATOR, ["*"])))
        clock.advance(seconds=-1)
    listed = [key.id for key in await keys.list() if key.id in made]
    assert listed == made[::-1]


async def test_a_key_is_stored_as_a_hash_of_its_secret(keys: SystemKeys, postgres: WorkerDatabase) -> None:
    key = await keys.create("ops", KeyAudience.OPERATOR, ["*"])
    assert key.startswith("tmk_")
    secret = key.rpartition("_")[2]
    (row,) = await as_superuser(
        postgres, "SELECT to_jsonb(k)::text AS row FROM auth.system_keys k WHERE key_id = $1", id_of(key)
    )
    assert secret not in row["row"]
    assert secret.encode().hex() not in row["row"]


async def test_every_changed_character_is_refused(keys: SystemKeys) -> None:
    key = await keys.create("ops", KeyAudience.OPERATOR, ["*"])
    for index, character in enumerate(key):
        for other in "0fg_A":
            if other != character:
                assert await keys.verify(key[:index] + other + key[index + 1 :]) is None
    for wrong in ("", "tmk_", key[:-1], key + "0", key.upper(), f" {key}", f"{key}\n"):
        assert await keys.verify(wrong) is None
    assert await keys.verify(key) is not None


async def test_the_secret_of_one_key_is_nothing_for_another(keys: SystemKeys) -> None:
    service = await keys.create("svc", KeyAudience.SERVICE, [])
    operator = await keys.create("ops", KeyAudience.OPERATOR, ["*"])
    assert await keys.verify(operator.rpartition("_")[0] + "_" + service.rpartition("_")[2]) is None


async def test_a_key_ends_when_it_expires(keys: SystemKeys, clock: Clock) -> None:
    key = await keys.create("ops", KeyAudience.OPERATOR, ["*"], timedelta(days=1))
    caller = await keys.verify(key)
    assert caller is not None
    assert caller.expires_at == (clock.now + timedelta(days=1)).timestamp()
    clock.advance(days=1)
    assert await keys.verify(key) is None


async def test_a_key_ends_when_it_is_revoked_once(keys: SystemKeys, clock: Clock) -> None:
    key = await keys.create("ops", KeyAudience.OPERATOR, ["*"])
    assert not await keys.revoke(uuid.uuid4())
    assert await keys.revoke(id_of(key))
    revoked = clock.now
    clock.advance(days=1)
    assert not await keys.revoke(id_of(key))
    assert (await stored(keys, key)).revoke_time == revoked
    assert await keys.verify(key) is None


async def test_a_key_that_breaks_a_rule_is_not_stored(keys: SystemKeys) -> None:
    name = f"X{uuid.uuid4().hex}"
    with pytest.raises(InvalidArgument) as refused:
        await keys.create(name, KeyAudience.OPERATOR, ["nope"], timedelta())
    assert [violation.field for violation in refused.value.violations] == ["name", "permissions", "lifetime"]
    assert name not in {key.name for key in await keys.list()}
