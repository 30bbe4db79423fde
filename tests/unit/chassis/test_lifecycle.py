"""One list for starting and closing: in order, in reverse, and to the end whatever fails."""

from __future__ import annotations

import pytest

from tenantmesh.chassis.lifecycle import Lifecycle, Part


class Recorded:
    """A part that writes down what happens to it."""

    def __init__(self, name: str, journal: list[str], *, fails: str = "") -> None:
        self._name = name
        self._journal = journal
        self._fails = fails

    async def start(self) -> None:
        self._note("start")

    async def close(self) -> None:
        self._note("close")

    def _note(self, what: str) -> None:
        self._journal.append(f"{what} {self._name}")
        if self._fails == what:
            raise RuntimeError(f"{what} {self._name} failed")


async def test_parts_start_in_order_and_close_in_reverse() -> None:
    journal: list[str] = []
    life = Lifecycle([Recorded("database", journal), Recorded("feed", journal)])
    await life.start()
    await life.close()
    assert journal == ["start database", "start feed", "close feed", "close database"]


async def test_a_start_that_fails_is_raised_and_closing_reaches_what_was_never_started() -> None:
    journal: list[str] = []
    life = Lifecycle(
        [Recorded("database", journal), Recorded("feed", journal, fails="start"), Recorded("jobs", journal)]
    )
    with pytest.raises(RuntimeError, match="start feed failed"):
        await life.start()
    await life.close()
    assert journal == ["start database", "start feed", "close jobs", "close feed", "close database"]


async def test_a_close_that_fails_keeps_no_other_open() -> None:
    journal: list[str] = []
    life = Lifecycle([Recorded("database", journal), Recorded("feed", journal, fails="close")])
    with pytest.raises(RuntimeError, match="close feed failed"):
        await life.close()
    assert journal == ["close feed", "close database"]


async def test_a_part_may_have_one_function_only() -> None:
    journal: list[str] = []
    recorded = Recorded("redis", journal)
    life = Lifecycle([Part(close=recorded.close), Part(start=recorded.start)])
    await life.start()
    await life.close()
    assert journal == ["start redis", "close redis"]
