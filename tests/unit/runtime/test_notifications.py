"""Every role of a database can notify every channel: a flood costs a look at a bounded rate."""

from __future__ import annotations

import asyncio
import uuid

from tenantmesh.runtime.database.notifications import MOST_PAYLOADS, Coalesced


async def test_a_notification_is_passed_on_at_once_and_its_repetitions_once_more() -> None:
    heard: list[str] = []
    coalesced = Coalesced(heard.append, pause=0.01)
    for _ in range(1000):
        coalesced("")
    assert heard == [""]
    while len(heard) < 2:  # its pause ends by the loop's clock
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.1)
    assert heard == ["", ""], "the last of them is never lost, and none is made up"


async def test_other_payloads_are_not_delayed() -> None:
    heard: list[str] = []
    coalesced = Coalesced(heard.append, pause=60)
    ids = [str(uuid.uuid4()) for _ in range(10)]
    for payload in (*ids, *ids):
        coalesced(payload)
    assert heard == ids


async def test_a_flood_of_different_payloads_takes_bounded_memory_and_becomes_one_look_at_everything() -> None:
    heard: list[str] = []
    coalesced = Coalesced(heard.append, pause=60)
    for number in range(20 * MOST_PAYLOADS):
        coalesced(str(number))
    coalesced("x" * 8000)
    assert len(heard) == MOST_PAYLOADS + 1
    assert heard[-1] == ""
