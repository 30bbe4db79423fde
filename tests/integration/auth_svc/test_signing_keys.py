"""Signing keys: made, published before they sign, retired after. In a database of their own: others sign in the shared
one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta

import pytest

from tenantmesh.auth_svc.tokens.tables import signing_keys
from tenantmesh.chassis.signing.key_ring import KeyRing
from tenantmesh.chassis.signing.key_rows import SigningKeyRows
from tenantmesh.chassis.signing.signing_key import KeySchedule, SigningKey
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.encryption import KeyEncryptionKey, SealBroken
from tests.clock import Clock
from tests.fixtures.engines import WorkerDatabase
from tests.integration.auth_svc.conftest import a_copy, as_superuser, database_settings
from tests.integration.auth_svc.doors import CountingDoors

KEK = KeyEncryptionKey(bytes(32))
SCHEDULE = KeySchedule(timedelta(days=30), timedelta(minutes=10), valid_for=timedelta(seconds=300))
ROWS = SigningKeyRows(signing_keys)
INACTIVE = "CREDENTIALS_UNVERIFIABLE"

Ring = Callable[[], KeyRing]


@pytest.fixture(scope="module")
def own(postgres: WorkerDatabase) -> Iterator[WorkerDatabase]:
    with a_copy(postgres) as own:
        yield own


@pytest.fixture
async def doors(own: WorkerDatabase) -> AsyncIterator[CountingDoors]:
    await as_superuser(own, "DELETE FROM auth.signing_keys")
    database = Database(database_settings(own), schema="auth")
    yield CountingDoors(database)
    await database.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ring(doors: CountingDoors, clock: Clock) -> Ring:
    """Makes the ring of one process."""
    return lambda: KeyRing(doors, ROWS, KEK, SCHEDULE, INACTIVE, clock.timestamp)


async def stored(doors: CountingDoors) -> list[SigningKey]:
    async with doors.system("a test looks", read_only=True) as connection:
        return sorted(await ROWS.all_keys(connection), key=lambda key: key.activate_time)


async def test_the_first_key_is_made_once_and_signs_at_once(ring: Ring, doors: CountingDoors) -> None:
    first, second = ring(), ring()
    await asyncio.gather(first.maintain(), second.maintain())
    (key,) = await stored(doors)
    assert first.signer()[0] == second.signer()[0] == key.kid


async def test_the_next_key_is_made_once_however_many_processes_find_that_it_is_due(
    ring: Ring, doors: CountingDoors, clock: Clock
) -> None:
    rings = [ring() for _ in range(8)]
    await rings[0].maintain()
    clock.advance(days=30, minutes=-10)
    await asyncio.gather(*(each.maintain() for each in rings))
    assert len(await stored(doors)) == 2


async def test_the_private_part_is_not_stored_readable(ring: Ring, doors: CountingDoors) -> None:
    keys = ring()
    await keys.maintain()
    _, private = keys.signer()
    assert private.private_bytes_raw() not in (await stored(doors))[0].sealed_private


async def test_the_next_key_is_published_before_it_signs(ring: Ring, doors: CountingDoors, clock: Clock) -> None:
    keys = ring()
    await keys.maintain()
    old = keys.signer()[0]
    clock.advance(days=30, minutes=-11)
    await keys.maintain()
    assert len(await stored(doors)) == 1
    clock.advance(minutes=1)
    await keys.maintain()
    new = (await stored(doors))[1].kid
    assert [key.kid for key in keys.published()] == [old, new]
    assert keys.signer()[0] == old
    clock.advance(minutes=10)
    assert keys.signer()[0] == new


async def test_a_key_that_comes_late_is_still_published_before_it_signs(
    ring: Ring, doors: CountingDoors, clock: Clock
) -> None:
    keys = ring()
    await keys.maintain()
    old = keys.signer()[0]
    clock.advance(days=90)
    await keys.maintain()
    assert keys.signer()[0] == old
    assert (await stored(doors))[1].activate_time == clock.now + timedelta(minutes=10)


async def test_the_old_key_verifies_until_its_last_token_has_expired(
    ring: Ring, doors: CountingDoors, clock: Clock
) -> None:
    keys = ring()
    await keys.maintain()
    old = keys.signer()[0]
    clock.advance(days=30, minutes=-10)
    await keys.maintain()
    clock.advance(minutes=10, seconds=300)
    await keys.maintain()
    assert keys.get(old) is not None
    clock.advance(seconds=60)
    await keys.maintain()
    assert keys.get(old) is None
    assert [key.kid for key in keys.published()] == [(await stored(doors))[1].kid]


async def test_a_key_made_by_another_process_is_found_when_a_token_names_it(
    ring: Ring, doors: CountingDoors, clock: Clock
) -> None:
    mine = ring()
    await mine.maintain()
    clock.advance(days=30, minutes=-10)
    await ring().maintain()
    kid = (await stored(doors))[1].kid
    assert mine.get(kid) is None
    await mine.refresh(kid)
    assert mine.get(kid) is not None


async def test_made_up_key_ids_reach_the_database_once_a_second_at_most(
    ring: Ring, doors: CountingDoors, clock: Clock
) -> None:
    keys = ring()
    await keys.maintain()
    clock.advance(seconds=2)
    before = doors.opened
    await asyncio.gather(*(keys.refresh(f"made-up-{number}") for number in range(100)))
    assert doors.opened == before + 1
    assert keys.get("made-up-0") is None


async def test_keys_under_another_kek_are_refused_at_start(ring: Ring, doors: CountingDoors, clock: Clock) -> None:
    await ring().maintain()
    with pytest.raises(SealBroken):
        await KeyRing(doors, ROWS, KeyEncryptionKey(bytes(range(32))), SCHEDULE, INACTIVE, clock.timestamp).maintain()


async def test_a_swapped_public_part_is_refused_not_published(ring: Ring, own: WorkerDatabase) -> None:
    await ring().maintain()
    await as_superuser(own, "UPDATE auth.signing_keys SET public_key = $1", bytes(32))
    with pytest.raises(SealBroken, match="does not belong"):
        await ring().maintain()


async def test_a_key_that_does_not_open_leaves_those_that_do(ring: Ring, own: WorkerDatabase) -> None:
    keys = ring()
    await keys.maintain()
    good = keys.signer()[0]
    await as_superuser(
        own,
        "INSERT INTO auth.signing_keys SELECT 'intruder', public_key, sealed_private_key, create_time,"
        " activate_time + interval '1 second' FROM auth.signing_keys",
    )
    with pytest.raises(SealBroken):
        await keys.maintain()
    assert keys.signer()[0] == good
    assert keys.get("intruder") is None
