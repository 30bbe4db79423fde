"""Poolers before the database: those that share sessions are refused, with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, repeat
from typing import cast

import asyncpg
import pytest

from tenantmesh.runtime.database.pool import RawConnection
from tenantmesh.runtime.database.poolers import PooledSessions, refuse_pooler, startup_refused


class Pooled:
    """A connection whose statements run in the sessions that a pooler picks."""

    def __init__(self, sessions: Iterator[int | Exception]) -> None:
        self._sessions = sessions
        self.open = True

    async def fetchval(self, _sql: str) -> int:
        session = next(self._sessions)
        if isinstance(session, Exception):
            raise session
        return session

    def terminate(self) -> None:
        self.open = False


async def judged(*sessions: Iterator[int | Exception]) -> list[Pooled]:
    made = [Pooled(each) for each in sessions]
    waiting = iter(made)

    async def connect() -> RawConnection:
        return cast("RawConnection", next(waiting))

    try:
        await refuse_pooler(connect, "TENANTMESH_DATABASE_URL")
    finally:
        assert not any(connection.open for connection in made)
    return made


def failing(state: str) -> Iterator[int | Exception]:
    error = asyncpg.PostgresError.new({"C": state, "M": "prepared statement"})
    assert isinstance(error, Exception)
    return repeat(error)


ONE, ANOTHER = 4711, 4712


async def test_connections_with_sessions_of_their_own_are_taken() -> None:
    assert len(await judged(repeat(ONE), repeat(ANOTHER))) == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (repeat(ONE), repeat(ONE)),  # the session that the other has just left
        (cycle([ONE, ANOTHER]), cycle([4713, 4714])),
        (repeat(ONE), cycle([ANOTHER, 4713])),
        (failing("26000"), repeat(ANOTHER)),
        (repeat(ONE), failing("42P05")),
    ],
)
async def test_a_pooler_that_shares_sessions_is_refused(
    first: Iterator[int | Exception], second: Iterator[int | Exception]
) -> None:
    with pytest.raises(PooledSessions, match=r"TENANTMESH_DATABASE_URL leads to a pooler.*pool_mode = session"):
        await judged(first, second)


def test_a_pooler_that_refuses_our_settings_is_told_from_an_outage() -> None:
    refusal = asyncpg.PostgresError.new({"C": "08P01", "M": "unsupported startup parameter: search_path"})
    told = startup_refused(cast("Exception", refusal))
    assert isinstance(told, PooledSessions)
    assert "ignore_startup_parameters" in str(told)
    full = asyncpg.PostgresError.new({"C": "08P01", "M": "no more connections allowed (max_client_conn)"})
    assert startup_refused(cast("Exception", full)) is None
