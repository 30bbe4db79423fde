"""A server of connections that are none, for tests of the pool."""

from __future__ import annotations

import asyncio
from typing import cast

from tenantmesh.runtime.database.pool import RawConnection


class FakeConnection:
    """Stands in for a connection: open until closed, and it remembers how it was closed."""

    def __init__(self) -> None:
        self.closed = False
        self.terminated = False
        self.close_hangs = False

    def is_closed(self) -> bool:
        return self.closed

    async def close(self, *, timeout: float) -> None:
        if self.close_hangs:
            raise TimeoutError
        self.closed = True

    def terminate(self) -> None:
        self.closed = self.terminated = True


class Server:
    """Opens fake connections and counts them; `down` makes it refuse."""

    def __init__(self) -> None:
        self.opened: list[FakeConnection] = []
        self.down = False

    async def connect(self) -> RawConnection:
        await asyncio.sleep(0)
        if self.down:
            raise ConnectionRefusedError
        self.opened.append(FakeConnection())
        return cast("RawConnection", self.opened[-1])

    @property
    def open_now(self) -> int:
        return sum(not connection.closed for connection in self.opened)


async def settle() -> None:
    """Let everything that can go on do so, one after the other where each waits for the one before it."""
    for _ in range(50):
        await asyncio.sleep(0)
