"""Connection poolers between us and the server: session pooling works, pooling by transaction or statement is refused.

Such a pooler gives each transaction another session of the server. What a session knows is lost between two of them, or
is another client's: prepared statements, LISTEN, the settings that are given at the start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import asyncpg

from tenantmesh.runtime.database.errors import InternalDatabaseError, translated
from tenantmesh.runtime.database.pool import RawConnection

__all__ = ["PooledSessions", "refuse_pooler", "startup_refused"]

_REMEDY = "Connect to PostgreSQL itself, or use session pooling (pool_mode = session)"
_SESSION = "SELECT pg_catalog.pg_backend_pid()"
_ROUNDS = 3
_PROTOCOL_VIOLATION = "08P01"
# A statement was prepared in another session than the one that is to run it, or another client prepared it there.
_LOST_STATEMENTS = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)


class PooledSessions(InternalDatabaseError):
    """A pooler shares the server's sessions between clients, or does not pass on what a session needs."""


async def refuse_pooler(connect: Callable[[], Awaitable[RawConnection]], variable: str) -> None:
    """Raise PooledSessions when two connections that are open at once share a session of the server.

    Of two connections to PostgreSQL, or to a pooler by session, each keeps a session of its own. A pooler by
    transaction hands the session that one has just left to the other. `variable` names the address in the error.
    """
    first = await connect()
    try:
        second = await connect()
        try:
            shared = await _share(first, second)
        except _LOST_STATEMENTS:
            shared = True
        except Exception as error:
            raise translated(error) from error
        finally:
            second.terminate()
    finally:
        first.terminate()
    if shared:
        raise PooledSessions(f"{variable} leads to a pooler that gives each transaction another session. {_REMEDY}.")


async def _share(first: RawConnection, second: RawConnection) -> bool:
    """Return whether the sessions of two connections overlap, or change."""
    ours: set[object] = set()
    theirs: set[object] = set()
    for _ in range(_ROUNDS):
        ours.add(await first.fetchval(_SESSION))
        theirs.add(await second.fetchval(_SESSION))
    return len(ours) > 1 or len(theirs) > 1 or bool(ours & theirs)


def startup_refused(error: BaseException) -> PooledSessions | None:
    """Return our error for a pooler that refuses the settings of a connection's start; None for any other error."""
    refused = isinstance(error, asyncpg.PostgresError) and error.sqlstate == _PROTOCOL_VIOLATION
    if not refused or "startup parameter" not in str(error):
        return None
    return PooledSessions(
        f"a pooler refuses a setting of the connection's start ({error}). {_REMEDY}; PgBouncer then also needs"
        " ignore_startup_parameters = search_path"
    )
