"""System keys."""

from datetime import timedelta

import pytest

from tenantmesh.auth_svc.api_keys.api_keys import KeyAudience, SystemKeys
from tenantmesh.interceptors.caller import CallerKind
from tenantmesh.interceptors.errors import InvalidArgument
from tests.unit.auth_svc.memory import Clock, MemorySystemKeys


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store() -> MemorySystemKeys:
    return MemorySystemKeys()


@pytest.fixture
def keys(store: MemorySystemKeys, clock: Clock) -> SystemKeys:
    return SystemKeys(store, clock)


async def test_a_key_stands_for_its_caller(keys: SystemKeys) -> None:
    key = await keys.create("tenant_svc", KeyAudience.SERVICE, ["tokens.introspect"])
    caller = await keys.verify(key)
    assert caller is not None
    assert (caller.kind, caller.subject, caller.tenant_id) == (CallerKind.SERVICE, "tenant_svc", None)
    assert caller.permissions == {"tokens.introspect"}
    assert caller.credential_id in {str(stored.id) for stored in await keys.list()}
    assert caller.expires_at is None
    operator = await keys.verify(await keys.create("ops", KeyAudience.OPERATOR, ["*"]))
    assert operator is not None
    assert operator.kind is CallerKind.OPERATOR


async def test_a_key_is_stored_as_a_hash_of_its_secret(keys: SystemKeys, store: MemorySystemKeys) -> None:
    key = await keys.create("ops", KeyAudience.OPERATOR, ["*"])
    assert key.startswith("tmk_")
    assert key.rpartition("_")[2] not in repr(store.keys)
    assert bytes.fromhex(key.rpartition("_")[2]) not in {stored.secret_hash for stored in store.keys.values()}


async def test_every_changed_character_is_refused(keys: SystemKeys) -> None:
    key = await keys.create("ops", KeyAudience.OPERATOR, ["*"])
    for index, character in enumerate(key):
        for other in "0fg_A":
            if other != character:
                assert await keys.verify(key[:index] + other + key[index + 1 :]) is None
    for wrong in ("", "tmk_", key[:-1], key + "0", key.upper(), f" {key}", f"{key}\n"):
        assert await keys.verify(wrong) is None


async def test_the_secret_of_one_key_is_nothing_for_another(keys: SystemKeys) -> None:
    service = await keys.create("svc", KeyAudience.SERVICE, [])
    operator = await keys.create("ops", KeyAudience.OPERATOR, ["*"])
    assert await keys.verify(operator.rpartition("_")[0] + "_" + service.rpartition("_")[2]) is None


async def test_a_key_ends_when_it_expires(keys: SystemKeys, clock: Clock) -> None:
    key = await keys.create("ops", KeyAudience.OPERATOR, ["*"], timedelta(days=1))
    caller = await keys.verify(key)
    assert caller is not None
    assert caller.expires_at == (clock.now + timedelta(days=1)).timestamp()
    clock.pass_(days=1)
    assert await keys.verify(key) is None


async def test_a_key_ends_when_it_is_revoked_once(keys: SystemKeys) -> None:
    key = await keys.create("ops", KeyAudience.OPERATOR, ["*"])
    (stored,) = await keys.list()
    assert await keys.revoke(stored.id)
    assert not await keys.revoke(stored.id)
    assert await keys.verify(key) is None


@pytest.mark.parametrize("name", ["", "x", "Ops", "a b", "1st", "x" * 64, "a\n"])
async def test_a_bad_name_is_refused(keys: SystemKeys, name: str) -> None:
    with pytest.raises(InvalidArgument):
        await keys.create(name, KeyAudience.OPERATOR, ["*"])


@pytest.mark.parametrize("permission", ["", "tenants", "Tenants.read", "tenants.*", "**", "a.b\n"])
async def test_a_bad_permission_is_refused(keys: SystemKeys, permission: str) -> None:
    with pytest.raises(InvalidArgument):
        await keys.create("ops", KeyAudience.OPERATOR, [permission])


async def test_everything_wrong_is_listed_at_once(keys: SystemKeys) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await keys.create("X", KeyAudience.OPERATOR, ["nope"], timedelta())
    assert [violation.field for violation in refused.value.violations] == ["name", "permissions", "lifetime"]
