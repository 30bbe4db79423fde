"""Signing keys: made, published before they sign, retired after."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tenantmesh.auth_svc.tokens.signing_keys import KeyRing, KeySchedule
from tenantmesh.runtime.encryption import KeyEncryptionKey, SealBroken
from tests.unit.auth_svc.memory import Clock, MemorySigningKeys

KEK = KeyEncryptionKey(bytes(32))
SCHEDULE = KeySchedule(sign_for=timedelta(days=30), publish_before=timedelta(minutes=10))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store() -> MemorySigningKeys:
    return MemorySigningKeys()


def ring(store: MemorySigningKeys, clock: Clock, kek: KeyEncryptionKey = KEK) -> KeyRing:
    return KeyRing(store, kek, SCHEDULE, clock.timestamp)


async def test_the_first_key_is_made_once_and_signs_at_once(store: MemorySigningKeys, clock: Clock) -> None:
    first, second = ring(store, clock), ring(store, clock)
    await asyncio.gather(first.maintain(), second.maintain())
    assert len(store.keys) == 1
    assert first.signer()[0] == second.signer()[0] == store.keys[0].kid


async def test_the_private_part_is_not_stored_readable(store: MemorySigningKeys, clock: Clock) -> None:
    keys = ring(store, clock)
    await keys.maintain()
    _, private = keys.signer()
    assert private.private_bytes_raw() not in store.keys[0].sealed_private


async def test_the_next_key_is_published_before_it_signs(store: MemorySigningKeys, clock: Clock) -> None:
    keys = ring(store, clock)
    await keys.maintain()
    old = keys.signer()[0]
    clock.pass_(days=30, minutes=-11)
    await keys.maintain()
    assert len(store.keys) == 1
    clock.pass_(minutes=1)
    await keys.maintain()
    assert [key.kid for key in keys.published()] == [old, store.keys[1].kid]
    assert keys.signer()[0] == old
    clock.pass_(minutes=10)
    assert keys.signer()[0] == store.keys[1].kid


async def test_a_key_that_comes_late_is_still_published_before_it_signs(store: MemorySigningKeys, clock: Clock) -> None:
    keys = ring(store, clock)
    await keys.maintain()
    old = keys.signer()[0]
    clock.pass_(days=90)
    await keys.maintain()
    assert keys.signer()[0] == old
    assert store.keys[1].activate_time == clock.now + timedelta(minutes=10)


async def test_the_old_key_verifies_until_its_last_token_has_expired(store: MemorySigningKeys, clock: Clock) -> None:
    keys = ring(store, clock)
    await keys.maintain()
    old = keys.signer()[0]
    clock.pass_(days=30, minutes=-10)
    await keys.maintain()
    clock.pass_(minutes=10, seconds=300)
    await keys.maintain()
    assert keys.get(old) is not None
    clock.pass_(seconds=60)
    await keys.maintain()
    assert keys.get(old) is None
    assert [key.kid for key in keys.published()] == [store.keys[1].kid]


async def test_a_key_made_by_another_process_is_found_when_a_token_names_it(
    store: MemorySigningKeys, clock: Clock
) -> None:
    mine = ring(store, clock)
    await mine.maintain()
    clock.pass_(days=30, minutes=-10)
    other = ring(store, clock)
    await other.maintain()
    kid = store.keys[1].kid
    assert mine.get(kid) is None
    await mine.refresh(kid)
    assert mine.get(kid) is not None


async def test_made_up_key_ids_reach_the_store_once_a_second_at_most(store: MemorySigningKeys, clock: Clock) -> None:
    keys = ring(store, clock)
    await keys.maintain()
    clock.pass_(seconds=2)
    before = store.reads
    await asyncio.gather(*(keys.refresh(f"made-up-{number}") for number in range(100)))
    assert store.reads == before + 1


async def test_keys_under_another_kek_are_refused_at_start(store: MemorySigningKeys, clock: Clock) -> None:
    await ring(store, clock).maintain()
    with pytest.raises(SealBroken):
        await ring(store, clock, KeyEncryptionKey(bytes(range(32)))).maintain()


async def test_a_swapped_public_part_is_refused_not_published(store: MemorySigningKeys, clock: Clock) -> None:
    await ring(store, clock).maintain()
    store.keys[0] = replace(store.keys[0], public=bytes(32))
    with pytest.raises(SealBroken, match="does not belong"):
        await ring(store, clock).maintain()


async def test_a_key_that_does_not_open_leaves_those_that_do(store: MemorySigningKeys, clock: Clock) -> None:
    keys = ring(store, clock)
    await keys.maintain()
    good = keys.signer()[0]
    store.keys.append(replace(store.keys[0], kid="intruder", activate_time=clock.now + timedelta(seconds=1)))
    with pytest.raises(SealBroken):
        await keys.maintain()
    assert keys.signer()[0] == good
    assert keys.get("intruder") is None
